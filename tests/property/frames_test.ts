/** Frames on the wire: decoding is the inverse of encoding, for chunks of any size. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Batch, COMMAND } from "../../lib/zmtp/batch.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { ZmtpFrameDecoder } from "../../lib/zmtp/frame_decoder.ts";
import { encodeBatch, encodeCommand, encodedBound, encodeFrame } from "../../lib/zmtp/frame_encoder.ts";
import {
  batchOf,
  bytesOf,
  cuts,
  type Frame,
  frames,
  layout,
  pieces,
  size,
  wire,
  wireOf,
} from "./generators.ts";

const TIMEOUT = { timeout: 60_000 };

const messages = fc.array(frames(size, false), { minLength: 1, maxLength: 12, size: "max" }).map((list) =>
  list.flat()
);
const traffic = fc.array(frames(size, true), { minLength: 1, maxLength: 12, size: "max" }).map((list) =>
  list.flat()
);

interface Decoded {
  readonly flags: number;
  readonly body: Uint8Array;
}

/** Decodes `wire` in chunks, each overwritten after it was pushed, and checks each batch. */
function decode(
  wire: Uint8Array,
  cuts: readonly number[],
  batch = new Batch(),
): { out: Decoded[]; idle: boolean } {
  const out: Decoded[] = [];
  const decoder = new ZmtpFrameDecoder(batch, Infinity, (got) => {
    assert.ok(got.frames > 0, "an empty batch was delivered");
    let messages = 0;
    let commands = 0;
    for (let i = 0; i < got.frames; i++) {
      const flags = got.flags[i]!;
      if (flags === 0) messages++;
      if ((flags & COMMAND) !== 0) commands++;
      // The bytes of a stable batch may be kept; others are valid during the call only.
      out.push({ flags, body: got.stable ? got.frame(i) : got.frame(i).slice() });
    }
    assert.deepEqual([got.messages, got.commands], [messages, commands]);
    assert.ok(got.ascending);
    const last = out.findLast(({ flags }) => (flags & COMMAND) === 0);
    assert.ok(last === undefined || last.flags === 0, "a batch ended in the middle of a message");
  });
  for (const piece of pieces(wire, cuts)) {
    decoder.push(piece);
    piece.fill(0xee);
  }
  return { out, idle: decoder.idle };
}

