/** What the broker refuses on a channel: the method that closes it or its connection, with the exact code, method and text. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DUMP } from "../../../../lib/amqp/dump.ts";
import { METHOD } from "../../../../lib/amqp/frames/frame.ts";
import { PEEK, SWEEP, SWEEP_TO, WHERE } from "../../../../lib/amqp/peek.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { Peer, type PeerChannel } from "../../../interop/amqp/peer.ts";

/** What a client does, and how the broker ends the channel or the connection. */
type Case = readonly [
  what: string,
  steps: (channel: PeerChannel, queue: string) => void | Promise<void>,
  close: string,
];

/** Sends a part of a message: `basic.publish`, and a header that announces `size` bytes. */
function begin(channel: PeerChannel, size?: number): void {
  channel.send("basic.publish", { exchange: "", routingKey: "nobody" });
  if (size !== undefined) channel.peer.header(channel.number, size);
}

const CASES: readonly Case[] = [
  [
    "a second open",
    (c) => c.send("channel.open"),
    "connection.close 504 20.10 CHANNEL_ERROR - second 'channel.open' seen",
  ],
  [
    "a flow that stops",
    (c) => c.send("channel.flow", { active: false }),
    "connection.close 540 20.20 NOT_IMPLEMENTED - active=false",
  ],
  [
    "a method of servers",
    (c) => c.send("basic.get-empty", {}),
    "connection.close 503 60.72 COMMAND_INVALID - unimplemented method",
  ],
  [
    "a method of connections",
    (c) => c.send("connection.blocked", { reason: "" }),
    "connection.close 503 10.60 COMMAND_INVALID - unimplemented method",
  ],
  [
    "an unknown method",
    (c) => c.peer.frame(METHOD, c.number, Uint8Array.of(0, 60, 0, 200)),
    "connection.close 540 60.200 NOT_IMPLEMENTED - unknown method 60.200",
  ],
  [
    "a method without an id",
    (c) => c.peer.frame(METHOD, c.number, Uint8Array.of(0, 60, 0)),
    "connection.close 501 0.0 FRAME_ERROR - a method frame has no class id and method id",
  ],
  [
    "no queue that was declared",
    (c) => c.send("queue.purge", { queue: "" }),
    "channel.close 404 50.30 NOT_FOUND - no previously declared queue",
  ],
  [
    "a queue that is missing",
    (c) => c.send("queue.purge", { queue: "missing" }),
    "channel.close 404 50.30 NOT_FOUND - no queue 'missing' in vhost '/'",
  ],
  [
    "a prefetch size",
    (c) => c.send("basic.qos", { prefetchSize: 1 }),
    "connection.close 540 60.10 NOT_IMPLEMENTED - prefetch_size!=0 (1)",
  ],
  ["a tag that is in use", async (c, queue) => {
    await c.consume(queue, { consumerTag: "t" });
    c.send("basic.consume", { queue, consumerTag: "t" });
  }, "connection.close 530 60.20 NOT_ALLOWED - attempt to reuse consumer tag 't'"],
  [
    "a priority that is no number",
    (c, queue) => {
      c.send("basic.consume", { queue, arguments: { "x-priority": "high" } });
    },
    `channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 'QUEUE' in vhost '/': "expected integer, got longstr"`,
  ],
  ["an exclusive consumer beside another", async (c, queue) => {
    await c.consume(queue);
    c.send("basic.consume", { queue, exclusive: true });
  }, "channel.close 403 60.20 ACCESS_REFUSED - queue 'QUEUE' in vhost '/' in exclusive use"],
  ["a consumer beside an exclusive one", async (c, queue) => {
    await c.consume(queue, { exclusive: true });
    c.send("basic.consume", { queue });
  }, "channel.close 403 60.20 ACCESS_REFUSED - queue 'QUEUE' in vhost '/' in exclusive use"],
  ["an exclusive consumer of a queue with one active consumer", async (c) => {
    const queue = await c.queue("OTHER", { "x-single-active-consumer": true }, { exclusive: true });
    c.send("basic.consume", { queue, exclusive: true });
  }, "channel.close 403 60.20 ACCESS_REFUSED - queue 'OTHER' in vhost '/' in exclusive use"],
  ["a prefetch of the channel for a quorum queue", async (c) => {
    await c.call("basic.qos", { prefetchCount: 1, global: true });
    c.send("basic.consume", { queue: "quorum" });
  }, "connection.close 540 60.20 NOT_IMPLEMENTED - queue 'quorum' in vhost '/' does not support global qos"],
  [
    "a get from a quorum queue with one active consumer",
    (c) => c.send("basic.get", { queue: "active" }),
    "channel.close 405 60.70 RESOURCE_LOCKED - cannot obtain access to locked queue 'active' in vhost '/'. basic.get operations are not supported by quorum queues with single active consumer",
  ],
  [
    "replies with acknowledgement",
    (c) => c.send("basic.consume", { queue: "amq.rabbitmq.reply-to" }),
    "channel.close 406 60.20 PRECONDITION_FAILED - reply consumer cannot acknowledge",
  ],
  ["a second consumer of replies", async (c) => {
    await c.consume("amq.rabbitmq.reply-to", { noAck: true });
    c.send("basic.consume", { queue: "amq.rabbitmq.reply-to", noAck: true });
  }, "channel.close 406 60.20 PRECONDITION_FAILED - reply consumer already set"],
  ["a request without a consumer of replies", (c) => {
    c.publish("", "nobody", "", { replyTo: "amq.rabbitmq.reply-to" });
  }, "channel.close 406 60.40 PRECONDITION_FAILED - fast reply consumer does not exist"],
  [
    "a recover without requeue",
    (c) => c.send("basic.recover", { requeue: false }),
    "connection.close 540 60.110 NOT_IMPLEMENTED - requeue=false",
  ],
  ["confirms in a transaction", async (c) => {
    await c.call("tx.select");
    c.send("confirm.select");
  }, "channel.close 406 85.10 PRECONDITION_FAILED - cannot switch from tx to confirm mode"],
  ["a transaction with confirms", async (c) => {
    await c.call("confirm.select");
    c.send("tx.select");
  }, "channel.close 406 90.10 PRECONDITION_FAILED - cannot switch from confirm to tx mode"],
  [
    "a commit without a transaction",
    (c) => c.send("tx.commit"),
    "channel.close 406 90.20 PRECONDITION_FAILED - channel is not transactional",
  ],
  [
    "a rollback without a transaction",
    (c) => c.send("tx.rollback"),
    "channel.close 406 90.30 PRECONDITION_FAILED - channel is not transactional",
  ],
  ["a commit with a message that a queue refuses", async (c) => {
    await c.call("tx.select");
    c.publish("", "full", "");
    c.send("tx.commit");
  }, "channel.close 406 90.20 PRECONDITION_FAILED - partial tx completion"],
  ["an unknown tag", (c) => c.ack(1), "channel.close 406 60.80 PRECONDITION_FAILED - unknown delivery tag 1"],
  ["the tag 0", (c) => c.ack(0), "channel.close 406 60.80 PRECONDITION_FAILED - unknown delivery tag 0"],
  ["a tag that is settled", async (c, queue) => {
    c.publish("", queue, "");
    const { deliveryTag } = await c.got(queue);
    c.ack(deliveryTag);
    c.reject(deliveryTag);
  }, "channel.close 406 60.90 PRECONDITION_FAILED - unknown delivery tag 1"],
  [
    "an immediate message",
    (c) => c.send("basic.publish", { immediate: true }),
    "connection.close 540 60.40 NOT_IMPLEMENTED - immediate=true",
  ],
  [
    "a missing exchange",
    (c) => c.publish("missing", "k", ""),
    "channel.close 404 60.40 NOT_FOUND - no exchange 'missing' in vhost '/'",
  ],
  [
    "an internal exchange",
    (c) => c.publish("internal", "k", ""),
    "channel.close 403 60.40 ACCESS_REFUSED - cannot publish to internal exchange 'internal' in vhost '/'",
  ],
  [
    "the user of another client",
    (c) => c.publish("", "nobody", "", { userId: "other" }),
    "channel.close 406 60.40 PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
  ],
  [
    "an unknown delivery mode",
    (c) => c.publish("", "nobody", "", { deliveryMode: 3 }),
    "channel.close 406 60.40 PRECONDITION_FAILED - invalid message: {delivery_mode_unknown,3}",
  ],
  [
    "a time to live that is no number",
    (c) => c.publish("", "nobody", "", { expiration: "1 s" }),
    "channel.close 406 60.40 PRECONDITION_FAILED - invalid expiration '1 s': it must be a whole number of milliseconds",
  ],
  [
    "a time to live that is too long",
    (c) => c.publish("", "nobody", "", { expiration: "315360000001" }),
    "channel.close 406 60.40 PRECONDITION_FAILED - invalid expiration '315360000001': it must be a whole number of milliseconds",
  ],
  [
    "a body that is too large",
    (c) => begin(c, 1001),
    "channel.close 406 60.40 PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000",
  ],
  ["more than was announced", (c) => {
    begin(c, 3);
    c.peer.body(c.number, "four");
  }, "connection.close 505 60.40 UNEXPECTED_FRAME - a body has 4 bytes where 3 were announced"],
  ["more than was announced, in two frames", (c) => {
    begin(c, 3);
    c.peer.body(c.number, "tw");
    c.peer.body(c.number, "tw");
  }, "connection.close 505 60.40 UNEXPECTED_FRAME - a body has 4 bytes where 3 were announced"],
  [
    "a method in place of a header",
    (c) => {
      begin(c);
      c.send("basic.qos");
    },
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
  ],
  [
    "an acknowledgement in place of a header",
    (c) => {
      begin(c);
      c.ack(1);
    },
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
  ],
  [
    "another message in place of a body",
    (c) => {
      begin(c, 1);
      begin(c);
    },
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected content body, got non content body frame instead",
  ],
  [
    "a body in place of a header",
    (c) => {
      begin(c);
      c.peer.body(c.number, "x");
    },
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
  ],
  [
    "a header in place of a body",
    (c) => {
      begin(c, 1);
      c.peer.header(c.number, 1);
    },
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected content body, got non content body frame instead",
  ],
  [
    "a header without a method",
    (c) => c.peer.header(c.number, 0),
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
  ],
  [
    "a body without a method",
    (c) => c.peer.body(c.number, "x"),
    "connection.close 505 60.40 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
  ],
  [
    "a method on a channel that is not open",
    (c) => c.peer.method(99, "basic.qos", {}),
    "connection.close 504 60.10 CHANNEL_ERROR - expected 'channel.open'",
  ],
  [
    "a header on a channel that is not open",
    (c) => c.peer.header(99, 0),
    "connection.close 505 0.0 UNEXPECTED_FRAME - expected method frame, got non method frame instead",
  ],
  [
    "a method of channels on channel 0",
    (c) => c.peer.method(0, "basic.qos", {}),
    "connection.close 504 60.10 CHANNEL_ERROR - unexpected method in connection state running",
  ],
  [
    "a close-ok that nobody asked for",
    (c) => c.peer.method(0, "connection.close-ok", {}),
    "connection.close 504 10.51 CHANNEL_ERROR - unexpected method in connection state running",
  ],
  [
    "a peek without a count",
    (c, queue) => {
      c.send("basic.consume", { queue, arguments: { [PEEK]: "all" } });
    },
    "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-peek': it must be a number of messages",
  ],
  [
    "a peek with a negative count",
    (c, queue) => {
      c.send("basic.consume", { queue, arguments: { [PEEK]: -1 } });
    },
    "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-peek': it must be a number of messages",
  ],
  ["a filter that is no text", (c, queue) => {
    c.send("basic.consume", { queue, arguments: { [WHERE]: 1 } });
  }, "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-where': it must be a text"],
  [
    "a filter that is malformed",
    (c, queue) => {
      c.send("basic.consume", { queue, arguments: { [WHERE]: "(" } });
    },
    "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-where': Cannot use the filter: expected a field, found the end (at character 2)",
  ],
  [
    "a dump without a range",
    (c, queue) => c.send("basic.consume", { queue, arguments: { [DUMP]: null } }),
    "channel.close 406 60.20 PRECONDITION_FAILED - the argument for a dump needs 'id', 'from' and 'to'",
  ],
  ["a dump with a negative start", (c, queue) => {
    c.send("basic.consume", { queue, arguments: { [DUMP]: { id: 1, from: -1, to: [] } } });
  }, "channel.close 406 60.20 PRECONDITION_FAILED - the argument for a dump needs 'id', 'from' and 'to'"],
  ["a dump with an end that is no number", (c, queue) => {
    c.send("basic.consume", { queue, arguments: { [DUMP]: { id: 1, from: 0, to: [1, "x"] } } });
  }, "channel.close 406 60.20 PRECONDITION_FAILED - the argument for a dump needs 'id', 'from' and 'to'"],
  [
    "an unknown sweep",
    (c, queue) => c.send("basic.consume", { queue, arguments: { [SWEEP]: "burn" } }),
    "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-sweep': it must be count, delete, redrive, or move with 'x-mqcat-to'",
  ],
  [
    "a move to nowhere",
    (c, queue) => c.send("basic.consume", { queue, arguments: { [SWEEP]: "move" } }),
    "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-sweep': it must be count, delete, redrive, or move with 'x-mqcat-to'",
  ],
  [
    "a redrive to a number",
    (c, queue) => {
      c.send("basic.consume", { queue, arguments: { [SWEEP]: "redrive", [SWEEP_TO]: 1 } });
    },
    "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-sweep': it must be count, delete, redrive, or move with 'x-mqcat-to'",
  ],
  ["a move to the queue itself", (c, queue) => {
    c.send("basic.consume", { queue, arguments: { [SWEEP]: "move", [SWEEP_TO]: queue } });
  }, "channel.close 406 60.20 PRECONDITION_FAILED - invalid arg 'x-mqcat-to': it is the queue itself"],
  ["a move to a missing queue", (c, queue) => {
    c.send("basic.consume", { queue, arguments: { [SWEEP]: "move", [SWEEP_TO]: "missing" } });
  }, "channel.close 404 60.20 NOT_FOUND - no queue 'missing' in vhost '/'"],
  [
    "an exchange without a type",
    (c) => c.send("exchange.declare", { exchange: "e", type: "none" }),
    "connection.close 503 40.10 COMMAND_INVALID - unknown exchange type 'none'",
  ],
  ["a binding of a missing exchange", (c) => {
    c.send("exchange.bind", { source: "missing", destination: "amq.fanout" });
  }, "channel.close 404 40.30 NOT_FOUND - no exchange 'missing' in vhost '/'"],
  ["the deletion of an exchange in use", async (c, queue) => {
    await c.exchange("used", "fanout");
    await c.bind(queue, "used");
    c.send("exchange.delete", { exchange: "used", ifUnused: true });
  }, "channel.close 406 40.20 PRECONDITION_FAILED - exchange 'used' in vhost '/' in use"],
];

