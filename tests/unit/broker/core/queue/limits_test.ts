/** Queues that refuse messages when they are full. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectBroker } from "../../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../../../../lib/amqp/properties.ts";
import { QueueStats } from "../../../../../lib/broker/core/queue/queue_stats.ts";
import { ExchangeStats, VirtualHostStats } from "../../../../../lib/broker/core/message_stats.ts";
import { Broker } from "../../../../../lib/broker/server.ts";
import { waitFor } from "../../../../support/helpers.ts";

describe("full queues", () => {
  const limits: [limit: string, value: number, consumes: boolean, accepted: string][] = [
    ["x-max-length", 2, false, "ab"],
    ["x-max-length", 2, true, "abcde"],
    ["x-max-length", 1, true, "abcde"],
    ["x-max-length", 0, false, ""],
    ["x-max-length-bytes", 3, false, "abc"],
    ["x-max-length-bytes", 1, true, "abcde"],
  ];
  for (const [limit, value, consumes, accepted] of limits) {
    it(`${limit} ${value} - ${consumes ? "a waiting consumer makes room" : "the rest is refused"}`, async () => {
      const broker = await Broker.open();
      const connection = await connectBroker(parseAmqpUrl(await broker.listen("amqp://127.0.0.1:0")));
      const confirms: boolean[] = [];
      const got: string[] = [];
      const channel = await connection.open({
        onConfirm(tag, multiple, isAccepted) {
          for (let i = multiple ? confirms.length + 1 : tag; i <= tag; i++) confirms[i - 1] = isAccepted;
        },
        onDelivery: ({ content: { body, bodyStart, bodyEnd } }) =>
          void got.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd))),
      });
      const args = { [limit]: value, "x-overflow": "reject-publish" };
      await channel.call("queue.declare", { queue: "q", arguments: args }, "queue.declare-ok");
      await channel.call("confirm.select", {}, "confirm.select-ok");
      if (consumes) await channel.call("basic.consume", { queue: "q", noAck: true }, "basic.consume-ok");
      for (const body of "abcde") {
        const bytes = new TextEncoder().encode(body);
        connection.encoder.publish(channel.id, "", "q", false, encodeProperties({}), bytes, 0, 1);
      }
      connection.flush();
      await waitFor(() => confirms.length === 5 && !confirms.includes(undefined!));
      assert.equal([..."abcde"].filter((_, i) => confirms[i]).join(""), accepted);
      if (consumes) await waitFor(() => got.join("") === accepted);
      await connection.close();
      await broker.close();
    });
  }

  it("statistics - begin at 0, and add up", () => {
    const queue = new QueueStats();
    const vhost = new VirtualHostStats();
    for (const stats of [queue, vhost, new ExchangeStats()]) {
      for (const [name, count] of Object.entries(stats)) assert.equal(count, 0, name);
    }
    const other = new QueueStats();
    for (const name of Object.keys(other)) Object.assign(other, { [name]: 3 });
    queue.activeAt = 7;
    queue.add(other);
    queue.add(other);
    const { activeAt, ...counts } = queue;
    assert.equal(activeAt, 7);
    assert.deepEqual(new Set(Object.values(counts)), new Set([6]));
  });
});
