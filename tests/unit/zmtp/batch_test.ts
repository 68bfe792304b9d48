/** Batches of messages, compared with lists of frames. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Batch, COMMAND, MORE } from "../../../lib/zmtp/batch.ts";

/** Messages with their frames, and commands, which have one frame. */
const units = fc.array(
  fc.oneof(
    fc.array(fc.uint8Array({ maxLength: 4 }), { minLength: 1, maxLength: 4 }).map((frames) => ({
      frames,
      flags: 0,
    })),
    fc.uint8Array({ maxLength: 4 }).map((frame) => ({ frames: [frame], flags: COMMAND })),
  ),
  { maxLength: 30, size: "max" },
);

/** A batch of these, after `gap` bytes of a buffer. */
function batchOf(list: readonly { frames: Uint8Array[]; flags: number }[], gap = 0): Batch {
  const batch = new Batch();
  batch.bytes = Uint8Array.from([
    ...Array(gap).fill(0xee),
    ...list.flatMap(({ frames }) => frames.flatMap((f) => [...f])),
  ]);
  let at = gap;
  for (const { frames, flags } of list) {
    frames.forEach((frame, i) => batch.add(at, at += frame.length, i < frames.length - 1 ? MORE : flags));
  }
  return batch;
}

const framesOf = (batch: Batch) => Array.from({ length: batch.frames }, (_, at) => [...batch.frame(at)]);

describe("batch", () => {
  it("messages - are found, counted, skipped and copied", () => {
    fc.assert(fc.property(units, fc.nat(5), fc.nat(5), fc.nat(5), (list, gap, first, second) => {
      const batch = batchOf(list, gap);
      const all = list.flatMap(({ frames }) => frames);
      assert.deepEqual(framesOf(batch), all.map((frame) => [...frame]));
      const messages = list.filter(({ flags }) => flags === 0).length;
      assert.deepEqual([batch.frames, batch.messages, batch.commands, batch.ascending], [
        all.length,
        messages,
        list.length - messages,
        true,
      ]);
      /** The index of the first frame of each unit, and the end. */
      const starts = [0];
      for (const { frames } of list) starts.push(starts.at(-1)! + frames.length);
      for (let i = 0; i < list.length; i++) assert.equal(batch.messageEnd(starts[i]!), starts[i + 1]);
      const [low, high] = [first, second].map((n) => Math.min(n, list.length)).sort((a, b) => a - b) as [
        number,
        number,
      ];
      const [from, to] = [starts[low]!, starts[high]!];
      const part = list.slice(low, high);
      assert.equal(batch.countMessages(from, to), part.filter(({ flags }) => flags === 0).length);
      const bytes = part.flatMap(({ frames }) => frames).reduce((sum, { length }) => sum + length, 0);
      assert.equal(batch.countBytes(from, to), bytes);
      assert.equal(batch.skipMessages(from, high - low), to);
      assert.equal(batch.skipMessages(from, list.length + 1), all.length);
      const expected = part.flatMap(({ frames }) => frames.map((frame) => [...frame]));
      assert.deepEqual(batch.copy(from, to).map((frame) => [...frame]), expected);
      const slice = batch.slice(from, to);
      assert.deepEqual([framesOf(slice), slice.bytes], [expected, batch.bytes]);
      const own = batch.own(from);
      assert.deepEqual(
        framesOf(own),
        list.slice(low).flatMap(({ frames }) => frames.map((frame) => [...frame])),
      );
      if (own.frames > 0) assert.equal(own.stable, true);
      batch.bytes.fill(0xdd);
      assert.ok(
        own.frames === 0 || !framesOf(own).flat().includes(0xdd) || all.some((frame) => frame.includes(0xdd)),
      );
    }));
  });

  it("dropLast - removes frames of an incomplete message, and commands between them", () => {
    const batch = batchOf([{ frames: [Uint8Array.of(1)], flags: 0 }]);
    batch.bytes = Uint8Array.of(1, 2, 3, 4);
    batch.add(1, 2, MORE);
    batch.add(2, 3, COMMAND);
    batch.add(3, 4, MORE);
    assert.deepEqual([batch.frames, batch.messages, batch.commands], [4, 1, 1]);
    batch.dropLast(1);
    assert.deepEqual([batch.frames, batch.messages, batch.commands], [3, 1, 1]);
    batch.dropLast(2);
    assert.deepEqual([batch.frames, batch.messages, batch.commands], [1, 1, 0]);
    assert.deepEqual(framesOf(batch), [[1]]);
  });

  it("order - frames that share bytes are not ascending, until the batch is cleared", () => {
    const batch = new Batch();
    batch.bytes = Uint8Array.of(1, 2, 3);
    batch.add(0, 2, MORE);
    batch.add(2, 3, 0);
    assert.equal(batch.ascending, true);
    batch.add(0, 2, MORE);
    batch.add(2, 3, 0);
    assert.equal(batch.ascending, false);
    assert.deepEqual(framesOf(batch.own(0)), [[1, 2], [3], [1, 2], [3]]);
    assert.deepEqual(framesOf(batch.own(3)), [[3]]);
    batch.clear();
    assert.deepEqual([batch.frames, batch.messages, batch.commands, batch.ascending], [0, 0, 0, true]);
    batch.add(1, 2, COMMAND);
    batch.clear();
    assert.equal(batch.commands, 0);
  });

  it("memory - the arrays of many frames are kept up to 2^18 frames, and released above that", () => {
    for (const [frames, length] of [[2 ** 18, 2 ** 18], [2 ** 18 + 1, 16]] as const) {
      const batch = new Batch();
      for (let i = 0; i < frames; i++) batch.add(i, i + 1, i === 7 ? COMMAND : 0);
      assert.deepEqual([batch.starts[frames - 1], batch.ends[frames - 1], batch.flags[7]], [
        frames - 1,
        frames,
        COMMAND,
      ]);
      batch.clear();
      assert.equal(batch.starts.length, length);
    }
  });

  it("making - of frames and messages: several frames are copied, a single one is referred to", () => {
    const [one, two] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    const single = Batch.of([one]);
    assert.deepEqual([single.bytes, single.stable, single.messages], [one, true, 1]);
    assert.equal(single.bytes, one);
    const several = Batch.of([one, new Uint8Array(0), two]);
    assert.deepEqual([framesOf(several), [...several.flags.subarray(0, 3)]], [[[1, 2], [], [3]], [
      MORE,
      MORE,
      0,
    ]]);
    several.assign([two]);
    assert.deepEqual([framesOf(several), several.messages, several.frames], [[[3]], 1, 1]);
    const messages = Batch.ofMessages([[one, two], [two], [new Uint8Array(0)]]);
    assert.deepEqual(framesOf(messages), [[1, 2], [3], [3], []]);
    assert.deepEqual([[...messages.flags.subarray(0, 4)], messages.messages, messages.stable], [
      [MORE, 0, 0, 0],
      3,
      true,
    ]);
    assert.equal(messages.own(0).bytes, messages.bytes, "a stable batch is not copied");
  });
});
