import { UnreachableError } from "../errors.ts";

/**
 * The broker answers, but what its user needs is away for now, for example a queue whose node is down. It may come back, so
 * it is worth waiting for: see `LinkOptions.awayPatience`.
 */
export class AwayError extends UnreachableError {}
