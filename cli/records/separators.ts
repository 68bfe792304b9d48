import { Buffer } from "node:buffer";
import process from "node:process";

/** How many bytes are searched at a time: a string of this size is short-lived for the garbage collector. */
export const WINDOW = 32 * 1024;

/**
 * Finds a byte in at most `WINDOW` bytes, `bytes[from, to)`.
 *
 * @param found takes the positions, relative to `from`
 * @returns how many there are
 */
export type FindAll = (
  bytes: Uint8Array,
  wanted: number,
  from: number,
  to: number,
  found: Int32Array,
) => number;

/** JavaScriptCore's `indexOf` for bytes looks at many of them at once. */
const findInBytes: FindAll = (bytes, wanted, from, to, found) => {
  const window = bytes.subarray(from, to);
  let count = 0;
  for (let at = window.indexOf(wanted); at >= 0; at = window.indexOf(wanted, at + 1)) found[count++] = at;
  return count;
};

/** V8's looks at them one by one, and is beaten three to five times by its search in a string, copying included. */
const findInText: FindAll = (bytes, wanted, from, to, found) => {
  const window = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
  const character = String.fromCharCode(wanted);
  let count = 0;
  for (let at = window.indexOf(character); at >= 0; at = window.indexOf(character, at + 1)) {
    found[count++] = at;
  }
  return count;
};

export const findAll: FindAll = process.versions.bun === undefined ? findInText : findInBytes;
