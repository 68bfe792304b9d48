import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { run, start, test, through } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const both = [["push", "pull"], ["pub", "sub"]] as const;

describe("pipeline", () => {
  test("push, pull - carry three lines when the receiver starts first", async () => {
    using pull = start(["pull", ":0", "-n", "3"]);
    const push = await run(["push", await pull.readyEndpoint()], { stdin: "a\nb\nc" });
    assert.deepEqual([push.code, push.stdout.toString(), push.stderr], [0, "", ""]);
    const { code, stdout } = await pull.exit();
    assert.deepEqual([code, stdout.toString()], [0, "a\nb\nc\n"]);
  });

  test("push, pull - carry three lines when the sender starts first, with the short form of a port", async () => {
    const port = `:${await freePort()}`;
    using push = start(["push", port], { stdin: "a\nb\nc" });
    // It reports at the second attempt, so the sender has started first for certain.
    await push.waitForStderr(/nothing is listening there; trying again/);
    const pull = await run(["pull", port, "-n", "3"]);
    assert.deepEqual([pull.code, pull.stdout.toString()], [0, "a\nb\nc\n"]);
    assert.equal((await push.exit()).code, 0);
  });

  for (const [sender, receiver] of both) {
    test(`${sender}, ${receiver} - work over ipc, by path and abstract, whichever starts first`, async () => {
      using dir = tempDir();
      const endpoints = [`ipc://${dir.file("feed")}`, `ipc://@mqcat-${process.pid}-${sender}`];
      await Promise.all(endpoints.map(async (endpoint) => {
        using first = start([sender, ">" + endpoint], { stdin: "one\n\ntwo\n" });
        await first.waitForStderr(/trying again/);
        const received = await run([receiver, "@" + endpoint, "-n", "3"]);
        assert.deepEqual([received.code, received.stdout.toString()], [0, "one\n\ntwo\n"]);
        assert.equal((await first.exit()).code, 0);
      }));
    });

    test(`${sender}, ${receiver} - work over tcp://localhost and tcp://[::1]`, async () => {
      for (const host of ["localhost", "[::1]"]) {
        using bound = start([receiver, `@tcp://${host}:0`, "-n", "1"]);
        const endpoint = await bound.readyEndpoint();
        assert.match(endpoint, host === "localhost" ? /^tcp:\/\/localhost:\d+$/ : /^tcp:\/\/\[::1\]:\d+$/);
        assert.equal((await run([sender, `>${endpoint}`, "-D", "hello"])).code, 0);
        assert.equal((await bound.exit()).stdout.toString(), "hello\n");
      }
    });

    test(`${sender}, ${receiver} - an empty input sends no message`, async () => {
      // With nothing to send, the sender would not connect, and the receiver would wait for a peer forever.
      assert.equal((await through([sender, "--wait-peers=1"], [receiver], { stdin: "" })).length, 0);
      assert.equal((await through([sender, "--wait-peers=1"], [receiver])).length, 0);
    });
  }

  test("push, pull - lines arrive while stdin stays open, from the first one", async () => {
    using pull = start(["pull", ":0"]);
    using push = start(["push", await pull.readyEndpoint()], { stdin: "first\nsec", open: true });
    await pull.waitForStdout(/^first\n$/);
    push.write("ond\n");
    await pull.waitForStdout(/^first\nsecond\n$/);
    push.write("last");
    push.end();
    assert.equal((await push.exit()).code, 0);
    await pull.waitForStdout(/^first\nsecond\nlast\n$/);
  });

  test("push, pull - 100 000 lines of every length arrive whole and in order", async () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => `${i}`.padEnd(i % 300, "x"));
    const stdin = `${lines.join("\n")}\n`;
    assert.ok((await through(["push"], ["pull"], { stdin })).equals(Buffer.from(stdin)));
  });
});
