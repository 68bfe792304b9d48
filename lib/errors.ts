/** Every error that the library throws or reports on purpose, with a code that stays the same across releases. */
export type ErrorCode =
  | "ERR_ENDPOINT"
  | "ERR_PROTOCOL"
  | "ERR_HANDSHAKE_TIMEOUT"
  | "ERR_INCOMPATIBLE_PEER"
  | "ERR_AUTH"
  | "ERR_UNREACHABLE"
  | "ERR_ADDRESS_IN_USE"
  | "ERR_LIMIT"
  | "ERR_CLOSED"
  | "ERR_AMQP_CHANNEL"
  | "ERR_AMQP_CONNECTION"
  | "ERR_DEFINITIONS";

/**
 * The root of the tree. `message` says what was expected, what came and what to do; `cause` holds the error
 * underneath, when there is one.
 */
export class MqcatError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** An endpoint that cannot be parsed, or that the socket cannot use. */
export class EndpointError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_ENDPOINT", message, options);
  }
}

/** The peer broke the wire protocol, or does not speak it. Never retried. */
export class ProtocolError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_PROTOCOL", message, options);
  }
}

/** The peer speaks the protocol, but its socket type, mechanism or version does not fit ours. Never retried. */
export class IncompatiblePeerError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_INCOMPATIBLE_PEER", message, options);
  }
}

/** One side does not accept the other's credentials. Never retried, but once when the peer gave no reason. */
export class AuthError extends MqcatError {
  /** False when the peer hung up without a word, at a moment when only that can be meant. */
  readonly certain: boolean;

  constructor(message: string, options: ErrorOptions & { readonly certain?: boolean } = {}) {
    super("ERR_AUTH", message, options);
    this.certain = options.certain ?? true;
  }
}

/** The handshake did not finish before its deadline. Retried. */
export class HandshakeTimeoutError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_HANDSHAKE_TIMEOUT", message, options);
  }
}

/** Nobody answers at the endpoint, or the connection broke. Retried. */
export class UnreachableError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_UNREACHABLE", message, options);
  }
}

/** The endpoint to bind is taken, or may not be bound. */
export class AddressInUseError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_ADDRESS_IN_USE", message, options);
  }
}

/** Input or a message is over a stated limit. */
export class LimitError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_LIMIT", message, options);
  }
}

/** The socket was closed while an operation was waiting, or before it began. */
export class ClosedError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_CLOSED", message, options);
  }
}

const FINAL: ReadonlySet<ErrorCode> = new Set([
  "ERR_PROTOCOL",
  "ERR_INCOMPATIBLE_PEER",
  "ERR_AUTH",
  "ERR_LIMIT",
]);

/** Whether a failed connection is not worth another try: the peer would answer the same again. */
export function isFinal(error: unknown): boolean {
  return error instanceof MqcatError && FINAL.has(error.code);
}

/** The text of anything thrown: an error's message, else the value as a string. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
