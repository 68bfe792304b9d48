const encoder = new TextEncoder();
const decoder = new TextDecoder();
// Maps each byte value to a different character.
const singleBytes = new TextDecoder("latin1");

/** Zero bytes. */
export const EMPTY = new Uint8Array(0);

/** Encodes a string as UTF-8. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes UTF-8. Invalid sequences become U+FFFD. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Converts bytes to a map key: two keys are equal if and only if their bytes are equal. The key is not readable text. */
export function keyOf(bytes: Uint8Array): string {
  return singleBytes.decode(bytes);
}

/** The total length of the parts, in bytes. */
export function byteLength(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

/** Whether `bytes` starts with `prefix`. */
export function beginsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  if (bytes.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix[i]) return false;
  return true;
}

/** Copies the parts into one array. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(byteLength(parts));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Formats untrusted bytes for an error message: the first line of printable ASCII in quotes, or up to 16 bytes in hex. */
export function preview(bytes: Uint8Array): string {
  const head = bytes.subarray(0, 16);
  if (head.length > 0 && head.every((byte) => (byte >= 32 && byte < 127) || byte === 13 || byte === 10)) {
    return `'${text(head).replace(/[\r\n][^]*/, "")}'`;
  }
  return `bytes ${Array.from(head, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
}
