/** ZeroMQ's frames in WebSocket messages and back: any frames, any chunks, fragments, and junk. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LimitError, ProtocolError } from "../../lib/errors.ts";
import { ZwsDecoder } from "../../lib/transport/ws/decoder.ts";
import { ZwsEncoder } from "../../lib/transport/ws/encoder.ts";
import { controlFrame, PING, PONG, writeHeader, xor } from "../../lib/transport/ws/frame.ts";
import { encodeFrame } from "../../lib/zmtp/frame_encoder.ts";

const RUNS = 100;

/** Bodies of every length format of both protocols. */
const length = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(
    0,
    123,
    124,
    125,
    126,
    255,
    256,
    4094,
    4095,
    4096,
    4097,
    65_533,
    65_534,
    65_535,
    65_536,
    70_000,
  ),
);
const frame = fc.tuple(length, fc.constantFrom(0, 1, 4), fc.nat(255)).map(([length, flags, seed]) => ({
  flags,
  body: new Uint8Array(length).map((_, i) => (i * 31 + seed) & 255),
}));
const frames = fc.array(frame, { maxLength: 12, size: "max" });
/** Sizes of chunks, used in turn. */
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 100_000 })), {
  minLength: 1,
  maxLength: 8,
});

function* pieces(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    yield bytes.slice(at, at + size);
    at += size;
  }
}

const zmtp = (list: readonly { flags: number; body: Uint8Array }[]) =>
  new Uint8Array(Buffer.concat(list.map(({ flags, body }) => encodeFrame(body, flags))));

/** Encodes a stream in chunks, into a target of a given size. */
function encodeAll(source: Uint8Array, sizes: readonly number[], room: number, client: boolean): Uint8Array {
  const encoder = new ZwsEncoder(client);
  const target = new Uint8Array(room);
  const out: Uint8Array[] = [];
  for (const piece of pieces(source, sizes)) {
    for (let at = 0; at < piece.length; at += encoder.consumed) {
      encoder.encode(piece, at, target);
      assert.ok(encoder.consumed + encoder.produced > 0, "the encoder makes no progress");
      out.push(target.slice(0, encoder.produced));
    }
  }
  return new Uint8Array(Buffer.concat(out));
}

function decodeAll(
  wire: Uint8Array,
  sizes: readonly number[],
  client: boolean,
  limit = 2 ** 20,
): { bytes: Uint8Array; controls: [number, string][] } {
  const controls: [number, string][] = [];
  const decoder = new ZwsDecoder(client, limit, (opcode, payload) => {
    controls.push([opcode, Buffer.from(payload).toString("latin1")]);
  });
  const out: Uint8Array[] = [];
  for (const piece of pieces(wire, sizes)) {
    decoder.push(piece);
    out.push(decoder.output.slice(0, decoder.length));
  }
  return { bytes: new Uint8Array(Buffer.concat(out)), controls };
}

