/** AMQP frames: the decoded frames do not depend on the chunks of the network. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ContentHeader, DeliverFields, PublishFields } from "../../lib/amqp/basic_fields.ts";
import { BODY, HEADER, METHOD, PROTOCOL_HEADER } from "../../lib/amqp/frames/frame.ts";
import { FrameDecoder, type Role } from "../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../lib/amqp/frames/frame_encoder.ts";
import { readMethodId } from "../../lib/amqp/method_codec.ts";
import { BASIC_DELIVER, BASIC_PUBLISH } from "../../lib/amqp/methods.ts";
import { type BasicProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { MqcatError } from "../../lib/errors.ts";
import { bytesOf, cuts, pieces, size } from "./generators.ts";

const TIMEOUT = { timeout: 60_000 };

/** A message with its content. */
interface Message {
  kind: "publish" | "deliver";
  channel: number;
  names: [exchange: string, routingKey: string, consumerTag: string];
  flag: boolean;
  tag: number;
  properties: BasicProperties;
  size: number;
  seed: number;
}

/** One item to send. */
type Sent =
  | Message
  | { kind: "ack"; channel: number; tag: number; flag: boolean }
  | { kind: "declare"; channel: number; names: [string, string, string] }
  | { kind: "heartbeat" };

function isMessage(what: Sent): what is Message {
  return what.kind === "publish" || what.kind === "deliver";
}

const name = fc.string({ maxLength: 30, size: "max" });
const names = fc.tuple(name, name, name);
const channel = fc.oneof(fc.constantFrom(1, 255, 256, 65535), fc.integer({ min: 1, max: 65535 }));
const tag = fc.maxSafeNat();
const properties: fc.Arbitrary<BasicProperties> = fc.record(
  { contentType: name, deliveryMode: fc.constantFrom(1, 2), messageId: name },
  { requiredKeys: [] },
);

const sent: fc.Arbitrary<Sent> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("publish" as const, "deliver" as const),
      channel,
      names,
      flag: fc.boolean(),
      tag,
      properties,
      size,
      seed: fc.nat(255),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("ack" as const), channel, tag, flag: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("declare" as const), channel, names }) },
  { weight: 1, arbitrary: fc.constant({ kind: "heartbeat" as const }) },
);

function write(encoder: FrameEncoder, what: Sent): void {
  switch (what.kind) {
    case "heartbeat":
      return encoder.heartbeat();
    case "ack":
      return encoder.ack(what.channel, what.tag, what.flag);
    case "declare":
      return encoder.method(what.channel, "queue.declare", {
        queue: what.names[0],
        arguments: { n: what.names[1] },
      });
  }
  const { channel, names: [exchange, key, consumer], flag, properties } = what;
  const body = bytesOf(what);
  if (what.kind === "publish") return encoder.publish(channel, exchange, key, flag, properties, body);
  const route = new TextEncoder();
  const names = [exchange, key].map((name) => route.encode(name)).flatMap((name) => [name.length, ...name]);
  const head = new Uint8Array([...names, ...encodeProperties(properties), ...body]);
  const bodyStart = head.length - body.length;
  encoder.deliver(channel, consumer, what.tag, flag, {
    head,
    routeStart: 0,
    propertiesStart: names.length,
    propertiesEnd: bodyStart,
    body: head,
    bodyStart,
    bodyEnd: head.length,
  });
}

interface Seen {
  type: number;
  channel: number;
  payload: Uint8Array;
}

/** Decodes in chunks, each of which is overwritten after it was pushed. */
function decode(role: Role, frameMax: number, bytes: Uint8Array, cuts: readonly number[]) {
  const frames: Seen[] = [];
  let headers = 0;
  const decoder = new FrameDecoder(role, {
    onProtocolHeader: () => headers++,
    onFrame: (type, channel, bytes, start, end) =>
      frames.push({ type, channel, payload: bytes.slice(start, end) }),
  });
  decoder.frameMax = frameMax;
  for (const piece of pieces(bytes, cuts)) {
    decoder.push(piece);
    piece.fill(0xee);
  }
  return { frames, headers, idle: decoder.idle };
}

