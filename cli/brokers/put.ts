import type { Bodies, Outlet } from "../../lib/patterns/contract.ts";
import { EXIT, exitCodeOf, TimeoutError } from "../app/errors.ts";
import { Progress } from "../app/progress.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { messages, unsentWait } from "../app/tally.ts";
import { countMessages, type Source } from "../io/input.ts";
import { Pacer, type PacingOptions } from "../io/pacer.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import { farewell } from "./link.ts";
import type { Pack, Packed } from "./pack.ts";

/** The values of the options of a command that sends to a broker; times are in milliseconds. */
export interface PutOptions extends PacingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly linger: number | undefined;
}

/** Publishes all messages of a source, waits for the confirms, and reports undelivered messages. */
export async function putAll(
  session: Session,
  outlet: Outlet,
  source: Source,
  pack: Pack,
  options: PutOptions,
): Promise<void> {
  session.onStop(() => {
    source.cancel();
    outlet.changed.fire();
  });
  const put = new Put(session, outlet, source, pack, options);
  session.explainWait(() => unsentWait(outlet.pending, options.linger ?? DEFAULT_LINGER_MS));
  const progress = new Progress(session, () => outlet.acknowledged, "confirmed", () => put.part);
  let failure: unknown;
  try {
    failure = await put.run();
  } catch (error) {
    // The input has an error; the messages before it are still valid.
    failure = error;
  }
  failure ??= outlet.failure;
  if (failure === undefined || outlet.failure === undefined) failure = await put.settle() ?? failure;
  progress.end();
  await farewell(session, failure, (limit) => outlet.close(limit));
  report(session, outlet, put.given, failure);
}

/** The interval between looks at the broker while no input arrives, with `-w`, in milliseconds. */
const LOOK_MS = 500;

class Put {
  /** The number of messages that were read and must be delivered. */
  given = 0;

  /** The number of messages that were read. */
  #taken = 0;
  readonly #session: Session;
  readonly #outlet: Outlet;
  readonly #source: Source;
  readonly #pack: Pack;
  readonly #options: PutOptions;
  readonly #pacer: Pacer;
  /** When the broker last made progress, or had nothing to do. */
  #progressAt = performance.now();
  /** Whether all input is read. */
  #read = false;
  #settled = 0;
  /** When the end of the input was certain, or a signal arrived. */
  #endedAt: number | undefined;
  /** What ended the command while it waited for input. */
  #stopped: unknown;

  constructor(session: Session, outlet: Outlet, source: Source, pack: Pack, options: PutOptions) {
    this.#session = session;
    this.#outlet = outlet;
    this.#source = source;
    this.#pack = pack;
    this.#options = options;
    this.#pacer = new Pacer(session, options);
  }

