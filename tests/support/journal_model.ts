/** A model of queues over a journal: the queues as in a broker, and their expected content. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { Journal, type JournalOptions, Targets } from "../../lib/broker/core/journal/journal.ts";
import { FIRST_TRANSIENT } from "../../lib/broker/core/journal/segment.ts";
import { Lane, READY, UNACKED } from "../../lib/broker/core/queue/lane.ts";

/** Makes a message with the given body, an address and properties. */
export function message(body: string | Uint8Array) {
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const head = new TextEncoder().encode("\x00\x02q1\x10\x00\x04text");
  return {
    head,
    routeStart: 0,
    propertiesStart: 4,
    propertiesEnd: head.length,
    body: bytes,
    bodyStart: 0,
    bodyEnd: bytes.length,
  };
}

/** The expected state of one message in one queue. */
interface Entry {
  body: string;
  expiry: number;
  durable: boolean;
  unacked: boolean;
  redelivered: boolean;
}

/** The expected content of the queues, by queue and sequence number. */
type State = Map<number, Map<number, Entry>>;

/** The ids of the queues; some have more than 16 bits. */
export const QUEUES = [1, 2, 70000, 4000000000];

export class JournalModel {
  journal!: Journal;
  lanes = new Map<number, Lane>();
  state: State = new Map();
  /** The state after a crash: that of the last flush. */
  flushed: State = new Map();
  readonly problems: string[] = [];
  /** The delivered mark of each queue. */
  marks = new Map<number, number>();
  flushedMarks = new Map<number, number>();
  directory: string | undefined;
  readonly #options: JournalOptions;
  readonly #targets = new Targets();

  constructor(options: JournalOptions) {
    this.#options = { ...options, onProblem: (text) => this.problems.push(text) };
    for (const id of QUEUES) this.state.set(id, new Map());
    this.flushed = copy(this.state);
    this.open(options.directory);
  }

  /** Opens a directory with empty lanes. */
  open(directory: string | undefined): void {
    this.directory = directory;
    this.lanes = new Map(QUEUES.map((id) => [id, new Lane()]));
    this.journal = Journal.open({ ...this.#options, directory }, {
      lane: (id, lane) => lane === 3 ? this.lanes.get(id) : undefined,
      lanes: () => this.lanes,
      nameOf: (id) => `'queue ${id}'`,
    });
  }

  publish(body: string, queues: readonly number[], durable = true, expiry = 0): void {
    const targets = this.#targets;
    targets.clear();
    for (const id of queues) targets.add(id, 3, this.lanes.get(id)!.nextSeq, expiry);
    const { journal } = this;
    const encoded = message(body);
    if (durable) journal.append(encoded, targets);
    else journal.appendTransient(encoded, targets);
    for (const id of queues) {
      const seq = this.lanes.get(id)!.push(journal.segment, journal.offset, encoded.bodyEnd, expiry);
      this.state.get(id)!.set(seq, { body, expiry, durable, unacked: false, redelivered: false });
    }
  }

  /** Takes some messages and compares them with the published ones. */
  take(id: number, count: number): number[] {
    const lane = this.lanes.get(id)!;
    const taken: number[] = [];
    for (let i = 0; i < count; i++) {
      const seq = lane.take();
      if (seq < 0) break;
      taken.push(seq);
      assert.equal(this.bodyAt(id, seq), this.state.get(id)!.get(seq)!.body);
      this.state.get(id)!.get(seq)!.unacked = true;
    }
    const last = taken[taken.length - 1];
    if (last !== undefined) {
      this.journal.delivered(id, 3, last);
      this.marks.set(id, Math.max(last, this.marks.get(id) ?? -1));
    }
    return taken;
  }

  /** Settles a message, ready or not. */
  settle(id: number, seq: number): void {
    const lane = this.lanes.get(id)!;
    const segment = lane.segmentAt(seq);
    const size = lane.sizeAt(seq);
    assert.ok(lane.remove(seq));
    this.journal.settle(segment, id, 3, seq, size);
    this.state.get(id)!.delete(seq);
  }

