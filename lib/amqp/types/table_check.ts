import { amqpError, frameError } from "../amqp_error.ts";
import { MAX_DEPTH } from "./codec.ts";
import { readUint32 } from "./uint.ts";

/** The size of each type of field with a fixed size, in bytes, by its letter. */
const SIZES = new Uint8Array(256);
for (const [letter, size] of Object.entries({ t: 1, b: 1, B: 1, s: 2, U: 2, u: 2, I: 4, i: 4, f: 4, D: 5 })) {
  SIZES[letter.charCodeAt(0)] = size;
}
for (const letter of "lLTd") SIZES[letter.charCodeAt(0)] = 8;
const VOID = 0x56;
const TABLE = 0x46;
const ARRAY = 0x41;
const TEXT = 0x53;
const BINARY = 0x78;

/**
 * Checks an encoded table with its length without decoding it, so that a broker accepts only tables that it can decode
 * later. It allocates nothing.
 *
 * @throws {AmqpError} 406: nested deeper than `MAX_DEPTH`; 501: malformed
 */
export function checkTable(bytes: Uint8Array, start: number, end: number): void {
  if (checkBlock(bytes, start, end, true, 1) !== end) throw frameError("extra bytes after a table");
}

/** Checks a table or an array, and returns the position after it. */
function checkBlock(bytes: Uint8Array, at: number, end: number, isTable: boolean, depth: number): number {
  if (depth > MAX_DEPTH) throw amqpError(406, `headers are nested more than ${MAX_DEPTH} tables deep`);
  // Bytes after the end that this reads are not used: `to` is greater than `end` then.
  const to = at + 4 + readUint32(bytes, at);
  if (to > end) throw truncated();
  at += 4;
  while (at < to) {
    if (isTable) {
      at += 1 + bytes[at]!;
      if (at >= to) throw truncated();
    }
    const letter = bytes[at++]!;
    const size = SIZES[letter]!;
    if (size > 0) at += size;
    else if (letter === TEXT || letter === BINARY) at += 4 + readUint32(bytes, at);
    else if (letter === TABLE || letter === ARRAY) {
      at = checkBlock(bytes, at, to, letter === TABLE, depth + 1);
    } else if (letter !== VOID) {
      throw frameError(`a field has the unknown type 0x${letter.toString(16).padStart(2, "0")}`);
    }
    if (at > to) throw truncated();
  }
  return to;
}

function truncated(): Error {
  return frameError("a table is truncated");
}
