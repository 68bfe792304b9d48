import { copyBytes, FrameBuffer } from "../../../bytes/frame_buffer.ts";
import { textLength, writeText } from "../../../bytes/text.ts";
import { writeUint16, writeUint32, writeUint64 } from "../../types/uint.ts";
import { COMMAND, VERSION } from "./commands.ts";

/** The largest overhead of a message: its publishing id, its size, and the head of its AMQP 1.0 section. */
export const MESSAGE_OVERHEAD = 20;
/** The size of a Publish frame without messages. */
export const PUBLISH_HEAD = 13;

/** The head of the AMQP 1.0 section "data" with a short and a long binary (AMQP 1.0, 3.2.6 and 1.6.19). */
const DATA = [0x00, 0x53, 0x75] as const;
const VBIN8 = 0xa0;
const VBIN32 = 0xb0;

/** Encodes frames: size, key, version, then the fields. */
export class StreamEncoder {
  readonly out: FrameBuffer = new FrameBuffer();
  /** The position of the frame that is not complete. */
  #start = 0;
  /** The number of messages in the Publish frame that is not complete; 0 if there is none. */
  #messages = 0;

  /** Begins a frame. */
  begin(key: number): this {
    this.endPublish();
    this.#start = this.out.reserve(4);
    this.out.length += 4;
    return this.uint16(key).uint16(VERSION);
  }

  uint8(value: number): this {
    const at = this.out.reserve(1);
    this.out.bytes[at] = value;
    this.out.length = at + 1;
    return this;
  }

  uint16(value: number): this {
    const at = this.out.reserve(2);
    this.out.length = writeUint16(this.out.bytes, at, value);
    return this;
  }

  uint32(value: number): this {
    const at = this.out.reserve(4);
    this.out.length = writeUint32(this.out.bytes, at, value);
    return this;
  }

  /** Text with a length of 16 bits. */
  text(value: string): this {
    const size = textLength(value);
    this.uint16(size);
    const at = this.out.reserve(size);
    this.out.length = writeText(value, this.out.bytes, at);
    return this;
  }

  /** Bytes with a length of 32 bits. */
  bytes(value: Uint8Array): this {
    this.uint32(value.length).out.append(value);
    return this;
  }

  /** Completes a frame: writes its size. */
  end(): void {
    writeUint32(this.out.bytes, this.#start, this.out.length - this.#start - 4);
  }

  /** Adds a message to a Publish frame, which `endPublish` completes. */
  publish(
    publisher: number,
    id: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    frameMax: number,
  ): void {
    const size = end - start;
    const frame = this.out.length - this.#start;
    if (this.#messages > 0 && frame + size + MESSAGE_OVERHEAD > frameMax) this.endPublish();
    if (this.#messages === 0) this.begin(COMMAND.publish).uint8(publisher).uint32(0);
    this.#messages++;
    let at = this.out.reserve(size + MESSAGE_OVERHEAD);
    const target = this.out.bytes;
    const head = size < 256 ? 5 : 8;
    at = writeUint64(target, at, id);
    at = writeUint32(target, at, head + size);
    for (let i = 0; i < DATA.length; i++) target[at++] = DATA[i]!;
    if (size < 256) {
      target[at++] = VBIN8;
      target[at++] = size;
    } else {
      target[at++] = VBIN32;
      at = writeUint32(target, at, size);
    }
    this.out.length = copyBytes(bytes, start, end, target, at);
  }

  /** Completes the Publish frame, if there is one. */
  endPublish(): void {
    if (this.#messages === 0) return;
    writeUint32(this.out.bytes, this.#start + PUBLISH_HEAD - 4, this.#messages);
    this.#messages = 0;
    this.end();
  }
}
