import { deferred } from "../transport/deferred.ts";
import { ClosedError, LimitError } from "../errors.ts";
import {
  aimDatagrams,
  type DatagramAddress,
  type DatagramSink,
  type DatagramSocket,
} from "../transport/datagram.ts";
import { formatEndpoint, type HostEndpoint } from "../transport/endpoint.ts";
import { type EchoClient, type EchoClientOptions, MAX_DATAGRAM } from "./client_types.ts";
import { InactivityTimer } from "./inactivity.ts";

/** Default time limit for an echo, in milliseconds: UDP does not report a lost datagram. */
const TIMEOUT = 3000;
/** Limits of the echoes that are due, so that they fit the default receive buffer of Linux (208 KiB) at either end. */
const WINDOW_BYTES = 64 * 1024;
const WINDOW_DATAGRAMS = 64;

/** Makes a client that sends datagrams and receives their echoes. */
export async function connectUdpEcho(
  endpoint: HostEndpoint,
  options: EchoClientOptions,
): Promise<EchoClient> {
  return new UdpEchoClient(await aimDatagrams(endpoint), options);
}

class UdpEchoClient implements EchoClient, DatagramSink {
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;
  sent = 0;
  received = 0;

  readonly #socket: DatagramSocket;
  readonly #options: EchoClientOptions;
  readonly #peer: HostEndpoint;
  readonly #address: string;
  readonly #inactivity: InactivityTimer;
  readonly #resolveClosed: (cause: Error | undefined) => void;
  #datagramsSent = 0;
  #datagramsReceived = 0;
  #held: Uint8Array[] = [];
  #sending = false;
  #full = false;
  #ended = false;
  #paused = false;
  #over = false;

  constructor(socket: DatagramSocket, options: EchoClientOptions) {
    this.remote = formatEndpoint(socket.endpoint);
    this.#socket = socket;
    this.#options = options;
    this.#peer = socket.endpoint;
    this.#address = canonical(socket.endpoint.host);
    ({ promise: this.closed, resolve: this.#resolveClosed } = deferred<Error | undefined>());
    const timeout = options.timeout ?? TIMEOUT;
    this.#inactivity = new InactivityTimer(
      timeout,
      () => this.close(this.#lost(timeout)),
      () => this.#waiting,
    );
    socket.attach(this);
  }

  /** A lost datagram is noticed at the end of the input, or when the window is full. */
  get #waiting(): boolean {
    return !this.#paused && (this.#ended || this.#full);
  }

  get #missing(): number {
    return Math.max(0, this.#datagramsSent - this.#datagramsReceived);
  }

  get #room(): boolean {
    return !this.#sending && this.#missing < WINDOW_DATAGRAMS && this.sent - this.received < WINDOW_BYTES;
  }

  send(bytes: Uint8Array): boolean {
    if (this.#ended) throw new ClosedError("Cannot send after the end of the input");
    if (bytes.length > MAX_DATAGRAM) {
      throw new LimitError(
        `Cannot send ${bytes.length} bytes as one datagram: UDP carries ${MAX_DATAGRAM} at most ` +
          "(send less at a time, or use tcp://)",
      );
    }
    if (this.#over) return false;
    this.#inactivity.touch();
    this.#datagramsSent++;
    this.sent += bytes.length;
    this.#sending = this.#full = true; // One at a time: two concurrent sends may overtake each other.
    this.#socket.send(bytes.slice());
    return false;
  }

  onSent(error: Error | undefined): void {
    if (error !== undefined) this.close(error);
    this.#sending = false;
    this.#proceed();
  }

  /** The system reports when no program listens (ICMP); not every runtime passes that on. */
  onError(error: Error): void {
    this.close(error);
  }

  end(): void {
    if (this.#ended || this.#over) return;
    this.#inactivity.touch();
    this.#ended = true;
    this.#proceed();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#inactivity.touch();
    while (!this.#paused && this.#held.length > 0) this.#deliver(this.#held.shift()!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.closed;
  }

  close(cause?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#inactivity.stop();
    this.#socket.close();
    this.#resolveClosed(cause);
  }

  onDatagram(datagram: Uint8Array, from: DatagramAddress): void {
    // On Deno a connected socket still receives the datagrams of other senders.
    if (this.#over || from.port !== this.#peer.port || canonical(from.address) !== this.#address) return;
    if (!this.#paused) this.#deliver(datagram);
    else if (this.#held.length < WINDOW_DATAGRAMS) this.#held.push(datagram); // More than the window are not our echoes.
  }

  #deliver(datagram: Uint8Array): void {
    this.#inactivity.touch();
    this.#datagramsReceived++;
    this.received += datagram.length;
    this.#options.onData(datagram);
    this.#proceed();
  }

  /** Continues after an echo, after a datagram went out, or at the end of the input. */
  #proceed(): void {
    if (this.#over) return;
    if (this.#ended && this.#missing === 0) return this.close();
    if (!this.#full || !this.#room) return;
    this.#full = false;
    this.#options.onDrain?.();
  }

  #lost(timeout: number): Error {
    const count = `${this.#missing} of ${this.#datagramsSent}`;
    return new DOMException(`No echo came for ${timeout} ms: ${count} datagrams are missing`, "TimeoutError");
  }
}

/** An address in a form that can be compared: IPv6 has many forms, and a zone names a local interface. */
function canonical(address: string): string {
  return address.includes(":") ? new URL(`http://[${address.replace(/%.*/, "")}]`).hostname : address;
}
