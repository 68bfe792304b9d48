import { ProtocolError } from "../errors.ts";
import {
  BODY,
  FRAME_END,
  FRAME_HEAD,
  FRAME_OVERHEAD,
  HEADER,
  HEARTBEAT,
  METHOD,
  PROTOCOL_HEADER,
} from "../amqp/frames/frame.ts";
import { CONTENT_HEAD } from "../amqp/frames/frame_writer.ts";
import { decodeMethod, methodName, readMethodId } from "../amqp/method_codec.ts";
import { decodeProperties } from "../amqp/properties.ts";
import { readUint32, readUint64 } from "../amqp/types/uint.ts";
import {
  bodyText,
  type Describer,
  fieldsText,
  HIDDEN,
  isSecret,
  orMalformed,
  quoted,
  type Say,
  sizeText,
} from "./describer.ts";
import { UnitSplitter } from "./unit_splitter.ts";

const LETTER_A = PROTOCOL_HEADER[0];
/** The arguments with which clients authenticate, and those of the server about that. */
const SASL = ["response", "challenge"];

/** Describes AMQP 0-9-1: each frame is a line. */
export function describeAmqp(say: Say): Describer {
  const half = (direction: "->" | "<-") => {
    const onUnit = (bytes: Uint8Array, size: number) => say(direction, `AMQP ${unitText(bytes, size)}`);
    return new UnitSplitter({ sizeOf, onUnit });
  };
  return { "->": half("->"), "<-": half("<-") };
}

/** The size of a frame or of a protocol header (4.2.2, 4.2.3). */
function sizeOf(bytes: Uint8Array, length: number): number {
  const type = bytes[0]!;
  if (type === LETTER_A) return PROTOCOL_HEADER.length;
  if (type !== METHOD && type !== HEADER && type !== BODY && type !== HEARTBEAT) {
    throw new ProtocolError(`a frame has the unknown type ${type}`);
  }
  return length < FRAME_HEAD ? 0 : readUint32(bytes, 3) + FRAME_OVERHEAD;
}

function unitText(bytes: Uint8Array, size: number): string {
  if (bytes[0] === LETTER_A) {
    const version = [...bytes.subarray(5, PROTOCOL_HEADER.length)].join("-");
    return `protocol header ${bytes[4] === 0 ? version : `${bytes[4]} ${version}`}`;
  }
  const isWhole = bytes.length === size;
  if (isWhole && bytes[size - 1] !== FRAME_END) throw new ProtocolError("a frame does not end where it says");
  const channel = bytes[1]! << 8 | bytes[2]!;
  const ch = channel === 0 ? "" : ` ch=${channel}`;
  const end = isWhole ? size - 1 : bytes.length;
  const payload = size - FRAME_OVERHEAD;
  switch (bytes[0]) {
    case METHOD:
      return methodText(bytes, end, ch, payload, isWhole);
    case HEADER:
      return orMalformed(`content header${ch}`, payload, () => headerText(bytes, end, ch, isWhole));
    case BODY:
      return `content body${ch} ${bodyText(bytes.subarray(FRAME_HEAD, end), payload)}`;
    default:
      return "heartbeat";
  }
}

function methodText(bytes: Uint8Array, end: number, ch: string, size: number, isWhole: boolean): string {
  const known = size >= 4 ? methodName(readMethodId(bytes, FRAME_HEAD, end)) : undefined;
  const name = `${known ?? "unknown method"}${ch}`;
  if (known === undefined || !isWhole) return `${name} ${sizeText(size)}`;
  return orMalformed(name, size, () => {
    const { args } = decodeMethod(bytes, FRAME_HEAD, end);
    return name + argumentsText(args);
  });
}

function headerText(bytes: Uint8Array, end: number, ch: string, isWhole: boolean): string {
  const body = ` body_size=${readUint64(bytes, FRAME_HEAD + 4)}`;
  if (!isWhole) return `content header${ch}${body}`;
  return `content header${ch}${body}${
    argumentsText(decodeProperties(bytes, FRAME_HEAD + CONTENT_HEAD, end))
  }`;
}

/** `exchange="" routing_key="jobs"`. Tables are JSON; empty ones are left out, and so are bits that are not set. */
function argumentsText(args: object): string {
  const shown = Object.entries(args).map(([name, value]) => {
    const field = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (SASL.includes(name) || isSecret(name)) return [field, HIDDEN];
    if (typeof value === "boolean") return [field, value];
    if (value instanceof Uint8Array) return [field, quoted(value)];
    const text = JSON.stringify(value, withoutSecrets);
    return [field, text === "{}" ? undefined : text];
  });
  return fieldsText(Object.fromEntries(shown));
}

/** For JSON of tables: hides secrets, and writes values that JSON does not have. */
function withoutSecrets(name: string, value: unknown): unknown {
  if (isSecret(name)) return HIDDEN;
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? sizeText(value.length) : value;
}
