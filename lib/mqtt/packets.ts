/** The packets that are decoded to objects: all but PUBLISH, its acknowledgements, and those without content. */
import { extra, truncated } from "./fields.ts";
import { malformed, MqttError, protocolError } from "./mqtt_error.ts";
import { copyOf, readTwo } from "./integers.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  packetName,
  type ProtocolVersion,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "./packet_type.ts";
import { type MqttProperties, readProperties } from "./properties.ts";
import { WILL } from "./property_table.ts";
import { isEndReason, REASON, reasonName } from "./reason_code.ts";
import { checkText, readText } from "./text.ts";
import { isTopicName } from "./topic.ts";

/** The will of a client: the server publishes it when the connection ends without a DISCONNECT (3.1.2.5). */
export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
  readonly retain: boolean;
  readonly properties: MqttProperties;
}

/** CONNECT (3.1). */
export interface Connect {
  readonly version: ProtocolVersion;
  readonly cleanStart: boolean;
  /** In seconds; 0 for none. */
  readonly keepAlive: number;
  readonly properties: MqttProperties;
  readonly clientId: string;
  readonly will: Will | undefined;
  readonly userName: string | undefined;
  readonly password: Uint8Array | undefined;
}

/** CONNACK (3.2). `code` is a return code before MQTT 5.0, and a reason code in it. */
export interface Connack {
  readonly sessionPresent: boolean;
  readonly code: number;
  readonly properties: MqttProperties;
}

/** One topic filter of a SUBSCRIBE, with its options (3.8.3.1). */
export interface SubscriptionRequest {
  readonly filter: string;
  readonly qos: number;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** When to send retained messages: 0 always, 1 if the subscription is new, 2 never. */
  readonly retainHandling: number;
}

/** SUBSCRIBE (3.8). */
export interface Subscribe {
  readonly packetId: number;
  readonly properties: MqttProperties;
  readonly requests: readonly SubscriptionRequest[];
}

/** UNSUBSCRIBE (3.10). */
export interface Unsubscribe {
  readonly packetId: number;
  readonly properties: MqttProperties;
  readonly filters: readonly string[];
}

/** SUBACK and UNSUBACK (3.9, 3.11): one code for each filter of the request. An UNSUBACK has none before MQTT 5.0. */
export interface CodeList {
  readonly packetId: number;
  readonly properties: MqttProperties;
  readonly codes: readonly number[];
}

/** DISCONNECT and AUTH (3.14, 3.15). */
export interface ReasonPacket {
  readonly reasonCode: number;
  readonly properties: MqttProperties;
}

