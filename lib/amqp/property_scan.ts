import { frameError } from "./amqp_error.ts";
import type { FieldTable } from "./types/field_value.ts";
import { decodeTable } from "./types/table.ts";
import { readText } from "./types/text.ts";
import { readUint32 } from "./types/uint.ts";

/** Places of the properties in their order on the wire, for `PropertyScan`. */
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

type TextProperty = Exclude<keyof typeof PROPERTY, "headers" | "deliveryMode" | "priority" | "timestamp">;

const TEXT = 0;
const TABLE = 1;
/** The kind of each property: one of the above, or its number of bytes. */
const KINDS = Uint8Array.of(TEXT, TEXT, TABLE, 11, 11, TEXT, TEXT, TEXT, TEXT, 18, TEXT, TEXT, TEXT, TEXT);
const FIXED = 10;

/**
 * Finds properties in their encoded form without decoding them: what a broker needs to check and route a message
 * whose properties it keeps and forwards as the bytes that they are. One scan is read over and over; it allocates
 * nothing, and refers to the bytes of the last `read`.
 */
export class PropertyScan {
  /** Property flags (AMQP 0-9-1, 4.2.6.1). */
  flags = 0;
  /** Where each property that is there begins and ends, lengths of text left out, that of a table counted. */
  readonly starts: Int32Array = new Int32Array(14);
  readonly ends: Int32Array = new Int32Array(14);
  #bytes: Uint8Array = new Uint8Array(0);

  /**
   * Walks flags and properties, up to `end`. The content of headers is not looked at.
   *
   * @throws {AmqpError} 501: malformed
   */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    if (end - start < 2) throw frameError("a content header has no property flags");
    const flags = this.flags = bytes[start]! << 8 | bytes[start + 1]!;
    if ((flags & 1) !== 0) throw frameError("a content header has more properties than there are");
    let at = start + 2;
    // From the highest bit to the lowest one that has a meaning.
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
      if (at > end) throw frameError("the properties end early");
      this.starts[place] = from;
      this.ends[place] = at;
    }
    if (at !== end) throw frameError(`${end - at} bytes are left over behind the properties`);
  }

  has(property: keyof typeof PROPERTY): boolean {
    return (this.flags & 0x8000 >>> PROPERTY[property]) !== 0;
  }

  /** Whether the message asks to survive a restart. */
  get persistent(): boolean {
    return this.deliveryMode === 2;
  }

  /** 1 when it has none. */
  get deliveryMode(): number {
    return this.has("deliveryMode") ? this.#bytes[this.starts[PROPERTY.deliveryMode]!]! : 1;
  }

  /** 0 when it has none. */
  get priority(): number {
    return this.has("priority") ? this.#bytes[this.starts[PROPERTY.priority]!]! : 0;
  }

  /** A property that is a short string. */
  text(property: TextProperty): string | undefined {
    if (!this.has(property)) return undefined;
    return readText(this.#bytes, this.starts[PROPERTY[property]]!, this.ends[PROPERTY[property]]!);
  }

  /** Whether a text of ASCII occurs anywhere in the headers, in names or values: a quick no, without decoding. */
  headersMention(text: string): boolean {
    if (!this.has("headers")) return false;
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

  /** @throws {AmqpError} 501: malformed */
  headers(): FieldTable | undefined {
    if (!this.has("headers")) return undefined;
    return decodeTable(this.#bytes, this.starts[PROPERTY.headers]!, this.ends[PROPERTY.headers]!);
  }
}
