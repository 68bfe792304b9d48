/** The figures of queues for a live view, over AMQP. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { countQueues } from "../../../lib/amqp/client/peek.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../../lib/amqp/properties.ts";
import { Broker } from "../../../lib/broker/server.ts";

/** More than fit into two messages. */
const QUEUES = 1001;

describe("counted queues", () => {
  let broker: Broker;
  let connection: AmqpConnection;

  before(async () => {
    broker = await Broker.open();
    connection = await connectBroker(parseAmqpUrl(await broker.listen("amqp://127.0.0.1:0")));
  });

  after(async () => {
    await connection.close();
    await broker.close();
  });

  it("counted - all queues once, with their messages and counts", async () => {
    const channel = await connection.open();
    const declared = Array.from({ length: QUEUES }, (_, i) => `q${i}`);
    for (const queue of declared) await channel.call("queue.declare", { queue }, "queue.declare-ok");
    const [none, body] = [encodeProperties({}), new Uint8Array(0)];
    for (let i = 0; i < 3; i++) connection.encoder.publish(channel.id, "", "q7", false, none, body, 0, 0);
    await channel.call("queue.purge", { queue: "q8" }, "queue.purge-ok");
    const start = Date.now();
    const counted = await countQueues(connection);
    assert.deepEqual(counted.map(([name]) => name).sort(), declared.sort());
    const of = (name: string) => counted.find((queue) => queue[0] === name)!;
    const [, type, ready, unacked, consumers, memory, receivedAt, ...counts] = of("q7");
    assert.deepEqual([type, ready, unacked, consumers, ...counts], ["classic", 3, 0, 0, 3, 0, 0]);
    assert.ok(memory! > 0);
    assert.ok(Math.abs(receivedAt! - start) < 10_000);
    assert.deepEqual(of("q8").slice(2, 5), [0, 0, 0]);
    assert.equal(of("q8")[6], null);
    await channel.call("basic.consume", { queue: "q7", noAck: true }, "basic.consume-ok");
    await channel.call("queue.purge", { queue: "q8" }, "queue.purge-ok");
    const after = (await countQueues(connection)).find(([name]) => name === "q7")!;
    assert.deepEqual([after[2], after[4], ...after.slice(7)], [0, 1, 3, 3, 0]);
  });
});
