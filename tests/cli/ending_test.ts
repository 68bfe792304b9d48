/** The table "How commands end" of the README, row by row; req and rep are tested in request_test.ts. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { run, start, summaryOf, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

describe("the peer disconnects", () => {
  test("push - keeps its queue and continues with the next peer", async () => {
    using first = start(["pull", ":0"]);
    const endpoint = await first.readyEndpoint();
    using push = start(["push", endpoint, "-v"], { stdin: "1\n", open: true });
    await first.waitForStdout(/^1\n$/);
    first.kill("SIGKILL");
    await push.waitForStderr(/lost tcp|disconnected/);
    push.write("2\n3\n");
    push.end();
    const second = await run(["pull", endpoint, "-n", "2"]);
    assert.equal(second.stdout.toString(), "2\n3\n");
    assert.equal((await push.exit()).code, 0);
  });

  test("pub - continues, and a returning subscriber subscribes again", async () => {
    using first = start(["sub", "@:0", "-t", "a"]);
    const endpoint = await first.readyEndpoint();
    using pub = start(["pub", `>${endpoint}`, "-v"], { stdin: "a1\n", open: true });
    await first.waitForStdout(/^a1\n$/);
    first.kill("SIGKILL");
    await pub.waitForStderr(/lost tcp|disconnected/);
    using second = start(["sub", `@${endpoint}`, "-t", "b", "--transient"]);
    await pub.waitForStderr(/subscribed: .* 'b'/);
    pub.write("a2\nb2\n");
    pub.end();
    assert.equal((await second.exit()).stdout.toString(), "b2\n");
    assert.equal((await pub.exit()).code, 0);
  });

  for (const [receiver, sender] of [["pull", "push"], ["sub", "pub"]] as const) {
    test(`${receiver} - reconnects without a time limit`, async () => {
      const endpoint = `tcp://127.0.0.1:${await freePort()}`;
      using receiving = start([receiver, `>${endpoint}`, "-n", "3"]);
      for (const [line, signal] of [["1", "SIGKILL"], ["2", "SIGTERM"], ["3", undefined]] as const) {
        using sending = start([sender, `@${endpoint}`], { stdin: `${line}\n`, open: true });
        await receiving.waitForStdout(new RegExp(`${line}\n`));
        if (signal === undefined) sending.end();
        else sending.kill(signal);
        assert.equal((await sending.exit()).code, { SIGKILL: 137, SIGTERM: 143, none: 0 }[signal ?? "none"]);
      }
      const { code, stdout } = await receiving.exit();
      assert.deepEqual([code, stdout.toString()], [0, "1\n2\n3\n"]);
    });
  }

  test("rep - keeps serving when a client disconnects before its reply", async () => {
    using dir = tempDir();
    using rep = start(["rep", ":0", "--exec", `until [ -e ${dir.file("go")} ]; do sleep 0.02; done; cat`]);
    const endpoint = await rep.readyEndpoint();
    const impatient = await run(["req", endpoint, "-D", "a", "-w", "100ms"]);
    assert.equal(impatient.code, 3);
    fs.writeFileSync(dir.file("go"), "");
    assert.equal((await run(["req", endpoint, "-D", "b"])).stdout.toString(), "b\n");
    rep.kill();
    assert.equal((await rep.exit()).code, 143);
  });
});

describe("a signal", () => {
  for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    test(`${signal} - pull, sub, rep and req stop, and exit with ${status}`, async () => {
      await Promise.all([["pull"], ["sub"], ["rep", "--echo"], ["req"]].map(async ([command, ...options]) => {
        using idle = start([command!, "@:0", ...options], { open: true });
        await idle.readyEndpoint();
        idle.kill(signal);
        const { code, stdout, stderr } = await idle.exit();
        assert.deepEqual([code, stdout.length], [status, 0], command);
        assert.match(stderr, /^mqcat: \w+: listening on [^\n]+\n$/);
      }));
    });

    test(`${signal} - push and pub flush their queues, and exit with ${status}`, async () => {
      await Promise.all(["push", "pub"].map(async (sender) => {
        using receiving = start([sender === "push" ? "pull" : "sub", "@:0", "--transient"]);
        using sending = start([sender, `>${await receiving.readyEndpoint()}`], {
          stdin: "1\n2\n",
          open: true,
        });
        await receiving.waitForStdout(/2\n/);
        sending.kill(signal);
        assert.deepEqual([(await sending.exit()).code, sending.stderr], [status, ""]);
        assert.equal((await receiving.exit()).code, 0);
      }));
    });
  }

  test("pull, sub - print everything that was received, up to a complete line", async () => {
    await Promise.all([["push", "pull"], ["pub", "sub"]].map(async ([sender, receiver]) => {
      using receiving = start([receiver!, "@:0", "--summary"]);
      using sending = start([sender!, `>${await receiving.readyEndpoint()}`, "--rate", "20000"], {
        stdin: Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join(""),
      });
      await receiving.waitForStdout(/(.*\n){500}/);
      receiving.kill("SIGINT");
      const { code, stdout, stderr } = await receiving.exit();
      const lines = stdout.toString().split("\n");
      assert.equal(lines.pop(), "");
      assert.deepEqual([code, summaryOf(stderr)["received"]], [130, lines.length]);
      lines.forEach((line, i) => assert.equal(line, `${i + 1}`));
      sending.kill("SIGKILL");
    }));
  });

  test("push - the first signal waits for --linger, and the second one stops at once", async () => {
    using push = start(["push", `:${await freePort()}`, "--linger", "1h", "-v"], {
      stdin: "1\n",
      open: true,
    });
    await push.waitForStderr(/trying again/);
    // Two signals at the same time may count as one: the second one must follow after the first was handled.
    const again = setInterval(() => push.kill("SIGTERM"), 50);
    try {
      assert.equal((await push.exit()).code, 143);
    } finally {
      clearInterval(again);
    }
  });

  test("push - exits with 5 and the count when a signal loses messages", async () => {
    using push = start(["push", `:${await freePort()}`, "--linger", "100ms", "--summary"], {
      stdin: "1\n2\n",
      open: true,
    });
    await push.waitForStderr(/trying again/);
    push.kill("SIGTERM");
    const { code, stderr } = await push.exit();
    assert.deepEqual([code, summaryOf(stderr)["unsent"]], [5, 2]);
    assert.match(stderr, /^mqcat: push: 2 messages could not be delivered$/m);
  });

  test("req - stops while it waits for a reply", async () => {
    using rep = start(["rep", ":0"], { open: true });
    using req = start(["req", await rep.readyEndpoint()], { stdin: "q\n", open: true });
    await rep.waitForStdout(/q\n/);
    req.kill("SIGINT");
    assert.equal((await req.exit()).code, 130);
  });
});

describe("stdin ends", () => {
  test("req - waits for the outstanding reply", async () => {
    using rep = start(["rep", ":0"], { open: true });
    using req = start(["req", await rep.readyEndpoint()], { stdin: "q\n" });
    await rep.waitForStdout(/q\n/);
    assert.equal(req.code, undefined);
    rep.write("r\n");
    assert.deepEqual([(await req.exit()).code, req.text], [0, "r\n"]);
  });

  test("push, pub - flush within --linger and exit with 0, or with 5 and the count", async () => {
    using pull = start(["pull", ":0", "-n", "1"]);
    assert.equal((await run(["push", await pull.readyEndpoint()], { stdin: "x" })).code, 0);
    assert.equal((await pull.exit()).code, 0);
    const { code } = await run(["push", `:${await freePort()}`, "--linger", "0"], { stdin: "x" });
    assert.equal(code, 5);
  });
});
