/** The codec of RabbitMQ's stream protocol: decoding is the same under any chunking, and junk is an error. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { COMMAND } from "../../lib/amqp/client/stream/commands.ts";
import { StreamDecoder } from "../../lib/amqp/client/stream/decoder.ts";
import { StreamEncoder } from "../../lib/amqp/client/stream/encoder.ts";
import { ProtocolError } from "../../lib/errors.ts";

const LIMIT = 2000;
const PUBLISHER = 1;

const bodies = fc.array(fc.uint8Array({ maxLength: 600, size: "max" }), { maxLength: 40, size: "max" });
const cuts = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20, size: "max" });

/** The chunks of bytes with these sizes, again and again. */
function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    yield bytes.subarray(at, at += size);
  }
}

/** The body of a message: an AMQP 1.0 section "data". */
function bodyOf(section: Uint8Array): Uint8Array {
  assert.deepEqual([...section.subarray(0, 3)], [0, 0x53, 0x75]);
  const view = new DataView(section.buffer, section.byteOffset);
  const [start, size] = section[3] === 0xa0 ? [5, section[4]!] : [8, view.getUint32(4)];
  assert.equal(section.length, start + size);
  return section.subarray(start);
}

describe("stream frames", () => {
  it("publish - the bodies and their ids come back under any chunking, in frames below the limit", () => {
    fc.assert(fc.property(bodies, cuts, fc.nat(), (bodies, sizes, first) => {
      const encoder = new StreamEncoder();
      bodies.forEach((body, i) => encoder.publish(PUBLISHER, first + i, body, 0, body.length, LIMIT));
      encoder.endPublish();
      const came: { id: number; body: Uint8Array }[] = [];
      const decoder = new StreamDecoder(LIMIT, (key, fields) => {
        assert.equal(key, COMMAND.publish);
        assert.equal(fields.uint8(), PUBLISHER);
        for (let left = fields.uint32(); left > 0; left--) {
          const id = fields.uint64();
          const section = Uint8Array.from({ length: fields.uint32() }, () => fields.uint8());
          came.push({ id, body: bodyOf(section).slice() });
        }
        assert.throws(() => fields.uint8(), ProtocolError);
      });
      for (const chunk of chunksOf(encoder.out.take(), sizes)) decoder.push(chunk);
      assert.deepEqual(came, bodies.map((body, i) => ({ id: first + i, body: Uint8Array.from(body) })));
    }));
  });

  it("publish - a body has the short form up to 255 bytes, and the long one from 256", () => {
    for (const size of [0, 1, 254, 255, 256, 257, 1000]) {
      const encoder = new StreamEncoder();
      const body = Uint8Array.from({ length: size + 2 }, (_, i) => i);
      encoder.publish(PUBLISHER, 2 ** 40 + 5, body, 1, size + 1, LIMIT);
      encoder.endPublish();
      const sections: Uint8Array[] = [];
      const decoder = new StreamDecoder(LIMIT, (_key, fields) => {
        assert.deepEqual([fields.uint8(), fields.uint32(), fields.uint64()], [PUBLISHER, 1, 2 ** 40 + 5]);
        sections.push(Uint8Array.from({ length: fields.uint32() }, () => fields.uint8()));
        assert.throws(() => fields.uint8(), ProtocolError);
      });
      decoder.push(encoder.out.take());
      assert.equal(sections[0]![3], size < 256 ? 0xa0 : 0xb0);
      assert.deepEqual(bodyOf(sections[0]!), body.slice(1, size + 1));
    }
  });

  it("publish - as many messages share a frame as surely fit", () => {
    for (let size = 900; size < 1100; size++) {
      const encoder = new StreamEncoder();
      for (const length of [900, size]) {
        encoder.publish(PUBLISHER, 1, new Uint8Array(length), 0, length, LIMIT);
      }
      encoder.endPublish();
      let frames = 0;
      const decoder = new StreamDecoder(LIMIT, () => void frames++);
      decoder.push(encoder.out.take());
      // A frame has 13 bytes before its messages, and a message 20 before its body.
      assert.equal(frames, 13 + 20 + 900 + 20 + size <= LIMIT ? 1 : 2, `${size} bytes`);
    }
  });

  it("fields - all types come back", () => {
    const text = fc.string({ unit: "binary", maxLength: 40, size: "max" });
    const frames = fc.array(fc.tuple(fc.nat(0xff), fc.nat(0xffff), fc.nat(), text, fc.uint8Array()), {
      maxLength: 10,
    });
    fc.assert(fc.property(frames, cuts, (frames, sizes) => {
      const encoder = new StreamEncoder();
      for (const [a, b, c, d, e] of frames) {
        encoder.begin(b).uint8(a).uint16(b).uint32(c).text(d).bytes(e).end();
      }
      const came: unknown[] = [];
      const decoder = new StreamDecoder(LIMIT, (key, fields) => {
        const values = [fields.uint8(), fields.uint16(), fields.uint32(), fields.text()];
        came.push([key, ...values, Uint8Array.from({ length: fields.uint32() }, () => fields.uint8())]);
      });
      for (const chunk of chunksOf(encoder.out.take(), sizes)) decoder.push(chunk);
      assert.deepEqual(came, frames.map(([a, b, c, d, e]) => [b, a, b, c, d, Uint8Array.from(e)]));
    }));
  });

  it("junk - it is read or refused with a ProtocolError, and nothing is allocated for a size over the limit", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400, size: "max" }), cuts, (bytes, sizes) => {
      const decoder = new StreamDecoder(LIMIT, (_key, fields) => {
        fields.text();
        fields.uint64();
      });
      try {
        for (const chunk of chunksOf(bytes, sizes)) decoder.push(chunk);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
      }
    }));
    const decoder = new StreamDecoder(LIMIT, () => {});
    assert.throws(
      () => decoder.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff)),
      /4294967295 bytes: the limit is 2000/,
    );
  });
});
