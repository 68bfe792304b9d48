import { type FrameReceiver, FrameSplitter } from "../bytes/frame_splitter.ts";
import { malformed, MqttError } from "./mqtt_error.ts";
import { MAX_REMAINING, packetName, type ProtocolVersion, PUBLISH } from "./packet_type.ts";
import { REASON } from "./reason_code.ts";

/** The flags that each packet type must have (5.0, 2.1.3); those of PUBLISH mean something. */
const FLAGS = Uint8Array.of(0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0);
const DUP = 8;
const AUTH = 15;

/** Receives packets from a decoder. An error thrown by `onPacket` ends the decoder: see `PacketDecoder.push`. */
export interface PacketSink extends FrameReceiver {
  /** A packet arrived. Its variable header and payload `bytes[start, end)` are valid during the call. */
  onPacket(type: number, flags: number, bytes: Uint8Array, start: number, end: number): void;
}

/**
 * Decodes packets (MQTT 5.0, 2.1) under any chunking. A packet within one chunk is not copied; one that spans chunks is
 * copied into a buffer that grows with the received bytes, not with the size that a packet claims.
 */
export class PacketDecoder extends FrameSplitter<PacketSink> {
  /** The protocol of the packets; it is known after CONNECT. Default: 5 */
  version: ProtocolVersion = 5;
  /** The size limit for received packets with their fixed header, in bytes. Default: 268 435 460 */
  maxPacket: number = MAX_REMAINING + 5;

  /** @throws {MqttError} 0x81: a fixed header is malformed; 0x95: a packet is over the limit (nothing is allocated for it) */
  protected override scan(bytes: Uint8Array, at: number, to: number): number {
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
          this.wanted = length + 1;
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
      this.wanted = total;
      if (to - at < total) return at;
      const start = at + length + 1;
      at += total;
      this.sink.onPacket(type, flags, bytes, start, at);
      if (this.sink.overBacklog === true) return at;
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
}
