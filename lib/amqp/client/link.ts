import { ClosedError, HandshakeTimeoutError, MqcatError, UnreachableError } from "../../errors.ts";
import type { ByteStream, TlsOptions } from "../../transport/stream.ts";
import { connect } from "../../transport/transport.ts";
import { AmqpConnection } from "./connection.ts";
import { endsLink } from "./errors.ts";
import { handshake } from "./handshake.ts";
import { Signal, sleep } from "../../transport/waiting.ts";
import { type BrokerAddress, formatBroker } from "./url.ts";

/** What happens to a link. */
export type AmqpEvent =
  | { readonly type: "connected"; readonly broker: string; readonly server: string }
  | { readonly type: "lost"; readonly broker: string; readonly error: Error }
  /** No host took us; the next round comes in `delay` milliseconds. */
  | { readonly type: "retrying"; readonly error: Error; readonly delay: number }
  /** The broker takes no messages for now; undefined: it takes them again. */
  | { readonly type: "blocked"; readonly reason: string | undefined };

/** How to reach brokers. */
export interface LinkOptions {
  readonly tls?: TlsOptions;
  /** Makes the connection in place of the transport: to a broker that may have to be started, say. */
  readonly dial?: ((signal: AbortSignal) => Promise<ByteStream>) | undefined;
  /** For connecting and logging in, in milliseconds. 10 000 unless told. */
  readonly handshakeTimeout?: number | undefined;
  /**
   * How long the first connection may be tried again while nothing final is wrong, in milliseconds: for brokers that
   * come and go. Not at all unless told.
   */
  readonly patience?: number | undefined;
  /** The first and the longest pause before a connection is tried again, in milliseconds. 100 and 5000 unless told. */
  readonly reconnect?: { readonly first: number; readonly longest: number };
  /** The largest message that is taken, in bytes. 128 MiB unless told. */
  readonly maxMessageSize?: number | undefined;
  readonly onEvent?: (event: AmqpEvent) => void;
  /** Ends the first attempt to connect. */
  readonly signal?: AbortSignal;
}

/** What works on a link: it is set up anew on each connection. */
export interface LinkUser {
  /** The connection is there: open channels, declare, go on. An error that it throws ends the connection. */
  onUp(connection: AmqpConnection): Promise<void>;
  onDown(): void;
}

/** The first pause before a connection is tried again, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const NEVER = new AbortController().signal;
const MAX_MESSAGE = 128 * 2 ** 20;

/**
 * Connects to the first of the brokers that takes us.
 *
 * @throws {RefusedError | IncompatiblePeerError | ProtocolError | AmqpError} one of them did not let us in
 * @throws {UnreachableError | HandshakeTimeoutError} none of them answers
 */
export async function connectBroker(
  brokers: readonly BrokerAddress[],
  options: LinkOptions = {},
): Promise<AmqpConnection> {
  const timeout = options.handshakeTimeout ?? 10_000;
  let failure: Error | undefined;
  for (const broker of brokers) {
    const late = new HandshakeTimeoutError(
      `${formatBroker(broker)} did not answer within ${timeout / 1000} s`,
    );
    const attempt = new AbortController();
    const timer = setTimeout(() => attempt.abort(late), timeout);
    const stop = () => attempt.abort(options.signal!.reason);
    options.signal?.addEventListener("abort", stop);
    const deadline = performance.now() + timeout;
    try {
      if (options.signal?.aborted) throw options.signal.reason;
      const stream = options.dial === undefined
        ? await connect(broker.endpoint, { tls: options.tls ?? {}, signal: attempt.signal })
        : await options.dial(attempt.signal);
      const tuned = await handshake(stream, broker, Math.max(1, Math.round(deadline - performance.now())));
      const connection = new AmqpConnection(stream, tuned, options.maxMessageSize ?? MAX_MESSAGE);
      options.onEvent?.({ type: "connected", broker: formatBroker(broker), server: connection.server });
      return connection;
    } catch (error) {
      if (options.signal?.aborted || endsLink(error)) throw error;
      failure = error as Error;
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", stop);
    }
  }
  throw failure ?? new UnreachableError("There is no broker to connect to");
}

/** Does it again while `options.patience` lasts and the failure is none that would stay. */
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

/** Keeps one connection up for its user: connects, and connects again, until it is closed or the failure is final. */
export class Link {
  /** Fires when something changes: connected, lost, failed. */
  readonly changed: Signal = new Signal();
  /** The final failure. */
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

  /** The connection, while there is one that is set up. */
  get connection(): AmqpConnection | undefined {
    return this.#connection;
  }

  /**
   * Connects for the first time. Only from then on, or with `patience`, are failures tried again.
   *
   * @throws what `connectBroker` or the user's `onUp` throws
   */
  async start(): Promise<void> {
    const connection = await patiently(this.#options, () => this.#up());
    this.#running = this.#run(connection);
  }

  /** Ends it, with a goodbye. */
  async close(): Promise<void> {
    this.#stop.abort(new ClosedError("The link was closed"));
    await this.#connection?.close();
    await this.#running;
  }

  async #up(): Promise<AmqpConnection> {
    const signal = this.#options.signal;
    const connection = await connectBroker(this.#brokers, {
      ...this.#options,
      signal: signal === undefined || this.#running !== undefined
        ? this.#stop.signal
        : AbortSignal.any([signal, this.#stop.signal]),
    });
    const onBlocked = (reason: string | undefined) => this.#options.onEvent?.({ type: "blocked", reason });
    connection.events.onBlocked = onBlocked;
    if (connection.blocked !== undefined) onBlocked(connection.blocked);
    try {
      await this.#user.onUp(connection);
    } catch (error) {
      await connection.close();
      throw error;
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
      this.#options.onEvent?.({ type: "lost", broker, error: lost });
      this.changed.fire();
      for (let next: AmqpConnection | undefined; next === undefined;) {
        // Jitter keeps a thousand clients of one restarted broker apart.
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
          this.#options.onEvent?.({ type: "retrying", error: error as Error, delay: pause });
        }
      }
    }
    this.changed.fire();
  }

  /** Ends it for good. */
  fail(error: Error): void {
    this.failure ??= error;
    this.#stop.abort(error);
    this.#connection?.close();
    this.changed.fire();
  }
}
