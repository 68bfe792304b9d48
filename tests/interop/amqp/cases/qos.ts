import { cases, type Session } from "../case.ts";
import type { PeerChannel } from "../peer.ts";

async function filled(on: Session, channel: PeerChannel, letters: string): Promise<string> {
  const q = await channel.queue(on.name("q"));
  for (const letter of letters) channel.publish("", q, letter);
  return q;
}

export const qos = cases("qos", {
  "the prefetch limits the unacknowledged messages of a consumer": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcde");
    await channel.call("basic.qos", { prefetchCount: 2 });
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(2);
    await channel.barrier(q);
    channel.ack(1);
    await channel.delivery();
    await channel.barrier(q);
    channel.ack(3, true);
    await channel.deliveries(2);
  },
  "applies to each new consumer": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcdef");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "one" });
    await channel.delivery();
    await channel.call("basic.qos", { prefetchCount: 2 });
    await channel.consume(q, { consumerTag: "two" });
    await channel.deliveries(2);
    await channel.count(q);
  },
  "does not change existing consumers": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "one" });
    await channel.delivery();
    await channel.call("basic.qos", { prefetchCount: 3 });
    await channel.barrier(q);
    channel.ack(1);
    await channel.delivery();
    await channel.count(q);
  },
  "global: limits the unacknowledged messages of the channel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 3, global: true });
    await channel.consume(q, { consumerTag: "one" });
    await channel.consume(q, { consumerTag: "two" });
    for (const letter of "abcde") {
      channel.publish("", q, letter);
      await channel.barrier(q);
    }
    await channel.deliveries(3);
    channel.ack(1);
    await channel.delivery();
    await channel.count(q);
  },
  "global over two queues": async (on) => {
    const channel = await on.channel();
    const p = await channel.queue(on.name("p"));
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    await channel.consume(p, { consumerTag: "p" });
    await channel.consume(q, { consumerTag: "q" });
    channel.publish("", p, "a");
    await channel.delivery();
    channel.publish("", q, "b");
    await channel.barrier(q);
    channel.ack(1);
    await channel.delivery();
  },
  "per consumer, then global": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 2 });
    await channel.call("basic.qos", { prefetchCount: 3, global: true });
    await channel.consume(q, { consumerTag: "one" });
    await channel.consume(q, { consumerTag: "two" });
    for (const letter of "abcde") {
      channel.publish("", q, letter);
      await channel.barrier(q);
    }
    await channel.deliveries(3);
    await channel.count(q);
  },
  "global, then per consumer": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("basic.qos", { prefetchCount: 3, global: true });
    await channel.call("basic.qos", { prefetchCount: 2 });
    await channel.consume(q, { consumerTag: "one" });
    await channel.consume(q, { consumerTag: "two" });
    for (const letter of "abcde") {
      channel.publish("", q, letter);
      await channel.barrier(q);
    }
    await channel.deliveries(4);
    await channel.count(q);
  },
  "global, raised while it is reached": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    await channel.consume(q, { consumerTag: "me" });
    await channel.delivery();
    await channel.barrier(q);
    await channel.call("basic.qos", { prefetchCount: 0, global: true });
    await channel.deliveries(2);
  },
  "global, lowered": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd");
    await channel.call("basic.qos", { prefetchCount: 3, global: true });
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(3);
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    channel.ack(1);
    channel.ack(2);
    await channel.barrier(q);
    channel.ack(3);
    await channel.delivery();
  },
  "consumers without acknowledgement are not limited": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "me", noAck: true });
    await channel.deliveries(3);
  },
  "global: consumers without acknowledgement wait while the limit is reached": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "a");
    const other = await channel.queue(on.name("other"));
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    await channel.consume(q, { consumerTag: "me" });
    await channel.delivery();
    await channel.consume(other, { consumerTag: "free", noAck: true });
    channel.publish("", other, "c");
    await channel.barrier(other);
    const held = channel.peer.received.every(({ args }) =>
      args["consumerTag"] !== "free" || !("redelivered" in args)
    );
    on.note(held ? "held back" : "not held back");
    channel.ack(1);
    await channel.delivery();
    for (const one of channel.peer.received) if (one.name === "basic.deliver") one.hidden = true;
  },
  "global: consumers without acknowledgement do not count": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    await channel.consume(q, { consumerTag: "free", noAck: true });
    await channel.deliveries(3);
  },
  "global: each of three queues is served": async (on) => {
    const channel = await on.channel();
    const served = new Set<unknown>();
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    for (const name of ["one", "two", "three"]) {
      const q = await channel.queue(on.name(name));
      for (const body of "abcdefghijklmnopqrst") channel.publish("", q, body);
      await channel.barrier(q);
      await channel.consume(q, { consumerTag: name });
    }
    for (let count = 0; count < 20; count++) {
      const one = await channel.delivery();
      served.add(one.args["consumerTag"]);
      one.hidden = true;
      channel.ack(one.deliveryTag);
    }
    // One more may arrive.
    await channel.call("channel.close", { replyCode: 200 });
    for (const one of channel.peer.received) if (one.name === "basic.deliver") one.hidden = true;
    on.note(`${served.size} consumers are served`);
  },
  "global: messages fetched with get before are not counted": [
    async (on) => {
      const channel = await on.channel();
      const q = await filled(on, channel, "ab");
      const got = await channel.get(q, false);
      await channel.call("basic.qos", { prefetchCount: 1, global: true });
      await channel.consume(q, { consumerTag: "me" });
      channel.ack(got!.deliveryTag);
      await channel.barrier(q);
      const delivered = channel.peer.received.filter(({ name }) => name === "basic.deliver");
      on.note(delivered.length === 0 ? "nothing came" : "one came");
      for (const one of delivered) one.hidden = true;
    },
    {
      why: "messages fetched with basic.get do not count for a prefetch",
      rabbit: /nothing came/,
      ours: /one came/,
    },
  ],
  "get is not limited": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1, global: true });
    await channel.get(q, false);
    await channel.get(q, false);
  },
  "a prefetch size is refused": async (on) => {
    const channel = await on.channel();
    await channel.refused(540, "basic.qos", { prefetchSize: 1000 });
  },
  "0 means no limit": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.call("basic.qos", { prefetchCount: 0 });
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(3);
  },
  "reject frees the prefetch": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "me" });
    await channel.delivery();
    channel.reject(1);
    await channel.delivery();
    channel.nack(2, { requeue: true });
    await channel.delivery();
  },
});