describe("broker, refusals on a channel", () => {
  let broker: Broker;
  let url: string;

  before(async () => {
    broker = await Broker.open({ maxMessageSize: 1000 });
    url = await broker.listen("amqp://127.0.0.1:0");
    const peer = await Peer.open(url);
    const channel = await peer.channel();
    await channel.queue("quorum", { "x-queue-type": "quorum" }, { durable: true });
    const active = { "x-queue-type": "quorum", "x-single-active-consumer": true };
    await channel.queue("active", active, { durable: true });
    await channel.queue("full", { "x-max-length": 0, "x-overflow": "reject-publish" });
    await channel.exchange("internal", "fanout", {}, { internal: true });
    await peer.close();
  });
  after(() => broker.close());

  for (const [what, steps, expected] of CASES) {
    it(`refuses ${what}`, async () => {
      const peer = await Peer.open(url);
      const channel = await peer.channel();
      const other = await peer.channel();
      const queue = await other.queue("", {}, { exclusive: true });
      const close = () => peer.received.find(({ name }) => name.endsWith(".close"));
      await steps(channel, queue);
      await peer.until(() => close() !== undefined || peer.over, "the close");
      const { name, args } = close()!;
      const said = `${name} ${args["replyCode"]} ${args["classId"]}.${args["methodId"]} ${args["replyText"]}`;
      assert.equal(said.replaceAll(queue, "QUEUE"), expected);
      if (name === "channel.close") await other.barrier(queue);
      await peer.close();
    });
  }
});
