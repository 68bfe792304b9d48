import { malformed, MqttError } from "./mqtt_error.ts";
import { MAX_REMAINING, packetName, type ProtocolVersion, PUBLISH } from "./packet_type.ts";
import { REASON } from "./reason_code.ts";

/** A carry buffer over this size is released after its packet, in bytes. */
const KEEP_CARRY = 64 * 1024;
/** The flags that each packet type must have (5.0, 2.1.3); those of PUBLISH mean something. */
const FLAGS = Uint8Array.of(0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0);
const DUP = 8;
const AUTH = 15;

/** Receives packets from a decoder. An error thrown by `onPacket` ends the decoder: see `PacketDecoder.push`. */
export interface PacketSink {
  /** A packet arrived. Its variable header and payload `bytes[start, end)` are valid during the call. */
  onPacket(type: number, flags: number, bytes: Uint8Array, start: number, end: number): void;
  /** Read after each packet: true makes the decoder keep further bytes until `resume`. */
  readonly overBacklog?: boolean;
}

/**
 * Decodes packets (MQTT 5.0, 2.1) under any chunking. A packet within one chunk is not copied; one that spans chunks is
 * copied into a buffer that grows with the received bytes, not with the size that a packet claims.
 */
export class PacketDecoder {
  /** The protocol of the packets; it is known after CONNECT. Default: 5 */
  version: ProtocolVersion = 5;
  /** The size limit for received packets with their fixed header, in bytes. Default: 268 435 460 */
  maxPacket: number = MAX_REMAINING + 5;

  #sink: PacketSink;
  /** The first bytes of an incomplete packet. */
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;
  /** The number of bytes needed before the packet is examined again. */
  #wanted = 0;
  /** Bytes after the packet at which the sink was over its backlog. */
  #held: Uint8Array | undefined;
  #stopped = false;

  constructor(sink: PacketSink) {
    this.#sink = sink;
  }

  /** Replaces the sink, from the next packet on. */
  set sink(sink: PacketSink) {
    this.#sink = sink;
  }

  /** Whether the received bytes end at the end of a packet. */
  get idle(): boolean {
    return this.#carried === 0 && this.#held === undefined;
  }

  /** Whether the decoder keeps bytes because the sink was over its backlog. */
  get holding(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Processes the next bytes of the peer. After an error the position in the stream is lost: do not call `push` again.
   *
   * @throws {MqttError} 0x81: a fixed header is malformed; 0x95: a packet is over the limit (nothing is allocated for it)
   */
  push(chunk: Uint8Array): void {
    if (this.#held !== undefined || this.#sink.overBacklog === true) return this.#hold(chunk);
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

  /**
   * Processes the kept bytes, when the sink has room again.
   *
   * @throws the errors of `push`
   */
  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.push(held);
  }

  /** Reports the complete packets in `bytes[at, to)`, and returns the position of the first incomplete packet. */
  #scan(bytes: Uint8Array, at: number, to: number): number {
    while (at < to) {
      const type = bytes[at]! >>> 4;
      const flags = bytes[at]! & 15;
      if (type === PUBLISH) {
        // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
        if ((flags & 6) === 6) throw malformed("A PUBLISH has QoS 3");
        if ((flags & (DUP | 6)) === DUP) throw malformed("A PUBLISH with QoS 0 is marked as a duplicate");
      } else this.#checkHead(type, flags);
      let size = 0;
      let length = 1;
      for (;; length++) {
        if (at + length >= to) {
          this.#wanted = length + 1;
          return at;
        }
        const byte = bytes[at + length]!;
        size |= (byte & 0x7f) << 7 * (length - 1);
        if (byte < 0x80) break;
        // Each byte is checked as it arrives: the error is the same under any chunking.
        if (length === 4) throw malformed("The length of a packet has more than 4 bytes");
      }
      const total = length + 1 + size;
      if (total > this.maxPacket) {
        throw new MqttError(
          REASON.packetTooLarge,
          `A ${packetName(type)} has ${total} bytes: the limit is ${this.maxPacket}`,
        );
      }
      this.#wanted = total;
      if (to - at < total) return at;
      const start = at + length + 1;
      at += total;
      this.#sink.onPacket(type, flags, bytes, start, at);
      if (this.#sink.overBacklog === true) {
        this.#stopped = true;
        return at;
      }
    }
    return at;
  }

  /** [MQTT-2.1.3-1] */
  #checkHead(type: number, flags: number): void {
    if (type === 0 || type === AUTH && this.version < 5) {
      throw malformed(`A packet has the reserved type ${type}`);
    }
    // Requests of MQTT 3.1 may be marked as duplicates.
    if (this.version === 3 && FLAGS[type] === 2) flags &= ~DUP;
    if (flags !== FLAGS[type]) {
      throw malformed(`The flags of a ${packetName(type)} are ${flags} instead of ${FLAGS[type]}`);
    }
  }

  /** Keeps bytes that arrive although the stream is paused. */
  #hold(chunk: Uint8Array): void {
    const held = this.#held ?? new Uint8Array(0);
    this.#held = new Uint8Array(held.length + chunk.length);
    this.#held.set(held);
    this.#held.set(chunk, held.length);
  }

  #append(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#carried + to - from;
    if (needed > this.#carry.length) {
      // Doubles the buffer, or uses the exact size of the packet if that is close.
      const doubled = Math.max(needed, this.#carry.length * 2, 256);
      const grown = new Uint8Array(this.#wanted <= doubled * 2 ? Math.max(this.#wanted, needed) : doubled);
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(from, to), this.#carried);
    this.#carried = needed;
  }
}
