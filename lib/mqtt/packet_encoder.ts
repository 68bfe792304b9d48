import { copyBytes, type FrameBuffer } from "../bytes/frame_buffer.ts";
import { sizeofVariable, writeTwo, writeVariable } from "./integers.ts";
import {
  type AckType,
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  MAX_REMAINING,
  PINGREQ,
  PINGRESP,
  type ProtocolVersion,
  PUBLISH,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "./packet_type.ts";
import type { CodeList, Connack, Connect, ReasonPacket, Subscribe, Unsubscribe } from "./packets.ts";
import { type MqttProperties, PropertyWriter, sizeofBlock, writeProperties } from "./properties.ts";
import { encodeText } from "./text.ts";

/** The content of the packet that is being encoded, and its properties: all encoders share them. */
const content = new PropertyWriter();
const block = new PropertyWriter();

/** Requests have a flag that is always set (5.0, 2.1.3). */
const REQUEST = 2;

/**
 * Encodes packets back to back into a growing buffer, to be written in large blocks. A method that throws an error has
 * written nothing.
 */
export class PacketEncoder {
  readonly out: FrameBuffer;
  /** The protocol of the packets. */
  version: ProtocolVersion = 5;
  constructor(out: FrameBuffer) {
    this.out = out;
  }

  /**
   * Encodes a PUBLISH.
   *
   * @param flags DUP 8, QoS 2 or 4, RETAIN 1
   * @param packetId 0 for QoS 0
   * @param topic a buffer whose first `topicLength` bytes are the topic name
   * @param properties a buffer whose first `propertiesLength` bytes are encoded properties; not used before MQTT 5.0
   * @param payload a buffer whose bytes `[start, end)` are the payload
   * @throws {RangeError} the packet is over the limit of MQTT
   */
  publish(
    flags: number,
    packetId: number,
    topic: Uint8Array,
    topicLength: number,
    properties: Uint8Array,
    propertiesLength: number,
    payload: Uint8Array,
    start: number,
    end: number,
  ): void {
    const size = sizeofPublish(
      this.version,
      packetId > 0,
      topicLength,
      propertiesLength,
      end - start,
    );
    let at = this.#begin(PUBLISH, flags, size);
    const target = this.out.bytes;
    at = writeTwo(target, at, topicLength);
    at = copyBytes(topic, 0, topicLength, target, at);
    if (packetId > 0) at = writeTwo(target, at, packetId);
    if (this.version === 5) {
      at = writeVariable(target, at, propertiesLength);
      at = copyBytes(properties, 0, propertiesLength, target, at);
    }
    this.out.length = copyBytes(payload, start, end, target, at);
  }

  /** Encodes PUBACK, PUBREC, PUBREL or PUBCOMP; a code and properties only in MQTT 5.0. */
  ack(type: AckType, packetId: number, reasonCode = 0, properties?: MqttProperties): void {
    const short = this.version < 5 || reasonCode === 0 && properties === undefined;
    if (properties === undefined || short) {
      const size = short ? 2 : 3;
      const start = this.#begin(type, type === PUBREL ? REQUEST : 0, size);
      const at = writeTwo(this.out.bytes, start, packetId);
      if (!short) this.out.bytes[at] = reasonCode;
      this.out.length = at + size - 2;
      return;
    }
    const body = this.#start();
    this.#two(packetId);
    this.#byte(reasonCode);
    this.#block(properties);
    this.#packet(type, type === PUBREL ? REQUEST : 0, body);
  }

  /** Encodes a CONNECT; its version decides the form. @throws {RangeError} a value does not fit its type */
  connect(packet: Connect): void {
    const { version, will, userName, password } = packet;
    const body = this.#start();
    this.#text(version === 3 ? "MQIsdp" : "MQTT", "name");
    this.#byte(version);
    this.#byte(
      (userName === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40) |
        (will === undefined ? 0 : 4 | will.qos << 3 | (will.retain ? 0x20 : 0)) | (packet.cleanStart ? 2 : 0),
    );
    this.#two(packet.keepAlive);
    if (version === 5) this.#block(packet.properties);
    this.#text(packet.clientId, "clientId");
    if (will !== undefined) {
      if (version === 5) this.#block(will.properties);
      this.#text(will.topic, "will.topic");
      this.#binary(will.payload, "will.payload");
    }
    if (userName !== undefined) this.#text(userName, "userName");
    if (password !== undefined) this.#binary(password, "password");
    this.#packet(CONNECT, 0, body);
  }

  connack({ sessionPresent, code, properties }: Connack): void {
    const body = this.#start();
    this.#byte(sessionPresent ? 1 : 0);
    this.#byte(code);
    if (this.version === 5) this.#block(properties);
    this.#packet(CONNACK, 0, body);
  }

  subscribe({ packetId, properties, requests }: Subscribe): void {
    const body = this.#start();
    this.#two(packetId);
    if (this.version === 5) this.#block(properties);
    for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of requests) {
      this.#text(filter, "filter");
      const options = (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | retainHandling << 4;
      this.#byte(qos | (this.version === 5 ? options : 0));
    }
    this.#packet(SUBSCRIBE, REQUEST, body);
  }

  unsubscribe({ packetId, properties, filters }: Unsubscribe): void {
    const body = this.#start();
    this.#two(packetId);
    if (this.version === 5) this.#block(properties);
    for (const filter of filters) this.#text(filter, "filter");
    this.#packet(UNSUBSCRIBE, REQUEST, body);
  }

  /** Encodes a SUBACK, or an UNSUBACK, which has no codes before MQTT 5.0. */
  codeList(type: typeof SUBACK | typeof UNSUBACK, { packetId, properties, codes }: CodeList): void {
    const body = this.#start();
    this.#two(packetId);
    if (this.version === 5) this.#block(properties);
    if (this.version === 5 || type === SUBACK) { for (const code of codes) this.#byte(code); }
    this.#packet(type, 0, body);
  }

  /** Encodes a DISCONNECT, which has no content before MQTT 5.0, or an AUTH. */
  reason(type: typeof DISCONNECT | typeof AUTH, { reasonCode, properties }: ReasonPacket): void {
    const body = this.#start();
    if (this.version === 5) {
      const none = Object.keys(properties).length === 0;
      if (reasonCode !== 0 || !none) this.#byte(reasonCode);
      if (!none) this.#block(properties);
    }
    this.#packet(type, 0, body);
  }

  ping(type: typeof PINGREQ | typeof PINGRESP): void {
    this.out.length = this.#begin(type, 0, 0);
  }

  /** Makes room for a packet and writes its fixed header; returns the position after it. */
  #begin(type: number, flags: number, size: number): number {
    if (size > MAX_REMAINING) {
      throw new RangeError(`Cannot encode a packet of ${size} bytes: the limit of MQTT is ${MAX_REMAINING}`);
    }
    const at = this.out.reserve(size + 1 + sizeofVariable(size));
    this.out.bytes[at] = type << 4 | flags;
    return writeVariable(this.out.bytes, at + 1, size);
  }

  #start(): PropertyWriter {
    content.length = 0;
    return content;
  }

  #packet(type: number, flags: number, body: PropertyWriter): void {
    const at = this.#begin(type, flags, body.length);
    this.out.length = copyBytes(body.bytes, 0, body.length, this.out.bytes, at);
  }

  #byte(value: number): void {
    const at = content.reserve(1);
    content.bytes[at] = value;
    content.length = at + 1;
  }

  #two(value: number): void {
    const at = content.reserve(2);
    content.length = writeTwo(content.bytes, at, value);
  }

  #text(text: string, name: string): void {
    this.#binary(encodeText(text, name), name);
  }

  #binary(bytes: Uint8Array, name: string): void {
    if (bytes.length > 0xffff) {
      throw new RangeError(`Cannot encode '${name}' as it has ${bytes.length} bytes: the maximum is 65535`);
    }
    this.#two(bytes.length);
    this.#append(bytes, bytes.length);
  }

  #block(properties: MqttProperties): void {
    block.length = 0;
    writeProperties(properties, block);
    const { bytes, length } = block;
    const at = content.reserve(sizeofBlock(length));
    content.length = writeVariable(content.bytes, at, length);
    this.#append(bytes, length);
  }

  #append(bytes: Uint8Array, length: number): void {
    const at = content.reserve(length);
    content.length = copyBytes(bytes, 0, length, content.bytes, at);
  }
}

/** Returns the size of a PUBLISH without its fixed header, in bytes. */
export function sizeofPublish(
  version: ProtocolVersion,
  hasPacketId: boolean,
  topicLength: number,
  propertiesLength: number,
  payloadLength: number,
): number {
  return 2 + topicLength + (hasPacketId ? 2 : 0) + (version === 5 ? sizeofBlock(propertiesLength) : 0) +
    payloadLength;
}
