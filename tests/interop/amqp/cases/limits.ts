import { cases, type Session } from "../case.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import type { PeerChannel } from "../peer.ts";

/** Makes a queue with the given arguments that dead-letters to another queue. */
async function lettered(
  on: Session,
  channel: PeerChannel,
  args: FieldTable,
  letters = "",
): Promise<{ q: string; dead: string }> {
  const dead = await channel.queue(on.name("dead"));
  const q = await channel.queue(on.name("q"), {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": dead,
    ...args,
  });
  for (const letter of letters) channel.publish("", q, letter);
  return { q, dead };
}

export const ttl = cases("ttl", {
  "0 of a queue: get never returns a message": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 0 });
    for (let round = 0; round < 20; round++) {
      channel.publish("", q, `${round}`);
      await channel.get(q);
    }
    await channel.ready(dead, 20);
  },
  "0 of a message: get returns the message before it": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, {}, "a");
    channel.publish("", q, "b", { expiration: "0" });
    await channel.get(q);
    await channel.get(q);
    await channel.ready(dead, 1);
  },
  "0 of a queue: a consumer without room gets nothing when it acknowledges": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 0 });
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "me" });
    channel.publish("", q, "a");
    await channel.delivery();
    channel.publish("", q, "b");
    await channel.ready(dead, 1);
    channel.ack(1);
    await channel.barrier(q);
  },
  "0 of a queue: a later consumer gets nothing": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 0 });
    for (let round = 0; round < 10; round++) {
      channel.publish("", q, `${round}`);
      await channel.consume(q, { consumerTag: "me" });
      await channel.call("basic.cancel", { consumerTag: "me" });
    }
    await channel.ready(dead, 10);
  },
  "the largest times to live do not expire at once": async (on) => {
    const channel = await on.channel();
    for (
      const [name, args] of Object.entries({
        "ttl": { "x-message-ttl": 315_360_000_000n },
        "expires": { "x-expires": 315_360_000_000n },
        "plain": {},
      })
    ) {
      const q = await channel.queue(on.name(name), args);
      channel.publish("", q, "a", { expiration: "315360000000" });
      await channel.barrier(q);
      await channel.get(q);
    }
  },
  "a time to live over the limit": async (on) => {
    const channel = await on.channel();
    await channel.refused(406, "queue.declare", {
      queue: on.name("q"),
      arguments: { "x-message-ttl": 315_360_000_001n },
    });
    await channel.call("channel.open");
    await channel.refused(406, "queue.declare", {
      queue: on.name("q"),
      arguments: { "x-expires": 315_360_000_001n },
    });
  },
  "of a queue": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 50 }, "abc");
    await channel.ready(dead, 3);
    await channel.count(q);
    await channel.drain(dead);
  },
  "of a message": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, {});
    channel.publish("", q, "a", { expiration: "50" });
    await channel.ready(dead, 1);
    await channel.get(q);
    await channel.drain(dead);
  },
  "the shorter one applies": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 60_000 });
    channel.publish("", q, "a", { expiration: "50" });
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "a longer one of the message is ignored": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 50 });
    channel.publish("", q, "a", { expiration: "60000" });
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "0 of a queue: only a waiting consumer gets the message": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 0 }, "a");
    await channel.ready(dead, 1);
    await channel.consume(q, { consumerTag: "me" });
    channel.publish("", q, "b");
    await channel.delivery();
    await channel.barrier(q);
    await channel.drain(dead);
  },
  "0 of a message": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, {});
    channel.publish("", q, "a", { expiration: "0" });
    await channel.ready(dead, 1);
    await channel.drain(dead);
  },
  "after a message that does not expire": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, {});
    channel.publish("", q, "stays");
    channel.publish("", q, "goes", { expiration: "1" });
    channel.publish("", q, "stays");
    await channel.get(q);
    await channel.ready(dead, 1);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "expired messages are not counted": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, {});
    // Both expire at the same time; the dead letter of this one shows when.
    const other = await channel.queue(on.name("other"), {
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": on.name("told"),
    });
    await channel.queue(on.name("told"));
    channel.publish("", q, "stays");
    channel.publish("", q, "goes", { expiration: "20" });
    channel.publish("", q, "stays");
    channel.publish("", other, "goes", { expiration: "25" });
    await channel.ready(on.name("told"), 1);
    await channel.get(q);
    await channel.count(q);
    await channel.drain(q);
    await channel.ready(dead, 1);
  },
  "an unacknowledged message does not expire": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-message-ttl": 60 }, "ab");
    await channel.get(q, false);
    await channel.ready(dead, 1);
    channel.nack(1, { requeue: true });
    await channel.ready(dead, 2);
    await channel.drain(dead);
  },
  "without a dead-letter exchange": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-message-ttl": 50 });
    await channel.call("confirm.select");
    await channel.put("", q, "a");
    await channel.ready(q, 0);
    await channel.get(q);
  },
  "the expiration is kept until the message expires": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-message-ttl": 60_000 });
    channel.publish("", q, "a", { expiration: "50000" });
    await channel.get(q);
  },
});

