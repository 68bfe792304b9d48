import { LimitError } from "../../errors.ts";
import { frameError } from "../amqp_error.ts";
import { ContentHeader } from "../basic_fields.ts";
import { copyBytes } from "../frames/frame_buffer.ts";

/** A body that comes in pieces gets no more room than this before its bytes are there. */
const FIRST_ROOM = 1024 * 1024;
/** A buffer that one huge message made larger than this is given back, in bytes. */
const KEEP = 1024 * 1024;

/**
 * Puts a message's content together: properties and body, each as a view that is valid until the next message. A body
 * in one frame, the common case, is not copied.
 */
export class Content {
  /** Flags and properties are at `[0, propertiesEnd)`. */
  properties: Uint8Array = new Uint8Array(256);
  propertiesEnd = 0;
  /** The body is at `[bodyStart, bodyEnd)`. */
  body: Uint8Array = NOTHING;
  bodyStart = 0;
  bodyEnd = 0;

  readonly #header = new ContentHeader();
  readonly #maxSize: number;
  #buffer = NOTHING;
  #collected = 0;

  /** @param maxSize the largest body that is taken, in bytes */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /**
   * Takes a header frame's payload.
   *
   * @returns whether the message is complete
   * @throws {LimitError} the body is over the limit
   */
  onHeader(bytes: Uint8Array, start: number, end: number): boolean {
    const header = this.#header;
    header.read(bytes, start, end);
    if (header.bodySize > this.#maxSize) {
      throw new LimitError(`A message of ${header.bodySize} bytes came, and ${this.#maxSize} is the limit`);
    }
    const size = header.propertiesEnd - header.propertiesStart;
    if (size > this.properties.length) this.properties = new Uint8Array(size);
    this.propertiesEnd = copyBytes(bytes, header.propertiesStart, header.propertiesEnd, this.properties, 0);
    this.body = NOTHING;
    this.bodyStart = this.bodyEnd = this.#collected = 0;
    if (this.#buffer.length > KEEP) this.#buffer = NOTHING;
    return header.bodySize === 0;
  }

  /**
   * Takes a body frame's payload.
   *
   * @returns whether the message is complete
   * @throws {AmqpError} 501: the body is longer than its header said
   */
  onBody(bytes: Uint8Array, start: number, end: number): boolean {
    const { bodySize } = this.#header;
    const total = this.#collected + end - start;
    if (total > bodySize) throw frameError(`a body has more than the ${bodySize} bytes of its header`);
    if (this.#collected === 0 && total === bodySize) {
      this.body = bytes;
      this.bodyStart = start;
      this.bodyEnd = end;
      return true;
    }
    if (total > this.#buffer.length) {
      const room = Math.min(bodySize, Math.max(total, this.#buffer.length * 2, FIRST_ROOM));
      const grown = new Uint8Array(room);
      grown.set(this.#buffer.subarray(0, this.#collected));
      this.#buffer = grown;
    }
    this.#collected = copyBytes(bytes, start, end, this.#buffer, this.#collected);
    this.body = this.#buffer;
    this.bodyEnd = total;
    return total === bodySize;
  }
}

const NOTHING = new Uint8Array(0);
