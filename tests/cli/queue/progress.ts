/** The line on a terminal that tells how far long work is. */
import assert from "node:assert/strict";
import { installed, requirePeer } from "../../helpers.ts";
import { shell } from "../mqcat.ts";
import type { QueueContext } from "./context.ts";

export function progress({ env, queue }: QueueContext): void {
  const test = requirePeer("script", installed("script"));

  /** What a terminal gets from a slow put; `script` gives it one. */
  const shown = async (options: string, more: Record<string, string> = {}) => {
    const slow = `(seq 100; sleep 1.5; seq 100) | "\${MQCAT[@]}" queue put progress ${options}`;
    const script = `export -p >env; declare -p MQCAT >>env
printf '%s\\n' '. ./env' '${slow}' >slow
script -qec 'bash ./slow' /dev/null </dev/null`;
    using bash = shell(`cd "$(mktemp -d)" && ${script}; rm -r "$PWD"`, {
      env: { TERM: "xterm", NO_COLOR: "", ...await env(), ...more },
    });
    const { code, stdout, stderr } = await bash.exit();
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };

  test("put - a line that is rewritten, and gone at the end", async () => {
    const text = await shown("");
    assert.match(text.replaceAll("\x1b", "ESC"), /\rESC\[2mmqcat: queue put: 100 confirmed, \d+\/sESC\[0m/);
    assert.doesNotMatch(text, /\n/);
    // Blanks took its place.
    assert.match(text, /\r +[\b]+$/);
  });

  test("put - no colour with NO_COLOR, no line with -q or without a terminal", async () => {
    const plain = await shown("", { NO_COLOR: "1" });
    assert.match(plain, /\rmqcat: queue put: 100 confirmed, \d+\/s/);
    assert.ok(!plain.includes("\x1b"), plain);
    assert.equal(await shown("-q"), "");
    const { stdout, stderr } = await queue(["put", "progress", "-i", "700ms", "-n", "2", "-D", "x"]);
    assert.deepEqual([stdout.length, stderr], [0, ""]);
  });
}
