import assert from "node:assert/strict";
import { describe } from "node:test";
import { run, start, test } from "../support/mqcat.ts";

/** Sends to a receiver, and returns when each message was printed, in milliseconds since the sender's start. */
async function timesOf(send: readonly string[], stdin?: string): Promise<{ times: number[]; text: string }> {
  const [sender, ...options] = send;
  const receiver = sender === "push" ? "pull" : sender === "pub" ? "sub" : "rep";
  using receiving = start([
    receiver,
    "@:0",
    "-v",
    "-f",
    "%T %s\\n",
    ...receiver === "rep" ? ["-D", "ok"] : [],
  ]);
  const began = Date.now();
  const input = stdin === undefined ? {} : { stdin };
  const sent = await run([sender!, `>${await receiving.readyEndpoint()}`, ...options], input);
  assert.equal(sent.code, 0, sent.stderr);
  await receiving.waitForStderr(/disconnected/);
  receiving.kill();
  const { stdout } = await receiving.exit();
  const lines = stdout.toString().trimEnd().split("\n").map((line) => line.split(" "));
  return { times: lines.map(([time]) => Number(time) - began), text: lines.map((line) => line[1]).join(" ") };
}

/** Tolerance for the clocks of two processes, and for a timer that fires a little early. */
const SLACK = 25;

/** No message may arrive before its time, counted from the sender's start; on a busy machine it may arrive later. */
function assertPaced(times: readonly number[], first: number, interval: number): void {
  times.forEach((time, i) => assert.ok(time >= first + i * interval - SLACK, `message ${i} of ${times}`));
}

describe("pacing", () => {
  for (const sender of ["push", "pub", "req"]) {
    test(`${sender} - -i pauses between messages, -d before the first`, async () => {
      const { times, text } = await timesOf([sender, "-i", "150ms", "-d", "0.4"], "a\nb\nc\n");
      assert.equal(text, "a b c");
      assertPaced(times, 400, 150);
    });
  }

  test("push - --rate keeps the mean rate, and repeats -D until -n", async () => {
    const { times, text } = await timesOf(["push", "--rate", "50/s", "-D", "x", "-n", "11"]);
    assert.equal(text, Array(11).fill("x").join(" "));
    assertPaced(times, 0, 20);
  });

  test("push - --rate accepts other units", async () => {
    const { times } = await timesOf(["push", "--rate", "600/m"], "1\n2\n3\n");
    assertPaced(times, 0, 100);
  });

  test("push - -i repeats -D until a signal", async () => {
    using pull = start(["pull", ":0"]);
    using push = start(["push", await pull.readyEndpoint(), "-i", "1ms", "-D", "tick", "--summary"]);
    await pull.waitForStdout(/(tick\n){20}/);
    push.kill("SIGINT");
    const { code, stderr } = await push.exit();
    assert.equal(code, 130);
    const { sent } = JSON.parse(stderr);
    assert.ok(sent >= 20);
    await pull.waitForStdout(new RegExp(`^(tick\n){${sent}}$`));
  });

  test("push - paces a batch that was read at once, and a signal ends the wait", async () => {
    using pull = start(["pull", ":0"]);
    using push = start(["push", await pull.readyEndpoint(), "-i", "1h", "--summary"], { stdin: "1\n2\n3\n" });
    await pull.waitForStdout(/^1\n$/);
    push.kill("SIGTERM");
    const { code, stderr } = await push.exit();
    // Messages that were read and need not wait any longer are sent with the flush.
    assert.deepEqual([code, JSON.parse(stderr).sent], [143, 3]);
    await pull.waitForStdout(/^1\n2\n3\n$/);
  });

  test("push - a signal during -d ends it", async () => {
    using pull = start(["pull", ":0"]);
    using push = start(["push", await pull.readyEndpoint(), "-d", "1h", "-v"], { stdin: "1\n" });
    await push.waitForStderr(/connected/);
    push.kill("SIGTERM");
    assert.equal((await push.exit()).code, 143);
  });

  test("usage - an error about an invalid value says what was expected", async () => {
    const cases: [string[], RegExp][] = [
      [["-i", "soon"], /--interval 'soon': expected a duration such as 500ms, 3s, 1m or a number of seconds/],
      [["-d", "-1"], /--delay '-1': expected a duration/],
      [["--rate", "0"], /--rate '0': expected messages per second, such as 100 or 100\/s/],
      [["--rate", "5/y"], /--rate '5\/y': expected messages per second/],
      [["-w", "1 s"], /--timeout '1 s': expected a duration/],
      [["-n", "0"], /--count '0': expected a whole number of at least 1/],
      [["-n", "1.5"], /--count '1\.5': expected a whole number of at least 1/],
    ];
    await Promise.all(cases.map(async ([args, expected]) => {
      const { code, stderr } = await run(["push", ":1", ...args], { stdin: "" });
      assert.deepEqual([code, expected.test(stderr)], [2, true], stderr);
    }));
  });
});
