import { ClosedError, HandshakeTimeoutError, messageOf, MqcatError, UnreachableError } from "../../errors.ts";
import type { ByteStream, TlsOptions } from "../../transport/stream.ts";
import { connect } from "../../transport/transport.ts";
import { AmqpConnection } from "./connection.ts";
import { endsLink } from "./errors.ts";
import { handshake } from "./handshake.ts";
import { Signal, sleep } from "../../transport/waiting.ts";
import { type BrokerAddress, formatBroker } from "./url.ts";

/** An event of a connection to a broker. */
export type AmqpEvent =
  /** A connection is established; `server` is the product and version of the broker. */
  | { readonly type: "connected"; readonly broker: string; readonly server: string }
  /** The connection was lost. A reconnect follows. */
  | { readonly type: "lost"; readonly broker: string; readonly error: Error }
  /** No host accepted the connection. The next attempt starts in `delay` milliseconds. */
  | { readonly type: "retrying"; readonly error: Error; readonly delay: number }
  /** The broker accepts no messages for the given reason; undefined: it accepts messages again. */
  | { readonly type: "blocked"; readonly reason: string | undefined };

/** Options for connecting to AMQP brokers. */
export interface AmqpOptions {
  /** Certificates for `amqps` URLs. */
  readonly tls?: TlsOptions;
  /** The time limit for connecting and logging in, for each host, in milliseconds. Default: 10000 */
  readonly handshakeTimeout?: number | undefined;
  /**
   * The first and the longest pause before an attempt to reconnect, in milliseconds. The pause doubles after each
   * failure. Default: 100 and 5000
   */
  readonly reconnect?: { readonly first: number; readonly longest: number };
  /** The size limit for received messages, in bytes. Default: 128 MiB */
  readonly maxMessageSize?: number | undefined;
  /** Called for each event of a connection. It must not throw: an error of it ends the connections of the client. */
  readonly onEvent?: (event: AmqpEvent) => void;
  /** Ends the first attempt to connect. The attempt then rejects with the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** Options of a link. */
export interface LinkOptions extends AmqpOptions {
  /** Replaces the transport: returns a stream to the broker, which may have to be started first. */
  readonly dial?: ((signal: AbortSignal) => Promise<ByteStream>) | undefined;
  /**
   * How long the first connection is attempted again after temporary errors, in milliseconds: for brokers that
   * restart often. Default: 0
   */
  readonly patience?: number | undefined;
}

/** The user of a link, which is set up again on each connection. */
export interface LinkUser {
  /** Sets up a new connection: opens channels, declares queues. An error closes the connection. */
  onUp(connection: AmqpConnection): Promise<void>;
  /** The connection is lost or closed. */
  onDown(): void;
  /** The link failed permanently. */
  onFailure?(error: Error): void;
}

/** The first pause before a reconnect, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const NEVER = new AbortController().signal;
const MAX_MESSAGE = 128 * 2 ** 20;

/**
 * Connects to the first broker of a list that accepts the connection.
 *
 * @throws {RefusedError | IncompatiblePeerError | ProtocolError | AmqpError} a broker refused the connection
 * @throws {UnreachableError | HandshakeTimeoutError} no broker answered
 */
export async function connectBroker(
  brokers: readonly BrokerAddress[],
  options: LinkOptions = {},
): Promise<AmqpConnection> {
  let failure: Error | undefined;
  for (const broker of brokers) {
    const timeout = options.handshakeTimeout ?? broker.connectionTimeout ?? 10_000;
    const late = new HandshakeTimeoutError(
      `${formatBroker(broker)} did not answer within ${timeout / 1000} s`,
    );
    const attempt = new AbortController();
    const timer = setTimeout(() => attempt.abort(late), timeout);
    let stream: ByteStream | undefined;
    const stop = () => {
      attempt.abort(options.signal!.reason);
      stream?.close(); // During the handshake.
    };
    options.signal?.addEventListener("abort", stop);
    const deadline = performance.now() + timeout;
    try {
      if (options.signal?.aborted) throw options.signal.reason;
      stream = options.dial === undefined
        ? await connect(broker.endpoint, { tls: options.tls ?? {}, signal: attempt.signal })
        : await options.dial(attempt.signal);
      if (options.signal?.aborted) stream.close();
      const tuned = await handshake(stream, broker, Math.max(1, Math.round(deadline - performance.now())));
      const connection = new AmqpConnection(stream, tuned, options.maxMessageSize ?? MAX_MESSAGE);
      try {
        options.onEvent?.({ type: "connected", broker: formatBroker(broker), server: connection.server });
      } catch (error) {
        connection.abort();
        throw new CallbackError(error);
      }
      return connection;
    } catch (error) {
      if (error instanceof CallbackError) throw error.cause;
      if (options.signal?.aborted) throw options.signal.reason;
      if (endsLink(error)) throw error;
      failure = error as Error;
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
    }
  }
  throw failure ?? new UnreachableError("Cannot connect as the list of brokers is empty");
}

/** Carries the error of a callback of the user past the handling of the errors of a connection. */
class CallbackError extends Error {
  constructor(cause: unknown) {
    super("A callback failed", { cause });
  }
}

/** Repeats `work` after temporary errors, for `options.patience` milliseconds. */
export async function patiently<T>(options: LinkOptions, work: () => Promise<T>): Promise<T> {
  const end = performance.now() + (options.patience ?? 0);
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (
        options.signal?.aborted || performance.now() >= end || !(error instanceof MqcatError) ||
        endsLink(error)
      ) {
        throw error;
      }
    }
    await sleep(FIRST_PAUSE_MS * Math.random(), options.signal ?? NEVER);
  }
}

