import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { FrameBuffer } from "../../../bytes/frame_buffer.ts";
import { PacketEncoder } from "../../../mqtt/packet_encoder.ts";
import type { ProtocolVersion } from "../../../mqtt/packet_type.ts";
import { OutgoingMessage } from "./outgoing.ts";

/**
 * Encodes a message of QoS 0 once for all subscribers that get the same bytes: those of one version, without subscription
 * identifiers and topic aliases.
 */
export class FanOut {
  readonly message: OutgoingMessage = new OutgoingMessage();
  #number = -1;
  /** For MQTT 3.1 and 3.1.1, which are equal here, and for MQTT 5.0. */
  readonly #old = new PacketEncoder(new FrameBuffer());
  readonly #new = new PacketEncoder(new FrameBuffer());

  constructor() {
    this.#old.version = 4;
  }

  /** Reads a message, unless it is the last one. @param number of the message in the intake */
  read(message: EncodedMessage, number: number): OutgoingMessage {
    if (number !== this.#number) {
      this.#number = number;
      this.message.read(message);
      this.#old.out.length = this.#new.out.length = 0;
    }
    return this.message;
  }

  /** Returns the packet of the last message, as the whole content of a buffer; empty if its routing key is no topic name. */
  encoded(version: ProtocolVersion): FrameBuffer {
    const encoder = version === 5 ? this.#new : this.#old;
    if (encoder.out.length === 0) this.message.send(encoder);
    return encoder.out;
  }
}
