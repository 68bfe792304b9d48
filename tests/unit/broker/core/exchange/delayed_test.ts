/** Exchanges of the type `x-delayed-message` in a running broker. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BasicProperties } from "../../../../../lib/amqp/properties.ts";
import { type FieldTable, TypedNumber } from "../../../../../lib/amqp/types/field_value.ts";
import { delayOf } from "../../../../../lib/broker/core/exchange/delayed.ts";
import { Broker } from "../../../../../lib/broker/server.ts";
import { TestClock } from "../../../../../lib/broker/testing/test_clock.ts";
import { encodeMessage, propertiesOf } from "../../../../../lib/broker/core/message.ts";
import { DueHeap } from "../../../../../lib/broker/core/queue/due_heap.ts";
import type { Queue } from "../../../../../lib/broker/core/queue/queue.ts";
import type { VirtualHost } from "../../../../../lib/broker/core/topology/vhost.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";

const NONE = { passive: false, durable: true, autoDelete: false, internal: false, exclusive: false };

function declare(broker: Broker, args: FieldTable, exchange = "later"): VirtualHost {
  const vhost = broker.vhosts.get("/")!;
  broker.core.cycle.begin();
  vhost.declareExchange({ ...NONE, exchange, type: "x-delayed-message", arguments: args });
  broker.core.cycle.end();
  return vhost;
}

function queue(broker: Broker, name: string, routingKey = name, exchange = "later"): Queue {
  const vhost = broker.vhosts.get("/")!;
  broker.core.cycle.begin();
  const made = vhost.declareQueue({ ...NONE, queue: name, arguments: {} }, broker);
  vhost.bindQueue({ queue: name, exchange, routingKey, arguments: {} }, broker);
  broker.core.cycle.end();
  return made;
}

function publish(
  broker: Broker,
  routingKey: string,
  text: string,
  headers?: FieldTable,
  exchange = "later",
): boolean {
  const properties: BasicProperties = { deliveryMode: 2, ...(headers === undefined ? {} : { headers }) };
  const message = encodeMessage({ exchange, routingKey }, properties, new TextEncoder().encode(text));
  broker.core.cycle.begin();
  const { routed } = broker.core.intake.publishInternally(
    broker.vhosts.get("/")!,
    exchange,
    routingKey,
    message,
  );
  broker.core.cycle.end();
  return routed;
}

/** Returns the messages in a queue: body and header `x-delay`. */
function messages(queue: Queue): (readonly [body: string, delay: unknown])[] {
  const found: (readonly [string, unknown])[] = [];
  for (let seq = 0; (seq = queue.lanes[0]!.nextReady(seq)) >= 0; seq++) {
    const message = queue.messageAt(0, seq)!;
    const body = new TextDecoder().decode(message.body.subarray(message.bodyStart, message.bodyEnd));
    found.push([body, propertiesOf(message).headers?.["x-delay"]]);
  }
  return found;
}

const arrive = (queue: Queue, count: number) =>
  waitFor(() => queue.ready === count, undefined, `${count} messages in ${queue.name}`);

