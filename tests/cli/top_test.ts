/** The live table of queues on a terminal. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { Program, program, readyFile, run, start, test } from "../support/mqcat.ts";

describe("queue top on a terminal", () => {
  for (const command of [["top"], ["list", "--watch"]]) {
    test(`queue ${command.join(" ")} - sorts, filters, freezes, and leaves the terminal as it was`, async () => {
      using dir = tempDir();
      const ready = dir.file("ready");
      using _broker = start(["queue", "serve", ":0", "--memory", "--ready-file", ready]);
      const env = { AMQP_URL: (await readyFile(ready))[0]!, TERM: "xterm", NO_COLOR: "1" };
      for (const [name, count] of [["few", 2], ["many", 5]] as const) {
        const stdin = "x\n".repeat(count);
        assert.equal((await run(["queue", "put", name, "--declare"], { stdin, env })).code, 0);
      }
      const words = [...program, "queue", ...command].map((word) => `'${word}'`).join(" ");
      const shell = `${words}; echo "status $?"; stty -a | grep -o -- '-*icanon'`;
      using terminal = new Program(["script", "-qec", shell, "/dev/null"], { open: true, env });
      await terminal.waitForStdout(/\?1049h.*few.*q quit/s);
      terminal.write(command[0] === "top" ? "<" : ">>");
      await terminal.waitForStdout(
        command[0] === "top" ? /name↑.*few .*many .*q quit/s : /unacked↓.*q quit/s,
      );
      terminal.write("/man");
      await terminal.waitForStdout(/filter, \* is any text: man_/);
      terminal.write("\r");
      await terminal.waitForStdout(/1 queue {2}.*filter \*man\*/s);
      terminal.write(" ");
      await terminal.waitForStdout(/FROZEN/);
      terminal.write("q");
      const { stdout } = await terminal.exit();
      assert.match(stdout.toString(), /\?1049lstatus 0\r\nicanon\r\n$/);
    });
  }

  test("queue top - a lost broker is reported in the table; a signal ends it, and the terminal is as before", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    using broker = start(["queue", "serve", ":0", "--memory", "--ready-file", ready]);
    const env = { AMQP_URL: (await readyFile(ready))[0]!, TERM: "xterm" };
    assert.equal((await run(["queue", "declare", "q"], { env })).code, 0);
    const words = [...program, "queue", "top", "-i", "200ms"].map((word) => `'${word}'`).join(" ");
    const shell = `${words}; echo "status $?"; stty -a | grep -o -- '-*icanon'`;
    using terminal = new Program(["script", "-qec", shell, "/dev/null"], { open: true, env });
    await terminal.waitForStdout(/q +classic/);
    broker.kill("SIGKILL");
    await terminal.waitForStdout(/does not answer/);
    terminal.write("\x03");
    const { stdout } = await terminal.exit();
    assert.match(stdout.toString(), /\?1049l[^]*status 130\r\nicanon\r\n$/);
  });
});
