import { AwayError } from "./away.ts";
import { LimitError } from "../errors.ts";
import { type Signal, sleep } from "../transport/waiting.ts";
import type { Confirm, Held, Return } from "./held.ts";
import { Link } from "./link.ts";
import type { Bodies, Envelope } from "./message.ts";
import type { Port, PortEvents, Publishing } from "./port.ts";
import type { Address, Connection, Protocol } from "./protocol.ts";
import type { PublisherOptions } from "./publisher_options.ts";
export type { PublisherOptions } from "./publisher_options.ts";
import {
  isList,
  type Outcome,
  PENDING,
  POSTPONED,
  REFUSED,
  type Run,
  TAKEN,
  takenAtFront,
  unknown,
  unsettled,
} from "./run.ts";

/** The first and the longest pause before messages are published again, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/**
 * Publishes with confirms, with thousands of unconfirmed messages at a time. Messages that are unconfirmed when a
 * connection is lost are published again on the next one: none is lost, but some may arrive twice.
 */
export class Publisher<A extends Address, C extends Connection> {
  /** The number of messages that the broker accepted, those in `returned` included. */
  acknowledged = 0;
  /** The number of messages that the broker refused, for example because a queue is full. */
  refused = 0;
  /** Why the broker refused the first message; empty when it gave no reason. */
  refusalReason = "";
  /** The number of messages that were returned because no queue exists for them. */
  returned = 0;
  /** The reason why the first message was returned. */
  returnReason = "";
  /** The number of messages that the broker accepted before the first one that it did not accept yet. */
  takenInOrder = 0;
  /**
   * The number of messages that were published again without an outcome, after a lost connection or while their destination
   * was away: the broker may have some of them twice.
   */
  resent = 0;
  /** Why the pending messages are not accepted yet; empty when it is not known. */
  delayReason = "";
  /** Called after messages are settled. */
  onSettled: () => void = () => {};
  /** Called when the publisher fails permanently. */
  onFailure: (error: Error) => void = () => {};

