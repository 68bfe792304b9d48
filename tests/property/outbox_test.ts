/** The outbox against a model: a list of messages, and the number of bytes that the operating system has accepted. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { Lease } from "../../lib/zmtp/buffers.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { encodeCommand } from "../../lib/zmtp/frame_encoder.ts";
import { Outbox, type OutboxLimits } from "../../lib/zmtp/outbox.ts";
import { batchOf, bytesOf, type Frame, frames, type Layout, layout, size, wireOf } from "./generators.ts";

const TIMEOUT = { timeout: 60_000 };

const sizes = fc.oneof(
  { weight: 12, arbitrary: size },
  { weight: 1, arbitrary: fc.constantFrom(130_000, 262_144, 300_000) },
);

/** How long the bytes of a batch stay as they are: always, while they are leased, or during the call. */
type Kind = "stable" | "leased" | "brief";

type Step =
  | { readonly do: "batch"; list: Frame[][]; how: Layout; kind: Kind; head: number; tail: number }
  | { readonly do: "encoded" | "frames"; list: Frame[][] }
  | { readonly do: "command"; size: number }
  | { readonly do: "flush" | "drain" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("batch" as const),
      list: fc.array(frames(sizes, false), { minLength: 1, maxLength: 6 }),
      how: layout,
      kind: fc.constantFrom<Kind>("stable", "leased", "brief"),
      head: fc.nat(2),
      tail: fc.nat(2),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("encoded" as const, "frames" as const),
      list: fc.array(frames(size, false), { minLength: 1, maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("command" as const), size }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("flush" as const, "drain" as const) }) },
);

/** An outbox, its stream, and the expected content of both. */
class Model {
  readonly outbox: Outbox;
  /** The bytes of completed writes, and the current write with a copy of its original bytes. */
  readonly done: Uint8Array[] = [];
  flight: { lent: Uint8Array; was: Uint8Array } | undefined;
  /** All appended bytes, and each message with the position of its end in them. */
  readonly appended: Uint8Array[] = [];
  readonly messages: { readonly frames: Frame[]; readonly end: number }[] = [];
  total = 0;

  constructor(readonly limits: OutboxLimits) {
    this.outbox = new Outbox(limits, (bytes) => {
      assert.equal(this.flight, undefined, "a second write began before the first was accepted");
      assert.ok(bytes.length > 0, "an empty write");
      this.flight = { lent: bytes, was: bytes.slice() };
    });
  }

  get drained(): number {
    return this.done.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  run(step: Step): void {
    switch (step.do) {
      case "batch": {
        const from = Math.min(step.head, step.list.length - 1);
        const to = Math.max(from + 1, step.list.length - step.tail);
        const batch = batchOf(step.list.flat(), step.how, step.kind === "stable");
        const overwrite = () => void batch.bytes.fill(0xee);
        if (step.kind === "leased") batch.lease = new Lease(batch.bytes, { give: overwrite });
        this.outbox.appendBatch(
          batch,
          step.list.slice(0, from).flat().length,
          step.list.slice(0, to).flat().length,
        );
        batch.lease?.release();
        if (step.kind === "brief") overwrite();
        return this.#expect(step.list.slice(from, to));
      }
      case "encoded": {
        const bytes = wireOf(plain(step.list.flat()));
        this.outbox.appendEncoded(bytes, step.list.length);
        bytes.fill(0xee);
        return this.#expect(step.list);
      }
      case "frames":
        for (const frame of step.list.flat()) this.outbox.appendFrame(bytesOf(frame), frame.flags);
        return this.#expect(step.list);
      case "command": {
        const frame = encodeCommand("PING", bytesOf({ size: step.size, seed: 9 }));
        this.outbox.appendEncoded(frame, 0);
        this.appended.push(frame);
        this.total += frame.length;
        return;
      }
      case "flush":
        return this.outbox.flush();
      case "drain":
        return this.drain();
    }
  }

  drain(): void {
    const flight = this.flight;
    if (flight === undefined) return;
    assert.ok(equal(flight.lent, flight.was), "a write was modified while it was in progress");
    this.done.push(flight.was);
    this.flight = undefined;
    this.outbox.onDrain();
  }

  /** Compares the state of the outbox with the model. */
  check(): void {
    const written = this.drained + (this.flight?.was.length ?? 0);
    const waiting = this.messages.filter(({ end }) => end > written).length;
    const full = this.total - written >= this.limits.bytes;
    assert.equal(this.outbox.room, full ? 0 : Math.max(0, this.limits.messages - waiting), "room");
    assert.equal(this.outbox.unsent, this.messages.filter(({ end }) => end > this.drained).length, "unsent");
    assert.equal(this.outbox.empty, this.drained === this.total, "empty");
  }

  #expect(list: Frame[][]): void {
    for (const message of list) {
      const bytes = wireOf(plain(message));
      this.appended.push(bytes);
      this.total += bytes.length;
      this.messages.push({ frames: message, end: this.total });
    }
  }
}