  /** Which part of the work is done, as far as the number of messages is given, or the size of the input. */
  get part(): number | undefined {
    const { part = 0 } = this.#source;
    const inFile = part === 0 ? Infinity : this.#taken / part;
    const total = Math.min(this.#options.count ?? Infinity, inFile);
    return total === Infinity ? undefined : Math.min(1, this.#outlet.acknowledged / total);
  }

  /** Publishes until the source or the count ends; resolves to the error that stopped it earlier. */
  async run(): Promise<unknown> {
    let remaining = this.#options.count ?? Infinity;
    this.#watch();
    await this.#pacer.start();
    while (remaining > 0) {
      const batch = await this.#source.next();
      if (batch === undefined) break;
      const { bodies, count, envelopes, failure } = this.#pack(batch);
      this.#taken += count;
      const end = Math.min(count, remaining);
      remaining -= end;
      for (let i = 0; i < end; i++) this.#session.counts.bytes += bodies.ends[i]! - bodies.starts[i]!;
      for (let at = 0; at < end;) {
        await this.#pacer.turn();
        const to = this.#pacer.idle ? end : at + 1;
        if (this.#session.stopping && !this.#pacer.idle) return undefined;
        this.given += to - at;
        const stopped = await this.#publish(bodies, at, to, envelopes);
        if (stopped !== undefined) {
          this.given += end - to + await this.#countRest(remaining);
          return stopped === GIVEN_UP ? undefined : stopped;
        }
        at = to;
      }
      if (failure !== undefined) return failure;
    }
    this.#read = true;
    this.#source.cancel();
    return this.#outlet.failure ?? this.#stopped;
  }

  /** Cancels the source when the outlet fails or `-w` has passed, which is then reported although no input arrives. */
  async #watch(): Promise<void> {
    const outlet = this.#outlet;
    const { timeout } = this.#options;
    while (!this.#read && outlet.failure === undefined && this.#stopped === undefined) {
      if (outlet.pending === 0) this.#progressAt = performance.now();
      else this.#stopped = this.#reasonToStop();
      if (this.#stopped === undefined) await outlet.changed.wait(timeout === undefined ? Infinity : LOOK_MS);
    }
    this.#source.cancel();
  }

  /** The number of further messages that were read, and that can no longer be published: nobody else can read them. */
  async #countRest(remaining: number): Promise<number> {
    this.#source.cancel();
    return Math.min(remaining, await countMessages(this.#source));
  }

  /** Waits until the broker has settled everything, at most for `--linger` without progress. */
  async settle(): Promise<unknown> {
    const outlet = this.#outlet;
    this.#endedAt ??= performance.now();
    while (outlet.pending > 0) {
      const stopped = this.#reasonToStop();
      if (stopped !== undefined) return stopped === GIVEN_UP ? undefined : stopped;
      await outlet.changed.wait(this.#waitTime());
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
      at = this.#outlet.publish(bodies, at, to, envelopes);
      if (at === to) return undefined;
      if (this.#source.ended || this.#session.stopping) this.#endedAt ??= performance.now();
      const stopped = this.#reasonToStop();
      if (stopped !== undefined) return stopped;
      await this.#outlet.changed.wait(this.#waitTime());
    }
  }

  #reasonToStop(): unknown {
    const { acknowledged, refused, failure } = this.#outlet;
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
    return now >= this.#lingersUntil ? GIVEN_UP : undefined;
  }

  /** The end of `--linger`, which begins again with each progress. */
  get #lingersUntil(): number {
    if (this.#endedAt === undefined) return Infinity;
    return Math.max(this.#endedAt, this.#progressAt) + (this.#options.linger ?? DEFAULT_LINGER_MS);
  }

  #waitTime(): number {
    const { timeout } = this.#options;
    const until = Math.min(
      this.#lingersUntil,
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
export function report(session: Session, outlet: Outlet, given: number, failure?: unknown): void {
  const { counts } = session;
  const { acknowledged, refused, returned, pending } = outlet;
  counts.sent = acknowledged + refused + pending;
  if (outlet.resent !== undefined) counts.resent = outlet.resent;
  counts.confirmed = Math.max(0, acknowledged - returned);
  counts.unsent = given - counts.confirmed;
  if (counts.unsent <= 0) {
    if (failure !== undefined) throw failure;
    return;
  }
  const reasons: string[] = [];
  if (refused > 0) {
    const why = outlet.refusalReason ||
      "the queue is full (its x-overflow, or that of a policy, is reject-publish: take " +
        "messages out, or give it a larger x-max-length), or cannot be written";
    reasons.push(`the broker refused ${messages(refused)}: ${why}`);
  }
  if (returned > 0) {
    const remedy = "declare or bind a queue for them, and publish them again";
    reasons.push(`${messages(returned)} came back: ${outlet.returnReason}: ${remedy}`);
  }
  const unconfirmed = Math.min(pending, counts.unsent - refused - returned);
  if (unconfirmed > 0) {
    const because = outlet.delayReason === undefined || outlet.delayReason === ""
      ? ""
      : ` (${outlet.delayReason})`;
    reasons.push(`${messages(unconfirmed)} ${unconfirmed === 1 ? "was" : "were"} not confirmed${because}`);
  }
  const others = counts.unsent - refused - returned - unconfirmed;
  if (others > 0) reasons.push(`${messages(others)} ${others === 1 ? "was" : "were"} not sent`);
  const why = failure === undefined ? "" : `: ${phrase(failure)}`;
  session.reporter.error(new Error(`${reasons.join("; ")}${why}`, { cause: failure }));
  session.exitCode = failure === undefined ? EXIT.undelivered : exitCodeOf(failure);
}
