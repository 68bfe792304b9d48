import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { DEADLINE, waitFor } from "../../../support/helpers.ts";
import { cases, type Difference, type Session } from "../case.ts";
import type { PeerChannel } from "../peer.ts";

/** Makes a quorum queue with confirmed messages named by letters. */
async function filled(
  on: Session,
  channel: PeerChannel,
  letters: string,
  args: FieldTable = {},
): Promise<string> {
  const q = await channel.queue(on.name("q"), { "x-queue-type": "quorum", ...args }, { durable: true });
  await channel.call("confirm.select", {}, true);
  for (const letter of letters) await channel.put("", q, letter, { deliveryMode: 2 });
  return q;
}

/** Fetches all messages one by one. */
async function taken(on: Session, channel: PeerChannel, q: string, count: number): Promise<void> {
  const list: string[] = [];
  for (let index = 0; index < count; index++) {
    const one = await channel.got(q);
    channel.ack(one.deliveryTag);
    list.push(`${one.text}${one.args["redelivered"] === true ? " again" : ""}`);
    one.hidden = true;
  }
  on.note(`${q.replace(on.nonce, "")}: ${list.join(", ")}`);
}

const TO_THE_END: Difference = {
  why: "a message requeued to a quorum queue returns to its original position",
  rabbit: /^q: .*$/m,
  ours: /^q: a again, b again(, c again, d|, c, d)$/m,
};

