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

/** The name of a method; undefined when nobody knows the id. */
export function methodName(id: number): MethodName | undefined {
  return BY_ID.get(id)?.name as MethodName | undefined;
}

/** The id of a method, with the class in the upper 16 bits. */
export function methodId(name: MethodName): number {
  return SPECS[name].id;
}

/** Whether a content header and a body follow the method. */
export function hasContent(id: number): boolean {
  return BY_ID.get(id)?.spec.content === true;
}

/** Whether `reply` answers `request`. */
export function isReply(request: MethodName, reply: MethodName): boolean {
  return SPECS[request].replies?.includes(reply) === true;
}

/**
 * The id that a method frame's payload begins with (AMQP 0-9-1, 4.2.4).
 *
 * @throws {AmqpError} 501: the payload is shorter than that
 */
export function readMethodId(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 4) throw frameError("a method frame has no class and method");
  return readUint32(bytes, start);
}

/**
 * Decodes a method frame's payload; the result refers to none of its bytes.
 *
 * @throws {AmqpError} 501: the arguments are malformed; 540: nobody knows the method
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
  let bits = 0;
  /** How many bits of the last octet are left. */
  let left = 0;
  for (const [field, type] of spec.fields) {
    let value: unknown;
    if (type === "bit") {
      if (left === 0) {
        bits = reader.octet();
        left = 8;
      }
      value = (bits & 1) !== 0;
      bits >>= 1;
      left--;
    } else {
      left = 0;
      value = CODECS[type].decode(reader);
      // Names are UTF-8 except where they come with every message, as RabbitMQ has it.
      if (typeof value === "string" && spec.content !== true && !value.isWellFormed()) {
        throw frameError(`malformed UTF-8 in '${field}' of ${name}`);
      }
    }
    if (!field.startsWith("reserved")) args[field] = value;
  }
  if (reader.at !== end) throw frameError(`${end - reader.at} bytes are left over behind ${name}`);
  return { name, args } as Method;
}

/**
 * The exact number of bytes of a method frame's payload.
 *
 * @throws {RangeError | TypeError} an argument does not fit its type
 */
export function sizeofMethod<Name extends MethodName>(name: Name, args: GivenArgs<Name>): number {
  let size = 4;
  let left = 0;
  for (const [field, type] of SPECS[name].fields) {
    if (type === "bit") {
      if (left === 0) size++;
      left = (left || 8) - 1;
    } else {
      left = 0;
      const codec = CODECS[type];
      size += codec.sizeof((args as Args)[field] ?? codec.zero, field);
    }
  }
  return size;
}

/**
 * Writes a method frame's payload.
 *
 * @param args what `sizeofMethod` took
 * @param target with room for `sizeofMethod` bytes at `at`
 * @returns the position behind it
 */
export function writeMethod<Name extends MethodName>(
  name: Name,
  args: GivenArgs<Name>,
  target: Uint8Array,
  at: number,
): number {
  at = writeUint32(target, at, SPECS[name].id);
  let left = 0;
  for (const [field, type] of SPECS[name].fields) {
    const value = (args as Args)[field];
    if (type === "bit") {
      if (left === 0) {
        target[at++] = 0;
        left = 8;
      }
      if (value === true) target[at - 1]! |= 1 << (8 - left);
      left--;
    } else {
      left = 0;
      const codec = CODECS[type];
      at = codec.encode(value ?? codec.zero, target, at);
    }
  }
  return at;
}