  readonly #link: Link<A, C>;
  readonly #publishing: Publishing<C>;
  readonly #options: PublisherOptions<C>;
  readonly #window: number;
  readonly #windowBytes: number;
  readonly #events: PortEvents = {
    onConfirm: (tag, multiple, taken, reason) => this.#onConfirm(tag, multiple, taken, reason),
    onReturn: (code, reason, isIt) => this.#onReturn(code, reason, isIt),
    onBatchEnd: () => this.#afterConfirms(),
    onWritable: () => this.#pump(),
    onFailure: (error) => this.#link.fail(error),
  };
  #port: Port | undefined;
  #connection: C | undefined;
  /** In the order of publishing; settled runs at the front are removed. */
  #runs: Run[] = [];
  /** The next message to publish: the index of its run, and its index in the run. */
  #runAt = 0;
  #messageAt = 0;
  #nextTag = 1;
  #pending = 0;
  #pendingBytes = 0;
  /** Confirms and returns that wait for the decision of `reconsider`. */
  #held: Held | undefined;
  /** Whether the outcome of messages on this connection is final. */
  #isFinal = true;
  #pause = FIRST_PAUSE_MS;
  /** The number of messages that were accepted before the last pause. */
  #accepted = 0;
  readonly #stop = new AbortController();
  /** The number of messages that were published on a lost connection, and have no outcome. */
  #unknown = 0;
  /** The number of accepted messages in removed runs, up to the first refused message. */
  #takenRuns = 0;
  /** Whether a message of a removed run was refused. */
  #gap = false;

  constructor(
    protocol: Protocol<A, C>,
    publishing: Publishing<C>,
    addresses: readonly A[],
    options: PublisherOptions<C> = {},
  ) {
    this.#publishing = publishing;
    this.#options = options;
    this.#window = options.window ?? 10_000;
    this.#windowBytes = options.windowBytes ?? 32 * 2 ** 20;
    this.#link = new Link(protocol, addresses, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => this.#onDown(),
      onFailure: (error) => this.onFailure(error),
    });
  }

  /**
   * Connects for the first time.
   *
   * @throws the errors of `dialFirst` and `prepare`
   */
  start(): Promise<void> {
    return this.#link.start();
  }

  /** Fires when messages are settled, when the connection changes, and when the publisher fails. */
  get changed(): Signal {
    return this.#link.changed;
  }

  /** The permanent failure. */
  get failure(): Error | undefined {
    return this.#link.failure;
  }

  /** The number of messages that are neither confirmed nor refused. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Copies and publishes as many of the bodies `[from, to)` as the window has room for.
   *
   * @param envelopes one envelope for all bodies, or a list with the envelope of body number `i` at index `i`
   * @param outcome receives the outcome of the accepted bodies
   * @returns the index of the first body that was not accepted, or `to`
   * @throws {RangeError | LimitError} the message at `from` cannot be encoded: a name, its properties or its body are too
   * large
   */
  publish(
    bodies: Bodies,
    from: number,
    to: number,
    envelopes: Envelope | readonly Envelope[],
    outcome?: Outcome,
  ): number {
    if (this.failure !== undefined) return from;
    const { starts, ends } = bodies;
    let end = from;
    let bytes = 0;
    const room = this.#windowBytes - this.#pendingBytes;
    const last = Math.min(to, from + this.#window - this.#pending);
    let limit = isList(envelopes) ? 0 : this.#publishing.check(envelopes);
    while (end < last && bytes < room) {
      const size = ends[end]! - starts[end]!;
      if (isList(envelopes)) limit = this.#limitOf(envelopes[end]!, end === from);
      if (size > limit) {
        if (end > from) break;
        throw tooLarge(size, limit);
      }
      bytes += size;
      end++;
    }
    if (end === from) return from;
    const count = end - from;
    const run: Run = {
      bytes: new Uint8Array(bytes),
      starts: new Int32Array(count),
      ends: new Int32Array(count),
      envelopes: isList(envelopes) ? envelopes.slice(from, end) : envelopes,
      states: new Uint8Array(count),
      count,
      left: count,
      gone: 0,
      goneRefused: false,
      firstTag: 0,
      outcome,
    };
    for (let i = from, at = 0; i < end; i++) {
      run.bytes.set(bodies.bytes.subarray(starts[i], ends[i]), at);
      run.starts[i - from] = at;
      run.ends[i - from] = at += ends[i]! - starts[i]!;
    }
    this.#runs.push(run);
    this.#pending += count;
    this.#pendingBytes += bytes;
    this.#pump();
    return end;
  }

  /** The size limit of a body; -1 if the envelope cannot be encoded. Throws the reason if `first`. */
  #limitOf(envelope: Envelope, first: boolean): number {
    try {
      return this.#publishing.check(envelope);
    } catch (error) {
      if (first) throw error;
      return -1;
    }
  }

  /**
   * Closes the connection. The outcome of pending messages stays unknown.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 2000
   */
  close(limit?: number): Promise<void> {
    this.#stop.abort();
    return this.#link.close(limit);
  }

  /** Closes the current connection at once; the publisher reconnects. */
  abort(cause: Error): void {
    this.#connection?.abort(cause);
  }

  async #onUp(connection: C): Promise<void> {
    await this.#options.prepare?.(connection);
    this.#port = await this.#publishing.open(connection, this.#events);
    this.#connection = connection;
    this.#isFinal = this.#options.reconsider === undefined;
    this.resent += this.#unknown;
    this.#unknown = 0;
    if (this.#refuseTooLarge()) this.#afterConfirms();
    else this.#pump();
  }

  /** Refuses waiting messages that do not fit the limits of a new connection, which may be lower. */
  #refuseTooLarge(): boolean {
    let some = false;
    for (const run of this.#runs) {
      for (let i = 0; i < run.count; i++) {
        const size = run.ends[i]! - run.starts[i]!;
        const error = this.#reasonAgainst(isList(run.envelopes) ? run.envelopes[i]! : run.envelopes, size);
        if (error === undefined) continue;
        some = true;
        run.states[i] = REFUSED;
        run.left--;
        this.#pending--;
        this.#pendingBytes -= size;
        if (this.refused++ === 0) this.refusalReason = error.message;
        run.outcome?.onRefused?.(error);
      }
    }
    if (some) this.#runs = this.#runs.map(unsettled);
    return some;
  }

  #reasonAgainst(envelope: Envelope, size: number): Error | undefined {
    try {
      const limit = this.#publishing.check(envelope);
      return size > limit ? tooLarge(size, limit) : undefined;
    } catch (error) {
      return error as Error;
    }
  }

  #onDown(): void {
    this.#port = this.#connection = this.#held = undefined;
    // An error within a batch ends the connection without `onBatchEnd`.
    if (this.#runs[0]?.left === 0) this.#afterConfirms();
    this.#unknown += this.#rewind();
  }

  /** Begins again with the first unsettled message. @returns the number of published messages without an outcome */
  #rewind(): number {
    let published = 0;
    for (let at = 0; at < this.#runAt; at++) published += unknown(this.#runs[at]!, this.#runs[at]!.count);
    if (this.#messageAt > 0) published += unknown(this.#runs[this.#runAt]!, this.#messageAt);
    this.#nextTag = 1;
    this.#runs = this.#runs.map(unsettled);
    this.#runAt = this.#messageAt = 0;
    return published;
  }

  /** Holds the outcome of messages back until `reconsider` has decided whether it is final. */
  async #reconsider(outcome: "returned" | "refused"): Promise<void> {
    const held: Held = this.#held = { outcomes: [], returned: new Set() };
    // A queue that is full accepts a few messages each time.
    if (this.acknowledged - this.#accepted >= this.#pending) this.#pause = FIRST_PAUSE_MS;
    this.#accepted = this.acknowledged;
    const connection = this.#connection!;
    const port = this.#port!;
    this.#port = undefined;
    try {
      const away = await this.#options.reconsider!(connection, outcome);
      if (this.#held !== held) return; // The connection is lost, and all messages are published on the next one.
      if (away === undefined) {
        this.#isFinal = true;
        this.#held = undefined;
        this.#port = port;
        for (const outcome of held.outcomes) {
          if ("tag" in outcome) this.#settle(outcome);
          else this.#countReturn(outcome);
        }
        return this.#afterConfirms();
      }
      this.#await(away);
      await port.close?.();
      while (!await this.#isReady(connection) && this.#held === held);
      if (this.#held !== held) return;
      this.#held = undefined;
      if (outcome === "refused") this.#postpone(held);
      this.resent += this.#rewind();
      const next = await this.#publishing.open(connection, this.#events);
      if (this.#connection !== connection) return;
      this.#port = next;
      this.#pump();
    } catch (error) {
      if (this.#connection === connection) connection.abort(error as Error);
    }
  }

  /** Settles the messages that the broker accepted among refused ones. The confirm of a returned message says nothing. */
  #postpone({ outcomes }: Held): void {
    if (!outcomes.every((outcome) => "tag" in outcome)) return;
    const { delayReason } = this;
    for (const outcome of outcomes) this.#settle(outcome, POSTPONED);
    this.delayReason = delayReason;
    this.#afterConfirms();
  }

  /** Pauses, and looks whether messages can be published again. */
  async #isReady(connection: C): Promise<boolean> {
    await sleep(this.#pause * (0.5 + Math.random() / 2), this.#stop.signal);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    try {
      await this.#options.prepare?.(connection);
      return true;
    } catch (error) {
      if (!(error instanceof AwayError)) throw error;
      this.#await(error);
      return false;
    }
  }

  #await(error: AwayError): void {
    this.delayReason = error.message;
    this.#options.onEvent?.({ type: "away", error });
  }

  /** Encodes messages until the port is full. */
  #pump(): void {
    const port = this.#port;
    if (port === undefined) return;
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

  /** Counts a settled run. */
  #advance(run: Run): void {
    run.outcome?.onSettled(!run.goneRefused && takenAtFront(run) === run.count);
    if (this.#gap) return;
    const taken = takenAtFront(run);
    this.#gap = taken < run.count || run.goneRefused;
    if (!run.goneRefused) this.#takenRuns += taken + (this.#gap ? 0 : run.gone);
  }

  #onConfirm(tag: number, multiple: boolean, taken: boolean, reason = ""): void {
    if (this.#held === undefined && (taken || this.#isFinal)) {
      return this.#settle({ tag, multiple, taken, reason });
    }
    if (this.#held === undefined) this.#reconsider("refused");
    this.#held!.outcomes.push({ tag, multiple, taken, reason });
  }

  /** @param refused the state of messages that were not taken */
  #settle({ tag, multiple, taken, reason }: Confirm, refused = REFUSED): void {
    let settled = 0;
    const holder = tag < this.#nextTag ? this.#holderOf(tag) : -1;
    if (holder < 0) return;
    for (let at = multiple ? 0 : holder; at <= holder; at++) {
      const run = this.#runs[at]!;
      const last = Math.min(tag - run.firstTag, run.count - 1);
      for (let i = multiple ? 0 : last; i <= last; i++) {
        if (run.states[i] !== PENDING) continue;
        run.states[i] = taken ? TAKEN : refused;
        if (!taken && refused === POSTPONED) continue;
        run.left--;
        this.#pendingBytes -= run.ends[i]! - run.starts[i]!;
        settled++;
      }
    }
    this.#pending -= settled;
    if (taken) {
      this.acknowledged += settled;
      this.delayReason = "";
    } else if (refused === REFUSED) {
      if (this.refused === 0) this.refusalReason = reason;
      this.refused += settled;
    }
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

  #onReturn(code: number, reason: string, isIt: (run: Run) => boolean): void {
    if (this.#held === undefined && this.#isFinal) {
      return this.#countReturn({ code, reason, run: this.#runs.find(isIt) });
    }
    if (this.#held === undefined) this.#reconsider("returned");
    const { outcomes, returned } = this.#held!;
    const run = this.#runs.find((run) => !returned.has(run) && isIt(run));
    if (run !== undefined) returned.add(run);
    outcomes.push({ code, reason, run });
  }

  #countReturn({ code, reason, run }: Return): void {
    this.returned++;
    this.returnReason ||= reason;
    run?.outcome?.onReturn(code, reason);
  }

  #afterConfirms(): void {
    let done = 0;
    while (done < this.#runs.length && this.#runs[done]!.left === 0) this.#advance(this.#runs[done++]!);
    if (done > 0) {
      this.#runs.splice(0, done);
      this.#runAt -= done;
    }
    this.takenInOrder = this.#takenRuns;
    const front = this.#runs[0];
    if (front !== undefined && !this.#gap) this.takenInOrder += takenAtFront(front);
    this.onSettled();
    this.#pump();
    this.changed.fire();
  }
}

function tooLarge(size: number, limit: number): LimitError {
  return new LimitError(
    `Cannot publish a message of ${size} bytes: the limit of this connection is ${limit} bytes`,
  );
}
