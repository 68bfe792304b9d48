/** The pages of help, as a person on a terminal and as a script gets them. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { requirePeer } from "../support/helpers.ts";
import { Program, program, run, test } from "../support/mqcat.ts";

const TOPICS = ["addresses", "formats", "delivery", "exit-codes", "security", "patterns"];

/** The page that a command line prints on stdout; it must succeed. */
async function page(args: readonly string[], columns = 80): Promise<string> {
  const { code, stdout, stderr } = await run(args, { env: { COLUMNS: String(columns) } });
  assert.deepEqual([code, stderr], [0, ""], args.join(" "));
  return stdout.toString();
}

/** A script on a pseudo-terminal of 24 lines and the given number of columns. */
function onTerminal(words: readonly string[], columns: number, env: Record<string, string> = {}): Program {
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const script = `stty rows 24 cols ${columns}; exec ${quoted}`;
  return new Program(["script", "-qec", script, "/dev/null"], {
    stdin: "",
    open: true,
    env: { NO_COLOR: "", FORCE_COLOR: "", COLUMNS: "", TERM: "xterm", ...env },
  });
}

describe("help", () => {
  test("help - four ways to the page of a command", async () => {
    const expected = await page(["push", "-h"]);
    assert.match(expected, /^Usage: mqcat push \[options\]/);
    assert.ok(expected.split("\n").length <= 80);
    for (const args of [["push", "--help"], ["help", "push"], ["push", "help"]]) {
      assert.equal(await page(args), expected, args.join(" "));
    }
    const put = await page(["queue", "put", "-h"]);
    assert.equal(await page(["help", "queue", "put"]), put);
    assert.equal(await page(["queue", "help", "put"]), put);
    // The alias has the page of its command.
    assert.equal(await page(["help", "publish"]), await page(["pub", "-h"]));
  });

  test("help - --help-all has the rare options and all examples", async () => {
    const short = await page(["push", "-h"]);
    const long = await page(["push", "--help-all"]);
    for (const text of ["--curve-server-key", "--log-format", "Send to a queue over STOMP"]) {
      assert.deepEqual([short.includes(text), long.includes(text)], [false, true], text);
    }
    assert.match(short, /mqcat\s+push\s+--help-all/);
  });

  test("help - topics, and a mistake in the name of one", async () => {
    for (const topic of TOPICS) assert.match(await page(["help", topic]), /^[A-Z]/);
    const overview = await page(["--help"]);
    for (const name of [...TOPICS, "queue put", "push"]) assert.ok(overview.includes(name), name);
    const wrong = await run(["help", "adresses"]);
    assert.equal(wrong.code, 2);
    assert.match(
      wrong.stderr,
      /no command or topic 'adresses' \(did you mean addresses\?\); the topics are addresses, /,
    );
  });

  test("help - a name may be help", async () => {
    const { code, stderr } = await run(["queue", "info", "help", "--data", "/no/such/directory"]);
    assert.deepEqual([code, /no such directory/.test(stderr)], [2, true], stderr);
  });

  test("version - in three ways", async () => {
    const version = await page(["--version"]);
    assert.match(version, /^mqcat \d+\.\d+\.\d+\n$/);
    for (const word of ["version", "-V"]) assert.equal(await page([word]), version);
  });

  test("no command - one screen on stderr, and exit code 2", async () => {
    const { code, stdout, stderr } = await run([], { env: { COLUMNS: "80" } });
    assert.deepEqual([code, stdout.length], [2, 0]);
    const lines = stderr.split("\n");
    assert.ok(lines.length <= 24, stderr);
    assert.deepEqual(lines.filter((line) => line.length > 80), []);
    for (const name of ["push", "keygen", "mqcat --help"]) assert.ok(stderr.includes(name), name);
  });

  test("suggestions - what people type", async () => {
    const cases = [
      ["puhs", "push"],
      ["plul", "pull"],
      ["put", "queue put"],
      ["purge", "queue purge"],
      ["queue lst", "queue list"],
    ];
    for (const [typed, meant] of cases) {
      const { code, stderr } = await run(typed!.split(" "));
      assert.equal(code, 2);
      assert.ok(stderr.includes(`there is no command '${typed}' (did you mean ${meant}?)`), stderr);
    }
    for (
      const name of [
        "publish",
        "consume",
        "queue rm",
        "queue create",
        "queue ls",
        "context ls",
        "context delete",
      ]
    ) {
      assert.match(
        await page([...name.split(" "), "-h"]),
        /^Usage: mqcat (pub|pull|queue (delete|declare|list)|context (list|rm)) /,
      );
    }
  });

  const terminal = requirePeer("script");
  terminal("terminal - the page has its width, and bold headings; NO_COLOR has none", async () => {
    const command = [...program, "push", "-h"];
    using wide = onTerminal(command, 100);
    const text = (await wide.exit()).stdout.toString().replaceAll("\r", "");
    assert.ok(text.includes("\x1b[1mUsage:\x1b[0m mqcat push"));
    // deno-lint-ignore no-control-regex -- the sequences for bold, and those of Deno
    const lengths = text.replaceAll(/\x1b\[[\d;]*[A-Za-z]/g, "").split("\n").map((line) => line.length);
    assert.ok(Math.max(...lengths) > 80 && Math.max(...lengths) <= 100, `${Math.max(...lengths)}`);
    using plain = onTerminal(command, 60, { NO_COLOR: "1" });
    const narrow = (await plain.exit()).stdout.toString();
    assert.ok(!narrow.includes("\x1b[1m"));
    const widest = Math.max(
      ...narrow.split("\r\n").filter((line) => /^ {2,3}\S/.test(line)).map((line) => line.length),
    );
    assert.ok(widest <= 60, `${widest}`);
  });
});
