import os from "node:os";
import { type ErrorCode, MqcatError } from "../../lib/errors.ts";

/** The exit codes of mqcat. A command that was ended by a signal exits with 128 plus the number of the signal. */
export const EXIT = {
  done: 0,
  failure: 1,
  usage: 2,
  timeout: 3,
  refused: 4,
  undelivered: 5,
  exec: 6,
} as const;

/** The meanings of the exit codes, for help and man pages. */
export const EXIT_MEANINGS: readonly (readonly [code: string, meaning: string])[] = [
  ["0", "success"],
  ["1", "failure"],
  ["2", "usage"],
  ["3", "timeout"],
  ["4", "refused"],
  ["5", "not everything was delivered"],
  ["6", "--exec failed"],
  ["128+n", "ended by signal n"],
];

/** A mistake on the command line. */
export class UsageError extends Error {}

/** The `-w` deadline passed. */
export class TimeoutError extends Error {}

/** The end of work that a signal interrupted; the exit code is that of the signal. */
export class StoppedError extends Error {}

/** The exit codes of the library's errors. */
const EXIT_CODES: Record<ErrorCode, number> = {
  ERR_ENDPOINT: EXIT.usage,
  ERR_AUTH: EXIT.refused,
  ERR_HANDSHAKE_TIMEOUT: EXIT.refused,
  ERR_INCOMPATIBLE_PEER: EXIT.refused,
  ERR_PROTOCOL: EXIT.refused,
  ERR_UNREACHABLE: EXIT.refused,
  ERR_CERTIFICATE: EXIT.refused,
  ERR_HTTP_API: EXIT.refused,
  ERR_NO_CERTIFICATE: EXIT.usage,
  ERR_ADDRESS_IN_USE: EXIT.failure,
  ERR_LIMIT: EXIT.failure,
  ERR_CLOSED: EXIT.failure,
  ERR_AMQP_CHANNEL: EXIT.failure,
  ERR_MQTT: EXIT.failure,
  ERR_STOMP: EXIT.failure,
  ERR_AMQP_CONNECTION: EXIT.failure,
  ERR_DEFINITIONS: EXIT.failure,
  ERR_STREAM: EXIT.failure,
  ERR_FILTER: EXIT.usage,
};

/** The exit code for an error that ended the command. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || error instanceof RangeError) return EXIT.usage;
  if (error instanceof TimeoutError) return EXIT.timeout;
  return error instanceof MqcatError ? EXIT_CODES[error.code] : EXIT.failure;
}

/** The exit code of a program that a signal ended. */
export function signalCode(signal: NodeJS.Signals): number {
  return 128 + os.constants.signals[signal];
}

/** The options that help with an error of the library, which does not know the command line. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  ERR_CERTIFICATE: "--cacert FILE names an authority to trust, -k accepts any certificate",
  ERR_HTTP_API: "--http ADDRESS names the HTTP API",
  ERR_NO_CERTIFICATE: "--cert FILE --key FILE",
};

/** Returns the options that help with an error; undefined when there are none. */
export function hintFor(error: unknown): string | undefined {
  return error instanceof MqcatError ? HINTS[error.code] : undefined;
}
