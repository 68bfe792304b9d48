/** Frames from a hostile peer: huge lengths, junk, and memory that must follow the bytes that arrived. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LimitError, ProtocolError } from "../../lib/errors.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { ZmtpFrameDecoder } from "../../lib/zmtp/frame_decoder.ts";
import { cuts, frames, pieces, size, wireOf } from "./generators.ts";

const TIMEOUT = { timeout: 60_000 };
const MiB = 1024 * 1024;

/** Runs `act`, and returns the length of every byte buffer that was allocated meanwhile. */
function allocations(act: () => void): number[] {
  const lengths: number[] = [];
  const Original = globalThis.Uint8Array;
  globalThis.Uint8Array = new Proxy(Original, {
    construct(target, args, newTarget) {
      if (typeof args[0] === "number") lengths.push(args[0]);
      return Reflect.construct(target, args, newTarget === globalThis.Uint8Array ? target : newTarget);
    },
  });
  try {
    act();
  } finally {
    globalThis.Uint8Array = Original;
  }
  return lengths;
}

function longHeader(flags: number, length: bigint): Uint8Array {
  const header = new Uint8Array(9);
  header[0] = flags | 2;
  new DataView(header.buffer).setBigUint64(1, length);
  return header;
}

function decoderWith(maxMessage: number, onFrame: (size: number) => void = () => {}): ZmtpFrameDecoder {
  return new ZmtpFrameDecoder(new Batch(), maxMessage, (batch) => {
    for (let i = 0; i < batch.frames; i++) onFrame(batch.ends[i]! - batch.starts[i]!);
  });
}

