/** RADIO and DISH over UDP (RFC 48, "UDP"; libzmq): a datagram has the length of the group, the group and the body. */
import { EndpointError, LimitError } from "../../errors.ts";
import type { DatagramSink, DatagramSocket } from "../../transport/datagram.ts";
import { formatEndpoint, type HostEndpoint } from "../../transport/endpoint.ts";
import type { ByteStream, Listener, StreamSink } from "../../transport/stream.ts";
import { Batch, MORE } from "../../zmtp/batch.ts";
import { EMPTY } from "../../zmtp/bytes.ts";
import { ZmtpFrameDecoder } from "../../zmtp/frame_decoder.ts";
import { MAX_HEADER, writeHeader } from "../../zmtp/frame_encoder.ts";
import type { HandshakeResult } from "../../zmtp/handshake.ts";
import type { SocketType } from "../../zmtp/socket_type.ts";

/** The largest datagram that libzmq sends and receives, in bytes. */
export const MAX_DATAGRAM = 8192;

/** Opens a stream of datagrams from a RADIO to a host or to a multicast group. */
export async function connectDatagrams(endpoint: HostEndpoint): Promise<ByteStream> {
  const { aimDatagrams } = await import("../../transport/datagram.ts");
  return new DatagramStream(await aimDatagrams(endpoint), "DISH");
}

/** Binds a DISH: one stream carries the datagrams of all senders. */
export async function listenDatagrams(
  endpoint: HostEndpoint,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  const { bindDatagrams } = await import("../../transport/datagram.ts");
  const stream = new DatagramStream(await bindDatagrams(endpoint), "RADIO");
  queueMicrotask(() => accept(stream));
  const close = async () => {
    stream.close();
    await stream.closed;
  };
  return { endpoint: stream.local, close, [Symbol.asyncDispose]: close };
}

/** @throws {EndpointError} a socket of this type cannot use udp in this direction */
export function checkDatagrams(
  type: SocketType,
  endpoint: HostEndpoint,
  binds: boolean,
  security: string,
): void {
  const name = formatEndpoint(endpoint);
  if (type !== "RADIO" && type !== "DISH") {
    throw new EndpointError(`Cannot use udp:// with a ${type} socket: only RADIO and DISH use it`);
  }
  if (binds !== (type === "DISH")) {
    throw new EndpointError(
      `Cannot ${binds ? "bind" : "connect to"} ${name}: over udp RADIO connects and DISH binds`,
    );
  }
  if (security !== "NULL") {
    throw new EndpointError(`Cannot use ${name} with ${security} security: udp supports only NULL`);
  }
}

/** The error for a message that does not fit into a datagram; undefined if it fits. */
export function datagramMistake(group: number, body: number): LimitError | undefined {
  const most = MAX_DATAGRAM - 1 - group;
  if (body <= most) return undefined;
  return new LimitError(
    `Cannot send a body of ${body} bytes over udp: at most ${most} bytes fit after a group of ${group} bytes (or use tcp)`,
  );
}

/**
 * Presents datagrams as a stream of ZMTP frames, so that sockets use it like any other stream: each written message
 * becomes a datagram, and each received datagram becomes a message. ZMTP commands are not sent over UDP.
 */
export class DatagramStream implements ByteStream, DatagramSink {
  readonly local: string;
  readonly remote: string;
  readonly closed: Promise<Error | undefined>;
  taken = 0;

  readonly #socket: DatagramSocket;
  readonly #peer: SocketType;
  readonly #decoder: ZmtpFrameDecoder;
  #cause: Error | undefined;
  #sink: StreamSink | undefined;
  #paused = false;
  #ending = false;
  #writing = false;
  /** The datagrams of the current write, and the number of its bytes that each of them carries. */
  #queue: { readonly datagram: Uint8Array; readonly size: number }[] = [];
  #next = 0;
  #received = new Uint8Array(2 * MAX_HEADER + MAX_DATAGRAM);

  /** @param peer the socket type at the other end */
  constructor(socket: DatagramSocket, peer: SocketType) {
    this.#socket = socket;
    this.#peer = peer;
    this.local = this.remote = formatEndpoint(socket.endpoint);
    this.closed = socket.closed.then(() => this.#cause);
    this.#decoder = new ZmtpFrameDecoder(new Batch(), Infinity, (batch) => this.#cut(batch));
    socket.attach(this);
  }

  /** Stands in for a handshake, as UDP has none. */
  introduction(): HandshakeResult {
    return {
      peer: { socketType: this.#peer, identity: EMPTY, version: "none", mechanism: "NULL", userId: "" },
      release: () => EMPTY,
      hasEnded: () => false,
    };
  }

  attach(sink: StreamSink): void {
    this.#sink = sink;
  }

  /** Drops all datagrams until `resume`, as the system does when its buffer is full. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  write(bytes: Uint8Array): void {
    this.taken = 0;
    this.#writing = true;
    this.#queue = [];
    this.#next = 0;
    this.#decoder.push(bytes);
    // A write without a whole message is reported as done in a later task, as any other write is.
    if (this.#queue.length === 0) queueMicrotask(() => this.#drained());
    else this.#sendNext();
  }

  end(): void {
    this.#ending = true;
    if (!this.#writing) this.close();
  }

  close(cause?: Error): void {
    this.#cause ??= cause;
    this.#socket.close();
  }

  onDatagram(bytes: Uint8Array): void {
    const group = bytes[0];
    // Truncated, oversized and foreign datagrams are dropped: any process can send them.
    if (this.#paused || group === undefined || bytes.length < 1 + group || bytes.length > MAX_DATAGRAM) {
      return;
    }
    const target = this.#received;
    let at = writeHeader(target, 0, MORE, group);
    target.set(bytes.subarray(1, 1 + group), at);
    at += group;
    const body = bytes.subarray(1 + group);
    at = writeHeader(target, at, 0, body.length);
    target.set(body, at);
    this.#sink?.onData(target.subarray(0, at + body.length));
  }

  onSent(error: Error | undefined): void {
    // A missing listener (ICMP) is not an error for RADIO.
    if (error !== undefined && !/refused/i.test(error.message)) return this.close(error);
    this.taken += this.#queue[this.#next++]!.size;
    if (this.#next < this.#queue.length) this.#sendNext();
    else this.#drained();
  }

  onError(): void {}

  #sendNext(): void {
    this.#socket.send(this.#queue[this.#next]!.datagram);
  }

  #drained(): void {
    this.#writing = false;
    if (this.#ending) this.close();
    this.#sink?.onDrain();
  }

  /** Turns whole messages into datagrams and drops commands. */
  #cut(batch: Batch): void {
    for (let at = 0; at < batch.frames;) {
      const end = batch.messageEnd(at);
      if (end === at + 2) {
        const group = batch.frame(at);
        const body = batch.frame(at + 1);
        const datagram = new Uint8Array(1 + group.length + body.length);
        datagram[0] = group.length;
        datagram.set(group, 1);
        datagram.set(body, 1 + group.length);
        this.#queue.push({
          datagram,
          size: 2 + group.length + (body.length < 256 ? 2 : MAX_HEADER) + body.length,
        });
      }
      at = end;
    }
  }
}
