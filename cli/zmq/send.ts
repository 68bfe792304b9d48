import type { Sender } from "../../lib/zmq/sender.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import type { Source } from "../io/input.ts";
import { Pacer, type PacingOptions } from "../io/pacer.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import { PATIENCE_MS, type PeerWait, waitForPeers } from "./socket.ts";

/** What the options of a sending command say; times are in milliseconds. */
export interface SendingOptions extends PacingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly linger: number | undefined;
  readonly onFull: "block" | "drop" | "fail" | undefined;
}

/**
 * Waits for peers, sends everything that a source gives, at the pace that was asked for, and closes the socket. What
 * was read and could not be delivered is counted, and told.
 *
 * @param beforeClose what is to be waited for when everything is queued
 */
export async function sendAll(
  session: Session,
  socket: Sender,
  source: Source,
  options: SendingOptions,
  awaited: PeerWait,
  beforeClose: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const feed = new Feed(session, socket, source, options);
  const { counts, reporter } = session;
  const tell = () => {
    if (counts.unsent > 0) reporter.error(`${messages(counts.unsent)} could not be delivered`);
    if (counts.dropped > 0) reporter.error(`dropped ${messages(counts.dropped)} that no peer had room for`);
  };
  session.onStop(() => source.cancel());
  session.onAbort(() => {
    counts.unsent = feed.left + feed.held + socket.unsent;
    tell();
  });
  source.onEnd = () => socket.wake();
  let failure: unknown;
  let linger: number;
  try {
    failure = await feed.run(awaited);
    linger = failure === undefined ? feed.lingerLeft() : 0;
  } catch (error) {
    // The input is at fault: what came before it is as good as ever.
    failure = error;
    feed.left += feed.held;
    linger = feed.lingerLeft();
  }
  if (failure === undefined) failure = await beforeClose().then(() => undefined, (error) => error);
  const queued = await socket.close(linger);
  counts.sent -= queued;
  counts.unsent = feed.left + queued;
  tell();
  if (failure !== undefined) throw failure;
  if (counts.unsent + counts.dropped > 0) session.exitCode = EXIT.undelivered;
}

class Feed {
  /** Messages that were read and will not be sent. */
  left = 0;

  readonly #session: Session;
  readonly #socket: Sender;
  readonly #source: Source;
  readonly #options: SendingOptions;
  readonly #pacer: Pacer;
  readonly #linger: number;
  #remaining: number;
  /** Whether what is left is not to be waited for. */
  #gaveUp = false;
  /** Messages of the batch under way that are not sent. */
  held = 0;
  /** When it was first known that nothing more is to come, or a signal came; 0 before. */
  #endedAt = 0;
  /** Since when nothing was taken, over any number of batches that were dropped; 0 when the last one was. */
  #stalledSince = 0;

  constructor(session: Session, socket: Sender, source: Source, options: SendingOptions) {
    this.#session = session;
    this.#socket = socket;
    this.#source = source;
    this.#options = options;
    this.#pacer = new Pacer(session, options);
    this.#linger = options.linger ?? DEFAULT_LINGER_MS;
    this.#remaining = options.count ?? Infinity;
  }

