import type { Buffer } from "node:buffer";
import type dgram from "node:dgram";
import { LimitError } from "../errors.ts";
import { formatEndpoint, type HostEndpoint } from "../transport/endpoint.ts";
import type { EchoServer, EchoServerOptions } from "./server.ts";
import { bindUdp } from "./udp_socket.ts";

/** How many answers may wait to be sent; a datagram over that is dropped, as a full network would. */
const MAX_WAITING = 256;

interface Answer {
  readonly datagram: Buffer;
  readonly to: dgram.RemoteInfo;
}

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
  /** Answers go out one after the other: two sends at once may overtake each other. */
  #waiting: Answer[] = [];
  #sending = false;
  #stopping = false;
  #over = false;

  constructor(socket: dgram.Socket, endpoint: string, options: EchoServerOptions) {
    this.endpoint = endpoint;
    this.#socket = socket;
    this.#options = options;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("message", (datagram, from) => this.#take({ datagram, to: from }));
    socket.on("error", () => {}); // A sender that is gone (ICMP) is no concern of the others.
  }

  close(): Promise<void> {
    if (!this.#over) this.#socket.close();
    this.#over = this.#stopping = true;
    return this.closed;
  }

  #take(answer: Answer): void {
    if (this.#stopping) return;
    if (this.#options.once) this.#stopping = true;
    if (this.#waiting.length >= MAX_WAITING) {
      return this.#report(answer, new LimitError(`${MAX_WAITING} answers wait to be sent already`));
    }
    this.#waiting.push(answer);
    if (!this.#sending) this.#send();
  }

  #send(): void {
    const answer = this.#waiting.shift();
    this.#sending = answer !== undefined;
    if (answer === undefined) {
      if (this.#stopping) this.close();
      return;
    }
    const { datagram, to } = answer;
    this.#socket.send(datagram, to.port, to.address, (error) => {
      if (this.#over) return;
      this.#report(answer, error);
      this.#send();
    });
  }

  #report({ datagram, to }: Answer, cause: Error | null | undefined): void {
    const { onEvent } = this.#options;
    if (onEvent === undefined) return;
    const remote = formatEndpoint({ scheme: "udp", host: to.address, port: to.port });
    const bytes = datagram.length;
    onEvent(cause ? { type: "dropped", remote, bytes, cause } : { type: "echoed", remote, bytes });
  }
}