  /** Publishes the body of a message to another queue, in place of that message. */
  replace(id: number, seq: number, queue: number): void {
    const lane = this.lanes.get(id)!;
    const body = this.bodyAt(id, seq)!;
    const targets = new Targets();
    targets.setOrigin(id, 3, seq);
    targets.add(queue, 3, this.lanes.get(queue)!.nextSeq, 0);
    const encoded = message(body);
    const segment = lane.segmentAt(seq);
    const durable = segment < FIRST_TRANSIENT;
    if (durable) this.journal.append(encoded, targets);
    else this.journal.appendTransient(encoded, targets);
    const added = this.lanes.get(queue)!.push(this.journal.segment, this.journal.offset, encoded.bodyEnd, 0);
    this.state.get(queue)!.set(added, { body, expiry: 0, durable, unacked: false, redelivered: false });
    assert.ok(lane.remove(seq));
    this.journal.settle(segment, id, 3, seq, encoded.bodyEnd, durable);
    this.state.get(id)!.delete(seq);
  }

  giveBack(id: number, seq: number): void {
    assert.ok(this.lanes.get(id)!.giveBack(seq));
    Object.assign(this.state.get(id)!.get(seq)!, { unacked: false, redelivered: true });
  }

  /** Returns the sequence numbers of the taken messages of a queue. */
  unacked(id: number): number[] {
    return [...this.state.get(id)!].filter(([, entry]) => entry.unacked).map(([seq]) => seq).sort((a, b) =>
      a - b
    );
  }

  flush(): void {
    const { position } = this.journal;
    this.journal.flush();
    const { syncedPosition } = this.journal;
    assert.ok(
      syncedPosition <= this.journal.position && position <= this.journal.position,
      `safe up to ${syncedPosition} of ${this.journal.position}, and ${position} before`,
    );
    this.#flushed();
  }

  #flushed(): void {
    this.flushed = copy(this.state);
    this.flushedMarks = new Map(this.marks);
  }

  /** Closes and reopens the journal: everything durable must be restored. */
  restart(): void {
    this.#flushed();
    this.journal.close();
    this.afterCrash(this.directory);
  }

  /** Opens the files of a crashed journal, in its directory or in a copy. */
  afterCrash(directory: string | undefined): void {
    this.open(directory);
    this.state = new Map();
    this.marks = new Map(this.flushedMarks);
    for (const [id, entries] of this.flushed) {
      const kept = new Map<number, Entry>();
      for (const [seq, entry] of entries) {
        if (!entry.durable) continue;
        kept.set(seq, { ...entry, unacked: false, redelivered: seq <= (this.marks.get(id) ?? -1) });
      }
      this.state.set(id, kept);
    }
    this.#flushed();
    this.check();
  }

  bodyAt(id: number, seq: number): string | undefined {
    const lane = this.lanes.get(id)!;
    const found = this.journal.read(lane.segmentAt(seq), lane.offsetAt(seq), id, seq);
    if (found === undefined) return undefined;
    const text = (bytes: Uint8Array, start: number, end: number) =>
      new TextDecoder().decode(bytes.subarray(start, end));
    assert.equal(text(found.head, found.routeStart, found.propertiesStart), "\x00\x02q1");
    assert.equal(text(found.head, found.propertiesStart, found.propertiesEnd), "\x10\x00\x04text");
    return text(found.body, found.bodyStart, found.bodyEnd);
  }

  /** Compares all queues with the model. */
  check(): void {
    for (const [id, entries] of this.state) {
      const lane = this.lanes.get(id)!;
      const seqs = [...entries.keys()].sort((a, b) => a - b);
      const live: number[] = [];
      for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) live.push(seq);
      assert.deepEqual(live, seqs, `queue ${id}`);
      for (const [seq, entry] of entries) {
        assert.equal(lane.stateAt(seq), entry.unacked ? UNACKED : READY);
        assert.equal(lane.isRedelivered(seq), entry.redelivered, `redelivered ${id}/${seq}`);
        assert.equal(lane.expiryAt(seq), entry.expiry);
        assert.equal(this.bodyAt(id, seq), entry.body);
      }
    }
    assert.deepEqual(this.problems, []);
  }
}

function copy(state: State): State {
  return new Map([...state].map(([id, entries]) => [
    id,
    new Map([...entries].map(([seq, entry]) => [seq, { ...entry }])),
  ]));
}

/** Copies the current files of a journal, as after `kill -9`, without the lock. */
export function copyFiles(from: string, to: string): void {
  fs.rmSync(to, { recursive: true, force: true });
  fs.mkdirSync(to);
  for (const name of fs.readdirSync(from)) {
    if (name.startsWith("lock")) continue;
    try {
      fs.copyFileSync(`${from}/${name}`, `${to}/${name}`);
    } catch (error) {
      // The file was deleted meanwhile.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}
