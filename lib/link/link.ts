import { AwayError } from "./away.ts";
import { ClosedError, HandshakeTimeoutError, messageOf, UnreachableError } from "../errors.ts";
import { Signal, sleep } from "../transport/waiting.ts";
import { dialFirst, FIRST_PAUSE_MS, patiently } from "./dial.ts";
import type { LinkEvent, LinkOptions } from "./options.ts";
import type { Address, Connection, Protocol } from "./protocol.ts";

/** The longest pause before a reconnect, in milliseconds. */
const LONGEST_PAUSE_MS = 5000;

/** The time limit for setting up a connection, in milliseconds: a cluster may need long to answer that a queue is away. */
const SET_UP_MS = 60_000;

/** The user of a link, which is set up again on each connection. */
export interface LinkUser<C extends Connection> {
  /** Sets up a new connection: opens channels, subscribes. An error closes the connection. */
  onUp(connection: C): Promise<void>;
  /** The connection is lost or closed. */
  onDown(): void;
  /** The link failed permanently. */
  onFailure?(error: Error): void;
}

/** Maintains one connection for its user: reconnects until it is closed or fails permanently. */
export class Link<A extends Address, C extends Connection> {
  /** Fires when the link is connected, loses its connection or fails. */
  readonly changed: Signal = new Signal();
  /** The permanent failure. */
  failure: Error | undefined;

  readonly #protocol: Protocol<A, C>;
  readonly #addresses: readonly A[];
  readonly #options: LinkOptions;
  readonly #user: LinkUser<C>;
  readonly #stop = new AbortController();
  #connection: C | undefined;
  #broker = "";
  /** The number of addresses at the front of the list that the next attempt tries last. */
  #skipped = 0;
  #running: Promise<void> | undefined;

  constructor(
    protocol: Protocol<A, C>,
    addresses: readonly A[],
    options: LinkOptions,
    user: LinkUser<C>,
  ) {
    this.#protocol = protocol;
    this.#addresses = addresses;
    this.#options = options;
    this.#user = user;
  }

  /** The connection; undefined while the link is not connected or not set up. */
  get connection(): C | undefined {
    return this.#connection;
  }

  /** The host of the current or last connection; empty before the first one. */
  get broker(): string {
    return this.#broker;
  }

  /**
   * Connects for the first time. A failure is repeated only within `patience`.
   *
   * @throws the errors of `dialFirst` and of the user's `onUp`
   */
  async start(): Promise<void> {
    const isPermanent = (error: unknown) => this.#protocol.isPermanent(error);
    const connection = await patiently(this.#options, isPermanent, () => this.#up());
    if (this.failure !== undefined) throw this.failure;
    this.#running = this.#run(connection);
  }

  /**
   * Closes the connection with the goodbye of its protocol, and ends the link.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 2000
   */
  async close(limit?: number): Promise<void> {
    this.#stop.abort(new ClosedError("The client closed the connection"));
    await this.#connection?.close(limit);
    await this.#running;
  }

  async #up(): Promise<C> {
    const { signal: given } = this.#options;
    const signal = given === undefined || this.#running !== undefined
      ? this.#stop.signal
      : AbortSignal.any([given, this.#stop.signal]);
    const report = (event: LinkEvent) => {
      if (event.type === "connected") this.#broker = event.broker;
      this.#report(event);
    };
    const addresses = [...this.#addresses.slice(this.#skipped), ...this.#addresses.slice(0, this.#skipped)];
    const connection = await dialFirst(this.#protocol, addresses, {
      ...this.#options,
      onEvent: report,
      signal,
    });
    this.#protocol.watch?.(connection, report);
    const stop = () => connection.abort();
    const limit = this.#options.handshakeTimeout ?? SET_UP_MS;
    const late = new HandshakeTimeoutError(
      `${connection.server} did not answer the first requests after the login within ${limit / 1000} s`,
    );
    const timer = setTimeout(() => connection.abort(late), limit);
    try {
      signal.addEventListener("abort", stop);
      if (signal.aborted) stop();
      await this.#user.onUp(connection);
    } catch (error) {
      await connection.close();
      // What is away at one host may be there at another one.
      if (error instanceof AwayError) this.#skipped = this.#next();
      throw signal.aborted ? signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
    if (this.#stop.signal.aborted) await connection.close();
    this.#skipped = 0;
    this.#connection = connection;
    this.changed.fire();
    return connection;
  }

  /** The position of the address after that of the last connection. */
  #next(): number {
    const at = this.#addresses.findIndex((address) => this.#protocol.format(address) === this.#broker);
    return (at + 1) % this.#addresses.length;
  }

  async #run(connection: C): Promise<void> {
    const { first, longest } = this.#options.reconnect ??
      { first: FIRST_PAUSE_MS, longest: LONGEST_PAUSE_MS };
    let pause = first;
    let upAt = performance.now();
    for (;;) {
      const error = await connection.closed;
      this.#connection = undefined;
      // What ends a connection soon, such as a message that the server cannot read, may end the next one, too.
      if (performance.now() - upAt >= longest) pause = first;
      try {
        this.#user.onDown();
      } catch (error) {
        return this.fail(error as Error);
      }
      if (this.#stop.signal.aborted) break;
      const lost = error ?? new UnreachableError("The connection was closed");
      if (this.#protocol.isPermanent(lost)) return this.fail(lost);
      this.#report({ type: "lost", broker: this.#broker, error: lost });
      this.changed.fire();
      for (let next: C | undefined; next === undefined;) {
        // Jitter spreads the reconnects of many clients after a restart of the broker.
        const delay = Math.round(pause * (0.5 + Math.random() / 2));
        await sleep(delay, this.#stop.signal);
        if (this.#stop.signal.aborted) return this.changed.fire();
        pause = Math.min(pause * 2, longest);
        try {
          next = connection = await this.#up();
          upAt = performance.now();
        } catch (error) {
          if (this.#stop.signal.aborted) return this.changed.fire();
          if (this.#protocol.isPermanent(error)) return this.fail(error as Error);
          this.#report(
            error instanceof AwayError
              ? { type: "away", error }
              : { type: "retrying", error: error as Error, delay: pause },
          );
        }
      }
    }
    this.changed.fire();
  }

  /** Reports an event. An error of the callback has no caller to catch it, so it ends the link. */
  #report(event: LinkEvent): void {
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
