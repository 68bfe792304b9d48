/** Workers that are killed and restarted while a push sends numbered lines. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { bytesRead, settled, start, summaryOf, test } from "../support/mqcat.ts";

/** Numbered lines of 1000 bytes, so that few of them fit into the system's buffers. */
const lines = (from: number, to: number) => {
  const numbers = [];
  for (let n = from; n <= to; n++) numbers.push(`${n}`.padEnd(999, ".") + "\n");
  return numbers.join("");
};
const numbersOf = (text: string) => text.split("\n").slice(0, -1).map((line) => Number.parseInt(line, 10));
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("a killed worker", () => {
  for (const where of [":0", "ws://127.0.0.1:0/"]) {
    test(`unsent messages go to other workers, and a restarted worker gets messages again: ${where}`, async () => {
      const FIRST = 60_000;
      const TOTAL = 62_000;
      using push = start(["push", `@${where}`, "--wait-peers", "2", "--summary", "-v"], { open: true });
      const endpoint = await push.readyEndpoint();
      using good = start(["pull", `>${endpoint}`, "--transient", "-v"]);
      using doomed = start(["pull", `>${endpoint}`, "-v"]);
      await push.waitForStderr(/connected: [^]*connected: /);
      push.write(lines(1, 100));
      await doomed.waitForStdout(/^\d+\.+\n/);
      // From here on the worker is stopped: its buffers and its queue fill up, and the other one gets the rest.
      doomed.kill("SIGSTOP");
      push.write(lines(101, FIRST));
      await settled(
        () => `${bytesRead(push.pid)} ${good.stdout.length}`,
        "the stream to have passed the slow worker",
      );
      doomed.kill("SIGKILL");
      const printed = numbersOf((await doomed.exit()).stdout.toString());
      await push.waitForStderr(/lost |disconnected/);

      using restarted = start(["pull", `>${endpoint}`, "--transient", "-v"]);
      await restarted.waitForStderr(/connected: /);
      push.write(lines(FIRST + 1, TOTAL));
      push.end();
      const { code, stderr } = await push.exit();
      const { sent, unsent, dropped } = summaryOf(stderr);
      // For a push, a message that the system has accepted is sent.
      assert.deepEqual([code, sent, unsent, dropped], [0, TOTAL, 0, 0]);

      const others = numbersOf((await good.exit()).stdout.toString());
      const later = numbersOf((await restarted.exit()).stdout.toString());
      assert.ok(later.length > 0, "the restarted one got its share");
      const seen = new Set([...printed, ...others, ...later]);
      assert.equal(seen.size, printed.length + others.length + later.length, "nothing came twice");

      // The missing messages were in the kernel buffers of the killed worker, so they precede the redistributed ones.
      const missing = range(1, TOTAL).filter((number) => !seen.has(number));
      const returned = outOfOrder(others).concat(outOfOrder(later));
      assert.ok(returned.length > 0, "its queue was redistributed");
      assert.ok(Math.max(...missing) < Math.min(...returned), `${missing.at(-1)} and ${returned[0]}`);
      assert.ok(Math.min(...missing) > Math.max(...printed));
      assert.ok(Math.max(...missing) <= FIRST, "nothing that came after its death is missing");
    });
  }

  test("with fast workers, only messages in flight are missing, and no worker waits", async () => {
    const TOTAL = 6000;
    using push = start(["push", "@:0", "--wait-peers", "3", "--rate", "3000", "--summary", "-v"], {
      stdin: range(1, TOTAL).map((number) => `${number}\n`).join(""),
    });
    const endpoint = await push.readyEndpoint();
    const workers = [0, 1, 2].map(() => start(["pull", `>${endpoint}`, "--transient"]));
    using _one = workers[0]!;
    using _two = workers[1]!;
    using _three = workers[2]!;
    await workers[0]!.waitForStdout(/(.*\n){100}/);
    workers[0]!.kill("SIGKILL");
    using again = start(["pull", `>${endpoint}`, "--transient"]);
    await again.waitForStdout(/\n/);
    workers[1]!.kill("SIGTERM");
    const { code, stderr } = await push.exit();
    assert.deepEqual([code, summaryOf(stderr)["sent"]], [0, TOTAL]);
    const outputs = await Promise.all(
      [...workers, again].map(async (worker) => numbersOf((await worker.exit()).stdout.toString())),
    );
    const all = outputs.flat();
    assert.equal(new Set(all).size, all.length, "nothing came twice");
    const seen = new Set(all);
    const missing = range(1, TOTAL).filter((number) => !seen.has(number));
    // At 1000 messages per second for each worker, a killed worker is detected before many are lost.
    assert.ok(missing.length < 500, `${missing.length} are missing`);
    for (const number of missing) assert.ok(number > outputs[0]!.at(-1)!);
  });

  test("without workers for a while, push keeps its unsent messages", async () => {
    using first = start(["pull", ":0"]);
    const endpoint = await first.readyEndpoint();
    using push = start(["push", endpoint, "--summary", "-v"], { stdin: "1\n2\n", open: true });
    await first.waitForStdout(/2\n/);
    first.kill("SIGKILL");
    await push.waitForStderr(/lost |disconnected/);
    push.write("3\n4\n");
    await push.waitForStderr(/trying again/);
    using second = start(["pull", endpoint, "--transient"]);
    await second.waitForStdout(/^3\n4\n$/);
    push.write("5\n");
    push.end();
    assert.equal((await push.exit()).code, 0);
    assert.deepEqual(numbersOf((await second.exit()).stdout.toString()), [3, 4, 5]);
  });
});

/** The numbers that arrived after a larger one. */
function outOfOrder(numbers: readonly number[]): number[] {
  let most = 0;
  return numbers.filter((number) => {
    most = Math.max(most, number);
    return number < most;
  });
}
