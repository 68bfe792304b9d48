/** Timers that a test drives itself. */

/**
 * Runs `work` while `setInterval` starts nothing.
 *
 * @returns the result of `work`, and the callbacks that it passed to `setInterval`
 */
export function captureIntervals<T>(work: () => T): { result: T; ticks: (() => void)[] } {
  const ticks: (() => void)[] = [];
  const { setInterval } = globalThis;
  globalThis.setInterval = ((tick: () => void) => void ticks.push(tick)) as unknown as typeof setInterval;
  try {
    return { result: work(), ticks };
  } finally {
    globalThis.setInterval = setInterval;
  }
}
