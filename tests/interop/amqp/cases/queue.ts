import { TypedNumber } from "../../../../lib/amqp/types/field_value.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { cases, type Script } from "../case.ts";

/** A queue with arguments that are refused with 406. */
const invalid = (args: FieldTable): Script => async (on) => {
  const channel = await on.channel();
  await channel.refused(406, "queue.declare", { queue: on.name("q"), arguments: args });
};

/** A queue with arguments that are fine. */
const valid = (args: FieldTable): Script => async (on) => {
  const channel = await on.channel();
  await channel.queue(on.name("q"), args);
  await channel.queue(on.name("q"), args);
};

/** A queue that is declared a second time, differently. */
const inequivalent = (first: FieldTable, second: FieldTable): Script => async (on) => {
  const channel = await on.channel();
  await channel.queue(on.name("q"), first);
  await channel.refused(406, "queue.declare", { queue: on.name("q"), arguments: second });
};

/** Arguments that a type of queue does not know, though another does. */
const foreign = (type: string, args: FieldTable): Script => async (on) => {
  const channel = await on.channel();
  const wanted = { queue: on.name("q"), durable: true, arguments: { "x-queue-type": type, ...args } };
  await channel.refused(406, "queue.declare", wanted);
};

export const queue = cases("queue", {
  "declare tells how full it is": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    channel.publish("", q, "b");
    await channel.ready(q, 2);
    await channel.queue(q);
    await channel.count(q);
  },
  "declare tells how many consume": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "a" });
    await channel.consume(q, { consumerTag: "b" });
    await channel.count(q);
  },
  "what is delivered does not count as ready": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b", "c"]) channel.publish("", q, body);
    await channel.get(q, false);
    await channel.count(q);
  },
  "the server makes a name": async (on) => {
    const channel = await on.channel();
    const first = await channel.queue("");
    const second = await channel.queue("");
    if (first === second) throw new Error("The same name twice");
    await channel.count(first);
  },
  "a server's name, declared again": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue("", {}, { exclusive: true });
    await channel.refused(403, "queue.declare", { queue: q, exclusive: true });
  },
  "a passive declare without a name is not of the last one": async (on) => {
    const channel = await on.channel();
    await channel.queue(on.name("q"));
    await channel.refused(404, "queue.declare", { queue: "", passive: true });
  },
  "a passive declare without a name, and there is none": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.declare", { queue: "", passive: true });
  },
  "a name that begins with amq.": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "queue.declare", { queue: "amq.mine" });
  },
  "a missing name that begins with amq., passive": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.declare", { queue: "amq.mine", passive: true });
  },
  "a missing one, passive": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.declare", { queue: on.name("missing"), passive: true });
  },
  "passive takes any flags": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.queue(q, { "x-max-length": 5 }, { passive: true, durable: true, autoDelete: true });
  },
  "declare without waiting": async (on) => {
    const channel = await on.channel();
    const q = on.name("q");
    channel.send("queue.declare", { queue: q, noWait: true });
    await channel.count(q);
    channel.send("queue.purge", { queue: q, noWait: true });
    channel.send("queue.delete", { queue: q, noWait: true });
    await channel.refused(404, "queue.declare", { queue: q, passive: true });
  },
  "line ends in a name": [
    async (on) => {
      const channel = await on.channel();
      channel.send("queue.declare", { queue: on.name("a\r\nb") });
      (await channel.take("queue.declare-ok")).hidden = true;
      const known = await channel.knows("queue", on.name("ab"));
      on.note(`it is ${known ? "" : "not "}ab`);
    },
    {
      why: "line ends in a name are part of it, RabbitMQ takes them out",
      rabbit: /it is ab/,
      ours: /it is not ab/,
    },
  ],
  "a name of 255 bytes": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("é".repeat(123)));
    channel.publish("", q, "there");
    await channel.get(q);
  },
  "redeclared as durable": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(406, "queue.declare", { queue: q, durable: true });
  },
  "redeclared as transient": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), {}, { durable: true });
    await channel.queue(q, {}, { durable: true });
    await channel.refused(406, "queue.declare", { queue: q });
  },
  "redeclared as auto-delete": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(406, "queue.declare", { queue: q, autoDelete: true });
  },
  "redeclared as exclusive": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(405, "queue.declare", { queue: q, exclusive: true });
  },
  "exclusive, redeclared as shared": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), {}, { exclusive: true });
    await channel.queue(q, {}, { exclusive: true });
    await channel.refused(405, "queue.declare", { queue: q });
  },
  "redeclared with a time to live": inequivalent({}, { "x-message-ttl": 1000 }),
  "redeclared without its time to live": inequivalent({ "x-message-ttl": 1000 }, {}),
  "redeclared with another time to live": inequivalent({ "x-message-ttl": 1000 }, { "x-message-ttl": 2000 }),
  "redeclared with another length": inequivalent({ "x-max-length": 10 }, { "x-max-length": 20 }),
  "redeclared with another overflow": inequivalent({ "x-overflow": "drop-head" }, {
    "x-overflow": "reject-publish",
  }),
  "redeclared with another dead letter exchange": inequivalent(
    { "x-dead-letter-exchange": "a" },
    { "x-dead-letter-exchange": "b" },
  ),
  "redeclared with another dead letter key": inequivalent(
    { "x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "a" },
    { "x-dead-letter-exchange": "a", "x-dead-letter-routing-key": "b" },
  ),
  "redeclared with another priority": inequivalent({ "x-max-priority": 5 }, { "x-max-priority": 6 }),
  "redeclared with another expiry": inequivalent({ "x-expires": 100_000 }, { "x-expires": 200_000 }),
  "redeclared as single active": inequivalent({}, { "x-single-active-consumer": true }),
  "redeclared with another type of queue": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-queue-type": "quorum" }, { durable: true });
    const again = { queue: q, durable: true, arguments: { "x-queue-type": "classic" } };
    await channel.refused(406, "queue.declare", again);
  },
  "redeclared with the type that it has anyway": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.queue(q, { "x-queue-type": "classic" });
  },
  "redeclared without the type that it has anyway": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-queue-type": "classic" });
    await channel.queue(q);
  },
  "redeclared with an integer of another width": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-max-length": 10, "x-message-ttl": 60_000n });
    await channel.queue(q, { "x-max-length": 10n, "x-message-ttl": new TypedNumber("u", 60_000) });
    await channel.queue(q, { "x-max-length": new TypedNumber("b", 10), "x-message-ttl": 60_000 });
  },
  "redeclared with other unknown arguments": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-unheard-of": 1, mine: "a" });
    await channel.queue(q, { "x-unheard-of": 2, mine: "b" });
  },
  "x-message-ttl that is negative": invalid({ "x-message-ttl": -1 }),
  "x-message-ttl that is text": invalid({ "x-message-ttl": "1000" }),
  "x-message-ttl that is a double": invalid({ "x-message-ttl": 1.5 }),
  "x-message-ttl that is too large": invalid({ "x-message-ttl": 2n ** 40n }),
  "x-message-ttl of 0": valid({ "x-message-ttl": 0 }),
  "x-expires of 0": invalid({ "x-expires": 0 }),
  "x-expires that is text": invalid({ "x-expires": "1000" }),
  "x-expires that is negative": invalid({ "x-expires": -5 }),
  "x-max-length that is negative": invalid({ "x-max-length": -1 }),
  "x-max-length that is text": invalid({ "x-max-length": "5" }),
  "x-max-length of 0": valid({ "x-max-length": 0 }),
  "x-max-length-bytes that is negative": invalid({ "x-max-length-bytes": -1 }),
  "x-max-length-bytes that is a boolean": invalid({ "x-max-length-bytes": true }),
  "x-overflow that is unknown": invalid({ "x-overflow": "drop-tail" }),
  "x-overflow that is no text": invalid({ "x-overflow": 1 }),
  "x-overflow reject-publish-dlx": valid({ "x-overflow": "reject-publish-dlx" }),
  "x-dead-letter-exchange that is no text": invalid({ "x-dead-letter-exchange": 1 }),
  "x-dead-letter-exchange that is missing": valid({ "x-dead-letter-exchange": "missing" }),
  "x-dead-letter-routing-key without an exchange": invalid({ "x-dead-letter-routing-key": "key" }),
  "x-dead-letter-routing-key that is no text": invalid({
    "x-dead-letter-exchange": "a",
    "x-dead-letter-routing-key": 1,
  }),
  "x-max-priority of 255": valid({ "x-max-priority": 255 }),
  "x-max-priority of 256": invalid({ "x-max-priority": 256 }),
  "x-max-priority that is negative": invalid({ "x-max-priority": -1 }),
  "x-max-priority that is text": invalid({ "x-max-priority": "5" }),
  "x-max-priority of 0": valid({ "x-max-priority": 0 }),
  "x-single-active-consumer that is text": invalid({ "x-single-active-consumer": "true" }),
  "x-queue-type that is unknown": invalid({ "x-queue-type": "fast" }),
  "x-queue-type that is no text": invalid({ "x-queue-type": 1 }),
  "x-queue-mode lazy": valid({ "x-queue-mode": "lazy" }),
  "x-queue-mode that is unknown": invalid({ "x-queue-mode": "eager" }),
  "x-queue-version 2": valid({ "x-queue-version": 2 }),
  "x-queue-version 3": invalid({ "x-queue-version": 3 }),
  "purge": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b", "c"]) channel.publish("", q, body);
    await channel.get(q, false);
    await channel.call("queue.purge", { queue: q });
    await channel.call("queue.purge", { queue: q });
    await channel.count(q);
  },
  "purge leaves what is delivered": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b"]) channel.publish("", q, body);
    const got = await channel.get(q, false);
    await channel.call("queue.purge", { queue: q });
    channel.nack(got!.deliveryTag, { requeue: true });
    await channel.ready(q, 1);
    await channel.drain(q);
  },
  "purge of a missing one": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.purge", { queue: on.name("missing") });
  },
  "purge of the last one": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    await channel.call("queue.purge", { queue: "" });
  },
  "delete tells how much was in it": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b", "c"]) channel.publish("", q, body);
    await channel.call("queue.delete", { queue: q });
    await channel.refused(404, "queue.declare", { queue: q, passive: true });
  },
  "delete counts what is ready": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (const body of ["a", "b", "c"]) channel.publish("", q, body);
    await channel.get(q, false);
    await channel.call("queue.delete", { queue: q });
  },
  "delete of a missing one": async (on) => {
    const channel = await on.channel();
    await channel.call("queue.delete", { queue: on.name("missing") });
    await channel.call("queue.delete", { queue: on.name("missing"), ifUnused: true, ifEmpty: true });
  },
  "delete of the last one": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("queue.delete", { queue: "" });
    await channel.refused(404, "queue.declare", { queue: q, passive: true });
  },
  "delete without a name, and there is no last one": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.delete", { queue: "" });
  },
  "delete if unused": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.consume(q, { consumerTag: "me" });
    await channel.refused(406, "queue.delete", { queue: q, ifUnused: true });
    await channel.call("channel.open");
    await channel.consumers(q, 0);
    await channel.call("queue.delete", { queue: q, ifUnused: true });
  },
  "delete if empty": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a");
    await channel.refused(406, "queue.delete", { queue: q, ifEmpty: true });
    await channel.call("channel.open");
    await channel.call("queue.purge", { queue: q });
    await channel.call("queue.delete", { queue: q, ifEmpty: true });
  },
  "auto-delete goes with its last consumer": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), {}, { autoDelete: true });
    await channel.consume(q, { consumerTag: "a" });
    await channel.consume(q, { consumerTag: "b" });
    await channel.call("basic.cancel", { consumerTag: "a" });
    await channel.count(q);
    await channel.call("basic.cancel", { consumerTag: "b" });
    await channel.refused(404, "queue.declare", { queue: q, passive: true });
  },
  "auto-delete without consumers stays": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), {}, { autoDelete: true });
    channel.publish("", q, "a");
    await channel.get(q);
    await channel.count(q);
  },
  "auto-delete goes with the channel of its consumer": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"), {}, { autoDelete: true });
    await first.consume(q, { consumerTag: "a" });
    await first.close();
    await second.refused(404, "queue.declare", { queue: q, passive: true });
  },
  "x-expires: an unused one goes": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout", {}, { autoDelete: true });
    const q = await channel.queue(on.name("q"), { "x-expires": 200 });
    await channel.bind(q, x);
    await channel.gone("exchange", x);
    await channel.refused(404, "queue.declare", { queue: q, passive: true });
  },
  "x-expires: one that is consumed stays": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout", {}, { autoDelete: true });
    const kept = await channel.queue(on.name("kept"), { "x-expires": 200 });
    const other = await channel.queue(on.name("other"), { "x-expires": 400 });
    await channel.consume(kept, { consumerTag: "me" });
    await channel.bind(other, x);
    await channel.gone("exchange", x);
    await channel.count(kept);
  },
  "exclusive: another connection is locked out": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await first.queue(on.name("q"), {}, { exclusive: true });
    await second.refused(405, "queue.declare", { queue: q, exclusive: true });
    for (const passive of [true, false]) {
      await second.call("channel.open");
      await second.refused(405, "queue.declare", { queue: q, passive });
    }
    await second.call("channel.open");
    await second.refused(405, "basic.consume", { queue: q });
    await second.call("channel.open");
    await second.refused(405, "basic.get", { queue: q });
    await second.call("channel.open");
    await second.refused(405, "queue.purge", { queue: q });
    await second.call("channel.open");
    await second.refused(405, "queue.bind", { queue: q, exchange: "amq.fanout" });
    await second.call("channel.open");
    await second.call("queue.unbind", { queue: q, exchange: "amq.fanout" });
    await second.refused(405, "queue.delete", { queue: q });
  },
  "exclusive: others may publish to it": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await first.queue(on.name("q"), {}, { exclusive: true });
    await second.call("confirm.select");
    await second.put("", q, "there");
    await first.drain(q);
  },
  "exclusive: other channels of the connection may use it": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"), {}, { exclusive: true });
    await second.consume(q, { consumerTag: "me" });
    first.publish("", q, "there");
    await second.delivery();
  },
  "exclusive: it goes with its connection": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await first.queue(on.name("q"), {}, { exclusive: true, durable: true });
    await first.peer.close();
    await second.gone("queue", q);
  },
  "exclusive: it goes with a connection that is cut": async (on) => {
    const first = await on.channel();
    const second = await on.channel();
    const q = await first.queue(on.name("q"), {}, { exclusive: true });
    first.peer.cut();
    await second.gone("queue", q);
  },
  "exclusive: it stays when its channel is closed": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"), {}, { exclusive: true });
    await first.close();
    await second.count(q);
  },
  "the last one is that of the channel": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"));
    first.publish("", q, "a");
    await first.get("");
    await second.refused(404, "basic.get", { queue: "" });
  },
  "the last one is forgotten once it is deleted": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("queue.delete", { queue: q });
    await channel.refused(404, "basic.get", { queue: "" });
  },
  "quorum: durable only": async (on) => {
    const channel = await on.channel();
    const q = { queue: on.name("q"), arguments: { "x-queue-type": "quorum" } };
    await channel.refused(406, "queue.declare", q);
  },
  "quorum: not exclusive": async (on) => {
    const channel = await on.channel();
    const q = {
      queue: on.name("q"),
      durable: true,
      exclusive: true,
      arguments: { "x-queue-type": "quorum" },
    };
    await channel.refused(406, "queue.declare", q);
  },
  "quorum: not auto-delete": async (on) => {
    const channel = await on.channel();
    const q = {
      queue: on.name("q"),
      durable: true,
      autoDelete: true,
      arguments: { "x-queue-type": "quorum" },
    };
    await channel.refused(406, "queue.declare", q);
  },
  "quorum: no priorities": foreign("quorum", { "x-max-priority": 5 }),
  "quorum: no mode": foreign("quorum", { "x-queue-mode": "lazy" }),
  "quorum: no version": foreign("quorum", { "x-queue-version": 1 }),
  "classic: no delivery limit": foreign("classic", { "x-delivery-limit": 5 }),
  "classic: no dead letter strategy": foreign("classic", { "x-dead-letter-strategy": "at-least-once" }),
  "classic: no age": foreign("classic", { "x-max-age": "1h" }),
  "stream": [
    async (on) => {
      const channel = await on.channel();
      const wanted = { queue: on.name("q"), durable: true, arguments: { "x-queue-type": "stream" } };
      channel.send("queue.declare", wanted);
      const { received } = channel.peer;
      await channel.peer.until(() => /declare-ok|connection.close/.test(received.at(-1)!.name), "an answer");
    },
    {
      why: "streams are refused in words",
      rabbit: /1\.1 queue\.declare-ok .*/,
      ours: /1\.0 connection\.close replyCode=540 .*/,
    },
  ],
  "quorum: global qos": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), { "x-queue-type": "quorum" }, { durable: true });
    await channel.call("basic.qos", { prefetchCount: 5, global: true });
    await channel.refused(540, "basic.consume", { queue: q });
  },
});
