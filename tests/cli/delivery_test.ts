import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe } from "node:test";
import { bytesRead, type Program, run, settled, start, summaryOf, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const lines = (count: number, length = 0) =>
  Array.from({ length: count }, (_, i) => `${i + 1}`.padEnd(length, ".") + "\n").join("");

/** A sender that is connected to a receiver; the receiver process is stopped from then on. */
async function stuck(
  sender: "push" | "pub",
  options: readonly string[],
): Promise<{ sending: Program; receiving: Program }> {
  const receiving = start([sender === "push" ? "pull" : "sub", "@:0", "--transient", "-v"]);
  const args = [sender, `>${await receiving.readyEndpoint()}`, "--summary", "-v", ...options];
  const sending = start(args, { open: true });
  await Promise.all([receiving.waitForStderr(/connected: /), sending.waitForStderr(/connected: /)]);
  if (sender === "pub") await sending.waitForStderr(/subscribed: /);
  receiving.kill("SIGSTOP");
  return { sending, receiving };
}

describe("--wait-peers", () => {
  test("push - sends nothing until N peers are connected, then sends to them in turn", async () => {
    using push = start(["push", "@:0", "--wait-peers", "2"], { stdin: "a\nb\nc\nd\ne\n" });
    const endpoint = await push.readyEndpoint();
    const pulls = [0, 1].map(() => start(["pull", `>${endpoint}`, "--transient"]));
    using _first = pulls[0]!;
    using _second = pulls[1]!;
    assert.equal((await push.exit()).code, 0);
    const outputs = await Promise.all(pulls.map(async (pull) => (await pull.exit()).stdout.toString()));
    assert.deepEqual(outputs.sort(), ["a\nc\ne\n", "b\nd\n"]);
  });

  test("pub - waits for one subscription by default", async () => {
    using pub = start(["pub", ":0", "--wait-peers", "2", "-v"], { stdin: "a\nb\n" });
    const endpoint = await pub.readyEndpoint();
    using first = start(["sub", endpoint, "--transient"]);
    await pub.waitForStderr(/subscribed/);
    assert.equal(first.text, "");
    using second = start(["sub", endpoint, "--transient", "-t", ""]);
    assert.equal((await pub.exit()).code, 0);
    assert.equal((await first.exit()).stdout.toString(), "a\nb\n");
    assert.equal((await second.exit()).stdout.toString(), "a\nb\n");
  });

  test("pub - 0 turns it off: messages without a subscriber do not count as lost", async () => {
    const { code, stderr } = await run(["pub", ":0", "--wait-peers", "0", "--summary"], { stdin: "a\nb\n" });
    assert.equal(code, 0);
    const { sent, unsent, dropped } = summaryOf(stderr);
    assert.deepEqual([sent, unsent, dropped], [2, 0, 0]);
  });
});

describe("--linger", () => {
  test("push - exits with 5 and the count when no peer connects", async () => {
    const began = performance.now();
    const args = ["push", `:${await freePort()}`, "--linger", "300ms", "--summary"];
    const { code, stderr } = await run(args, { stdin: "1\n2\n3\n" });
    assert.equal(code, 5);
    assert.ok(performance.now() - began >= 300);
    assert.match(stderr, /^mqcat: push: 3 messages could not be delivered$/m);
    const { sent, unsent, dropped } = summaryOf(stderr);
    assert.deepEqual([sent, unsent, dropped], [0, 3, 0]);
    const one = await run(["push", `:${await freePort()}`, "--linger", "0", "-D", "x"]);
    assert.deepEqual([one.code, /push: 1 message could not be delivered$/m.test(one.stderr)], [5, true]);
  });

  test("push - exits with 5 and the count when the peer stops reading, and sent messages arrive", async () => {
    const { sending, receiving } = await stuck("push", ["--linger", "300ms"]);
    using push = sending;
    using pull = receiving;
    push.write(lines(600, 100_000));
    // A signal ends the input at once; messages that were read before are flushed or counted.
    await settled(() => bytesRead(push.pid), "the sender to be held up");
    push.kill("SIGTERM");
    const { code, stderr } = await push.exit();
    assert.equal(code, 5);
    const { sent, unsent } = summaryOf(stderr);
    assert.ok(unsent! > 0 && sent! + unsent! < 600, stderr);
    assert.match(stderr, new RegExp(`^mqcat: push: ${unsent} messages? could not be delivered$`, "m"));
    pull.kill("SIGCONT");
    const received = (await pull.exit()).stdout.toString();
    const count = received.length / 100_001;
    // An incomplete write may still have delivered some of its messages.
    assert.ok(count >= sent! && count <= sent! + unsent!, `${sent} sent, ${count} received`);
    assert.ok(lines(600, 100_000).startsWith(received));
  });

  test("push - delivers everything to a receiver that connects within the time", async () => {
    const port = await freePort();
    using push = start(["push", `:${port}`, "--linger", "20s"], { stdin: lines(5000) });
    await push.waitForStderr(/trying again/);
    const { stdout } = await run(["pull", `:${port}`, "-n", "5000"]);
    assert.equal(stdout.toString(), lines(5000));
    assert.equal((await push.exit()).code, 0);
  });
});

describe("--hwm and --on-full", () => {
  test("--hwm - limits the messages that wait for a stopped peer", async () => {
    await Promise.all([5, 500].map(async (hwm) => {
      const options = ["--hwm", `${hwm}`, "--on-full", "drop", "--linger", "100ms"];
      const { sending, receiving } = await stuck("push", options);
      using push = sending;
      using _pull = receiving;
      push.write(lines(6000, 10_000));
      push.end();
      const { code, stderr } = await push.exit();
      assert.equal(code, 5);
      const { sent, unsent, dropped } = summaryOf(stderr);
      assert.equal(sent! + unsent! + dropped!, 6000);
      // In addition, one write of up to 256 KiB may be in progress.
      assert.ok(unsent! >= hwm && unsent! <= hwm + 27, `${unsent} of ${hwm}`);
    }));
  });

  test("push --on-full block - waits, and loses no message", async () => {
    const { sending, receiving } = await stuck("push", ["--on-full", "block"]);
    using push = sending;
    using pull = receiving;
    push.write(lines(60_000, 1000));
    push.end();
    await settled(() => bytesRead(push.pid), "the sender to be held up");
    pull.kill("SIGCONT");
    const { code, stderr } = await push.exit();
    assert.deepEqual([code, summaryOf(stderr)["sent"]], [0, 60_000]);
    assert.equal((await pull.exit()).stdout.toString(), lines(60_000, 1000));
  });

  test("push --on-full drop - counts and reports dropped messages, and exits with 5", async () => {
    const { sending, receiving } = await stuck("push", ["--on-full", "drop"]);
    using push = sending;
    using pull = receiving;
    push.write(lines(600, 100_000));
    await push.waitForStderr(/no peer has room: dropping messages \(--on-full\)/);
    pull.kill("SIGCONT");
    push.end();
    const { code, stderr } = await push.exit();
    const { sent, dropped, unsent } = summaryOf(stderr);
    assert.deepEqual([code, unsent, sent! + dropped!], [5, 0, 600]);
    assert.match(
      stderr,
      new RegExp(`^mqcat: push: dropped ${dropped} messages? that no peer had room for$`, "m"),
    );
    assert.equal((await pull.exit()).stdout.toString().trimEnd().split("\n").length, sent);
  });

  test("push --on-full drop - drops a long input without delay when no peer is connected", async () => {
    const began = performance.now();
    const args = ["push", `:${await freePort()}`, "--on-full", "drop", "--summary"];
    const { code, stderr } = await run(args, { stdin: lines(20_000, 1000) });
    const { sent, dropped, unsent } = summaryOf(stderr);
    assert.deepEqual([code, sent, dropped, unsent], [5, 0, 20_000, 0]);
    assert.ok(performance.now() - began < 10_000);
  });

  test("push, pub --on-full fail - end at once with the count, before the end of the input", async () => {
    for (const sender of ["push", "pub"] as const) {
      const { sending, receiving } = await stuck(sender, ["--on-full", "fail"]);
      using _receiving = receiving;
      using _sending = sending;
      sending.write(lines(sender === "push" ? 600 : 1600, 100_000));
      const { code, stderr } = await sending.exit();
      const { unsent, dropped } = summaryOf(stderr);
      assert.deepEqual([code, dropped], [5, 0]);
      assert.match(stderr, new RegExp(`: ${unsent} messages could not be delivered$`, "m"));
    }
  });
});

describe("--transient", () => {
  test("pull, sub - wait for the first peer, and end when the last one is gone", async () => {
    for (const [sender, receiver] of [["push", "pull"], ["pub", "sub"]] as const) {
      using receiving = start([receiver, "@:0", "--transient", "-v"]);
      const endpoint = await receiving.readyEndpoint();
      using first = start([sender, `>${endpoint}`], { stdin: "a\n", open: true });
      await receiving.waitForStdout(/a\n/);
      using second = start([sender, `>${endpoint}`], { stdin: "b\n", open: true });
      await receiving.waitForStdout(/b\n/);
      first.end();
      await receiving.waitForStderr(/disconnected/);
      second.write("c\n");
      await receiving.waitForStdout(/c\n/);
      second.end();
      assert.equal((await receiving.exit()).code, 0);
      assert.deepEqual([(await first.exit()).code, (await second.exit()).code], [0, 0]);
    }
  });
});

describe("what is counted", () => {
  test("-w - limits the wait for peers while stdin is open and silent", async () => {
    const replay = ["replay", "-", ":0", "--pattern", "pub"];
    for (const args of [["pub", ":0"], ["push", "@:0", "--wait-peers", "1"], replay]) {
      using sender = start([...args, "-w", "300ms"], { open: true });
      const { code, stderr } = await sender.exit();
      assert.match(stderr, /0 of 1 peers connected within 0.3 s/);
      assert.equal(code, 3);
    }
  });

  test("-n - counts no more undelivered messages than were wanted", async () => {
    for (const args of [["pub", ":0"], ["push", "@:0"], ["push", "@:0", "--wait-peers", "1"]]) {
      const stdin = "x\n".repeat(100_000);
      const { stderr } = await run([...args, "-n", "2", "-w", "300ms"], { stdin });
      assert.match(stderr, /: 2 messages could not be delivered$/m);
    }
  });

  test("a malformed input - the messages before it are counted once if they cannot be delivered", async () => {
    const stdin = Buffer.from([0, 0, 0, 1, 97, 0, 0]);
    const { code, stderr } = await run(["push", "@:0", "--in", "u32", "--linger", "100ms"], { stdin });
    assert.match(stderr, /: 1 message could not be delivered$/m);
    assert.match(stderr, /the input ends in the middle of a u32 message/);
    assert.equal(code, 1);
  });
});
