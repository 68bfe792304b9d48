import { malformed, protocolError } from "./mqtt_error.ts";
import { readFour, readTwo } from "./integers.ts";
import { packetName } from "./packet_type.ts";
import { BY_ID, MAX_ID, PROPERTY, type PropertyKind, WILL } from "./property_table.ts";
import { checkText, isText, readText } from "./text.ts";

const KINDS: readonly PropertyKind[] = ["byte", "two", "four", "variable", "text", "binary", "pair"];
/** The kind of each identifier as an index of `KINDS`; -1 if there is no such property. */
const KIND = Int8Array.from(BY_ID, (row) => row === undefined ? -1 : KINDS.indexOf(row.kind));
/** Bits of the packet types that may have each property, and that may have it several times. */
const ALLOWED = Uint16Array.from(BY_ID, (row) => bits(row?.packets));
const REPEATED = Uint16Array.from(BY_ID, (row) => bits(row?.repeats));
const MIN = Float64Array.from(BY_ID, (row) => row?.min ?? 0);
const MAX = Float64Array.from(BY_ID, (row) => row?.max ?? 0xffff_ffff);

const BYTE = 0;
const TWO = 1;
const FOUR = 2;
const VARIABLE = 3;
const TEXT = 4;
const BINARY = 5;

function bits(packets: readonly number[] | undefined): number {
  return packets?.reduce((all, packet) => all | 1 << packet, 0) ?? 0;
}

/**
 * Finds and checks the properties of a packet in their encoded form, without decoding them. The object is reused and
 * allocates nothing. Its positions refer to the bytes of the last `read`.
 */
export class PropertyScan {
  bytes: Uint8Array = new Uint8Array(0);
  /** The properties without their length: `bytes[start, end)`. */
  start = 0;
  end = 0;
  /** The position of the value of each property by identifier, of the first one if it repeats; 0 if it is absent. */
  readonly starts: Int32Array = new Int32Array(MAX_ID + 1);

  get isEmpty(): boolean {
    return this.start === this.end;
  }

  /** Removes all properties. */
  clear(): void {
    if (this.end > this.start) this.starts.fill(0);
    this.start = this.end = 0;
  }

  /** Whether a property is present. */
  has(id: number): boolean {
    return this.starts[id] !== 0;
  }

  /** The value of a property of one, two or four bytes; -1 if it is absent. */
  number(id: number): number {
    const at = this.starts[id]!;
    if (at === 0) return -1;
    switch (KIND[id]) {
      case BYTE:
        return this.bytes[at]!;
      case TWO:
        return readTwo(this.bytes, at);
      case FOUR:
        return readFour(this.bytes, at);
      default:
        return readVariable(this.bytes, at, this.end);
    }
  }

  /** The text of a property; undefined if it is absent. */
  text(id: number): string | undefined {
    const at = this.starts[id]!;
    return at === 0 ? undefined : readText(this.bytes, at + 2, at + 2 + readTwo(this.bytes, at));
  }

  /** Calls `visit` with the position of each value of a property that may repeat. */
  each(id: number, visit: (at: number) => void): void {
    for (let at = this.start; at < this.end;) {
      const found = this.bytes[at++]!;
      if (found === id) visit(at);
      at = skip(KIND[found]!, this.bytes, at, this.end);
    }
  }

