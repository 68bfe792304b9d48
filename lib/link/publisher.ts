import { LimitError } from "../errors.ts";
import type { Signal } from "../transport/waiting.ts";
import { type IsReturned, Ledger } from "./ledger.ts";
import { Link } from "./link.ts";
import type { Bodies, Envelope } from "./message.ts";
import type { Port, PortEvents, Publishing } from "./port.ts";
import type { Address, Connection, Protocol } from "./protocol.ts";
import type { PublisherOptions, Rejection } from "./publisher_options.ts";
import { type HeldOutcome, Retry } from "./retry.ts";
export type { PublisherOptions, Rejection } from "./publisher_options.ts";
import { envelopeOf, isList, KEPT, type Outcome, type Run } from "./run.ts";

/**
 * Publishes with confirms, with thousands of unconfirmed messages at a time. Messages that are unconfirmed when a
 * connection is lost are published again on the next one: none is lost, but some may arrive twice.
 */
export class Publisher<A extends Address, C extends Connection> {
  /** The number of messages that were returned because no queue exists for them. */
  returned = 0;
  /** The reason why the first message was returned. */
  returnReason = "";
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
  readonly #ledger = new Ledger();
  #port: Port | undefined;
  #connection: C | undefined;
  readonly #retry: Retry<C>;
  /** Confirms and returns that wait for the decision of `reconsider`. */
  #held: HeldOutcome[] | undefined;

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
    this.#retry = new Retry(options, (error) => {
      this.delayReason = error.message;
      options.onEvent?.({ type: "away", error });
    });
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

  /** The number of messages that the broker accepted, those in `returned` included. */
  get acknowledged(): number {
    return this.#ledger.acknowledged;
  }

  /** The number of messages that the broker refused, for example because a queue is full. */
  get refused(): number {
    return this.#ledger.refused;
  }

  /** Why the broker refused the first message; empty when it gave no reason. */
  get refusalReason(): string {
    return this.#ledger.refusalReason;
  }

  /** The number of messages that the broker accepted before the first one that it did not accept yet. */
  get takenInOrder(): number {
    return this.#ledger.takenInOrder;
  }

  /**
   * The number of messages that were published again without an outcome, after a lost connection or while their destination
   * was away: the broker may have some of them twice.
   */
  get resent(): number {
    return this.#ledger.resent;
  }

  /** The number of messages that are neither confirmed nor refused. */
  get pending(): number {
    return this.#ledger.pending;
  }

  /** The size of the bodies of these messages, in bytes. */
  get pendingBytes(): number {
    return this.#ledger.pendingBytes;
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
    const room = this.#windowBytes - this.#ledger.pendingBytes;
    const last = Math.min(to, from + this.#window - this.pending);
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
    this.#ledger.add(run);
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
    this.#retry.stop();
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
    this.#retry.forget();
    this.#ledger.rewind();
    if (this.#ledger.refuse((envelope, size) => this.#reasonAgainst(envelope, size))) this.#afterConfirms();
    else this.#pump();
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
    if (this.#ledger.isFrontSettled) this.#afterConfirms();
    this.#ledger.rewind();
  }

  /** Holds outcomes back until it is decided whether they are final. */
  async #hold(rejection: Rejection): Promise<void> {
    const held: HeldOutcome[] = this.#held = [];
    const connection = this.#connection!;
    const port = this.#port!;
    this.#port = undefined;
    this.#retry.measure(this.acknowledged, this.pending);
    // Otherwise the connection is lost, and all unsettled messages are published on the next one.
    const isCurrent = () => this.#held === held;
    try {
      const waits = await this.#retry.mustWait(connection, rejection);
      if (!isCurrent()) return;
      if (!waits) return this.#accept(held, port);
      await port.close?.();
      if (!isCurrent()) return;
      this.#keep(held);
      this.#afterConfirms();
      while (isCurrent() && !await this.#retry.isReady(connection));
      if (!isCurrent()) return;
      this.#ledger.rewind();
      const next = await this.#publishing.open(connection, this.#events);
      if (!isCurrent()) return;
      this.#held = undefined;
      this.#port = next;
      this.#pump();
    } catch (error) {
      if (this.#connection === connection) connection.abort(error as Error);
    }
  }

  /** Applies final outcomes. */
  #accept(held: readonly HeldOutcome[], port: Port): void {
    this.#held = undefined;
    this.#port = port;
    for (const outcome of held) {
      if (outcome.type === "return") this.#countReturn(outcome.code, outcome.reason, outcome.run);
      else this.#settle(outcome.tag, outcome.multiple, outcome.taken, outcome.reason);
    }
    this.#afterConfirms();
  }

  /** Settles the accepted messages, but not those that were returned or refused. */
  #keep(held: readonly HeldOutcome[]): void {
    // If a returned message was not found, it may be any of the accepted ones.
    if (held.some((outcome) => outcome.type === "return" && outcome.run === undefined)) return;
    for (const outcome of held) {
      if (outcome.type === "return") continue;
      const { tag, multiple, taken } = outcome;
      if (taken) this.#ledger.settle(tag, multiple, true, "", KEPT);
      else this.#ledger.mark(tag, multiple, KEPT);
    }
  }

  /** Encodes messages until the port is full. */
  #pump(): void {
    if (this.#port !== undefined) this.#ledger.publishTo(this.#port);
  }

  #onConfirm(tag: number, multiple: boolean, taken: boolean, reason = ""): void {
    if (this.#held === undefined) {
      if (taken || this.#retry.isFinal("refused")) return this.#settle(tag, multiple, taken, reason);
      this.#hold({ outcome: "refused", envelope: this.#ledger.envelopeAt(tag) });
    }
    this.#held!.push({ type: "confirm", tag, multiple, taken, reason });
  }

  #settle(tag: number, multiple: boolean, taken: boolean, reason: string): void {
    this.#ledger.settle(tag, multiple, taken, reason);
    if (taken) this.delayReason = "";
  }

  #onReturn(code: number, reason: string, isIt: IsReturned): void {
    const isFinal = this.#held === undefined && this.#retry.isFinal("returned");
    const run = this.#ledger.keepReturned(isIt, isFinal);
    if (isFinal) return this.#countReturn(code, reason, run);
    const envelope = run && envelopeOf(run, run.states.lastIndexOf(KEPT));
    if (this.#held === undefined) this.#hold({ outcome: "returned", envelope });
    this.#held!.push({ type: "return", code, reason, run });
  }

  #countReturn(code: number, reason: string, run: Run | undefined): void {
    this.returned++;
    this.returnReason ||= reason;
    run?.outcome?.onReturn(code, reason);
  }

  #afterConfirms(): void {
    this.#ledger.sweep();
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
