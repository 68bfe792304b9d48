/** The messages of a publisher until they are settled, compared with a plain list of all messages. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Ledger } from "../../lib/link/ledger.ts";
import type { Envelope } from "../../lib/link/message.ts";
import type { Port } from "../../lib/link/port.ts";
import { KEPT, type Run } from "../../lib/link/run.ts";

type State = "pending" | "kept" | "taken" | "refused";

/** A message of the model. Its body is its number, repeated. */
interface Message {
  readonly number: number;
  readonly size: number;
  readonly envelope: Envelope;
  state: State;
  /** 0: not published on this connection. */
  tag: number;
}

/** The messages of one call of `publish`. */
interface Batch {
  readonly messages: Message[];
  readonly hasOutcome: boolean;
  settled: string;
}

const isSettled = ({ state }: Message) => state === "taken" || state === "refused";

/** The ledger and the model, which every operation changes in the same way. */
class Pair {
  readonly ledger = new Ledger();
  readonly #batches: Batch[] = [];
  #next = 1;
  #unknown = 0;
  #acknowledged = 0;
  #refused = 0;
  #reason = "";
  #resent = 0;
  #rewinds = 0;
  /** What the outcomes reported: the number of the batch, and whether all its messages were taken. */
  readonly #told: string[] = [];

