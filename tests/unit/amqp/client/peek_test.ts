/** What the client asks mqcat's own broker for, and how it reads the answers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { dumpQueue, readSnapshot } from "../../../../lib/amqp/client/dump.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import {
  countQueues,
  inspectExchanges,
  inspectNodes,
  inspectQueues,
  peekQueue,
  sweepQueue,
} from "../../../../lib/amqp/client/peek.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { deadline } from "../../../support/helpers.ts";
import { serve } from "../../../support/scripted_broker.ts";

/** Does `work` at a broker that delivers these bodies. @returns what it was asked, and what `work` returned */
async function asked<T>(
  bodies: readonly unknown[],
  work: (connection: AmqpConnection) => Promise<T>,
): Promise<[queue: unknown, noAck: unknown, args: object, result: T]> {
  let consume: Record<string, unknown> = {};
  let result: T;
  let closed = 0;
  await serve({
    on(served, name, channel, args) {
      if (name === "channel.close") closed++;
      if (name !== "basic.consume") return;
      consume = args as Record<string, unknown>;
      served.deliver(channel, 1, bodies.length, (tag) => JSON.stringify(bodies[tag - 1]));
      served.say(channel, "basic.cancel", { consumerTag: "mqcat", nowait: true });
    },
  }, async (url) => {
    const connection = await connectBroker(parseAmqpUrl(url));
    result = await deadline(work(connection), 5000, "the answer");
    await connection.close();
  });
  assert.equal(closed, 1);
  return [consume["queue"], consume["noAck"], { ...consume["arguments"] as object }, result!];
}

const MOST = 2 ** 31 - 1;

describe("extensions of mqcat's own broker", () => {
  it("peek - a number of messages, at most 2^31 - 1, and a filter", async () => {
    for (
      const [count, where, args] of [
        [5, undefined, { "x-mqcat-peek": 5 }],
        [MOST, undefined, { "x-mqcat-peek": MOST }],
        [Infinity, "size > 1", { "x-mqcat-peek": MOST, "x-mqcat-where": "size > 1" }],
      ] as const
    ) {
      const seen: number[] = [];
      const onDelivery = ({ deliveryTag }: { deliveryTag: number }) => void seen.push(deliveryTag);
      const found = await asked(
        [1, 2],
        (connection) => peekQueue(connection, "q", count, { onDelivery }, where),
      );
      assert.deepEqual(found, ["q", true, args, undefined]);
      assert.deepEqual(seen, [1, 2]);
    }
  });

  it("sweep - the action with its options, and each report", async () => {
    const reports: unknown[] = [];
    const onReport = (report: unknown) => void reports.push(report);
    const options = { action: "move", to: "r", where: "size > 1", limit: 7, onReport } as const;
    const move = await asked(
      [{ tested: 1 }, { tested: 2 }],
      (connection) => sweepQueue(connection, "q", options),
    );
    assert.deepEqual(move, ["q", true, {
      "x-mqcat-sweep": "move",
      "x-mqcat-to": "r",
      "x-mqcat-limit": 7,
      "x-mqcat-where": "size > 1",
    }, { tested: 2 }]);
    assert.deepEqual(reports, [{ tested: 1 }, { tested: 2 }]);
    const [, , args] = await asked([{}], (connection) => sweepQueue(connection, "q", { action: "count" }));
    assert.deepEqual(args, { "x-mqcat-sweep": "count" });
    const unlimited = await asked(
      [{}],
      (connection) => sweepQueue(connection, "q", { action: "delete", limit: Infinity }),
    );
    assert.deepEqual(unlimited[2], { "x-mqcat-sweep": "delete", "x-mqcat-limit": MOST });
  });

  it("inspect - queues, exchanges and the node", async () => {
    for (
      const [inspect, name] of [
        [inspectQueues, "amq.mqcat.queues"],
        [inspectExchanges, "amq.mqcat.exchanges"],
        [inspectNodes, "amq.mqcat.node"],
      ] as const
    ) {
      const found = await asked<unknown[]>([{ name: "a" }, { name: "b" }], inspect);
      assert.deepEqual(found, [name, true, { "x-mqcat-peek": MOST }, [{ name: "a" }, { name: "b" }]]);
    }
  });

  it("count - lists of queues, and the descriptions of an older broker", async () => {
    const row = ["a", "quorum", 1, 2, 3, 4, 5, 6, 7, 8];
    const full = { name: "c", type: "stream", messages_ready: 1, messages_unacknowledged: 2, consumers: 3 };
    const found = await asked([[row, row], [row], full, { name: "d" }], countQueues);
    assert.deepEqual(found, ["amq.mqcat.queues", true, { "x-mqcat-counted": true, "x-mqcat-peek": MOST }, [
      row,
      row,
      row,
      ["c", "stream", 1, 2, 3, null, null, 0, 0, 0],
      ["d", "classic", 0, 0, 0, null, null, 0, 0, 0],
    ]]);
  });

  it("dump - a snapshot, and a range of a queue", async () => {
    const snapshot = { instance: "i", definitions: {}, queues: [] };
    assert.deepEqual(await asked([snapshot], readSnapshot), [
      "amq.mqcat.snapshot",
      true,
      { "x-mqcat-dump": Object.create(null) },
      snapshot,
    ]);
    const range = { id: 3, from: 2 ** 44, to: [4, 5] };
    const [queue, , args] = await asked(
      [],
      (connection) => dumpQueue(connection, "q", range, {}, "size > 1"),
    );
    const dump = (args as { "x-mqcat-dump": object })["x-mqcat-dump"];
    assert.deepEqual([queue, { ...dump }, Object.keys(args)], [
      "q",
      { id: 3n, from: 2n ** 44n, to: [4n, 5n] },
      ["x-mqcat-dump", "x-mqcat-where"],
    ]);
  });

  it("errors - a refusal of the broker is thrown", async () => {
    const close = { replyCode: 404, replyText: "NOT_FOUND - no queue 'q'" };
    await serve({
      on(served, name, channel) {
        if (name === "basic.consume") served.say(channel, "channel.close", close);
      },
    }, async (url) => {
      const connection = await connectBroker(parseAmqpUrl(url));
      await assert.rejects(
        deadline(peekQueue(connection, "q", 1, {}), 5000, "the refusal"),
        (error) => error instanceof AmqpError && error.replyCode === 404,
      );
      await connection.close();
    });
  });
});
