import { LimitError } from "../../errors.ts";
import { frameError } from "../amqp_error.ts";
import { ContentHeader } from "../basic_fields.ts";
import { copyBytes } from "../../bytes/frame_buffer.ts";
import type { DeliveredContent } from "../../link/message.ts";

/** The largest buffer allocated for a body before its bytes arrive, in bytes. */
const FIRST_ROOM = 1024 * 1024;
/** A buffer larger than this is released after its message, in bytes. */
const KEEP = 1024 * 1024;

/**
 * Assembles the content of a message: properties and body, as views that are valid until the next message. A body in a
 * single frame, the common case, is not copied.
 */
export class Content implements DeliveredContent {
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

  /** @param maxSize the size limit for bodies, in bytes */
  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  /**
   * Processes the payload of a header frame.
   *
   * @returns whether the message is complete
   * @throws {LimitError} the body is over the limit
   */
  onHeader(bytes: Uint8Array, start: number, end: number): boolean {
    const header = this.#header;
    header.read(bytes, start, end);
    if (header.bodySize > this.#maxSize) {
      throw new LimitError(`Received a message of ${header.bodySize} bytes: the limit is ${this.#maxSize}`);
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
   * Processes the payload of a body frame.
   *
   * @returns whether the message is complete
   * @throws {AmqpError} 501: the body is longer than its header says
   */
  onBody(bytes: Uint8Array, start: number, end: number): boolean {
    const { bodySize } = this.#header;
    const total = this.#collected + end - start;
    if (total > bodySize) throw frameError(`a body exceeds the ${bodySize} bytes that its header announced`);
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
