/** Limits of the frame decoder. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitError, ProtocolError } from "../../../lib/errors.ts";
import { Batch } from "../../../lib/zmtp/batch.ts";
import { ZmtpFrameDecoder } from "../../../lib/zmtp/frame_decoder.ts";
import { encodeFrame } from "../../../lib/zmtp/frame_encoder.ts";

const MAX_PARTS = 2 ** 20;

/** Decodes bytes, and returns the number of frames in each batch. */
function decode(bytes: Uint8Array): number[] {
  const batches: number[] = [];
  new ZmtpFrameDecoder(new Batch(), 2 ** 30, (batch) => batches.push(batch.frames)).push(bytes);
  return batches;
}

/** A message of empty frames: `more` of them with MORE, and the last one. */
function parts(more: number): Uint8Array {
  const bytes = new Uint8Array(2 * (more + 1));
  for (let i = 0; i < more; i++) bytes[2 * i] = 1;
  return bytes;
}

describe("frame decoder", () => {
  it(`parts - accepts ${MAX_PARTS} frames before the last one of a message, and not one more`, () => {
    assert.deepEqual(decode(parts(MAX_PARTS)), [MAX_PARTS + 1]);
    assert.throws(() => decode(parts(MAX_PARTS + 1)), LimitError);
  });

  it("memory - the buffer of a large message is not kept after the message is delivered", () => {
    const batch = new Batch();
    const length = 5 * 2 ** 20;
    const delivered: number[] = [];
    const decoder = new ZmtpFrameDecoder(batch, 2 ** 30, ({ ends, starts }) => {
      delivered.push(ends[0]! - starts[0]!);
    });
    const message = encodeFrame(new Uint8Array(length));
    decoder.push(message.subarray(0, 1000));
    decoder.push(message.subarray(1000));
    assert.deepEqual(delivered, [length]);
    assert.equal(batch.bytes.length, 0);
    assert.equal(batch.lease, undefined);
  });

  it("flags - accepts all combinations up to 07 and rejects 08", () => {
    assert.deepEqual(decode(Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0, 1, 0x78)), [1]);
    assert.throws(() => decode(Uint8Array.of(8, 0)), ProtocolError);
  });
});
