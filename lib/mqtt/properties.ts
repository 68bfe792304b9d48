/** The properties of MQTT 5.0 (2.2.2) as data, and as an object. */
import { copyBytes, FrameBuffer } from "../bytes/frame_buffer.ts";
import { copyOf, readFour, readTwo, sizeofVariable, writeTwo, writeVariable } from "./integers.ts";
import { PropertyScan, readPair, readVariable } from "./property_scan.ts";
import { PROPERTY } from "./property_table.ts";
import { encodeText, readText } from "./text.ts";

/** The properties of a packet or a will, by name. Which packet may have which is in `property_table.ts`. */
export interface MqttProperties {
  payloadFormatIndicator?: number;
  /** In seconds. */
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  /** A PUBLISH has one for each matching subscription that has one; a SUBSCRIBE at most one. */
  subscriptionIdentifiers?: number[];
  /** In seconds; 0xFFFFFFFF for no end. */
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  /** In seconds. */
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: number;
  /** In seconds. */
  willDelayInterval?: number;
  requestResponseInformation?: number;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQos?: number;
  retainAvailable?: number;
  /** Names and values, in order; names may repeat. */
  userProperties?: [name: string, value: string][];
  /** In bytes. */
  maximumPacketSize?: number;
  wildcardSubscriptionAvailable?: number;
  subscriptionIdentifierAvailable?: number;
  sharedSubscriptionAvailable?: number;
}

/** Appends encoded properties to a buffer that grows. One object is reused for many packets. */
export class PropertyWriter extends FrameBuffer {
  byte(id: number, value: number): void {
    const at = this.reserve(2);
    this.bytes[at] = id;
    this.bytes[at + 1] = value;
    this.length = at + 2;
  }

  two(id: number, value: number): void {
    const at = this.reserve(3);
    this.bytes[at] = id;
    this.length = writeTwo(this.bytes, at + 1, value);
  }

  four(id: number, value: number): void {
    const at = this.reserve(5);
    this.bytes[at] = id;
    this.length = writeTwo(this.bytes, writeTwo(this.bytes, at + 1, value >>> 16), value & 0xffff);
  }

  variable(id: number, value: number): void {
    const at = this.reserve(5);
    this.bytes[at] = id;
    this.length = writeVariable(this.bytes, at + 1, value);
  }

  /** Appends a string or binary data, which have the same form; at most 65 535 bytes. */
  range(id: number, bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const at = this.reserve(3 + end - start);
    this.bytes[at] = id;
    this.length = copyBytes(bytes, start, end, this.bytes, writeTwo(this.bytes, at + 1, end - start));
  }

  /** @throws {RangeError} the text is too long, or not valid */
  text(id: number, text: string, name: string): void {
    this.range(id, encodeText(text, name));
  }

  /** Appends a user property. @throws {RangeError} a text is too long, or not valid */
  pair(name: string, value: string): void {
    const key = encodeText(name, "userProperties");
    const content = encodeText(value, "userProperties");
    this.range(PROPERTY.userProperties.id, key);
    const at = this.reserve(2 + content.length);
    this.length = copyBytes(content, 0, content.length, this.bytes, writeTwo(this.bytes, at, content.length));
  }
}

/**
 * Appends properties to `writer`, without their length.
 *
 * @throws {RangeError} a value does not fit its type
 */
export function writeProperties(properties: MqttProperties, writer: PropertyWriter): void {
  for (const [name, { id, kind }] of Object.entries(PROPERTY)) {
    const value = properties[name as keyof MqttProperties];
    if (value === undefined) continue;
    switch (kind) {
      case "byte":
        writer.byte(id, checkNumber(value, 0xff, name));
        break;
      case "two":
        writer.two(id, checkNumber(value, 0xffff, name));
        break;
      case "four":
        writer.four(id, checkNumber(value, 0xffff_ffff, name));
        break;
      case "variable":
        for (const one of value as number[]) writer.variable(id, checkNumber(one, 268_435_455, name));
        break;
      case "text":
        writer.text(id, value as string, name);
        break;
      case "binary":
        checkNumber((value as Uint8Array).length, 0xffff, `${name}.length`);
        writer.range(id, value as Uint8Array);
        break;
      case "pair":
        for (const [key, content] of value as [string, string][]) writer.pair(key, content);
    }
  }
}

/** Returns the properties of a scan as an object. */
export function propertiesOf(scan: PropertyScan): MqttProperties {
  const found: Record<string, unknown> = {};
  const { bytes } = scan;
  for (const [name, { id, kind }] of Object.entries(PROPERTY)) {
    const at = scan.starts[id]!;
    if (at === 0) continue;
    switch (kind) {
      case "byte":
        found[name] = bytes[at];
        break;
      case "two":
        found[name] = readTwo(bytes, at);
        break;
      case "four":
        found[name] = readFour(bytes, at);
        break;
      case "text":
        found[name] = readText(bytes, at + 2, at + 2 + readTwo(bytes, at));
        break;
      case "binary":
        found[name] = copyOf(bytes, at + 2, at + 2 + readTwo(bytes, at));
        break;
      case "variable": {
        const values: number[] = [];
        scan.each(id, (place) => values.push(readVariable(bytes, place, scan.end)));
        found[name] = values;
        break;
      }
      case "pair": {
        const pairs: [string, string][] = [];
        scan.each(id, (place) => pairs.push(readPair(bytes, place)));
        found[name] = pairs;
      }
    }
  }
  return found as MqttProperties;
}

/**
 * Reads the properties that begin with their length at `at`, as an object.
 *
 * @returns the properties, and the position after them
 * @throws {MqttError} 0x81: malformed; 0x82: twice, or not allowed in this packet
 */
export function readProperties(
  packet: number,
  bytes: Uint8Array,
  at: number,
  limit: number,
): { properties: MqttProperties; end: number } {
  const scan = new PropertyScan();
  const end = scan.read(packet, bytes, at, limit);
  return { properties: scan.isEmpty ? {} : propertiesOf(scan), end };
}

/** Returns the size of properties with their length, in bytes. */
export function sizeofBlock(length: number): number {
  return sizeofVariable(length) + length;
}

function checkNumber(value: unknown, max: number, name: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RangeError(
    `Cannot encode '${name}' as it must be an integer from 0 to ${max}: received ${value}`,
  );
}
