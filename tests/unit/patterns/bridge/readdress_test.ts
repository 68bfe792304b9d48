import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeProperties, encodeProperties, NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { addressing } from "../../../../lib/patterns/bridge/addressing.ts";
import {
  type BridgeSink,
  type BridgeSource,
  readdress,
  toQueue,
} from "../../../../lib/patterns/bridge/readdress.ts";
import type { Delivery, Envelope } from "../../../../lib/patterns/contract.ts";
import { compileRewrite } from "../../../../lib/regex/pattern.ts";

const SOURCES = {
  zmq: { system: "zmq", isQueue: false },
  queue: { system: "amqp", isQueue: true },
  exchange: { system: "amqp", isQueue: false },
  mqtt: { system: "mqtt", isQueue: false },
} as const satisfies Record<string, BridgeSource>;

const SINKS = {
  zmq: { system: "zmq", exchange: "", name: undefined },
  queue: { system: "amqp", exchange: "", name: "jobs" },
  exchange: { system: "amqp", exchange: "events", name: undefined },
  mqtt: { system: "mqtt", exchange: "", name: undefined },
  "mqtt topic": { system: "mqtt", exchange: "", name: "all" },
  "stomp topics": { system: "stomp", exchange: "amq.topic", name: undefined },
} as const satisfies Record<string, BridgeSink>;

/** Where a message goes: `exchange|routing key|x-topic`, or the reason why it does not. */
function route(from: keyof typeof SOURCES, to: keyof typeof SINKS, message: Partial<Envelope>): string {
  const given = { exchange: "", routingKey: "", properties: NO_PROPERTIES, ...message };
  const result = readdress(SOURCES[from], SINKS[to])(given);
  if (typeof result === "string") return result;
  const topic = decodeProperties(result.properties).headers?.["x-topic"];
  return [result.exchange, result.routingKey, ...(topic === undefined ? [] : [topic])].join("|");
}

