import type { Sender } from "../../lib/zmq/sender.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages, unsentWait } from "../app/tally.ts";
import { countMessages, type Source } from "../io/input.ts";
import { Pacer, type PacingOptions } from "../io/pacer.ts";
import { DEFAULT_LINGER_MS } from "../options/options.ts";
import { RecordError } from "../records/json.ts";
import { cancelAtFailure, PATIENCE_MS, type PeerWait, waitForPeers } from "./socket.ts";

/** The values of the options of a sending command; times are in milliseconds. */
export interface SendingOptions extends PacingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly linger: number | undefined;
  readonly onFull: "block" | "drop" | "fail" | undefined;
}

/**
 * Waits for peers, sends all messages of a source at the requested pace, and closes the socket. Undelivered messages
 * are counted and reported.
 *
 * @param beforeClose a promise to wait for when everything is queued
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
  const count = () => {
    if (counts.unsent > 0) reporter.error(`${messages(counts.unsent)} could not be delivered`);
    if (counts.dropped > 0) reporter.error(`dropped ${messages(counts.dropped)} that no peer had room for`);
  };
  session.onStop(() => source.cancel());
  session.explainWait(() => unsentWait(feed.left + feed.held + socket.unsent, feed.lingerLeft()));
  session.onAbort(() => {
    counts.unsent = feed.left + feed.held + socket.unsent;
    count();
  });
  source.onEnd = () => socket.wake();
  let failure: unknown;
  let linger: number;
  try {
    failure = await feed.run(awaited);
    linger = failure === undefined ? feed.lingerLeft() : 0;
  } catch (error) {
    // The input has an error; the messages before it are still valid.
    failure = error;
    feed.left += feed.held;
    linger = feed.lingerLeft();
  }
  if (failure === undefined) failure = await beforeClose().then(() => undefined, (error) => error);
  const queued = await socket.close(linger);
  if (socket.refused > 0) failure ??= socket.failure;
  counts.sent -= queued;
  counts.unsent = feed.left + queued;
  count();
  if (failure !== undefined) throw failure;
  if (counts.unsent + counts.dropped > 0) session.exitCode = EXIT.undelivered;
}

class Feed {
  /** The number of messages that were read and will not be sent. */
  left = 0;

  readonly #session: Session;
  readonly #socket: Sender;
  readonly #source: Source;
  readonly #options: SendingOptions;
  readonly #pacer: Pacer;
  readonly #linger: number;
  #remaining: number;
  /** Whether the remaining messages are not waited for. */
  #gaveUp = false;
  /** The number of unsent messages of the current batch. */
  held = 0;
  /** When the end of the input became known, or a signal arrived; 0 before that. */
  #endedAt = 0;
  /** Since when no message was accepted, over any number of dropped batches; 0 after an accepted one. */
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

  /** Sends until the source or the count ends; resolves to the error that stopped it earlier. */
  async run(awaited: PeerWait): Promise<Error | undefined> {
    // An input without messages needs no peers, unless `--wait-peers` is given.
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
      // A silent input must not delay the end.
      if (!this.#source.ended) this.#source.cancel();
      this.left = (await next)?.messages ?? 0;
      return await this.#giveUp(error as Error);
    }
    const endWatch = cancelAtFailure(this.#socket, this.#source);
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
          endWatch();
          this.left = this.held;
          return await this.#giveUp(failure);
        }
        at = to;
      }
    }
    const failure = endWatch();
    if (failure !== undefined) return await this.#giveUp(failure);
    // A signal may end the input in the middle of a message.
    if (this.#remaining > 0 && this.#source.cut) this.left++;
    this.#source.cancel();
    return undefined;
  }

  /** The time limit for closing, in milliseconds. */
  lingerLeft(): number {
    if (this.#gaveUp) return 0;
    return this.#linger;
  }

  async #send(batch: Batch): Promise<Error | undefined> {
    const { counts } = this.#session;
    for (let at = 0;;) {
      const to = this.#offer(batch, at);
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

  /** Queues what there is room for. @throws {RecordError} the socket cannot send a message of this form */
  #offer(batch: Batch, at: number): number {
    try {
      return this.#socket.sendBatch(batch, at);
    } catch (error) {
      throw error instanceof RangeError ? new RecordError(error.message, { cause: error }) : error;
    }
  }

  /** Why the rest cannot be delivered, if it cannot. */
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

  /** The deadline for progress in sending; infinite while more input may arrive. */
  #deadline(stalledSince: number): number {
    return this.#endedAt === 0 ? Infinity : Math.max(this.#endedAt, stalledSince) + this.#linger;
  }

  /** Counts the messages that were read, or are certain to follow, and will not be sent. */
  async #giveUp(reason: Error): Promise<Error | undefined> {
    this.#gaveUp = true;
    this.held = 0;
    if (!this.#source.ended) this.#source.cancel();
    this.left += await this.#source.countRest?.() ?? 0;
    this.left += await countMessages(this.#source);
    this.left = Math.min(this.left, this.#remaining);
    return reason === GIVEN_UP ? undefined : reason;
  }
}

/** The queue stayed full until the end: the report needs only the number of messages. */
const GIVEN_UP = new Error("given up");
