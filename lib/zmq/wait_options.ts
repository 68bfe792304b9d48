/**
 * Options of a call that waits.
 *
 * @example Receive with a time limit
 * ```ts
 * import { Pull } from "@mqcat/mqcat";
 *
 * await using pull = new Pull();
 * await pull.bind("tcp://127.0.0.1:0");
 * try {
 *   await pull.receive({ signal: AbortSignal.timeout(10) });
 * } catch (error) {
 *   console.assert((error as Error).name === "TimeoutError");
 * }
 * ```
 */
export interface WaitOptions {
  /** Cancels the wait when it is aborted: the call then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** Settles as `promise` does, or rejects with the reason of `signal` as soon as it is aborted. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const settled = () => signal.removeEventListener("abort", abort);
    promise.then(resolve, reject).finally(settled);
  });
}