/** The messages in a sequence of frames, reassembled. */
function messagesIn(frames: readonly Seen[]) {
  const publish = new PublishFields();
  const deliver = new DeliverFields();
  const header = new ContentHeader();
  const messages: {
    names: string[];
    tag: number;
    flag: boolean;
    properties: Uint8Array;
    body: Uint8Array;
  }[] = [];
  let filled = 0;
  for (const { type, payload } of frames) {
    const id = type === METHOD ? readMethodId(payload, 0, payload.length) : 0;
    const body = new Uint8Array(0);
    const properties = body;
    if (id === BASIC_PUBLISH) {
      publish.read(payload, 0, payload.length);
      const { exchange, routingKey, mandatory } = publish;
      messages.push({ names: [exchange, routingKey], tag: 0, flag: mandatory, properties, body });
    } else if (id === BASIC_DELIVER) {
      deliver.read(payload, 0, payload.length);
      const { exchange, routingKey, consumerTag, redelivered, deliveryTag } = deliver;
      const names = [exchange, routingKey, consumerTag];
      messages.push({ names, tag: deliveryTag, flag: redelivered, properties, body });
    } else if (type === HEADER) {
      header.read(payload, 0, payload.length);
      const message = messages.at(-1)!;
      message.properties = payload.slice(header.propertiesStart, header.propertiesEnd);
      message.body = new Uint8Array(header.bodySize);
      filled = 0;
    } else if (type === BODY) {
      messages.at(-1)!.body.set(payload, filled);
      filled += payload.length;
    }
  }
  return messages;
}

