import assert from "node:assert/strict";
import { describe } from "node:test";
import { run, start, summaryOf, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

describe("-n", () => {
  test("pull, sub - end after N messages, and report the messages received after them", async () => {
    for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
      using receiving = start([receiver, "@:0", "-n", "2"]);
      using sending = start([sender, `>${await receiving.readyEndpoint()}`], {
        stdin: "1\n2\n3\n",
        open: true,
      });
      const { code, stdout, stderr } = await receiving.exit();
      assert.deepEqual([code, stdout.toString()], [0, "1\n2\n"]);
      assert.match(stderr, /lost 1 message that arrived after the last one wanted \(-n\)/);
      sending.kill();
      await sending.exit();
    }
  });

  test("push, pub - end after N messages while stdin is still open", async () => {
    for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
      using receiving = start([receiver, "@:0", "--transient"]);
      const args = [sender, `>${await receiving.readyEndpoint()}`, "-n", "3"];
      using sending = start(args, { stdin: "1\n2\n3\n4\n5\n", open: true });
      assert.equal((await sending.exit()).code, 0);
      assert.equal((await receiving.exit()).stdout.toString(), "1\n2\n3\n");
    }
  });

  test("push - ends with an input of fewer than N messages; -D counts too", async () => {
    using pull = start(["pull", ":0", "-n", "3"]);
    const endpoint = await pull.readyEndpoint();
    assert.equal((await run(["push", endpoint, "-n", "9"], { stdin: "1\n2\n" })).code, 0);
    assert.equal((await run(["push", endpoint, "-n", "1", "-D", "a", "-D", "b"])).code, 0);
    assert.equal((await pull.exit()).stdout.toString(), "1\n2\na\n");
  });

  test("req, rep - end after N exchanges", async () => {
    using rep = start(["rep", ":0", "--echo", "-n", "3"]);
    const endpoint = await rep.readyEndpoint();
    using req = start(["req", endpoint, "-n", "2"], { stdin: "a\nb\nc\n", open: true });
    const asked = await req.exit();
    assert.deepEqual([asked.code, asked.stdout.toString()], [0, "a\nb\n"]);
    assert.equal((await run(["req", endpoint, "-D", "d"])).stdout.toString(), "d\n");
    assert.equal((await rep.exit()).code, 0);
  });
});

describe("-w", () => {
  test("pull, sub, rep - exit with 3 when no message arrives in time", async () => {
    await Promise.all(["pull", "sub", "rep"].map(async (command) => {
      const began = performance.now();
      const echo = command === "rep" ? ["--echo"] : [];
      const { code, stdout, stderr } = await run([command, "@:0", "-w", "300ms", ...echo]);
      assert.deepEqual([code, stdout.length], [3, 0]);
      assert.match(stderr, /no (message|request) arrived for 0\.3 s \(-w\)/);
      assert.ok(performance.now() - began >= 300);
    }));
  });

  test("pull - each message restarts the timeout, and received messages are printed", async () => {
    using pull = start(["pull", ":0", "-w", "3s", "--summary"]);
    const endpoint = await pull.readyEndpoint();
    const push = await run(["push", endpoint, "-i", "1.1", "-D", "x", "-n", "4"]);
    assert.equal(push.code, 0);
    const { code, stdout, stderr } = await pull.exit();
    assert.deepEqual([code, stdout.toString()], [3, "x\n".repeat(4)]);
    assert.ok(summaryOf(stderr)["seconds"]! >= 3.3 + 3);
  });

  test("push - exits with 3 when nothing could be sent, and counts the messages it has read", async () => {
    const { code, stderr } = await run(["push", `:${await freePort()}`, "-w", "0.3"], { stdin: "1\n2\n3\n" });
    assert.equal(code, 3);
    assert.match(stderr, /^mqcat: push: 3 messages could not be delivered$/m);
    assert.match(stderr, /^mqcat: push: nothing could be sent for 0\.3 s \(-w\)$/m);
  });

  test("push, pub, req - exit with 3 when the peers of --wait-peers do not connect in time", async () => {
    await Promise.all(
      [["push", "--wait-peers=2"], ["pub"], ["req", "--wait-peers", "1"]].map(async (args) => {
        const [command, ...rest] = args;
        const result = await run([command!, "@:0", ...rest, "-w", "200ms"], { stdin: "x\n" });
        assert.equal(result.code, 3, command);
        assert.match(result.stderr, /0 of [12] peers connected within 0\.2 s \(--wait-peers, -w\)/);
      }),
    );
  });

  test("req - exits with 3 when no reply arrives, without a peer and with a silent one", async () => {
    const absent = await run(["req", `:${await freePort()}`, "-w", "300ms", "-D", "q"]);
    assert.deepEqual([absent.code, absent.stdout.length], [3, 0]);
    assert.match(absent.stderr, /no reply arrived within 0\.3 s \(-w\)/);
    using mute = start(["rep", ":0"], { open: true });
    const unanswered = await run(["req", await mute.readyEndpoint(), "-w", "500ms", "-D", "q"]);
    assert.equal(unanswered.code, 3);
    assert.equal((await mute.waitForStdout(/q\n/))[0], "q\n");
  });

  test("push - does not time out while its input is idle", async () => {
    using pull = start(["pull", ":0", "-n", "1"]);
    using push = start(["push", await pull.readyEndpoint(), "-w", "100ms", "-v"], { open: true });
    await push.waitForStderr(/connected: /);
    // The same timeout ends a receiver that starts later.
    assert.equal((await run(["pull", ":0", "-w", "100ms"])).code, 3);
    push.write("late\n");
    push.end();
    assert.equal((await push.exit()).code, 0);
    assert.equal((await pull.exit()).stdout.toString(), "late\n");
  });
});
