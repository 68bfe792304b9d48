/** A message of a queue as JSON and back: kept to the byte, or refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { envelopeOf, parseRecord, queueWriter } from "../../../../cli/brokers/records.ts";
import type { Output } from "../../../../cli/io/output.ts";
import { jsonSplitter } from "../../../../cli/records/json.ts";
import { Content } from "../../../../lib/amqp/client/content.ts";
import { encodeProperties } from "../../../../lib/amqp/properties.ts";
import { Batch } from "../../../../lib/zmtp/batch.ts";
import { concat, utf8 } from "../../../../lib/zmtp/bytes.ts";

interface Message {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

/** The line that `queue get -J` prints for a message. */
function lineOf({ exchange, routingKey, properties, body }: Message, endpoint = "amqp://x"): string {
  const written: Uint8Array[] = [];
  const output = { append: (bytes: Uint8Array) => void written.push(bytes.slice()) } as unknown as Output;
  const content = Object.assign(Object.create(Content.prototype), {
    properties,
    propertiesEnd: properties.length,
    body,
    bodyStart: 0,
    bodyEnd: body.length,
  });
  const style = { framing: "json", hasTopic: false } as const;
  queueWriter(output, style)(
    { deliveryTag: 1, redelivered: false, exchange, routingKey, content },
    endpoint,
  );
  return new TextDecoder().decode(concat(written)).trimEnd();
}

/** The message that `queue put --exchange e -J` makes of a line. */
function putBack(line: string, exchange: string): Message {
  const record = parseRecord(utf8(line));
  const defaults = { exchange, properties: { deliveryMode: 2 } };
  const { routingKey, properties } = envelopeOf(record, defaults);
  return { exchange, routingKey, properties: new Uint8Array(properties), body: new Uint8Array(record.body) };
}

/** Properties with a table of headers of these bytes. */
function withHeaders(...fields: number[][]): Uint8Array {
  const table = fields.flat();
  return Uint8Array.of(0x20, 0, 0, 0, 0, table.length, ...table);
}
const field = (name: string, ...value: number[]) => [name.length, ...utf8(name), ...value];

const message = (properties: Uint8Array): Message => ({
  exchange: "e",
  routingKey: "k",
  properties,
  body: utf8("b"),
});

const frames = (line: string, rule: Parameters<typeof jsonSplitter>[0]): string[] => {
  const bytes = utf8(`${line}\n`);
  const batch = new Batch();
  jsonSplitter(rule).split(bytes, 0, 0, bytes.length, batch);
  return Array.from({ length: batch.frames }, (_, i) => new TextDecoder().decode(batch.frame(i)));
};

