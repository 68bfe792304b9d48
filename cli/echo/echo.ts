import { connectEcho } from "../../lib/echo/client.ts";
import type { EchoClient } from "../../lib/echo/client_types.ts";
import { CertificateError, UnreachableError } from "../../lib/errors.ts";
import { type Endpoint, formatEndpoint, isLoopback } from "../../lib/transport/endpoint.ts";
import { isTerminal } from "../../lib/transport/runtime/stdout.ts";
import { carries } from "../../lib/transport/schemes/table.ts";
import type { TlsOptions } from "../../lib/transport/stream.ts";
import { TimeoutError, UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { endpoint } from "../app/values.ts";
import { Input, type Source } from "../io/input.ts";
import { LARGE, Output, outputFailure } from "../io/output.ts";
import { withinProcess } from "../options/endpoints.ts";
import type { TlsValues } from "../options/tls.ts";

/** Default endpoint of both echo commands. */
const DEFAULT = "127.0.0.1:65432";
/** If the input ends within this time after the peer has ended, it counts as complete, in milliseconds. */
const GRACE_MS = 100;

/**
 * Parses the endpoint of an echo command.
 *
 * @throws {UsageError} it is malformed, no peer could be at its other end, or the security options do not fit it
 */
export function echoEndpoint(operand: string | undefined, security: TlsValues): Endpoint {
  const where = endpoint(operand ?? DEFAULT);
  if (where.scheme === "inproc") throw new UsageError(withinProcess(where, DEFAULT));
  if (!carries(where, "bytes") && !carries(where, "datagrams")) {
    throw new UsageError(
      `${operand}: a WebSocket carries ZeroMQ's messages here, not plain bytes (try ${DEFAULT})`,
    );
  }
  const { insecure, cacert, cert, key } = security;
  if (where.scheme !== "tls" && (insecure || (cacert ?? cert ?? key) !== undefined)) {
    throw new UsageError(`certificates are for a tls:// endpoint: received ${formatEndpoint(where)}`);
  }
  return where;
}

/** Sends the input to the peer, and writes the echo to stdout, until the input, the peer or a signal ends it. */
export class EchoConversation {
  readonly #session: Session;
  readonly #endpoint: Endpoint;
  readonly #source: Source;
  readonly #output: Output;
  #client!: EchoClient;
  #fed = 0;
  #over = false;
  #cancelled = false;
  /** Continues sending when there is room again, or when the connection is over. */
  #wake = () => {};

  constructor(session: Session, endpoint: Endpoint, source: Source) {
    this.#session = session;
    this.#endpoint = endpoint;
    this.#source = source;
    this.#output = new Output(session);
  }

  /** @param timeout of `-w`, in milliseconds */
  async run(tls: TlsOptions, timeout: number | undefined): Promise<void> {
    const session = this.#session;
    const client = await this.#connect(tls, timeout);
    if (client === undefined) return;
    this.#client = client;
    this.#output.onChange = () => this.#onOutputChange();
    session.onStop(() => client.close());
    session.ready([client.remote]);
    this.#greet();

    const feeding = this.#feed().catch((error) => {
      client.close(error);
      return false;
    });
    const cause = await client.closed;
    this.#over = true;
    this.#wake();
    if (cause === undefined) await Promise.race([feeding, session.sleep(GRACE_MS)]);
    this.#cancelled = true;
    this.#source.cancel();
    const complete = await feeding;
    await this.#output.drained();
    this.#count();
    const failure = outputFailure(session, this.#output);
    if (failure !== undefined) throw failure;
    if (this.#output.failure !== undefined || session.stopping) return;
    if (cause !== undefined) throw this.#explain(cause);
    if (!complete) throw new Error("the peer ended the conversation before the end of the input");
  }

  /** Connects; resolves to undefined after a signal. */
  async #connect(tls: TlsOptions, timeout: number | undefined): Promise<EchoClient | undefined> {
    const abort = new AbortController();
    this.#session.onStop(() => abort.abort());
    try {
      return await connectEcho(this.#endpoint, {
        tls,
        timeout,
        connectTimeout: timeout,
        signal: abort.signal,
        onData: (chunk) => this.#print(chunk),
        onDrain: () => this.#wake(),
      });
    } catch (error) {
      if (abort.signal.aborted) return undefined;
      if (timeout !== undefined && isTimeout((error as Error).cause)) {
        throw new TimeoutError(`${phrase(error)} (-w)`, { cause: error });
      }
      throw error instanceof UnreachableError ? this.#withRemedy(error) : error;
    }
  }

  /** Sends the input; resolves to whether it was sent to its end. */
  async #feed(): Promise<boolean> {
    for (let batch = await this.#source.next(); batch !== undefined; batch = await this.#source.next()) {
      for (let at = 0; at < batch.frames; at++) {
        if (this.#over) return false;
        const chunk = batch.frame(at);
        this.#fed += chunk.length;
        if (!this.#client.send(chunk)) await this.#room();
      }
    }
    if (this.#cancelled) return false;
    this.#client.end();
    return true;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #print(chunk: Uint8Array): void {
    if (chunk.length >= LARGE) this.#output.appendLarge(chunk, undefined);
    else this.#output.append(chunk);
    this.#output.flush();
    if (this.#output.full) this.#client.pause();
  }

  #onOutputChange(): void {
    if (this.#output.failure !== undefined) this.#client.close();
    else this.#client.resume();
  }

  #greet(): void {
    const { reporter } = this.#session;
    const text = `connected to ${this.#client.remote}`;
    if (this.#source instanceof Input && isTerminal(0)) {
      reporter.info(`${text}: the peer returns each line that you type, Ctrl-D ends the input`);
    } else reporter.verbose(text);
  }

  #count(): void {
    const { counts } = this.#session;
    const { sent, received } = this.#client;
    counts.sent = sent;
    counts.unsent = this.#fed - sent;
    counts.received = counts.bytes = received;
  }

  /** Turns the cause of an early end into an error with the right exit code. */
  #explain(cause: Error): Error {
    if (isTimeout(cause)) return new TimeoutError(`${phrase(cause)} (-w)`, { cause });
    if (!(cause instanceof UnreachableError)) return cause;
    // A peer that was reached and then lost has not refused us.
    return this.#endpoint.scheme === "udp" ? this.#withRemedy(cause) : new Error(cause.message, { cause });
  }

  #withRemedy(error: UnreachableError): UnreachableError {
    // Only on this machine can the user start it.
    if (error instanceof CertificateError || !isLoopback(this.#endpoint)) return error;
    const remedy = `mqcat echo-server ${formatEndpoint(this.#endpoint)} starts a server there`;
    return new UnreachableError(`${error.message} (${remedy})`, { cause: error });
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
