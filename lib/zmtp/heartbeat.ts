import { UnreachableError } from "../errors.ts";

/** When a peer is asked for a sign of life, and given up, in milliseconds. */
export interface HeartbeatTimes {
  /** How often a peer that says nothing is asked; 0 is never. */
  readonly interval: number;
  /** How long after that it may stay silent. As long as the interval unless told. */
  readonly timeout: number;
  /**
   * For how long the peer is told to believe in us without a sign; 0 tells it nothing. Twice the interval unless told,
   * and at most 65.5 s: a longer time overflows in libzmq.
   */
  readonly ttl: number;
}

/** @throws {RangeError} a time is negative, or longer than a timer takes */
export function resolveHeartbeat(times: Partial<HeartbeatTimes> = {}): HeartbeatTimes {
  const { interval = 0 } = times;
  const { timeout = interval, ttl = 2 * interval } = times;
  for (const time of [interval, timeout, ttl]) {
    if (!(time >= 0 && time < 2 ** 31)) {
      throw new RangeError(`Cannot use a heartbeat of ${time} ms: it must be from 0 to 2^31-1`);
    }
  }
  return { interval, timeout, ttl };
}

/** How late a timer may ring on a busy machine, in milliseconds. */
const LATE_MS = 20;

/** What a heartbeat does to its connection. */
export interface HeartbeatTarget {
  /** Asks the peer for a sign of life, and promises one within `ttl` milliseconds. */
  ping(ttl: number): void;
  /**
   * Grows when the system takes something that waits for the peer: it reads, so it lives. -1 while nothing waits, for
   * what goes into an empty buffer of the system says nothing of the peer.
   */
  progress(): number;
  /** The peer was silent for too long. */
  expire(error: Error): void;
}

/**
 * The signs of life of one connection (RFC 37, 2.6). Any traffic counts, in either direction. While we do not read, what
 * the peer says cannot be heard, and its silence is not held against it.
 */
export class Heartbeat {
  readonly #times: HeartbeatTimes;
  readonly #target: HeartbeatTarget;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = true;
  /** Whether anything depends on what is heard. */
  #active: boolean;
  #paused = false;
  /** When there was a sign of life last. */
  #heardAt = 0;
  #progress = -1;
  /** When the timer is to ring. */
  #expected = 0;
  /** Since when an answer is awaited; 0 when none is. */
  #askedAt = 0;
  /** For how long the peer promised to be silent at most, in milliseconds; 0 when it promised nothing. */
  #promised = 0;

  constructor(times: HeartbeatTimes, target: HeartbeatTarget) {
    this.#times = times;
    this.#target = target;
    this.#active = times.interval > 0;
  }

  start(): void {
    this.#stopped = false;
    this.heard();
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Something came. */
  heard(): void {
    if (!this.#active) return;
    this.#heardAt = performance.now();
    this.#askedAt = 0;
  }

  /** The peer said how long it may be silent, in milliseconds. A promise is as good as the last one; 0 is none. */
  promise(ttl: number): void {
    if (ttl === this.#promised) return;
    this.#promised = ttl;
    this.#active = ttl > 0 || this.#times.interval > 0;
    this.heard();
    this.#arm();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (this.#paused) this.heard();
    this.#paused = false;
  }

  /** When the timer has to ring next, in milliseconds from now; Infinity for never. */
  #due(now: number): number {
    const { interval, timeout } = this.#times;
    const promise = this.#promised > 0 ? this.#heardAt + this.#promised : Infinity;
    const own = interval === 0
      ? Infinity
      : this.#askedAt > 0
      ? this.#askedAt + timeout
      : this.#heardAt + interval;
    return Math.min(promise, own) - now;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    // An answer moves the next question forward, and sets no timer by itself: so look at least once an interval.
    const due = Math.min(this.#due(performance.now()), this.#times.interval || Infinity);
    this.#expected = performance.now() + due;
    if (due < Infinity) this.#timer = setTimeout(this.#ring, Math.max(1, Math.ceil(due)));
  }

  readonly #ring = (): void => {
    const progress = this.#target.progress();
    const reads = progress >= 0 && this.#progress >= 0 && progress !== this.#progress;
    if (this.#paused || reads) this.heard();
    this.#progress = progress;
    const now = performance.now();
    // A timer that rings late says that we slept, and what came meanwhile is not read yet: that time does not count.
    const late = now - this.#expected;
    if (late > LATE_MS) {
      this.#heardAt += late;
      if (this.#askedAt > 0) this.#askedAt += late;
    }
    if (this.#due(now) <= 0) {
      const { interval, timeout, ttl } = this.#times;
      const silent = now - this.#heardAt;
      const broken = this.#promised > 0 && silent >= this.#promised;
      if (broken || this.#askedAt > 0 && now - this.#askedAt >= timeout) {
        return this.#target.expire(
          new UnreachableError(`The peer gave no sign of life for ${Math.round(silent) / 1000} s`),
        );
      }
      if (interval > 0) {
        this.#askedAt = now;
        this.#target.ping(ttl);
      }
    }
    this.#arm();
  };
}
