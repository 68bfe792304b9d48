/** The codecs, with the bytes of other programs. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { METHOD } from "../../../lib/amqp/frames/frame.ts";
import { FrameDecoder, type FrameSink, type Role } from "../../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../../lib/amqp/frames/frame_encoder.ts";
import { AckFields, ContentHeader, DeliverFields, PublishFields } from "../../../lib/amqp/basic_fields.ts";
import { decodeMethod, sizeofMethod, writeMethod } from "../../../lib/amqp/method_codec.ts";
import type { MethodName } from "../../../lib/amqp/method_args.ts";
import { METHODS } from "../../../lib/amqp/methods.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import { PROPERTY, PropertyScan } from "../../../lib/amqp/property_scan.ts";
import {
  Decimal,
  type FieldTable,
  integerOf,
  Timestamp,
  TypedNumber,
} from "../../../lib/amqp/types/field_value.ts";
import { decodeTable, encodeTable } from "../../../lib/amqp/types/table.ts";
import {
  hex,
  LIBRABBITMQ_CLIENT,
  METHOD_SAMPLES,
  PIKA_CLIENT,
  PIKA_SERVER,
  PROPERTIES_SAMPLE,
  RABBITMQ_GET,
  table,
  TABLE_SAMPLE,
  utf8,
} from "./samples.ts";

interface Seen {
  readonly type: number;
  readonly channel: number;
  readonly payload: Uint8Array;
}

class Recorder implements FrameSink {
  headers = 0;
  readonly frames: Seen[] = [];

  onProtocolHeader(): void {
    this.headers++;
  }

  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void {
    this.frames.push({ type, channel, payload: bytes.slice(start, end) });
  }
}

function framesOf(role: Role, bytes: Uint8Array): Seen[] {
  const recorder = new Recorder();
  const decoder = new FrameDecoder(role, recorder);
  decoder.push(bytes);
  assert.ok(decoder.idle);
  assert.equal(recorder.headers, role === "server" ? 1 : 0);
  return recorder.frames;
}

function methodIn(frame: Seen | undefined): ReturnType<typeof decodeMethod> {
  assert.equal(frame?.type, METHOD);
  return decodeMethod(frame.payload, 0, frame.payload.length);
}

function namesIn(frames: readonly Seen[]): string {
  return frames.map((frame) => frame.type === METHOD ? methodIn(frame).name : `${frame.type}`).join(" ");
}

/** Encodes a decoded session again. */
function encodeAgain(frames: readonly Seen[]): Uint8Array[] {
  return frames.map(({ type, channel, payload }) => {
    const encoder = new FrameEncoder();
    if (type === METHOD) {
      const { name, args } = decodeMethod(payload, 0, payload.length);
      encoder.method(channel, name, args);
    } else if (type === 2) {
      const header = new ContentHeader();
      header.read(payload, 0, payload.length);
      const properties = decodeProperties(payload, header.propertiesStart, header.propertiesEnd);
      encoder.contentHeader(channel, header.bodySize, properties);
    } else encoder.body(channel, payload);
    return encoder.out.take().slice();
  });
}

