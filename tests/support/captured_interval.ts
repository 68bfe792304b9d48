/** Timers that a test drives itself. */

/**
 * Runs `work` while `setInterval` starts nothing.
 *
 * @returns the result of `work`, the callbacks that it passed to `setInterval`, and their intervals in milliseconds
 */
export function captureIntervals<T>(work: () => T): { result: T; ticks: (() => void)[]; delays: number[] } {
  const ticks: (() => void)[] = [];
  const delays: number[] = [];
  const { setInterval } = globalThis;
  globalThis.setInterval = ((tick: () => void, delay: number) => {
    ticks.push(tick);
    delays.push(delay);
  }) as unknown as typeof setInterval;
  try {
    return { result: work(), ticks, delays };
  } finally {
    globalThis.setInterval = setInterval;
  }
}
