import { type FrameReceiver, FrameSplitter } from "../../../bytes/frame_splitter.ts";
import { ProtocolError } from "../../../errors.ts";
import { readText } from "../../../bytes/text.ts";
import { readUint32, readUint64 } from "../../types/uint.ts";

/** The size of a key and a version, in bytes. */
const HEAD = 4;
const LENGTH = 4;

/** The fields of one frame, which are read in their order. It is valid until the next frame. */
export class FrameReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /** Begins with the bytes `[at, end)`. */
  reset(bytes: Uint8Array, at: number, end: number): void {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  uint8(): number {
    return this.#bytes[this.#take(1)]!;
  }

  uint16(): number {
    const at = this.#take(2);
    return this.#bytes[at]! << 8 | this.#bytes[at + 1]!;
  }

  uint32(): number {
    return readUint32(this.#bytes, this.#take(4));
  }

  uint64(): number {
    return readUint64(this.#bytes, this.#take(8));
  }

  /** Text with a length of 16 bits; the length -1 means none, and is read as empty. */
  text(): string {
    const size = this.uint16();
    if (size === 0xffff) return "";
    const at = this.#take(size);
    return readText(this.#bytes, at, at + size);
  }

  /** @throws {ProtocolError} the frame is too short */
  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#end) {
      throw new ProtocolError("A frame of the stream protocol ends before its fields");
    }
    this.#at = at + count;
    return at;
  }
}

/** Receives frames. `fields` is valid during the call. */
export type OnFrame = (key: number, fields: FrameReader) => void;

/** Decodes frames under any chunking. The size of a frame is checked before anything is allocated for it. */
export class StreamDecoder extends FrameSplitter<FrameReceiver> {
  /** The size limit of a frame without its length, in bytes. */
  frameMax: number;

  readonly #onFrame: OnFrame;
  readonly #reader = new FrameReader();

  constructor(frameMax: number, onFrame: OnFrame) {
    super({});
    this.frameMax = frameMax;
    this.#onFrame = onFrame;
  }

  /** @throws {ProtocolError} a frame is malformed or too large */
  protected override scan(bytes: Uint8Array, at: number, to: number): number {
    for (;;) {
      this.wanted = LENGTH;
      if (to - at < LENGTH) return at;
      const size = readUint32(bytes, at);
      if (size > this.frameMax || size < HEAD) {
        throw new ProtocolError(
          `A frame of the stream protocol has ${size} bytes: the limit is ${this.frameMax}`,
        );
      }
      this.wanted = LENGTH + size;
      const end = at + this.wanted;
      if (end > to) return at;
      this.#reader.reset(bytes, at + LENGTH, end);
      const key = this.#reader.uint16();
      this.#reader.uint16(); // The version.
      this.#onFrame(key, this.#reader);
      at = end;
    }
  }
}
