import { AmqpError } from "../amqp_error.ts";
import type { Content } from "./content.ts";
import type { AmqpConnection } from "./connection.ts";
import type { Channel } from "./channel.ts";
import { checkEnvelope, type Envelope, propertiesLimit, tooLarge } from "./envelope.ts";
import { endsLink } from "./errors.ts";
import {
  isList,
  isReturned,
  type Outcome,
  PENDING,
  REFUSED,
  type Run,
  TAKEN,
  takenAtFront,
  unsettled,
} from "./publisher_run.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { BrokerAddress } from "./url.ts";

export type { Envelope } from "./envelope.ts";
export type { Outcome } from "./publisher_run.ts";

/** Bodies in one buffer: body number `i` is `bytes[starts[i], ends[i])`. */
export interface Bodies {
  readonly bytes: Uint8Array;
  readonly starts: ArrayLike<number>;
  readonly ends: ArrayLike<number>;
}

/** Options of a publisher. */
export interface PublisherOptions extends LinkOptions {
  /** The maximum number of unconfirmed messages. Default: 10000 */
  readonly window?: number | undefined;
  /** The maximum size of all unconfirmed messages, in bytes; the last message may exceed it. Default: 32 MiB */
  readonly windowBytes?: number | undefined;
  /** Prepares each connection, before the first message is published on it. */
  readonly prepare?: (connection: AmqpConnection) => Promise<void>;
}

/** The largest frame that the client offers, in bytes: for messages accepted before the first connection. */
const FRAME_MAX = 131072;

/**
 * Publishes with confirms, with thousands of unconfirmed messages at a time. Messages that are unconfirmed when a
 * connection is lost are published again on the next one: none is lost, but some may arrive twice. All messages are
 * mandatory.
 */
export class Publisher {
  /** The number of messages that the broker accepted, those in `returned` included. */
  acknowledged = 0;
  /** The number of messages that the broker refused, for example because a queue is full. */
  refused = 0;
  /** Why the broker was blocked when it refused the first message; empty when it was not blocked. */
  refusalReason = "";
  /** The number of messages that were returned because no queue exists for them. */
  returned = 0;
  /** The reason why the first message was returned. */
  returnReason = "";
  /** The number of messages that the broker accepted before the first one that it did not accept yet. */
  takenInOrder = 0;
  /** The largest frame of the current or last connection, in bytes. */
  frameMax = FRAME_MAX;
  /** Called after messages are settled. */
  onSettled: () => void = () => {};
  /** Called when the publisher fails permanently. */
  onFailure: (error: Error) => void = () => {};

  readonly #link: Link;
  readonly #options: PublisherOptions;
  readonly #window: number;
  readonly #windowBytes: number;
  #channel: Channel | undefined;
  #connection: AmqpConnection | undefined;
  /** In the order of publishing; settled runs at the front are removed. */
  #runs: Run[] = [];
  /** The next message to publish: the index of its run, and its index in the run. */
  #runAt = 0;
  #messageAt = 0;
  #nextTag = 1;
  #pending = 0;
  #pendingBytes = 0;
  /** The number of accepted messages in removed runs, up to the first refused message. */
  #takenRuns = 0;
  /** Whether a message of a removed run was refused. */
  #gap = false;

