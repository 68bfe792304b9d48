/** UTF-8 encoded strings (MQTT 5.0, 1.5.4). */
import { malformed } from "./mqtt_error.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The highest size of a string, in bytes. */
export const MAX_TEXT = 65_535;
/** Up to this size a loop is faster than a call into the runtime, in bytes. */
const SHORT = 32;

/** Whether `bytes[start, end)` is UTF-8 without U+0000 and surrogates [MQTT-1.5.4-1] [MQTT-1.5.4-2]. */
export function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end;) {
    const first = bytes[at]!;
    if (first < 0x80) {
      if (first === 0) return false;
      at++;
      continue;
    }
    // Unicode, table 3-7.
    if (first < 0xc2 || first > 0xf4) return false;
    const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (at + length > end) return false;
    const second = bytes[at + 1]!;
    const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) return false;
    for (let i = 2; i < length; i++) if ((bytes[at + i]! & 0xc0) !== 0x80) return false;
    at += length;
  }
  return true;
}

/** Decodes a text that `isText` accepts. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= SHORT) {
    let text = "";
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte > 127) break;
      text += String.fromCharCode(byte);
    }
    if (at === end) return text;
  }
  return decoder.decode(bytes.subarray(start, end));
}

/**
 * Encodes a text.
 *
 * @throws {RangeError} it has more than 65 535 bytes, U+0000 or a lone surrogate
 */
export function encodeText(text: string, name: string): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length > MAX_TEXT) {
    throw new RangeError(
      `Cannot encode '${name}' as it has ${bytes.length} bytes: the maximum is ${MAX_TEXT}`,
    );
  }
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new RangeError(`Cannot encode '${name}' as it contains U+0000 or a lone surrogate`);
  }
  return bytes;
}

/** Checks that `bytes[start, end)` is a string. @throws {MqttError} 0x81 */
export function checkText(bytes: Uint8Array, start: number, end: number, name: string): void {
  if (!isText(bytes, start, end)) {
    throw malformed(`The ${name} is not UTF-8, or contains U+0000 or a surrogate`);
  }
}
