import { UnreachableError } from "../errors.ts";

/** The times of the heartbeat (RFC 37, 2.6), in milliseconds. */
export interface HeartbeatTimes {
  /** The heartbeat interval: a PING is sent when nothing was received, or sent, for this long. 0 disables PINGs. */
  readonly interval: number;
  /** The connection is closed when nothing is received for this long after a PING. Default: the interval. */
  readonly timeout: number;
  /**
   * The time to live in our PINGs: the peer may close the connection when it receives nothing for this long; 0 means no
   * limit. Default: twice the interval. At most 65.5 s are sent: a longer time overflows in libzmq.
   */
  readonly ttl: number;
}

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} a time is negative, or too long for a timer
 */
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

/** How late a timer may fire on a busy machine, in milliseconds. */
const LATE_MS = 20;

/** The connection, as its heartbeat uses it. */
export interface HeartbeatTarget {
  /** Sends a PING with a time to live in milliseconds; 0 means no limit. */
  ping(ttl: number): void;
  /**
   * Increases when the operating system accepts queued bytes for the peer, which proves that the peer reads. -1 while
   * nothing is queued: bytes that go into an empty buffer of the operating system prove nothing.
   */
  progress(): number;
  /** The peer was silent for too long: close the connection. */
  expire(error: Error): void;
}

/**
 * The heartbeat of one connection (RFC 37, 2.6). Traffic in either direction counts as activity of the peer. While
 * reading is paused, the peer's silence does not count.
 *
 * A PING cannot overtake a long message on a slow link, and its PONG follows the message. So a side that only receives
 * sends PINGs of its own: the sender of the long message receives them in time.
 */
export class Heartbeat {
  readonly #times: HeartbeatTimes;
  readonly #target: HeartbeatTarget;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = true;
  /** Whether our own interval or the peer's time to live requires a timer. */
  #active: boolean;
  #paused = false;
  /** The time of the last activity of the peer. */
  #heardAt = 0;
  /** The time at which the operating system last accepted bytes for the peer. */
  #sentAt = 0;
  #progress = -1;
  /** The time at which the timer should fire. */
  #expected = 0;
  /** The time of the PING that has no answer yet; 0 if there is none. */
  #askedAt = 0;
  /** The time to live from the peer's last PING, in milliseconds; 0 means no limit. */
  #promised = 0;

  constructor(times: HeartbeatTimes, target: HeartbeatTarget) {
    this.#times = times;
    this.#target = target;
    this.#active = times.interval > 0;
  }

  /** Starts the timer. The first PING tells the peer our time to live before a long message delays all others. */
  start(): void {
    this.#stopped = false;
    this.heard();
    this.sent();
    if (this.#times.interval > 0) this.#target.ping(this.#times.ttl);
    this.#arm();
  }

  /** Stops the timer for good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Records activity of the peer. */
  heard(): void {
    if (!this.#active) return;
    this.#heardAt = performance.now();
    this.#askedAt = 0;
  }

  /** Records that the operating system accepted bytes for the peer. */
  sent(): void {
    if (this.#active) this.#sentAt = performance.now();
  }

  /** Sets the peer's time to live, in milliseconds; 0 means no limit. The latest value wins. */
  promise(ttl: number): void {
    if (ttl === this.#promised) return;
    this.#promised = ttl;
    this.#active = ttl > 0 || this.#times.interval > 0;
    this.heard();
    this.sent();
    this.#arm();
  }

  /** Reading has paused: silence does not count until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  /** Reading continues. */
  resume(): void {
    if (this.#paused) this.heard();
    this.#paused = false;
  }

  /** How long we may send nothing, in milliseconds: our interval, or half of the peer's patience. */
  get #keepAlive(): number {
    return Math.min(this.#times.interval || Infinity, this.#promised / 2 || Infinity);
  }

  /** The time until the next PING or the end of the connection is due, in milliseconds; Infinity for never. */
  #due(now: number): number {
    const { interval, timeout } = this.#times;
    const promise = this.#promised > 0 ? this.#heardAt + this.#promised : Infinity;
    const own = interval === 0
      ? Infinity
      : this.#askedAt > 0
      ? this.#askedAt + timeout
      : this.#heardAt + interval;
    return Math.min(promise, own, this.#sentAt + this.#keepAlive) - now;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    // Activity moves the due time but does not reset the timer. So the timer fires at least once per interval.
    const due = Math.min(this.#due(performance.now()), this.#times.interval || Infinity);
    this.#expected = performance.now() + due;
    if (due < Infinity) this.#timer = setTimeout(this.#ring, Math.max(1, Math.ceil(due)));
  }

  readonly #ring = (): void => {
    const now = performance.now();
    const progress = this.#target.progress();
    const reads = progress >= 0 && this.#progress >= 0 && progress !== this.#progress;
    if (this.#paused || reads) this.heard();
    this.#progress = progress;
    // A late timer means that this process was suspended or busy, with input that is not read yet. Ignore that time.
    const late = now - this.#expected;
    if (late > LATE_MS) {
      this.#heardAt += late;
      if (this.#askedAt > 0) this.#askedAt += late;
    }
    const { interval, timeout, ttl } = this.#times;
    const silent = now - this.#heardAt;
    const broken = this.#promised > 0 && silent >= this.#promised;
    if (broken || this.#askedAt > 0 && now - this.#askedAt >= timeout) {
      return this.#target.expire(
        new UnreachableError(`The peer sent nothing for ${Math.round(silent) / 1000} s`),
      );
    }
    const asks = interval > 0 && this.#askedAt === 0 && silent >= interval;
    if (asks) this.#askedAt = now;
    // What waits to be written shows the peer that we live, as soon as it gets there: more PINGs would only queue up.
    const quiet = progress < 0 && now - this.#sentAt >= this.#keepAlive;
    if (asks || quiet) this.#target.ping(ttl);
    if (quiet || progress >= 0) this.#sentAt = now;
    this.#arm();
  };
}
