import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { cases, type Script, type Session } from "../case.ts";
import type { PeerChannel } from "../peer.ts";

/** Binds queues to an exchange, publishes with several keys, and notes the messages of each queue. */
const routes = (
  type: string,
  bindings: readonly [queue: string, key: string, args?: FieldTable][],
  published: readonly (readonly [key: string, headers?: FieldTable])[],
): Script =>
async (on) => {
  const channel = await on.channel();
  const x = await channel.exchange(on.name("x"), type);
  const queues = [...new Set(bindings.map(([queue]) => queue))];
  for (const queue of queues) await channel.queue(on.name(queue));
  for (const [queue, key, args] of bindings) await channel.bind(on.name(queue), x, key, args);
  for (const [index, [key, headers]] of published.entries()) {
    channel.publish(x, key, `${index}`, headers === undefined ? {} : { headers });
  }
  await told(on, channel, queues);
};

async function told(on: Session, channel: PeerChannel, queues: readonly string[]): Promise<void> {
  for (const queue of queues) {
    const got = await channel.drain(on.name(queue));
    on.note(`${queue} got ${got.map(({ text }) => text).join(" ") || "nothing"}`);
  }
}

const keys = (...list: string[]): [string][] => list.map((key) => [key]);
const TOPICS = keys(
  "",
  "a",
  "a.b",
  "a.b.c",
  "b",
  "a.",
  ".a",
  "a..c",
  "*",
  "#",
  "a.b.c.d",
  "A.B",
  ".",
  "..",
  "é.b",
);

