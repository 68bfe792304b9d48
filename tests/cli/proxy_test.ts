/** `mqcat proxy`: the three devices, the filter, the tap, the cache, and how the command ends. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { type Program, readyFile, run, start, summaryOf, test } from "../support/mqcat.ts";

/** Starts a proxy that binds both sides; returns the endpoints. */
async function bound(
  dir: { file(name: string): string },
  args: readonly string[],
): Promise<{ proxy: Program; from: string; to: string }> {
  const ready = dir.file(`ready-${Math.random()}`);
  const sides = ["--from", "@tcp://127.0.0.1:0", "--to", `@ipc://${dir.file("to")}`];
  const proxy = start(["proxy", "--summary", "--ready-file", ready, ...sides, ...args]);
  const [from, to] = await readyFile(ready);
  return { proxy, from: from!, to: to! };
}

function lines(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i}\n`).join("");
}

describe("proxy", () => {
  test("pushpull - forwards 50,000 jobs in order across transports, and counts them", async () => {
    using dir = tempDir();
    const { proxy, from, to } = await bound(dir, ["--pattern", "pushpull", "--transient"]);
    using _ = proxy;
    using pull = start(["pull", `>${to}`, "-n", "50000"]);
    const push = await run(["push", from], { stdin: lines(50_000) });
    assert.equal(push.code, 0, push.stderr);
    assert.equal((await pull.exit()).stdout.toString(), lines(50_000));
    const { code, stderr } = await proxy.exit();
    const { received, sent, unsent } = summaryOf(stderr);
    assert.deepEqual([code, received, sent, unsent], [0, 50_000, 50_000, 0], stderr);
  });

  test("pushpull - without pullers holds jobs back in the pusher, and reports them at the end", async () => {
    using dir = tempDir();
    const { proxy, from } = await bound(dir, ["--pattern", "pushpull", "--linger", "100ms"]);
    using _ = proxy;
    const large = `${"x".repeat(1023)}\n`.repeat(50_000);
    const push = await run(["push", from, "-w", "500ms"], { stdin: large });
    assert.match(push.stderr, /nothing could be sent for 0\.5 s/);
    proxy.kill("SIGTERM");
    const { code, stderr } = await proxy.exit();
    assert.match(stderr, /could not be delivered/);
    assert.equal(code, 5);
    assert.ok(summaryOf(stderr)["received"]! < 10_000, stderr);
  });

  test("pubsub - forwards subscriptions to publishers, and only subscribed messages to subscribers", async () => {
    using dir = tempDir();
    const { proxy, from, to } = await bound(dir, ["--pattern", "pubsub", "--transient"]);
    using _ = proxy;
    using sub = start(["sub", to, "-t", "b", "--transient"]);
    const { code } = await run(["pub", `>${from}`], { stdin: "a1\nb2\nc3\nb4\n" });
    assert.equal(code, 0);
    assert.equal(summaryOf((await proxy.exit()).stderr)["received"], 2);
    assert.equal((await sub.exit()).stdout.toString(), "b2\nb4\n");
  });

  test("pubsub -t - forwards only this topic from several publishers, whatever is subscribed", async () => {
    using dir = tempDir();
    const args = ["--pattern", "pubsub", "-t", "NASDAQ", "-t", "LSE"];
    const { proxy, from, to } = await bound(dir, args);
    using _ = proxy;
    using sub = start(["sub", to, "-n", "2", "-v"]);
    await sub.waitForStderr(/connected/);
    for (const stdin of ["NYSE IBM 1\nNASDAQ AAPL 2\n", "LSE BP 3\nOSLO EQNR 4\n"]) {
      assert.equal((await run(["pub", `>${from}`], { stdin })).code, 0);
    }
    assert.equal((await sub.exit()).stdout.toString(), "NASDAQ AAPL 2\nLSE BP 3\n");
  });

  test("pubsub --last-value - sends a late subscriber the latest values of its topics, then new messages", async () => {
    using dir = tempDir();
    const { proxy, from, to } = await bound(dir, ["--pattern", "pubsub", "--last-value", "--tap", "-"]);
    using _ = proxy;
    using pub = start(["pub", `>${from}`, "-K", " "], { open: true });
    pub.write("a 1\nb 1\na 2\nc 1\n");
    await proxy.waitForStdout(/(.*\n){4}/);
    using late = start(["sub", to, "-t", "a", "-t", "c", "-K", " ", "-n", "3"]);
    await late.waitForStdout(/a 2/);
    await late.waitForStdout(/c 1/);
    pub.write("b 2\na 3\n");
    const seen = (await late.exit()).stdout.toString();
    assert.deepEqual(seen.trimEnd().split("\n").sort(), ["a 2", "a 3", "c 1"]);
    assert.ok(seen.endsWith("a 3\n"), seen);
    pub.end();
  });

  test("reqrep - connects many clients to two services; the tap endpoint sends requests and replies", async () => {
    using dir = tempDir();
    const tap = `ipc://${dir.file("tap")}`;
    const { proxy, from, to } = await bound(dir, ["--pattern", "reqrep", "--tap", tap]);
    using _ = proxy;
    using seen = start(["sub", tap, "-J", "-n", "24", "-v"]);
    await seen.waitForStderr(/connected/);
    using one = start(["rep", `>${to}`, "--exec", "tr a-z A-Z", "-v"]);
    using two = start(["rep", `>${to}`, "--exec", "tr a-z A-Z", "-v"]);
    await Promise.all([one.waitForStderr(/connected/), two.waitForStderr(/connected/)]);
    const clients = ["a", "b", "c"].map((name) => {
      return run(["req", from], { stdin: [1, 2, 3, 4].map((i) => `${name}${i}\n`).join("") });
    });
    const replies = (await Promise.all(clients)).map(({ stdout }) => stdout.toString());
    assert.deepEqual(replies, ["A1\nA2\nA3\nA4\n", "B1\nB2\nB3\nB4\n", "C1\nC2\nC3\nC4\n"]);
    assert.equal((await seen.exit()).stdout.toString().trimEnd().split("\n").length, 24);
    for (const rep of [one, two]) {
      rep.kill("SIGINT");
      assert.equal((await rep.exit()).code, 130);
    }
  });

  test("-w - exits with 3 when no message arrives", async () => {
    using dir = tempDir();
    const { proxy } = await bound(dir, ["--pattern", "pubsub", "-w", "200ms"]);
    using _ = proxy;
    const { code, stderr } = await proxy.exit();
    assert.match(stderr, /no message arrived for 0\.2 s \(-w\)/);
    assert.equal(code, 3);
  });

  for (const side of ["from", "to"]) {
    test(`--${side} - reports an incompatible peer, and exits with 4`, async () => {
      using rep = start(["rep", ":0", "--echo"]);
      const other = side === "from" ? ["--to", "@tcp://127.0.0.1:0"] : ["--from", "@tcp://127.0.0.1:0"];
      const args = ["--pattern", "pushpull", `--${side}`, `>${await rep.readyEndpoint()}`, ...other];
      const { code, stderr } = await run(["proxy", ...args]);
      assert.match(stderr, /the peer is a REP socket/);
      assert.equal(code, 4);
    });
  }

  const mistakes: [string[], RegExp][] = [
    [["--from", ":1", "--to", ":2"], /--pattern is missing: choose one of pubsub, pushpull, reqrep/],
    [["--pattern", "pubsub", "--from", ":1"], /a proxy has two sides/],
    [["--pattern", "reqrep", "-t", "x", "--from", ":1", "--to", ":2"], /requests without a reply/],
    [["--pattern", "pushpull", "--last-value", "--from", ":1", "--to", ":2"], /--last-value is for pubsub/],
    [["--pattern", "queue", "--from", ":1", "--to", ":2"], /expected one of pubsub, pushpull, reqrep/],
  ];
  for (const [args, words] of mistakes) {
    test(`usage - ${args.join(" ")}`, async () => {
      const { code, stderr } = await run(["proxy", ...args]);
      assert.match(stderr, words);
      assert.equal(code, 2);
    });
  }
});
