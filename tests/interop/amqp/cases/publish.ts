import type { BasicProperties } from "../../../../lib/amqp/properties.ts";
import { Decimal, Timestamp, TypedNumber } from "../../../../lib/amqp/types/field_value.ts";
import { cases, type Difference, type Script } from "../case.ts";
import { FRAME_ERROR_TEXT } from "../differences.ts";

const utf8 = new TextEncoder();

/** Sends a header with a body size over the limit, and notes whether the server reads the body before it refuses. */
const oversize = (size: number): Script => async (on) => {
  const peer = await on.connect();
  const channel = await peer.channel();
  const q = await channel.queue(on.name("q"));
  channel.send("basic.publish", { routingKey: q });
  peer.header(channel.number, size);
  const other = await peer.channel();
  await other.count(q);
  const refusal = peer.received.find(({ name }) => name === "channel.close");
  on.note(refusal === undefined ? "it waits" : `${refusal.args["replyCode"]} at once`);
  if (refusal !== undefined) refusal.hidden = true;
  peer.cut();
};

const AT_ONCE: Difference = {
  why: "a message over the size limit is refused at its header; RabbitMQ reads the body first",
  rabbit: /it waits/,
  ours: /406 at once/,
};

const EXPIRATION: Difference = {
  why: "errors about an expiration have a plain text, not Erlang terms",
  rabbit: /(?<=invalid expiration '.*?': ).*?(?=" classId)/,
  ours: /(?<=invalid expiration '.*?': ).*?(?=" classId)/,
};

const MALFORMED: Difference = {
  why: "malformed properties are a frame error (501); in RabbitMQ they cause an internal error (541)",
  rabbit: /replyCode=541 replyText="INTERNAL_ERROR" classId=0 methodId=0/,
  ours: /replyCode=501 replyText="FRAME_ERROR - .*?" classId=60 methodId=40/,
};

/** Publishes a message that is refused with 406. */
const odd = (properties: BasicProperties): Script => async (on) => {
  const channel = await on.channel();
  channel.publish("", on.name("q"), "body", properties);
  await channel.closed(406);
};

export const publish = cases("publish", {
  "every property is preserved": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", {
      contentType: "text/plain",
      contentEncoding: "identity",
      headers: { a: 1 },
      deliveryMode: 2,
      priority: 5,
      correlationId: "c",
      replyTo: "r",
      expiration: "60000",
      messageId: "m",
      timestamp: 1_000_000_000,
      type: "t",
      userId: "guest",
      appId: "app",
      clusterId: "cluster",
    });
    await channel.get(q);
  },
  "headers of every type are preserved": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", {
      headers: {
        bool: true,
        b: new TypedNumber("b", -5),
        B: new TypedNumber("B", 200),
        s: new TypedNumber("s", -500),
        u: new TypedNumber("u", 50_000),
        I: 5,
        i: new TypedNumber("i", 4_000_000_000),
        l: 5n,
        f: new TypedNumber("f", 1.5),
        d: 2.25,
        D: new Decimal(2, 314),
        S: "text",
        x: utf8.encode("bytes"),
        T: new Timestamp(5),
        V: null,
        A: [1, "two", [3n]],
        F: { nested: { deeper: true } },
      },
    });
    await channel.get(q);
  },
  "an empty body": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "");
    await channel.get(q);
  },
  "a large body": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, new Uint8Array(1_000_000).map((_, i) => i % 251));
    await channel.get(q);
  },
  "a body in small frames": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.send("basic.publish", { routingKey: q });
    channel.peer.header(channel.number, 6);
    for (const piece of ["a", "", "bc", "def"]) channel.peer.body(channel.number, piece);
    await channel.get(q);
  },
  "methods of other channels between the frames of a message": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"));
    first.send("basic.publish", { routingKey: q });
    second.send("queue.declare", { queue: q, passive: true });
    peer.header(first.number, 4);
    second.publish("", q, "whole");
    peer.body(first.number, "pa");
    await second.take("queue.declare-ok");
    peer.body(first.number, "rt");
    await first.ready(q, 2);
    await first.drain(q);
  },
  "the order is kept": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    for (let index = 0; index < 50; index++) channel.publish("", q, `${index}`);
    on.note((await channel.drain(q)).map(({ text }) => text).join(" "));
  },
  "a missing exchange": async (on) => {
    const channel = await on.channel();
    channel.publish(on.name("missing"), "key", "body");
    await channel.closed(404);
  },
  "immediate": async (on) => {
    const channel = await on.channel();
    channel.send("basic.publish", { routingKey: "key", immediate: true });
    channel.peer.header(channel.number, 0);
    await channel.closed(540);
  },
  "user-id of another user": async (on) => {
    const channel = await on.channel();
    channel.publish("", on.name("q"), "body", { userId: "somebody" });
    await channel.closed(406);
  },
  "an expiration that is not a number": [async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", { expiration: "soon" });
    await channel.closed(406);
  }, EXPIRATION],
  "a negative expiration": [async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", { expiration: "-1" });
    await channel.closed(406);
  }, EXPIRATION],
  "an empty expiration": [async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", { expiration: "" });
    await channel.closed(406);
  }, EXPIRATION],
  "an expiration with a suffix": [async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", { expiration: "1000ms" });
    await channel.closed(406);
  }, EXPIRATION],
  "an expiration over the maximum": [async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", { expiration: "99999999999999" });
    await channel.closed(406);
  }, EXPIRATION],
  "mandatory: returned": async (on) => {
    const channel = await on.channel();
    channel.publish("", on.name("missing"), "body", { contentType: "text/plain", headers: { a: 1 } }, true);
    await channel.take("basic.return");
  },
  "mandatory: routed": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "body", {}, true);
    await channel.drain(q);
  },
  "mandatory: an exchange without bindings": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "topic");
    channel.publish(x, "a.b", "body", {}, true);
    await channel.take("basic.return");
  },
  "mandatory: a large body is returned": async (on) => {
    const channel = await on.channel();
    channel.publish("", on.name("missing"), new Uint8Array(300_000).fill(65), {}, true);
    await channel.take("basic.return");
  },
  "confirms count from 1": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "before");
    await channel.call("confirm.select");
    for (let index = 0; index < 3; index++) await channel.put("", q, `${index}`);
  },
  "confirms of many messages": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("confirm.select");
    for (let index = 0; index < 200; index++) channel.publish("", q, `${index}`);
    await channel.confirmed();
    await channel.count(q);
  },
  "confirms of unroutable messages": async (on) => {
    const channel = await on.channel();
    await channel.call("confirm.select");
    await channel.put("", on.name("missing"), "body");
    await channel.put("amq.fanout", on.name("key"), "body");
  },
  "confirms of persistent messages in durable queues": async (on) => {
    const channel = await on.channel();
    const p = await channel.queue(on.name("p"), {}, { durable: true });
    const q = await channel.queue(on.name("q"), {}, { durable: true });
    const x = await channel.exchange(on.name("x"), "fanout");
    await channel.bind(p, x);
    await channel.bind(q, x);
    await channel.call("confirm.select");
    for (let index = 0; index < 20; index++) channel.publish(x, "", `${index}`, { deliveryMode: 2 });
    await channel.confirmed();
    await channel.get(p);
    await channel.get(q);
  },
  "a return comes before its confirm": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("confirm.select");
    await channel.put("", q, "a", {}, true);
    await channel.put("", on.name("missing"), "b", {}, true);
    await channel.take("basic.return");
    await channel.put("", on.name("missing"), "c");
  },
  "confirm.select twice": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("confirm.select");
    await channel.put("", q, "a");
    await channel.call("confirm.select");
    await channel.put("", q, "b");
  },
  "confirm.select with no-wait": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.send("confirm.select", { noWait: true });
    await channel.put("", q, "a");
  },
  "confirms of a consumed message": async (on) => {
    const peer = await on.connect();
    const [first, second] = [await peer.channel(), await peer.channel()];
    const q = await first.queue(on.name("q"));
    await second.consume(q, { consumerTag: "me", noAck: true });
    await first.call("confirm.select");
    await first.put("", q, "a");
    await second.delivery();
  },
  "confirms restart at 1 on a reopened channel": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("confirm.select");
    await channel.put("", q, "a");
    await channel.close();
    await channel.call("channel.open");
    channel.publish("", q, "unconfirmed");
    await channel.call("confirm.select");
    await channel.put("", q, "b");
  },
  "a message without a header": async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    channel.send("basic.publish", { routingKey: "key" });
    peer.body(channel.number, "body");
    await channel.closed(505);
  },
  "a method instead of a header": async (on) => {
    const channel = await on.channel();
    channel.send("basic.publish", { routingKey: "key" });
    channel.send("basic.qos", { prefetchCount: 1 });
    await channel.closed(505);
  },
  "a method instead of a body": async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    channel.send("basic.publish", { routingKey: "key" });
    peer.header(channel.number, 5);
    channel.send("basic.qos", { prefetchCount: 1 });
    await channel.closed(505);
  },
  "a header without a method": [async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    peer.header(channel.number, 0);
    await channel.closed(505);
  }, FRAME_ERROR_TEXT],
  "a body without a method": [async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    peer.body(channel.number, "body");
    await channel.closed(505);
  }, FRAME_ERROR_TEXT],
  "a header on a channel that is not open": async (on) => {
    const peer = await on.connect();
    peer.header(5, 0);
    await peer.zero.closed(505);
  },
  "a header of another class": [async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    channel.send("basic.publish", { routingKey: "key" });
    const header = new Uint8Array(14);
    header[1] = 50;
    peer.frame(2, channel.number, header);
    await channel.closed(505);
  }, FRAME_ERROR_TEXT],
  "a body longer than its header says": [
    async (on) => {
      const peer = await on.connect();
      const channel = await peer.channel();
      const q = await channel.queue(on.name("q"));
      channel.send("basic.publish", { routingKey: q });
      peer.header(channel.number, 4);
      peer.body(channel.number, "longer");
      channel.send("basic.get", { queue: q });
      await channel.closed(505);
    },
    FRAME_ERROR_TEXT,
  ],
  "truncated properties": [async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    const q = await channel.queue(on.name("q"));
    channel.send("basic.publish", { routingKey: q });
    // A content type of 9 bytes, truncated after 2 bytes.
    peer.header(channel.number, 0, Uint8Array.of(0x80, 0, 9, 65, 65));
    await peer.until(() => peer.received.some(({ name }) => name === "connection.close"), "a close");
  }, MALFORMED],
  "a size over the limit": [oversize(134_217_729), AT_ONCE],
  "a size of 2^63": [oversize(2 ** 63), AT_ONCE],
  "text that is not UTF-8 is preserved": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    const properties = { messageId: "\udcff\udcfe", headers: { text: "\udc80", plain: "é" } };
    channel.publish("", q, "body", properties);
    await channel.get(q);
  },
  "a duplicate header": async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    const q = await channel.queue(on.name("q"));
    channel.send("basic.publish", { routingKey: q });
    const twice = [1, 97, 0x49, 0, 0, 0, 1, 1, 97, 0x49, 0, 0, 0, 2];
    peer.header(channel.number, 0, Uint8Array.of(0x20, 0, 0, 0, 0, twice.length, ...twice));
    await channel.get(q);
  },
  "property flags with a continuation bit": [async (on) => {
    const peer = await on.connect();
    const channel = await peer.channel();
    const q = await channel.queue(on.name("q"));
    channel.send("basic.publish", { routingKey: q });
    peer.header(channel.number, 0, Uint8Array.of(0x10, 1, 0, 0, 2));
    channel.send("basic.get", { queue: q });
    await peer.until(() => /get-|close/.test(peer.received.at(-1)!.name), "an answer");
  }, MALFORMED],
  "a priority over 9": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "a", { priority: 250 });
    await channel.drain(q);
  },
  "a delivery mode of 0": odd({ deliveryMode: 0 }),
  "a delivery mode of 3": odd({ deliveryMode: 3 }),
  "all fields are invalid: the exchange is reported": async (on) => {
    const channel = await on.channel();
    const properties = { userId: "somebody", expiration: "soon", deliveryMode: 9 };
    channel.publish(on.name("missing"), "key", "a", properties);
    await channel.closed(404);
  },
  "several fields are invalid: the user is reported": odd({
    userId: "somebody",
    expiration: "soon",
    deliveryMode: 9,
  }),
  "a key of 255 bytes": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x, "k".repeat(255));
    channel.publish(x, "k".repeat(255), "there");
    await channel.get(q);
  },
  "transient and persistent to a durable queue": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"), {}, { durable: true });
    channel.publish("", q, "transient", { deliveryMode: 1 });
    channel.publish("", q, "persistent", { deliveryMode: 2 });
    channel.publish("", q, "neither");
    await channel.drain(q);
  },
});
