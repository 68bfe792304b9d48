import { setImmediate } from "node:timers";
import { AddressInUseError, UnreachableError } from "../../errors.ts";
import { Latch } from "../runtime/shared.ts";
import type { InprocEndpoint } from "../endpoint_types.ts";
import type { ByteStream, Listener, StreamSink } from "../stream.ts";
import type { Transport } from "./row.ts";
import { mistake } from "./text.ts";

type Accept = (stream: ByteStream) => void;

/** Streams inside this process, by name. */
export const inproc: Transport<InprocEndpoint> = {
  schemes: ["inproc"],
  carries: ["bytes", "frames"],
  parse(scheme, name, text) {
    if (name === "") throw mistake(text, "the name after 'inproc://' is missing", "inproc://work");
    return { scheme, name };
  },
  format: ({ name }) => `inproc://${name}`,
  connect: ({ name }, signal) => connectInproc(name, signal),
  listen: (endpoint, _backlog, accept) =>
    new Promise((resolve) => resolve(listenInproc(endpoint.name, accept))),
};

const bound = new Map<string, Accept>();
/** Clients that connected before the name was bound. */
const waiting = new Map<string, Set<(accept: Accept) => void>>();

/** Binds a name of this process. Clients that wait for the name are connected in the order in which they came. */
export function listenInproc(name: string, accept: Accept): Listener {
  if (bound.has(name)) throw new AddressInUseError("the name is bound already in this process");
  bound.set(name, accept);
  for (const join of waiting.get(name) ?? []) join(accept);
  waiting.delete(name);
  let open = true; // Closing twice must not release the name after another listener has bound it.
  const close = () => {
    if (open) bound.delete(name);
    open = false;
    return Promise.resolve();
  };
  return { endpoint: `inproc://${name}`, close, [Symbol.asyncDispose]: close };
}

/** Connects to a name of this process as soon as it is bound; aborting `signal` rejects with its reason. */
export function connectInproc(name: string, signal: AbortSignal): Promise<ByteStream> {
  const accept = bound.get(name);
  if (signal.aborted) return Promise.reject(signal.reason);
  if (accept !== undefined) return Promise.resolve(pair(name, accept));
  return new Promise((resolve, reject) => {
    const joins = waiting.get(name) ?? new Set();
    waiting.set(name, joins);
    const join = (accept: Accept) => {
      signal.removeEventListener("abort", leave);
      resolve(pair(name, accept));
    };
    const leave = () => {
      joins.delete(join);
      if (joins.size === 0 && waiting.get(name) === joins) waiting.delete(name);
      reject(signal.reason);
    };
    joins.add(join);
    signal.addEventListener("abort", leave, { once: true });
  });
}

/** Makes a pair of ends; `accept` gets the far one. */
function pair(name: string, accept: Accept): ByteStream {
  const near = new InprocStream(name);
  const far = new InprocStream(name);
  near.peer = far;
  far.peer = near;
  queueMicrotask(() => accept(far));
  return near;
}

/** One end of a pair. A later task passes a write to the other end's sink; until then its bytes are lent. */
class InprocStream implements ByteStream {
  readonly local: string;
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;
  taken = 0;
  peer!: InprocStream;

  readonly #closed = new Latch<Error | undefined>();
  #sink: StreamSink | undefined;
  #paused = false;
  /** Bytes that the other end wrote and this end has not delivered yet. */
  #incoming: Uint8Array | undefined;
  #endIncoming = false;
  #writing = false;
  #ending = false;
  #ended = false;
  #endedHalves = 0;

  constructor(name: string) {
    this.local = this.remote = `inproc://${name}`;
    this.closed = this.#closed.promise;
  }

  attach(sink: StreamSink): void {
    this.#sink = sink;
    this.#schedule();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  write(bytes: Uint8Array): void {
    this.taken = 0;
    this.#writing = true;
    if (this.peer.#closed.open) {
      return queueMicrotask(() => this.close(new UnreachableError("The peer closed")));
    }
    this.peer.#incoming = bytes;
    this.peer.#schedule();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (!this.#writing) this.#endPeer();
  }

  close(cause?: Error): void {
    if (this.#closed.open) return;
    this.#closed.resolve(cause);
    this.#endPeer();
    // The other end's write would never complete.
    if (this.peer.#writing) queueMicrotask(() => this.peer.close(new UnreachableError("The peer closed")));
  }

  #endPeer(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.peer.#endIncoming = true;
    this.peer.#schedule();
    this.#halfEnded();
  }

  #halfEnded(): void {
    if (++this.#endedHalves === 2) this.close();
  }

  #schedule(): void {
    // A timer of 0 takes 1 to 2 ms on both runtimes; this takes 2 us.
    setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    if (this.#sink === undefined || this.#paused || this.#closed.open) return;
    const bytes = this.#incoming;
    if (bytes !== undefined) {
      this.#incoming = undefined;
      this.#sink.onData(bytes);
      this.peer.#onTaken(bytes.length);
    }
    if (this.#endIncoming && this.#incoming === undefined && !this.#paused) {
      this.#endIncoming = false;
      this.#sink.onEnd();
      this.#halfEnded();
    }
  }

  #onTaken(count: number): void {
    this.taken = count;
    this.#writing = false;
    if (this.#ending) this.#endPeer();
    if (!this.#closed.open) this.#sink?.onDrain();
  }
}
