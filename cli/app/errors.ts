import { MqcatError } from "../../lib/errors.ts";

/** What the exit code of mqcat says. A signal's is 128 and its number. */
export const EXIT = {
  done: 0,
  failure: 1,
  usage: 2,
  timeout: 3,
  refused: 4,
  undelivered: 5,
  exec: 6,
} as const;

/** A mistake on the command line. */
export class UsageError extends Error {}

/** The `-w` deadline passed. */
export class TimeoutError extends Error {}

/** The one table from what was thrown to the exit code. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof RangeError) return EXIT.usage;
  if (error instanceof TimeoutError) return EXIT.timeout;
  if (!(error instanceof MqcatError)) return EXIT.failure;
  switch (error.code) {
    case "ERR_ENDPOINT":
      return EXIT.usage;
    case "ERR_AUTH":
    case "ERR_HANDSHAKE_TIMEOUT":
    case "ERR_INCOMPATIBLE_PEER":
    case "ERR_PROTOCOL":
    case "ERR_UNREACHABLE":
      return EXIT.refused;
    default:
      return EXIT.failure;
  }
}
