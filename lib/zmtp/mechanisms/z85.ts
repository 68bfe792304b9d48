/** Z85 (RFC 32): encodes four bytes as five printable characters, most significant first. */

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const VALUES = new Map(Array.from(ALPHABET, (char, value) => [char, value]));

/**
 * Encodes bytes as Z85 (RFC 32), the usual text form of CURVE keys.
 *
 * @param bytes a multiple of four bytes
 * @returns five characters for every four bytes
 * @throws {RangeError} the length is not a multiple of four
 *
 * @example Encode four bytes
 * ```ts
 * import { encodeZ85 } from "../../../mod.ts";
 * console.assert(encodeZ85(Uint8Array.of(0x86, 0x4f, 0xd2, 0x6f)) === "Hello");
 * ```
 */
export function encodeZ85(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) {
    throw new RangeError(`Cannot encode ${bytes.length} bytes as Z85: the length must be a multiple of 4`);
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

/**
 * Decodes Z85 (RFC 32).
 *
 * @param text a multiple of five characters
 * @returns four bytes for every five characters
 * @throws {RangeError} the text is not valid Z85. The message does not contain the text, which may be a secret
 *
 * @example Decode five characters
 * ```ts
 * import { decodeZ85 } from "../../../mod.ts";
 * console.assert(decodeZ85("Hello")[0] === 0x86);
 * ```
 */
export function decodeZ85(text: string): Uint8Array {
  if (text.length % 5 !== 0) {
    throw new RangeError(
      `Cannot decode ${text.length} characters as Z85: the length must be a multiple of 5`,
    );
  }
  const bytes = new Uint8Array(text.length / 5 * 4);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < text.length; at += 5) {
    let value = 0;
    for (let i = at; i < at + 5; i++) {
      const digit = VALUES.get(text[i]!);
      if (digit === undefined) {
        throw new RangeError(`Cannot decode this as Z85: character ${i + 1} is not in the Z85 alphabet`);
      }
      value = value * 85 + digit;
    }
    if (value > 0xffffffff) {
      throw new RangeError(`Cannot decode this as Z85: characters ${at + 1} to ${at + 5} exceed 32 bits`);
    }
    view.setUint32(at / 5 * 4, value);
  }
  return bytes;
}
