/** Z85 (RFC 32): four bytes as five printable characters, most significant first. */

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const VALUES = new Map(Array.from(ALPHABET, (char, value) => [char, value]));

/** @throws {RangeError} the length is no multiple of four */
export function encodeZ85(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) {
    throw new RangeError(`Cannot encode ${bytes.length} bytes in Z85: it takes multiples of 4`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let text = "";
  for (let at = 0; at < bytes.length; at += 4) {
    const value = view.getUint32(at);
    for (let divisor = 85 ** 4; divisor >= 1; divisor /= 85) {
      text += ALPHABET[Math.floor(value / divisor) % 85];
    }
  }
  return text;
}

/** @throws {RangeError} it is no Z85; the message does not show the text, which may be a secret */
export function decodeZ85(text: string): Uint8Array {
  if (text.length % 5 !== 0) {
    throw new RangeError(`Cannot decode ${text.length} characters as Z85: it has multiples of 5`);
  }
  const bytes = new Uint8Array(text.length / 5 * 4);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < text.length; at += 5) {
    let value = 0;
    for (let i = at; i < at + 5; i++) {
      const digit = VALUES.get(text[i]!);
      if (digit === undefined) {
        throw new RangeError(`Cannot decode this as Z85: character ${i + 1} is not of its alphabet`);
      }
      value = value * 85 + digit;
    }
    if (value > 0xffffffff) {
      throw new RangeError(`Cannot decode this as Z85: characters ${at + 1} to ${at + 5} are over 32 bits`);
    }
    view.setUint32(at / 5 * 4, value);
  }
  return bytes;
}
