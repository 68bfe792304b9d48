/** The readers of AMQP see only their part of a buffer, and refuse what is cut. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AckFields, ContentHeader, DeliverFields, PublishFields } from "../../../lib/amqp/basic_fields.ts";
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import { FRAME_HEAD } from "../../../lib/amqp/frames/frame.ts";
import { FrameEncoder } from "../../../lib/amqp/frames/frame_encoder.ts";
import { decodeMethod } from "../../../lib/amqp/method_codec.ts";
import type { GivenArgs, MethodName } from "../../../lib/amqp/method_args.ts";
import { decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import { PROPERTY, PropertyScan } from "../../../lib/amqp/property_scan.ts";
import { Decimal, type FieldTable, Timestamp } from "../../../lib/amqp/types/field_value.ts";
import { checkLogicalEnd, type Read } from "../../support/logical_end.ts";

/** The payload of the only frame that `encode` writes. */
function payloadOf(encode: (encoder: FrameEncoder) => void): Uint8Array {
  const encoder = new FrameEncoder();
  encode(encoder);
  return encoder.out.take().slice(FRAME_HEAD, -1);
}

/** Copies what a reader with fields has read. */
function fieldsOf<F extends { read(bytes: Uint8Array, start: number, end: number): void }>(
  fields: F,
  pick: (fields: F, bytes: Uint8Array, start: number) => unknown,
): Read {
  return (bytes, start, end) => {
    fields.read(bytes, start, end);
    return pick(fields, bytes, start);
  };
}

const table: FieldTable = Object.assign(Object.create(null), {
  text: "é",
  bytes: Uint8Array.of(1, 2),
  list: [1, 300, 70_000, 2 ** 40, -1, 1.5, true, null],
  nested: Object.assign(Object.create(null), { a: "b" }),
  time: new Timestamp(5n),
  decimal: new Decimal(2, 314),
});

describe("AMQP readers", () => {
  it("basic.publish, basic.deliver, acknowledgements and headers - are complete or malformed", () => {
    const message = {
      head: Uint8Array.of(1, 120, 2, 121, 122, 0, 0),
      routeStart: 0,
      propertiesStart: 5,
      propertiesEnd: 7,
      body: new Uint8Array(0),
      bodyStart: 0,
      bodyEnd: 0,
    };
    const publish = fieldsOf(new PublishFields(), (f, _bytes, start) => [
      f.exchange,
      f.routingKey,
      f.mandatory,
      f.immediate,
      f.routeStart - start,
      f.routeEnd - start,
    ]);
    const deliver = fieldsOf(new DeliverFields(), (f) => ({ ...f }));
    const ack = fieldsOf(new AckFields(), (f) => ({ ...f }));
    const header = fieldsOf(new ContentHeader(), (f, _bytes, start) => [
      f.bodySize,
      f.propertiesStart - start,
      f.propertiesEnd - start,
    ]);
    const first = (encode: (encoder: FrameEncoder) => void) => {
      const encoder = new FrameEncoder();
      encode(encoder);
      const bytes = encoder.out.take();
      const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(3);
      return bytes.slice(FRAME_HEAD, FRAME_HEAD + size);
    };
    const whole: [what: string, read: Read, bytes: Uint8Array][] = [
      [
        "basic.publish",
        publish,
        first((e) => e.publish(1, "x", "yz", true, Uint8Array.of(0, 0), message.body)),
      ],
      [
        "basic.publish",
        publish,
        first((e) => e.publish(1, "", "", false, Uint8Array.of(0, 0), message.body)),
      ],
      ["basic.deliver", deliver, first((e) => e.deliver(1, "tag", 2 ** 33, true, message))],
      ["an acknowledgement", ack, first((e) => e.ack(1, 5, true))],
      ["an acknowledgement", ack, first((e) => e.nack(1, 5, false, true))],
    ];
    for (const [what, read, bytes] of whole) {
      assert.deepEqual(checkLogicalEnd(read, bytes), [bytes.length], what);
      const malformed = { message: `FRAME_ERROR - ${what} is malformed` };
      assert.throws(() => read(bytes, 0, bytes.length - 1), malformed);
      assert.throws(() => read(Uint8Array.of(...bytes, 0), 0, bytes.length + 1), malformed);
    }
    const head = payloadOf((e) => e.contentHeader(1, 2 ** 33, Uint8Array.of(0, 0)));
    assert.deepEqual(checkLogicalEnd(header, head), [14]);
  });

  it("methods - strings, tables and bits are complete, or an error of the protocol", () => {
    const methods: { [Name in MethodName]?: GivenArgs<Name> } = {
      "connection.start": { versionMinor: 9, serverProperties: table, mechanisms: Uint8Array.of(65, 66) },
      "queue.declare": { queue: "é", durable: true, arguments: table },
      "basic.consume": { queue: "q", consumerTag: "t", noAck: true, arguments: table },
      "basic.qos": { prefetchCount: 7, global: true },
      "basic.get-ok": { deliveryTag: 2 ** 33, exchange: "x", routingKey: "y", messageCount: 3 },
    };
    for (const [name, args] of Object.entries(methods)) {
      const bytes = payloadOf((e) => e.method(0, name as MethodName, args as GivenArgs<MethodName>));
      assert.deepEqual(checkLogicalEnd(decodeMethod, bytes), [bytes.length], name);
    }
  });

  it("properties - are complete, or an error of the protocol", () => {
    const properties = {
      contentType: "a/b",
      contentEncoding: "é",
      headers: table,
      deliveryMode: 2,
      priority: 3,
      correlationId: "c",
      replyTo: "r",
      expiration: "5",
      messageId: "m",
      timestamp: 5,
      type: "t",
      userId: "u",
      appId: "a",
      clusterId: "c",
    };
    const encoded = encodeProperties(properties);
    assert.deepEqual(checkLogicalEnd(decodeProperties, encoded), [encoded.length]);
    const scan = new PropertyScan();
    const find: Read = (bytes, start, end) => {
      scan.read(bytes, start, end);
      return [
        scan.flags,
        scan.text(PROPERTY.contentType),
        scan.priority,
        scan.text(PROPERTY.clusterId),
        scan.headers(),
      ];
    };
    assert.deepEqual(checkLogicalEnd(find, encoded), [encoded.length]);
    for (
      const last of [{ contentType: "" }, { headers: Object.create(null) }, { priority: 0 }, { timestamp: 0 }]
    ) {
      const bytes = encodeProperties(last);
      assert.deepEqual(checkLogicalEnd(find, bytes), [bytes.length]);
    }
    assert.throws(() => decodeProperties(encoded.subarray(0, 1)), AmqpError);
  });
});

describe("AMQP errors", () => {
  it("text - has at most 255 bytes on the wire, and the message is whole", () => {
    for (
      const [text, onTheWire] of [
        ["a".repeat(255), "a".repeat(255)],
        ["a".repeat(256), `${"a".repeat(252)}...`],
        [`${"é".repeat(127)}a`, `${"é".repeat(127)}a`],
        ["é".repeat(128), `${"é".repeat(126)}...`],
      ] as const
    ) {
      const error = new AmqpError(404, text);
      assert.deepEqual([error.message, error.replyText], [text, onTheWire]);
    }
  });

  it("method - the ids of class and method, or 0", () => {
    const { classId, methodId } = new AmqpError(404, "x");
    assert.deepEqual([classId, methodId], [0, 0]);
    const known = new AmqpError(404, "x", { method: 60 << 16 | 40 });
    assert.deepEqual([known.classId, known.methodId], [60, 40]);
  });
});
