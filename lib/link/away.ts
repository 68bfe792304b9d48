import { UnreachableError } from "../errors.ts";

/**
 * The broker answers, but what its user needs is unavailable, for example a queue whose node is down. It may come back, so
 * it is worth waiting for: see `LinkOptions.awayPatience`.
 *
 * @example Distinguish a queue that may come back
 * ```ts
 * import { AwayError, pull } from "@mqcat/mqcat";
 *
 * try {
 *   await using jobs = await pull("amqp://localhost//jobs");
 *   console.log((await jobs.receive())?.text());
 * } catch (error) {
 *   if (!(error instanceof AwayError)) throw error;
 *   console.log("try again later:", error.message);
 * }
 * ```
 */
export class AwayError extends UnreachableError {}