  /**
   * Scans the properties that begin with their length at `at`.
   *
   * @param packet the packet type, or `WILL`
   * @param limit the end of the packet
   * @returns the position after the properties
   * @throws {MqttError} 0x81: malformed; 0x82: twice, not allowed in this packet, or a value that is not allowed
   */
  read(packet: number, bytes: Uint8Array, at: number, limit: number): number {
    this.clear();
    this.bytes = bytes;
    const length = readVariable(bytes, at, limit);
    if (length < 0) throw malformed("The length of the properties is malformed");
    at += lengthOfVariable(bytes, at);
    const end = at + length;
    if (end > limit) throw malformed("The properties are truncated");
    this.start = at;
    this.end = end;
    const bit = 1 << packet;
    while (at < end) {
      // All identifiers fit into one byte.
      const id = bytes[at++]!;
      const kind = id > MAX_ID ? -1 : KIND[id]!;
      if (kind < 0) throw malformed(`A packet has the unknown property ${id}`);
      if ((ALLOWED[id]! & bit) === 0) {
        throw protocolError(`The property '${BY_ID[id]!.name}' is not allowed in ${nameOf(packet)}`);
      }
      if (this.starts[id] !== 0) {
        if ((REPEATED[id]! & bit) === 0) {
          throw protocolError(`The property '${BY_ID[id]!.name}' occurs twice in ${nameOf(packet)}`);
        }
      } else this.starts[id] = at;
      const next = skip(kind, bytes, at, end);
      if (next > end || next < 0) throw malformed(`The property '${BY_ID[id]!.name}' is truncated`);
      this.#check(id, kind, at, next);
      at = next;
    }
    return end;
  }

  #check(id: number, kind: number, at: number, next: number): void {
    const { bytes } = this;
    if (kind >= TEXT) {
      if (kind === BINARY) return;
      const end = at + 2 + readTwo(bytes, at);
      checkText(bytes, at + 2, end, BY_ID[id]!.name);
      if (kind !== TEXT && !isText(bytes, end + 2, next)) checkText(bytes, end + 2, next, BY_ID[id]!.name);
      if (id === PROPERTY.responseTopic.id) checkResponseTopic(bytes, at + 2, end);
      return;
    }
    const value = kind === BYTE
      ? bytes[at]!
      : kind === TWO
      ? readTwo(bytes, at)
      : kind === FOUR
      ? readFour(bytes, at)
      : readVariable(bytes, at, next);
    if (value < MIN[id]! || value > MAX[id]!) {
      throw protocolError(`The property '${BY_ID[id]!.name}' has the value ${value}`);
    }
  }
}

function nameOf(packet: number): string {
  return packet === WILL ? "a will" : packetName(packet);
}

/** [MQTT-3.3.2-14] */
function checkResponseTopic(bytes: Uint8Array, start: number, end: number): void {
  for (let at = start; at < end; at++) {
    if (bytes[at] === 0x2b || bytes[at] === 0x23) {
      throw protocolError("The response topic contains wildcards");
    }
  }
  if (start === end) throw protocolError("The response topic is empty");
}

/** Returns the position after a value; beyond `end` or negative if it is truncated or malformed. */
function skip(kind: number, bytes: Uint8Array, at: number, end: number): number {
  switch (kind) {
    case BYTE:
      return at + 1;
    case TWO:
      return at + 2;
    case FOUR:
      return at + 4;
    case VARIABLE:
      return readVariable(bytes, at, end) < 0 ? -1 : at + lengthOfVariable(bytes, at);
    case TEXT:
    case BINARY:
      return at + 2 > end ? -1 : at + 2 + readTwo(bytes, at);
    default: {
      if (at + 2 > end) return -1;
      const second = at + 2 + readTwo(bytes, at);
      return second + 2 > end ? -1 : second + 2 + readTwo(bytes, second);
    }
  }
}

/** Reads a user property at `at`, of properties that `PropertyScan` has checked. */
export function readPair(bytes: Uint8Array, at: number): [name: string, value: string] {
  const end = at + 2 + readTwo(bytes, at);
  return [readText(bytes, at + 2, end), readText(bytes, end + 2, end + 2 + readTwo(bytes, end))];
}

/** Reads a variable byte integer before `end`; -1 if it is truncated or has more than 4 bytes (5.0, 1.5.5). */
export function readVariable(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    if (at >= end) return -1;
    const byte = bytes[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return -1;
}

/** Returns the size of a valid variable byte integer, in bytes. */
export function lengthOfVariable(bytes: Uint8Array, at: number): number {
  let length = 1;
  while (bytes[at++]! >= 0x80) length++;
  return length;
}
