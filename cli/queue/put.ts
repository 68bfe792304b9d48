import type { Bodies, Envelope, Publisher } from "../../lib/amqp/client/publisher.ts";
import { messageOf } from "../../lib/errors.ts";
import { isTerminal } from "../../lib/transport/runtime/stdout.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { EXIT, exitCodeOf, TimeoutError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { messages, unsentWait } from "../app/tally.ts";
import { Input, type Source } from "../io/input.ts";
import { Pacer, type PacingOptions } from "../io/pacer.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import { RecordError } from "../records/json.ts";
import { farewell } from "./target.ts";
import { type Defaults, envelopeOf, parseRecord } from "./records.ts";

/** The values of the options of `queue put`; times are in milliseconds. */
export interface PutOptions extends PacingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly linger: number | undefined;
}

/** Messages that are ready to be published. */
export interface Packed {
  readonly bodies: Bodies;
  readonly count: number;
  readonly envelopes: Envelope | readonly Envelope[];
  /** The error that follows these messages. */
  readonly failure?: Error;
}

/** Converts the input to messages. */
export type Pack = (batch: Batch) => Packed;

/** Treats every frame as a body; all messages have the same envelope. */
export function packPlain(envelope: Envelope): Pack {
  return (batch) => ({ bodies: batch, count: batch.frames, envelopes: envelope });
}

/** Treats every frame as a line with a JSON record; empty lines are ignored. */
export function packRecords(defaults: Defaults, isQueue: boolean): Pack {
  let line = 0;
  return (batch) => {
    const bodies: Uint8Array[] = [];
    const envelopes: Envelope[] = [];
    for (let i = 0; i < batch.frames; i++) {
      line++;
      const text = batch.frame(i);
      if (text.every((byte) => byte === 0x20 || byte === 0x0d)) continue;
      try {
        const record = parseRecord(text);
        envelopes.push(envelopeOf(record, defaults, isQueue));
        bodies.push(record.body);
      } catch (error) {
        // The records before the invalid one are put first; then the error is reported.
        if (bodies.length > 0) {
          return { ...packed(bodies, envelopes), failure: recordError(line, error) };
        }
        throw recordError(line, error);
      }
    }
    return packed(bodies, envelopes);
  };
}

function recordError(line: number, error: unknown): RecordError {
  return new RecordError(`line ${line} of the input is not a JSON record: ${messageOf(error)}`);
}

function packed(bodies: readonly Uint8Array[], envelopes: readonly Envelope[]): Packed {
  const starts: number[] = [];
  const ends: number[] = [];
  let at = 0;
  for (const body of bodies) {
    starts.push(at);
    ends.push(at += body.length);
  }
  return { bodies: { bytes: concat(bodies), starts, ends }, count: bodies.length, envelopes };
}

/** Publishes all messages of a source, waits for the confirms, and reports undelivered messages. */
export async function putAll(
  session: Session,
  publisher: Publisher,
  source: Source,
  pack: Pack,
  options: PutOptions,
): Promise<void> {
  session.onStop(() => {
    source.cancel();
    publisher.changed.fire();
  });
  const put = new Put(session, publisher, source, pack, options);
  session.explainWait(() => unsentWait(publisher.pending, options.linger ?? DEFAULT_LINGER_MS));
  // The progress line must not hide typed input.
  const isTyped = source instanceof Input && isTerminal(0);
  const progress = isTyped ? undefined : new Progress(session, () => publisher.acknowledged, "confirmed");
  let failure: unknown;
  try {
    failure = await put.run();
  } catch (error) {
    // The input has an error; the messages before it are still valid.
    failure = error;
  }
  failure ??= publisher.failure;
  if (failure === undefined || publisher.failure === undefined) failure = await put.settle() ?? failure;
  progress?.end();
  await farewell(session, failure, (limit) => publisher.close(limit));
  report(session, publisher, put.given, failure);
}

class Put {
  /** The number of messages that were read and must be delivered. */
  given = 0;

  readonly #session: Session;
  readonly #publisher: Publisher;
  readonly #source: Source;
  readonly #pack: Pack;
  readonly #options: PutOptions;
  readonly #pacer: Pacer;
  /** When the broker last made progress, or had nothing to do. */
  #progressAt = performance.now();
  /** Whether all input is read. */
  #read = false;
  #settled = 0;
  #deadline: number | undefined;

  constructor(session: Session, publisher: Publisher, source: Source, pack: Pack, options: PutOptions) {
    this.#session = session;
    this.#publisher = publisher;
    this.#source = source;
    this.#pack = pack;
    this.#options = options;
    this.#pacer = new Pacer(session, options);
  }

