/** The lane compared with a list of messages that is searched linearly. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DueHeap } from "../../lib/broker/core/queue/due_heap.ts";
import { GONE, Lane, READY, UNACKED } from "../../lib/broker/core/queue/lane.ts";
import { SeqHeap } from "../../lib/broker/core/queue/seq_heap.ts";

interface Message {
  segment: number;
  offset: number;
  size: number;
  expiry: number;
  state: number;
  redelivered: boolean;
}

/** A lane and its model. */
class Pair {
  readonly lane = new Lane();
  readonly model = new Map<number, Message>();
  nextSeq = 0;
  /** The location of the next message. */
  #place = 0;

  place(): { segment: number; offset: number; size: number } {
    const n = this.#place++;
    return { segment: 1 + Math.floor(n / 100), offset: (n * 7) >>> 0, size: n % 13 };
  }

  push(count: number, expiry: number): void {
    for (let i = 0; i < count; i++) {
      const { segment, offset, size } = this.place();
      assert.equal(this.lane.push(segment, offset, size, expiry), this.nextSeq);
      this.model.set(this.nextSeq++, { segment, offset, size, expiry, state: READY, redelivered: false });
    }
  }

  /** Returns the live sequence numbers in order, of one state or of both. */
  seqs(state?: number): number[] {
    const found: number[] = [];
    for (const [seq, message] of this.model) {
      if (state === undefined || message.state === state) found.push(seq);
    }
    return found.sort((a, b) => a - b);
  }

  take(count: number): void {
    const ready = this.seqs(READY);
    for (let i = 0; i < count; i++) {
      const expected = ready[i] ?? -1;
      if (i % 3 === 0) assert.equal(this.lane.first(), expected);
      assert.equal(this.lane.take(), expected);
      if (expected >= 0) this.model.get(expected)!.state = UNACKED;
    }
  }

  /** Selects a live sequence number by its share of all. */
  pick(share: number, state?: number): number | undefined {
    const all = this.seqs(state);
    return all[Math.floor(share * all.length)];
  }

  check(): void {
    const { lane, model } = this;
    const ready = this.seqs(READY);
    const unacked = this.seqs(UNACKED);
    const bytes = (seqs: number[]) => seqs.reduce((sum, seq) => sum + model.get(seq)!.size, 0);
    assert.deepEqual(
      [lane.ready, lane.unacked, lane.readyBytes, lane.unackedBytes, lane.nextSeq],
      [ready.length, unacked.length, bytes(ready), bytes(unacked), this.nextSeq],
    );
    assert.equal(lane.first(), ready[0] ?? -1);
    const seen: number[] = [];
    for (let seq = lane.nextReady(0); seq >= 0; seq = lane.nextReady(seq + 1)) seen.push(seq);
    assert.deepEqual(seen, ready);
    const live: number[] = [];
    for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) live.push(seq);
    assert.deepEqual(live, this.seqs());
    for (const [seq, message] of model) {
      assert.equal(lane.stateAt(seq), message.state);
      assert.equal(lane.segmentAt(seq), message.segment);
      assert.equal(lane.offsetAt(seq), message.offset);
      assert.equal(lane.sizeAt(seq), message.size);
      assert.equal(lane.expiryAt(seq), message.expiry);
      assert.equal(lane.isRedelivered(seq), message.redelivered);
      assert.ok(lane.isAt(seq, message.segment, message.offset));
    }
    const tally = new Map<number, number>();
    lane.tally((segment, count, size) => tally.set(segment, (tally.get(segment) ?? 0) + 1000 * count + size));
    const expected = new Map<number, number>();
    for (const { segment, size } of model.values()) {
      expected.set(segment, (expected.get(segment) ?? 0) + 1000 + size);
    }
    assert.deepEqual([...tally].sort((a, b) => a[0] - b[0]), [...expected].sort((a, b) => a[0] - b[0]));
  }
}

const share = fc.double({ min: 0, max: 0.999, noNaN: true });
/** A count: usually small, sometimes larger than a chunk. */
const count = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(200, 8191, 8192, 9000));

