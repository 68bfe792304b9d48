import { AmqpError } from "../amqp_error.ts";
import type { AmqpConnection } from "./connection.ts";
import type { Channel } from "./channel.ts";
import { endsLink } from "./errors.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Signal } from "../../transport/waiting.ts";
import type { BrokerAddress } from "./url.ts";

/** Where a message goes, and what goes with it. */
export interface Envelope {
  readonly exchange: string;
  readonly routingKey: string;
  /** Encoded by `encodeProperties`, or as they came. */
  readonly properties: Uint8Array;
}

/** Bodies in one buffer: number `i` is `bytes[starts[i], ends[i])`. */
export interface Bodies {
  readonly bytes: Uint8Array;
  readonly starts: ArrayLike<number>;
  readonly ends: ArrayLike<number>;
}

/** What may be under way. */
export interface PublisherOptions extends LinkOptions {
  /** How many messages may wait for their confirm. 10 000 unless told. */
  readonly window?: number | undefined;
  /** The same in bytes; a message that is begun may go over it. 32 MiB unless told. */
  readonly windowBytes?: number | undefined;
  /** Prepares each connection, before anything is published. */
  readonly prepare?: (connection: AmqpConnection) => Promise<void>;
}

const PENDING = 0;
const TAKEN = 1;
const REFUSED = 2;

/** Messages that were accepted together, until all of them are settled. */
interface Run {
  /** The bodies, as copies. */
  bytes: Uint8Array;
  starts: Int32Array;
  ends: Int32Array;
  /** One for all, or one for each. */
  envelopes: Envelope | readonly Envelope[];
  /** PENDING, TAKEN or REFUSED, for each. */
  states: Uint8Array;
  count: number;
  left: number;
  /** How many more there were that were settled before a connection broke. */
  gone: number;
  /** Whether one of those was refused. */
  goneRefused: boolean;
  /** The delivery tag of the first one on the channel of now. */
  firstTag: number;
}

/**
 * Publishes with confirms, thousands under way at a time. What was not confirmed when a connection broke is published
 * again on the next one, so a message may come twice but none is lost. All messages are mandatory.
 */
export class Publisher {
  /** Taken by the broker, and routed to a queue unless they are counted in `returned`. */
  acknowledged = 0;
  /** Refused by the broker, by a full queue for instance. */
  refused = 0;
  /** Why the broker takes no messages, as it said when it refused the first one; empty when it did not say. */
  refusalReason = "";
  /** Came back because no queue was there for them. */
  returned = 0;
  /** What the broker said to the first one that came back. */
  returnReason = "";
  /** How many messages, from the first one on and up to the first one that was not, were taken by the broker. */
  takenInOrder = 0;
  /** Called whenever messages were settled. */
  onSettled: () => void = () => {};

  readonly #link: Link;
  readonly #options: PublisherOptions;
  readonly #window: number;
  readonly #windowBytes: number;
  #channel: Channel | undefined;
  #connection: AmqpConnection | undefined;
  /** In the order of publishing; what was settled at the front is gone. */
  #runs: Run[] = [];
  /** Where to go on publishing: the run, and the message in it. */
  #runAt = 0;
  #messageAt = 0;
  #nextTag = 1;
  #pending = 0;
  #pendingBytes = 0;
  /** How many messages were taken of the runs that are over, up to the first one that was refused. */
  #takenRuns = 0;
  /** Whether there was such a one. */
  #gap = false;

