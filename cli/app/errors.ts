import { type ErrorCode, MqcatError } from "../../lib/errors.ts";

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
    case "ERR_NO_CERTIFICATE":
      return EXIT.usage;
    case "ERR_AUTH":
    case "ERR_CERTIFICATE":
    case "ERR_HANDSHAKE_TIMEOUT":
    case "ERR_INCOMPATIBLE_PEER":
    case "ERR_PROTOCOL":
    case "ERR_UNREACHABLE":
      return EXIT.refused;
    default:
      return EXIT.failure;
  }
}

/** The options that help with an error of the library, which does not know the command line. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  ERR_CERTIFICATE: "--cacert FILE names an authority to trust, -k accepts any certificate",
  ERR_NO_CERTIFICATE: "--cert FILE --key FILE",
};

/** Returns the options that help with an error; undefined when there are none. */
export function hintFor(error: unknown): string | undefined {
  return error instanceof MqcatError ? HINTS[error.code] : undefined;
}