describe("messages of queues as JSON", () => {
  const cases: Record<string, Message> = {
    "two headers of one name": message(withHeaders(field("a", 0x74, 1), field("a", 0x74, 0))),
    "the bits of NaN, double": message(withHeaders(field("n", 0x64, 0x7f, 0xf8, 0, 0, 0, 0, 0xab, 0xcd))),
    "the bits of NaN, float": message(withHeaders(field("n", 0x66, 0x7f, 0xc0, 0xab, 0xcd))),
    "a boolean that is 2": message(withHeaders(field("t", 0x74, 2))),
    "names that are numbers, in their order": message(withHeaders(field("2", 0x56), field("1", 0x56))),
    "an empty table": message(withHeaders()),
    "no properties": message(Uint8Array.of(0, 0)),
    "all properties": message(encodeProperties({
      contentType: "a",
      headers: { x: [1, { y: 2n }], "ü": -0 },
      deliveryMode: 1,
      timestamp: 2n ** 63n,
      userId: "\udcff",
    })),
    "a routing key that is not UTF-8": { ...message(Uint8Array.of(0, 0)), routingKey: "k\udcff\udcfe" },
    "a body that is not UTF-8": { ...message(Uint8Array.of(0, 0)), body: Uint8Array.of(0xff, 0xc3) },
  };
  for (const [name, sent] of Object.entries(cases)) {
    it(`-J - keeps ${name}`, () => assert.deepEqual(putBack(lineOf(sent), "e"), sent));
  }

  it("-J - keeps any table of headers to the byte", () => {
    const value = fc.oneof(
      fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => [0x64, ...bytes]),
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => [0x66, ...bytes]),
      fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => [0x6c, ...bytes]),
      fc.uint8Array({ minLength: 1, maxLength: 1 }).map((bytes) => [0x74, ...bytes]),
      fc.uint8Array({ maxLength: 20, size: "max" }).map((bytes) => [0x53, 0, 0, 0, bytes.length, ...bytes]),
    );
    const name = fc.oneof(
      fc.constantFrom("a", "1", "0", "$l", "__proto__", "constructor"),
      fc.string({ maxLength: 3 }),
    )
      .filter((text) => text.isWellFormed())
      .map((text) => [utf8(text).length, ...utf8(text)]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, value).map((parts) => parts.flat()), { maxLength: 5 }),
        (fields) => {
          const table = fields.flat();
          if (table.length > 255) return;
          const sent = message(withHeaders(table));
          assert.deepEqual(putBack(lineOf(sent), "e"), sent);
        },
      ),
      { numRuns: 300 },
    );
  });

  const refused: [name: string, line: string, words: RegExp][] = [
    ["a lone surrogate in the body", String.raw`{"body":"a\ud800"}`, /'body' contains a lone surrogate/],
    ["a lone surrogate in the topic", String.raw`{"topic":"\udcff","body":"a"}`, /'topic' contains a lone/],
    ["a lone surrogate in a header", String.raw`{"body":"a","headers":{"x":["\ud800"]}}`, /lone surrogate/],
    ["a lone surrogate in a name", String.raw`{"body":"a","headers":{"\ud800":1}}`, /lone surrogate/],
    [
      "a lone surrogate in a property",
      String.raw`{"body":"a","properties":{"type":"\ud800"}}`,
      /lone surrogate/,
    ],
    ["a number that JSON has rounded", `{"body":"a","headers":{"x":9007199254740993}}`, /beyond 2\^53/],
    ["body and body_base64", `{"body":"a","body_base64":"YQ=="}`, /both 'body' and 'body_base64'/],
    [
      "headers that were changed beside properties_base64",
      JSON.stringify({ ...JSON.parse(lineOf(cases["two headers of one name"]!)), headers: { a: false } }),
      /'properties_base64' differs from 'headers'/,
    ],
    [
      "properties_base64 that is none",
      `{"body":"a","exchange":"","properties_base64":"AA=="}`,
      /is not the prop/,
    ],
  ];
  for (const [name, line, words] of refused) {
    it(`-J - refuses ${name}`, () => assert.throws(() => parseRecord(utf8(line)), words));
  }

  it("place - an exchange comes with the topic; the name of a queue is no topic", () => {
    const printed = (exchange: string, endpoint: string) => {
      const { topic, exchange: shown, queue } = JSON.parse(
        lineOf({ ...message(Uint8Array.of(0, 0)), exchange }, endpoint),
      );
      return { topic, exchange: shown, queue };
    };
    assert.deepEqual(printed("e", "amqp://x"), { topic: "k", exchange: "e", queue: undefined });
    for (const endpoint of ["amqp://x", "amqps://x", "stomp://x", "inproc:///data"]) {
      assert.deepEqual(printed("", endpoint), { topic: undefined, exchange: undefined, queue: "k" });
    }
    for (const endpoint of ["mqtt://x", "tcp://127.0.0.1:5555"]) {
      assert.deepEqual(printed("", endpoint), { topic: "k", exchange: undefined, queue: undefined });
    }
  });

  it("push -J - sends a topic as a frame, and never the name of a queue", () => {
    assert.deepEqual(frames(lineOf(message(Uint8Array.of(0, 0))), {}), ["k", "b"]);
    assert.deepEqual(frames(lineOf({ ...message(Uint8Array.of(0, 0)), exchange: "" }), {}), ["b"]);
    assert.deepEqual(frames(`{"topic":"t","body":"b"}`, {}), ["t", "b"]);
    // Records of mqcat 0.1.0 have the name of the queue as their topic.
    assert.deepEqual(frames(`{"topic":"q","exchange":"","body":"b"}`, {}), ["b"]);
    assert.throws(
      () => frames(String.raw`{"parts":["a","\udfff"]}`, {}),
      /'parts' contains a lone surrogate/,
    );
  });
});
