/** Messages on a terminal: control characters are escaped there, and only there. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { Program, program, readyFile, run, start, test } from "../support/mqcat.ts";

const BODY = "a\x1b]0;title\x07\x7f\x9b2Jü\r\tb";
const SHOWN = "a\\x1b]0;title\\x07\\x7f\\x9b2Jü\\x0d\tb";

/** Runs mqcat on a terminal; returns what the terminal gets. */
async function onTerminal(args: readonly string[]): Promise<string> {
  const words = [...program, ...args].map((word) => `'${word}'`).join(" ");
  using terminal = new Program(["script", "-qec", words, "/dev/null"], {});
  return (await terminal.exit()).stdout.toString().replaceAll("\r\n", "\n");
}

describe("a terminal", () => {
  test("queue get, queue peek - show control characters of a message escaped", async () => {
    using dir = tempDir();
    const data = ["--data", dir.file("spool")];
    fs.writeFileSync(dir.file("body"), BODY);
    const put = await run(["queue", "put", "q", ...data, "-F", dir.file("body"), "-H", "k: \x1b[31m"]);
    assert.equal(put.code, 0, put.stderr);
    assert.equal(await onTerminal(["queue", "peek", "q", ...data]), `${SHOWN}\n`);
    const template = ["-f", "%s|%h|%S \\x1b[0m\\n"];
    assert.equal(
      await onTerminal(["queue", "peek", "q", ...data, ...template]),
      `${SHOWN}|k=\\x1b[31m|${Buffer.byteLength(BODY)} \x1b[0m\n`,
    );
    const record = await onTerminal(["queue", "peek", "q", ...data, "-J"]);
    assert.doesNotMatch(record.trimEnd(), /\p{Cc}/u);
    assert.equal(JSON.parse(record).body, BODY);
    // A pipe gets every byte.
    const piped = await run(["queue", "get", "q", ...data, "--drain"]);
    assert.equal(piped.stdout.toString(), `${BODY}\n`);
  });

  test("pull, router - show control characters of a message escaped", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    fs.writeFileSync(dir.file("body"), BODY);
    for (const [receiver, sender] of [[["pull", ":0"], "push"], [["router", ":0"], "dealer"]] as const) {
      const shown = onTerminal([...receiver, "-n", "1", "-q", "--ready-file", ready]);
      using _sending = start([sender, "-F", dir.file("body"), (await readyFile(ready))[0]!]);
      assert.ok((await shown).endsWith(`${SHOWN}\n`), JSON.stringify(await shown));
      fs.rmSync(ready);
    }
  });
});
