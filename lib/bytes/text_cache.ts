import { readText } from "./text.ts";

/** The number of entries in the cache, and the size limit of a text in it, in bytes. */
const ENTRIES = 1024;
const LONGEST = 64;

const texts: string[] = new Array<string>(ENTRIES).fill("");
const lengths = new Uint8Array(ENTRIES);
const keys = new Uint8Array(ENTRIES * LONGEST);

/**
 * Decodes a name that is often repeated (exchanges, routing keys, consumer tags). A recent name is found by its bytes
 * without an allocation. A collision costs one decoding; the memory is fixed.
 */
export function readName(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length === 0) return "";
  if (length > LONGEST) return readText(bytes, start, end);
  let hash = length;
  for (let i = start; i < end; i++) hash = Math.imul(hash, 31) + bytes[i]! | 0;
  const entry = (hash ^ hash >>> 10) & ENTRIES - 1;
  const key = entry * LONGEST;
  if (lengths[entry] === length) {
    let i = 0;
    while (i < length && keys[key + i] === bytes[start + i]) i++;
    if (i === length) return texts[entry]!;
  }
  for (let i = 0; i < length; i++) keys[key + i] = bytes[start + i]!;
  lengths[entry] = length;
  return texts[entry] = readText(bytes, start, end);
}
