/** The codes of the library's errors. A code stays the same across releases. */
export type ErrorCode =
  | "ERR_ENDPOINT"
  | "ERR_PROTOCOL"
  | "ERR_HANDSHAKE_TIMEOUT"
  | "ERR_INCOMPATIBLE_PEER"
  | "ERR_AUTH"
  | "ERR_UNREACHABLE"
  | "ERR_CERTIFICATE"
  | "ERR_HTTP_API"
  | "ERR_NO_CERTIFICATE"
  | "ERR_ADDRESS_IN_USE"
  | "ERR_LIMIT"
  | "ERR_CLOSED"
  | "ERR_AMQP_CHANNEL"
  | "ERR_AMQP_CONNECTION"
  | "ERR_MQTT"
  | "ERR_STOMP"
  | "ERR_DEFINITIONS"
  | "ERR_STREAM"
  | "ERR_FILTER";

/**
 * The base class of the library's errors. `message` says what was expected, what happened and what to do; `cause` holds
 * the underlying error, if there is one.
 *
 * @example Distinguish the library's errors from others
 * ```ts
 * import { connect, MqcatError } from "../mod.ts";
 * try {
 *   await connect("tcp://127.0.0.1:1");
 * } catch (error) {
 *   if (!(error instanceof MqcatError)) throw error;
 *   console.log(error.code, error.message);
 * }
 * ```
 */
export class MqcatError extends Error {
  /** Says which error it is; the text of `message` may change. */
  readonly code: ErrorCode;

  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * An endpoint is malformed, or it does not fit its use.
 *
 * @example A port is missing
 * ```ts
 * import { EndpointError, parseEndpoint } from "../mod.ts";
 * try {
 *   parseEndpoint("tcp://localhost");
 * } catch (error) {
 *   console.assert(error instanceof EndpointError);
 * }
 * ```
 */
export class EndpointError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(
    message: string,
    options?: ErrorOptions,
    code: "ERR_ENDPOINT" | "ERR_NO_CERTIFICATE" = "ERR_ENDPOINT",
  ) {
    super(code, message, options);
  }
}

/**
 * A listener for TLS has no certificate, or no private key.
 *
 * @example A certificate is missing
 * ```ts
 * import { listen, MissingCertificateError } from "../mod.ts";
 * try {
 *   await listen("tls://127.0.0.1:0", (stream) => stream.close());
 * } catch (error) {
 *   console.assert(error instanceof MissingCertificateError);
 * }
 * ```
 */
export class MissingCertificateError extends EndpointError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options, "ERR_NO_CERTIFICATE");
  }
}

/**
 * The peer violates the wire protocol, or speaks another one. Never retried.
 *
 * @example Report a peer that does not speak ZeroMQ
 * ```ts
 * import { ProtocolError, Pull } from "../mod.ts";
 * const pull = new Pull({
 *   onEvent(event) {
 *     if (event.type === "handshake-failed" && event.error instanceof ProtocolError) console.log(event.endpoint);
 *   },
 * });
 * await pull.close();
 * ```
 */
export class ProtocolError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_PROTOCOL", message, options);
  }
}

/**
 * The peer speaks the protocol, but its socket type, mechanism or version does not fit ours. Never retried.
 *
 * @example Report a peer of the wrong type
 * ```ts
 * import { IncompatiblePeerError, Push } from "../mod.ts";
 * const push = new Push({
 *   onEvent(event) {
 *     if (event.type === "handshake-failed" && event.error instanceof IncompatiblePeerError) {
 *       console.log(event.error.message);
 *     }
 *   },
 * });
 * await push.close();
 * ```
 */
export class IncompatiblePeerError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_INCOMPATIBLE_PEER", message, options);
  }
}

/**
 * One side rejects the other's credentials. Not retried, except once when the peer gave no reason.
 *
 * @example Report a peer with wrong credentials
 * ```ts
 * import { AuthError, Pull } from "../mod.ts";
 * const pull = new Pull({
 *   onEvent(event) {
 *     if (event.type === "handshake-failed" && event.error instanceof AuthError) console.log(event.endpoint);
 *   },
 * });
 * await pull.close();
 * ```
 */
export class AuthError extends MqcatError {
  /** False when the peer closed the connection without a reason, at a point where rejection is the likely one. */
  readonly certain: boolean;

  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options: ErrorOptions & { readonly certain?: boolean } = {}) {
    super("ERR_AUTH", message, options);
    this.certain = options.certain ?? true;
  }
}