describe("amqp frames", () => {
  const frameMax = fc.constantFrom(4096, 5000, 131072);
  const traffic = fc.array(sent, { minLength: 1, maxLength: 12, size: "max" });

  function wireOf(traffic: readonly Sent[], frameMax: number): Uint8Array {
    const encoder = new FrameEncoder();
    encoder.frameMax = frameMax;
    for (const what of traffic) write(encoder, what);
    return encoder.out.take();
  }

  it("frames - messages are decoded unchanged under any chunking", TIMEOUT, () => {
    fc.assert(
      fc.property(traffic, frameMax, cuts, (traffic, frameMax, cuts) => {
        const bytes = new Uint8Array([...PROTOCOL_HEADER, ...wireOf(traffic, frameMax)]);
        const { frames, headers, idle } = decode("server", frameMax, bytes, cuts);
        assert.ok(idle);
        assert.equal(headers, 1);
        assert.ok(frames.every(({ payload }) => payload.length <= frameMax - 8));
        const messages = messagesIn(frames);
        const expected = traffic.filter(isMessage);
        assert.equal(messages.length, expected.length);
        expected.forEach((what, i) => {
          const { names, tag, flag, properties, body } = messages[i]!;
          assert.deepEqual(names, what.kind === "publish" ? what.names.slice(0, 2) : what.names);
          assert.deepEqual([tag, flag], [what.kind === "publish" ? 0 : what.tag, what.flag]);
          assert.deepEqual(properties, encodeProperties(what.properties));
          const sent = bytesOf(what);
          assert.ok(
            body.length === sent.length && body.every((byte, i) => byte === sent[i]),
            "the body differs",
          );
        });
      }),
      { numRuns: 300 },
    );
  });

  it(
    "frames - a sink over its backlog after any frame receives the same frames, in order, after resume",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(traffic, cuts, fc.array(fc.boolean(), { minLength: 1 }), (traffic, cuts, clogs) => {
          const bytes = new Uint8Array([...PROTOCOL_HEADER, ...wireOf(traffic, 4096)]);
          const expected = decode("server", 4096, bytes, [bytes.length]);
          const frames: Seen[] = [];
          let overBacklog = false;
          const decoder = new FrameDecoder("server", {
            onProtocolHeader: () => {},
            onFrame(type, channel, bytes, start, end) {
              assert.ok(!overBacklog, "a frame was reported to a sink over its backlog");
              frames.push({ type, channel, payload: bytes.slice(start, end) });
              overBacklog = clogs[frames.length % clogs.length]!;
            },
            get overBacklog() {
              return overBacklog;
            },
          });
          const drain = () => {
            do {
              overBacklog = false;
              decoder.resume();
            } while (decoder.holding);
          };
          let at = 0;
          for (const piece of pieces(bytes, cuts)) {
            decoder.push(piece);
            piece.fill(0xee);
            // A paused stream may deliver one more chunk.
            if (at++ % 2 === 0) drain();
          }
          drain();
          assert.ok(decoder.idle);
          assert.deepEqual(frames, expected.frames);
        }),
        { numRuns: 200 },
      );
    },
  );

  it("frames - a split at any byte changes nothing", TIMEOUT, () => {
    const small = sent.map((what) => "size" in what ? { ...what, size: what.size % 40 } : what);
    fc.assert(
      fc.property(fc.array(small, { minLength: 1, maxLength: 3 }), (traffic) => {
        const bytes = new Uint8Array([...PROTOCOL_HEADER, ...wireOf(traffic, 4096)]);
        const whole = decode("server", 4096, bytes, [Infinity]);
        for (let cut = 1; cut < bytes.length; cut++) {
          assert.deepEqual(decode("server", 4096, bytes, [cut, Infinity]), whole);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("frames - encoding into a used buffer, and block by block, produces the same bytes", TIMEOUT, () => {
    fc.assert(
      fc.property(traffic, (traffic) => {
        const whole = wireOf(traffic, 4096);
        const encoder = new FrameEncoder();
        const blocks: number[] = [];
        let last: Uint8Array | undefined;
        traffic.forEach((what, i) => {
          write(encoder, what);
          if (i % 3 !== 2) return;
          const block = encoder.out.take();
          for (const byte of block) blocks.push(byte);
          if (last !== undefined) encoder.out.recycle(last);
          last = block.fill(0x55);
        });
        for (const byte of encoder.out.take()) blocks.push(byte);
        assert.ok(blocks.length === whole.length && blocks.every((byte, i) => byte === whole[i]));
      }),
      { numRuns: 100 },
    );
  });

  it("frames - junk is refused with the same error under any chunking", TIMEOUT, () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 200, size: "max" }),
      fc.uint8Array({ maxLength: 200, size: "max" }).map((bytes) =>
        new Uint8Array([...PROTOCOL_HEADER, ...bytes])
      ),
      fc.tuple(traffic, fc.nat(), fc.nat(255)).map(([traffic, at, value]) => {
        const bytes = new Uint8Array([...PROTOCOL_HEADER, ...wireOf(traffic, 4096)]);
        bytes[at % Math.min(bytes.length, 400)] = value;
        return bytes;
      }),
    );
    const result = (role: Role, bytes: Uint8Array, cuts: readonly number[]) => {
      const frames: string[] = [];
      const decoder = new FrameDecoder(role, {
        onProtocolHeader: () => frames.push("header"),
        onFrame: (type, channel, bytes, start, end) =>
          frames.push(`${type} ${channel} ${bytes.subarray(start, end).join()}`),
      });
      try {
        for (const piece of pieces(bytes, cuts)) decoder.push(piece);
        return { frames, idle: decoder.idle };
      } catch (error) {
        assert.ok(error instanceof MqcatError, String(error));
        return { frames, code: error.code };
      }
    };
    fc.assert(
      fc.property(fc.constantFrom("client" as const, "server" as const), junk, cuts, (role, bytes, cuts) => {
        assert.deepEqual(result(role, bytes, cuts), result(role, bytes, [Infinity]));
      }),
      { numRuns: 1000 },
    );
  });
});
