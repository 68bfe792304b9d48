/**
 * Text on the wire. AMQP requires UTF-8, but clients send other bytes, too. These become lone surrogates, U+DC80 to
 * U+DCFF (as in Python's `surrogateescape`, PEP 383), and are encoded as the same bytes again, so that text can be
 * forwarded unchanged. `isWellFormed()` detects such text; other lone surrogates are encoded as U+FFFD.
 */
const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Up to this length a loop is faster than a call into the runtime, in bytes. */
const SHORT = 64;

/** Returns the encoded size of a text, in bytes. */
export function textLength(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    if (code < 0x800) length += 1;
    else if (isPair(text, i, code)) {
      length += 2;
      i++;
    } else if (!isEscape(code)) length += 2;
  }
  return length;
}

/**
 * Writes a text.
 *
 * @param target a buffer with room for `textLength` bytes at `at`
 * @returns the position after the last byte
 */
export function writeText(text: string, target: Uint8Array, at: number): number {
  const length = text.length;
  if (length <= SHORT) {
    let i = 0;
    for (; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) break;
      target[at + i] = code;
    }
    if (i === length) return at + length;
  }
  if (text.isWellFormed()) return at + encoder.encodeInto(text, target.subarray(at)).written;
  return writeEscaped(text, target, at);
}

function writeEscaped(text: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isEscape(code)) target[at++] = code & 0xff;
    else {
      const whole = isPair(text, i, code) ? text.slice(i, ++i + 1) : text[i]!;
      at += encoder.encodeInto(whole, target.subarray(at)).written;
    }
  }
  return at;
}

/** Decodes the text in `bytes[start, end)`. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= 12) {
    let text = "";
    let i = start;
    for (; i < end; i++) {
      const byte = bytes[i]!;
      if (byte > 127) break;
      text += String.fromCharCode(byte);
    }
    if (i === end) return text;
  }
  const part = bytes.subarray(start, end);
  try {
    return strict.decode(part);
  } catch {
    return readEscaped(part);
  }
}

/** Decodes valid UTF-8 as text, and every other byte as a lone surrogate. */
function readEscaped(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    let end = at;
    for (let length; (length = sequenceAt(bytes, end)) > 0;) end += length;
    if (end > at) text += strict.decode(bytes.subarray(at, end));
    at = end;
    if (at < bytes.length) text += String.fromCharCode(0xdc00 | bytes[at++]!);
  }
  return text;
}

/** Returns the length of the UTF-8 sequence at `at`, or 0 (Unicode, table 3-7). */
function sequenceAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0xff;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const second = bytes[at + 1] ?? 0;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (let i = 2; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

/** Returns the longest prefix of a text with at most `limit` bytes and no incomplete character. */
export function clipText(text: string, limit: number): string {
  if (textLength(text) <= limit) return text;
  let length = 0;
  let clipped = "";
  for (const char of text) {
    length += textLength(char);
    if (length > limit) break;
    clipped += char;
  }
  return clipped;
}

function isPair(text: string, i: number, code: number): boolean {
  return (code & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
}

/** Requires a code that is not the second half of a pair. */
function isEscape(code: number): boolean {
  return code >= 0xdc80 && code <= 0xdcff;
}