describe("frames - hostile", () => {
  const lengths: [name: string, length: bigint][] = [
    ["2^31 - 1", 2n ** 31n - 1n],
    ["2^31", 2n ** 31n],
    ["2^32 - 1", 2n ** 32n - 1n],
    ["2^32", 2n ** 32n],
    ["2^53 - 1", 2n ** 53n - 1n],
    ["2^53", 2n ** 53n],
    ["2^63 - 1", 2n ** 63n - 1n],
    ["2^63", 2n ** 63n],
    ["2^64 - 1", 2n ** 64n - 1n],
  ];
  for (const [name, length] of lengths) {
    it(`limit - rejects a length of ${name} at its header, before memory is allocated`, () => {
      for (const flags of [0, 1, 4]) {
        for (const pieces of [[9], [1, 8], [2, 7], [8, 1]]) {
          const header = longHeader(flags, length);
          const decoder = decoderWith(1024 * MiB);
          const cut = pieces[0]!;
          const allocated = allocations(() => {
            assert.throws(
              () => {
                decoder.push(header.subarray(0, cut));
                decoder.push(header.subarray(cut));
              },
              (error: unknown) =>
                error instanceof LimitError && /limit for a message is 1073741824 bytes/.test(error.message),
            );
          });
          assert.ok(Math.max(0, ...allocated) <= 1024, `allocated ${allocated} bytes`);
        }
      }
    });
  }

  it(
    "limit - accepts a message of exactly the limit, rejects one byte more, for chunks of any size",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(frames(size, false), cuts, (message, cuts) => {
          const bytes = wireOf(message);
          let passed = 0;
          const within = decoderWith(bytes.length, () => passed++);
          for (const piece of pieces(bytes, cuts)) within.push(piece);
          assert.equal(passed, message.length);
          const over = decoderWith(
            bytes.length - 1,
            () => assert.fail("a message over the limit was delivered"),
          );
          assert.throws(() => {
            for (const piece of pieces(bytes, cuts)) over.push(piece);
          }, LimitError);
        }),
        { numRuns: 300 },
      );
    },
  );

  it("limit - applies to each message, not to the stream", () => {
    const message = wireOf([{ size: 100, seed: 1, flags: 0, long: false }]);
    let count = 0;
    const decoder = decoderWith(102, () => count++);
    const stream = concat(Array.from({ length: 300 }, () => message));
    for (const piece of pieces(stream, [150, 500])) decoder.push(piece);
    assert.equal(count, 300);
  });

  it("limit - rejects a message that never ends", () => {
    const decoder = decoderWith(1 * MiB);
    const part = wireOf([{ size: 1000, seed: 1, flags: 1, long: false }]);
    let sent = 0;
    assert.throws(() => {
      for (; sent < 10 * MiB; sent += part.length) decoder.push(part);
    }, LimitError);
    assert.ok(sent <= MiB + part.length);
  });

  it("memory - the carry grows with the bytes that arrived, not with the announced length", TIMEOUT, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }).map((mib) => BigInt(mib) * BigInt(MiB)),
        fc.integer({ min: 1, max: 200_000 }),
        fc.integer({ min: 500, max: 70_000 }),
        fc.nat(200),
        (claimed, came, piece, before) => {
          const head = wireOf(
            Array.from({ length: before }, () => ({ size: 20, seed: 1, flags: 1, long: false })),
          );
          const bytes = concat([head, longHeader(0, claimed), new Uint8Array(came)]);
          const decoder = decoderWith(2048 * MiB);
          const allocated = allocations(() => {
            for (let at = 0; at < bytes.length; at += piece) decoder.push(bytes.subarray(at, at + piece));
          });
          const most = Math.max(...allocated);
          assert.ok(
            most <= Math.max(4096, 4 * bytes.length),
            `${most} bytes were allocated for ${bytes.length}`,
          );
          const sum = allocated.reduce((total, length) => total + length, 0);
          assert.ok(
            sum <= Math.max(8192, 8 * bytes.length),
            `${sum} bytes in all were allocated for ${bytes.length}`,
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it("memory - the carry of a large message is released, and the next small message needs a small one", () => {
    const decoder = decoderWith(64 * MiB);
    const large = wireOf([{ size: 4 * MiB, seed: 1, flags: 0, long: true }]);
    decoder.push(large.subarray(0, 1000));
    decoder.push(large.subarray(1000));
    assert.ok(decoder.idle);
    const small = wireOf([{ size: 100, seed: 1, flags: 0, long: false }]);
    const allocated = allocations(() => {
      decoder.push(small.subarray(0, 50));
      decoder.push(small.subarray(50));
    });
    assert.equal(allocated.length, 1, "the large carry was kept");
    assert.ok(allocated[0]! <= 4096);
  });

  it("junk - any bytes in any chunks cause frames, a ProtocolError or a LimitError", TIMEOUT, () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400, size: "max" }),
        cuts,
        fc.constantFrom(100, 100_000),
        (junk, cuts, limit) => {
          let total = 0;
          const decoder = decoderWith(limit, (size) => total += size);
          try {
            for (const piece of pieces(junk, cuts)) decoder.push(piece);
          } catch (error) {
            assert.ok(error instanceof ProtocolError || error instanceof LimitError, String(error));
          }
          assert.ok(total <= junk.length);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it(
    "junk - a valid stream with a few changed bytes causes frames, a ProtocolError or a LimitError",
    TIMEOUT,
    () => {
      const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
      const traffic = fc.array(frames(fc.nat(300), true), { minLength: 1, maxLength: 8 });
      fc.assert(
        fc.property(traffic, changes, cuts, (list, changes, cuts) => {
          const bytes = wireOf(list.flat());
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          try {
            const decoder = decoderWith(100_000);
            for (const piece of pieces(bytes, cuts)) decoder.push(piece);
          } catch (error) {
            assert.ok(error instanceof ProtocolError || error instanceof LimitError, String(error));
          }
        }),
        { numRuns: 1000 },
      );
    },
  );

  it("junk - rejects every reserved flag and shows it", () => {
    for (let flags = 8; flags < 256; flags++) {
      const hex = `0x${flags.toString(16).padStart(2, "0")}`;
      assert.throws(() => decoderWith(1000).push(Uint8Array.of(flags, 0)), (error: unknown) => {
        assert.ok(error instanceof ProtocolError, String(error));
        assert.equal(error.message, `The peer sent a frame with reserved flags (${hex})`);
        return true;
      });
    }
  });
});
