/** A timer of a clock. */
export type Timer = unknown;

/**
 * The time of a broker: when messages expire, delays, sessions and unused queues end, and heartbeats are due. Waits for
 * disks and sockets are in real time.
 */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds that never go back, for heartbeats. */
  monotonic(): number;
  /** Calls `callback` once, after `ms` milliseconds. */
  setTimeout(callback: () => void, ms: number): Timer;
  /** Ends a timer; undefined is ignored. */
  clearTimeout(timer: Timer): void;
  /** Calls `callback` regularly; once if several times have passed at once. */
  setInterval(callback: () => void, ms: number): Timer;
  /** Ends a regular timer; undefined is ignored. */
  clearInterval(timer: Timer): void;
}

/** The clock of the system. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout> | undefined),
  setInterval: (callback, ms) => setInterval(callback, ms),
  clearInterval: (timer) => clearInterval(timer as ReturnType<typeof setInterval> | undefined),
};
