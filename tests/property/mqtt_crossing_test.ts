/** A message from MQTT to the shared message and back keeps its properties, and headers of AMQP survive MQTT. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { FrameBuffer } from "../../lib/bytes/frame_buffer.ts";
import type { PropertyTarget } from "../../lib/mqtt/client/mapping.ts";
import { PublishFields } from "../../lib/mqtt/fields.ts";
import { PacketDecoder } from "../../lib/mqtt/packet_decoder.ts";
import { PacketEncoder } from "../../lib/mqtt/packet_encoder.ts";
import {
  type MqttProperties,
  propertiesOf,
  PropertyWriter,
  writeProperties,
} from "../../lib/mqtt/properties.ts";
import { AmqpMapping } from "../../lib/patterns/mqtt/mapping.ts";

const TIMEOUT = { timeout: 60_000 };

const mapping = new AmqpMapping();
const text = fc.string({ unit: "grapheme", maxLength: 20, size: "max" }).filter((one) =>
  one.isWellFormed() && !one.includes("\0")
);
/** Longer than a short string of AMQP. */
const long = fc.integer({ min: 256, max: 400 }).map((length) => "ä".repeat(length));
const anyText = fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: long });
const topic = anyText.map((one) => one.replace(/[+#]/g, "/")).filter((one) => one !== "");
const name = fc.oneof(text, fc.constantFrom("a", "CC", "x-mqtt-retain", "7", "__proto__"));
/** A property that is present or absent. */
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const given: fc.Arbitrary<MqttProperties> = fc.record({
  payloadFormatIndicator: fc.constantFrom(undefined, 1),
  messageExpiryInterval: maybe(fc.nat(315_000_000)),
  contentType: maybe(anyText),
  responseTopic: maybe(topic),
  correlationData: maybe(
    fc.oneof(
      fc.uint8Array({ maxLength: 30, size: "max" }),
      fc.uint8Array({ minLength: 256, maxLength: 300, size: "max" }),
    ),
  ),
  userProperties: maybe(fc.array(fc.tuple(name, anyText), { minLength: 1, maxLength: 5 })),
}).map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)));

/** Encodes a PUBLISH with these properties, and reads it again. */
function published(write: (into: PropertyWriter) => void, qos: number): PublishFields {
  const properties = new PropertyWriter();
  write(properties);
  const encoder = new PacketEncoder(new FrameBuffer());
  const topic = new TextEncoder().encode("t");
  const nothing = new Uint8Array(0);
  encoder.publish(qos << 1, qos > 0 ? 1 : 0, topic, 1, properties.bytes, properties.length, nothing, 0, 0);
  const fields = new PublishFields();
  const decoder = new PacketDecoder({
    onPacket: (_type, flags, bytes, start, end) => fields.read(flags, bytes, start, end, 5),
  });
  decoder.push(encoder.out.take().slice());
  return fields;
}

/** The properties of the shared message. */
function received(fields: PublishFields): Uint8Array {
  const target: PropertyTarget = { properties: new Uint8Array(2), propertiesEnd: 2 };
  mapping.read(fields, target);
  return target.properties.slice(0, target.propertiesEnd);
}

describe("messages over MQTT", () => {
  it("MQTT, AMQP, MQTT - properties are the same", TIMEOUT, () => {
    fc.assert(fc.property(given, fc.nat(2), (properties, qos) => {
      const first = published((into) => writeProperties(properties, into), qos);
      const shared = received(first);
      const { deliveryMode } = decodeProperties(shared);
      assert.equal(deliveryMode, qos > 0 ? 2 : undefined);
      const second = published((into) => mapping.write(shared, into), qos);
      assert.deepEqual(second.properties.isEmpty ? {} : propertiesOf(second.properties), properties);
    }));
  });

  it("AMQP, MQTT, AMQP - what MQTT has a place for is the same", TIMEOUT, () => {
    const header = text.filter((one) => one !== "" && !/^(CC|BCC|\d+|x-.*|__proto__)$/.test(one));
    const short = text.filter((one) => new TextEncoder().encode(one).length <= 255);
    const messages = fc.record({
      contentType: maybe(short),
      headers: maybe(fc.dictionary(header, text, { minKeys: 1, maxKeys: 5 })),
      correlationId: maybe(short),
      replyTo: maybe(short.map((one) => one.replace(/[+#]/g, "/")).filter((one) => one !== "")),
      expiration: maybe(fc.nat(100_000).map((seconds) => String(seconds * 1000))),
    }).map((all) =>
      Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as BasicProperties
    );
    fc.assert(fc.property(messages, (message) => {
      const shared = received(published((into) => mapping.write(encodeProperties(message), into), 1));
      const { headers, deliveryMode, ...rest } = decodeProperties(shared);
      const { headers: wanted, ...others } = message;
      assert.equal(deliveryMode, 2);
      assert.deepEqual(rest, others);
      assert.deepEqual({ ...headers }, { ...wanted });
    }));
  });

  it("AMQP, MQTT - any encoded properties become properties that MQTT allows", TIMEOUT, () => {
    const value = fc.oneof(
      text,
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 400, size: "max" }),
    );
    const known = fc.constantFrom(
      "x-mqtt-user-properties",
      "x-mqtt-correlation-data",
      "x-mqtt-response-topic",
      "x-mqtt-content-type",
      "x-mqtt-payload-format",
      "x-mqtt-retain",
      "other",
    );
    const odd = fc.record({
      headers: fc.dictionary(known, fc.oneof(value, fc.array(value, { maxLength: 4 }))),
      contentType: text,
      replyTo: text,
      expiration: fc.oneof(text, fc.constantFrom("-1", "1e99", "0", "NaN", "99999999999999999999")),
    });
    fc.assert(fc.property(odd, (message) => {
      // Reading the packet checks it.
      published((into) => mapping.write(encodeProperties(message), into), 1);
    }));
  });
});
