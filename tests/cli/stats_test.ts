/** `sub --stats`: counts by topic instead of messages. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir, waitFor } from "../support/helpers.ts";
import { Program, program, readyFile, readyFileOf, run, start, test } from "../support/mqcat.ts";

const FEED = "eu rain\neu sun\nus snow\n";

describe("sub --stats", () => {
  test("ZeroMQ - the topic is the first of several frames, else the longest prefix that fits", async () => {
    for (
      const [send, receive, feed, expected] of [
        [["-K", " "], [], FEED, [["eu", 2, 7], ["us", 1, 4]]],
        [[], ["-t", "e", "-t", "eu", "-t", ""], FEED, [["eu", 2, 13], ["", 1, 7]]],
      ] as const
    ) {
      using sub = start(["sub", "@:0", "--stats", "-J", "-n", "3", ...receive]);
      const sent = await run(["pub", `>${await sub.readyEndpoint()}`, ...send], { stdin: feed });
      assert.equal(sent.code, 0, sent.stderr);
      const { code, stdout } = await sub.exit();
      assert.equal(code, 0);
      const last = JSON.parse(stdout.toString().trimEnd().split("\n").at(-1)!);
      assert.deepEqual(
        last.topics.map(({ topic, messages, bytes }: Record<string, unknown>) => [topic, messages, bytes]),
        expected,
      );
      assert.equal(last.messages, 3);
    }
  });

  test("AMQP, MQTT - the topic is the routing key or the topic; the table comes at the end", async () => {
    using dir = tempDir();
    const ready = dir.file("ready");
    using _broker = start(["queue", "serve", ":0", "mqtt://:0", "--memory", "--ready-file", ready]);
    for (const url of await readyFile(ready)) {
      const address = url.startsWith("mqtt") ? `${url}/%2B` : `${url}//amq.topic`;
      const topics = url.startsWith("mqtt") ? [] : ["-t", "#"];
      const came = dir.file(`ready-${url.slice(0, 4)}`);
      using sub = start(["sub", address, ...topics, "--stats", "-n", "3", "--ready-file", came]);
      await readyFileOf(sub, came);
      const target = url.startsWith("mqtt") ? url : `${url}//amq.topic`;
      const sent = await run(["pub", target, "-K", " "], { stdin: FEED });
      assert.equal(sent.code, 0, sent.stderr);
      const { code, stdout, stderr } = await sub.exit();
      assert.equal(code, 0, stderr);
      assert.match(
        stdout.toString(),
        /^topic +messages +msg\/s +bytes\/s\n2 topics +3 .*\neu +2 .*\nus +1 .*\n$/,
      );
    }
  });

  test("a terminal - shows the counts while messages come, and leaves them there at the end", async () => {
    const words = [...program, "sub", "@:0", "--stats"].map((word) => `'${word}'`).join(" ");
    using terminal = new Program(["script", "-qec", words, "/dev/null"], {
      open: true,
      env: { TERM: "xterm" },
    });
    const endpoint = (await terminal.waitForStdout(/listening on (\S+)/))[1]!;
    using _pub = start(["pub", `>${endpoint}`, "-t", "eu", "-D", "x", "-i", "50ms"]);
    await terminal.waitForStdout(/\?1049h.*1 topic +[1-9].*eu +[1-9]/s);
    terminal.write("\x03");
    const { stdout } = await terminal.exit();
    assert.match(stdout.toString(), /\?1049l.*1 topic +[1-9].*eu +[1-9]\d* .*\r\n$/s);
  });

  test("a terminal - its end ends the command with 129, the code of SIGHUP", async () => {
    using dir = tempDir();
    const words = [...program, "sub", "@:0", "--stats"].map((word) => `'${word}'`).join(" ");
    const lines = [
      "trap : HUP",
      words,
      `echo $? >'${dir.file("new")}'`,
      `mv '${dir.file("new")}' '${dir.file("code")}'`,
    ];
    fs.writeFileSync(dir.file("run"), lines.join("\n"));
    using terminal = new Program(["script", "-qec", `sh '${dir.file("run")}'`, "/dev/null"], {
      open: true,
      env: { TERM: "xterm" },
    });
    await terminal.waitForStdout(/\?1049h.*0 topics/s);
    terminal.kill("SIGKILL");
    await waitFor(() => fs.existsSync(dir.file("code")));
    // Node itself aborts when it cannot restore the terminal at its exit.
    const expected = program[0] === "node" ? /^(129|134|139)\n$/ : /^129\n$/;
    assert.match(fs.readFileSync(dir.file("code"), "utf8"), expected);
  });

  test("options that shape messages are refused", async () => {
    const { code, stderr } = await run(["sub", ":1", "--stats", "-0"]);
    assert.equal(code, 2);
    assert.match(stderr, /--stats prints counts instead of messages: remove -f, --out, -0/);
  });
});
