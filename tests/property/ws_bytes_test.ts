/** A stream of bytes in WebSocket messages and back: any writes, any chunks, fragments, text messages, and junk. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { BytesEncoder } from "../../lib/transport/ws/bytes_encoder.ts";
import { ZwsDecoder } from "../../lib/transport/ws/decoder.ts";
import {
  BINARY,
  CONTINUATION,
  controlFrame,
  FIN,
  PING,
  TEXT,
  writeHeader,
} from "../../lib/transport/ws/frame.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { bytesOf, cuts, pieces, size } from "./generators.ts";

/** Encodes writes, each into targets of this size. */
function encode(writes: readonly Uint8Array[], masks: boolean, target: number): Uint8Array {
  const encoder = new BytesEncoder(masks);
  const parts: Uint8Array[] = [];
  for (const write of writes) {
    for (let at = 0; at < write.length; at += encoder.consumed) {
      const bytes = new Uint8Array(target);
      encoder.encode(write, at, bytes);
      assert.equal(encoder.consumedWithin(write, at, encoder.produced), encoder.consumed);
      assert.equal(encoder.consumedWithin(write, at, 1), 0);
      parts.push(bytes.subarray(0, encoder.produced));
    }
  }
  return concat(parts);
}

function decode(bytes: Uint8Array, masked: boolean, at: readonly number[]): Uint8Array {
  const decoder = new ZwsDecoder(masked, 1000, () => {}, true);
  const parts: Uint8Array[] = [];
  for (const piece of pieces(bytes, at)) {
    decoder.push(piece);
    parts.push(decoder.output.slice(0, decoder.length));
  }
  return concat(parts);
}

/** A frame of a server. */
function frame(opcode: number, payload: string, final: boolean): Uint8Array {
  const body = utf8(payload);
  const bytes = new Uint8Array(14 + body.length);
  const at = writeHeader(bytes, 0, opcode, body.length, -1);
  if (!final) bytes[0]! &= ~FIN;
  bytes.set(body, at);
  return bytes.subarray(0, at + body.length);
}

describe("bytes over WebSockets", () => {
  it("round trip - the payloads follow each other, under any chunking", () => {
    const writes = fc.array(fc.record({ size, seed: fc.nat(255) }), { maxLength: 6 });
    fc.assert(
      fc.property(
        writes,
        fc.boolean(),
        fc.constantFrom(20, 300, 70_000),
        cuts,
        (writes, masks, target, at) => {
          const sent = writes.map(bytesOf);
          const size = sent.some(({ length }) => length > 3000) ? 70_000 : target;
          const seen = decode(encode(sent, masks, size), masks, at);
          assert.ok(Buffer.from(concat(sent)).equals(seen));
        },
      ),
    );
  });

  it("messages - text, binary and empty ones, in fragments with a Ping between", () => {
    const bytes = concat([
      frame(TEXT, "a", true),
      frame(BINARY, "", true),
      frame(BINARY, "b", false),
      controlFrame(PING, utf8("p"), false),
      frame(CONTINUATION, "c", false),
      frame(CONTINUATION, "d", true),
      frame(TEXT, "é", true),
    ]);
    assert.equal(new TextDecoder().decode(decode(bytes, false, [1])), "abcdé");
  });

  it("frames out of place - are refused", () => {
    for (
      const parts of [
        [frame(CONTINUATION, "a", true)],
        [frame(TEXT, "a", false), frame(TEXT, "b", true)],
        [frame(3, "a", true)],
      ]
    ) assert.throws(() => decode(concat(parts), false, [Infinity]), ProtocolError);
  });
});
