import type { Port } from "./port.ts";
import {
  envelopeOf,
  isList,
  isSettled,
  KEPT,
  PENDING,
  pendingOf,
  REFUSED,
  type Run,
  TAKEN,
  takenAtFront,
  unsettled,
} from "./run.ts";
import type { Envelope } from "./message.ts";

/** Whether a returned message may be the one with this index in a run: see `PortEvents.onReturn`. */
export type IsReturned = (run: Run, index: number, exact: boolean) => boolean;

/** The messages of a publisher until they are settled, and their outcomes. */
export class Ledger {
  /** The number of messages that the broker accepted, the returned ones included. */
  acknowledged = 0;
  /** The number of messages that the broker refused. */
  refused = 0;
  /** Why the first one was refused; empty when there was no reason. */
  refusalReason = "";
  /** The number of messages that the broker accepted before the first one that it did not accept yet. */
  takenInOrder = 0;
  /** The number of messages that were published again without an outcome: the broker may have some of them twice. */
  resent = 0;
  /** The number of messages that are not settled, and the size of their bodies, in bytes. */
  pending = 0;
  pendingBytes = 0;

  /** In the order of publishing; settled runs at the front are removed. */
  #runs: Run[] = [];
  /** The next message to publish: the index of its run, and its index in the run. */
  #runAt = 0;
  #messageAt = 0;
  #nextTag = 1;
  /** The number of messages that were published before `rewind`, and have no outcome. */
  #unknown = 0;
  /** The number of accepted messages in removed runs, up to the first refused message. */
  #takenRuns = 0;
  /** Whether a message of a removed run was refused. */
  #gap = false;

  /** Adds messages that are to be published. */
  add(run: Run): void {
    this.#runs.push(run);
    this.pending += run.count;
    this.pendingBytes += run.bytes.length;
  }

