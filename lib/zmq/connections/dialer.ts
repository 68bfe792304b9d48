import { AuthError, isFinal } from "../../errors.ts";
import { type Endpoint, formatEndpoint } from "../../transport/endpoint.ts";
import type { ByteStream } from "../../transport/stream.ts";
import { connect } from "../../transport/transport.ts";
import { sleep } from "../../transport/waiting.ts";
import { connectDatagrams } from "./datagrams.ts";
import { type ResolvedOptions, transportOptions } from "../options.ts";

/** The time after which a connection counts as useful even without any message, in milliseconds. */
const LASTING_MS = 1000;

/** Runs one connection from the handshake to its end. The promise resolves to the way it ended and never rejects. */
export type Serve = (stream: ByteStream, endpoint: string) => Promise<Ending>;

/** The way in which a connection ended. */
export interface Ending {
  readonly error: Error | undefined;
  /** Whether the handshake had succeeded. */
  readonly wasReady: boolean;
  /** Whether data was sent or received after the handshake. */
  readonly wasUseful: boolean;
  /** Whether the peer refused the connection after the handshake. */
  readonly wasRefused?: boolean;
}

/** Keeps one connection: connects, serves and reconnects until it is stopped or an error is final. */
export class Dialer {
  readonly endpoint: string;
  /** Whether a peer at the endpoint has ever been ready. */
  reached = false;
  /** Whether the peer refused the last connection after the handshake. */
  refused = false;
  /** Resolves when the dialer will not connect again: to the final error, or to undefined when it was stopped. */
  readonly done: Promise<Error | undefined>;

  readonly #target: Endpoint;
  readonly #options: ResolvedOptions;
  readonly #serve: Serve;
  readonly #retriesRefusal: boolean;
  readonly #stop = new AbortController();

  /** @param retriesRefusal whether to connect again although the peer refused the first connection after its handshake */
  constructor(target: Endpoint, options: ResolvedOptions, serve: Serve, retriesRefusal: boolean) {
    this.#retriesRefusal = retriesRefusal;
    this.endpoint = formatEndpoint(target);
    this.#target = target;
    this.#options = options;
    this.#serve = serve;
    this.done = this.#run();
  }

  /** Makes no further attempts. An open connection stays open. */
  stop(): void {
    this.#stop.abort(new DOMException("stopped", "AbortError"));
  }

  /** Whether `stop` was called. */
  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<Error | undefined> {
    const { first, longest } = this.#options.reconnect;
    let pause = first;
    let doubted = false;
    let wasted = false;
    let accepted = this.#retriesRefusal;
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      const { error, wasReady, wasUseful, wasRefused = false } = await this.#once();
      this.refused = wasRefused;
      if (this.#stop.signal.aborted) return wasRefused ? error : undefined;
      // A peer that accepted us earlier may still count our lost connection.
      const temporary = wasRefused && accepted;
      if (wasReady && !wasRefused) accepted = true;
      // A peer that closed without an error message may have had another reason, so one retry is made.
      const doubtful = error instanceof AuthError && !error.certain;
      if (error !== undefined && isFinal(error) && !temporary && (!doubtful || doubted)) return error;
      doubted = doubtful;
      if (wasReady) {
        // A peer that repeatedly accepts and closes at once is retried with growing pauses.
        const useless = !wasUseful && performance.now() - began < LASTING_MS;
        if (!useless || !wasted) pause = first;
        wasted = useless;
      }
      // Jitter spreads the reconnects of many clients after a restart of their server.
      const delay = Math.round(pause * (0.5 + Math.random() / 2));
      this.#options.onEvent({ type: "retrying", endpoint: this.endpoint, error, delay });
      await sleep(delay, this.#stop.signal);
      pause = Math.min(pause * 2, longest);
    }
    return undefined;
  }

  async #once(): Promise<Ending> {
    const attempt = new AbortController();
    const late = new DOMException(
      `no answer within ${this.#options.handshakeTimeout / 1000} s`,
      "TimeoutError",
    );
    const timer = setTimeout(() => attempt.abort(late), this.#options.handshakeTimeout);
    const stop = () => attempt.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener("abort", stop);
    let stream: ByteStream;
    try {
      stream = this.#target.scheme === "udp"
        ? await connectDatagrams(this.#target)
        : await connect(this.#target, { ...transportOptions(this.#options), signal: attempt.signal });
    } catch (error) {
      return { error: error as Error, wasReady: false, wasUseful: false };
    } finally {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener("abort", stop);
    }
    if (this.#stop.signal.aborted) {
      stream.close();
      return { error: undefined, wasReady: false, wasUseful: false };
    }
    return await this.#serve(stream, this.endpoint);
  }
}