/**
 * A broker refused the login or a subscription: wrong credentials, or a virtual host that does not exist or that the user
 * has no access to. Never retried.
 *
 * @example Report wrong credentials
 * ```ts
 * import { connectAmqp, RefusedError } from "@mqcat/mqcat";
 *
 * try {
 *   await using client = await connectAmqp("amqp://me:wrong@localhost");
 *   console.log(client.server);
 * } catch (error) {
 *   if (!(error instanceof RefusedError)) throw error;
 *   console.error(error.message);
 * }
 * ```
 */
export class RefusedError extends MqcatError {
  /**
   * Makes an error with the code `ERR_AUTH`.
   *
   * @param message the reason, and a remedy
   * @param options may hold the underlying error as `cause`
   */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AUTH", message, options);
  }
}

/**
 * The handshake did not finish before its deadline. Retried.
 *
 * @example Report a peer that says nothing
 * ```ts
 * import { HandshakeTimeoutError, Pull } from "../mod.ts";
 * const pull = new Pull({
 *   onEvent(event) {
 *     if (event.type === "handshake-failed" && event.error instanceof HandshakeTimeoutError) {
 *       console.log(event.endpoint);
 *     }
 *   },
 * });
 * await pull.close();
 * ```
 */
export class HandshakeTimeoutError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_HANDSHAKE_TIMEOUT", message, options);
  }
}

/**
 * No program answers at the endpoint, or the connection broke. Retried.
 *
 * @example No program listens
 * ```ts
 * import { connect, UnreachableError } from "../mod.ts";
 * try {
 *   await connect("tcp://127.0.0.1:1");
 * } catch (error) {
 *   console.assert(error instanceof UnreachableError);
 * }
 * ```
 */
export class UnreachableError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(
    message: string,
    options?: ErrorOptions,
    code: "ERR_UNREACHABLE" | "ERR_CERTIFICATE" | "ERR_HTTP_API" = "ERR_UNREACHABLE",
  ) {
    super(code, message, options);
  }
}

/**
 * The peer's certificate is not trusted here, or it names another host. Retried, as the certificate may be replaced.
 *
 * @example Trust an authority of our own
 * ```ts
 * import { CertificateError, connect } from "../mod.ts";
 * const ca = "-----BEGIN CERTIFICATE-----…";
 * try {
 *   await connect("tls://127.0.0.1:1", { tls: { ca } });
 * } catch (error) {
 *   if (error instanceof CertificateError) console.log(error.message);
 * }
 * ```
 */
export class CertificateError extends UnreachableError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options, "ERR_CERTIFICATE");
  }
}

/**
 * Another program is bound to the endpoint.
 *
 * @example A port that is in use
 * ```ts
 * import { AddressInUseError, listen } from "../mod.ts";
 * await using first = await listen("tcp://127.0.0.1:0", (stream) => stream.close());
 * try {
 *   await listen(first.endpoint, (stream) => stream.close());
 * } catch (error) {
 *   console.assert(error instanceof AddressInUseError);
 * }
 * ```
 */
export class AddressInUseError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_ADDRESS_IN_USE", message, options);
  }
}

/**
 * Input or a message is over a limit.
 *
 * @example A datagram that is too large
 * ```ts
 * import { connectEcho, LimitError } from "../mod.ts";
 * await using client = await connectEcho("udp://127.0.0.1:65432", { onData() {} });
 * try {
 *   client.send(new Uint8Array(65_508));
 * } catch (error) {
 *   console.assert(error instanceof LimitError);
 * }
 * ```
 */
export class LimitError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_LIMIT", message, options);
  }
}

/**
 * The object was closed before an operation began, or while the operation was waiting.
 *
 * @example A socket that is closed
 * ```ts
 * import { ClosedError, Pull } from "../mod.ts";
 * const pull = new Pull();
 * await pull.close();
 * try {
 *   pull.connect("tcp://127.0.0.1:5555");
 * } catch (error) {
 *   console.assert(error instanceof ClosedError);
 * }
 * ```
 */
export class ClosedError extends MqcatError {
  /** Creates the error; `message` is a sentence without a full stop. */
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

/** Whether another attempt to connect would fail in the same way. */
export function isFinal(error: unknown): boolean {
  return error instanceof MqcatError && FINAL.has(error.code);
}

/** Returns the text of a thrown value: an error's message, else the value as a string. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