function assertDecoded(out: readonly Decoded[], expected: readonly Frame[]): void {
  assert.deepEqual(out.map(({ flags }) => flags), expected.map(({ flags }) => flags));
  expected.forEach((frame, i) =>
    assert.ok(equal(out[i]!.body, bytesOf(frame)), `frame ${i} of ${frame.size} bytes differs`)
  );
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

describe("frames", () => {
  it(
    "encodeBatch - follows the RFC, for every layout and position, within its bound",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(
          messages,
          layout,
          fc.nat(100),
          fc.nat(3),
          fc.nat(3),
          (all, how, at, skipHead, skipTail) => {
            const batch = batchOf(all, how, false);
            const from = Math.min(skipHead, all.length - 1);
            const to = Math.max(from + 1, all.length - skipTail);
            const bound = encodedBound(batch, from, to);
            const target = new Uint8Array(at + bound + 16).fill(0x99);
            const end = encodeBatch(batch, from, to, target, at);
            const expected = wireOf(all.slice(from, to).map((frame) => ({ ...frame, long: false })));
            assert.ok(end - at <= bound, `${end - at} bytes and a bound of ${bound}`);
            assert.ok(equal(target.subarray(at, end), expected));
            assert.ok(target.subarray(0, at).every((byte) => byte === 0x99), "it wrote before its position");
            assert.ok(
              target.subarray(at + bound).every((byte) => byte === 0x99),
              "it wrote after its bound",
            );
          },
        ),
        { numRuns: 500 },
      );
    },
  );

  it("ZmtpFrameDecoder - returns every frame in order, for chunks of any size", TIMEOUT, () => {
    fc.assert(
      fc.property(traffic, cuts, (all, cuts) => {
        const { out, idle } = decode(wireOf(all), cuts);
        assertDecoded(out, all);
        assert.ok(idle);
      }),
      { numRuns: 500 },
    );
  });

  it(
    "ZmtpFrameDecoder - large messages may be read into its space, and a lease keeps their bytes",
    TIMEOUT,
    () => {
      const sizes = fc.array(fc.constantFrom(10, 70_000, 300_000, 1_000_000), { minLength: 1, maxLength: 6 });
      fc.assert(
        fc.property(sizes, fc.constantFrom(4096, 60_000, 262_144), fc.boolean(), (sizes, read, keep) => {
          const all = sizes.map((size, seed) => ({ size, seed, flags: 0, long: size > 255 }));
          const wire = wireOf(all);
          const out: Decoded[] = [];
          let leased = 0;
          const decoder = new ZmtpFrameDecoder(new Batch(), Infinity, (got) => {
            for (let i = 0; i < got.frames; i++) {
              const body = got.frame(i);
              if (keep) got.lease?.retain();
              if (got.lease !== undefined) leased++;
              out.push({ flags: got.flags[i]!, body: keep && got.lease !== undefined ? body : body.slice() });
            }
          });
          const buffer = new Uint8Array(read);
          let direct = 0;
          for (let at = 0; at < wire.length;) {
            const { space } = decoder;
            if (space !== undefined) direct++;
            const target = space ?? buffer;
            const chunk = target.subarray(0, Math.min(target.length, wire.length - at));
            chunk.set(wire.subarray(at, at + chunk.length));
            decoder.push(chunk);
            at += chunk.length;
          }
          assertDecoded(out, all);
          assert.ok(decoder.idle);
          if (sizes.includes(1_000_000)) assert.ok(direct > 0);
          assert.ok(leased >= sizes.filter((size) => size > read).length);
        }),
        { numRuns: 60 },
      );
    },
  );

  it("ZmtpFrameDecoder - one byte more or less in the first chunk changes nothing", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.array(frames(fc.nat(300), true), { minLength: 1, maxLength: 3 }), (list) => {
        const all = list.flat();
        const bytes = wireOf(all);
        for (let cut = 1; cut < bytes.length; cut++) assertDecoded(decode(bytes, [cut, Infinity]).out, all);
      }),
      { numRuns: 40 },
    );
  });

  it("ZmtpFrameDecoder - is idle only between messages, and delivers only complete messages", TIMEOUT, () => {
    fc.assert(
      fc.property(
        fc.array(frames(fc.nat(300), true), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        (list, where) => {
          const all = list.flat();
          const bytes = wireOf(all);
          const cut = where % (bytes.length + 1);
          const { out, idle } = decode(bytes.subarray(0, cut), [Infinity]);
          let whole = 0;
          let boundary = cut === 0;
          for (let i = 0, at = 0, begun = false; i < all.length; i++) {
            at += wire(all[i]!).length;
            if (at > cut) break;
            if (all[i]!.flags === 1) begun = true;
            else if (all[i]!.flags === 0) begun = false;
            if (begun) continue;
            whole = i + 1;
            boundary = at === cut;
          }
          assertDecoded(out, all.slice(0, whole));
          assert.equal(idle, boundary);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("ZmtpFrameDecoder - the sink may remove the commands from its batch", TIMEOUT, () => {
    fc.assert(
      fc.property(traffic, cuts, (all, cuts) => {
        const out: Uint8Array[] = [];
        const decoder = new ZmtpFrameDecoder(new Batch(), Infinity, (batch) => {
          const { starts, ends, flags, frames } = batch;
          batch.clear();
          for (let i = 0; i < frames; i++) {
            if (flags[i] !== COMMAND) batch.add(starts[i]!, ends[i]!, flags[i]!);
          }
          for (let i = 0; i < batch.frames; i++) out.push(batch.frame(i).slice());
        });
        for (const piece of pieces(wireOf(all), cuts)) decoder.push(piece);
        const expected = all.filter(({ flags }) => flags !== COMMAND);
        assert.equal(out.length, expected.length);
        expected.forEach((frame, i) => assert.ok(equal(out[i]!, bytesOf(frame))));
      }),
      { numRuns: 200 },
    );
  });

  it("encodeFrame and encodeCommand - are read by the decoder", TIMEOUT, () => {
    fc.assert(
      fc.property(size, fc.boolean(), cuts, (size, more, cuts) => {
        const body = bytesOf({ size, seed: 3 });
        const frame = { size, seed: 3, flags: more ? 1 : 0, long: false };
        assert.ok(equal(encodeFrame(body, frame.flags), wire(frame)));
        const name = "SUBSCRIBE";
        const { out } = decode(encodeCommand(name, body), cuts);
        assert.equal(out.length, 1);
        assert.equal(out[0]!.flags, COMMAND);
        assert.ok(
          equal(out[0]!.body, concat([Uint8Array.of(name.length), new TextEncoder().encode(name), body])),
        );
      }),
      { numRuns: 200 },
    );
  });

  it(
    "Batch - copy, slice, skipMessages and countMessages agree with a list of messages",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(
          fc.array(frames(fc.nat(30), false), { minLength: 1, maxLength: 40, size: "max" }),
          layout,
          fc.nat(40),
          (list, how, n) => {
            const batch = batchOf(list.flat(), how, true);
            assert.equal(batch.messages, list.length);
            const count = Math.min(n, list.length);
            const first = list.slice(0, count).flat();
            const at = batch.skipMessages(0, n);
            assert.equal(at, first.length);
            assert.equal(batch.countMessages(0, at), count);
            assert.equal(batch.countMessages(at, batch.frames), list.length - count);
            assert.deepEqual(batch.copy(0, at), first.map(bytesOf));
            const rest = batch.slice(at, batch.frames);
            assert.equal(rest.messages, list.length - count);
            assert.deepEqual(rest.copy(0, rest.frames), list.slice(count).flat().map(bytesOf));
            if (count < list.length) assert.equal(batch.messageEnd(at), at + list[count]!.length);
          },
        ),
        { numRuns: 300 },
      );
    },
  );

  it("Batch - of(frames) makes one message in one buffer", TIMEOUT, () => {
    fc.assert(
      fc.property(frames(fc.nat(300), false), (message) => {
        const batch = Batch.of(message.map(bytesOf));
        assert.deepEqual([batch.messages, batch.frames], [1, message.length]);
        assert.deepEqual(batch.copy(0, batch.frames), message.map(bytesOf));
        assert.deepEqual([...batch.flags.subarray(0, batch.frames)], message.map(({ flags }) => flags));
      }),
      { numRuns: 200 },
    );
  });
});
