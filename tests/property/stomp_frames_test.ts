/** STOMP frames: what is encoded is decoded again in every version, and the frames do not depend on the chunks. */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LimitError, MqcatError, ProtocolError } from "../../lib/errors.ts";
import { StompDecoder, type StompSink } from "../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../lib/stomp/frame_encoder.ts";
import { hasBody, type StompLimits, type StompVersion, VERSIONS } from "../../lib/stomp/frame.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { bytesOf, cuts, pieces, size } from "./generators.ts";

const TIMEOUT = { timeout: 60_000 };

interface Seen {
  readonly command: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

/** Decodes in chunks, each of which is overwritten after it was pushed. */
function decode(
  version: StompVersion,
  bytes: Uint8Array,
  at: readonly number[] = [Infinity],
  limits: StompLimits = { maxBody: 2 ** 20 },
): { frames: Seen[]; idle: boolean } {
  const frames: Seen[] = [];
  const decoder = new StompDecoder({
    onFrame: ({ command, headers, body, bodyStart, bodyEnd }) =>
      frames.push({ command, headers: [...headers], body: body.slice(bodyStart, bodyEnd) }),
  }, limits);
  decoder.version = version;
  for (const piece of pieces(bytes, at)) {
    decoder.push(piece);
    piece.fill(0xee);
  }
  return { frames, idle: decoder.idle };
}

const command = fc.constantFrom("SEND", "MESSAGE", "ERROR", "SUBSCRIBE", "ACK", "RECEIPT", "CONNECTED");
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20, size: "max" }),
  fc.string({
    unit: fc.constantFrom("a", "b", ":", "\\", "\n", "\r", "n", "c", " ", "é"),
    maxLength: 12,
    size: "max",
  }),
);
const version = fc.constantFrom(...VERSIONS);

/** A frame that a version can represent. */
const frame = fc.record({
  command,
  headers: fc.uniqueArray(fc.tuple(text, text), { maxLength: 6, selector: ([name]) => name }),
  size,
  seed: fc.nat(255),
  beats: fc.nat(3),
});
type Frame = typeof frame extends fc.Arbitrary<infer T> ? T : never;

/** Removes what a version cannot represent; `content-length` is the encoder's. */
function representable(one: Frame, version: StompVersion): Seen {
  const plain = version === "1.0" || one.command === "CONNECTED";
  const clean = (text: string) => {
    const kept = text.replaceAll("\0", "");
    return plain ? kept.replaceAll(/[\n\r]/g, "").replace(/^ +/, "") : kept;
  };
  const headers = new Map<string, string>();
  for (const [name, value] of one.headers) {
    const cleaned = plain ? clean(name).replaceAll(":", "") : clean(name);
    if (cleaned !== "content-length" && !headers.has(cleaned)) headers.set(cleaned, clean(value));
  }
  const body = hasBody(one.command) ? bytesOf(one) : new Uint8Array(0);
  if (body.length > 0) headers.set("content-length", String(body.length));
  return { command: one.command, headers: [...headers], body };
}

function encode(frames: readonly Seen[], beats: readonly number[], version: StompVersion): Uint8Array {
  const encoder = new StompEncoder();
  encoder.version = version;
  for (const [index, { command, headers, body }] of frames.entries()) {
    encoder.frame(command, headers.filter(([name]) => name !== "content-length"), body);
    for (let i = 0; i < beats[index]!; i++) encoder.heartbeat();
  }
  return encoder.out.take().slice();
}

describe("STOMP frames", () => {
  it("round trip - each version returns the frames, under any chunking", TIMEOUT, () => {
    fc.assert(
      fc.property(version, fc.array(frame, { maxLength: 5 }), cuts, (version, sent, at) => {
        const expected = sent.map((one) => representable(one, version));
        const bytes = encode(expected, sent.map(({ beats }) => beats), version);
        const { frames, idle } = decode(version, bytes, at);
        assert.deepEqual(frames, expected);
        assert.ok(idle);
      }),
    );
  });

  it("bytes - the frames do not depend on the chunks, whatever the bytes are", TIMEOUT, () => {
    const part = fc.constantFrom(
      "SEND",
      "ACK",
      "\n",
      "\r\n",
      "\r",
      "\0",
      ":",
      "a:b",
      "content-length:3",
      "\\n",
      "\\x",
      " ",
      "x\0y",
      "é",
    );
    const bytes = fc.array(part, { maxLength: 30, size: "max" }).map((parts) => utf8(parts.join("")));
    const outcome = (version: StompVersion, bytes: Uint8Array, at: readonly number[]) => {
      const frames: string[] = [];
      const sink: StompSink = {
        onFrame: ({ command, headers, body, bodyStart, bodyEnd }) =>
          frames.push(JSON.stringify([command, ...headers, [...body.subarray(bodyStart, bodyEnd)]])),
      };
      const decoder = new StompDecoder(sink, { maxBody: 100, maxLine: 40, maxHeaders: 5 });
      decoder.version = version;
      try {
        for (const piece of pieces(bytes, at)) decoder.push(piece);
      } catch (error) {
        assert.ok(error instanceof ProtocolError || error instanceof LimitError, `${error}`);
        frames.push("error");
      }
      return frames;
    };
    fc.assert(
      fc.property(version, bytes, cuts, (version, bytes, at) => {
        const whole = outcome(version, bytes, [Infinity]);
        const cut = outcome(version, bytes, at);
        const each = outcome(version, bytes, [1]);
        // An error in an incomplete line may be found later in larger chunks.
        const settled = (list: string[]) => list.filter((one) => one !== "error");
        assert.deepEqual(settled(cut), settled(whole));
        assert.deepEqual(settled(each), settled(whole));
      }),
      { numRuns: 500 },
    );
  });

  it("hold - a sink over its backlog gets no frame until resume, and then all", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 5 }), cuts, (sent, at) => {
        const expected = sent.map((one) => representable(one, "1.2"));
        const bytes = encode(expected, sent.map(({ beats }) => beats), "1.2");
        const seen: string[] = [];
        let full = false;
        const decoder = new StompDecoder({
          onFrame({ command }) {
            assert.ok(!full);
            seen.push(command);
            full = true;
          },
          onBody: () => void (full = true),
          get overBacklog() {
            return full;
          },
        }, { maxBody: 2 ** 20 });
        decoder.version = "1.2";
        for (const piece of pieces(bytes, at)) decoder.push(piece);
        while (decoder.holding || full) {
          full = false;
          decoder.resume();
        }
        assert.deepEqual(seen, expected.map(({ command }) => command));
      }),
    );
  });

  it("junk - causes only errors of the library", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: "max" }), cuts, (bytes, at) => {
        try {
          decode("1.2", bytes, at);
        } catch (error) {
          assert.ok(error instanceof MqcatError, `${error}`);
        }
      }),
    );
  });

  it("memory - a claimed size allocates nothing before its bytes arrive", () => {
    const announced: number[] = [];
    const decoder = new StompDecoder(
      { onFrame() {}, onBody: (size) => announced.push(size) },
      { maxBody: 2 ** 30 },
    );
    const before = process.memoryUsage().arrayBuffers;
    decoder.push(concat([utf8("SEND\ncontent-length:1000000000\n\n"), new Uint8Array(100_000)]));
    assert.deepEqual(announced, [1_000_000_000]);
    assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
  });
});
