/** MQTT packets as objects, for tests: encoded and decoded with the codec, and translated for the oracle `mqtt-packet`. */
import { Buffer } from "node:buffer";
import { FrameBuffer } from "../../lib/bytes/frame_buffer.ts";
import { AckFields, PublishFields } from "../../lib/mqtt/fields.ts";
import { PacketDecoder } from "../../lib/mqtt/packet_decoder.ts";
import { PacketEncoder } from "../../lib/mqtt/packet_encoder.ts";
import {
  type AckType,
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  type ProtocolVersion,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../lib/mqtt/packet_type.ts";
import {
  checkEmpty,
  type CodeList,
  type Connack,
  type Connect,
  decodeCodeList,
  decodeConnack,
  decodeConnect,
  decodeReason,
  decodeSubscribe,
  decodeUnsubscribe,
  type ReasonPacket,
  type Subscribe,
  type Unsubscribe,
} from "../../lib/mqtt/packets.ts";
import {
  type MqttProperties,
  propertiesOf,
  PropertyWriter,
  writeProperties,
} from "../../lib/mqtt/properties.ts";

/** A PUBLISH as an object. */
export interface Publish {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
  readonly dup: boolean;
  readonly retain: boolean;
  readonly packetId: number;
  readonly properties: MqttProperties;
}

/** An acknowledgement as an object. */
export interface Ack {
  readonly packetId: number;
  readonly reasonCode: number;
  readonly properties: MqttProperties;
}

/** Any packet. */
export type Packet =
  | { readonly type: typeof CONNECT; readonly value: Connect }
  | { readonly type: typeof CONNACK; readonly value: Connack }
  | { readonly type: typeof PUBLISH; readonly value: Publish }
  | { readonly type: AckType; readonly value: Ack }
  | { readonly type: typeof SUBSCRIBE; readonly value: Subscribe }
  | { readonly type: typeof UNSUBSCRIBE; readonly value: Unsubscribe }
  | { readonly type: typeof SUBACK | typeof UNSUBACK; readonly value: CodeList }
  | { readonly type: typeof PINGREQ | typeof PINGRESP; readonly value: null }
  | { readonly type: typeof DISCONNECT | typeof AUTH; readonly value: ReasonPacket };

/** Encodes a packet into the encoder's buffer. */
export function writePacket(encoder: PacketEncoder, packet: Packet): void {
  const { type, value } = packet;
  switch (type) {
    case CONNECT:
      return encoder.connect(value);
    case CONNACK:
      return encoder.connack(value);
    case PUBLISH: {
      const properties = new PropertyWriter();
      writeProperties(value.properties, properties);
      const topic = new TextEncoder().encode(value.topic);
      const flags = (value.dup ? 8 : 0) | value.qos << 1 | (value.retain ? 1 : 0);
      const { payload, packetId } = value;
      const { bytes, length } = properties;
      return encoder.publish(
        flags,
        packetId,
        topic,
        topic.length,
        bytes,
        length,
        payload,
        0,
        payload.length,
      );
    }
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP: {
      const has = Object.keys(value.properties).length > 0;
      return encoder.ack(type, value.packetId, value.reasonCode, has ? value.properties : undefined);
    }
    case SUBSCRIBE:
      return encoder.subscribe(value);
    case UNSUBSCRIBE:
      return encoder.unsubscribe(value);
    case SUBACK:
    case UNSUBACK:
      return encoder.codeList(type, value);
    case PINGREQ:
    case PINGRESP:
      return encoder.ping(type);
    case DISCONNECT:
    case AUTH:
      return encoder.reason(type, value);
  }
}

/** Encodes packets. */
export function encodePackets(version: ProtocolVersion, packets: readonly Packet[]): Uint8Array {
  const out = new FrameBuffer();
  const encoder = new PacketEncoder(out);
  encoder.version = version;
  for (const packet of packets) writePacket(encoder, packet);
  return out.take().slice();
}

const publish = new PublishFields();
const ack = new AckFields();

/** Decodes the content of a packet. */
export function readPacket(
  type: number,
  flags: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion,
): Packet {
  switch (type) {
    case CONNECT:
      return { type, value: decodeConnect(bytes, start, end) };
    case CONNACK:
      return { type, value: decodeConnack(bytes, start, end, version) };
    case PUBLISH: {
      publish.read(flags, bytes, start, end, version);
      const { topic, qos, dup, retain, packetId, payloadStart, payloadEnd } = publish;
      const payload = new Uint8Array(bytes.subarray(payloadStart, payloadEnd));
      const properties = publish.properties.isEmpty ? {} : propertiesOf(publish.properties);
      return { type, value: { topic, payload, qos, dup, retain, packetId, properties } };
    }
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP: {
      ack.read(type, bytes, start, end, version);
      const { packetId, reasonCode } = ack;
      const properties = ack.properties.isEmpty ? {} : propertiesOf(ack.properties);
      return { type, value: { packetId, reasonCode, properties } };
    }
    case SUBSCRIBE:
      return { type, value: decodeSubscribe(bytes, start, end, version) };
    case UNSUBSCRIBE:
      return { type, value: decodeUnsubscribe(bytes, start, end, version) };
    case SUBACK:
    case UNSUBACK:
      return { type, value: decodeCodeList(type, bytes, start, end, version) };
    case PINGREQ:
    case PINGRESP:
      checkEmpty(type, start, end);
      return { type, value: null };
    case DISCONNECT:
    case AUTH:
      return { type, value: decodeReason(type, bytes, start, end, version) };
    default:
      throw new Error(`The decoder reported a packet of the type ${type}`);
  }
}

/** Decodes packets in chunks, each of which is overwritten after it was pushed. */
export function decodePackets(
  version: ProtocolVersion,
  chunks: Iterable<Uint8Array>,
  limit?: number,
): { packets: Packet[]; idle: boolean } {
  const packets: Packet[] = [];
  const decoder = new PacketDecoder({
    onPacket: (type, flags, bytes, start, end) =>
      void packets.push(readPacket(type, flags, bytes, start, end, version)),
  });
  decoder.version = version;
  if (limit !== undefined) decoder.maxPacket = limit;
  for (const chunk of chunks) {
    decoder.push(chunk);
    chunk.fill(0xee);
  }
  return { packets, idle: decoder.idle };
}

const CMDS = [
  "",
  "connect",
  "connack",
  "publish",
  "puback",
  "pubrec",
  "pubrel",
  "pubcomp",
  "subscribe",
  "suback",
  "unsubscribe",
  "unsuback",
  "pingreq",
  "pingresp",
  "disconnect",
  "auth",
];

/** Booleans of the oracle. */
const BOOLEANS = new Set([
  "payloadFormatIndicator",
  "requestProblemInformation",
  "requestResponseInformation",
  "retainAvailable",
  "wildcardSubscriptionAvailable",
  "subscriptionIdentifierAvailable",
  "sharedSubscriptionAvailable",
]);
/** Names that differ in the oracle. */
const RENAMED: Record<string, string> = {
  maximumQos: "maximumQoS",
  subscriptionIdentifierAvailable: "subscriptionIdentifiersAvailable",
  subscriptionIdentifiers: "subscriptionIdentifier",
};

type Loose = Record<string, unknown>;

/** Translates properties for the oracle, which keeps user properties by name. */
function foreignProperties(properties: MqttProperties): Loose | undefined {
  const entries = Object.entries(properties);
  if (entries.length === 0) return undefined;
  const result: Loose = {};
  for (const [name, value] of entries) {
    if (name === "userProperties") {
      const byName: Record<string, string | string[]> = Object.create(null);
      for (const [key, content] of value as [string, string][]) {
        const known = byName[key];
        byName[key] = known === undefined ? content : [...(Array.isArray(known) ? known : [known]), content];
      }
      result[name] = byName;
    } else if (name === "subscriptionIdentifiers") {
      const ids = value as number[];
      result["subscriptionIdentifier"] = ids.length === 1 ? ids[0] : ids;
    } else {
      const plain = value instanceof Uint8Array
        ? Buffer.from(value)
        : BOOLEANS.has(name)
        ? value === 1
        : value;
      result[RENAMED[name] ?? name] = plain;
    }
  }
  return result;
}

/** Translates a packet to the form of `mqtt-packet`. */
export function foreignPacket(version: ProtocolVersion, packet: Packet): Loose {
  const { type, value } = packet;
  const cmd = CMDS[type]!;
  if (value === null) return { cmd };
  const properties = foreignProperties(value.properties);
  const common: Loose = { cmd, ...(properties === undefined || version < 5 ? {} : { properties }) };
  switch (type) {
    case CONNECT: {
      const { will, userName, password } = value;
      const willProperties = will === undefined ? undefined : foreignProperties(will.properties);
      return {
        ...common,
        protocolId: value.version === 3 ? "MQIsdp" : "MQTT",
        protocolVersion: value.version,
        clean: value.cleanStart,
        clientId: value.clientId,
        keepalive: value.keepAlive,
        ...(userName === undefined ? {} : { username: userName }),
        ...(password === undefined ? {} : { password: Buffer.from(password) }),
        ...(will === undefined ? {} : {
          will: {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            qos: will.qos,
            retain: will.retain,
            ...(willProperties === undefined || version < 5 ? {} : { properties: willProperties }),
          },
        }),
      };
    }
    case CONNACK:
      return {
        ...common,
        sessionPresent: value.sessionPresent,
        [version === 5 ? "reasonCode" : "returnCode"]: value.code,
      };
    case PUBLISH: {
      const { topic, qos, dup, retain, payload, packetId } = value;
      const id = qos > 0 ? { messageId: packetId } : {};
      return { ...common, topic, qos, dup, retain, payload: Buffer.from(payload), ...id };
    }
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP:
      return {
        ...common,
        messageId: value.packetId,
        ...(version === 5 ? { reasonCode: value.reasonCode } : {}),
      };
    case SUBSCRIBE:
      return {
        ...common,
        messageId: value.packetId,
        subscriptions: value.requests.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
          topic: filter,
          qos,
          ...(version === 5 ? { nl: noLocal, rap: retainAsPublished, rh: retainHandling } : {}),
        })),
      };
    case UNSUBSCRIBE:
      return { ...common, messageId: value.packetId, unsubscriptions: [...value.filters] };
    case SUBACK:
    case UNSUBACK:
      return {
        ...common,
        messageId: value.packetId,
        ...(type === SUBACK || version === 5 ? { granted: [...value.codes] } : {}),
      };
    case DISCONNECT:
    case AUTH:
      return { ...common, ...(version === 5 ? { reasonCode: value.reasonCode } : {}) };
    default:
      return common;
  }
}