  constructor(brokers: readonly BrokerAddress[], options: PublisherOptions = {}) {
    this.#options = options;
    this.#window = options.window ?? 10_000;
    this.#windowBytes = options.windowBytes ?? 32 * 2 ** 20;
    this.#link = new Link(brokers, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => this.#onDown(),
      onFailure: (error) => this.onFailure(error),
    });
  }

  /**
   * Connects for the first time.
   *
   * @throws the errors of `connectBroker` and `prepare`
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
   * @throws {RangeError | LimitError} the message at `from` cannot be encoded: a name or its properties are too large
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
    if (!isList(envelopes)) checkEnvelope(envelopes, this.frameMax);
    while (end < last && bytes < room) {
      if (isList(envelopes) && !this.#fits(envelopes[end]!, end === from)) break;
      bytes += ends[end]! - starts[end]!;
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

  /** Whether a message can be encoded; throws the reason if `first`. */
  #fits(envelope: Envelope, first: boolean): boolean {
    try {
      checkEnvelope(envelope, this.frameMax);
      return true;
    } catch (error) {
      if (first) throw error;
      return false;
    }
  }

  /**
   * Closes the connection. The outcome of pending messages stays unknown.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 2000
   */
  close(limit?: number): Promise<void> {
    return this.#link.close(limit);
  }

  /** Closes the current connection at once; the publisher reconnects. */
  abort(cause: Error): void {
    this.#connection?.abort(cause);
  }

  async #onUp(connection: AmqpConnection): Promise<void> {
    await this.#options.prepare?.(connection);
    const channel = await connection.open({
      onConfirm: (tag, multiple, taken) => this.#onConfirm(tag, multiple, taken),
      onReturn: (code, text, exchange, routingKey, content) =>
        this.#onReturn(code, text, exchange, routingKey, content),
      onBatchEnd: () => this.#afterConfirms(),
    });
    await channel.call("confirm.select", {}, "confirm.select-ok");
    channel.closed.then((error) => this.#onChannelEnd(connection, error));
    connection.events.onWritable = () => this.#pump();
    this.#connection = connection;
    this.#channel = channel;
    this.frameMax = connection.encoder.frameMax;
    this.#nextTag = 1;
    this.#runAt = this.#messageAt = 0;
    if (this.#refuseTooLarge()) this.#afterConfirms();
    else this.#pump();
  }

  /** Refuses waiting messages that do not fit the frames of a new connection, which may be smaller. */
  #refuseTooLarge(): boolean {
    const limit = propertiesLimit(this.frameMax);
    let some = false;
    for (const run of this.#runs) {
      for (let i = 0; i < run.count; i++) {
        const { properties } = isList(run.envelopes) ? run.envelopes[i]! : run.envelopes;
        if (properties.length <= limit) continue;
        some = true;
        run.states[i] = REFUSED;
        run.left--;
        this.#pending--;
        this.#pendingBytes -= run.ends[i]! - run.starts[i]!;
        const error = tooLarge(properties.length, this.frameMax);
        if (this.refused++ === 0) this.refusalReason = error.message;
        run.outcome?.onRefused?.(error);
      }
    }
    if (some) this.#runs = this.#runs.map(unsettled);
    return some;
  }

  #onDown(): void {
    this.#channel = this.#connection = undefined;
    this.#runs = this.#runs.map(unsettled);
    this.#runAt = this.#messageAt = 0;
  }

  /** The broker would close the channel again for the same reason, so the link fails. */
  #onChannelEnd(connection: AmqpConnection, error: Error | undefined): void {
    if (error instanceof AmqpError && endsLink(error)) this.#link.fail(error);
    else if (error !== undefined) connection.abort(error);
  }

  /** Encodes messages until the output buffer of the connection is full. */
  #pump(): void {
    const connection = this.#connection;
    const channel = this.#channel;
    if (connection === undefined || channel === undefined || channel.over) return;
    const { encoder } = connection;
    while (this.#runAt < this.#runs.length && !connection.full) {
      const run = this.#runs[this.#runAt]!;
      if (this.#messageAt === 0) run.firstTag = this.#nextTag;
      const { bytes, starts, ends, envelopes, count } = run;
      const list = isList(envelopes) ? envelopes : undefined;
      let at = this.#messageAt;
      for (; at < count && !connection.full; at++) {
        const { exchange, routingKey, properties } = list === undefined ? envelopes as Envelope : list[at]!;
        encoder.publish(channel.id, exchange, routingKey, true, properties, bytes, starts[at], ends[at]);
        this.#nextTag++;
      }
      this.#messageAt = at;
      if (at === count) {
        this.#runAt++;
        this.#messageAt = 0;
      }
    }
    connection.flush();
  }

  /** Counts a settled run. */
  #advance(run: Run): void {
    run.outcome?.onSettled(!run.goneRefused && takenAtFront(run) === run.count);
    if (this.#gap) return;
    const taken = takenAtFront(run);
    this.#gap = taken < run.count || run.goneRefused;
    if (!run.goneRefused) this.#takenRuns += taken + (this.#gap ? 0 : run.gone);
  }

  #onConfirm(tag: number, multiple: boolean, taken: boolean): void {
    let settled = 0;
    const holder = this.#holderOf(tag);
    for (let at = multiple ? 0 : holder; at <= holder; at++) {
      const run = this.#runs[at]!;
      const last = Math.min(tag - run.firstTag, run.count - 1);
      for (let i = multiple ? 0 : last; i <= last; i++) {
        if (run.states[i] !== PENDING) continue;
        run.states[i] = taken ? TAKEN : REFUSED;
        run.left--;
        this.#pendingBytes -= run.ends[i]! - run.starts[i]!;
        settled++;
      }
    }
    this.#pending -= settled;
    if (taken) this.acknowledged += settled;
    else {
      if (this.refused === 0) this.refusalReason = this.#connection?.blocked ?? "";
      this.refused += settled;
    }
  }

  /** The index of the run that contains a delivery tag; -1 for an unknown tag. */
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

  #onReturn(code: number, text: string, exchange: string, routingKey: string, content: Content): void {
    this.returned++;
    const reason = exchange === ""
      ? `queue '${routingKey}' does not exist (${text})`
      : `no queue is bound to exchange '${exchange}' with the routing key '${routingKey}' (${text})`;
    this.returnReason ||= reason;
    this.#runs.find((run) => isReturned(run, exchange, routingKey, content))?.outcome?.onReturn(code, reason);
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
