const encoder = new TextEncoder();
const decoder = new TextDecoder();
// One character for each byte, and a different one for each value.
const singleBytes = new TextDecoder("latin1");

export const EMPTY = new Uint8Array(0);

/** UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes; what is not UTF-8 becomes U+FFFD. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Bytes as a map key: equal for equal bytes only, and not for people to read. */
export function keyOf(bytes: Uint8Array): string {
  return singleBytes.decode(bytes);
}

/** How many bytes the parts have together. */
export function byteLength(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

/** Whether the first bytes are those of `prefix`. */
export function beginsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  if (bytes.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix[i]) return false;
  return true;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(byteLength(parts));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a stranger sent, for an error message: printable ASCII in quotes, or the first bytes in hexadecimal. */
export function preview(bytes: Uint8Array): string {
  const head = bytes.subarray(0, 16);
  if (head.length > 0 && head.every((byte) => (byte >= 32 && byte < 127) || byte === 13 || byte === 10)) {
    return `'${text(head).replace(/[\r\n][^]*/, "")}'`;
  }
  return `bytes ${Array.from(head, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
}