  /** Publishes until the source or the count ends; resolves to the error that stopped it earlier. */
  async run(): Promise<unknown> {
    let remaining = this.#options.count ?? Infinity;
    this.#cancelAtFailure();
    await this.#pacer.start();
    while (remaining > 0) {
      const batch = await this.#source.next();
      if (batch === undefined) break;
      const { bodies, count, envelopes, failure } = this.#pack(batch);
      const end = Math.min(count, remaining);
      remaining -= end;
      for (let i = 0; i < end; i++) this.#session.counts.bytes += bodies.ends[i]! - bodies.starts[i]!;
      for (let at = 0; at < end;) {
        await this.#pacer.turn();
        const to = this.#pacer.idle ? end : at + 1;
        if (this.#session.stopping && !this.#pacer.idle) return undefined;
        this.given += to - at;
        const stopped = await this.#publish(bodies, at, to, envelopes);
        if (stopped !== undefined) return stopped;
        at = to;
      }
      if (failure !== undefined) return failure;
    }
    this.#read = true;
    this.#source.cancel();
    return this.#publisher.failure;
  }

  /** Cancels the source as soon as the publisher fails, so that the failure is reported although no input arrives. */
  async #cancelAtFailure(): Promise<void> {
    const publisher = this.#publisher;
    while (!this.#read && publisher.failure === undefined) await publisher.changed.wait();
    this.#source.cancel();
  }

  /** Waits until the broker has settled everything, for at most `--linger`. */
  async settle(): Promise<unknown> {
    const publisher = this.#publisher;
    this.#deadline ??= performance.now() + (this.#options.linger ?? DEFAULT_LINGER_MS);
    while (publisher.pending > 0) {
      const stopped = this.#reasonToStop();
      if (stopped !== undefined) return stopped === GIVEN_UP ? undefined : stopped;
      await publisher.changed.wait(this.#waitTime());
    }
    return undefined;
  }

  async #publish(
    bodies: Bodies,
    at: number,
    to: number,
    envelopes: Packed["envelopes"],
  ): Promise<unknown> {
    for (;;) {
      at = this.#publisher.publish(bodies, at, to, envelopes);
      if (at === to) return undefined;
      if (this.#source.ended || this.#session.stopping) {
        this.#deadline ??= performance.now() + (this.#options.linger ?? DEFAULT_LINGER_MS);
      }
      const stopped = this.#reasonToStop();
      if (stopped !== undefined) return stopped;
      await this.#publisher.changed.wait(this.#waitTime());
    }
  }

  #reasonToStop(): unknown {
    const { acknowledged, refused, failure } = this.#publisher;
    const now = performance.now();
    if (acknowledged + refused !== this.#settled) {
      this.#settled = acknowledged + refused;
      this.#progressAt = now;
    }
    if (failure !== undefined) return failure;
    const { timeout } = this.#options;
    if (timeout !== undefined && now - this.#progressAt >= timeout) {
      return new TimeoutError(`the broker confirmed nothing for ${timeout / 1000} s (-w)`);
    }
    return this.#deadline !== undefined && now >= this.#deadline ? GIVEN_UP : undefined;
  }

  #waitTime(): number {
    const { timeout } = this.#options;
    const until = Math.min(
      this.#deadline ?? Infinity,
      timeout === undefined ? Infinity : this.#progressAt + timeout,
    );
    return Math.max(1, until - performance.now());
  }
}

/** The time for the last confirms is over: the report needs only the number of missing ones. */
const GIVEN_UP = new Error("The time to wait for confirms is over (--linger)");

/**
 * Counts delivered messages, and reports undelivered ones in one line with the reason and the remedy.
 *
 * @throws {unknown} `failure`, the reason for the end of the command, if every message was delivered before it
 */
export function report(session: Session, publisher: Publisher, given: number, failure?: unknown): void {
  const { counts } = session;
  const { acknowledged, refused, returned, pending } = publisher;
  counts.sent = acknowledged + refused + pending;
  counts.confirmed = Math.max(0, acknowledged - returned);
  counts.unsent = given - counts.confirmed;
  if (counts.unsent <= 0) {
    if (failure !== undefined) throw failure;
    return;
  }
  const reasons: string[] = [];
  if (refused > 0) {
    const why = publisher.refusalReason || "the queue is full (its x-overflow is reject-publish: take " +
        "messages out, or give it a larger x-max-length), or cannot be written";
    reasons.push(`the broker refused ${messages(refused)}: ${why}`);
  }
  if (returned > 0) {
    const remedy = "declare or bind a queue for them, and publish them again";
    reasons.push(`${messages(returned)} came back: ${publisher.returnReason}: ${remedy}`);
  }
  const others = counts.unsent - refused - returned;
  if (others > 0) reasons.push(`${messages(others)} could not be delivered`);
  const why = failure === undefined ? "" : `: ${phrase(failure)}`;
  session.reporter.error(new Error(`${reasons.join("; ")}${why}`, { cause: failure }));
  session.exitCode = failure === undefined ? EXIT.undelivered : exitCodeOf(failure);
}
