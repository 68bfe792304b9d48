import { cases, type Session } from "../case.ts";
import type { PeerChannel } from "../peer.ts";

/** Makes a queue with messages named by letters, and a consumer that has received all of them. */
async function delivered(on: Session, channel: PeerChannel, letters: string): Promise<string> {
  const q = await channel.queue(on.name("q"));
  for (const letter of letters) channel.publish("", q, letter);
  await channel.consume(q, { consumerTag: "me" });
  await channel.deliveries(letters.length);
  return q;
}

/** Notes the messages that are left after the channel is closed. */
async function left(channel: PeerChannel, q: string): Promise<void> {
  await channel.close();
  await channel.call("channel.open");
  await channel.drain(q);
}

export const ack = cases("ack", {
  "acknowledges one message": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.ack(2);
    await left(channel, q);
  },
  "acknowledges several messages": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.ack(2, true);
    await left(channel, q);
  },
  "acknowledges all messages": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.ack(0, true);
    await left(channel, q);
  },
  "acknowledges all when no message is unacknowledged": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.ack(0, true);
    await channel.queue(q);
  },
  "tag 0, not multiple": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "a");
    channel.ack(0);
    await channel.closed(406);
  },
  "an unknown tag": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "a");
    channel.ack(2);
    await channel.closed(406);
  },
  "an unknown tag, multiple": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "ab");
    channel.ack(7, true);
    await channel.closed(406);
  },
  "acknowledges a tag twice": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "ab");
    channel.ack(1);
    channel.ack(1);
    await channel.closed(406);
  },
  "a lower tag, multiple, after it is acknowledged": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "abc");
    channel.ack(2, true);
    channel.ack(1, true);
    await channel.closed(406);
  },
  "multiple up to an acknowledged tag, with unacknowledged ones before it": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "abc");
    channel.ack(2);
    channel.ack(2, true);
    await channel.closed(406);
  },
  "out of order": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abcd");
    for (const tag of [4, 1, 3]) channel.ack(tag);
    await left(channel, q);
  },
  "a tag of a consumer without acknowledgement": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    await channel.consume(q, { consumerTag: "me", noAck: true });
    await channel.delivery();
    channel.ack(1);
    await channel.closed(406);
  },
  "reject": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.reject(2);
    await left(channel, q);
  },
  "reject and requeue": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.reject(2, true);
    await channel.delivery();
    await left(channel, q);
  },
  "reject of an unknown tag": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "a");
    channel.reject(5);
    await channel.closed(406);
  },
  "nack": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.nack(2);
    await left(channel, q);
  },
  "nack of several": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.nack(2, { multiple: true });
    await left(channel, q);
  },
  "nack of all": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.nack(0, { multiple: true });
    await left(channel, q);
  },
  "nack of an unknown tag": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "a");
    channel.nack(5);
    await channel.closed(406);
  },
  "nack and requeue several": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abcd");
    await channel.call("basic.cancel", { consumerTag: "me" });
    channel.nack(3, { multiple: true, requeue: true });
    await channel.ready(q, 3);
    await channel.drain(q);
  },
  "a requeued message returns to its position": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const letter of "abcde") channel.publish("", q, letter);
    for (let index = 0; index < 3; index++) await channel.get(q, false);
    channel.reject(2, true);
    channel.reject(1, true);
    await channel.ready(q, 4);
    await channel.drain(q);
  },
  "the message requeued last is delivered first": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const letter of "abc") channel.publish("", q, letter);
    await channel.get(q, false);
    await channel.get(q, false);
    channel.nack(1, { requeue: true });
    channel.nack(2, { requeue: true });
    await channel.ready(q, 3);
    await channel.drain(q);
  },
  "redelivered to another consumer": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await delivered(on, first, "a");
    await second.consume(q, { consumerTag: "other" });
    await first.close();
    await second.delivery();
  },
  "redelivered when the connection is cut": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await delivered(on, first, "ab");
    first.peer.cut();
    await second.ready(q, 2);
    await second.drain(q);
  },
  "get: acknowledged": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const letter of "ab") channel.publish("", q, letter);
    channel.ack((await channel.get(q, false))!.deliveryTag);
    await left(channel, q);
  },
  "get: reports the number of remaining messages": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.get(q);
    for (const letter of "abc") channel.publish("", q, letter);
    await channel.drain(q);
  },
  "get: a missing queue": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "basic.get", { queue: on.name("missing") });
  },
  "get: redelivered": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    for (let round = 1; round <= 3; round++) {
      const got = await channel.get(q, false);
      channel.nack(got!.deliveryTag, { requeue: true });
      await channel.ready(q, 1);
    }
  },
  "recover": async (on) => {
    const channel = await on.channel();
    const q = await delivered(on, channel, "abc");
    channel.ack(1);
    await channel.call("basic.recover", { requeue: true });
    await channel.deliveries(2);
    await left(channel, q);
  },
  "recover without requeue": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "a");
    await channel.refused(540, "basic.recover", { requeue: false });
  },
  "recover asynchronously": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "ab");
    channel.send("basic.recover-async", { requeue: true });
    await channel.deliveries(2);
  },
  "recover without unacknowledged messages": async (on) => {
    const channel = await on.channel();
    await channel.call("basic.recover", { requeue: true });
  },
  "tags of recovered messages are invalid": async (on) => {
    const channel = await on.channel();
    await delivered(on, channel, "a");
    await channel.call("basic.recover", { requeue: true });
    await channel.delivery();
    channel.ack(1);
    await channel.closed(406);
  },
});
