/** The commands and response codes of RabbitMQ's stream protocol that a publisher needs. */
import { MqcatError } from "../../../errors.ts";

/** The keys of commands. A response has the key of its request and `RESPONSE`. */
export const COMMAND = {
  declarePublisher: 0x01,
  publish: 0x02,
  publishConfirm: 0x03,
  publishError: 0x04,
  queryPublisherSequence: 0x05,
  metadataUpdate: 0x10,
  peerProperties: 0x11,
  saslHandshake: 0x12,
  saslAuthenticate: 0x13,
  tune: 0x14,
  open: 0x15,
  close: 0x16,
  heartbeat: 0x17,
} as const;

/** The bit that marks a response. */
export const RESPONSE = 0x8000;
/** The version of all commands. */
export const VERSION = 1;
/** The code of success. */
export const OK = 1;

const STREAM_NOT_AVAILABLE = 6;
const INTERNAL_ERROR = 15;

/** The response codes, by number. */
const TEXTS: Readonly<Record<number, string>> = {
  2: "the stream does not exist",
  6: "the stream is not available",
  7: "the SASL mechanism is not supported",
  8: "wrong user or password",
  9: "SASL error",
  11: "the user may log in from the host of the server only",
  12: "the user has no access to the virtual host",
  13: "unknown frame",
  14: "the frame is too large",
  15: "internal error",
  16: "access refused",
  17: "precondition failed",
  18: "the publisher does not exist",
};

/** A response of the server that is not a success. */
export class StreamError extends MqcatError {
  readonly responseCode: number;

  constructor(responseCode: number, what: string) {
    super("ERR_STREAM", `${what}: ${TEXTS[responseCode] ?? `response code ${responseCode}`}`);
    this.responseCode = responseCode;
  }

  /** Whether the error may be over after some time. */
  get isTemporary(): boolean {
    return this.responseCode === STREAM_NOT_AVAILABLE || this.responseCode === INTERNAL_ERROR;
  }
}