  /** Encodes messages until the port is full. */
  publishTo(port: Port): void {
    this.resent += this.#unknown;
    this.#unknown = 0;
    while (this.#runAt < this.#runs.length && !port.full) {
      const run = this.#runs[this.#runAt]!;
      if (this.#messageAt === 0) run.firstTag = this.#nextTag;
      const { bytes, starts, ends, envelopes, count } = run;
      const list = isList(envelopes) ? envelopes : undefined;
      let at = this.#messageAt;
      for (; at < count && !port.full; at++) {
        const envelope = list === undefined ? envelopes as Envelope : list[at]!;
        port.publish(this.#nextTag++, envelope, bytes, starts[at]!, ends[at]!);
      }
      this.#messageAt = at;
      if (at === count) {
        this.#runAt++;
        this.#messageAt = 0;
      }
    }
    port.flush();
  }

  /** Begins again with the first unsettled message, and with the first tag. */
  rewind(): void {
    for (let at = 0; at < this.#runAt; at++) this.#unknown += pendingOf(this.#runs[at]!, Infinity);
    if (this.#messageAt > 0) this.#unknown += pendingOf(this.#runs[this.#runAt]!, this.#messageAt);
    this.#nextTag = 1;
    this.#runs = this.#runs.map(unsettled);
    this.#runAt = this.#messageAt = 0;
  }

  /**
   * Settles messages.
   *
   * @param multiple whether all messages up to the tag are settled
   * @param except messages with this state are not settled
   */
  settle(tag: number, multiple: boolean, taken: boolean, reason: string, except?: number): void {
    const settled = this.mark(tag, multiple, taken ? TAKEN : REFUSED, except);
    if (taken) this.acknowledged += settled;
    else {
      if (this.refused === 0) this.refusalReason = reason;
      this.refused += settled;
    }
  }

  /** Sets the state of unsettled messages: see `settle`. @returns the number of messages */
  mark(tag: number, multiple: boolean, state: number, except?: number): number {
    let marked = 0;
    const holder = tag < this.#nextTag ? this.#holderOf(tag) : -1;
    for (let at = multiple ? 0 : holder; at >= 0 && at <= holder; at++) {
      const run = this.#runs[at]!;
      const last = Math.min(tag - run.firstTag, run.count - 1);
      for (let i = multiple ? 0 : last; i <= last; i++) {
        const now = run.states[i]!;
        if (isSettled(now) || now === except) continue;
        run.states[i] = state;
        marked++;
        if (isSettled(state)) this.#release(run, i);
      }
    }
    return marked;
  }

  /**
   * Finds a returned message, and marks it as kept.
   *
   * @param needsOutcome whether only runs with an outcome matter
   * @returns its run
   */
  keepReturned(isIt: IsReturned, needsOutcome: boolean): Run | undefined {
    return this.#keepReturned(isIt, needsOutcome, true) ?? this.#keepReturned(isIt, needsOutcome, false);
  }

  #keepReturned(isIt: IsReturned, needsOutcome: boolean, exact: boolean): Run | undefined {
    for (const run of this.#runs) {
      if (needsOutcome && run.outcome === undefined) continue;
      for (let i = 0; i < run.count; i++) {
        if (run.states[i] !== PENDING || !isIt(run, i, exact)) continue;
        run.states[i] = KEPT;
        return run;
      }
    }
    return undefined;
  }

  /** The envelope of a published message; undefined for an unknown tag. */
  envelopeAt(tag: number): Envelope | undefined {
    const run = this.#runs[this.#holderOf(tag)];
    return run && envelopeOf(run, Math.min(tag - run.firstTag, run.count - 1));
  }

  /**
   * Refuses waiting messages that do not fit the limits of a new connection, which may be lower.
   *
   * @param against why a message with this envelope and size cannot be published
   * @returns whether there are any
   */
  refuse(against: (envelope: Envelope, size: number) => Error | undefined): boolean {
    let some = false;
    for (const run of this.#runs) {
      for (let i = 0; i < run.count; i++) {
        const error = against(envelopeOf(run, i), run.ends[i]! - run.starts[i]!);
        if (error === undefined) continue;
        some = true;
        run.states[i] = REFUSED;
        this.#release(run, i);
        if (this.refused++ === 0) this.refusalReason = error.message;
        run.outcome?.onRefused?.(error);
      }
    }
    if (some) this.#runs = this.#runs.map(unsettled);
    return some;
  }

  /** Whether the first run is settled, and not removed yet. */
  get isFrontSettled(): boolean {
    return this.#runs[0]?.left === 0;
  }

  /** Reports and removes settled runs at the front. */
  sweep(): void {
    let done = 0;
    while (done < this.#runs.length && this.#runs[done]!.left === 0) this.#advance(this.#runs[done++]!);
    if (done > 0) {
      this.#runs.splice(0, done);
      // Runs that `refuse` settled were not published on this connection.
      this.#runAt = Math.max(0, this.#runAt - done);
    }
    this.takenInOrder = this.#takenRuns;
    const front = this.#runs[0];
    // A message that a new connection refused may have been before the others.
    if (front !== undefined && !this.#gap && !front.goneRefused) this.takenInOrder += takenAtFront(front);
  }

  /** A message is settled. */
  #release(run: Run, index: number): void {
    run.left--;
    this.pending--;
    this.pendingBytes -= run.ends[index]! - run.starts[index]!;
  }

  /** Counts a settled run. */
  #advance(run: Run): void {
    run.outcome?.onSettled(!run.goneRefused && takenAtFront(run) === run.count);
    if (this.#gap) return;
    const taken = takenAtFront(run);
    this.#gap = taken < run.count || run.goneRefused;
    if (!run.goneRefused) this.#takenRuns += taken + (this.#gap ? 0 : run.gone);
  }

  /** The index of the run that contains a tag; -1 for an unknown tag. */
  #holderOf(tag: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { firstTag } = this.#runs[middle]!;
      if (firstTag > 0 && firstTag <= tag) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