function plain(frames: readonly Frame[]): Frame[] {
  return frames.map((frame) => ({ ...frame, long: false }));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function assertReclaimed(left: Batch, expected: readonly Frame[][]): void {
  const all = expected.flat();
  assert.equal(left.messages, expected.length);
  assert.deepEqual([...left.flags.subarray(0, left.frames)], all.map(({ flags }) => flags));
  all.forEach((frame, i) =>
    assert.ok(equal(left.frame(i), bytesOf(frame)), `frame ${i} of ${frame.size} bytes differs`)
  );
}

const limits = fc.record({
  messages: fc.constantFrom(1, 5, 1000),
  bytes: fc.constantFrom(1, 1000, 100_000, Infinity),
});

describe("outbox", () => {
  it(
    "outbox - writes everything in order, and its counts are right",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(limits, fc.array(step, { minLength: 1, maxLength: 25, size: "max" }), (limits, steps) => {
          const model = new Model(limits);
          for (const step of steps) {
            model.run(step);
            model.check();
          }
          model.outbox.flush();
          while (model.flight !== undefined) model.drain();
          model.check();
          assert.ok(model.outbox.empty);
          assert.ok(equal(concat(model.done), concat(model.appended)));
        }),
        { numRuns: 150 },
      );
    },
  );

  it("outbox - with conflate only the newest message waits, with all its frames", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.array(frames(size, false), { minLength: 1, maxLength: 6 }), layout, (list, how) => {
        const model = new Model({ messages: 1, bytes: 1, conflate: true });
        const batch = batchOf(list.flat(), how, false);
        model.outbox.appendBatch(batch, 0, list.flat().length);
        model.outbox.flush();
        while (model.flight !== undefined) model.drain();
        assert.ok(equal(concat(model.done), wireOf(plain(list.at(-1)!))));
      }),
    );
  });

  it("outbox - reclaim returns exactly the messages that were not accepted completely", TIMEOUT, () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 25, size: "max" }),
        fc.nat(1000),
        (steps, permille) => {
          const model = new Model({ messages: 1000, bytes: Infinity });
          for (const step of steps) model.run(step);
          // A stream counts the accepted bytes of the current write, or else those of the last one, which is complete.
          const under = model.flight?.was.length;
          const taken = under === undefined
            ? model.done.at(-1)?.length ?? 0
            : Math.round(under * permille / 1000);
          const gone = model.drained + (under === undefined ? 0 : taken);
          const left = model.outbox.reclaim(taken);
          assertReclaimed(left, model.messages.filter(({ end }) => end > gone).map(({ frames }) => frames));
          assert.ok(left.stable || left.frames === 0);
          assert.ok(model.outbox.empty);
          assert.deepEqual([model.outbox.room, model.outbox.unsent], [1000, 0]);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("outbox - reclaimed messages are written completely to the next connection", TIMEOUT, () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 15, size: "max" }),
        fc.nat(1000),
        (steps, permille) => {
          const model = new Model({ messages: 1000, bytes: Infinity });
          for (const step of steps) model.run(step);
          model.outbox.flush();
          const taken = Math.round((model.flight?.was.length ?? 0) * permille / 1000);
          const gone = model.drained + taken;
          const left = model.outbox.reclaim(taken);
          const next: Uint8Array[] = [];
          const outbox = new Outbox(
            { messages: 1000, bytes: Infinity },
            (bytes) => void next.push(bytes.slice()),
          );
          outbox.appendBatch(left, 0, left.frames);
          outbox.flush();
          while (!outbox.empty) outbox.onDrain();
          const expected = model.messages.filter(({ end }) => end > gone).map(({ frames }) =>
            wireOf(plain(frames))
          );
          assert.ok(equal(concat(next), concat(expected)));
        },
      ),
      { numRuns: 80 },
    );
  });

  it("outbox - a large body is referred to if its buffer is stable, and copied otherwise", () => {
    for (const stable of [true, false]) {
      for (const size of [32 * 1024, 500_000]) {
        const batch = batchOf(
          [{ size: 10, seed: 1, flags: 1, long: false }, { size, seed: 2, flags: 0, long: false }],
          "packed",
          stable,
        );
        const writes: Uint8Array[] = [];
        const outbox = new Outbox({ messages: 1, bytes: 1 }, (bytes) => void writes.push(bytes));
        outbox.appendBatch(batch, 0, 2);
        outbox.flush();
        while (!outbox.empty) outbox.onDrain();
        const shared = writes.filter((bytes) => bytes.buffer === batch.bytes.buffer);
        assert.equal(shared.length, stable ? 1 : 0);
        if (stable) assert.equal(shared[0]!.length, size);
        if (stable) assert.equal(writes.length, 2, "one write for the copied frames, one for the large body");
      }
    }
  });

  it("outbox - releases a leased buffer as soon as its messages are written completely", () => {
    for (const ending of ["drain", "reclaim"] as const) {
      const batch = batchOf(
        [{ size: 300_000, seed: 1, flags: 1, long: false }, {
          size: 300_000,
          seed: 2,
          flags: 0,
          long: false,
        }],
        "packed",
        false,
      );
      let free = false;
      batch.lease = new Lease(batch.bytes, { give: () => free = true });
      const outbox = new Outbox({ messages: 1, bytes: 1 }, () => {});
      outbox.appendBatch(batch, 0, 2);
      batch.lease.release();
      assert.equal(free, false);
      if (ending === "reclaim") assert.equal(outbox.reclaim(0).messages, 1);
      else {
        outbox.flush();
        for (let writes = 1; writes < 4; writes++) outbox.onDrain();
        assert.equal(free, false, "the second frame is being written");
        outbox.onDrain();
      }
      assert.equal(free, true, ending);
    }
  });

  it("outbox - the first send writes at once, and messages that follow meanwhile become one write", () => {
    const writes: number[] = [];
    const outbox = new Outbox({ messages: 1e6, bytes: Infinity }, (bytes) => void writes.push(bytes.length));
    const one = batchOf([{ size: 48, seed: 1, flags: 0, long: false }], "packed", false);
    for (let i = 0; i < 1001; i++) {
      outbox.appendBatch(one, 0, 1);
      outbox.flush();
    }
    assert.deepEqual(writes, [50]);
    outbox.onDrain();
    assert.deepEqual(writes, [50, 50_000]);
    outbox.onDrain();
    assert.ok(outbox.empty);
    assert.equal(writes.length, 2);
  });

  it("outbox - a write is at most one block, except for a large frame", TIMEOUT, () => {
    const list = fc.array(frames(fc.constantFrom(0, 100, 20_000, 60_000), false), {
      minLength: 1,
      maxLength: 40,
      size: "max",
    });
    fc.assert(
      fc.property(list, layout, (list, how) => {
        const batch = batchOf(list.flat().map((frame) => ({ ...frame, seed: 1 })), how, false);
        let longest = 0;
        const outbox = new Outbox(
          { messages: 1, bytes: 1 },
          (bytes) => void (longest = Math.max(longest, bytes.length)),
        );
        outbox.appendBatch(batch, 0, batch.frames);
        outbox.flush();
        while (!outbox.empty) outbox.onDrain();
        assert.ok(longest <= 256 * 1024, `a write of ${longest} bytes`);
      }),
      { numRuns: 100 },
    );
  });
});