const action = fc.oneof(
  fc.record({ do: fc.constant("push" as const), count, expiry: fc.constantFrom(0, 0, 0, 5) }),
  fc.record({ do: fc.constant("take" as const), count }),
  fc.record({ do: fc.constant("takeAt" as const), share }),
  fc.record({ do: fc.constant("giveBack" as const), share, count, seed: fc.nat() }),
  fc.record({ do: fc.constant("remove" as const), share, count }),
  fc.record({ do: fc.constant("removeRange" as const), share, count }),
  fc.record({ do: fc.constant("thin" as const), keep: fc.constantFrom<number>(3, 50, 900, 5000) }),
  fc.record({ do: fc.constant("relocate" as const), share }),
  fc.record({ do: fc.constant("ackAll" as const) }),
  fc.record({ do: fc.constant("skip" as const), count }),
);

/** Returns the items in an order that depends on the seed. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const result = [...items];
  let state = seed;
  for (let i = result.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor(state / 2 ** 32 * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

function run(pair: Pair, step: typeof action extends fc.Arbitrary<infer Step> ? Step : never): void {
  const { lane, model } = pair;
  switch (step.do) {
    case "push":
      return pair.push(step.count, step.expiry);
    case "take":
      return pair.take(step.count);
    case "takeAt": {
      const seq = pair.pick(step.share);
      if (seq === undefined) return;
      const message = model.get(seq)!;
      assert.equal(lane.takeAt(seq), message.state === READY);
      message.state = UNACKED;
      return;
    }
    case "giveBack": {
      const first = pair.pick(step.share, UNACKED) ?? 0;
      const chosen = pair.seqs(UNACKED).filter((seq) => seq >= first).slice(0, step.count);
      for (const seq of shuffled(chosen, step.seed)) {
        assert.equal(lane.giveBack(seq), true);
        assert.equal(lane.giveBack(seq), false);
        Object.assign(model.get(seq)!, { state: READY, redelivered: true });
      }
      // Messages that were given back come first, in their old order.
      if (step.seed % 2 === 0) pair.take(chosen.length);
      return;
    }
    case "remove": {
      const first = pair.pick(step.share) ?? 0;
      for (const seq of pair.seqs().filter((seq) => seq >= first).slice(0, step.count)) {
        assert.equal(lane.remove(seq), true);
        assert.equal(lane.remove(seq), false);
        model.delete(seq);
        assert.equal(lane.stateAt(seq), GONE);
      }
      return;
    }
    case "removeRange": {
      const from = pair.pick(step.share) ?? 0;
      lane.removeRange(from, from + step.count - 1);
      for (let seq = from; seq < from + step.count; seq++) model.delete(seq);
      return;
    }
    case "thin":
      // The remaining messages are scattered, so that their chunks become sparse.
      for (const seq of pair.seqs()) {
        if (seq % step.keep === 0) continue;
        assert.equal(lane.remove(seq), true);
        model.delete(seq);
      }
      return;
    case "relocate": {
      const seq = pair.pick(step.share);
      if (seq === undefined) return;
      const { segment, offset } = pair.place();
      lane.relocate(seq, segment, offset);
      Object.assign(model.get(seq)!, { segment, offset });
      return;
    }
    case "ackAll":
      for (const seq of pair.seqs(UNACKED)) {
        assert.equal(lane.remove(seq), true);
        model.delete(seq);
      }
      return;
    case "skip":
      pair.nextSeq += step.count;
      lane.skipTo(pair.nextSeq);
  }
}

describe("lane", () => {
  it("lane - behaves like a list of messages", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40, size: "max" }), (steps) => {
        const pair = new Pair();
        for (const step of steps) {
          run(pair, step);
          if (pair.model.size < 500) pair.check();
        }
        pair.check();
      }),
      { numRuns: 150 },
    );
  });

  it("heap - returns the lowest of the pushed numbers, in any order of pushes and pops", () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.nat(1000), { freq: 3 }), { maxLength: 200, size: "max" }),
        (steps) => {
          const heap = new SeqHeap();
          const model: number[] = [];
          // null pops.
          for (const seq of [...steps, ...steps.map(() => null)]) {
            if (seq !== null) {
              heap.push(seq);
              model.push(seq);
              model.sort((a, b) => a - b);
            } else if (model.length > 0) {
              assert.equal(heap.first, model[0]);
              assert.equal(heap.pop(), model.shift());
            }
            assert.equal(heap.length, model.length);
          }
        },
      ),
    );
  });

  it("heap of due times - returns the earliest number, and of equal times the lowest", () => {
    const entry = fc.record({ time: fc.nat(20), seq: fc.nat(1000) });
    fc.assert(
      fc.property(fc.array(fc.option(entry, { freq: 3 }), { maxLength: 200, size: "max" }), (steps) => {
        const heap = new DueHeap();
        const model: { time: number; seq: number }[] = [];
        // null pops.
        for (const step of [...steps, ...steps.map(() => null), null]) {
          if (step !== null) {
            heap.push(step.time, step.seq);
            model.push(step);
            model.sort((a, b) => a.time - b.time || a.seq - b.seq);
          } else {
            assert.equal(heap.pop(), model.shift()?.seq ?? -1);
          }
          assert.equal(heap.time, model[0]?.time ?? Infinity);
        }
      }),
    );
  });

  it("lane - gives the memory of settled messages back, also that of used chunks", () => {
    for (let round = 0; round < 3; round++) {
      const lane = new Lane();
      for (let i = 0; i < 6 * 8192; i++) lane.push(1, i, 1, 0);
      assert.equal(lane.memory / 13, 6 * 8192);
      for (let seq = 0; seq < 6 * 8192; seq++) {
        lane.take();
        lane.remove(seq);
      }
      assert.ok(lane.memory / 13 <= 8192, `${lane.memory} bytes`);
    }
  });

  it("lane - needs little memory for a short queue", () => {
    const lane = new Lane();
    const capacities: number[] = [];
    for (let seq = 0; seq < 8193; seq++) {
      lane.push(1, seq, 1, 0);
      // An entry has 13 bytes.
      if (capacities.at(-1) !== lane.memory / 13) capacities.push(lane.memory / 13);
    }
    assert.deepEqual(capacities, [16, 64, 256, 1024, 4096, 8192, 16384]);
    // A chunk between others.
    lane.skipTo(100_000);
    lane.push(1, 0, 1, 0);
    const before = lane.memory;
    lane.restore(50_000, 1, 0, 1, 0);
    assert.equal((lane.memory - before) / 13, 16);
  });

  it("lane - keeps messages scattered over many chunks: taken, given back and ready", () => {
    const pair = new Pair();
    for (const keep of [9, 100, 1000]) {
      pair.push(4 * 8192, keep === 100 ? 3 : 0);
      pair.take(3 * 8192);
      run(pair, { do: "thin", keep });
      run(pair, { do: "giveBack", share: 0, count: 5, seed: 1 });
      // Old chunks are checked when new ones are made.
      for (let i = 0; i < 6; i++) pair.push(8192, 0);
      pair.check();
      run(pair, { do: "relocate", share: 0.1 });
      run(pair, { do: "takeAt", share: 0 });
      run(pair, { do: "removeRange", share: 0, count: 3 * 8192 });
      pair.check();
    }
    for (const state of [UNACKED, READY]) {
      for (const seq of pair.seqs(state)) {
        assert.ok(pair.lane.remove(seq));
        pair.model.delete(seq);
      }
    }
    pair.check();
  });

  /** Lanes with a few live messages, whose location is (7, 10 * seq), size seq % 5 and expiry 0 or 1000 + seq. */
  const shapes: [shape: string, seqs: number[], lane: () => Lane][] = [
    ["of one chunk", [0, 1, 4], () => {
      const lane = new Lane();
      for (let seq = 0; seq < 5; seq++) lane.push(7, 10 * seq, seq % 5, seq % 2 === 0 ? 0 : 1000 + seq);
      assert.ok(lane.remove(2));
      lane.removeRange(3, 3);
      return lane;
    }],
    ["after a gap", [50, 51, 20_000, 20_001], () => {
      const lane = new Lane();
      for (const seq of [50, 51, 20_000, 20_001]) {
        lane.skipTo(seq);
        assert.equal(lane.push(7, 10 * seq, seq % 5, seq % 2 === 0 ? 0 : 1000 + seq), seq);
      }
      return lane;
    }],
    ["of sparse chunks", [0, 1, 8191, 8192, 16_385, 60_000], () => {
      const lane = new Lane();
      const live = [0, 1, 8191, 8192, 16_385, 60_000];
      for (let seq = 0; seq <= 60_000; seq++) {
        lane.push(7, 10 * seq, seq % 5, seq % 2 === 0 ? 0 : 1000 + seq);
        if (!live.includes(seq)) assert.ok(lane.remove(seq));
      }
      return lane;
    }],
    ["that was restored", [3, 12, 9000, 9001], () => {
      const lane = new Lane();
      for (const seq of [9000, 3, 9001, 12]) {
        lane.restore(seq, 7, 10 * seq, seq % 5, seq % 2 === 0 ? 0 : 1000 + seq);
      }
      return lane;
    }],
  ];
  for (const [shape, seqs, build] of shapes) {
    it(`lane ${shape} - knows its messages, and no others`, () => {
      const lane = build();
      const last = seqs.at(-1)!;
      const others = [2, 5, 49, 52, 100, 8190, 8193, 19_999, 20_002, 59_999, 60_001].filter((seq) =>
        !seqs.includes(seq)
      );
      assert.deepEqual([lane.ready, lane.unacked, lane.nextSeq], [seqs.length, 0, last + 1]);
      assert.deepEqual([lane.firstReady(), lane.first(), lane.nextLive(0)], [seqs[0], seqs[0], seqs[0]]);
      const check = (gone: readonly number[]) => {
        for (const seq of [...seqs, ...others]) {
          const isLive = seqs.includes(seq) && !gone.includes(seq);
          assert.equal(lane.isAt(seq, 7, 10 * seq), isLive, `${seq}`);
          for (const [segment, offset] of [[6, 10 * seq], [7, 10 * seq + 1], [0, 0]] as const) {
            assert.equal(lane.isAt(seq, segment, offset), false, `${seq}`);
          }
          assert.equal(lane.stateAt(seq) !== GONE, isLive, `${seq}`);
          if (!isLive) continue;
          assert.deepEqual(
            [lane.segmentAt(seq), lane.offsetAt(seq), lane.sizeAt(seq), lane.expiryAt(seq)],
            [7, 10 * seq, seq % 5, seq % 2 === 0 ? 0 : 1000 + seq],
          );
        }
      };
      check([]);
      // What concerns messages that do not exist changes nothing.
      for (const seq of others) {
        lane.relocate(seq, 1, 1);
        lane.keep(seq);
        lane.markRedelivered(seq);
        assert.deepEqual([lane.takeAt(seq), lane.giveBack(seq), lane.remove(seq)], [false, false, false]);
        assert.equal(lane.isRedelivered(seq) && lane.stateAt(seq) !== GONE, false);
      }
      check([]);
      for (const seq of seqs) {
        const redelivered = () => seqs.map((seq) => lane.isRedelivered(seq));
        const before = redelivered();
        if (seq % 3 === 0) assert.equal(lane.restoreDeliveredOne(seq), true);
        else lane.markRedelivered(seq);
        assert.deepEqual(redelivered(), before.with(seqs.indexOf(seq), true));
      }
      check([]);
      for (const seq of seqs) {
        lane.keep(seq);
        lane.relocate(seq, 8, seq);
        assert.deepEqual([lane.expiryAt(seq), lane.isAt(seq, 8, seq), lane.isAt(seq, 7, 10 * seq)], [
          0,
          true,
          false,
        ]);
        lane.relocate(seq, 7, 10 * seq);
      }
      // A message that is taken is still there; one that is removed is not.
      assert.equal(lane.take(), seqs[0]);
      assert.equal(lane.isAt(seqs[0]!, 7, 10 * seqs[0]!), true);
      assert.deepEqual([lane.firstReady(), lane.nextLive(0)], [seqs[1], seqs[0]]);
      assert.equal(lane.restoreDeliveredOne(last + 7), false);
      assert.equal(lane.nextSeq, last + 8);
      lane.removeRange(seqs[1]!, last - 1);
      assert.deepEqual([lane.ready, lane.unacked, lane.firstReady()], [1, 1, last]);
      assert.deepEqual([lane.readyBytes, lane.unackedBytes], [last % 5, seqs[0]! % 5]);
      assert.equal(lane.isAt(seqs[1]!, 7, 10 * seqs[1]!), false);
      assert.equal(lane.restoreDeliveredOne(seqs[1]!), false);
      lane.removeRange(seqs[0]!, last);
      assert.deepEqual([lane.ready, lane.unacked, lane.firstReady(), lane.first(), lane.nextLive(0)], [
        0,
        0,
        -1,
        -1,
        -1,
      ]);
      assert.deepEqual([lane.readyBytes, lane.unackedBytes], [0, 0]);
    });
  }

  it("lane - a message that is restored before those that were looked at is the first one", () => {
    const lane = new Lane();
    lane.restore(20_000, 1, 0, 1, 0);
    lane.restore(20_005, 1, 0, 1, 0);
    assert.equal(lane.first(), 20_000);
    for (const seq of [20_003, 19_999, 500, 0]) {
      lane.restore(seq, 1, 0, 1, 0);
      assert.equal(lane.first(), Math.min(seq, 20_000));
    }
    assert.deepEqual(Array.from({ length: 7 }, () => lane.take()), [
      0,
      500,
      19_999,
      20_000,
      20_003,
      20_005,
      -1,
    ]);
  });

  it("lane - the later copy of a message has its location only, and the size of the first counts", () => {
    const lane = new Lane();
    lane.restore(5, 1, 10, 100, 77);
    lane.restore(5, 2, 20, 999, 88);
    lane.restore(6, 1, 30, 7, 0);
    assert.deepEqual([lane.isAt(5, 2, 20), lane.expiryAt(5), lane.sizeAt(5)], [true, 77, 100]);
    assert.deepEqual([lane.ready, lane.readyBytes, lane.expiryAt(6), lane.nextSeq], [2, 107, 0, 7]);
  });

  it("lane - a run of messages is restored as each of them would be, at every size and place", () => {
    const counts = [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 8176, 8191, 8192, 8193, 16_400];
    for (const before of [0, 1, 8, 16, 20, 8190, 8192]) {
      for (const gap of [0, 1, 9000]) {
        for (const count of counts) {
          const expires = (before + gap + count) % 3 === 0;
          const [lane, each] = [new Lane(), new Lane()];
          for (const one of [lane, each]) {
            for (let seq = 0; seq < before; seq++) one.restore(seq, 1, seq, 1, seq % 2);
          }
          const offsets = Uint32Array.from({ length: count + 5 }, (_, i) => 1000 + i);
          const sizes = Uint32Array.from({ length: count + 5 }, (_, i) => i % 7);
          const expiries = expires
            ? Float64Array.from({ length: count + 5 }, (_, i) => i)
            : new Float64Array(0);
          const first = before + gap;
          lane.restoreRun(first, 9, offsets, sizes, expiries, 2, count + 2);
          for (let i = 0; i < count; i++) {
            each.restore(first + i, 9, offsets[i + 2]!, sizes[i + 2]!, expiries[i + 2] ?? 0);
          }
          const about = (one: Lane) => [one.ready, one.readyBytes, one.nextSeq, one.first()];
          assert.deepEqual(about(lane), about(each));
          for (const seq of [first - 1, first, first + 1, first + count - 1, first + count]) {
            if (seq < 0) continue;
            const at = (one: Lane) => [
              one.stateAt(seq),
              one.segmentAt(seq),
              one.offsetAt(seq),
              one.sizeAt(seq),
              one.expiryAt(seq),
            ];
            if (each.stateAt(seq) === GONE) assert.equal(lane.stateAt(seq), GONE);
            else assert.deepEqual(at(lane), at(each), `${before} ${gap} ${count}: ${seq}`);
          }
          let taken = 0;
          while (lane.take() >= 0) taken++;
          assert.equal(taken, before + count);
        }
      }
    }
  });

  it("lane - the memory of expiries counts, until no message has one", () => {
    const lane = new Lane();
    for (let seq = 0; seq < 16; seq++) lane.push(1, seq, 1, 0);
    assert.equal(lane.memory, 16 * 13);
    lane.push(1, 16, 1, 99);
    assert.equal(lane.memory, 64 * (13 + 8));
    lane.removeRange(0, 16);
    assert.equal(lane.memory, 64 * 13);
    lane.push(1, 17, 1, 0);
    assert.equal(lane.expiryAt(17), 0);
  });

  it("lane - supports sequence numbers over 32 bits", () => {
    const pair = new Pair();
    pair.nextSeq = 2 ** 40;
    pair.lane.skipTo(pair.nextSeq);
    pair.push(20000, 0);
    pair.take(9000);
    for (const seq of pair.seqs(UNACKED)) {
      pair.lane.giveBack(seq);
      Object.assign(pair.model.get(seq)!, { state: READY, redelivered: true });
    }
    pair.check();
  });

  it("lane - counts a message that is restored into a reused chunk of another lane", () => {
    const past = new Lane();
    // Chunks in which one message of nine remains become sparse, and their arrays, with these messages, are reused.
    for (let seq = 0; seq < 80_000; seq++) {
      past.push(1, seq, 1, 0);
      if (seq % 9 !== 0) past.remove(seq);
    }
    const lane = new Lane();
    for (let seq = 0; seq < 20_000; seq++) lane.restore(seq, 1, seq, 1, 0);
    assert.deepEqual([lane.ready, lane.readyBytes], [20_000, 20_000]);
  });

  it("lane - restores pieces in any order, and the latest location wins", () => {
    const piece = fc.record({
      first: fc.integer({ min: 0, max: 30000 }),
      count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(8192, 12000)),
      expiry: fc.constantFrom(0, 0, 7),
      run: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }),
        fc.integer({ min: -1, max: 30000 }),
        fc.array(action, { maxLength: 6 }),
        (pieces, delivered, steps) => {
          const pair = new Pair();
          const { lane, model } = pair;
          for (const { first, count, expiry, run } of pieces) {
            const { segment } = pair.place();
            const offsets = new Uint32Array(count + 2);
            const sizes = new Uint32Array(count + 2);
            for (let i = 0; i < count; i++) {
              const { offset } = pair.place();
              offsets[i + 1] = offset;
              const seq = first + i;
              const there = model.get(seq);
              // A copy has the size of the original.
              sizes[i + 1] = there?.size ?? seq % 11;
              model.set(seq, {
                segment,
                offset,
                size: sizes[i + 1]!,
                expiry: there?.expiry ?? expiry,
                state: READY,
                redelivered: false,
              });
              pair.nextSeq = Math.max(pair.nextSeq, seq + 1);
            }
            if (run) {
              const expiries = new Float64Array(expiry === 0 ? 0 : count + 2).fill(expiry);
              lane.restoreRun(first, segment, offsets, sizes, expiries, 1, count + 1);
            } else {
              for (let i = 1; i <= count; i++) {
                lane.restore(first + i - 1, segment, offsets[i]!, sizes[i]!, expiry);
              }
            }
          }
          lane.restoreDelivered(delivered);
          pair.nextSeq = Math.max(pair.nextSeq, delivered + 1);
          for (const [seq, message] of model) if (seq <= delivered) message.redelivered = true;
          pair.check();
          for (const step of steps) run(pair, step);
          pair.check();
        },
      ),
      { numRuns: 60 },
    );
  });
});
