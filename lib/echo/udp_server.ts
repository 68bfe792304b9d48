import type { Buffer } from "node:buffer";
import type dgram from "node:dgram";
import { LimitError } from "../errors.ts";
import { formatEndpoint, type HostEndpoint } from "../transport/endpoint.ts";
import type { EchoServer, EchoServerOptions } from "./server.ts";
import { bindUdp } from "./udp_socket.ts";

/** How many answers may wait for the system to take them; a datagram over that is dropped, as a full network would. */
const MAX_UNSENT = 256;

/** Sends each datagram back to its sender. There are no connections, so only `once` of the limits applies. */
export async function serveUdpEcho(endpoint: HostEndpoint, options: EchoServerOptions): Promise<EchoServer> {
  const { socket, bound } = await bindUdp(endpoint);
  const server = new UdpEchoServer(socket, formatEndpoint(bound), options);
  options.onEvent?.({ type: "listening", endpoint: server.endpoint });
  return server;
}

class UdpEchoServer implements EchoServer {
  readonly endpoint: string;
  readonly closed: Promise<void>;

  readonly #socket: dgram.Socket;
  readonly #options: EchoServerOptions;
  #unsent = 0;
  #stopping = false;
  #over = false;

  constructor(socket: dgram.Socket, endpoint: string, options: EchoServerOptions) {
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("message", (datagram, from) => this.#answer(datagram, from));
    socket.on("error", () => {}); // A sender that is gone (ICMP) is no concern of the others.
  }

  close(): Promise<void> {
    if (!this.#over) this.#socket.close();
    this.#over = this.#stopping = true;
    return this.closed;
  }

  #answer(datagram: Buffer, from: dgram.RemoteInfo): void {
    if (this.#stopping) return;
    if (this.#options.once) this.#stopping = true;
    if (this.#unsent >= MAX_UNSENT) {
      return this.#report(datagram, from, new LimitError(`Over ${MAX_UNSENT} answers wait to be sent`));
    }
    this.#unsent++;
    this.#socket.send(datagram, from.port, from.address, (error) => {
      this.#unsent--;
      this.#report(datagram, from, error);
      if (this.#stopping) this.close();
    });
  }

  #report(datagram: Buffer, from: dgram.RemoteInfo, cause: Error | null | undefined): void {
    const { onEvent } = this.#options;
    if (onEvent === undefined) return;
    const remote = formatEndpoint({ scheme: "udp", host: from.address, port: from.port });
    const bytes = datagram.length;
    onEvent(cause ? { type: "dropped", remote, bytes, cause } : { type: "echoed", remote, bytes });
  }
}