  constructor(brokers: readonly BrokerAddress[], options: PublisherOptions = {}) {
    this.#options = options;
    this.#window = options.window ?? 10_000;
    this.#windowBytes = options.windowBytes ?? 32 * 2 ** 20;
    this.#link = new Link(brokers, options, {
      onUp: (connection) => this.#onUp(connection),
      onDown: () => this.#onDown(),
    });
  }

  /** @throws what connecting, or `prepare`, throws */
  start(): Promise<void> {
    return this.#link.start();
  }

  /** Fires when there may be room again, when messages were settled, or when it failed. */
  get changed(): Signal {
    return this.#link.changed;
  }

  /** Why it cannot go on. */
  get failure(): Error | undefined {
    return this.#link.failure;
  }

  /** How many messages are neither confirmed nor refused. */
  get pending(): number {
    return this.#pending;
  }

  /**
   * Takes as many of the bodies `[from, to)` as the window has room for, as copies, and publishes them.
   *
   * @param envelopes one for all of them, or a list with one for body number `i` at `i`
   * @returns the first one that was not taken, or `to`
   */
  publish(bodies: Bodies, from: number, to: number, envelopes: Envelope | readonly Envelope[]): number {
    if (this.failure !== undefined) return from;
    const { starts, ends } = bodies;
    let end = from;
    let bytes = 0;
    const room = this.#windowBytes - this.#pendingBytes;
    const last = Math.min(to, from + this.#window - this.#pending);
    while (end < last && bytes < room) {
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

  /** Ends the link; what is pending then was not delivered for all we know. */
  close(): Promise<void> {
    return this.#link.close();
  }

  /** Ends it at once, as a lost connection that comes back. For tests and emergencies. */
  abort(cause: Error): void {
    this.#connection?.abort(cause);
  }

  async #onUp(connection: AmqpConnection): Promise<void> {
    await this.#options.prepare?.(connection);
    const channel = await connection.open({
      onConfirm: (tag, multiple, taken) => this.#onConfirm(tag, multiple, taken),
      onReturn: (_code, text, exchange, routingKey) => this.#onReturn(text, exchange, routingKey),
      onBatchEnd: () => this.#afterConfirms(),
    });
    await channel.call("confirm.select", {}, "confirm.select-ok");
    channel.closed.then((error) => this.#onChannelEnd(connection, error));
    connection.events.onWritable = () => this.#pump();
    this.#connection = connection;
    this.#channel = channel;
    this.#nextTag = 1;
    this.#runAt = this.#messageAt = 0;
    this.#pump();
  }

  #onDown(): void {
    this.#channel = this.#connection = undefined;
    this.#runs = this.#runs.map(unsettled);
    this.#runAt = this.#messageAt = 0;
  }

  /** A channel that the broker closed will be closed again: the error names what is wrong. */
  #onChannelEnd(connection: AmqpConnection, error: Error | undefined): void {
    if (error instanceof AmqpError && endsLink(error)) this.#link.fail(error);
    else if (error !== undefined) connection.abort(error);
  }

  /** Encodes what is to be published, until so much waits that the system has to take some first. */
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

  /** Counts a run that is over. */
  #advance(run: Run): void {
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

  /** The index of the run that a delivery tag belongs to; -1 when it is none of ours. */
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

  #onReturn(text: string, exchange: string, routingKey: string): void {
    this.returned++;
    this.returnReason ||= exchange === ""
      ? `there is no queue '${routingKey}' (${text})`
      : `no queue is bound to exchange '${exchange}' for the routing key '${routingKey}' (${text})`;
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

/** How many messages from the first one on were taken. */
function takenAtFront({ states, count }: Run): number {
  let taken = 0;
  while (taken < count && states[taken] === TAKEN) taken++;
  return taken;
}

/** A run with only those messages that have to be published again. */
function unsettled(run: Run): Run {
  run.firstTag = 0;
  if (run.left === run.count) return run;
  const { starts, ends, envelopes } = run;
  const kept = Array.from(run.states.keys()).filter((i) => run.states[i] === PENDING);
  return {
    ...run,
    starts: Int32Array.from(kept, (i) => starts[i]!),
    ends: Int32Array.from(kept, (i) => ends[i]!),
    envelopes: isList(envelopes) ? kept.map((i) => envelopes[i]!) : envelopes,
    states: new Uint8Array(kept.length),
    count: kept.length,
    left: kept.length,
    gone: run.gone + run.count - kept.length,
    goneRefused: run.goneRefused || run.states.includes(REFUSED),
  };
}

function isList(envelopes: Envelope | readonly Envelope[]): envelopes is readonly Envelope[] {
  return Array.isArray(envelopes);
}