describe("x-delayed-message", () => {
  it("x-delayed-message - routes messages after their delay, others at once, by the argument's type", async () => {
    const clock = new TestClock();
    const broker = await Broker.open({ clock });
    const vhost = declare(broker, { "x-delayed-type": "topic" });
    const q = queue(broker, "q", "a.*");
    assert.equal(publish(broker, "a.b", "third", { "x-delay": 120 }), true);
    assert.equal(publish(broker, "a.b", "second", { "x-delay": 60n }), true);
    assert.equal(publish(broker, "b", "lost", { "x-delay": 1 }), true);
    publish(broker, "a.b", "at once");
    publish(broker, "a.c", "at once, too", { "x-delay": -5 });
    publish(broker, "a.c", "no number", { "x-delay": "5" });
    assert.equal(publish(broker, "b", "lost at once"), false);
    assert.equal(vhost.exchanges.get("later")!.delayQueue!.ready, 3);
    clock.advance(59);
    assert.equal(q.ready, 3);
    clock.advance(1);
    assert.equal(q.ready, 4);
    clock.advance(60);
    assert.deepEqual(messages(q), [
      ["at once", undefined],
      ["at once, too", -5],
      ["no number", "5"],
      ["second", -60],
      ["third", -120],
    ]);
    assert.equal(vhost.exchanges.get("later")!.delayQueue!.ready, 0);
    await broker.close();
  });

  it("x-delayed-message - delays CC and BCC copies, and hides BCC", async () => {
    const broker = await Broker.open();
    declare(broker, { "x-delayed-type": "direct" });
    const queues = ["a", "b", "c"].map((name) => queue(broker, name));
    publish(broker, "a", "x", { "x-delay": 20, CC: ["b"], BCC: ["c"] });
    await Promise.all(queues.map((one) => arrive(one, 1)));
    for (const one of queues) {
      const headers = propertiesOf(one.messageAt(0, 0)!).headers!;
      assert.deepEqual(Object.keys(headers).sort(), ["CC", "x-delay"]);
    }
    await broker.close();
  });

  it("x-delayed-message - delays messages from another exchange, only once", async () => {
    const broker = await Broker.open();
    const vhost = declare(broker, { "x-delayed-type": "fanout" });
    declare(broker, { "x-delayed-type": "fanout" }, "even-later");
    broker.core.cycle.begin();
    const links = [["amq.fanout", "later"], ["later", "even-later"]] as const;
    for (const [source, destination] of links) {
      vhost.bindExchange({ source, destination, routingKey: "", arguments: {} });
    }
    broker.core.cycle.end();
    const q = queue(broker, "q", "", "even-later");
    publish(broker, "k", "x", { "x-delay": 30 }, "amq.fanout");
    assert.equal(q.ready, 0);
    await arrive(q, 1);
    await broker.close();
  });

  it("x-delayed-message - delayed messages survive a restart", async () => {
    const dir = tempDir();
    try {
      const data = dir.file("data");
      const first = await Broker.open({ data });
      declare(first, { "x-delayed-type": "direct" });
      queue(first, "q");
      publish(first, "q", "later", { "x-delay": 600 });
      publish(first, "q", "much later", { "x-delay": 3_600_000 });
      publish(first, "q", "soon", { "x-delay": 100 });
      await first.close();
      const second = await Broker.open({ data });
      const q = second.vhosts.get("/")!.queues.get("q")!;
      await arrive(q, 2);
      assert.deepEqual(messages(q).map(([body]) => body), ["soon", "later"]);
      const { delayQueue } = second.vhosts.get("/")!.exchanges.get("later")!;
      assert.deepEqual(messages(delayQueue!), [["much later", 3_600_000]]);
      await second.close();
      const third = await Broker.open({ data });
      assert.equal(third.vhosts.get("/")!.queues.get("q")!.ready, 2);
      assert.equal(third.vhosts.get("/")!.exchanges.get("later")!.delayQueue!.ready, 1);
      third.core.cycle.begin();
      third.vhosts.get("/")!.deleteExchange({ exchange: "later", ifUnused: false });
      third.core.cycle.end();
      await third.close();
      const fourth = await Broker.open({ data });
      assert.equal(fourth.vhosts.get("/")!.exchanges.has("later"), false);
      await fourth.close();
    } finally {
      dir.remove();
    }
  });

  it("x-delayed-message - requires x-delayed-type, equal in each declaration", async () => {
    const broker = await Broker.open();
    for (
      const args of [{}, { "x-delayed-type": "odd" }, { "x-delayed-type": "x-delayed-message" }, {
        "x-delayed-type": 1,
      }]
    ) {
      assert.throws(() => declare(broker, args), /406|x-delayed-type' must be an existing exchange type/);
    }
    declare(broker, { "x-delayed-type": "direct" });
    declare(broker, { "x-delayed-type": "direct" });
    assert.throws(
      () => declare(broker, { "x-delayed-type": "fanout" }),
      /inequivalent arg 'x-delayed-type' .* received 'fanout' but current is 'direct'/,
    );
    await broker.close();
  });

  it("due heap - returns the earliest first, and equal times in order", () => {
    const heap = new DueHeap();
    const times = [5, 3, 9, 3, 1, 7, 3, 0, 9, 2, 8, 3];
    times.forEach((time, seq) => heap.push(time, seq));
    const order: number[] = [];
    for (let seq; heap.time < Infinity && (seq = heap.pop()) >= 0;) order.push(seq);
    const expected = times.map((time, seq) => [time, seq] as const).sort((a, b) =>
      a[0] - b[0] || a[1] - b[1]
    );
    assert.deepEqual(order, expected.map(([, seq]) => seq));
    assert.equal(heap.pop(), -1);
  });
});

describe("delay of a message", () => {
  it("delay - a positive whole number of milliseconds, of any type", () => {
    const rows = [undefined, 0, 1, -1, 5n, 1.5, 2 ** 53, "7", new TypedNumber("b", 9)].map((value) =>
      delayOf(value === undefined ? {} : { "x-delay": value })
    );
    assert.deepEqual(rows, [0, 0, 1, 0, 5, 0, 0, 0, 9]);
  });
});
