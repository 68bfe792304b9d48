import { cases, type Session } from "../case.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import type { PeerChannel } from "../peer.ts";

/** Makes a dead-letter exchange with a bound queue, and a queue that dead-letters to it. */
async function lettered(
  on: Session,
  channel: PeerChannel,
  args: FieldTable = {},
): Promise<{ q: string; dead: string; x: string }> {
  const x = await channel.exchange(on.name("dlx"), "fanout");
  const dead = await channel.queue(on.name("dead"));
  await channel.bind(dead, x);
  const q = await channel.queue(on.name("q"), { "x-dead-letter-exchange": x, ...args });
  return { q, dead, x };
}

export const deadLetter = cases("dead letter", {
  "rejected": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    for (const letter of "abc") channel.publish("", q, letter);
    for (let index = 0; index < 3; index++) await channel.get(q, false);
    channel.reject(1);
    channel.nack(2);
    channel.reject(3, true);
    await channel.ready(dead, 2);
    await channel.drain(dead);
    await channel.drain(q);
  },
  "rejected with multiple": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    for (const letter of "abc") channel.publish("", q, letter);
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(3);
    channel.nack(0, { multiple: true });
    await channel.ready(dead, 3);
    await channel.drain(dead);
  },
  "expired: the expiration is removed": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    const properties = { expiration: "20", headers: { mine: 1 }, deliveryMode: 2, messageId: "m" };
    channel.publish("", q, "a", properties);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "rejected: the expiration is kept": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    channel.publish("", q, "a", { expiration: "60000" });
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "over the maximum length": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length": 1 });
    for (const letter of "ab") channel.publish("", q, letter);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "with a dead-letter routing key": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-dead-letter-routing-key": "gone" });
    channel.publish("", q, "a");
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "with the publisher's routing key": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    const x = await channel.exchange(on.name("x"), "topic");
    await channel.bind(q, x, "#");
    channel.publish(x, "a.b", "a");
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "CC and BCC, without a dead-letter routing key": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    const other = await channel.queue(on.name("other"));
    channel.publish("", q, "a", { headers: { CC: [other], BCC: ["hidden"] } });
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
    await channel.drain(other);
  },
  "CC, with a dead-letter routing key": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-dead-letter-routing-key": "gone" });
    channel.publish("", q, "a", { headers: { CC: ["one", "two"] } });
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "a second death in the same queue increments the count": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    channel.publish("", q, "a");
    for (let round = 1; round <= 3; round++) {
      await channel.ready(q, 1);
      const got = await channel.get(q, false);
      channel.reject(got!.deliveryTag);
      await channel.ready(dead, 1);
      const letter = await channel.get(dead);
      channel.publish("", q, "again", letter!.properties);
    }
  },
  "through two queues": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    const first = await channel.queue(on.name("first"), {
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": q,
    });
    channel.publish("", first, "a", { headers: { mine: 1 } });
    for (const queue of [first, q]) {
      await channel.ready(queue, 1);
      const got = await channel.get(queue, false);
      channel.reject(got!.deliveryTag);
    }
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "expired, then rejected": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    const first = await channel.queue(on.name("first"), {
      "x-message-ttl": 10,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": q,
    });
    channel.publish("", first, "a");
    await channel.ready(q, 1);
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "a retry loop: expired, rejected, expired": async (on) => {
    const channel = await on.channel();
    const work = on.name("work");
    const wait = await channel.queue(on.name("wait"), {
      "x-message-ttl": 10,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": work,
    });
    await channel.queue(work, { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait });
    channel.publish("", work, "a");
    for (let round = 1; round <= 4; round++) {
      await channel.ready(work, 1);
      const got = await channel.get(work, false);
      channel.reject(got!.deliveryTag);
    }
    await channel.ready(work, 1);
    await channel.drain(work);
  },
  "a cycle without a rejection is dropped": async (on) => {
    const channel = await on.channel();
    const back = await channel.exchange(on.name("back"), "fanout");
    const b = await channel.queue(on.name("b"), { "x-message-ttl": 10, "x-dead-letter-exchange": back });
    const args = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": b };
    const a = await channel.queue(on.name("a"), args);
    const told = await channel.queue(on.name("told"));
    await channel.bind(a, back);
    await channel.bind(told, back);
    channel.publish("", a, "round", { expiration: "10" });
    await channel.ready(told, 1);
    await channel.barrier(a);
    await channel.drain(a);
    await channel.drain(told);
  },
  "a cycle with a rejection continues": async (on) => {
    const channel = await on.channel();
    const back = await channel.exchange(on.name("back"), "fanout");
    const b = await channel.queue(on.name("b"), { "x-message-ttl": 10, "x-dead-letter-exchange": back });
    const args = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": b };
    const a = await channel.queue(on.name("a"), args);
    await channel.bind(a, back);
    channel.publish("", a, "round");
    await channel.get(a, false);
    channel.reject(1);
    await channel.ready(a, 1);
    await channel.drain(a);
  },
  "a queue that is its own dead-letter queue": async (on) => {
    const channel = await on.channel();
    const q = on.name("q");
    await channel.queue(q, { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": q });
    channel.publish("", q, "a");
    for (let round = 1; round <= 2; round++) {
      await channel.ready(q, 1);
      const got = await channel.get(q, false);
      channel.reject(got!.deliveryTag);
    }
    await channel.ready(q, 1);
    await channel.drain(q);
  },
  "a full queue that is its own dead-letter queue": async (on) => {
    const channel = await on.channel();
    const q = on.name("q");
    await channel.queue(q, {
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": q,
      "x-max-length": 1,
    });
    for (const letter of "abc") channel.publish("", q, letter);
    await channel.barrier(q);
    await channel.drain(q);
  },
  "a missing dead-letter exchange": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-dead-letter-exchange": on.name("missing") });
    channel.publish("", q, "a");
    await channel.get(q, false);
    channel.reject(1);
    await channel.barrier(q);
    await channel.drain(q);
  },
  "purge and delete do not dead-letter": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    for (const letter of "ab") channel.publish("", q, letter);
    await channel.call("queue.purge", { queue: q });
    channel.publish("", q, "c");
    await channel.call("queue.delete", { queue: q });
    await channel.drain(dead);
  },
  "x-death from a publisher is kept": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    channel.publish("", q, "a", { headers: { "x-death": "no list" } });
    await channel.get(q, false);
    channel.reject(1);
    await channel.barrier(q);
    await channel.drain(dead);
  },
  "an alternate exchange routes a dead letter": async (on) => {
    const channel = await on.channel();
    const rest = await channel.exchange(on.name("rest"), "fanout");
    const x = await channel.exchange(on.name("x"), "direct", { "alternate-exchange": rest });
    const dead = await channel.queue(on.name("dead"));
    await channel.bind(dead, rest);
    const q = await channel.queue(on.name("q"), { "x-dead-letter-exchange": x });
    channel.publish("", q, "a");
    await channel.get(q, false);
    channel.reject(1);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "reject in a transaction": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel);
    channel.publish("", q, "a");
    await channel.call("tx.select");
    await channel.get(q, false);
    channel.reject(1);
    await channel.count(dead);
    await channel.call("tx.commit");
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "quorum: over the delivery limit": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("dlx"), "fanout");
    const dead = await channel.queue(on.name("dead"));
    await channel.bind(dead, x);
    const args = { "x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": x };
    const q = await channel.queue(on.name("q"), args, { durable: true });
    await channel.call("confirm.select");
    await channel.put("", q, "a");
    for (let round = 1; round <= 3; round++) {
      const got = await channel.got(q);
      channel.nack(got.deliveryTag, { requeue: true });
    }
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "quorum: the delivery count": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-queue-type": "quorum" }, { durable: true });
    await channel.call("confirm.select");
    await channel.put("", q, "a");
    for (let round = 1; round <= 3; round++) {
      const got = await channel.got(q);
      channel.nack(got.deliveryTag, { requeue: true });
    }
    await channel.ready(q, 1);
  },
  "quorum: rejected": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("dlx"), "fanout");
    const dead = await channel.queue(on.name("dead"));
    await channel.bind(dead, x);
    const args = { "x-queue-type": "quorum", "x-dead-letter-exchange": x };
    const q = await channel.queue(on.name("q"), args, { durable: true });
    await channel.call("confirm.select");
    await channel.put("", q, "a");
    const got = await channel.got(q);
    channel.reject(got.deliveryTag);
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "headers of 40 nested tables": async (on) => {
    const channel = await on.channel();
    const headers = nested(40);
    const rejected = await lettered(on, channel);
    channel.publish("", rejected.q, "a", { headers });
    channel.reject((await channel.got(rejected.q)).deliveryTag);
    await channel.ready(rejected.dead, 1);
    await channel.drain(rejected.dead);
    const full = await channel.queue(on.name("full"), {
      "x-max-length": 1,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": rejected.dead,
    });
    channel.publish("", full, "b", { headers });
    // The next publisher is not the one of the message that dies.
    const other = await on.channel();
    other.publish("", full, "c");
    await other.count(full);
    await channel.ready(rejected.dead, 1);
    await channel.drain(rejected.dead);
    const quorum = await channel.queue(on.name("quorum"), { "x-queue-type": "quorum" }, { durable: true });
    await channel.call("confirm.select");
    await channel.put("", quorum, "d", { headers });
    channel.nack((await channel.got(quorum)).deliveryTag, { requeue: true });
    await channel.ready(quorum, 1);
    await channel.got(quorum);
  },
  "headers of 300 nested tables": [async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("confirm.select");
    channel.send("basic.publish", { routingKey: q });
    peer.header(channel.number, 0, encodedHeaders(300));
    await peer.until(() => peer.received.some(({ name }) => /ack|close/.test(name)), "an answer");
  }, {
    why: "headers nested deeper than 256 tables are refused",
    rabbit: /1\.1 basic\.ack .*/,
    ours: /1\.1 channel\.close replyCode=406 .*256.*/,
  }],
});

function nested(depth: number): FieldTable {
  return depth === 1 ? {} : { t: nested(depth - 1) };
}

/** Encodes properties whose headers are nested tables. */
function encodedHeaders(depth: number): Uint8Array {
  // The flag of the headers; then the length of each table, the name `t` and the type of a table.
  const size = 4 + (depth - 1) * 7;
  const bytes = new Uint8Array(2 + size);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x2000);
  for (let at = 2, left = size - 4; left >= 0; at += 7, left -= 7) {
    view.setUint32(at, left);
    if (left > 0) bytes.set([1, 0x74, 0x46], at + 4);
  }
  return bytes;
}
