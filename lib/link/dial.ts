import { AwayError } from "./away.ts";
import {
  CertificateError,
  HandshakeTimeoutError,
  messageOf,
  MqcatError,
  UnreachableError,
} from "../errors.ts";
import { isAddress, resolve } from "../transport/address.ts";
import type { Endpoint } from "../transport/endpoint_types.ts";
import type { ByteStream } from "../transport/stream.ts";
import { connect } from "../transport/transport.ts";
import { sleep } from "../transport/waiting.ts";
import { untilAborted } from "./abort.ts";
import { shuffled } from "./shuffle.ts";
import type { LinkOptions } from "./options.ts";
import type { Address, Connection, Protocol } from "./protocol.ts";

/** The first pause before a reconnect, in milliseconds. */
export const FIRST_PAUSE_MS = 100;
/** The time limit for connecting and logging in, in milliseconds. */
const HANDSHAKE_MS = 10_000;
/** The longest pause before another look for something that is away, in milliseconds. */
const LONGEST_FIRST_PAUSE_MS = 2000;
const NEVER = new AbortController().signal;

/**
 * Connects to the first broker of a list that accepts the connection. The order is that of `options`. Names are resolved
 * again for each call, and all addresses of a name are tried.
 *
 * @throws the permanent errors of the protocol: a broker refused the connection
 * @throws {UnreachableError | HandshakeTimeoutError} no broker answered
 */
export async function dialFirst<A extends Address, C extends Connection>(
  protocol: Protocol<A, C>,
  addresses: readonly A[],
  options: LinkOptions = {},
): Promise<C> {
  const failures: Error[] = [];
  const given = options.shuffle ? shuffled(addresses) : addresses;
  const order = options.order === undefined
    ? given
    : await untilAborted(options.order(given), options.signal);
  for (const address of order) {
    const name = new Name(address.endpoint, options);
    do {
      try {
        return await dialOne(protocol, address, name, options);
      } catch (error) {
        if (error instanceof CallbackError) throw error.cause;
        if (options.signal?.aborted) throw options.signal.reason;
        // Each host has a certificate of its own.
        if (protocol.isPermanent(error) && !(error instanceof CertificateError)) throw error;
        failures.push(error as Error);
      }
    } while (name.next());
  }
  // Several addresses of a name often fail in the same way.
  const reasons = new Set(failures.map(messageOf));
  if (reasons.size === 0) throw new UnreachableError("Cannot connect as the list of brokers is empty");
  if (reasons.size === 1) throw failures[0];
  const text = [...reasons].map((reason, i) => i === 0 ? reason : reason[0]!.toLowerCase() + reason.slice(1));
  const kind = failures.every((failure) => failure instanceof CertificateError)
    ? CertificateError
    : UnreachableError;
  throw new kind(text.join("; "), { cause: failures.at(-1) });
}

/** The addresses of the host of an endpoint, one for each attempt. */
class Name {
  /** Undefined before the name is resolved, and for endpoints that are not resolved here. */
  #addresses: readonly string[] | undefined;
  #at = 0;

  readonly #host: string | undefined;
  readonly #options: LinkOptions;

  constructor(endpoint: Endpoint, options: LinkOptions) {
    const isName = (endpoint.scheme === "tcp" || endpoint.scheme === "tls") && !isAddress(endpoint.host);
    this.#host = isName ? endpoint.host : undefined;
    this.#options = options;
  }

  /** The address to try; undefined leaves it to the transport. */
  async address(signal: AbortSignal): Promise<string | undefined> {
    if (this.#host === undefined) return undefined;
    const { resolve: lookup = resolve, shuffle } = this.#options;
    if (this.#addresses === undefined) {
      const found = await untilAborted(lookup(this.#host), signal);
      this.#addresses = shuffle ? shuffled(found) : found;
    }
    return this.#addresses[this.#at];
  }

  /** Continues with the next address. @returns whether there is one */
  next(): boolean {
    return ++this.#at < (this.#addresses?.length ?? 0);
  }
}

async function dialOne<A extends Address, C extends Connection>(
  protocol: Protocol<A, C>,
  address: A,
  name: Name,
  options: LinkOptions,
): Promise<C> {
  const { signal } = options;
  const broker = protocol.format(address);
  const timeout = options.handshakeTimeout ?? address.connectionTimeout ?? HANDSHAKE_MS;
  const late = new HandshakeTimeoutError(`${broker} did not answer within ${timeout / 1000} s`);
  const attempt = new AbortController();
  const timer = setTimeout(() => attempt.abort(late), timeout);
  const deadline = performance.now() + timeout;
  let stream: ByteStream | undefined;
  const stop = () => {
    attempt.abort(signal!.reason);
    stream?.close(); // During the handshake.
  };
  signal?.addEventListener("abort", stop);
  const dial = async () => {
    if (signal?.aborted) throw signal.reason;
    stream = options.dial === undefined
      ? await connectTo(address.endpoint, name, options, attempt.signal)
      : await options.dial(attempt.signal);
    if (signal?.aborted) stream.close();
    return stream;
  };
  const remaining = () => Math.max(1, Math.round(deadline - performance.now()));
  try {
    const connection = await protocol.login({ dial, remaining }, address, options);
    try {
      options.onEvent?.({ type: "connected", broker, server: connection.server });
    } catch (error) {
      connection.abort();
      throw new CallbackError(error);
    }
    return connection;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function connectTo(
  endpoint: Endpoint,
  name: Name,
  { tls = {} }: LinkOptions,
  signal: AbortSignal,
): Promise<ByteStream> {
  return await connect(endpoint, { tls, signal, address: await name.address(signal) });
}

/** Carries the error of a callback of the user past the handling of the errors of a connection. */
class CallbackError extends Error {
  constructor(cause: unknown) {
    super("A callback failed", { cause });
  }
}

/**
 * Repeats `work` after temporary errors, for `options.patience` milliseconds; after an `AwayError` for
 * `options.awayPatience` milliseconds.
 *
 * @param isPermanent whether an error is permanent: see `Protocol`
 */
export async function patiently<T>(
  options: LinkOptions,
  isPermanent: (error: unknown) => boolean,
  work: () => Promise<T>,
): Promise<T> {
  const start = performance.now();
  for (let pause = FIRST_PAUSE_MS;; pause = Math.min(pause * 2, LONGEST_FIRST_PAUSE_MS)) {
    let isAway = false;
    try {
      return await work();
    } catch (error) {
      isAway = error instanceof AwayError;
      const { patience = 0, awayPatience = patience } = options;
      const end = start + (isAway ? awayPatience : patience);
      if (
        options.signal?.aborted || performance.now() >= end || !(error instanceof MqcatError) ||
        isPermanent(error)
      ) {
        throw error;
      }
      if (error instanceof AwayError) options.onEvent?.({ type: "away", error });
    }
    await sleep((isAway ? pause : FIRST_PAUSE_MS) * Math.random(), options.signal ?? NEVER);
  }
}
