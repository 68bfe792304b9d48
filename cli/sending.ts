import type { Sender } from "../lib/zmq/sender.ts";
import type { Socket } from "../lib/zmq/socket.ts";
import type { Batch } from "../lib/zmtp/batch.ts";
import { EXIT, TimeoutError } from "./errors.ts";
import type { Source } from "./io/input.ts";
import { Pacer, type PacingOptions } from "./pacer.ts";
import type { Session } from "./session.ts";

/** What the options of a sending command say; times are in milliseconds. */
export interface SendingOptions extends PacingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly linger: number | undefined;
  readonly onFull: "block" | "drop" | "fail" | undefined;
}

/** How long a queue must stay full before `--on-full` drop or fail takes hold, in milliseconds. */
export const PATIENCE_MS = 200;
export const DEFAULT_LINGER_MS = 30_000;

/** Waits until `count` reaches `wanted`; a signal ends that, and so does `timeout`. */
export async function waitForPeers(
  session: Session,
  socket: Socket,
  wanted: number,
  count: () => number,
  timeout = Infinity,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (count() < wanted && !session.stopping) {
    if (socket.failure !== undefined) throw socket.failure;
    const left = deadline - performance.now();
    if (left <= 0) {
      throw new TimeoutError(
        `${count()} of ${wanted} peers came within ${timeout / 1000} s (--wait-peers, -w)`,
      );
    }
    await socket.change(left);
  }
}

/**
 * Sends everything that a source gives, at the pace that was asked for, and closes the socket. What was read and
 * could not be delivered is counted, and told.
 */
export async function sendAll(
  session: Session,
  socket: Sender,
  source: Source,
  options: SendingOptions,
): Promise<void> {
  const feed = new Feed(session, socket, source, options);
  const { counts, reporter } = session;
  session.onStop(() => source.cancel());
  source.onEnd = () => socket.wake();
  let failure: unknown;
  let linger: number;
  try {
    failure = await feed.run();
    linger = failure === undefined ? feed.lingerLeft() : 0;
  } catch (error) {
    // The input is at fault: what came before it is as good as ever.
    failure = error;
    linger = feed.lingerLeft();
  }
  const queued = await socket.close(linger);
  counts.sent -= queued;
  counts.unsent = feed.left + queued;
  if (counts.unsent > 0) reporter.error(`${messages(counts.unsent)} could not be delivered`);
  if (counts.dropped > 0) reporter.error(`dropped ${messages(counts.dropped)} that no peer had room for`);
  if (failure !== undefined) throw failure;
  if (counts.unsent + counts.dropped > 0) session.exitCode = EXIT.undelivered;
}

/** `3 messages`. */
export function messages(count: number): string {
  return `${count} message${count === 1 ? "" : "s"}`;
}

class Feed {
  /** Messages that were read and will not be sent. */
  left = 0;

  readonly #session: Session;
  readonly #socket: Sender;
  readonly #source: Source;
  readonly #options: SendingOptions;
  readonly #pacer: Pacer;
  #remaining: number;
  /** Whether what is left is not to be waited for. */
  #gaveUp = false;
  /** When everything must be sent: set once the input has ended, or a signal came. */
  #deadline: number | undefined;
  /** Since when nothing was taken, over any number of batches that were dropped; 0 when the last one was. */
  #stalledSince = 0;

  constructor(session: Session, socket: Sender, source: Source, options: SendingOptions) {
    this.#session = session;
    this.#socket = socket;
    this.#source = source;
    this.#options = options;
    this.#pacer = new Pacer(session, options);
    this.#remaining = options.count ?? Infinity;
  }

  /** Sends until the source or the count ends; resolves to what stopped it before that. */
  async run(): Promise<Error | undefined> {
    await this.#pacer.start();
    while (this.#remaining > 0) {
      const batch = await this.#source.next();
      if (batch === undefined) break;
      const end = batch.skipMessages(0, this.#remaining);
      for (let at = 0; at < end;) {
        await this.#pacer.turn();
        const to = this.#pacer.idle ? end : batch.messageEnd(at);
        const piece = at === 0 && to === batch.frames ? batch : batch.slice(at, to);
        const failure = await this.#send(piece);
        if (failure !== undefined) {
          this.#gaveUp = true;
          this.left += batch.countMessages(to, end);
          await this.#countRest();
          return failure === GIVEN_UP ? undefined : failure;
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
    const linger = this.#options.linger ?? DEFAULT_LINGER_MS;
    return this.#deadline === undefined ? linger : Math.max(0, this.#deadline - performance.now());
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
        this.#stalledSince = 0;
        at = to;
      }
      if (at === batch.frames) return undefined;
      const now = performance.now();
      const stalledSince = this.#stalledSince ||= now;
      const left = batch.countMessages(at, batch.frames);
      const failure = this.#givesUp(now, now - stalledSince);
      if (failure !== undefined) {
        this.left += left;
        return failure;
      }
      if (this.#options.onFull === "drop" && now - stalledSince >= PATIENCE_MS) {
        this.#session.reporter.warn("no peer has room: dropping messages (--on-full)");
        counts.dropped += left;
        this.#remaining -= left;
        return undefined;
      }
      await this.#socket.writable(this.#waitTime(now, stalledSince));
    }
  }

  /** Why the rest cannot be delivered, if that is so. */
  #givesUp(now: number, stalled: number): Error | undefined {
    const { timeout, onFull, linger } = this.#options;
    if (this.#socket.failure !== undefined) return this.#socket.failure;
    if (timeout !== undefined && stalled >= timeout) {
      return new TimeoutError(`nothing could be sent for ${timeout / 1000} s (-w)`);
    }
    if (onFull === "fail" && stalled >= PATIENCE_MS) return GIVEN_UP;
    if (this.#source.ended || this.#session.stopping) this.#deadline ??= now + (linger ?? DEFAULT_LINGER_MS);
    return this.#deadline !== undefined && now >= this.#deadline ? GIVEN_UP : undefined;
  }

  #waitTime(now: number, stalledSince: number): number {
    const { timeout, onFull } = this.#options;
    let until = this.#deadline ?? Infinity;
    if (timeout !== undefined) until = Math.min(until, stalledSince + timeout);
    if (onFull === "drop" || onFull === "fail") until = Math.min(until, stalledSince + PATIENCE_MS);
    return Math.max(1, until - now);
  }

  /** Counts what was read already behind the batch that was given up. */
  async #countRest(): Promise<void> {
    this.#source.cancel();
    for (let batch = await this.#source.next(); batch !== undefined; batch = await this.#source.next()) {
      this.left += batch.messages;
    }
    if (this.#source.cut) this.left++;
  }
}

/** The queue stayed full to the end: nothing to explain but how many messages were left. */
const GIVEN_UP = new Error("given up");
