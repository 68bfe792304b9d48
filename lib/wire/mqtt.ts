import { ProtocolError } from "../errors.ts";
import { AckFields, PublishFields } from "../mqtt/fields.ts";
import * as type from "../mqtt/packet_type.ts";
import {
  type Connect,
  decodeCodeList,
  decodeConnack,
  decodeConnect,
  decodeReason,
  decodeSubscribe,
  decodeUnsubscribe,
} from "../mqtt/packets.ts";
import { PROPERTY } from "../mqtt/property_table.ts";
import { reasonName } from "../mqtt/reason_code.ts";
import {
  bodyText,
  type Describer,
  fieldsText,
  HIDDEN,
  orMalformed,
  type Say,
  sizeText,
  wordText,
} from "./describer.ts";
import { UnitSplitter } from "./unit_splitter.ts";

/** The most bytes of a fixed header (5.0, 2.1). */
const MAX_HEAD = 5;

/** Describes MQTT 3.1 to 5.0: each packet is a line. */
export function describeMqtt(say: Say): Describer {
  const packets = new Packets();
  const half = (direction: "->" | "<-") => {
    const onUnit = (bytes: Uint8Array, size: number) => say(direction, `MQTT ${packets.text(bytes, size)}`);
    return new UnitSplitter({ sizeOf, onUnit });
  };
  return { "->": half("->"), "<-": half("<-") };
}

function sizeOf(bytes: Uint8Array, length: number): number {
  if (bytes[0]! < 0x10) throw new ProtocolError("a packet has the reserved type 0");
  let size = 0;
  for (let at = 1; at < length; at++) {
    size += (bytes[at]! & 0x7f) * 2 ** (7 * (at - 1));
    if (bytes[at]! < 0x80) return size + at + 1;
    if (at + 1 === MAX_HEAD) throw new ProtocolError("the length of a packet has more than 4 bytes");
  }
  return 0;
}

/** Describes packets of one connection. The version is that of its CONNECT. */
class Packets {
  #version: type.ProtocolVersion = 4;
  readonly #publish = new PublishFields();
  readonly #ack = new AckFields();

  text(bytes: Uint8Array, size: number): string {
    const start = 1 + bytes.subarray(1).findIndex((byte) => byte < 0x80) + 1;
    const kind = bytes[0]! >>> 4;
    const name = type.packetName(kind);
    // The content of a PUBLISH may end early, that of other packets may not.
    if (bytes.length < size && kind !== type.PUBLISH) return `${name} ${sizeText(size - start)}`;
    return orMalformed(name, size - start, () => `${name}${this.#content(kind, bytes, start, size)}`);
  }

  #content(kind: number, bytes: Uint8Array, start: number, size: number): string {
    const end = bytes.length;
    const version = this.#version;
    switch (kind) {
      case type.CONNECT: {
        const connect = decodeConnect(bytes, start, end);
        this.#version = connect.version;
        return connectText(connect);
      }
      case type.CONNACK: {
        const { sessionPresent, code, properties } = decodeConnack(bytes, start, end, version);
        const reason = version < 5 ? `${code}` : reasonName(code);
        const why = reasonText(properties.reasonString);
        const clientId = properties.assignedClientIdentifier;
        const assigned = clientId === undefined ? undefined : wordText(clientId);
        return fieldsText({ code: reason, session_present: sessionPresent, client_id: assigned }) + why;
      }
      case type.PUBLISH:
        return this.#publishText(bytes, start, size);
      case type.PUBACK:
      case type.PUBREC:
      case type.PUBREL:
      case type.PUBCOMP: {
        this.#ack.read(kind, bytes, start, end, version);
        const { packetId, reasonCode } = this.#ack;
        return fieldsText({ id: packetId, code: reasonCode === 0 ? undefined : reasonName(reasonCode) });
      }
      case type.SUBSCRIBE: {
        const { packetId, requests } = decodeSubscribe(bytes, start, end, version);
        const filters = requests.map(({ filter, qos }) => ` ${wordText(filter)} qos=${qos}`);
        return fieldsText({ id: packetId }) + filters.join("");
      }
      case type.UNSUBSCRIBE: {
        const { packetId, filters } = decodeUnsubscribe(bytes, start, end, version);
        return fieldsText({ id: packetId }) + filters.map((filter) => ` ${wordText(filter)}`).join("");
      }
      case type.SUBACK:
      case type.UNSUBACK: {
        const { packetId, codes, properties } = decodeCodeList(kind, bytes, start, end, version);
        const list = codes.length === 0 ? undefined : codes.map(String).join(",");
        return fieldsText({ id: packetId, codes: list }) + reasonText(properties.reasonString);
      }
      case type.DISCONNECT:
      case type.AUTH: {
        const { reasonCode, properties } = decodeReason(kind, bytes, start, end, version);
        const { authenticationData } = properties;
        const code = version < 5 ? undefined : reasonName(reasonCode);
        const data = authenticationData === undefined ? undefined : HIDDEN;
        return fieldsText({ code, authentication_data: data }) + reasonText(properties.reasonString);
      }
      default:
        return "";
    }
  }

  #publishText(bytes: Uint8Array, start: number, size: number): string {
    const publish = this.#publish;
    publish.read(bytes[0]! & 15, bytes, start, bytes.length, this.#version);
    const { dup, qos, retain, packetId, topic, payloadStart } = publish;
    const alias = publish.properties.has(PROPERTY.topicAlias.id)
      ? publish.properties.number(PROPERTY.topicAlias.id)
      : undefined;
    const fields = { qos, id: qos === 0 ? undefined : packetId, dup, retain, topic: wordText(topic) };
    const body = bodyText(bytes.subarray(payloadStart), size - payloadStart);
    return `${fieldsText({ ...fields, topic_alias: alias })} ${body}`;
  }
}

function connectText({ version, clientId, keepAlive, cleanStart, will, ...login }: Connect): string {
  const { userName, password, properties } = login;
  return fieldsText({
    version: { 3: "3.1", 4: "3.1.1", 5: "5.0" }[version],
    client_id: wordText(clientId),
    clean_start: cleanStart,
    keep_alive: keepAlive,
    user: userName === undefined ? undefined : wordText(userName),
    password: password === undefined ? undefined : HIDDEN,
    authentication_method: properties.authenticationMethod,
    authentication_data: properties.authenticationData === undefined ? undefined : HIDDEN,
    will_topic: will === undefined ? undefined : wordText(will.topic),
  });
}

function reasonText(reason: string | undefined): string {
  return reason === undefined ? "" : ` reason=${JSON.stringify(reason)}`;
}