  /** Sends until the source or the count ends; resolves to what stopped it before that. */
  async run(awaited: PeerWait): Promise<Error | undefined> {
    // An input without messages needs no peers, unless they were asked for.
    let empty = false;
    const look = (batch?: Batch) => {
      empty = batch === undefined;
      this.held = batch?.messages ?? 0;
      if (empty) this.#socket.wake();
    };
    let next: Promise<Batch | undefined> | undefined = this.#source.next();
    next.then(look, () => look());
    try {
      await waitForPeers(
        this.#session,
        this.#socket,
        awaited,
        this.#options.timeout,
        () => empty && !awaited.explicit,
      );
      if (this.#session.stopping && awaited.count() < awaited.wanted) throw GIVEN_UP;
    } catch (error) {
      this.left = (await next)?.messages ?? 0;
      return await this.#giveUp(error as Error);
    }
    await this.#pacer.start();
    while (this.#remaining > 0) {
      const batch = await (next ?? this.#source.next());
      next = undefined;
      if (batch === undefined) break;
      const end = batch.skipMessages(0, this.#remaining);
      this.held = batch.countMessages(0, end);
      for (let at = 0; at < end;) {
        await this.#pacer.turn();
        const to = this.#pacer.idle ? end : batch.messageEnd(at);
        const piece = at === 0 && to === batch.frames ? batch : batch.slice(at, to);
        const failure = await this.#send(piece);
        if (failure !== undefined) {
          this.left = this.held;
          return await this.#giveUp(failure);
        }
        at = to;
      }
    }
    // A signal may cut the input in the middle of a message.
    if (this.#remaining > 0 && this.#source.cut) this.left++;
    this.#source.cancel();
    return undefined;
  }

  /** How long the closing may take, in milliseconds. */
  lingerLeft(): number {
    if (this.#gaveUp) return 0;
    return this.#linger;
  }

  async #send(batch: Batch): Promise<Error | undefined> {
    const { counts } = this.#session;
    for (let at = 0;;) {
      const to = this.#socket.sendBatch(batch, at);
      if (to > at) {
        const sent = batch.countMessages(at, to);
        counts.sent += sent;
        counts.bytes += batch.countBytes(at, to);
        this.#remaining -= sent;
        this.held -= sent;
        this.#stalledSince = 0;
        at = to;
      }
      if (at === batch.frames) return undefined;
      const now = performance.now();
      const stalledSince = this.#stalledSince ||= now;
      const left = batch.countMessages(at, batch.frames);
      const failure = this.#failing(now, stalledSince);
      if (failure !== undefined) return failure;
      if (this.#options.onFull === "drop" && now - stalledSince >= PATIENCE_MS) {
        this.#session.reporter.warn("no peer has room: dropping messages (--on-full)");
        counts.dropped += left;
        this.#remaining -= left;
        this.held -= left;
        return undefined;
      }
      await this.#socket.writable(this.#waitTime(now, stalledSince));
    }
  }

  /** Why the rest cannot be delivered, if that is so. */
  #failing(now: number, stalledSince: number): Error | undefined {
    const { timeout, onFull } = this.#options;
    const stalled = now - stalledSince;
    if (this.#socket.failure !== undefined) return this.#socket.failure;
    if (timeout !== undefined && stalled >= timeout) {
      return new TimeoutError(`nothing could be sent for ${timeout / 1000} s (-w)`);
    }
    if (onFull === "fail" && stalled >= PATIENCE_MS) return GIVEN_UP;
    if (this.#source.ended || this.#session.stopping) this.#endedAt ||= now;
    return now >= this.#deadline(stalledSince) ? GIVEN_UP : undefined;
  }

  #waitTime(now: number, stalledSince: number): number {
    const { timeout, onFull } = this.#options;
    let until = this.#deadline(stalledSince);
    if (timeout !== undefined) until = Math.min(until, stalledSince + timeout);
    if (onFull === "drop" || onFull === "fail") until = Math.min(until, stalledSince + PATIENCE_MS);
    return Math.max(1, until - now);
  }

  /** Until when the sending may stand still; without end as long as more input may come. */
  #deadline(stalledSince: number): number {
    return this.#endedAt === 0 ? Infinity : Math.max(this.#endedAt, stalledSince) + this.#linger;
  }

  /** Counts what was read, or is sure to come, and will not be sent. */
  async #giveUp(reason: Error): Promise<Error | undefined> {
    this.#gaveUp = true;
    if (!this.#source.ended) this.#source.cancel();
    this.left += await this.#source.countRest?.() ?? 0;
    for (let batch = await this.#source.next(); batch !== undefined; batch = await this.#source.next()) {
      this.left += batch.messages;
    }
    if (this.#source.cut) this.left++;
    return reason === GIVEN_UP ? undefined : reason;
  }
}

/** The queue stayed full to the end: nothing to explain but how many messages were left. */
const GIVEN_UP = new Error("given up");
