/** All encoders write the same bytes wherever the end of their buffer is, also if its memory was used before. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMMAND } from "../../../lib/amqp/client/stream/commands.ts";
import { StreamEncoder } from "../../../lib/amqp/client/stream/encoder.ts";
import { FrameEncoder } from "../../../lib/amqp/frames/frame_encoder.ts";
import { FrameBuffer } from "../../../lib/bytes/frame_buffer.ts";
import { PacketEncoder } from "../../../lib/mqtt/packet_encoder.ts";
import {
  AUTH,
  DISCONNECT,
  PINGREQ,
  PUBACK,
  PUBREL,
  SUBACK,
  UNSUBACK,
} from "../../../lib/mqtt/packet_type.ts";
import { type MqttProperties, PropertyWriter, writeProperties } from "../../../lib/mqtt/properties.ts";
import { StompEncoder } from "../../../lib/stomp/frame_encoder.ts";

/** The size of the first block of a buffer, in bytes. */
const BLOCK = 4096;

/** Text whose characters have three bytes each, the most for one unit of a string. */
const wide = (length: number) => "€".repeat(length);
const body = Uint8Array.from({ length: 70 }, (_, i) => i);

/** An encoder, and what it writes. */
type Case = [name: string, open: () => { out: FrameBuffer; encode: () => void }];

const amqp = (name: string, encode: (encoder: FrameEncoder) => void): Case => [`AMQP ${name}`, () => {
  const encoder = new FrameEncoder();
  return { out: encoder.out, encode: () => encode(encoder) };
}];
const stomp = (name: string, encode: (encoder: StompEncoder) => void): Case => [`STOMP ${name}`, () => {
  const encoder = new StompEncoder();
  encoder.version = "1.2";
  return { out: encoder.out, encode: () => encode(encoder) };
}];
const mqtt = (name: string, encode: (encoder: PacketEncoder) => void): Case => [`MQTT ${name}`, () => {
  const encoder = new PacketEncoder(new FrameBuffer());
  return { out: encoder.out, encode: () => encode(encoder) };
}];
const stream = (name: string, encode: (encoder: StreamEncoder) => void): Case => [`stream ${name}`, () => {
  const encoder = new StreamEncoder();
  return { out: encoder.out, encode: () => encode(encoder) };
}];

// Exchange `x` and routing key `€`, then properties.
const message = {
  head: Uint8Array.of(9, 1, 120, 3, 0xe2, 0x82, 0xac, 1, 2, 3, 9),
  routeStart: 1,
  propertiesStart: 7,
  propertiesEnd: 10,
  body,
  bodyStart: 2,
  bodyEnd: 60,
};
const properties = { contentType: wide(2), headers: { a: 1, [wide(3)]: wide(4) }, priority: 3 };

