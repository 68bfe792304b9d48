/** The prompt of commands whose input is a terminal. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { Program, program, readyFile, run, start, test } from "../support/mqcat.ts";

const UP = "\x1b[A";
const [CTRL_C, CTRL_D, CTRL_Z] = ["\x03", "\x04", "\x1a"];

/** Starts mqcat on a terminal; what is written to its stdin are the keys. */
function onTerminal(args: readonly string[], env: Record<string, string> = {}): Program {
  const words = [...program, ...args].map((word) => `'${word}'`).join(" ");
  return new Program(["script", "-qec", words, "/dev/null"], { open: true, env: { TERM: "xterm", ...env } });
}

describe("the prompt", () => {
  test("pair - a message appears above the line that is typed, which goes on; Ctrl-D ends the input", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    using peer = start(["pair", "@:0", "--ready-file", ready, "-w", "30s"], { open: true });
    using terminal = onTerminal(["pair", (await readyFile(ready))[0]!]);
    await terminal.waitForStdout(/> /);
    terminal.write("hello wor");
    await terminal.waitForStdout(/hello wor/);
    peer.write("incoming\n");
    // The line is removed, the message is printed, and the line is drawn again.
    await terminal.waitForStdout(/\[J.*incoming\r\n.*> hello wor/s);
    terminal.write("ld\r");
    await peer.waitForStdout(/^hello world\n/);
    const before = terminal.text.length;
    terminal.write(UP);
    await terminal.until(() => terminal.text.slice(before).includes("hello world") || undefined, "the line");
    terminal.write("!\r");
    await peer.waitForStdout(/\nhello world!\n/);
    terminal.write(CTRL_D);
    assert.equal((await terminal.exit()).code, 0);
  });

  test("queue put - a warning and the totals appear above the line", async () => {
    using dir = tempDir();
    using terminal = onTerminal(["queue", "put", "q", "--data", dir.file("spool"), "--summary"]);
    await terminal.waitForStdout(/> /);
    terminal.write(`one\r${CTRL_D}`);
    const { code, stdout } = await terminal.exit();
    assert.equal(code, 0);
    assert.match(stdout.toString(), /"confirmed":1/);
    // No progress line takes the place of the prompt.
    assert.doesNotMatch(stdout.toString(), /confirmed, /);
  });

  test("push - Ctrl-C ends the command while a line is typed, and the terminal is as before", async () => {
    const words = [...program, "pair", ":1"].map((word) => `'${word}'`).join(" ");
    const shell =
      `stty -a | grep -o -- '-*icanon'; ${words}; echo "status $?"; stty -a | grep -o -- '-*icanon'`;
    using terminal = new Program(["script", "-qec", shell, "/dev/null"], {
      open: true,
      env: { TERM: "xterm" },
    });
    await terminal.waitForStdout(/trying again/);
    await terminal.waitForStdout(/> /);
    terminal.write("half a li");
    await terminal.waitForStdout(/half a li/);
    terminal.write(CTRL_C);
    const { stdout } = await terminal.exit();
    assert.match(stdout.toString(), /status 130\r\nicanon\r\n$/);
  });

  test("queue put - Ctrl-Z suspends the command, and the line is there when it goes on", async () => {
    using dir = tempDir();
    const words = [...program, "queue", "put", "q", "--data", dir.file("spool"), "--summary"]
      .map((word) => `'${word}'`).join(" ");
    // A shell with jobs, but without a line editor of its own: nothing else changes the modes of the terminal.
    const shell = `set -m; ${words}; echo "stopped $?"; stty -a | grep -o -- '-*icanon'; read -r; ` +
      `echo continues; fg >/dev/null; echo "status $?"`;
    using terminal = new Program([
      "script",
      "-qec",
      `bash --norc -c '${shell.replaceAll("'", "'\\''")}'`,
      "/dev/null",
    ], {
      open: true,
      env: { TERM: "xterm" },
    });
    await terminal.waitForStdout(/> /);
    terminal.write("half a ");
    await terminal.waitForStdout(/half a /);
    terminal.write(CTRL_Z);
    // The terminal is as it was before the command.
    await terminal.waitForStdout(/stopped 148\r\n.*\bicanon\r\n/s);
    assert.doesNotMatch(terminal.text, /-icanon/);
    terminal.write("\n");
    await terminal.waitForStdout(/continues\r\n.*> half a /s);
    terminal.write("line\r");
    // The next prompt: Ctrl-D means something else before the command has set the modes of the terminal again.
    await terminal.waitForStdout(/line\r+\n.*\[0J> /s);
    terminal.write(CTRL_D);
    await terminal.waitForStdout(/"confirmed":1.*status 0/s);
    assert.equal((await terminal.exit()).code, 0);
    const { stdout } = await run(["queue", "get", "q", "--data", dir.file("spool"), "--drain"]);
    assert.equal(stdout.toString(), "half a line\n");
  });

  test("no prompt - with -q, and on a terminal without control sequences", async () => {
    for (const [args, env] of [[["-q"], {}], [[], { TERM: "dumb" }]] as const) {
      using dir = tempDir();
      using terminal = onTerminal(["queue", "put", "q", "--data", dir.file("spool"), ...args], env);
      terminal.write(`typed\n${CTRL_D}`);
      const { code, stdout } = await terminal.exit();
      assert.equal(code, 0);
      assert.doesNotMatch(stdout.toString(), />/);
    }
  });
});