export const maxlen = cases("max length", {
  "drops the oldest": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length": 2 }, "abcd");
    await channel.ready(dead, 2);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "drops without a dead-letter exchange": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-length": 2 });
    for (const letter of "abcd") channel.publish("", q, letter);
    await channel.drain(q);
  },
  "of 0": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length": 0 }, "ab");
    await channel.ready(dead, 2);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "of 0, with a consumer": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length": 0 });
    await channel.consume(q, { consumerTag: "me" });
    for (const letter of "ab") channel.publish("", q, letter);
    await channel.deliveries(2);
    await channel.barrier(q);
    await channel.drain(dead);
  },
  "unacknowledged messages are not counted": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length": 2 }, "ab");
    await channel.get(q, false);
    await channel.get(q, false);
    for (const letter of "cd") channel.publish("", q, letter);
    await channel.barrier(q);
    await channel.drain(dead);
    await channel.drain(q);
  },
  "a requeued message can be dropped": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length": 2 }, "ab");
    await channel.get(q, false);
    channel.publish("", q, "c");
    channel.nack(1, { requeue: true });
    await channel.barrier(q);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "in bytes": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length-bytes": 10 });
    for (const body of ["12345", "67890", "1", "12345678901"]) channel.publish("", q, body);
    await channel.ready(dead, 4);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "in bytes and messages": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-length-bytes": 10, "x-max-length": 3 });
    for (const body of ["1", "2", "3", "4", "1234567"]) channel.publish("", q, body);
    await channel.ready(dead, 2);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "reject-publish: nack": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-length": 2, "x-overflow": "reject-publish" });
    await channel.call("confirm.select");
    for (const letter of "abcd") await channel.put("", q, letter);
    await channel.drain(q);
    await channel.put("", q, "e");
    await channel.drain(q);
  },
  "reject-publish: dropped without confirms": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(
      on,
      channel,
      { "x-max-length": 2, "x-overflow": "reject-publish" },
      "abcd",
    );
    await channel.drain(q);
    await channel.drain(dead);
  },
  "reject-publish: one of two queues is full": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    const q = await channel.queue(on.name("q"), { "x-max-length": 1, "x-overflow": "reject-publish" });
    const p = await channel.queue(on.name("p"));
    await channel.bind(q, x);
    await channel.bind(p, x);
    await channel.call("confirm.select");
    for (const letter of "abc") await channel.put(x, "", letter);
    await channel.drain(q);
    await channel.drain(p);
  },
  "reject-publish: in bytes": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-length-bytes": 5, "x-overflow": "reject-publish" });
    await channel.call("confirm.select");
    for (const body of ["123", "456", "7", "8"]) await channel.put("", q, body);
    await channel.drain(q);
  },
  "reject-publish-dlx: nack, and a dead letter": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, {
      "x-max-length": 1,
      "x-overflow": "reject-publish-dlx",
    });
    await channel.call("confirm.select");
    for (const letter of "abc") await channel.put("", q, letter);
    await channel.ready(dead, 2);
    await channel.drain(q);
    await channel.drain(dead);
  },
  "reject-publish: a mandatory message": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-length": 1, "x-overflow": "reject-publish" });
    await channel.call("confirm.select");
    for (const letter of "ab") await channel.put("", q, letter, {}, true);
    await channel.drain(q);
  },
  "reject-publish in a transaction": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-length": 1, "x-overflow": "reject-publish" });
    await channel.call("tx.select");
    for (const letter of "ab") channel.publish("", q, letter);
    await channel.refused(406, "tx.commit");
    await channel.call("channel.open");
    await channel.ready(q, 1);
    await channel.drain(q);
  },
});

export const priority = cases("priority", {
  "the highest priority is delivered first": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-priority": 5 });
    for (const [index, priority] of [1, 5, 3, 0, 5, 2].entries()) {
      channel.publish("", q, `${index}`, { priority });
    }
    channel.publish("", q, "none");
    await channel.drain(q);
  },
  "a priority over the maximum is treated as the maximum": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-priority": 3 });
    for (const [index, priority] of [3, 200, 2, 3].entries()) {
      channel.publish("", q, `${index}`, { priority });
    }
    await channel.drain(q);
  },
  "a queue without priorities ignores them": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const [index, priority] of [1, 5, 3].entries()) channel.publish("", q, `${index}`, { priority });
    await channel.drain(q);
  },
  "messages that wait for a consumer": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-priority": 9 });
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "me" });
    channel.publish("", q, "first", { priority: 1 });
    await channel.delivery();
    for (const priority of [1, 9, 5]) channel.publish("", q, `${priority}`, { priority });
    for (let tag = 1; tag <= 3; tag++) {
      await channel.barrier(q);
      channel.ack(tag);
      await channel.delivery();
    }
  },
  "requeued with its priority": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-priority": 5 });
    for (const [body, priority] of [["a", 1], ["b", 1], ["c", 4]] as const) {
      channel.publish("", q, body, { priority });
    }
    for (let index = 0; index < 3; index++) await channel.get(q, false);
    channel.nack(0, { multiple: true, requeue: true });
    await channel.ready(q, 3);
    await channel.drain(q);
  },
  "a full queue drops the lowest priority": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-priority": 5, "x-max-length": 2 });
    for (const [body, priority] of [["a", 5], ["b", 1], ["c", 3], ["d", 0]] as const) {
      channel.publish("", q, body, { priority });
    }
    await channel.drain(q);
  },
  "0 levels": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-priority": 0 });
    for (const priority of [0, 5, 2]) channel.publish("", q, `${priority}`, { priority });
    await channel.drain(q);
  },
  "expires after a higher priority that does not expire": async (on) => {
    const channel = await on.channel();
    const { q, dead } = await lettered(on, channel, { "x-max-priority": 5 });
    channel.publish("", q, "stays", { priority: 5 });
    channel.publish("", q, "goes", { priority: 1, expiration: "20" });
    await channel.get(q);
    await channel.ready(dead, 1);
    await channel.drain(q);
    await channel.drain(dead);
  },
});
