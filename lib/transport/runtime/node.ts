import net from "node:net";
import { messageOf, UnreachableError } from "../../errors.ts";
import type { SourceAddress } from "../endpoint_types.ts";
import type { ByteStream, RawListener, Runtime, StreamSink } from "../stream.ts";
import { Latch, refused } from "./shared.ts";

/** The largest block of a single write to a socket, in bytes. */
const MAX_WRITE = 256 * 1024;

/** The network through `node:net`: fast on Bun, portable to all runtimes. */
export const nodeRuntime: Runtime = {
  connectTcp: (host, port, signal, source) => open({ host, port, noDelay: true, ...local(source) }, signal),
  connectUnix: (path, name, signal) => open({ path }, signal, name),
  listenTcp: (host, port, backlog, accept) => listen({ host, port, backlog }, accept),
  listenUnix: (path, name, backlog, accept) => listen({ path, backlog }, accept, name),
};

/** Turns a source address into the options of `net.connect`. */
export function local(source: SourceAddress | undefined): { localAddress?: string; localPort?: number } {
  if (source === undefined) return {};
  const { host, port } = source;
  return {
    ...(host === "0.0.0.0" ? {} : { localAddress: host }),
    ...(port === 0 ? {} : { localPort: port }),
  };
}

function open(where: net.NetConnectOpts, signal: AbortSignal, name?: string): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...where, allowHalfOpen: true });
    settle(socket, "connect", signal).then(() => resolve(new NodeStream(socket, name)), reject);
  });
}

/** Waits until a socket emits its `ready` event; an error or the signal destroys the socket and rejects. */
export function settle(socket: net.Socket, ready: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(refused(error));
    };
    const onAbort = () => fail(signal.reason);
    if (signal.aborted) return fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", fail);
    socket.once(ready, () => {
      signal.removeEventListener("abort", onAbort);
      socket.off("error", fail);
      resolve();
    });
  });
}

function listen(
  where: net.ListenOptions,
  accept: (stream: ByteStream) => void,
  name?: string,
): Promise<RawListener> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  server.on("connection", (socket) => accept(new NodeStream(socket, name)));
  return bound(server, where);
}

/** Binds a server of `node:net` or `node:tls`. */
export function bound(server: net.Server, where: net.ListenOptions): Promise<RawListener> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(refused(error)));
    server.listen(where, () => {
      server.on("error", () => {}); // Running out of file descriptors must not stop the listener.
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : 0,
        // The callback of close waits for all accepted streams, but the address is free at once.
        close: () => Promise.resolve(void server.close()),
      });
    });
  });
}

/** A connected socket of `node:net` or `node:tls`. */
export class NodeStream implements ByteStream {
  readonly local: string;
  readonly remote: string;
  peerCertificate: Uint8Array | undefined;
  readonly closed: Promise<Error | undefined>;
  taken = 0;

  readonly #socket: net.Socket;
  readonly #below: net.Socket | undefined;
  readonly #closed = new Latch<Error | undefined>();
  #sink: StreamSink | undefined;
  #paused = false;
  /** The peer's half ended after `pause`; node reports that even while the socket is paused. */
  #endHeld = false;
  #writing: Uint8Array | undefined;
  /** The size of the block that is being written. */
  #slice = 0;
  #ending = false;

  /**
   * @param name the address of both ends, if they have no addresses of their own
   * @param below the socket under `socket`, which must be paused, too
   */
  constructor(socket: net.Socket, name?: string, scheme = "tcp", below?: net.Socket) {
    this.#socket = socket;
    this.#below = below;
    const { localAddress, localPort, remoteAddress, remotePort } = below ?? socket;
    this.local = name ?? describe(scheme, localAddress, localPort);
    this.remote = name ?? describe(scheme, remoteAddress, remotePort);
    this.closed = this.#closed.promise;
    below?.pause();
    socket.pause();
    socket.on("error", (error) => this.close(broken(error)));
    socket.on("close", () => this.close());
  }

  get peerEnded(): boolean {
    return this.#endHeld;
  }

  attach(sink: StreamSink): void {
    const first = this.#sink === undefined;
    this.#sink = sink;
    if (!first) return;
    // Bun still reports the end of a destroyed socket.
    this.#socket.on("data", (chunk) => this.#closed.open || this.#sink!.onData(chunk as Uint8Array));
    this.#socket.on("end", () => this.#paused ? this.#endHeld = true : this.#reportEnd());
    if (!this.#paused) this.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#below?.pause();
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#sink === undefined) return;
    this.#below?.resume();
    this.#socket.resume();
    if (this.#endHeld) this.#reportEnd();
  }

  #reportEnd(): void {
    this.#endHeld = false;
    if (!this.#closed.open) this.#sink!.onEnd();
  }

  write(bytes: Uint8Array): void {
    this.taken = 0;
    this.#writing = bytes;
    this.#writeNext();
  }

  /** node does not report how much of a write is done until all of it is; so large writes are divided. */
  #writeNext(): void {
    const next = this.#writing!.subarray(this.taken, this.taken + MAX_WRITE);
    this.#slice = next.length;
    this.#socket.write(next, this.#written);
  }

  readonly #written = (error?: Error | null): void => {
    if (error) return this.close(broken(error));
    this.taken += this.#slice;
    if (this.#closed.open) return;
    if (this.taken < this.#writing!.length) return this.#writeNext();
    this.#writing = undefined;
    if (this.#ending) this.#socket.end();
    this.#sink?.onDrain();
  };

  end(): void {
    this.#ending = true;
    if (this.#writing === undefined) this.#socket.end();
  }

  close(cause?: Error): void {
    if (this.#closed.open) return;
    this.#closed.resolve(cause);
    this.#socket.destroy();
    this.#below?.destroy();
  }
}

function broken(error: unknown): UnreachableError {
  return new UnreachableError(`The connection broke: ${messageOf(error)}`, { cause: error });
}

/** Formats an address of a socket as an endpoint. */
export function describe(scheme: string, address: string | undefined, port: number | undefined): string {
  if (address === undefined) return `${scheme}://?`;
  const plain = address.replace(/^::ffff:/, "");
  return `${scheme}://${plain.includes(":") ? `[${plain}]` : plain}:${port}`;
}
