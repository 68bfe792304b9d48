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

/** A carry buffer over this size is given back once its frame is out, in bytes. */
const KEEP_CARRY = 64 * 1024;

/** Takes what a decoder finds. An error that a call throws ends the decoder: see `FrameDecoder.push`. */
export interface FrameSink {
  /** The client's protocol header came, and is ours. */
  onProtocolHeader(): void;
  /** A frame with the payload `bytes[start, end)`, which is valid during the call. */
  onFrame(type: number, channel: number, bytes: Uint8Array, start: number, end: number): void;
  /** Asked behind each frame: true has the decoder keep what else has come until `resume`. */
  readonly clogged?: boolean;
}

/** Which end the decoder is at. */
export type Role = "client" | "server";

/**
 * Decodes frames (AMQP 0-9-1, 4.2.3) under any chunking. Frames that lie whole in a chunk are handed on where they
 * are; only one that spans chunks is copied, into a buffer that grows with what has come and never with what a header
 * claims.
 */
export class FrameDecoder {
  #sink: FrameSink;
  readonly #role: Role;
  #frameMax: number = FRAME_MIN_SIZE;
  /** Whether the peer's beginning was seen to be AMQP. */
  #started = false;
  /** The beginning of a frame that is not complete yet. */
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;
  /** How many bytes the frame must have before it is worth another look. */
  #wanted = 0;
  /** What came behind the frame at which the sink was clogged. */
  #held: Uint8Array | undefined;
  #stopped = false;

  /** @param role a server expects a protocol header first (4.2.2), a client gets one when it is refused */
  constructor(role: Role, sink: FrameSink) {
    this.#role = role;
    this.#sink = sink;
  }

  /** Hands on to another sink from the next frame on. */
  set sink(sink: FrameSink) {
    this.#sink = sink;
  }

  /** The limit for the peer's frames, in bytes: 4096 until it is set, once tuning is done. */
  get frameMax(): number {
    return this.#frameMax;
  }

  /** @throws {RangeError} not an integer of at least 4096 */
  set frameMax(frameMax: number) {
    this.#frameMax = checkFrameMax(frameMax);
  }

  /** Whether the bytes so far end between two frames. */
  get idle(): boolean {
    return this.#carried === 0 && this.#held === undefined;
  }

  /**
   * Whether the peer has begun with what an AMQP peer begins with. When `push` throws before that, a server answers
   * with `PROTOCOL_HEADER` and closes (4.2.2); later, it sends a `connection.close`.
   */
  get started(): boolean {
    return this.#started;
  }

