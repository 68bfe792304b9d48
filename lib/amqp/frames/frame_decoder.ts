import { type FrameReceiver, FrameSplitter } from "../../bytes/frame_splitter.ts";
import { IncompatiblePeerError, ProtocolError } from "../../errors.ts";
import { amqpError, frameError } from "../amqp_error.ts";
import {
  BODY,
  checkFrameMax,
  FRAME_END,
  FRAME_HEAD,
  FRAME_MIN_SIZE,
  FRAME_OVERHEAD,
  HEARTBEAT,
  METHOD,
  PROTOCOL_HEADER,
} from "./frame.ts";
import { readUint32 } from "../types/uint.ts";

/** Receives frames from a decoder. An error thrown by a callback ends the decoder: see `FrameDecoder.push`. */
export interface FrameSink extends FrameReceiver {
  /** The protocol header of the client arrived, with a supported version. */
  onProtocolHeader(): void;
  /** A frame arrived. Its payload `bytes[start, end)` is valid during the call. */
  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void;
}

/** The end of the connection that uses the decoder. */
export type Role = "client" | "server";

/**
 * Decodes frames (AMQP 0-9-1, 4.2.3) under any chunking. A frame within one chunk is not copied; one that spans chunks
 * is copied into a buffer that grows with the received bytes, not with the size that a frame claims.
 */
export class FrameDecoder extends FrameSplitter<FrameSink> {
  readonly #role: Role;
  #frameMax: number = FRAME_MIN_SIZE;
  /** Whether the first bytes of the peer were AMQP. */
  #started = false;

  /** @param role a server expects a protocol header first (4.2.2); a client receives one when it is refused */
  constructor(role: Role, sink: FrameSink) {
    super(sink);
    this.#role = role;
  }

  /** The size limit for received frames, in bytes. Set it after tuning. Default: 4096 */
  get frameMax(): number {
    return this.#frameMax;
  }

  /** @throws {RangeError} not an integer of at least 4096 */
  set frameMax(frameMax: number) {
    this.#frameMax = checkFrameMax(frameMax);
  }

  /**
   * Whether the first bytes of the peer were AMQP. If `push` throws before that, a server sends `PROTOCOL_HEADER` and
   * closes (4.2.2); later it sends `connection.close`.
   */
  get started(): boolean {
    return this.#started;
  }