export const binding = cases("binding", {
  "direct": routes(
    "direct",
    [["p", "a"], ["q", "a"], ["q", "b"], ["r", ""]],
    keys("a", "b", "c", "", "A", "a.b", "#"),
  ),
  "fanout": routes("fanout", [["p", "a"], ["q", "b"], ["q", "c"]], keys("a", "x", "")),
  "topic: words": routes("topic", [["p", "a.b"], ["q", "a"], ["r", ""], ["s", "a.b.c"]], TOPICS),
  "topic: one word": routes("topic", [["p", "*"], ["q", "a.*"], ["r", "*.b"], ["s", "a.*.c"]], TOPICS),
  "topic: any number of words": routes(
    "topic",
    [["p", "#"], ["q", "a.#"], ["r", "#.b"], ["s", "a.#.c"]],
    TOPICS,
  ),
  "topic: both": routes("topic", [["p", "*.#"], ["q", "#.*"], ["r", "*.*.#"], ["s", "#.b.#"]], TOPICS),
  "topic: # twice": routes("topic", [["p", "#.#"], ["q", "a.#.#.d"], ["r", "#.a.#"]], TOPICS),
  "topic: empty words": routes("topic", [["p", "a."], ["q", ".a"], ["r", "a..c"], ["s", "."]], TOPICS),
  "topic: * and # within a word are literal": routes(
    "topic",
    [["p", "a*"], ["q", "#a"], ["r", "a#.b"]],
    keys("a*", "ab", "#a", "ba", "a#.b", "a.b"),
  ),
  "topic: several matching bindings of a queue deliver one copy": routes(
    "topic",
    [["q", "a.#"], ["q", "#"], ["q", "*.b"]],
    keys("a.b"),
  ),
  "headers: all": routes(
    "headers",
    [["p", "", { "x-match": "all", a: "1", b: 2 }], ["q", "", { a: "1" }]],
    [["", { a: "1", b: 2 }], ["", { a: "1" }], ["", { a: "1", b: 3 }], ["", { a: 1, b: 2 }], ["", {}], [""]],
  ),
  "headers: any": routes(
    "headers",
    [["p", "", { "x-match": "any", a: "1", b: 2 }]],
    [["", { a: "1" }], ["", { b: 2 }], ["", { a: "2", b: 3 }], ["", { c: 1 }], [""]],
  ),
  "headers: a void value matches any value": routes(
    "headers",
    [["p", "", { "x-match": "all", a: null }], ["q", "", { "x-match": "any", a: null, b: 1 }]],
    [["", { a: "1" }], ["", { a: null }], ["", { b: 1 }], ["", { c: 1 }]],
  ),
  "headers: names with the prefix x- are ignored": routes(
    "headers",
    [["p", "", { "x-match": "all", "x-a": "1", b: 1 }], ["q", "", { "x-match": "any", "x-a": "1" }]],
    [["", { b: 1 }], ["", { "x-a": "1" }], ["", { "x-a": "1", b: 1 }]],
  ),
  "headers: all-with-x and any-with-x": routes(
    "headers",
    [["p", "", { "x-match": "all-with-x", "x-a": "1", b: 1 }], ["q", "", {
      "x-match": "any-with-x",
      "x-a": "1",
    }]],
    [["", { b: 1 }], ["", { "x-a": "1" }], ["", { "x-a": "1", b: 1 }]],
  ),
  "headers: no arguments": routes(
    "headers",
    [["p", ""], ["q", "", { "x-match": "any" }], ["r", "", { "x-match": "all" }]],
    [["", { a: 1 }], ["", {}], [""]],
  ),
  "headers: types": routes(
    "headers",
    [["p", "", { a: true }], ["q", "", { a: 1.5 }], ["r", "", { a: [1, 2] }], ["s", "", { a: { b: 1 } }]],
    [["", { a: true }], ["", { a: "true" }], ["", { a: 1.5 }], ["", { a: [1, 2] }], ["", { a: { b: 1 } }]],
  ),
  "headers: integers of different widths": routes(
    "headers",
    [["p", "", { a: 5n }], ["q", "", { a: 5 }]],
    [["", { a: 5 }], ["", { a: 5n }]],
  ),
  "headers: the routing key is ignored": routes("headers", [["p", "key", { a: 1 }]], [["other", { a: 1 }]]),
  "headers: an unknown x-match": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "headers");
    const q = await channel.queue(on.name("q"));
    await channel.refused(406, "queue.bind", { queue: q, exchange: x, arguments: { "x-match": "some" } });
  },
  "headers: x-match is not a string": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "headers");
    const q = await channel.queue(on.name("q"));
    await channel.refused(406, "queue.bind", { queue: q, exchange: x, arguments: { "x-match": 1 } });
  },
  "the default exchange": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", q, "there");
    channel.publish("", on.name("missing"), "lost");
    await channel.drain(q);
  },
  "bind to the default exchange is refused": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(403, "queue.bind", { queue: q, exchange: "", routingKey: "key" });
  },
  "unbind from the default exchange is refused": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(403, "queue.unbind", { queue: q, exchange: "", routingKey: q });
  },
  "the default exchange as a source": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    await channel.refused(403, "exchange.bind", { source: "", destination: x });
  },
  "the default exchange as a destination": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    await channel.refused(403, "exchange.bind", { source: x, destination: "" });
  },
  "a missing exchange": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.refused(404, "queue.bind", { queue: q, exchange: on.name("missing"), routingKey: "key" });
  },
  "a missing queue": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.bind", { queue: on.name("missing"), exchange: "amq.direct" });
  },
  "a missing exchange and a missing queue": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.bind", { queue: on.name("q"), exchange: on.name("x") });
  },
  "a repeated bind makes one binding": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x, "a");
    await channel.bind(q, x, "a");
    channel.publish(x, "a", "once");
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "a" });
    channel.publish(x, "a", "lost");
    await channel.drain(q);
  },
  "bindings differ by their arguments": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x, "a");
    await channel.bind(q, x, "a", { mine: 1 });
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "a" });
    channel.publish(x, "a", "once");
    await channel.drain(q);
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "a", arguments: { mine: 1 } });
    channel.publish(x, "a", "lost");
    await channel.drain(q);
  },
  "unbind of a missing binding": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    await channel.call("queue.unbind", { queue: q, exchange: x, routingKey: "a" });
  },
  "unbind of a missing queue": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    await channel.call("queue.unbind", { queue: on.name("missing"), exchange: x, routingKey: "a" });
  },
  "unbind of a missing exchange": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    await channel.call("queue.unbind", { queue: q, exchange: on.name("missing"), routingKey: "a" });
  },
  "bind without waiting": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    channel.send("queue.bind", { queue: q, exchange: x, routingKey: "a", noWait: true });
    channel.publish(x, "a", "there");
    await channel.drain(q);
  },
  "an empty queue name means the last declared queue": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue(on.name("q"));
    await channel.bind("", x, "a");
    await channel.bind("", x, "");
    channel.publish(x, "a", "a");
    channel.publish(x, "", "empty");
    channel.publish(x, q, "name");
    await channel.drain(q);
  },
  "an empty queue name and key mean the name of the last declared queue": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const q = await channel.queue("");
    await channel.bind("", x, "");
    channel.publish(x, q, "by name");
    await channel.drain(q);
  },
  "an empty queue name without a declared queue": async (on) => {
    const channel = await on.channel();
    await channel.refused(404, "queue.bind", { queue: "", exchange: "amq.direct", routingKey: "a" });
  },
  "exchange to exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct");
    const y = await channel.exchange(on.name("y"), "topic");
    const q = await channel.queue(on.name("q"));
    await channel.call("exchange.bind", { source: x, destination: y, routingKey: "a.b" });
    await channel.bind(q, y, "a.*");
    channel.publish(x, "a.b", "both");
    channel.publish(x, "a.c", "none");
    await channel.drain(q);
    await channel.call("exchange.unbind", { source: x, destination: y, routingKey: "a.b" });
    channel.publish(x, "a.b", "lost");
    await channel.drain(q);
  },
  "exchange to exchange in a cycle": async (on) => {
    const channel = await on.channel();
    const names = [on.name("x"), on.name("y"), on.name("z")];
    const q = await channel.queue(on.name("q"));
    for (const name of names) await channel.exchange(name, "fanout");
    for (const [index, source] of names.entries()) {
      await channel.call("exchange.bind", { source, destination: names[(index + 1) % 3]! });
      await channel.bind(q, source);
    }
    channel.publish(names[0]!, "key", "once");
    await channel.drain(q);
  },
  "an exchange bound to itself": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    const q = await channel.queue(on.name("q"));
    await channel.call("exchange.bind", { source: x, destination: x });
    await channel.bind(q, x);
    channel.publish(x, "", "once");
    await channel.drain(q);
  },
  "exchange to a missing exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    await channel.refused(404, "exchange.bind", { source: x, destination: on.name("missing") });
  },
  "a missing exchange to an exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    await channel.refused(404, "exchange.bind", { source: on.name("missing"), destination: x });
  },
  "exchange unbind of a missing binding": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    await channel.call("exchange.unbind", { source: x, destination: "amq.fanout" });
  },
  "exchange bind without waiting": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    const y = await channel.exchange(on.name("y"), "fanout");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, y);
    const both = { source: x, destination: y, noWait: true };
    channel.send("exchange.bind", both);
    channel.publish(x, "", "there");
    await channel.drain(q);
    channel.send("exchange.unbind", both);
    channel.publish(x, "", "lost");
    await channel.drain(q);
  },
  "a message with several routes to a queue is delivered once": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "fanout");
    const y = await channel.exchange(on.name("y"), "fanout");
    const q = await channel.queue(on.name("q"));
    await channel.call("exchange.bind", { source: x, destination: y });
    await channel.bind(q, x);
    await channel.bind(q, x, "other");
    await channel.bind(q, y);
    channel.publish(x, "key", "once");
    await channel.drain(q);
  },
  "alternate exchange": async (on) => {
    const channel = await on.channel();
    const rest = await channel.exchange(on.name("rest"), "fanout");
    const x = await channel.exchange(on.name("x"), "direct", { "alternate-exchange": rest });
    for (const queue of ["p", "q"]) await channel.queue(on.name(queue));
    await channel.bind(on.name("p"), x, "a");
    await channel.bind(on.name("q"), rest);
    channel.publish(x, "a", "a");
    channel.publish(x, "b", "b");
    await told(on, channel, ["p", "q"]);
  },
  "alternate exchange of an alternate exchange": async (on) => {
    const channel = await on.channel();
    const last = await channel.exchange(on.name("last"), "fanout");
    const rest = await channel.exchange(on.name("rest"), "direct", { "alternate-exchange": last });
    const x = await channel.exchange(on.name("x"), "direct", { "alternate-exchange": rest });
    await channel.queue(on.name("q"));
    await channel.bind(on.name("q"), last);
    channel.publish(x, "b", "b");
    await told(on, channel, ["q"]);
  },
  "alternate exchanges in a cycle": async (on) => {
    const channel = await on.channel();
    const [x, y] = [on.name("x"), on.name("y")];
    await channel.exchange(x, "direct", { "alternate-exchange": y });
    await channel.exchange(y, "direct", { "alternate-exchange": x });
    channel.publish(x, "b", "b", {}, true);
    await channel.take("basic.return");
  },
  "a missing alternate exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "direct", { "alternate-exchange": on.name("missing") });
    channel.publish(x, "b", "b", {}, true);
    await channel.take("basic.return");
  },
  "a mandatory message routed by the alternate exchange is not returned": async (on) => {
    const channel = await on.channel();
    const rest = await channel.exchange(on.name("rest"), "fanout");
    const x = await channel.exchange(on.name("x"), "direct", { "alternate-exchange": rest });
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, rest);
    channel.publish(x, "b", "b", {}, true);
    await channel.drain(q);
  },
  "alternate exchange of the second exchange in a chain": async (on) => {
    const channel = await on.channel();
    const rest = await channel.exchange(on.name("rest"), "fanout");
    const y = await channel.exchange(on.name("y"), "direct", { "alternate-exchange": rest });
    const x = await channel.exchange(on.name("x"), "fanout");
    const q = await channel.queue(on.name("q"));
    await channel.call("exchange.bind", { source: x, destination: y });
    await channel.bind(q, rest);
    channel.publish(x, "b", "b");
    await channel.drain(q);
  },
  "CC and BCC": async (on) => {
    const channel = await on.channel();
    for (const queue of ["p", "q", "r"]) await channel.queue(on.name(queue));
    const headers = { CC: [on.name("q")], BCC: [on.name("r")], other: 1 };
    channel.publish("", on.name("p"), "body", { headers });
    await told(on, channel, ["p", "q", "r"]);
  },
  "CC when the key matches no queue": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", on.name("missing"), "body", { headers: { CC: [q] } }, true);
    await channel.drain(q);
  },
  "CC is not a list": async (on) => {
    const channel = await on.channel();
    channel.publish("", on.name("q"), "body", { headers: { CC: on.name("q") } });
    await channel.closed(406);
  },
  "CC with an entry that is not a string": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", on.name("missing"), "body", { headers: { CC: [1, q, true] } });
    await channel.drain(q);
  },
  "BCC only": async (on) => {
    const channel = await on.channel();
    const q = await channel.queue(on.name("q"));
    channel.publish("", on.name("missing"), "body", { headers: { BCC: [q] } });
    await channel.drain(q);
  },
  "CC to a topic exchange": async (on) => {
    const channel = await on.channel();
    const x = await channel.exchange(on.name("x"), "topic");
    const q = await channel.queue(on.name("q"));
    await channel.bind(q, x, "a.*");
    channel.publish(x, "b", "body", { headers: { CC: ["a.b", "a.c"] } });
    await channel.drain(q);
  },
  "an unroutable mandatory message with BCC": async (on) => {
    const channel = await on.channel();
    const headers = { BCC: [on.name("missing")], CC: [on.name("none")] };
    channel.publish("amq.direct", on.name("nothing"), "body", { headers }, true);
    await channel.take("basic.return");
  },
});