/** Maintains one connection for its user: reconnects until it is closed or fails permanently. */
export class Link {
  /** Fires when the link is connected, loses its connection or fails. */
  readonly changed: Signal = new Signal();
  /** The permanent failure. */
  failure: Error | undefined;

  readonly #brokers: readonly BrokerAddress[];
  readonly #options: LinkOptions;
  readonly #user: LinkUser;
  readonly #stop = new AbortController();
  #connection: AmqpConnection | undefined;
  #running: Promise<void> | undefined;

  constructor(brokers: readonly BrokerAddress[], options: LinkOptions, user: LinkUser) {
    this.#brokers = brokers;
    this.#options = options;
    this.#user = user;
  }

  /** The connection; undefined while the link is not connected or not set up. */
  get connection(): AmqpConnection | undefined {
    return this.#connection;
  }

  /**
   * Connects for the first time. A failure is repeated only within `patience`.
   *
   * @throws the errors of `connectBroker` and of the user's `onUp`
   */
  async start(): Promise<void> {
    const connection = await patiently(this.#options, () => this.#up());
    if (this.failure !== undefined) throw this.failure;
    this.#running = this.#run(connection);
  }

  /**
   * Closes the connection with `connection.close`, and ends the link.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 2000
   */
  async close(limit?: number): Promise<void> {
    this.#stop.abort(new ClosedError("The client closed the connection"));
    await this.#connection?.close(limit);
    await this.#running;
  }

  async #up(): Promise<AmqpConnection> {
    const { signal: given } = this.#options;
    const signal = given === undefined || this.#running !== undefined
      ? this.#stop.signal
      : AbortSignal.any([given, this.#stop.signal]);
    const connection = await connectBroker(this.#brokers, {
      ...this.#options,
      onEvent: (event) => this.#report(event),
      signal,
    });
    const onBlocked = (reason: string | undefined) => this.#report({ type: "blocked", reason });
    connection.events.onBlocked = onBlocked;
    if (connection.blocked !== undefined) onBlocked(connection.blocked);
    const stop = () => connection.abort();
    try {
      signal.addEventListener("abort", stop);
      if (signal.aborted) stop();
      await this.#user.onUp(connection);
    } catch (error) {
      await connection.close();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
    if (this.#stop.signal.aborted) await connection.close();
    this.#connection = connection;
    this.changed.fire();
    return connection;
  }

  async #run(connection: AmqpConnection): Promise<void> {
    const broker = this.#brokers.map(formatBroker).join(",");
    const { first, longest } = this.#options.reconnect ?? { first: FIRST_PAUSE_MS, longest: 5000 };
    let pause = first;
    for (;;) {
      const error = await connection.closed;
      this.#connection = undefined;
      this.#user.onDown();
      if (this.#stop.signal.aborted) break;
      const lost = error ?? new UnreachableError("The connection was closed");
      if (endsLink(lost)) return this.fail(lost);
      this.#report({ type: "lost", broker, error: lost });
      this.changed.fire();
      for (let next: AmqpConnection | undefined; next === undefined;) {
        // Jitter spreads the reconnects of many clients after a restart of the broker.
        const delay = Math.round(pause * (0.5 + Math.random() / 2));
        await sleep(delay, this.#stop.signal);
        if (this.#stop.signal.aborted) return this.changed.fire();
        pause = Math.min(pause * 2, longest);
        try {
          next = connection = await this.#up();
          pause = first;
        } catch (error) {
          if (this.#stop.signal.aborted) return this.changed.fire();
          if (endsLink(error)) return this.fail(error as Error);
          this.#report({ type: "retrying", error: error as Error, delay: pause });
        }
      }
    }
    this.changed.fire();
  }

  /** Reports an event. An error of the callback has no caller to catch it, so it ends the link. */
  #report(event: AmqpEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  /** Ends the link with a permanent failure. */
  fail(error: Error): void {
    if (this.failure === undefined) {
      this.failure = error;
      this.#user.onFailure?.(error);
    }
    this.#stop.abort(error);
    this.#connection?.close();
    this.changed.fire();
  }
}