describe("zws", () => {
  it("zws - decoding is the inverse of encoding, for chunks of any size", () => {
    fc.assert(
      fc.property(
        frames,
        cuts,
        cuts,
        fc.oneof(fc.integer({ min: 16, max: 5000 }), fc.constantFrom(4096, 65_536, 262_144)),
        fc.boolean(),
        (list, a, b, room, client) => {
          const source = zmtp(list);
          const wire = encodeAll(source, a, room, client);
          assert.deepEqual(decodeAll(wire, b, client).bytes, source);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it("zws - reports how much of a source was encoded, in complete frames", () => {
    fc.assert(
      fc.property(frames, fc.boolean(), fc.nat(200_000), (list, client, cut) => {
        const source = zmtp(list);
        const encoder = new ZwsEncoder(client);
        const target = new Uint8Array(source.length + 14 * list.length + 100);
        encoder.encode(source, 0, target);
        const taken = Math.min(cut, encoder.produced);
        let expected = 0;
        let produced = 0;
        for (const { flags, body } of list) {
          const frame = zmtp([{ flags, body }]);
          produced += encodeAll(frame, [1e6], 200_000, client).length;
          if (produced > taken) break;
          expected += frame.length;
        }
        assert.equal(encoder.consumedWithin(source, 0, taken), expected);
      }),
      { numRuns: RUNS },
    );
  });

  it("zws - each frame is one binary message of a flag byte and the body (RFC 45)", () => {
    const wire = encodeAll(
      zmtp([{ flags: 1, body: Uint8Array.of(7, 8) }, { flags: 4, body: new Uint8Array(0) }]),
      [
        99,
      ],
      100,
      false,
    );
    assert.deepEqual([...wire], [0x82, 3, 1, 7, 8, 0x82, 1, 2]);
  });

  it("zws - masks each frame of a client with a new mask", () => {
    const body = new Uint8Array(8);
    const wire = encodeAll(zmtp([{ flags: 0, body }, { flags: 0, body }]), [99], 100, true);
    assert.equal(wire.length, 2 * 15);
    assert.equal(wire[1], 0x80 | 9);
    assert.notDeepEqual(wire.slice(2, 6), wire.slice(17, 21));
    assert.notDeepEqual(wire.slice(7, 15), body);
  });

  it("zws - decodes fragmented messages with control frames in between", () => {
    fc.assert(
      fc.property(
        frames,
        fc.array(fc.nat(400), { maxLength: 4 }),
        cuts,
        fc.boolean(),
        (list, at, sizes, client) => {
          const wire: Uint8Array[] = [];
          let pings = 0;
          for (const { flags, body } of list) {
            const payload = Uint8Array.of(flags === 4 ? 2 : flags, ...body.subarray(0, 3000));
            const ends = [...at.map((x) => x % (payload.length + 1)).sort((x, y) => x - y), payload.length];
            let from = 0;
            ends.forEach((end, i) => {
              const mask = client ? 0x01020304 * (i + 1) : -1;
              const header = new Uint8Array(14);
              const size = writeHeader(header, 0, i === 0 ? 2 : 0, end - from, mask);
              if (i < ends.length - 1) header[0]! &= 0x7f;
              const part = payload.slice(from, end);
              if (client) xor(part, 0, part.length, mask, 0);
              wire.push(header.slice(0, size), part);
              if (i < ends.length - 1) wire.push(controlFrame(PING, Uint8Array.of(++pings & 127), client));
              from = end;
            });
          }
          const { bytes, controls } = decodeAll(new Uint8Array(Buffer.concat(wire)), sizes, client);
          assert.deepEqual(
            bytes,
            zmtp(list.map(({ flags, body }) => ({ flags, body: body.subarray(0, 3000) }))),
          );
          assert.deepEqual(controls.map(([opcode]) => opcode), controls.map(() => PING));
          assert.equal(controls.length, pings);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it("zws - unmasks the payload of a control frame", () => {
    for (const client of [true, false]) {
      const { controls } = decodeAll(
        controlFrame(PONG, new TextEncoder().encode("hello"), client),
        [1],
        client,
      );
      assert.deepEqual(controls, [[PONG, "hello"]]);
    }
  });

  it("zws - junk causes a ProtocolError, a LimitError, or no frame yet", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200, size: "max" }),
        cuts,
        fc.boolean(),
        (junk, sizes, client) => {
          try {
            decodeAll(junk, sizes, client);
          } catch (error) {
            assert.ok(error instanceof ProtocolError || error instanceof LimitError, String(error));
          }
        },
      ),
      { numRuns: 20 * RUNS },
    );
  });

  const refused: [name: string, wire: number[], words: RegExp, client?: boolean][] = [
    ["reserved bits", [0xc2, 1], /reserved bits/],
    ["a client without a mask", [0x82, 1, 0], /not masked/, true],
    ["a server with a mask", [0x82, 0x81, 1, 2, 3, 4, 1], /is masked/],
    ["text", [0x81, 1, 65], /text message, but ZWS is binary/],
    ["an empty message", [0x82, 0], /empty message/],
    ["a fragmented empty message", [0x02, 0, 0x80, 0], /empty message/],
    ["a continuation without a first fragment", [0x80, 1, 0], /kind 0 out of place/],
    ["a message inside another", [0x02, 1, 0, 0x82, 1, 0], /kind 2 out of place/],
    ["an unknown kind", [0x83, 1, 0], /kind 3 out of place/],
    ["a fragmented control frame", [0x09, 0], /control frame/],
    ["a large control frame", [0x89, 126, 0, 126], /control frame/],
    ["an unknown control frame", [0x8b, 0], /control frame/],
    ["unknown flags", [0x82, 1, 3], /flags that ZWS does not define/],
  ];
  for (const [name, wire, words, client = false] of refused) {
    it(`zws - rejects ${name}`, () => {
      assert.throws(() => decodeAll(Uint8Array.from(wire), [1], client), (error: unknown) => {
        assert.ok(error instanceof ProtocolError, String(error));
        assert.match(error.message, words);
        return true;
      });
    });
  }

  it("zws - limits a fragmented message before memory is allocated", () => {
    const wire = Uint8Array.of(0x02, 127, 0, 0, 1, 0, 0, 0, 0, 0);
    assert.throws(() => decodeAll(wire, [99], false, 1000), LimitError);
    const many = new Uint8Array(Buffer.concat(
      [Uint8Array.of(0x02, 125, ...new Uint8Array(125))].concat(
        Array.from({ length: 8 }, () => Uint8Array.of(0x00, 125, ...new Uint8Array(125))),
      ),
    ));
    assert.throws(() => decodeAll(many, [50], false, 1000), LimitError);
  });
});
