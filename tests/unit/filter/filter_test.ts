import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Decimal, type FieldTable, Timestamp, TypedNumber } from "../../../lib/amqp/types/field_value.ts";
import { FilterLimitError } from "../../../lib/filter/filter_error.ts";
import { compileFilter } from "../../../lib/filter/filter.ts";
import { type FilterMessage, PlainMessage } from "../../../lib/filter/message.ts";
import { utf8 } from "../../../lib/zmtp/bytes.ts";
import { filterMessage, type MessageParts } from "../../support/filter_message.ts";

/** Checks a list of filters that match a message, and one of filters that do not. */
function check(parts: MessageParts, matching: readonly string[], others: readonly string[]): void {
  checkMessage(filterMessage(parts), matching, others);
}

function checkMessage(
  message: FilterMessage,
  matching: readonly string[],
  others: readonly string[],
  now?: number,
): void {
  for (const text of matching) assert.ok(compileFilter(text).matches(message, now), `expected: ${text}`);
  for (const text of others) assert.ok(!compileFilter(text).matches(message, now), `not expected: ${text}`);
}

/** A table without prototype, as the decoder makes it. */
function table(fields: Record<string, unknown>): FieldTable {
  return Object.assign(Object.create(null), fields) as FieldTable;
}

describe("filter", () => {
  it("topic and exchange - are texts", () => {
    check({ topic: "orders.eu.new", exchange: "shop" }, [
      'topic == "orders.eu.new"',
      "topic == 'orders.eu.new'",
      'topic != "x"',
      'topic =~ "^orders\\."',
      'topic =~ "\\.(new|old)$"',
      'topic > "orders.eu" and topic < "orders.ev"',
      'exchange == "shop" and topic',
    ], ['topic == "orders"', 'topic =~ "^eu"', 'exchange != "shop"', "not topic"]);
  });

  it("a missing field - makes every test false, also !=; not inverts that", () => {
    check({}, ["not headers.a == 1", "not topic", "not json.a", "not properties.type", "not age < 1s"], [
      "headers.a == 1",
      "headers.a != 1",
      "headers.a < 1",
      'headers.a =~ ""',
      "headers.a",
      "headers",
      'properties.type != "x"',
      "json.a != 1",
      "json",
      "age < 1d",
      "age > 0",
      'topic != "x"',
    ]);
  });

  it("headers - members of nested tables and arrays", () => {
    const headers = table({
      "x-death": [table({ count: 4n, queue: "jobs" }), table({ count: 1n })],
      "a name": table({ 'quote"d': 1 }),
      "with.dot": 7,
      empty: null,
      off: false,
      on: true,
    });
    check({ properties: { headers } }, [
      "headers",
      "headers.x-death[0].count > 3",
      "headers.x-death[0].count == 4",
      'headers.x-death[0]["queue"] == "jobs"',
      "headers.x-death[1].count < 2",
      "headers.x-death",
      'headers["a name"]["quote\\"d"] == 1',
      'headers["with.dot"] == 7',
      "headers.empty == null and not headers.empty",
      "headers.off == false and not headers.off",
      "headers.on and headers.on == true and headers.on != false",
    ], [
      "headers.x-death[2].count > 0",
      "headers.x-death.count > 0",
      "headers.x-death[0].count[0] > 0",
      "headers.with.dot == 7",
      "headers.x-death == 4",
      'headers.x-death =~ ""',
      "headers.constructor",
      "headers.__proto__",
      "headers.x-death.length",
      "headers.empty != null",
    ]);
  });

  it("numbers - of every type on the wire, and texts of digits", () => {
    const headers = table({
      byte: new TypedNumber("B", 200),
      long: 2n ** 62n,
      double: 1.5,
      time: new Timestamp(1_700_000_000),
      price: new Decimal(2, 1999),
      text: "42",
      precise: "9007199254740993",
      word: "many",
      nan: NaN,
    });
    check({ properties: { headers } }, [
      "headers.byte == 200",
      "headers.long == 4611686018427387904",
      "headers.long > 4611686018427387903",
      "headers.long >= 1e18",
      "headers.double == 1.5",
      "headers.double > -2",
      "headers.double>-2",
      "headers.time > 1.6e9",
      "headers.price < 20 and headers.price > 19.98",
      "headers.text > 41 and headers.text == 42",
      "headers.precise == 9007199254740993",
      "headers.word != 1",
      "headers.nan != 1",
    ], [
      "headers.long == 4611686018427387905",
      "headers.precise == 9007199254740992",
      "headers.precise == 9007199254740994",
      "headers.word > 1",
      "headers.word < 1",
      "headers.nan == 1",
      "headers.nan < 1",
      'headers.byte == "200"',
      "headers.time.seconds > 0",
    ]);
  });

  it("booleans - also as texts, which are the only headers of STOMP and MQTT", () => {
    check({ properties: { headers: table({ a: "true", b: "no" }) } }, [
      "headers.a == true",
      "headers.a != false",
      "headers.b != true",
    ], ["headers.a == false", "headers.b == false"]);
  });

  it("properties - by RabbitMQ's names", () => {
    check(
      {
        properties: {
          contentType: "text/plain",
          deliveryMode: 2,
          priority: 0,
          messageId: "m-1",
          expiration: "60000",
          timestamp: 1_700_000_000,
        },
      },
      [
        'properties.content_type == "text/plain"',
        "properties.delivery_mode == 2",
        "properties.priority == 0 and properties.priority",
        'properties.message_id =~ "^m-"',
        "properties.expiration > 59000",
        "properties.timestamp == 1700000000",
        "not properties.reply_to",
      ],
      ["properties.app_id", "properties.priority > 0"],
    );
  });

  it("age - from the timestamp in seconds or milliseconds, or from RabbitMQ's header", () => {
    const now = 1_700_000_000_000;
    const seconds = filterMessage({ properties: { timestamp: 1_700_000_000 - 600 } });
    checkMessage(seconds, ["age > 5m", "age == 600", "age < 0.2h", "age >= 600000ms", "age"], [
      "age > 10m",
      "age < 1s",
      "age > 1d",
    ], now);
    const millis = filterMessage({ properties: { timestamp: now - 1500 } });
    checkMessage(millis, ["age == 1500ms", "age > 1"], ["age > 2s"], now);
    const header = { timestamp: 1, headers: table({ timestamp_in_ms: BigInt(now - 250) }) };
    checkMessage(filterMessage({ properties: header }), ["age == 250ms"], ["age > 1s"], now);
  });

  it("size - in bytes, with units of 1024", () => {
    check({ body: "x".repeat(2048) }, [
      "size == 2k",
      "size > 1.5K",
      "size < 1M",
      "size >= 2048",
      "size == 2KiB",
    ], [
      "size > 2k",
      "size == 2",
    ]);
  });

  it("body - as text, and as JSON", () => {
    check({ body: '{"user":{"name":"Ann","tags":["a","b"]},"n":3,"gone":null}' }, [
      'body =~ "Ann"',
      'json.user.name == "Ann"',
      'json.user.tags[1] == "b"',
      "json.n >= 3",
      "json.gone == null",
      "json",
    ], ['body == "Ann"', "json.user.tags[2]", "json.user.name.length", "json.gone", 'json.user == "Ann"']);
    check({ body: '[1,{"a":2}]' }, ["json[0] == 1", "json[1].a == 2"], ["json.length"]);
    check({ body: "not JSON" }, ['body != "x"', "not json"], ["json", "json.a"]);
    check({ body: Uint8Array.of(0xff, 0x61) }, ['body =~ "a$"', "size == 2"], ['body == "a"']);
    check({ body: "" }, ['body == ""', "size == 0", "body"], ["json"]);
  });

  it("and, or, not - precedence and parentheses", () => {
    check({ topic: "a" }, [
      'topic == "a" or topic == "b" and topic == "c"',
      'not (topic == "b" or topic == "c")',
      'not topic == "b" and topic == "a"',
      'not not topic == "a"',
      'NOT topic == "b" AND topic == "a"',
    ], ['(topic == "a" or topic == "b") and topic == "c"', 'not topic == "a" or topic == "b"']);
  });

  it("redelivered - is a field of every message", () => {
    check({ redelivered: true }, ["redelivered", "redelivered == true"], ["not redelivered"]);
    check({}, ["not redelivered", "redelivered == false"], ["redelivered"]);
  });

  it("malformed properties - are missing, and no error", () => {
    check({ properties: Uint8Array.of(0x20, 0, 0, 0, 0, 9, 1) }, ["size == 0"], [
      "headers.a",
      "headers",
      "age > 1",
    ]);
    check({ properties: Uint8Array.of(0x20, 0, 0, 0, 0, 3, 1, 97, 7) }, ["not headers"], ["headers.a"]);
    check({ properties: Uint8Array.of(1) }, [], ["properties.type"]);
  });

  it("a message of ZeroMQ - has a topic, a size and a body", () => {
    const message = new PlainMessage();
    message.body = utf8("xhellox");
    message.bodyStart = 1;
    message.bodyEnd = 6;
    checkMessage(message, ['body == "hello"', "size == 5", "not topic"], [
      "headers",
      "age",
      "properties.type",
    ]);
    message.topicFrame = utf8("news");
    checkMessage(message, ['topic == "news"'], ["not topic"]);
  });

  it("maxBody - refuses to test the content of a larger body, and only that", () => {
    const message = filterMessage({ body: "x".repeat(101), topic: "t" });
    const matches = (text: string) => compileFilter(text, { maxBody: 100 }).matches(message);
    assert.throws(() => matches('body =~ "y"'), FilterLimitError);
    assert.throws(() => matches("json.a == 1"), FilterLimitError);
    assert.equal(matches('size <= 100 and body =~ "y"'), false);
    assert.equal(matches('topic == "t" or body =~ "y"'), true);
  });
});