  /**
   * @throws {AmqpError} 501: a frame is over the limit (nothing is allocated for it), or malformed; 505: a heartbeat
   * arrived on a channel
   * @throws {IncompatiblePeerError} the peer speaks another version of AMQP
   * @throws {ProtocolError} the peer does not speak AMQP
   */
  protected override scan(bytes: Uint8Array, at: number, to: number): number {
    while (at < to) {
      const type = bytes[at]!;
      if (!this.#started) {
        if (this.#role === "server" || type === PROTOCOL_HEADER[0]) {
          if (!this.#scanProtocolHeader(bytes, at, to)) return at;
          at += PROTOCOL_HEADER.length;
          continue;
        }
        // A server begins with connection.start.
        if (type !== METHOD) throw notAmqp(bytes.subarray(at, Math.min(to, at + 16)));
        this.#started = true;
      }
      if (type > BODY && type !== HEARTBEAT || type === 0) {
        throw frameError(`a frame has the unknown type ${type}`);
      }
      this.wanted = FRAME_HEAD;
      if (to - at < FRAME_HEAD) return at;
      const channel = bytes[at + 1]! << 8 | bytes[at + 2]!;
      const size = readUint32(bytes, at + 3);
      // Some clients regard frame_max as the size of the payload; RabbitMQ accepts their frames, too.
      if (size > this.#frameMax) {
        throw frameError(
          `a frame has ${size} bytes of payload: the limit is ${this.#frameMax - FRAME_OVERHEAD}`,
        );
      }
      if (type === HEARTBEAT) checkHeartbeat(channel, size);
      this.wanted = size + FRAME_OVERHEAD;
      if (to - at < this.wanted) return at;
      const start = at + FRAME_HEAD;
      const end = start + size;
      if (bytes[end] !== FRAME_END) {
        throw frameError(`a frame of type ${type} ends in ${bytes[end]} instead of ${FRAME_END}`);
      }
      this.sink.onFrame(type, channel, bytes, start, end);
      at = end + 1;
      if (this.sink.overBacklog === true) return at;
    }
    return at;
  }

  /** Checks the received part of the protocol header, and returns whether it is complete. */
  #scanProtocolHeader(bytes: Uint8Array, at: number, to: number): boolean {
    const count = Math.min(to - at, PROTOCOL_HEADER.length);
    for (let i = 0; i < Math.min(count, 4); i++) {
      if (bytes[at + i] !== PROTOCOL_HEADER[i]) throw notAmqp(bytes.subarray(at, Math.min(to, at + 16)));
    }
    // Each byte is checked as it arrives: the first different byte is an error, under any chunking.
    this.wanted = count + 1;
    if (count < PROTOCOL_HEADER.length) return false;
    if (this.#role === "client") {
      throw new IncompatiblePeerError(
        `The server refused AMQP 0-9-1 and offers ${version(bytes, at)}: use a port for AMQP 0-9-1`,
      );
    }
    for (let i = 4; i < PROTOCOL_HEADER.length; i++) {
      if (bytes[at + i] !== PROTOCOL_HEADER[i]) {
        throw new IncompatiblePeerError(
          `The client speaks ${version(bytes, at)}: this server supports AMQP 0-9-1`,
        );
      }
    }
    this.#started = true;
    this.sink.onProtocolHeader();
    return true;
  }
}

/** A heartbeat is empty and has no channel (4.2.7). */
function checkHeartbeat(channel: number, size: number): void {
  if (size > 0) throw frameError(`a heartbeat has ${size} bytes of payload`);
  if (channel > 0) throw amqpError(505, `a heartbeat arrived on channel ${channel}`);
}

/** Describes the version in a protocol header, whose layout differs between versions. */
function version(bytes: Uint8Array, at: number): string {
  const [id, major, minor, revision] = bytes.subarray(at + 4, at + 8);
  if (major === 1 && minor === 0 && revision === 0) {
    return `AMQP 1.0${id === 3 ? " with SASL" : id === 2 ? " with TLS" : ""}`;
  }
  if (id === 1 && major === 1) return minor === 0 ? `AMQP 0-${revision}` : "AMQP 0-8";
  return id === 0
    ? `AMQP ${major}-${minor}-${revision}`
    : `AMQP of bytes ${id} ${major} ${minor} ${revision}`;
}

function notAmqp(bytes: Uint8Array): ProtocolError {
  // A TLS record: an alert or a handshake (RFC 8446, 5.1).
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3) {
    return new ProtocolError("The peer speaks TLS: use amqps:// at both ends, or amqp:// at both ends");
  }
  if (bytes[0] === 0x48 && bytes[1] === 0x54 && bytes[2] === 0x54 && bytes[3] === 0x50) {
    return new ProtocolError(
      "The peer speaks HTTP, not AMQP: this is the port of the HTTP API, and AMQP is usually at 5672 (amqps at 5671)",
    );
  }
  // The signature of ZMTP begins so (RFC 37, 2.1).
  if (bytes[0] === 0xff) {
    return new ProtocolError(
      "The peer is a ZeroMQ socket, not an AMQP broker: its address is tcp://host:port",
    );
  }
  const printable = bytes.length > 1 &&
    bytes.every((byte) => byte >= 32 && byte < 127 || byte === 13 || byte === 10);
  const sent = printable
    ? `'${String.fromCharCode(...bytes).split(/[\r\n]/)[0]}'`
    : `bytes ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
  return new ProtocolError(`The peer does not speak AMQP (it sent ${sent})`);
}
