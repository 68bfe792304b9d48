import { amqpError, frameError } from "./amqp_error.ts";
import type { GivenArgs, Method, MethodName } from "./method_args.ts";
import { type FieldType, METHODS, type MethodSpec } from "./methods.ts";
import { type Codec, Reader } from "./types/codec.ts";
import { long, longlong, longstr, octet, short, shortstr } from "./types/scalars.ts";
import { table } from "./types/table.ts";
import { readUint32, writeUint32 } from "./types/uint.ts";

const CODECS: Readonly<Record<Exclude<FieldType, "bit">, Codec<unknown>>> = {
  octet,
  short,
  long,
  longlong,
  shortstr,
  longstr,
  table,
} as Record<Exclude<FieldType, "bit">, Codec<unknown>>;

type Args = Readonly<Record<string, unknown>>;

const SPECS: Readonly<Record<MethodName, MethodSpec>> = METHODS;
const BY_ID = new Map(Object.entries(SPECS).map(([name, spec]) => [spec.id, { name, spec }]));

/** Returns the name of a method; undefined for an unknown id. */
export function methodName(id: number): MethodName | undefined {
  return BY_ID.get(id)?.name as MethodName | undefined;
}

/** Returns the id of a method, with the class in the upper 16 bits. */
export function methodId(name: MethodName): number {
  return SPECS[name].id;
}

/**
 * Reads the method id at the start of the payload of a method frame (AMQP 0-9-1, 4.2.4).
 *
 * @throws {AmqpError} 501: the payload is too short
 */
export function readMethodId(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 4) throw frameError("a method frame has no class id and method id");
  return readUint32(bytes, start);
}

/**
 * Decodes the payload of a method frame. The result shares no bytes with the input.
 *
 * @throws {AmqpError} 501: the arguments are malformed; 540: the method is unknown
 */
export function decodeMethod(bytes: Uint8Array, start: number, end: number): Method {
  const id = readMethodId(bytes, start, end);
  const known = BY_ID.get(id);
  if (known === undefined) {
    throw amqpError(540, `unknown method ${id >>> 16}.${id & 0xffff}`, { method: id });
  }
  const { name, spec } = known;
  const reader = new Reader(bytes, start + 4, end);
  const args: Record<string, unknown> = {};
  /** The unread bits of the last octet. No method has more than 8 bits in a row. */
  let bits: number | undefined;
  for (const [field, type] of spec.fields) {
    let value: unknown;
    if (type === "bit") {
      bits ??= reader.octet();
      value = (bits & 1) !== 0;
      bits >>= 1;
    } else {
      bits = undefined;
      value = CODECS[type].decode(reader);
      // As in RabbitMQ, the names in methods with content need not be valid UTF-8.
      if (typeof value === "string" && spec.content !== true && !value.isWellFormed()) {
        throw frameError(`malformed UTF-8 in '${field}' of ${name}`);
      }
    }
    if (!field.startsWith("reserved")) args[field] = value;
  }
  if (reader.at !== end) throw frameError(`${end - reader.at} extra bytes after ${name}`);
  return { name, args } as Method;
}

/**
 * Returns the exact size of the payload of a method frame, in bytes.
 *
 * @throws {RangeError | TypeError} an argument does not fit its type
 */
export function sizeofMethod<Name extends MethodName>(name: Name, args: GivenArgs<Name>): number {
  let size = 4;
  let last = "";
  for (const [field, type] of SPECS[name].fields) {
    if (type === "bit") {
      if (last !== "bit") size++;
    } else {
      const codec = CODECS[type];
      size += codec.sizeof((args as Args)[field] ?? codec.zero, field);
    }
    last = type;
  }
  return size;
}

/**
 * Writes the payload of a method frame.
 *
 * @param args arguments that `sizeofMethod` accepted
 * @param target a buffer with room for `sizeofMethod` bytes at `at`
 * @returns the position after the last byte
 */
export function writeMethod<Name extends MethodName>(
  name: Name,
  args: GivenArgs<Name>,
  target: Uint8Array,
  at: number,
): number {
  at = writeUint32(target, at, SPECS[name].id);
  /** The next free bit of the last octet; 0 if the next bit begins an octet. */
  let mask = 0;
  for (const [field, type] of SPECS[name].fields) {
    const value = (args as Args)[field];
    if (type === "bit") {
      if (mask === 0) {
        target[at++] = 0;
        mask = 1;
      }
      if (value === true) target[at - 1]! |= mask;
      mask <<= 1;
    } else {
      mask = 0;
      const codec = CODECS[type];
      at = codec.encode(value ?? codec.zero, target, at);
    }
  }
  return at;
}