export const quorum = cases("quorum", {
  "first in, first out": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd");
    await channel.ready(q, 4);
    await taken(on, channel, q, 4);
    await channel.ready(q, 0);
  },
  "a consumer": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 10 });
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(3);
    channel.ack(3, true);
    await channel.ready(q, 0);
  },
  "prefetch": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "me" });
    await channel.delivery();
    await channel.barrier(q);
    channel.ack(1);
    await channel.delivery();
    channel.ack(2);
    await channel.delivery();
  },
  "requeued messages": [async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd");
    const one = await channel.got(q);
    const two = await channel.got(q);
    one.hidden = two.hidden = true;
    channel.nack(two.deliveryTag, { requeue: true });
    await channel.ready(q, 3);
    channel.nack(one.deliveryTag, { requeue: true });
    await channel.ready(q, 4);
    await taken(on, channel, q, 4);
  }, TO_THE_END],
  "requeued messages, with a delivery limit": [async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd", { "x-delivery-limit": 10 });
    const one = await channel.got(q);
    const two = await channel.got(q);
    one.hidden = two.hidden = true;
    channel.nack(two.deliveryTag, { requeue: true });
    await channel.ready(q, 3);
    channel.nack(one.deliveryTag, { requeue: true });
    await channel.ready(q, 4);
    await taken(on, channel, q, 4);
  }, TO_THE_END],
  "several messages requeued together": [async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd");
    for (let index = 0; index < 3; index++) (await channel.got(q)).hidden = true;
    channel.nack(0, { multiple: true, requeue: true });
    await channel.ready(q, 4);
    await taken(on, channel, q, 4);
  }, TO_THE_END],
  "messages requeued by a closed channel": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    for (let index = 0; index < 2; index++) (await channel.got(q)).hidden = true;
    await channel.close();
    await channel.call("channel.open");
    await channel.ready(q, 3);
    await taken(on, channel, q, 3);
  },
  "purge and delete": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abc");
    await channel.call("queue.purge", { queue: q });
    await channel.put("", q, "d");
    await channel.ready(q, 1);
    await channel.call("queue.delete", { queue: q });
  },
  "drop-head": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "abcd", { "x-max-length": 2 });
    await channel.ready(q, 2);
    await taken(on, channel, q, 2);
  },
  "dead letters of drop-head": async (on) => {
    const channel = await on.channel();
    const dead = await channel.queue(on.name("dead"));
    const args = { "x-max-length": 2, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead };
    const q = await filled(on, channel, "abcd", args);
    await channel.ready(dead, 2);
    await channel.drain(dead);
    await taken(on, channel, q, 2);
  },
  "time to live": async (on) => {
    const channel = await on.channel();
    const dead = await channel.queue(on.name("dead"));
    const args = { "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead };
    await filled(on, channel, "ab", args);
    await channel.ready(dead, 2);
    await channel.drain(dead);
  },
  "single active consumer": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "", { "x-single-active-consumer": true });
    await channel.call("basic.qos", { prefetchCount: 10 });
    await channel.consume(q, { consumerTag: "a" });
    await channel.consume(q, { consumerTag: "b" });
    await channel.put("", q, "1");
    channel.ack((await channel.delivery()).deliveryTag);
    await channel.put("", q, "2");
    channel.ack((await channel.delivery()).deliveryTag);
    await channel.call("basic.cancel", { consumerTag: "a" });
    await channel.put("", q, "3");
    await channel.delivery();
    // The order of confirms and deliveries is not defined.
    for (const one of channel.peer.received) if (one.name === "basic.ack") one.hidden = true;
  },
  "round-robin between two consumers": async (on) => {
    const peer = await on.connect();
    const [channel, publisher] = [await peer.channel(), await peer.channel()];
    const q = await filled(on, publisher, "");
    await channel.call("basic.qos", { prefetchCount: 10 });
    await channel.consume(q, { consumerTag: "a" });
    await channel.consume(q, { consumerTag: "b" });
    for (const body of "1234") {
      await publisher.put("", q, body);
      await channel.delivery();
    }
  },
  "the queue is deleted: the consumer is cancelled": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await filled(on, first, "");
    await first.consume(q, { consumerTag: "a" });
    await second.call("queue.delete", { queue: q });
    await first.take("basic.cancel");
  },
  "a rejected message without a dead-letter exchange": async (on) => {
    const channel = await on.channel();
    const q = await filled(on, channel, "ab");
    const one = await channel.got(q);
    one.hidden = true;
    channel.reject(one.deliveryTag);
    await taken(on, channel, q, 1);
    await channel.ready(q, 0);
  },
  "a delivery limit of 0": async (on) => {
    const channel = await on.channel();
    const dead = await channel.queue(on.name("dead"));
    const args = { "x-delivery-limit": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead };
    const q = await filled(on, channel, "a", args);
    const one = await channel.got(q);
    one.hidden = true;
    channel.nack(one.deliveryTag, { requeue: true });
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "a name generated by the server": async (on) => {
    const channel = await on.channel();
    const args = { "x-queue-type": "quorum" };
    await channel.refused(406, "queue.declare", { queue: "", durable: true, arguments: args });
  },
  "a negative delivery limit": [
    async (on) => {
      const channel = await on.channel();
      const dead = await channel.queue(on.name("dead"));
      const args = {
        "x-delivery-limit": -1,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
      };
      const q = await filled(on, channel, "a", args);
      const one = await channel.got(q);
      one.hidden = true;
      channel.nack(one.deliveryTag, { requeue: true });
      const count = async (queue: string) =>
        (await channel.call("queue.declare", { queue, passive: true }, true)).messageCount;
      const where = await waitFor(
        async () => {
          if (await count(q) > 0) return "it is back";
          return await count(dead) > 0 ? "it died" : undefined;
        },
        DEADLINE,
        "the message",
      );
      on.note(where!);
    },
    {
      why: "a negative delivery limit means no limit",
      rabbit: /it died/,
      ours: /it is back/,
    },
  ],
  "get from a queue with a single active consumer": async (on) => {
    const channel = await on.channel();
    const args = { "x-queue-type": "quorum", "x-single-active-consumer": true };
    const q = await channel.queue(on.name("q"), args, { durable: true });
    await channel.refused(405, "basic.get", { queue: q });
    await channel.call("channel.open");
    await channel.consume(q, { consumerTag: "me" });
    await channel.refused(405, "basic.get", { queue: q });
  },
});