  get #messages(): Message[] {
    return this.#batches.flatMap(({ messages }) => messages);
  }

  add(sizes: readonly number[], hasOutcome: boolean, isList: boolean): void {
    const first = this.#messages.length;
    const name = this.#batches.length;
    const shared = { exchange: "", routingKey: `batch ${name}`, properties: new Uint8Array(0) };
    const messages = sizes.map((size, i): Message => ({
      number: first + i,
      size,
      envelope: isList ? { ...shared, routingKey: `message ${first + i}` } : shared,
      state: "pending",
      tag: 0,
    }));
    const batch: Batch = { messages, hasOutcome, settled: "" };
    this.#batches.push(batch);
    const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size, 0));
    const run: Run = {
      bytes: Uint8Array.from(messages.flatMap(({ number, size }) => Array<number>(size).fill(number))),
      starts: Int32Array.from([0, ...ends.slice(0, -1)]),
      ends: Int32Array.from(ends),
      envelopes: isList ? messages.map(({ envelope }) => envelope) : shared,
      states: new Uint8Array(sizes.length),
      count: sizes.length,
      left: sizes.length,
      gone: 0,
      goneRefused: false,
      firstTag: 0,
      outcome: hasOutcome
        ? {
          onReturn: () => assert.fail("the publisher reports returns"),
          onRefused: (error) => void this.#told.push(`${name} ${error.message}`),
          onSettled: (acknowledged) => void this.#told.push(`${name} ${acknowledged}`),
        }
        : undefined,
    };
    this.ledger.add(run);
  }

  publish(room: number): void {
    this.#resent += this.#unknown;
    this.#unknown = 0;
    const waiting = this.#messages.filter((message) => !isSettled(message) && message.tag === 0);
    let left = room;
    let flushed = 0;
    const port: Port = {
      get full() {
        return left === 0;
      },
      publish: (tag, envelope, bytes, start, end) => {
        const message = waiting.shift()!;
        message.tag = this.#next++;
        assert.equal(tag, message.tag);
        assert.equal(envelope, message.envelope);
        assert.deepEqual([...bytes.subarray(start, end)], Array(message.size).fill(message.number));
        left--;
      },
      flush: () => flushed++,
    };
    this.ledger.publishTo(port);
    assert.equal(flushed, 1);
    assert.ok(left === 0 || waiting.length === 0, "there was room for more");
  }

  /** The published messages that a tag means, and that can change their state. */
  #meant(tag: number, multiple: boolean, notKept: boolean): Message[] {
    if (tag >= this.#next) return [];
    return this.#messages.filter((message) =>
      message.tag > 0 && !isSettled(message) && !(notKept && message.state === "kept") &&
      (message.tag === tag || multiple && message.tag < tag)
    );
  }

  settle(tag: number, multiple: boolean, taken: boolean, notKept: boolean): void {
    const meant = this.#meant(tag, multiple, notKept);
    for (const message of meant) message.state = taken ? "taken" : "refused";
    if (taken) this.#acknowledged += meant.length;
    else {
      if (this.#refused === 0) this.#reason = `tag ${tag}`;
      this.#refused += meant.length;
    }
    this.ledger.settle(tag, multiple, taken, `tag ${tag}`, notKept ? KEPT : undefined);
  }

  keep(tag: number, multiple: boolean): void {
    const meant = this.#meant(tag, multiple, false);
    for (const message of meant) message.state = "kept";
    assert.equal(this.ledger.mark(tag, multiple, KEPT), meant.length);
  }

  /** A message comes back: the first pending one with this number, else the first one with the same last bits. */
  return(number: number, needsOutcome: boolean): void {
    const open = this.#batches.filter((batch) => !needsOutcome || batch.hasOutcome)
      .flatMap(({ messages }) => messages).filter(({ state }) => state === "pending");
    const found = open.find((message) => message.number === number) ??
      open.find((message) => message.number % 4 === number % 4);
    const run = this.ledger.keepReturned(({ bytes, starts }, i, exact) => {
      const own = bytes[starts[i]!]!;
      return exact ? own === number : own % 4 === number % 4;
    }, needsOutcome);
    assert.equal(run !== undefined, found !== undefined);
    if (found !== undefined) found.state = "kept";
  }

  /** A new connection, whose limit some messages are over. */
  reconnect(limit: number): void {
    this.#rewinds++;
    for (const message of this.#messages) {
      if (isSettled(message)) continue;
      if (message.tag > 0 && message.state === "pending") this.#unknown++;
      message.tag = 0;
      message.state = "pending";
    }
    for (const message of this.#messages) message.tag = 0;
    this.#next = 1;
    this.ledger.rewind();
    const expected: string[] = [];
    let some = false;
    for (const [name, { messages, hasOutcome }] of this.#batches.entries()) {
      for (const message of messages) {
        if (isSettled(message) || message.size <= limit) continue;
        some = true;
        message.state = "refused";
        if (this.#refused++ === 0) this.#reason = `${message.size} bytes`;
        if (hasOutcome) expected.push(`${name} ${message.size} bytes`);
      }
    }
    const told = this.#told.length;
    const refused = this.ledger.refuse((_envelope, size) =>
      size > limit ? new Error(`${size} bytes`) : undefined
    );
    assert.equal(refused, some);
    assert.deepEqual(this.#told.splice(told), expected);
  }

  sweep(): void {
    const front = this.#batches.find(({ settled }) => settled === "");
    assert.equal(this.ledger.isFrontSettled, front !== undefined && front.messages.every(isSettled));
    const expected: string[] = [];
    for (const [name, batch] of this.#batches.entries()) {
      if (batch.settled !== "") continue;
      if (!batch.messages.every(isSettled)) break;
      batch.settled = `${name} ${batch.messages.every(({ state }) => state === "taken")}`;
      if (batch.hasOutcome) expected.push(batch.settled);
    }
    this.ledger.sweep();
    assert.deepEqual(this.#told.splice(0), expected);
    const messages = this.#messages;
    const gap = messages.findIndex(({ state }) => state !== "taken");
    const inOrder = gap < 0 ? messages.length : gap;
    // After a reconnect it may be less for a while, until the first messages are settled.
    assert.ok(this.ledger.takenInOrder <= inOrder);
    if (this.#rewinds === 0 || gap < 0) assert.equal(this.ledger.takenInOrder, inOrder);
  }

  check(): void {
    const { ledger } = this;
    const open = this.#messages.filter((message) => !isSettled(message));
    assert.deepEqual({
      acknowledged: ledger.acknowledged,
      refused: ledger.refused,
      reason: ledger.refusalReason,
      resent: ledger.resent,
      pending: ledger.pending,
      pendingBytes: ledger.pendingBytes,
    }, {
      acknowledged: this.#acknowledged,
      refused: this.#refused,
      reason: this.#reason,
      resent: this.#resent,
      pending: open.length,
      pendingBytes: open.reduce((sum, { size }) => sum + size, 0),
    });
    for (const { tag, envelope } of open) if (tag > 0) assert.equal(ledger.envelopeAt(tag), envelope);
    assert.equal(ledger.envelopeAt(0), undefined);
  }
}

const operation: fc.Arbitrary<(pair: Pair) => void> = fc.oneof(
  // No body is empty: a returned message is known by its body.
  fc.tuple(
    fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 }),
    fc.boolean(),
    fc.boolean(),
  )
    .map(([sizes, hasOutcome, isList]) => (pair: Pair) => pair.add(sizes, hasOutcome, isList)),
  fc.nat(8).map((room) => (pair: Pair) => pair.publish(room)),
  fc.tuple(fc.nat(14), fc.boolean(), fc.integer({ min: 0, max: 3 }), fc.boolean())
    .map(([tag, multiple, taken, notKept]) => (pair: Pair) => pair.settle(tag, multiple, taken > 0, notKept)),
  fc.tuple(fc.nat(14), fc.boolean()).map(([tag, multiple]) => (pair: Pair) => pair.keep(tag, multiple)),
  fc.tuple(fc.nat(20), fc.boolean()).map(([number, needsOutcome]) => (pair: Pair) =>
    pair.return(number, needsOutcome)
  ),
  fc.constantFrom(3, 4, 9, 9, 9).map((limit) => (pair: Pair) => pair.reconnect(limit)),
  fc.constant((pair: Pair) => pair.sweep()),
);

describe("ledger", () => {
  it("ledger - counts, outcomes and what is published are those of a plain list", () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 40, size: "max" }), (operations) => {
        const pair = new Pair();
        for (const operate of operations) {
          operate(pair);
          pair.check();
        }
        pair.reconnect(9);
        pair.publish(Infinity);
        pair.settle(200, true, true, false);
        pair.sweep();
        pair.check();
      }),
      { numRuns: 400 },
    );
  });

  it("ledger - nothing is taken in order after a message that a new connection refused", () => {
    const pair = new Pair();
    pair.add([5, 1, 1], true, false);
    pair.reconnect(4);
    pair.publish(2);
    pair.settle(1, false, true, false);
    pair.sweep();
    assert.equal(pair.ledger.takenInOrder, 0);
  });
});
