/** CURVE's MESSAGE commands: decryption is the inverse of encryption, for any chunks, and changes are detected. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import sodium from "libsodium-wrappers";
import { MqcatError } from "../../lib/errors.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { ZmtpFrameDecoder } from "../../lib/zmtp/frame_decoder.ts";
import { encodeFrame } from "../../lib/zmtp/frame_encoder.ts";
import { CurveCipher } from "../../lib/zmtp/mechanisms/curve_cipher.ts";
import { loadNacl } from "../../lib/zmtp/mechanisms/nacl.ts";
import { concat, utf8 } from "../../lib/zmtp/bytes.ts";
import { cuts, frames, pieces, size, wireOf } from "./generators.ts";

const { workspace, streamKey } = await loadNacl();
await sodium.ready;
const key = new Uint8Array(32).fill(9);
const PREFIX = "CurveZMQMESSAGEC";
const messageKey = streamKey(key, utf8(PREFIX));
const messages = fc.array(frames(size, true), { minLength: 1, maxLength: 6 });

function cipher(sent = 0): CurveCipher {
  const received = new Uint8Array(8);
  return new CurveCipher(workspace, { sendKey: messageKey, receiveKey: messageKey, sent, received });
}

/** Decrypts sealed frames in these chunks; undefined if the last frame is truncated. */
function open(pieces: Iterable<Uint8Array>): Uint8Array | undefined {
  const opened: Uint8Array[] = [];
  const receiving = cipher();
  const outer = new ZmtpFrameDecoder(
    new Batch(),
    2 ** 30,
    (batch) => receiving.open(batch, (frames) => opened.push(frames.slice())),
  );
  for (const piece of pieces) outer.push(piece);
  return outer.idle ? concat(opened) : undefined;
}

describe("curve cipher", () => {
  it("workspace - seals and opens the boxes of libsodium, at any address", () => {
    const lengths = fc.oneof(
      fc.integer({ min: 0, max: 300 }),
      // The stream of a long message is computed in two parts.
      fc.integer({ min: 65_490, max: 65_700 }),
      fc.constantFrom(131_072, 200_001),
    );
    fc.assert(
      fc.property(lengths, fc.nat(7), fc.uint8Array({ minLength: 8, maxLength: 8 }), (length, skip, end) => {
        const message = new Uint8Array(length).map((_, i) => (i * 31 + skip) & 255);
        const box = sodium.crypto_secretbox_easy(message, concat([utf8(PREFIX), end]), key);
        workspace.prepare(skip + 8 + box.length + 1, messageKey);
        const { heap, at } = workspace;
        const nonce = at + skip;
        const here = nonce + 8;
        heap.set(end, nonce);
        heap.set(message, here + 16);
        heap[here + box.length] = 99;
        workspace.seal(here, length, nonce);
        assert.deepEqual(heap.slice(here, here + box.length), box);
        assert.deepEqual(heap.slice(nonce, here), end);
        for (const at of [0, 15, 16, box.length - 1]) {
          if (at >= box.length) continue;
          heap[here + at]! ^= 128;
          assert.equal(workspace.open(here, length, nonce), false);
          heap[here + at]! ^= 128;
        }
        assert.deepEqual(heap.slice(here, here + box.length), box);
        assert.equal(workspace.open(here, length, nonce), true);
        assert.deepEqual(heap.slice(here + 16, here + box.length), message);
        assert.equal(heap[here + box.length], 99);
      }),
      { numRuns: 100 },
    );
  });

  it("open - returns the sealed frames, block by block, for chunks of any size", () => {
    fc.assert(
      fc.property(fc.array(messages, { minLength: 1, maxLength: 3 }), cuts, (blocks, cuts) => {
        const sending = cipher();
        const plain = blocks.map((messages) => wireOf(messages.flat()));
        const sealed = concat(plain.map((frames) => sending.seal(frames).slice()));
        // Lengths are encoded in the shortest form again, so the test compares frames, not bytes.
        const told = (bytes: Uint8Array) => framesOf(bytes).map(({ flags, body }) => [flags, body]);
        assert.deepEqual(told(open(pieces(sealed, cuts))!), told(concat(plain)));
      }),
      { numRuns: 60 },
    );
  });

  it("sealedWithin - counts the complete frames that were accepted", () => {
    fc.assert(
      fc.property(messages, fc.nat(1000), (messages, part) => {
        const plain = wireOf(messages.flat());
        const sealed = cipher().seal(plain).slice();
        const taken = Math.floor(sealed.length * part / 1000);
        const within = cipher().sealedWithin(plain, taken);
        // The counted frames have at most the accepted length when sealed; with the next frame, they have more.
        const length = (bytes: Uint8Array) => bytes.length === 0 ? 0 : cipher().seal(bytes).length;
        assert.ok(length(plain.subarray(0, within)) <= taken);
        const next = framesOf(plain.subarray(within))[0];
        if (next !== undefined) assert.ok(length(plain.subarray(0, within + next.wire)) > taken);
        else assert.equal(taken, sealed.length);
      }),
      { numRuns: 60 },
    );
  });

  it("open - detects one changed bit anywhere", () => {
    const plain = wireOf([{ size: 40, seed: 1, flags: 1, long: false }, {
      size: 3,
      seed: 2,
      flags: 0,
      long: false,
    }]);
    const sealed = cipher().seal(plain).slice();
    fc.assert(fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
      const changed = sealed.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      // The outer flag COMMAND is legal, and a longer length waits for more input. All other changes are errors.
      let opened: Uint8Array | undefined;
      try {
        opened = open([changed]);
      } catch (error) {
        return assert.ok(error instanceof MqcatError, String(error));
      }
      if (opened === undefined) return;
      assert.deepEqual(opened, plain);
      assert.equal(bit & 7, 2);
    }));
  });
});

describe("curve cipher, counter", () => {
  it("overhead - is the most by which a frame grows, so that no message within the limit is refused", () => {
    const growth = [0, 1, 222, 223, 255, 256, 257, 300].map((length) => {
      const plain = encodeFrame(new Uint8Array(length));
      return cipher().seal(plain).length - plain.length;
    });
    assert.equal(cipher().overhead, Math.max(...growth));
  });

  it("seal - the counter of the nonce goes on past 2^32", () => {
    const sealed = cipher(2 ** 32 - 2).seal(concat([1, 2, 3].map((n) => Uint8Array.of(0, 1, n))));
    const view = new DataView(sealed.buffer, sealed.byteOffset);
    const counters: bigint[] = [];
    // A short frame: flags, length, `\x07MESSAGE`, the counter, the box.
    for (let at = 0; at < sealed.length; at += 2 + sealed[at + 1]!) counters.push(view.getBigUint64(at + 10));
    assert.deepEqual(counters, [0xffffffffn, 0x100000000n, 0x100000001n]);
  });
});

/** The flags, the body and the encoded length of each frame. */
function framesOf(plain: Uint8Array): { flags: number; body: string; wire: number }[] {
  const found: { flags: number; body: string; wire: number }[] = [];
  for (let at = 0; at < plain.length;) {
    const long = (plain[at]! & 2) !== 0;
    const view = new DataView(plain.buffer, plain.byteOffset);
    const head = long ? 9 : 2;
    const length = long ? view.getUint32(at + 5) : plain[at + 1]!;
    const body = plain.subarray(at + head, at + head + length);
    found.push({ flags: plain[at]! & 5, body: new TextDecoder("latin1").decode(body), wire: head + length });
    at += head + length;
  }
  return found;
}
