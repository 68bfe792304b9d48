import { LimitError } from "../errors.ts";
import {
  bindDatagrams,
  type DatagramAddress,
  type DatagramSink,
  type DatagramSocket,
  endpointOf,
} from "../transport/datagram.ts";
import { formatEndpoint, type HostEndpoint } from "../transport/endpoint.ts";
import type { EchoServer, EchoServerOptions } from "./server_types.ts";

/** How many answers may wait to be sent; a datagram over that is dropped, as by a full network. */
const MAX_WAITING = 256;

interface Answer {
  readonly datagram: Uint8Array;
  readonly to: DatagramAddress;
}

/** Sends each datagram back to its sender. There are no connections, so of the limits only `once` applies. */
export async function serveUdpEcho(endpoint: HostEndpoint, options: EchoServerOptions): Promise<EchoServer> {
  const server = new UdpEchoServer(await bindDatagrams(endpoint), options);
  options.onEvent?.({ type: "listening", endpoint: server.endpoint });
  return server;
}

class UdpEchoServer implements EchoServer, DatagramSink {
  readonly endpoint: string;
  readonly closed: Promise<void>;

  readonly #socket: DatagramSocket;
  readonly #options: EchoServerOptions;
  /** Answers in order; the first one may be in progress. */
  #waiting: Answer[] = [];
  #stopping = false;

  constructor(socket: DatagramSocket, options: EchoServerOptions) {
    this.endpoint = formatEndpoint(socket.endpoint);
    this.closed = socket.closed;
    this.#socket = socket;
    this.#options = options;
    socket.attach(this);
  }

  close(): Promise<void> {
    this.#stopping = true;
    this.#socket.close();
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  onDatagram(datagram: Uint8Array, to: DatagramAddress): void {
    if (this.#stopping) return;
    if (this.#options.once) this.#stopping = true;
    const answer = { datagram, to };
    if (this.#waiting.length >= MAX_WAITING) {
      return this.#report(answer, new LimitError(`${MAX_WAITING} answers already wait to be sent`));
    }
    this.#waiting.push(answer);
    if (this.#waiting.length === 1) this.#socket.send(datagram, to);
  }

  onSent(error: Error | undefined): void {
    this.#report(this.#waiting.shift()!, error);
    const next = this.#waiting[0];
    if (next !== undefined) this.#socket.send(next.datagram, next.to);
    else if (this.#stopping) this.close();
  }

  /** A sender that is gone (ICMP) does not concern the others. */
  onError(): void {}

  #report({ datagram, to }: Answer, cause: Error | undefined): void {
    const { onEvent } = this.#options;
    if (onEvent === undefined) return;
    const remote = endpointOf(to);
    const bytes = datagram.length;
    onEvent(cause ? { type: "dropped", remote, bytes, cause } : { type: "echoed", remote, bytes });
  }
}
