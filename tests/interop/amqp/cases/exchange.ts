import { cases, type Difference } from "../case.ts";
import { TypedNumber } from "../../../../lib/amqp/types/field_value.ts";

const UNKNOWN_TYPE: Difference = {
  why:
    "an unknown exchange type is always called 'unknown'; RabbitMQ calls it 'invalid' unless it is an existing Erlang atom",
  rabbit: /invalid exchange type/,
  ours: /unknown exchange type/,
};

export const exchange = cases("exchange", {
  "declare and delete each type": async (on) => {
    const channel = await on.channel();
    for (const type of ["direct", "fanout", "topic", "headers"]) {
      await channel.exchange(on.name(type), type);
      await channel.exchange(on.name(type), type);
      await channel.call("exchange.delete", { exchange: on.name(type) });
    }
  },
  "the predeclared exchanges exist": async (on) => {
    const channel = await on.channel();
    for (const name of ["direct", "fanout", "topic", "headers", "match"]) {
      await channel.call("exchange.declare", { exchange: `amq.${name}`, passive: true });
    }
    await channel.call("exchange.declare", { exchange: "amq.direct", type: "direct", durable: true });
  },
  "a predeclared exchange declared with another type": async (on) => {
    const channel = await on.channel();
    await channel.refused(406, "exchange.declare", { exchange: "amq.direct", type: "fanout", durable: true });
  },
  "amq.rabbitmq.trace is internal": async (on) => {
    const channel = await on.channel();
    await channel.call("exchange.declare", { exchange: "amq.rabbitmq.trace", passive: true });
  },
  "a missing exchange, passive": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "exchange.declare", { exchange: on.name("missing"), passive: true });
  },
  "passive ignores the type and flags": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct");
    await channel.call("exchange.declare", {
      exchange: on.name("x"),
      type: "fanout",
      passive: true,
      durable: true,
      arguments: { a: 1 },
    });
  },
  "passive accepts an unknown type": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct");
    await channel.call("exchange.declare", { exchange: on.name("x"), type: "nonsense", passive: true });
  },
  "an unknown type": async (on) => {
    const channel = await on.channel();
    await channel.refused(503, "exchange.declare", { exchange: on.name("x"), type: "nonsense" });
  },
  "an empty type": [
    async (on) => {
      const channel = await on.channel();
      await channel.refused(503, "exchange.declare", { exchange: on.name("x"), type: "" });
    },
    UNKNOWN_TYPE,
  ],
  "a name with the prefix amq.": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "exchange.declare", { exchange: "amq.mine", type: "direct" });
  },
  "a missing name with the prefix amq., passive": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "exchange.declare", { exchange: "amq.mine", type: "direct", passive: true });
  },
  "the default exchange cannot be declared": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "exchange.declare", { exchange: "", type: "direct", durable: true });
  },
  "the default exchange, passive": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "exchange.declare", { exchange: "", passive: true });
  },
  "the default exchange cannot be deleted": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "exchange.delete", { exchange: "" });
  },
  "a predeclared exchange cannot be deleted": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "exchange.delete", { exchange: "amq.topic" });
  },
  "a missing exchange with the prefix amq. cannot be deleted": async (on) => {
    const channel = await on.channel();
    await channel.refused(403, "exchange.delete", { exchange: "amq.missing" });
  },
  "delete of a missing exchange": async (on) => {
    const channel = await on.channel();
    await channel.call("exchange.delete", { exchange: on.name("missing") });
  },
  "delete if unused": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x, "key");
    await channel.refused(406, "exchange.delete", { exchange: x, ifUnused: true });
    await channel.call("channel.open");
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "key" });
    await channel.call("exchange.delete", { exchange: x, ifUnused: true });
  },
  "delete if unused, with a binding to another exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const y = await channel.exchange(on.name("y"), "direct");
    await channel.call("exchange.bind", { source: x, destination: y, routingKey: "key" });
    await channel.call("exchange.delete", { exchange: y, ifUnused: true });
    await channel.call("exchange.delete", { exchange: x, ifUnused: true });
  },
  "redeclared with another type": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct");
    await channel.refused(406, "exchange.declare", { exchange: on.name("x"), type: "fanout" });
  },
  "redeclared as durable": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct");
    await channel.refused(406, "exchange.declare", { exchange: on.name("x"), type: "direct", durable: true });
  },
  "redeclared as auto-delete": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct");
    await channel.refused(406, "exchange.declare", {
      exchange: on.name("x"),
      type: "direct",
      autoDelete: true,
    });
  },
  "redeclared as internal": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct");
    await channel.refused(406, "exchange.declare", {
      exchange: on.name("x"),
      type: "direct",
      internal: true,
    });
  },
  "redeclared with another alternate exchange": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct", { "alternate-exchange": on.name("a") });
    await channel.refused(406, "exchange.declare", {
      exchange: on.name("x"),
      type: "direct",
      arguments: { "alternate-exchange": on.name("b") },
    });
  },
  "redeclared without its alternate exchange": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct", { "alternate-exchange": on.name("a") });
    await channel.refused(406, "exchange.declare", { exchange: on.name("x"), type: "direct" });
  },
  "redeclared with other unknown arguments": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct", { mine: "a" });
    await channel.exchange(on.name("x"), "direct", { mine: "b", "x-yours": true });
  },
  "an alternate exchange that is not a string": async (on) => {
    const channel = await on.channel();
    await channel.refused(406, "exchange.declare", {
      exchange: on.name("x"),
      type: "direct",
      arguments: { "alternate-exchange": 5 },
    });
  },
  "auto-delete: deleted with its last binding": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct", {}, { autoDelete: true });
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x, "a");
    await channel.bind(q, x, "b");
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "a" });
    await channel.call("exchange.declare", { exchange: x, passive: true });
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "b" });
    await channel.refused(404, "exchange.declare", { exchange: x, passive: true });
  },
  "auto-delete: deleted with its last queue": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout", {}, { autoDelete: true });
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x);
    await channel.call("queue.delete", { queue: q });
    await channel.refused(404, "exchange.declare", { exchange: x, passive: true });
  },
  "auto-delete: a chain of exchanges": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout", {}, { autoDelete: true });
    const y = await channel.exchange(on.name("y"), "fanout", {}, { autoDelete: true });
    const q = await channel.queue(on.name("q"));
    await channel.call("exchange.bind", { source: x, destination: y });
    await channel.bind(q, y);
    await channel.call("queue.delete", { queue: q });
    await channel.refused(404, "exchange.declare", { exchange: y, passive: true });
    await channel.call("channel.open");
    await channel.refused(404, "exchange.declare", { exchange: x, passive: true });
  },
  "delete removes the bindings": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x);
    await channel.call("exchange.delete", { exchange: x });
    await channel.exchange(x, "fanout");
    channel.publish(x, "", "lost");
    await channel.queue(q);
  },
  "publish to an internal exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout", {}, { internal: true });
    channel.publish(x, "", "body");
    await channel.closed(403);
  },
  "an internal exchange gets messages from another exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    const y = await channel.exchange(on.name("y"), "fanout", {}, { internal: true });
    const q = await channel.queue(on.name("q"));
    await channel.call("exchange.bind", { source: x, destination: y });
    await channel.bind(q, y);
    channel.publish(x, "key", "body");
    await channel.get(q);
  },
  "declare and delete with no-wait": async (on) => {
    const channel = await on.channel();
    const exchange = on.name("x");
    channel.send("exchange.declare", { exchange, type: "direct", noWait: true });
    await channel.call("exchange.declare", { exchange, passive: true });
    channel.send("exchange.delete", { exchange, noWait: true });
    await channel.refused(404, "exchange.declare", { exchange, passive: true });
  },
  "a name of 255 bytes": async (on) => {
    const channel = await on.channel();
    const exchange = on.name("x".repeat(246));
    await channel.exchange(exchange, "fanout");
    await channel.call("exchange.delete", { exchange });
  },
  "line breaks in a name are removed": async (on) => {
    const channel = await on.channel();
    const [broken, exchange] = [on.name("a\r\nb\n"), on.name("ab")];
    const q = await channel.queue(on.name("q"));
    await channel.exchange(broken, "fanout");
    await channel.exchange(exchange, "fanout", {}, { passive: true });
    await channel.exchange(broken, "fanout", {}, { passive: true });
    await channel.bind(q, broken, "k\ney");
    await channel.call("exchange.bind", { destination: broken, source: "amq.\nfanout", routingKey: "k\ney" });
    channel.publish(exchange, "k\ney", "a");
    await channel.drain(q);
    channel.publish("amq.fanout", "", "b");
    await channel.drain(q);
    await channel.call("exchange.unbind", {
      destination: broken,
      source: "amq.\nfanout",
      routingKey: "k\ney",
    });
    await channel.call("queue.unbind", { queue: q, exchange: broken, routingKey: "k\ney" });
    channel.publish(exchange, "k\ney", "c");
    await channel.drain(q);
    channel.publish(broken, "key", "d");
    const known = await Promise.race([
      channel.take("channel.close").then(() => "an error"),
      channel.settle(),
    ]);
    on.note(`publish to a name with line breaks: ${known ?? "it is taken"}`);
    const other = await on.channel();
    await other.call("exchange.delete", { exchange: broken });
    await other.refused(404, "exchange.declare", { exchange, passive: true });
  },
  "x-delayed-message without the plugin": [
    async (on) => {
      const channel = await on.channel();
      channel.send("exchange.declare", {
        exchange: on.name("x"),
        type: "x-delayed-message",
        arguments: { "x-delayed-type": "direct" },
      });
      const { received } = channel.peer;
      await channel.peer.until(() => /declare-ok|close/.test(received.at(-1)!.name), "an answer");
    },
    {
      why: "x-delayed-message is built in; in RabbitMQ it is a plugin",
      rabbit: /1\.0 connection\.close replyCode=503 .*/,
      ours: /1\.1 exchange\.declare-ok/,
    },
  ],
  "type names are case-sensitive": [
    async (on) => {
      const channel = await on.channel();
      await channel.refused(503, "exchange.declare", { exchange: on.name("x"), type: "Direct" });
    },
    UNKNOWN_TYPE,
  ],
  "redeclared with an argument of another integer type": async (on) => {
    const channel = await on.channel();
    await channel.exchange(on.name("x"), "direct", { mine: 1 });
    await channel.exchange(on.name("x"), "direct", { mine: new TypedNumber("b", 1) });
  },
});
