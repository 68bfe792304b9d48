import { cases } from "../case.ts";

export const tx = cases("tx", {
  "commit publishes": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"));
    await first.call("tx.select");
    for (const body of ["a", "b"]) first.publish("", q, body);
    await first.count(q);
    await first.call("tx.commit");
    await second.drain(q);
    first.publish("", q, "c");
    await first.call("tx.commit");
    await second.drain(q);
  },
  "rollback discards published messages": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("tx.select");
    channel.publish("", q, "a");
    await channel.call("tx.rollback");
    channel.publish("", q, "b");
    await channel.call("tx.commit");
    await channel.drain(q);
  },
  "commit acknowledges": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b", "c"]) channel.publish("", q, body);
    await channel.call("tx.select");
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(3);
    channel.ack(2, true);
    await channel.call("tx.commit");
    await channel.close();
    await channel.call("channel.open");
    await channel.drain(q);
  },
  "rollback discards acknowledgements": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b"]) channel.publish("", q, body);
    await channel.call("tx.select");
    await channel.consume(q, { consumerTag: "me" });
    await channel.deliveries(2);
    channel.ack(1);
    await channel.call("tx.rollback");
    channel.ack(1);
    channel.ack(2);
    await channel.call("tx.commit");
    await channel.close();
    await channel.call("channel.open");
    await channel.drain(q);
  },
  "commit rejects": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b"]) channel.publish("", q, body);
    await channel.call("tx.select");
    await channel.get(q, false);
    await channel.get(q, false);
    channel.reject(1, true);
    channel.nack(2);
    await channel.count(q);
    await channel.call("tx.commit");
    await channel.ready(q, 1);
    await channel.drain(q);
  },
  "close rolls back": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "there");
    await channel.call("tx.select");
    await channel.get(q, false);
    channel.ack(1);
    channel.publish("", q, "never");
    await channel.close();
    await channel.call("channel.open");
    await channel.drain(q);
  },
  "select twice": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("tx.select");
    channel.publish("", q, "a");
    await channel.call("tx.select");
    await channel.call("tx.commit");
    await channel.drain(q);
  },
  "commit without select": async (on) => {
    const channel = await on.channel();
    await channel.refused(406, "tx.commit");
  },
  "rollback without select": async (on) => {
    const channel = await on.channel();
    await channel.refused(406, "tx.rollback");
  },
  "an empty commit": async (on) => {
    const channel = await on.channel();
    await channel.call("tx.select");
    await channel.call("tx.commit");
    await channel.call("tx.rollback");
  },
  "tx.select on a channel in confirm mode": async (on) => {
    const channel = await on.channel();
    await channel.call("confirm.select");
    await channel.refused(406, "tx.select");
  },
  "confirm.select on a transactional channel": async (on) => {
    const channel = await on.channel();
    await channel.call("tx.select");
    await channel.refused(406, "confirm.select");
  },
  "mandatory messages are returned at commit": async (on) => {
    const channel = await on.channel();
    await channel.call("tx.select");
    channel.publish("", on.name("missing"), "a", {}, true);
    await channel.queue(on.name("q"));
    await channel.call("tx.commit");
    await channel.take("basic.return");
  },
  "a missing exchange is reported at once": async (on) => {
    const channel = await on.channel();
    await channel.call("tx.select");
    channel.publish(on.name("missing"), "key", "a");
    await channel.closed(404);
  },
  "an unknown tag is reported at once": async (on) => {
    const channel = await on.channel();
    await channel.call("tx.select");
    channel.ack(5);
    await channel.closed(406);
  },
  "acknowledgements free the prefetch at commit": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b"]) channel.publish("", q, body);
    await channel.call("tx.select");
    await channel.call("basic.qos", { prefetchCount: 1 });
    await channel.consume(q, { consumerTag: "me" });
    await channel.delivery();
    channel.ack(1);
    await channel.barrier(q);
    await channel.call("tx.commit");
    await channel.delivery();
  },
  "publish and acknowledge in one transaction": async (on) => {
    const channel = await on.channel();
    const p = await channel.queue(on.name("p"), {}, { durable: true });
    const q = await channel.queue(on.name("q"), {}, { durable: true });
    channel.publish("", p, "a", { deliveryMode: 2 });
    await channel.call("tx.select");
    const got = await channel.get(p, false);
    channel.publish("", q, "b", { deliveryMode: 2 });
    channel.ack(got!.deliveryTag);
    await channel.call("tx.commit");
    await channel.close();
    await channel.call("channel.open");
    await channel.drain(p);
    await channel.drain(q);
  },
  "a second acknowledgement of a tag is refused at once": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    await channel.call("tx.select");
    const got = await channel.get(q, false);
    channel.ack(got!.deliveryTag);
    channel.ack(got!.deliveryTag);
    await channel.closed(406);
  },
  "a tag that a multiple acknowledgement covers is refused at once": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of "abc") channel.publish("", q, body);
    await channel.call("tx.select");
    for (let index = 0; index < 3; index++) await channel.get(q, false);
    channel.ack(2, true);
    channel.reject(1, true);
    await channel.closed(406);
  },
  "recover does not requeue acknowledged messages": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of "abcde") channel.publish("", q, body);
    await channel.call("tx.select");
    for (let index = 0; index < 5; index++) await channel.get(q, false);
    channel.ack(2, true);
    channel.ack(4);
    await channel.call("basic.recover", { requeue: true });
    await channel.ready(q, 2);
    await channel.drain(q);
    await channel.call("tx.commit");
    await channel.call("basic.recover", { requeue: true });
    await channel.drain(q);
  },
  "recover requeues what a rollback restored": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of "ab") channel.publish("", q, body);
    await channel.call("tx.select");
    for (let index = 0; index < 2; index++) await channel.get(q, false);
    channel.ack(2, true);
    await channel.call("tx.rollback");
    channel.ack(1);
    await channel.call("basic.recover", { requeue: true });
    await channel.ready(q, 1);
    await channel.drain(q);
    await channel.call("tx.rollback");
    await channel.call("basic.recover", { requeue: true });
    await channel.ready(q, 1);
    await channel.drain(q);
  },
  "tag 0 does not cover later deliveries": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of "ab") channel.publish("", q, body);
    await channel.call("tx.select");
    await channel.get(q, false);
    channel.ack(0, true);
    await channel.get(q, false);
    await channel.call("tx.commit");
    await channel.close();
    await channel.call("channel.open");
    await channel.drain(q);
  },
});