describe("amqp samples", () => {
  it("methods - every method is decoded and encoded like in RabbitMQ", () => {
    assert.deepEqual(Object.keys(METHOD_SAMPLES), Object.keys(METHODS));
    for (const [key, [text, args]] of Object.entries(METHOD_SAMPLES)) {
      const name = key as MethodName;
      const bytes = hex(text);
      assert.deepEqual(decodeMethod(bytes, 0, bytes.length), { name, args });
      assert.equal(sizeofMethod<MethodName>(name, args), bytes.length, name);
      const target = new Uint8Array(bytes.length + 2).fill(0xee);
      assert.equal(writeMethod<MethodName>(name, args, target, 1), bytes.length + 1, name);
      assert.deepEqual([...target], [0xee, ...bytes, 0xee], name);
    }
  });

  it("methods - the readers of the fast path agree with the tables", () => {
    const publish = new PublishFields();
    const publishBytes = hex(METHOD_SAMPLES["basic.publish"][0]);
    publish.read(publishBytes, 0, publishBytes.length);
    const { routeStart, routeEnd, ...published } = publish;
    assert.deepEqual(published, METHOD_SAMPLES["basic.publish"][1]);
    assert.deepEqual(publishBytes.slice(routeStart, routeEnd), utf8("\x02ex\x03key"));
    const deliver = new DeliverFields();
    const deliverBytes = hex(METHOD_SAMPLES["basic.deliver"][0]);
    deliver.read(deliverBytes, 0, deliverBytes.length);
    assert.deepEqual({ ...deliver }, METHOD_SAMPLES["basic.deliver"][1]);
    const ack = new AckFields();
    const acks = [
      ["basic.ack", { deliveryTag: 4294967298, multiple: true, requeue: false }],
      ["basic.nack", { deliveryTag: 8, multiple: false, requeue: true }],
      ["basic.reject", { deliveryTag: 6, multiple: false, requeue: true }],
    ] as const;
    for (const [name, expected] of acks) {
      const bytes = hex(METHOD_SAMPLES[name][0]);
      ack.read(bytes, 0, bytes.length);
      assert.deepEqual({ ...ack }, expected, name);
    }
  });

  it("table - every type of RabbitMQ is decoded and encoded with its letter", () => {
    const fields = table({
      t: true,
      f: false,
      b: new TypedNumber("b", -1),
      B: new TypedNumber("B", 200),
      s: new TypedNumber("s", -300),
      u: new TypedNumber("u", 60000),
      I: -70000,
      i: new TypedNumber("i", 4000000000),
      l: -5000000000n,
      fl: new TypedNumber("f", 1.5),
      d: 0.1,
      D: new Decimal(2, 314),
      S: "text é",
      x: Uint8Array.of(0, 255),
      A: ["a", 1, [], null],
      T: new Timestamp(1700000000),
      F: table({ in: table({}) }),
      V: null,
    });
    assert.deepEqual(decodeTable(TABLE_SAMPLE), fields);
    assert.deepEqual(encodeTable(fields), TABLE_SAMPLE);
  });

  it("properties - all 14 are decoded and encoded", () => {
    const properties: BasicProperties = {
      contentType: "text/plain",
      contentEncoding: "gzip",
      headers: table({ n: 1 }),
      deliveryMode: 2,
      priority: 9,
      correlationId: "corr",
      replyTo: "reply",
      expiration: "60000",
      messageId: "msg-1",
      timestamp: 1700000000,
      type: "type",
      userId: "guest",
      appId: "app",
      clusterId: "cluster",
    };
    assert.deepEqual(decodeProperties(PROPERTIES_SAMPLE), properties);
    assert.deepEqual(encodeProperties(properties), PROPERTIES_SAMPLE);
    const scan = new PropertyScan();
    scan.read(PROPERTIES_SAMPLE, 0, PROPERTIES_SAMPLE.length);
    assert.equal(scan.persistent, true);
    assert.equal(scan.priority, 9);
    assert.equal(scan.text(PROPERTY.expiration), "60000");
    assert.equal(scan.text(PROPERTY.clusterId), "cluster");
    assert.deepEqual(scan.headers(), table({ n: 1 }));
  });

  it("librabbitmq - decodes a session that publishes", () => {
    const frames = framesOf("server", LIBRABBITMQ_CLIENT);
    assert.equal(
      namesIn(frames),
      "connection.start-ok connection.tune-ok connection.open channel.open basic.publish 2 3 channel.close " +
        "connection.close",
    );
    assert.deepEqual(methodIn(frames[4]).args, {
      exchange: "",
      routingKey: "probe",
      mandatory: false,
      immediate: false,
    });
    assert.deepEqual(decodeProperties(frames[5]!.payload, 12), {
      contentType: "text/plain",
      deliveryMode: 2,
    });
    assert.equal(new TextDecoder().decode(frames[6]!.payload), "hello from librabbitmq");
    const encoder = new FrameEncoder();
    const properties = { contentType: "text/plain", deliveryMode: 2 };
    encoder.publish(1, "", "probe", false, properties, utf8("hello from librabbitmq"));
    const ours = encoder.out.take();
    const from = indexOf(LIBRABBITMQ_CLIENT, ours);
    assert.ok(from > 0, "the frames of a message differ from librabbitmq's");
  });

  it("RabbitMQ - a fetched message is encoded to the same bytes from its parts", () => {
    const frames = framesOf("client", RABBITMQ_GET);
    assert.equal(
      namesIn(frames),
      "connection.start connection.tune connection.open-ok channel.open-ok basic.get-ok 2 3 channel.close-ok " +
        "connection.close-ok",
    );
    const head = new Uint8Array([...utf8("\0\x05probe"), ...frames[5]!.payload.subarray(12)]);
    const encoder = new FrameEncoder();
    encoder.getOk(1, 1, false, 0, {
      head,
      routeStart: 0,
      propertiesStart: 7,
      propertiesEnd: head.length,
      body: frames[6]!.payload,
      bodyStart: 0,
      bodyEnd: frames[6]!.payload.length,
    });
    assert.ok(indexOf(RABBITMQ_GET, encoder.out.take()) > 0);
  });

  it("pika - decodes the frames of the client", () => {
    const frames = framesOf("server", PIKA_CLIENT);
    const start = methodIn(frames[0]);
    assert.ok(start.name === "connection.start-ok");
    assert.deepEqual(start.args.response, utf8("\0guest\0guest"));
    assert.equal(start.args.clientProperties["product"], "Pika Python Client Library");
    assert.deepEqual(Object.values(start.args.clientProperties["capabilities"] as FieldTable), [
      true,
      true,
      true,
      true,
      true,
    ]);
    const declare = methodIn(frames[5]);
    assert.ok(declare.name === "queue.declare");
    assert.equal(integerOf(declare.args.arguments["x-message-ttl"]), 60000);
    assert.deepEqual(
      decodeProperties(frames[8]!.payload, 12).headers,
      table({
        int: 1,
        big: 5000000000n,
        str: "café",
        bytes: Uint8Array.of(0, 255),
        none: null,
        bool: true,
        dec: new Decimal(2, 314),
        when: new Timestamp(1704164645),
        list: [1, "two", [3]],
        dict: table({ a: table({ b: -1 }) }),
      }),
    );
  });

  it("pika - decodes RabbitMQ's frames, including x-death", () => {
    const frames = framesOf("client", PIKA_SERVER);
    const at = frames.findIndex((frame) => frame.type === METHOD && methodIn(frame).name === "basic.deliver");
    assert.deepEqual(methodIn(frames[at]).args, {
      consumerTag: "ct",
      deliveryTag: 2,
      redelivered: false,
      exchange: "",
      routingKey: "probe3",
    });
    const { headers } = decodeProperties(frames[at + 1]!.payload, 12);
    const [death] = headers!["x-death"] as FieldTable[];
    assert.equal(death!["count"], 1n);
    assert.equal(death!["reason"], "rejected");
    assert.equal(death!["queue"], "probe2");
    assert.ok(death!["time"] instanceof Timestamp);
    const close = frames.map((frame) => frame.type === METHOD ? methodIn(frame) : undefined)
      .find((method) => method?.name === "channel.close");
    assert.ok(close?.name === "channel.close");
    assert.deepEqual(close.args, {
      replyCode: 404,
      replyText: "NOT_FOUND - no queue 'absent' in vhost '/'",
      classId: 50,
      methodId: 10,
    });
  });

  it("sessions - are encoded again to the same bytes, except for reserved bits", () => {
    const sessions = [
      ["server", LIBRABBITMQ_CLIENT],
      ["client", RABBITMQ_GET],
      ["server", PIKA_CLIENT],
      ["client", PIKA_SERVER],
    ] as const;
    for (const [role, bytes] of sessions) {
      const frames = framesOf(role, bytes);
      const encoded = encodeAgain(frames);
      let at = role === "server" ? 8 : 0;
      frames.forEach((frame, i) => {
        const end = at + frame.payload.length + 8;
        const theirs = bytes.slice(at, end);
        at = end;
        // The bit `insist` of connection.open, which the standard has removed and both clients set.
        if (frame.type === METHOD && methodIn(frame).name === "connection.open") {
          theirs[theirs.length - 2] = 0;
        }
        assert.deepEqual(encoded[i], theirs, `frame ${i}`);
      });
      assert.equal(at, bytes.length);
    }
  });
});

function indexOf(bytes: Uint8Array, part: Uint8Array): number {
  for (let at = 0; at + part.length <= bytes.length; at++) {
    if (part.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}
