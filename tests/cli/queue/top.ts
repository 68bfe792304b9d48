/** Samples of queues and their rates. */
import assert from "node:assert/strict";
import { waitFor } from "../../support/helpers.ts";
import { lines, type QueueContext } from "./context.ts";

export function top({ queue, startQueue, test, well }: QueueContext): void {
  /** The sample that `queue top` prints as JSON. */
  const sample = async (...args: string[]) => JSON.parse(await well(["top", "--once", "-J", ...args]));

  test("top - prints depths, rates and totals of the queues that match a pattern", async () => {
    await well(["put", "--declare", "top one"], lines(3));
    await well(["put", "--declare", "top two"], lines(2));
    using _load = await startQueue(["put", "--declare", "top load", "-D", "x", "--rate", "50"]);
    let found: { name: string; ready: number; in_rate: number }[] = [];
    // RabbitMQ has the counts of a queue after some seconds.
    await waitFor(
      async () => {
        found = (await sample("top*", "--sort", "name")).list;
        return found.length === 3 && found[2]!.ready === 2 && found[1]!.ready === 3 && found[0]!.in_rate > 0;
      },
      30_000,
      "the counts of three queues",
    );
    assert.deepEqual(found.map(({ name }) => name), ["top load", "top one", "top two"]);
    assert.ok(found[0]!.in_rate < 100, `${found[0]!.in_rate}`);
    const { queues, list } = await sample("top *o*", "--sort", "ready", "--reverse");
    assert.deepEqual([queues, list.length], [3, 3]);
    assert.match(
      await well(["top", "--once", "top t*"]),
      /^1 queue {2}\d+ ready .*\n[^]*\nname +type +ready↓ .*\ntop two +classic +2 /,
    );
    assert.match(await well(["list", "top *e"]), /^name .*\ntop one +classic +3 +0 +0\n$/);
  });

  test("top -J - ends when its reader has exited", async () => {
    using samples = await startQueue(["top", "-J", "-i", "100ms"]);
    await samples.waitForStdout(/\n/);
    samples.closeStdout();
    assert.deepEqual([(await samples.exit()).code, samples.stderr], [141, ""]);
  });

  test("top - without a terminal it asks for --once", async () => {
    const { code, stderr } = await queue(["top"]);
    assert.equal(code, 2);
    assert.match(stderr, /needs a terminal \(try --once/);
  });
}
