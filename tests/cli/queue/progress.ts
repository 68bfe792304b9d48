/** The progress line on a terminal. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { installed, requirePeer, tempDir } from "../../support/helpers.ts";
import { shell } from "../../support/mqcat.ts";
import type { QueueContext } from "./context.ts";

export function progress({ env, queue }: QueueContext): void {
  const test = requirePeer("script", installed("script"));

  /** The terminal output of the command `$MQCAT`; `script` is the terminal, and `keys` produces the typed input. */
  const shown = async (
    command: string,
    { more = {}, keys = "true", until }: {
      readonly more?: Record<string, string>;
      readonly keys?: string;
      /** The output that must appear before the file `seen` is written. */
      readonly until?: RegExp;
    } = {},
  ) => {
    using dir = tempDir();
    fs.writeFileSync(dir.file("command"), `. ./env\n${command}\n`);
    using bash = shell(
      `export -p >env; declare -p MQCAT >>env; (${keys}) | script -qec 'bash ./command' /dev/null`,
      { cwd: dir.path, env: { TERM: "xterm", NO_COLOR: "", ...await env(), ...more } },
    );
    if (until !== undefined) await bash.waitForStdout(until);
    fs.writeFileSync(dir.file("seen"), "");
    const { code, stdout, stderr } = await bash.exit();
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  const put = '"${MQCAT[@]}" queue put --declare progress';
  const slow = `(seq 100; until test -e seen; do sleep 0.1; done; seq 100) | ${put}`;

  test("put - says which part of a file is done, and how long the rest takes", async () => {
    const text = await shown(
      `seq 400 >lines; ${put} -i 20ms <lines & until test -e seen; do sleep 0.1; done; kill $!; wait`,
      {
        until: /\d+ confirmed, \d+\/s, (\d|[1-5]\d) %, \d+ s left/,
      },
    );
    assert.doesNotMatch(text, /100 %/);
  });

  test("put - rewrites one line, and removes it at the end", async () => {
    const text = await shown(slow, { until: /100 confirmed/ });
    assert.match(text.replaceAll("\x1b", "ESC"), /\rESC\[2mmqcat: queue put: 100 confirmed, \d+\/sESC\[0m/);
    assert.doesNotMatch(text, /\n/);
    // Spaces have overwritten it.
    assert.match(text, /\r +[\b]+$/);
  });

  test("put - prints no progress line over typed input", async () => {
    const keys = 'printf "a\\n"; sleep 1.5; printf "b\\n\\004"; sleep 1';
    const text = await shown(`${put} --summary`, { keys });
    assert.match(text, /"confirmed":2/);
    assert.doesNotMatch(text, /confirmed,/);
  });

  test("put - uses no colour with NO_COLOR, and prints no line with -q or without a terminal", async () => {
    const plain = await shown(slow, { until: /100 confirmed/, more: { NO_COLOR: "1" } });
    assert.match(plain, /\rmqcat: queue put: 100 confirmed, \d+\/s/);
    assert.ok(!plain.includes("\x1b"), plain);
    assert.equal(await shown(`(seq 9; sleep 1.5) | ${put} -q`), "");
    const { stdout, stderr } = await queue([
      "put",
      "--declare",
      "progress",
      "-i",
      "700ms",
      "-n",
      "2",
      "-D",
      "x",
    ]);
    assert.deepEqual([stdout.length, stderr], [0, ""]);
  });
}