  /**
   * Takes the next bytes of the peer. Once this threw, the position in the peer's bytes is lost, and it must not be
   * called again; so the sink keeps its own errors to itself unless they end the connection.
   *
   * @throws {AmqpError} 501: a frame is over the limit (nothing is allocated for it), or malformed; 505: a heartbeat
   * came on a channel
   * @throws {IncompatiblePeerError} the peer speaks another version of AMQP
   * @throws {ProtocolError} the peer does not speak AMQP
   */
  push(chunk: Uint8Array): void {
    if (this.#held !== undefined || this.#sink.clogged === true) return this.#hold(chunk);
    let from = 0;
    if (this.#carried > 0) {
      do {
        const take = Math.min(this.#wanted - this.#carried, chunk.length - from);
        this.#append(chunk, from, from + take);
        from += take;
        if (this.#carried < this.#wanted) return;
      } while (this.#scan(this.#carry, 0, this.#carried) === 0);
      this.#carried = 0;
      if (this.#carry.length > KEEP_CARRY) this.#carry = new Uint8Array(0);
    }
    if (!this.#stopped) from = this.#scan(chunk, from, chunk.length);
    if (from < chunk.length) {
      if (this.#stopped) this.#hold(chunk.subarray(from));
      else this.#append(chunk, from, chunk.length);
    }
    this.#stopped = false;
  }

  /** Whether something was kept as the sink was clogged. */
  get holding(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Goes on with what was kept, as the sink has room again.
   *
   * @throws what `push` throws
   */
  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.push(held);
  }

  /** Hands on the whole frames in `bytes[at, to)`, and returns where the first one begins that is not whole. */
  #scan(bytes: Uint8Array, at: number, to: number): number {
    while (at < to) {
      const type = bytes[at]!;
      if (!this.#started) {
        if (this.#role === "server" || type === PROTOCOL_HEADER[0]) {
          if (!this.#scanProtocolHeader(bytes, at, to)) return at;
          at += PROTOCOL_HEADER.length;
          continue;
        }
        // A server begins with connection.start.
        if (type !== METHOD) throw stranger(bytes.subarray(at, Math.min(to, at + 16)));
        this.#started = true;
      }
      if (type > BODY && type !== HEARTBEAT || type === 0) {
        throw frameError(`a frame has the unknown type ${type}`);
      }
      this.#wanted = FRAME_HEAD;
      if (to - at < FRAME_HEAD) return at;
      const channel = bytes[at + 1]! << 8 | bytes[at + 2]!;
      const size = readUint32(bytes, at + 3);
      // Clients exist that take frame_max for the size of the payload, and RabbitMQ bears with them.
      if (size > this.#frameMax) {
        throw frameError(
          `a frame has ${size} bytes of payload, and ${this.#frameMax - FRAME_OVERHEAD} is the limit`,
        );
      }
      if (type === HEARTBEAT) checkHeartbeat(channel, size);
      this.#wanted = size + FRAME_OVERHEAD;
      if (to - at < this.#wanted) return at;
      const start = at + FRAME_HEAD;
      const end = start + size;
      if (bytes[end] !== FRAME_END) {
        throw frameError(`a frame of type ${type} ends in ${bytes[end]} instead of ${FRAME_END}`);
      }
      this.#sink.onFrame(type, channel, bytes, start, end);
      at = end + 1;
      if (this.#sink.clogged === true) {
        this.#stopped = true;
        return at;
      }
    }
    return at;
  }

  /** Checks as much of the protocol header as has come, and returns whether that is all of it. */
  #scanProtocolHeader(bytes: Uint8Array, at: number, to: number): boolean {
    const count = Math.min(to - at, PROTOCOL_HEADER.length);
    for (let i = 0; i < Math.min(count, 4); i++) {
      if (bytes[at + i] !== PROTOCOL_HEADER[i]) throw stranger(bytes.subarray(at, Math.min(to, at + 16)));
    }
    // Each byte is looked at as it comes: a stranger is known by the first that differs, under any chunking.
    this.#wanted = count + 1;
    if (count < PROTOCOL_HEADER.length) return false;
    if (this.#role === "client") {
      throw new IncompatiblePeerError(
        `The server refused AMQP 0-9-1 and offers ${
          version(bytes, at)
        }; use a port where it speaks AMQP 0-9-1`,
      );
    }
    for (let i = 4; i < PROTOCOL_HEADER.length; i++) {
      if (bytes[at + i] !== PROTOCOL_HEADER[i]) {
        throw new IncompatiblePeerError(
          `The client speaks ${version(bytes, at)}, and AMQP 0-9-1 is the version spoken here`,
        );
      }
    }
    this.#started = true;
    this.#sink.onProtocolHeader();
    return true;
  }

  /** Keeps what a stream brings though it is paused. */
  #hold(chunk: Uint8Array): void {
    const held = this.#held ?? new Uint8Array(0);
    this.#held = new Uint8Array(held.length + chunk.length);
    this.#held.set(held);
    this.#held.set(chunk, held.length);
  }

  #append(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#carried + to - from;
    if (needed > this.#carry.length) {
      // Doubling, but exactly the frame's size where that is near.
      const doubled = Math.max(needed, this.#carry.length * 2, 256);
      const grown = new Uint8Array(this.#wanted <= doubled * 2 ? Math.max(this.#wanted, needed) : doubled);
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(from, to), this.#carried);
    this.#carried = needed;
  }
}

/** A heartbeat is empty and has no channel (4.2.7). */
function checkHeartbeat(channel: number, size: number): void {
  if (size > 0) throw frameError(`a heartbeat has ${size} bytes of payload`);
  if (channel > 0) throw amqpError(505, `a heartbeat came on channel ${channel}`);
}

/** The version in a protocol header, whose layout has changed with almost every version. */
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

function stranger(bytes: Uint8Array): ProtocolError {
  // A record of TLS: an alert, or a handshake (RFC 8446, 5.1).
  if ((bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3) {
    return new ProtocolError("The peer speaks TLS: use amqps:// at both ends, or amqp:// at both");
  }
  const printable = bytes.length > 1 &&
    bytes.every((byte) => byte >= 32 && byte < 127 || byte === 13 || byte === 10);
  const sent = printable
    ? `'${String.fromCharCode(...bytes).split(/[\r\n]/)[0]}'`
    : `bytes ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
  return new ProtocolError(`The peer does not speak AMQP (it sent ${sent})`);
}
