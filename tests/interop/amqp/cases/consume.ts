import { cases, type Session } from "../case.ts";
import type { PeerChannel } from "../peer.ts";

/** Makes a queue with messages named by letters. */
async function filled(on: Session, channel: PeerChannel, letters: string): Promise<string> {
  const q = await channel.queue(on.name("q"));
  for (const letter of letters) channel.publish("", q, letter);
  return q;
}

export const consume = cases("consume", {
  "delivers existing and new messages": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "ab");
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(2);
    channel.publish("", q, "c");
    channel.ack((await channel.delivery()).deliveryTag, true);
    await channel.count(q);
  },
  "the server generates a consumer tag": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "a");
    const tag = await channel.consume(q);
    const other = await channel.consume(q);
    if (tag === other) throw new Error("The same tag twice");
    await channel.delivery();
  },
  "without acknowledgement": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await filled(on, first, "abc");
    await first.consume(q, { consumerTag: "me", noAck: true });
    await first.deliveries(3);
    await first.close();
    await second.count(q);
  },
  "no-wait": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "a");
    channel.send("basic.consume", { queue: q, consumerTag: "me", noWait: true });
    await channel.delivery();
    channel.send("basic.cancel", { consumerTag: "me", noWait: true });
    await channel.consumers(q, 0);
  },
  "a missing queue": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "basic.consume", { queue: on.name("missing") });
  },
  "an empty queue name means the last declared queue": async (on) => {
    const channel = await on.channel();
    await filled(on, channel, "a");
    await channel.consume("", { consumerTag: "me" });
    await channel.delivery();
  },
  "an empty queue name without a declared queue": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "basic.consume", { queue: "" });
  },
  "a duplicate tag on a channel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "me" });
    await channel.refused(530, "basic.consume", { queue: q, consumerTag: "me" });
  },
  "a duplicate tag and a missing queue": async (on) => {
    const channel = await on.channel();
    await channel.consume(await channel.queue(on.name("q")), { consumerTag: "me" });
    await channel.refused(530, "basic.consume", { queue: on.name("missing"), consumerTag: "me" });
  },
  "the same tag on two channels": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"));
    await first.consume(q, { consumerTag: "me" });
    await second.consume(q, { consumerTag: "me" });
  },
  "a tag can be reused after cancel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "me" });
    await channel.call("basic.cancel", { consumerTag: "me" });
    await channel.consume(q, { consumerTag: "me" });
    channel.publish("", q, "a");
    await channel.delivery();
  },
  "no-local is ignored": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "a");
    await channel.consume(q, { consumerTag: "me", noLocal: true });
    await channel.delivery();
  },
  "cancel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "me" });
    await channel.call("basic.cancel", { consumerTag: "me" });
    channel.publish("", q, "a");
    await channel.barrier(q);
    await channel.drain(q);
  },
  "cancel of an unknown tag": async (on) => {
    const channel = await on.channel();
    await channel.call("basic.cancel", { consumerTag: "whoever" });
  },
  "cancel keeps unacknowledged messages": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "ab");
    await channel.consume(q, { consumerTag: "me" });
    const [first, second] = await channel.deliveries(2);
    await channel.call("basic.cancel", { consumerTag: "me" });
    await channel.count(q);
    channel.ack(first!.deliveryTag);
    channel.nack(second!.deliveryTag, { requeue: true });
    await channel.ready(q, 1);
    await channel.drain(q);
  },
  "round-robin between two consumers": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "a", noAck: true });
    await channel.consume(q, { consumerTag: "b", noAck: true });
    for (const body of ["1", "2", "3", "4", "5"]) {
      channel.publish("", q, body);
      await channel.delivery();
    }
  },
  "round-robin between three consumers, one at its prefetch": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "busy" });
    await channel.call("basic.qos", { prefetchCount: 0 });
    await channel.consume(q, { consumerTag: "b", noAck: true });
    await channel.consume(q, { consumerTag: "c", noAck: true });
    for (const body of ["1", "2", "3", "4", "5", "6"]) {
      channel.publish("", q, body);
      await channel.delivery();
    }
  },
  "exclusive: other consumers are refused": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await first.queue(on.name("q"));
    await first.consume(q, { consumerTag: "me", exclusive: true });
    await second.refused(403, "basic.consume", { queue: q });
    await second.call("channel.open");
    await second.refused(403, "basic.consume", { queue: q, exclusive: true });
    await second.call("channel.open");
    await first.call("basic.cancel", { consumerTag: "me" });
    await second.consume(q, { consumerTag: "me", exclusive: true });
  },
  "exclusive: refused if there is a consumer": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "a" });
    await channel.refused(403, "basic.consume", { queue: q, consumerTag: "b", exclusive: true });
  },
  "exclusive: basic.get is allowed": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "a", exclusive: true });
    for (const body of ["1", "2"]) channel.publish("", q, body);
    await channel.delivery();
    await channel.get(q);
  },
  "the queue is deleted: the consumer is cancelled": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await first.queue(on.name("q"));
    await first.consume(q, { consumerTag: "a" });
    await first.consume(q, { consumerTag: "b" });
    await second.call("queue.delete", { queue: q });
    const tags = [await first.take("basic.cancel"), await first.take("basic.cancel")];
    // The order of the cancels is not defined.
    on.note(tags.map(({ args }) => args["consumerTag"]).sort().join(" "));
    for (const one of tags) one.hidden = true;
  },
  "the queue is deleted: a client without consumer_cancel_notify": async (on) => {
    const first = await on.channel({ clientProperties: {} });
    const second = await on.channel();
    const q = await first.queue(on.name("q"));
    await first.consume(q, { consumerTag: "a" });
    await second.call("queue.delete", { queue: q });
    await first.queue(on.name("other"));
  },
  "the queue is deleted on the consumer's channel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "a" });
    await channel.call("queue.delete", { queue: q });
    await channel.take("basic.cancel");
    // The consumer is gone: its tag can be reused, but an ack of its deliveries is still valid.
    await channel.queue(q);
    await channel.consume(q, { consumerTag: "a" });
  },
  "an ack after the queue is deleted": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "a");
    await channel.consume(q, { consumerTag: "me" });
    const { deliveryTag } = await channel.delivery();
    await channel.call("queue.delete", { queue: q });
    await channel.take("basic.cancel");
    channel.ack(deliveryTag);
    await channel.queue(on.name("other"));
  },
  "priorities: the highest gets messages up to its prefetch": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 2 });
    await channel.consume(q, { consumerTag: "low" }, { "x-priority": -5 });
    await channel.consume(q, { consumerTag: "high" }, { "x-priority": 10 });
    await channel.consume(q, { consumerTag: "none" });
    for (const body of ["1", "2", "3", "4", "5", "6", "7"]) {
      channel.publish("", q, body);
      await channel.barrier(q);
    }
    await channel.deliveries(6);
  },
  "priorities: round-robin among equal priorities": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "a", noAck: true }, { "x-priority": 1 });
    await channel.consume(q, { consumerTag: "b", noAck: true }, { "x-priority": 1 });
    await channel.consume(q, { consumerTag: "c", noAck: true });
    for (const body of ["1", "2", "3", "4"]) {
      channel.publish("", q, body);
      await channel.delivery();
    }
  },
  "priorities: not a number": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(406, "basic.consume", { queue: q, arguments: { "x-priority": "high" } });
  },
  "single active consumer": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-single-active-consumer": true });
    await channel.consume(q, { consumerTag: "a", noAck: true });
    await channel.consume(q, { consumerTag: "b", noAck: true });
    await channel.consume(q, { consumerTag: "c", noAck: true });
    for (const body of ["1", "2"]) channel.publish("", q, body);
    await channel.deliveries(2);
    await channel.call("basic.cancel", { consumerTag: "a" });
    channel.publish("", q, "3");
    await channel.delivery();
    await channel.call("basic.cancel", { consumerTag: "c" });
    channel.publish("", q, "4");
    await channel.delivery();
  },
  "single active consumer: the next one after a channel is closed": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"), { "x-single-active-consumer": true });
    await first.consume(q, { consumerTag: "a" });
    await second.consume(q, { consumerTag: "b" });
    first.publish("", q, "1");
    await first.delivery();
    await first.close();
    await second.delivery();
  },
  "single active consumer: exclusive is refused": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-single-active-consumer": true });
    await channel.refused(403, "basic.consume", { queue: q, exclusive: true });
  },
  "single active consumer: priorities are ignored": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-single-active-consumer": true });
    await channel.consume(q, { consumerTag: "a", noAck: true });
    await channel.consume(q, { consumerTag: "b", noAck: true }, { "x-priority": 10 });
    channel.publish("", q, "1");
    await channel.delivery();
  },
  "a large message": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "me" });
    channel.publish("", q, new Uint8Array(500_000).fill(66));
    await channel.delivery();
  },
  "properties over the consumer's frame_max": async (on) => {
    const publisher = await on.channel();
    const consumer = await on.channel({ frameMax: 4096 });
    const q = await publisher.queue(on.name("q"));
    await publisher.call("confirm.select");
    await publisher.put("", q, "a", { headers: { long: "x".repeat(10_000) } });
    await consumer.consume(q, { consumerTag: "me" });
    await consumer.peer.until(
      () => consumer.peer.received.some(({ name }) => /deliver|close|end/.test(name)),
      "a",
    );
  },
  "a body over the consumer's frame_max": async (on) => {
    const publisher = await on.channel();
    const consumer = await on.channel({ frameMax: 4096 });
    const q = await publisher.queue(on.name("q"));
    publisher.publish("", q, new Uint8Array(100_000).fill(67));
    await consumer.consume(q, { consumerTag: "me" });
    await consumer.delivery();
  },
  "a long name in every response": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q".repeat(240)));
    const consumerTag = "c".repeat(255);
    await channel.consume(q, { consumerTag });
    channel.publish("", q, "a", { correlationId: "i".repeat(255) });
    await channel.delivery();
    await channel.call("basic.cancel", { consumerTag });
  },
  "messages are requeued in order when several consumers are closed": async (on) => {
    const peer = await on.connect();
    const [first, second, last] = [await peer.channel(), await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"));
    for (const channel of [first, second]) {
      await channel.call("basic.qos", { prefetchCount: 3 });
      await channel.consume(q, { consumerTag: "me" });
    }
    for (const body of "123456") {
      last.publish("", q, body);
      await last.barrier(q);
    }
    await first.deliveries(3);
    await second.deliveries(3);
    await second.close();
    await last.barrier(q);
    await first.close();
    await last.barrier(q);
    await last.drain(q);
  },
  "delivery tags count per channel": async (on) => {
    const channel = await on.channel();
    const p = await channel.queue(on.name("p"));
    const q = await channel.queue(on.name("q"));
    await channel.consume(p, { consumerTag: "p" });
    channel.publish("", p, "a");
    await channel.delivery();
    channel.publish("", q, "b");
    await channel.get(q, false);
    await channel.consume(q, { consumerTag: "q", noAck: true });
    channel.publish("", q, "c");
    await channel.delivery();
    channel.publish("", p, "d");
    await channel.delivery();
  },
  "get does not overtake a waiting consumer of the channel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "me" });
    for (let round = 0; round < 10; round++) {
      channel.publish("", q, `${round}`);
      on.note(`get returns ${(await channel.get(q))?.text ?? "nothing"}`);
    }
    await channel.deliveries(10);
    // The order of empty replies and deliveries is not defined.
    for (const one of channel.peer.received) if (one.name === "basic.get-empty") one.hidden = true;
  },
  "get returns the messages that a consumer over its prefetch leaves": async (on) => {
    const peer = await on.connect();
    const [channel, other] = [await peer.channel(), await peer.channel()];
    const q = await channel.queue(on.name("q"));
    await other.call("basic.qos", { prefetchCount: 1 });
    await other.consume(q, { consumerTag: "me" });
    for (const body of "abc") channel.publish("", q, body);
    await channel.get(q);
    await channel.get(q);
    await channel.get(q);
    await other.delivery();
  },
  "purge, delete and declare do not count messages for a waiting consumer": async (on) => {
    const peer = await on.connect();
    const [channel, other] = [await peer.channel(), await peer.channel()];
    const q = await channel.queue(on.name("q"));
    await other.consume(q, { consumerTag: "me" });
    channel.publish("", q, "a");
    await channel.call("queue.purge", { queue: q });
    channel.publish("", q, "b");
    await channel.queue(q, {}, { passive: true });
    channel.publish("", q, "c");
    await channel.call("queue.delete", { queue: q, ifEmpty: true });
    await other.deliveries(3);
  },
});
