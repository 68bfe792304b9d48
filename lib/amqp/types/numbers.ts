/** Reads and writes the numbers of field tables. Eight bytes of scratch avoid a DataView for every buffer. */
const scratch = new DataView(new ArrayBuffer(8));
const octets = new Uint8Array(scratch.buffer);

function load(bytes: Uint8Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) octets[i] = bytes[at + i]!;
}

function store(target: Uint8Array, at: number, count: number): number {
  for (let i = 0; i < count; i++) target[at + i] = octets[i]!;
  return at + count;
}

/** Reads a signed 64-bit integer. */
export function readInt64(bytes: Uint8Array, at: number): bigint {
  load(bytes, at, 8);
  return scratch.getBigInt64(0);
}

export function readBigUint64(bytes: Uint8Array, at: number): bigint {
  load(bytes, at, 8);
  return scratch.getBigUint64(0);
}

/** Writes the low 64 bits of a signed or unsigned value. */
export function writeBig64(target: Uint8Array, at: number, value: bigint): number {
  scratch.setBigInt64(0, value);
  return store(target, at, 8);
}

export function readFloat(bytes: Uint8Array, at: number): number {
  load(bytes, at, 4);
  return scratch.getFloat32(0);
}

export function writeFloat(target: Uint8Array, at: number, value: number): number {
  scratch.setFloat32(0, value);
  return store(target, at, 4);
}

export function readDouble(bytes: Uint8Array, at: number): number {
  load(bytes, at, 8);
  return scratch.getFloat64(0);
}

export function writeDouble(target: Uint8Array, at: number, value: number): number {
  scratch.setFloat64(0, value);
  return store(target, at, 8);
}