describe("readdress", () => {
  const cases: [keyof typeof SOURCES, keyof typeof SINKS, Partial<Envelope>, string][] = [
    ["zmq", "queue", { routingKey: "" }, "|jobs"],
    ["zmq", "queue", { routingKey: "a/b.c" }, "|jobs|a/b.c"],
    ["zmq", "exchange", { routingKey: "a.b" }, "events|a.b"],
    ["zmq", "mqtt", { routingKey: "a/b" }, "|a/b"],
    ["zmq", "mqtt", { routingKey: "" }, "without a topic"],
    ["queue", "zmq", { routingKey: "jobs" }, "|"],
    ["queue", "zmq", { exchange: "events", routingKey: "a.b" }, "|a.b"],
    ["queue", "queue", { routingKey: "other" }, "|jobs"],
    ["queue", "queue", { exchange: "events", routingKey: "a.b" }, "|jobs|a.b"],
    ["queue", "mqtt", { routingKey: "jobs" }, "without a topic"],
    ["exchange", "queue", { exchange: "events", routingKey: "a.b" }, "|jobs|a.b"],
    ["exchange", "exchange", { exchange: "other", routingKey: "a.b" }, "events|a.b"],
    ["exchange", "mqtt", { exchange: "amq.topic", routingKey: "v1/2.x" }, "|v1.2/x"],
    ["exchange", "stomp topics", { exchange: "events", routingKey: "a.b" }, "amq.topic|a.b"],
    ["mqtt", "exchange", { routingKey: "v1.2/x" }, "events|v1/2.x"],
    ["mqtt", "queue", { routingKey: "v1.2/x" }, "|jobs|v1/2.x"],
    ["mqtt", "mqtt topic", { routingKey: "a/b" }, "|all|a/b"],
    ["exchange", "mqtt topic", { exchange: "events", routingKey: "a.b" }, "|all|a.b"],
    ["mqtt", "zmq", { routingKey: "a/b" }, "|a/b"],
  ];
  for (const [from, to, message, expected] of cases) {
    it(`readdress - from ${from} to ${to}: ${message.exchange ?? ""}|${message.routingKey}`, () => {
      assert.equal(route(from, to, message), expected);
    });
  }

  it("readdress - a topic in a header becomes the topic again when the message leaves the queue", () => {
    const properties = encodeProperties({ deliveryMode: 2, headers: { "x-topic": "a.b", k: "v" } });
    assert.equal(route("queue", "exchange", { routingKey: "jobs", properties }), "events|a.b");
    assert.equal(route("queue", "mqtt", { routingKey: "jobs", properties }), "|a/b");
    assert.equal(route("queue", "zmq", { routingKey: "jobs", properties }), "|a.b");
    assert.equal(route("queue", "queue", { routingKey: "jobs", properties }), "|jobs|a.b");
    // At an exchange it is a header like others.
    assert.equal(route("exchange", "exchange", { routingKey: "key", properties }), "events|key|a.b");
    const sent = readdress(SOURCES.queue, SINKS.exchange)({ exchange: "", routingKey: "jobs", properties });
    assert.ok(typeof sent !== "string");
    assert.deepEqual({ ...decodeProperties(sent.properties).headers }, { k: "v" });
  });

  it("readdress - rewrites topics, by the first rule that matches", () => {
    const rules = [compileRewrite("^plant[.](\\d+)[.](.*)", "$2/p$1"), compileRewrite(".*", "")];
    const rewrite = (routingKey: string) => {
      const result = readdress(SOURCES.exchange, SINKS.exchange, rules)({
        exchange: "",
        routingKey,
        properties: NO_PROPERTIES,
      });
      return typeof result === "string" ? result : result.routingKey;
    };
    assert.deepEqual([rewrite("plant.7.temp"), rewrite("other.7")], ["temp/p7", ""]);
    assert.throws(() => compileRewrite("(a)", "$2"), /it has 1 groups, and the replacement names \$2/);
    assert.throws(() => compileRewrite("(?=a)", ""), /lookahead/);
  });

  it("readdress - reports once that properties have no place in ZeroMQ's messages; the delivery mode is none", () => {
    let losses = 0;
    const sent = readdress(SOURCES.exchange, SINKS.zmq, [], () => losses++);
    const message = { exchange: "", routingKey: "k" };
    sent({ ...message, properties: encodeProperties({ deliveryMode: 2 }) });
    assert.equal(losses, 0);
    for (let i = 0; i < 2; i++) sent({ ...message, properties: encodeProperties({ contentType: "a/b" }) });
    assert.equal(losses, 1);
  });

  it("readdress - reports once, by their names, properties and headers without a place in MQTT and STOMP", () => {
    const properties = encodeProperties({
      contentType: "a/b",
      priority: 1,
      messageId: "m",
      clusterId: "c",
      headers: { text: "t", list: ["a"], nothing: null, receipt: "r" },
    });
    const lossesTo = (sink: "mqtt" | "stomp topics") => {
      const losses: (readonly string[])[] = [];
      const sent = readdress(SOURCES.exchange, SINKS[sink], [], (names) => losses.push(names));
      sent({
        exchange: "",
        routingKey: "k",
        properties: encodeProperties({ deliveryMode: 2, contentType: "a/b" }),
      });
      for (let i = 0; i < 2; i++) sent({ exchange: "", routingKey: "k", properties });
      return losses;
    };
    assert.deepEqual(lossesTo("mqtt"), [["priority", "message_id", "cluster_id"]]);
    assert.deepEqual(lossesTo("stomp topics"), [[
      "cluster_id",
      "header 'list'",
      "header 'nothing'",
      "header 'receipt'",
    ]]);
  });

  it("toQueue - keeps the properties, but not CC and BCC", () => {
    const properties = encodeProperties({ contentType: "CC", headers: { CC: ["a"], BCC: ["b"], k: "v" } });
    const result = toQueue("q")({ exchange: "x", routingKey: "y", properties });
    assert.ok(typeof result !== "string");
    assert.deepEqual([result.exchange, result.routingKey], ["", "q"]);
    assert.deepEqual({ ...decodeProperties(result.properties) }, {
      contentType: "CC",
      headers: Object.assign(Object.create(null), { k: "v" }),
    });
    const plain = encodeProperties({ contentType: "CC", headers: { k: "CC" } });
    assert.deepEqual(toQueue("q")({ exchange: "", routingKey: "", properties: plain }), {
      exchange: "",
      routingKey: "q",
      properties: plain,
    });
  });
});

describe("addressing", () => {
  const delivery = (routingKey: string, properties: Uint8Array): Delivery => ({
    deliveryTag: 1,
    redelivered: false,
    exchange: "",
    routingKey,
    content: { properties, propertiesEnd: 2, body: properties, bodyStart: 0, bodyEnd: 0 },
  });

  it("addressing - equal messages in a row share an envelope, which owns its bytes", () => {
    let calls = 0;
    const address = addressing((message) => {
      calls++;
      return message;
    });
    const bytes = Uint8Array.of(0, 0, 99);
    const first = address(delivery("a", bytes));
    bytes[2] = 1;
    assert.equal(address(delivery("a", bytes)), first);
    assert.notEqual(address(delivery("b", bytes)), first);
    const again = address(delivery("b", bytes));
    bytes[0] = 1;
    assert.notEqual(address(delivery("b", bytes)), again);
    assert.equal(calls, 3);
    assert.deepEqual(first, { exchange: "", routingKey: "a", properties: Uint8Array.of(0, 0) });
  });

  it("addressing - a message with malformed headers stays", () => {
    const address = addressing(({ properties }) => {
      decodeProperties(properties);
      return "decoded";
    });
    assert.equal(address(delivery("a", Uint8Array.of(0x20, 0))), "with malformed headers");
  });
});
