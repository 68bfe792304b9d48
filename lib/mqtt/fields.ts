/** Readers of the packets of the hot path, without allocation. One object is reused for many packets. */
import { malformed, MqttError, protocolError } from "./mqtt_error.ts";
import { readTwo } from "./integers.ts";
import { packetName, type ProtocolVersion, PUBLISH } from "./packet_type.ts";
import { PropertyScan } from "./property_scan.ts";
import { PROPERTY } from "./property_table.ts";
import { isAckReason, REASON, reasonName } from "./reason_code.ts";
import { checkText, readText } from "./text.ts";

const PLUS = 0x2b;
const HASH = 0x23;

/** The fields of a PUBLISH (MQTT 5.0, 3.3). Positions refer to the bytes of the last `read`. */
export class PublishFields {
  bytes: Uint8Array = new Uint8Array(0);
  dup = false;
  qos = 0;
  retain = false;
  topicStart = 0;
  topicEnd = 0;
  /** 0 for QoS 0. */
  packetId = 0;
  /** Empty before MQTT 5.0. */
  readonly properties: PropertyScan = new PropertyScan();
  payloadStart = 0;
  payloadEnd = 0;

  /** The topic name; empty if a topic alias stands for it. */
  get topic(): string {
    return readText(this.bytes, this.topicStart, this.topicEnd);
  }

  /**
   * Reads a packet.
   *
   * @throws {MqttError} 0x81: malformed; 0x82: not allowed; 0x90: the topic name has wildcards; 0x94: the topic alias is 0
   */
  read(flags: number, bytes: Uint8Array, start: number, end: number, version: ProtocolVersion): void {
    this.bytes = bytes;
    this.dup = (flags & 8) !== 0;
    this.qos = flags >>> 1 & 3;
    this.retain = (flags & 1) !== 0;
    if (end - start < 2) throw truncated(PUBLISH);
    const topicStart = this.topicStart = start + 2;
    const topicEnd = this.topicEnd = topicStart + readTwo(bytes, start);
    if (topicEnd > end) throw truncated(PUBLISH);
    this.#checkTopic(bytes, topicStart, topicEnd);
    let at = topicEnd;
    this.packetId = 0;
    if (this.qos > 0) {
      if (at + 2 > end) throw truncated(PUBLISH);
      this.packetId = readTwo(bytes, at);
      if (this.packetId === 0) throw protocolError("A PUBLISH has the packet identifier 0"); // [MQTT-2.2.1-3]
      at += 2;
    }
    const { properties } = this;
    if (version < 5) properties.clear();
    else {
      at = properties.read(PUBLISH, bytes, at, end);
      if (properties.number(PROPERTY.topicAlias.id) === 0) {
        throw new MqttError(REASON.topicAliasInvalid, "A PUBLISH has the topic alias 0"); // [MQTT-3.3.2-8]
      }
    }
    if (topicStart === topicEnd && !properties.has(PROPERTY.topicAlias.id)) {
      throw protocolError("A PUBLISH has no topic name"); // [MQTT-4.7.3-1]
    }
    this.payloadStart = at;
    this.payloadEnd = end;
  }

  #checkTopic(bytes: Uint8Array, start: number, end: number): void {
    let ascii = true;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === PLUS || byte === HASH) {
        throw new MqttError(REASON.topicNameInvalid, "The topic name of a PUBLISH has wildcards"); // [MQTT-3.3.2-2]
      }
      if (byte === 0 || byte > 127) ascii = false;
    }
    if (!ascii) checkText(bytes, start, end, "topic name");
  }
}

/** The fields of PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5.0, 3.4 to 3.7). */
export class AckFields {
  packetId = 0;
  /** 0 before MQTT 5.0. */
  reasonCode = 0;
  readonly properties: PropertyScan = new PropertyScan();

  /** Reads a packet. @throws {MqttError} 0x81: malformed; 0x82: not allowed */
  read(type: number, bytes: Uint8Array, start: number, end: number, version: ProtocolVersion): void {
    if (end - start < 2) throw truncated(type);
    this.packetId = readTwo(bytes, start);
    if (this.packetId === 0) throw protocolError(`A ${packetName(type)} has the packet identifier 0`);
    this.reasonCode = 0;
    this.properties.clear();
    if (end - start === 2) return;
    if (version < 5) throw malformed(`A ${packetName(type)} has ${end - start} bytes instead of 2`);
    this.reasonCode = bytes[start + 2]!;
    if (!isAckReason(type, this.reasonCode)) {
      throw protocolError(`A ${packetName(type)} has the reason code ${reasonName(this.reasonCode)}`);
    }
    if (end - start === 3) return;
    if (this.properties.read(type, bytes, start + 3, end) < end) throw extra(type);
  }
}

export function truncated(type: number): MqttError {
  return malformed(`A ${packetName(type)} is truncated`);
}

export function extra(type: number): MqttError {
  return malformed(`A ${packetName(type)} has extra bytes`);
}
