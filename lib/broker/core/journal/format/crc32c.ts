/** The Castagnoli polynomial, bits reversed (RFC 3720, 12.1). */
const POLYNOMIAL = 0x82f63b78;

/** `TABLES[k][byte]` is the contribution of a byte to the sum when `k` zero bytes follow it ("slicing by 8"). */
const TABLES: Int32Array[] = [];
for (let k = 0; k < 8; k++) {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let sum = k === 0 ? byte : TABLES[k - 1]![byte]!;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ POLYNOMIAL : sum >>> 1;
    table[byte] = sum;
  }
  TABLES.push(table);
}
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** The index of the entry in the first table that has a given high byte; each of them occurs once. */
const BY_HIGH_BYTE = new Uint8Array(256);
for (let index = 0; index < 256; index++) BY_HIGH_BYTE[T0[index]! >>> 24] = index;

/**
 * Computes the CRC-32C of `view[start, end)`. The speed is 1.3 to 1.9 GB/s on V8 and on JavaScriptCore.
 *
 * @param seed the sum of the preceding bytes, or a salt
 * @returns 32 bits, unsigned
 */
export function crc32c(view: DataView, start: number, end: number, seed = 0): number {
  let sum = ~seed;
  const last = end - 8;
  for (; start <= last; start += 8) {
    sum ^= view.getInt32(start, true);
    const more = view.getInt32(start + 4, true);
    sum = T7[sum & 255]! ^ T6[sum >>> 8 & 255]! ^ T5[sum >>> 16 & 255]! ^ T4[sum >>> 24]! ^
      T3[more & 255]! ^ T2[more >>> 8 & 255]! ^ T1[more >>> 16 & 255]! ^ T0[more >>> 24]!;
  }
  for (; start < end; start++) sum = T0[(sum ^ view.getUint8(start)) & 255]! ^ (sum >>> 8);
  return ~sum >>> 0;
}

/**
 * Computes the seed that gives `view[start, end)` a certain sum, the inverse of `crc32c`. So every intact record tells
 * the salt of its file.
 */
export function seedOf(view: DataView, start: number, end: number, sum: number): number {
  let state = ~sum;
  for (let at = end - 1; at >= start; at--) {
    const index = BY_HIGH_BYTE[state >>> 24]!;
    state = ((state ^ T0[index]!) << 8) | (index ^ view.getUint8(at));
  }
  return ~state >>> 0;
}