const cases: readonly Case[] = [
  amqp("heartbeat", (encoder) => encoder.heartbeat()),
  amqp(
    "method",
    (encoder) => encoder.method(3, "queue.bind", { queue: wide(3), arguments: { a: wide(2), b: true } }),
  ),
  amqp("publish", (encoder) => encoder.publish(7, wide(5), wide(6), true, properties, body, 3, 66)),
  amqp(
    "publish, encoded",
    (encoder) => encoder.publish(7, wide(5), "", false, Uint8Array.of(0, 0), body, 0, 0),
  ),
  amqp("deliver", (encoder) => encoder.deliver(7, wide(4), 2 ** 40, true, message)),
  amqp("get-ok", (encoder) => encoder.getOk(7, 5, false, 9, message)),
  amqp("return", (encoder) => encoder.return(7, 312, wide(4), message)),
  amqp("content", (encoder) => {
    encoder.contentHeader(7, 70, properties);
    encoder.body(7, body);
  }),
  amqp("acknowledgements", (encoder) => {
    encoder.ack(7, 2 ** 33, true);
    encoder.nack(7, 3, false, true);
  }),
  stomp("heart-beat", (encoder) => encoder.heartbeat()),
  stomp("frame", (encoder) => encoder.frame("SEND", [[wide(3), wide(4)], ["a:b", "c\nd"], ["", ""]], body)),
  stomp("frame without escapes", (encoder) => encoder.frame("CONNECT", [[wide(2), "a\n\r\0:\\b"]])),
  stream("fields", (encoder) => {
    encoder.begin(COMMAND.open).uint8(1).uint16(2).uint32(3).text(wide(5)).bytes(body).end();
  }),
  stream("messages", (encoder) => {
    encoder.publish(1, 2 ** 33, body, 0, 70, 1000);
    encoder.publish(1, 5, body, 5, 5, 1000);
    encoder.publish(1, 6, new Uint8Array(300).fill(7), 0, 256, 1000);
    encoder.publish(1, 7, new Uint8Array(300).fill(8), 0, 255, 1000);
    encoder.endPublish();
  }),
  mqtt("publish", (encoder) => {
    encoder.publish(2, 9, body, 7, Uint8Array.of(1, 5), 2, body, 4, 50);
    encoder.version = 4;
    encoder.publish(0, 0, body, 7, Uint8Array.of(1, 5), 2, body, 0, 3);
  }),
  mqtt("acknowledgements", (encoder) => {
    encoder.ack(PUBACK, 1);
    encoder.ack(PUBREL, 2, 0x92);
    encoder.ack(PUBACK, 3, 0x80, { reasonString: wide(3) });
    encoder.version = 4;
    encoder.ack(PUBREL, 4, 0x92, { reasonString: "x" });
  }),
  mqtt("connect", (encoder) =>
    encoder.connect({
      version: 5,
      cleanStart: true,
      keepAlive: 10,
      properties: { sessionExpiryInterval: 60 },
      clientId: wide(4),
      will: { topic: wide(2), payload: body, qos: 1, retain: true, properties: { contentType: wide(2) } },
      userName: wide(3),
      password: body,
    })),
  ["MQTT properties", () => {
    const out = new PropertyWriter();
    const all: MqttProperties = {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 0x01020304,
      contentType: wide(3),
      correlationData: body,
      subscriptionIdentifiers: [1, 200, 20_000, 3_000_000],
      topicAlias: 258,
      userProperties: [[wide(2), ""], ["", wide(3)]],
    };
    return { out, encode: () => writeProperties(all, out) };
  }],
  ["MQTT range of properties", () => {
    const out = new PropertyWriter();
    return { out, encode: () => out.range(9, body, 5, 9) };
  }],
  mqtt("other packets", (encoder) => {
    encoder.connack({ sessionPresent: true, code: 0, properties: { reasonString: wide(2) } });
    const request = {
      filter: wide(3),
      qos: 2,
      noLocal: true,
      retainAsPublished: true,
      retainHandling: 1,
    } as const;
    encoder.subscribe({ packetId: 5, properties: {}, requests: [request, request] });
    encoder.unsubscribe({ packetId: 6, properties: {}, filters: [wide(2), ""] });
    encoder.codeList(SUBACK, { packetId: 5, properties: {}, codes: [0, 1, 0x80] });
    encoder.codeList(UNSUBACK, { packetId: 6, properties: {}, codes: [0] });
    encoder.reason(DISCONNECT, { reasonCode: 0, properties: {} });
    encoder.reason(DISCONNECT, { reasonCode: 0x8b, properties: {} });
    encoder.reason(AUTH, { reasonCode: 0x18, properties: { authenticationMethod: wide(2) } });
    encoder.ping(PINGREQ);
  }),
];

/** What an encoder writes into a buffer whose first block has room for `free` bytes. */
function encodeInto([, open]: Case, free: number): Uint8Array {
  const { out, encode } = open();
  out.append(new Uint8Array(BLOCK - free).fill(0xaa));
  encode();
  const written = out.take();
  assert.ok(written.subarray(0, BLOCK - free).every((byte) => byte === 0xaa));
  return written.slice(BLOCK - free);
}

describe("encoders", () => {
  for (const one of cases) {
    it(`${one[0]} - is the same with any room at the end of the buffer`, () => {
      // The next buffers get this block, which is not empty.
      const used = new FrameBuffer();
      used.append(new Uint8Array(BLOCK).fill(0xee));
      used.recycle(used.take());
      const { out, encode } = one[1]();
      encode();
      const expected = out.take().slice();
      assert.ok(expected.length > 0 && expected.length < 1500);
      for (let free = 0; free <= Math.min(BLOCK, expected.length + 50); free++) {
        assert.deepEqual([...encodeInto(one, free)], [...expected], `${free} bytes free`);
      }
    });
  }
});
