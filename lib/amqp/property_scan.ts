import { frameError } from "./amqp_error.ts";
import type { FieldTable } from "./types/field_value.ts";
import { decodeTable } from "./types/table.ts";
import { readText } from "../bytes/text.ts";
import { readUint32 } from "./types/uint.ts";

/**
 * The index of each property in the order of the wire, for `PropertyScan`: a broker asks for several properties of each
 * message, and an index is faster than a name.
 */
export const PROPERTY = {
  contentType: 0,
  contentEncoding: 1,
  headers: 2,
  deliveryMode: 3,
  priority: 4,
  correlationId: 5,
  replyTo: 6,
  expiration: 7,
  messageId: 8,
  timestamp: 9,
  type: 10,
  userId: 11,
  appId: 12,
  clusterId: 13,
} as const;

/** The index of a property. */
export type PropertyIndex = typeof PROPERTY[keyof typeof PROPERTY];

/** The index of a property that is a short string. */
export type TextIndex = Exclude<
  PropertyIndex,
  typeof PROPERTY["headers" | "deliveryMode" | "priority" | "timestamp"]
>;

const TEXT = 0;
const TABLE = 1;
/** The kind of each property: TEXT, TABLE, or its size in bytes plus FIXED. */
const KINDS = Uint8Array.of(TEXT, TEXT, TABLE, 11, 11, TEXT, TEXT, TEXT, TEXT, 18, TEXT, TEXT, TEXT, TEXT);
const FIXED = 10;

/**
 * Finds properties in their encoded form without decoding them, so that a broker can check and route a message and
 * forward its properties unchanged. The object is reused and allocates nothing. Its positions refer to the bytes of the
 * last `read`.
 */
export class PropertyScan {
  /** Property flags (AMQP 0-9-1, 4.2.6.1). */
  flags = 0;
  /** Start and end of each present property: without the length octet of text, with the length of a table. */
  readonly starts: Int32Array = new Int32Array(14);
  readonly ends: Int32Array = new Int32Array(14);
  #bytes: Uint8Array = new Uint8Array(0);

  /**
   * Scans flags and properties up to `end`. The content of the headers is not checked.
   *
   * @throws {AmqpError} 501: malformed
   */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    if (end - start < 2) throw frameError("a content header has no property flags");
    const flags = this.flags = bytes[start]! << 8 | bytes[start + 1]!;
    if ((flags & 1) !== 0) throw frameError("a content header announces properties that do not exist");
    let at = start + 2;
    // From the highest bit to the lowest one that has a property.
    for (let left = flags & 0xfffc; left !== 0;) {
      const place = Math.clz32(left) - 16;
      left &= ~(0x8000 >>> place);
      const kind = KINDS[place]!;
      let from = at;
      if (kind === TEXT) {
        from = at + 1;
        at = from + (at < end ? bytes[at]! : 0);
      } else if (kind === TABLE) {
        at += 4 + (at + 4 <= end ? readUint32(bytes, at) : 0);
      } else at += kind - FIXED;
      if (at > end) throw frameError("the properties are truncated");
      this.starts[place] = from;
      this.ends[place] = at;
    }
    if (at !== end) throw frameError(`${end - at} extra bytes after the properties`);
  }

  /** Whether the message has the property. */
  has(property: PropertyIndex): boolean {
    return (this.flags & 0x8000 >>> property) !== 0;
  }

  /** Whether the message is persistent: it survives a restart. */
  get persistent(): boolean {
    return this.deliveryMode === 2;
  }

  /** The delivery mode; 1 if it is absent. */
  get deliveryMode(): number {
    return this.has(PROPERTY.deliveryMode) ? this.#bytes[this.starts[PROPERTY.deliveryMode]!]! : 1;
  }

  /** The priority; 0 if it is absent. */
  get priority(): number {
    return this.has(PROPERTY.priority) ? this.#bytes[this.starts[PROPERTY.priority]!]! : 0;
  }

  /** Decodes a property that is a short string. */
  text(property: TextIndex): string | undefined {
    if (!this.has(property)) return undefined;
    return readText(this.#bytes, this.starts[property]!, this.ends[property]!);
  }

  /** Whether an ASCII text occurs anywhere in the headers, in names or values: a fast check without decoding. */
  headersMention(text: string): boolean {
    if (!this.has(PROPERTY.headers)) return false;
    const bytes = this.#bytes;
    const first = text.charCodeAt(0);
    const last = this.ends[PROPERTY.headers]! - text.length;
    for (let at = this.starts[PROPERTY.headers]!; at <= last; at++) {
      if (bytes[at] !== first) continue;
      let i = 1;
      while (i < text.length && bytes[at + i] === text.charCodeAt(i)) i++;
      if (i === text.length) return true;
    }
    return false;
  }

  /**
   * Decodes the headers.
   *
   * @throws {AmqpError} 501: malformed
   */
  headers(): FieldTable | undefined {
    if (!this.has(PROPERTY.headers)) return undefined;
    return decodeTable(this.#bytes, this.starts[PROPERTY.headers]!, this.ends[PROPERTY.headers]!);
  }
}