/** Reads the fields of one packet in order. */
class PacketReader {
  readonly #type: number;
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(type: number, bytes: Uint8Array, start: number, end: number) {
    this.#type = type;
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get done(): boolean {
    return this.at === this.end;
  }

  skip(count: number): number {
    const at = this.at;
    if (count > this.end - at) throw truncated(this.#type);
    this.at += count;
    return at;
  }

  byte(): number {
    return this.bytes[this.skip(1)]!;
  }

  two(): number {
    return readTwo(this.bytes, this.skip(2));
  }

  binary(): Uint8Array {
    const length = this.two();
    const start = this.skip(length);
    return copyOf(this.bytes, start, start + length);
  }

  text(name: string): string {
    const length = this.two();
    const start = this.skip(length);
    checkText(this.bytes, start, start + length, name);
    return readText(this.bytes, start, start + length);
  }

  packetId(): number {
    const id = this.two();
    if (id === 0) throw protocolError(`A ${packetName(this.#type)} has the packet identifier 0`);
    return id;
  }

  properties(version: ProtocolVersion, packet = this.#type): MqttProperties {
    if (version < 5) return {};
    const { properties, end } = readProperties(packet, this.bytes, this.at, this.end);
    this.at = end;
    return properties;
  }

  finish(): void {
    if (!this.done) throw extra(this.#type);
  }
}

const NAMES: Readonly<Record<ProtocolVersion, string>> = { 3: "MQIsdp", 4: "MQTT", 5: "MQTT" };

/**
 * Decodes a CONNECT of any supported version.
 *
 * @throws {MqttError} 0x84: another protocol or version; 0x81: malformed; 0x82: not allowed
 */
export function decodeConnect(bytes: Uint8Array, start: number, end: number): Connect {
  const reader = new PacketReader(CONNECT, bytes, start, end);
  const name = reader.text("protocol name");
  const level = reader.byte();
  const version = level as ProtocolVersion;
  if (NAMES[version] !== name) { // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
    throw new MqttError(
      REASON.unsupportedProtocolVersion,
      `The client speaks version ${level} of '${name}': supported are MQTT 3.1, 3.1.1 and 5.0`,
    );
  }
  const flags = reader.byte();
  const hasWill = (flags & 4) !== 0;
  const qos = flags >>> 3 & 3;
  const retain = (flags & 0x20) !== 0;
  const hasPassword = (flags & 0x40) !== 0;
  const hasName = (flags & 0x80) !== 0;
  if ((flags & 1) !== 0) throw malformed("The reserved flag of a CONNECT is set"); // [MQTT-3.1.2-3]
  if (qos === 3 || !hasWill && (qos > 0 || retain)) { // [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]
    throw malformed("The flags of the will in a CONNECT are invalid");
  }
  if (version < 5 && hasPassword && !hasName) { // [MQTT-3.1.2-22] of 3.1.1
    throw malformed("A CONNECT has a password without a user name");
  }
  const keepAlive = reader.two();
  const properties = reader.properties(version);
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError("A CONNECT has authentication data without a method"); // 3.1.2.11.10
  }
  const clientId = reader.text("client identifier");
  let will: Will | undefined;
  if (hasWill) {
    const willProperties = reader.properties(version, WILL);
    const topic = reader.text("topic of the will");
    if (!isTopicName(topic)) {
      throw new MqttError(REASON.topicNameInvalid, `The topic of the will is not a topic name: '${topic}'`);
    }
    will = { topic, payload: reader.binary(), qos, retain, properties: willProperties };
  }
  const userName = hasName ? reader.text("user name") : undefined;
  const password = hasPassword ? reader.binary() : undefined;
  reader.finish();
  return {
    version,
    cleanStart: (flags & 2) !== 0,
    keepAlive,
    properties,
    clientId,
    will,
    userName,
    password,
  };
}

/** Decodes a CONNACK. @throws {MqttError} 0x81: malformed; 0x82: not allowed */
export function decodeConnack(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): Connack {
  const reader = new PacketReader(CONNACK, bytes, start, end);
  const flags = reader.byte();
  if (flags > 1) throw malformed(`The flags of a CONNACK are ${flags}`); // [MQTT-3.2.2-1]
  const code = reader.byte();
  // Servers that do not know MQTT 5.0 answer with a CONNACK of 3.1.1.
  const properties = reader.done ? {} : reader.properties(version);
  reader.finish();
  return { sessionPresent: flags === 1, code, properties };
}

/** Decodes a SUBSCRIBE. Whether a filter is valid is not checked: see `isTopicFilter`. @throws {MqttError} 0x81, 0x82 */
export function decodeSubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): Subscribe {
  const reader = new PacketReader(SUBSCRIBE, bytes, start, end);
  const packetId = reader.packetId();
  const properties = reader.properties(version);
  const requests: SubscriptionRequest[] = [];
  while (!reader.done) {
    const filter = reader.text("topic filter");
    const options = reader.byte();
    const qos = options & 3;
    const retainHandling = options >>> 4 & 3;
    // [MQTT-3.8.3-4] of 3.1.1, [MQTT-3.8.3-5]
    if (qos === 3 || (version < 5 ? options > 2 : options > 0x3f)) {
      throw malformed(`The options of the topic filter '${filter}' are ${options}`);
    }
    if (retainHandling === 3) throw protocolError(`The retain handling of the topic filter '${filter}' is 3`);
    const noLocal = (options & 4) !== 0;
    requests.push({ filter, qos, noLocal, retainAsPublished: (options & 8) !== 0, retainHandling });
  }
  if (requests.length === 0) throw protocolError("A SUBSCRIBE has no topic filter"); // [MQTT-3.8.3-2]
  return { packetId, properties, requests };
}

/** Decodes an UNSUBSCRIBE. @throws {MqttError} 0x81, 0x82 */
export function decodeUnsubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): Unsubscribe {
  const reader = new PacketReader(UNSUBSCRIBE, bytes, start, end);
  const packetId = reader.packetId();
  const properties = reader.properties(version);
  const filters: string[] = [];
  while (!reader.done) filters.push(reader.text("topic filter"));
  if (filters.length === 0) throw protocolError("An UNSUBSCRIBE has no topic filter"); // [MQTT-3.10.3-2]
  return { packetId, properties, filters };
}

/** Decodes a SUBACK or an UNSUBACK. @throws {MqttError} 0x81, 0x82 */
export function decodeCodeList(
  type: typeof SUBACK | typeof UNSUBACK,
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): CodeList {
  const reader = new PacketReader(type, bytes, start, end);
  const packetId = reader.packetId();
  const properties = reader.properties(version);
  const codes = Array.from(bytes.subarray(reader.at, end));
  if (type === UNSUBACK && version < 5) reader.finish();
  else if (codes.length === 0) throw protocolError(`A ${packetName(type)} has no code`);
  return { packetId, properties, codes };
}

/** Decodes a DISCONNECT or an AUTH; both may end before the code and before the properties. @throws {MqttError} 0x81, 0x82 */
export function decodeReason(
  type: typeof DISCONNECT | typeof AUTH,
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): ReasonPacket {
  const reader = new PacketReader(type, bytes, start, end);
  if (version < 5) reader.finish(); // [MQTT-3.14.1-1]
  const reasonCode = reader.done ? 0 : reader.byte();
  if (!isEndReason(type, reasonCode)) { // [MQTT-3.14.2-1] [MQTT-3.15.2-1]
    throw protocolError(`A ${packetName(type)} has the reason code ${reasonName(reasonCode)}`);
  }
  const properties = reader.done ? {} : reader.properties(version);
  reader.finish();
  return { reasonCode, properties };
}

/** Checks that a PINGREQ or a PINGRESP has no content. @throws {MqttError} 0x81 */
export function checkEmpty(type: number, start: number, end: number): void {
  if (end > start) throw extra(type);
}
