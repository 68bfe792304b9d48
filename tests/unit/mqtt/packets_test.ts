/** Packets that must be refused, by the clauses of MQTT 5.0 and 3.1.1, and the limits of the decoder. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MqttError } from "../../../lib/mqtt/mqtt_error.ts";
import { PacketDecoder } from "../../../lib/mqtt/packet_decoder.ts";
import {
  AUTH,
  DISCONNECT,
  packetName,
  type ProtocolVersion,
  PUBLISH,
} from "../../../lib/mqtt/packet_type.ts";
import { PROPERTY, type PropertyRow, WILL } from "../../../lib/mqtt/property_table.ts";
import { isEndReason } from "../../../lib/mqtt/reason_code.ts";
import { isTopicFilter, isTopicName, parseShared } from "../../../lib/mqtt/topic.ts";
import { TopicTree } from "../../../lib/mqtt/topic_tree.ts";
import { allocated } from "../../support/allocated.ts";
import { decodePackets, encodePackets } from "../../support/mqtt_packets.ts";

/** Bytes from hexadecimal digits; text in quotes stands for itself. */
function bytes(source: string): Uint8Array {
  const all: number[] = [];
  for (const [, text, hex] of source.matchAll(/'([^']*)'|([0-9a-f]{2})/g)) {
    if (hex !== undefined) all.push(Number.parseInt(hex, 16));
    else all.push(...new TextEncoder().encode(text!));
  }
  return Uint8Array.from(all);
}

/** A packet with its length. */
function packet(head: string, content: string): Uint8Array {
  const body = bytes(content);
  return Uint8Array.from([...bytes(head), body.length, ...body]);
}

function reasonOf(version: ProtocolVersion, wire: Uint8Array): number {
  try {
    decodePackets(version, [wire.slice()]);
  } catch (error) {
    assert.ok(error instanceof MqttError, String(error));
    return error.reasonCode;
  }
  return 0;
}

const MALFORMED = 0x81;
const PROTOCOL = 0x82;

const REFUSED: [clause: string, version: ProtocolVersion, wire: Uint8Array, reason: number][] = [
  [
    "[MQTT-2.1.3-1] [MQTT-2.2.2-1 of 3.1.1] [MQTT-2.2.2-2 of 3.1.1] flags of PUBACK",
    5,
    packet("41", "00 01"),
    MALFORMED,
  ],
  ["[MQTT-3.6.1-1] flags of PUBREL", 5, packet("60", "00 01"), MALFORMED],
  ["[MQTT-3.6.1-1 of 3.1.1] flags of PUBREL", 4, packet("60", "00 01"), MALFORMED],
  ["[MQTT-3.8.1-1] flags of SUBSCRIBE", 5, packet("80", "00 01 00 00 01 'a' 00"), MALFORMED],
  ["[MQTT-3.8.1-1 of 3.1.1] flags of SUBSCRIBE", 4, packet("80", "00 01 00 01 'a' 00"), MALFORMED],
  ["[MQTT-3.10.1-1] flags of UNSUBSCRIBE", 5, packet("a0", "00 01 00 00 01 'a'"), MALFORMED],
  ["[MQTT-3.10.1-1 of 3.1.1] flags of UNSUBSCRIBE", 4, packet("a0", "00 01 00 01 'a'"), MALFORMED],
  ["[MQTT-3.14.1-1] flags of DISCONNECT", 5, packet("e1", ""), MALFORMED],
  ["[MQTT-3.14.1-1 of 3.1.1] flags of DISCONNECT", 4, packet("e1", ""), MALFORMED],
  ["[MQTT-3.15.1-1] flags of AUTH", 5, packet("f1", ""), MALFORMED],
  ["2.1.2 type 0", 5, packet("00", ""), MALFORMED],
  ["2.2.1 of 3.1.1: type 15", 4, packet("f0", ""), MALFORMED],
  ["1.5.5 a length of 5 bytes", 5, bytes("30 ff ff ff ff 01"), MALFORMED],
  ["[MQTT-3.3.1-4 of 3.1.1] QoS 3", 4, packet("36", "00 01 'a' 00 01"), MALFORMED],
  ["[MQTT-3.3.1-4] QoS 3", 5, packet("36", "00 01 'a' 00 01 00"), MALFORMED],
  ["[MQTT-3.3.1-2 of 3.1.1] a duplicate with QoS 0", 4, packet("38", "00 01 'a'"), MALFORMED],
  ["[MQTT-3.3.1-2] a duplicate with QoS 0", 5, packet("38", "00 01 'a' 00"), MALFORMED],
  ["[MQTT-3.3.2-2] [MQTT-4.7.0-1] a topic with +", 5, packet("30", "00 03 'a/+' 00"), 0x90],
  ["[MQTT-3.3.2-2 of 3.1.1] [MQTT-4.7.1-1 of 3.1.1] a topic with #", 4, packet("30", "00 03 'a/#'"), 0x90],
  ["[MQTT-4.7.3-1 of 3.1.1] an empty topic", 4, packet("30", "00 00"), PROTOCOL],
  ["[MQTT-4.7.3-1] an empty topic without alias", 5, packet("30", "00 00 00"), PROTOCOL],
  ["[MQTT-1.5.4-1] [MQTT-3.3.2-1] a topic that is not UTF-8", 5, packet("30", "00 01 ff 00"), MALFORMED],
  [
    "[MQTT-1.5.3-1 of 3.1.1] [MQTT-3.3.2-1 of 3.1.1] a surrogate",
    4,
    packet("30", "00 03 ed a0 80"),
    MALFORMED,
  ],
  ["[MQTT-1.5.3-2 of 3.1.1] [MQTT-4.7.3-2 of 3.1.1] U+0000", 4, packet("30", "00 02 'a' 00"), MALFORMED],
  ["[MQTT-1.5.4-2] [MQTT-4.7.3-2] U+0000", 5, packet("30", "00 02 'a' 00 00"), MALFORMED],
  ["[MQTT-2.2.1-3] packet identifier 0", 5, packet("32", "00 01 'a' 00 00 00"), PROTOCOL],
  ["[MQTT-2.3.1-1 of 3.1.1] packet identifier 0", 4, packet("82", "00 00 00 01 'a' 00"), PROTOCOL],
  ["2.2.1 a missing packet identifier", 4, packet("32", "00 01 'a'"), MALFORMED],
  ["[MQTT-3.3.2-8] topic alias 0", 5, packet("30", "00 01 'a' 03 23 00 00"), 0x94],
  ["[MQTT-3.3.2-14] a response topic with wildcards", 5, packet("30", "00 01 'a' 04 08 00 01 '#'"), PROTOCOL],
  ["2.2.2.2 an unknown property", 5, packet("30", "00 01 'a' 02 7f 00"), MALFORMED],
  ["2.2.2.2 a property of another packet", 5, packet("30", "00 01 'a' 03 21 00 05"), PROTOCOL],
  ["2.2.2.2 a property twice", 5, packet("30", "00 01 'a' 04 01 00 01 00"), PROTOCOL],
  ["3.3.2.3.2 a payload format of 2", 5, packet("30", "00 01 'a' 02 01 02"), PROTOCOL],
  [
    "[MQTT-3.3.2-13] a response topic that is not UTF-8",
    5,
    packet("30", "00 01 'a' 04 08 00 01 ff"),
    MALFORMED,
  ],
  [
    "[MQTT-3.3.2-19] a content type that is not UTF-8",
    5,
    packet("30", "00 01 'a' 04 03 00 01 ff"),
    MALFORMED,
  ],
  ["2.2.2.1 truncated properties", 5, packet("30", "00 01 'a' 05 02 00"), MALFORMED],
  [
    "[MQTT-1.5.7-1] a user property that is not UTF-8",
    5,
    packet("30", "00 01 'a' 07 26 00 01 'k' 00 01 ff"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-1] [MQTT-3.1.2-1 of 3.1.1] another protocol",
    5,
    packet("10", "00 04 'AMQP' 04 02 00 00 00 00"),
    0x84,
  ],
  ["[MQTT-3.1.2-2] another version", 5, packet("10", "00 04 'MQTT' 06 02 00 00 00 00 00"), 0x84],
  [
    "[MQTT-3.1.2-3] [MQTT-3.1.2-3 of 3.1.1] the reserved flag",
    4,
    packet("10", "00 04 'MQTT' 04 03 00 00 00 00"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-12] [MQTT-3.1.2-14 of 3.1.1] a will with QoS 3",
    4,
    packet("10", "00 04 'MQTT' 04 1e 00 00 00 01 'c' 00 01 'a' 00 00"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-11] [MQTT-3.1.2-13 of 3.1.1] a QoS without will",
    4,
    packet("10", "00 04 'MQTT' 04 0a 00 00 00 01 'c'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-13] [MQTT-3.1.2-15 of 3.1.1] RETAIN without will",
    4,
    packet("10", "00 04 'MQTT' 04 22 00 00 00 01 'c'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-11 of 3.1.1] the fields of a will without its flag",
    4,
    packet("10", "00 04 'MQTT' 04 02 00 00 00 01 'c' 00 01 'a' 00 00"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-9] [MQTT-3.1.2-9 of 3.1.1] a will without its fields",
    4,
    packet("10", "00 04 'MQTT' 04 06 00 00 00 01 'c'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-17] [MQTT-3.1.2-19 of 3.1.1] no user name with its flag",
    4,
    packet("10", "00 04 'MQTT' 04 82 00 00 00 01 'c'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-16] [MQTT-3.1.2-18 of 3.1.1] a user name without its flag",
    4,
    packet("10", "00 04 'MQTT' 04 02 00 00 00 01 'c' 00 01 'u'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-19] [MQTT-3.1.2-21 of 3.1.1] no password with its flag",
    4,
    packet("10", "00 04 'MQTT' 04 c2 00 00 00 01 'c' 00 01 'u'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-18] [MQTT-3.1.2-20 of 3.1.1] a password without its flag",
    4,
    packet("10", "00 04 'MQTT' 04 82 00 00 00 01 'c' 00 01 'u' 00 01 'p'"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.3-3] [MQTT-3.1.3-3 of 3.1.1] no client identifier",
    4,
    packet("10", "00 04 'MQTT' 04 02 00 00"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.3-4] [MQTT-3.1.3-4 of 3.1.1] a client identifier that is not UTF-8",
    4,
    packet("10", "00 04 'MQTT' 04 02 00 00 00 01 ff"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.3-11] [MQTT-3.1.3-10 of 3.1.1] a topic of the will that is not UTF-8",
    4,
    packet("10", "00 04 'MQTT' 04 06 00 00 00 01 'c' 00 01 ff 00 00"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.3-12] [MQTT-3.1.3-11 of 3.1.1] a user name that is not UTF-8",
    4,
    packet("10", "00 04 'MQTT' 04 82 00 00 00 01 'c' 00 01 ff"),
    MALFORMED,
  ],
  [
    "[MQTT-3.1.2-22 of 3.1.1] a password without name",
    4,
    packet("10", "00 04 'MQTT' 04 42 00 00 00 01 'c' 00 00"),
    MALFORMED,
  ],
  [
    "3.1.2.11.3 receive maximum 0",
    5,
    packet("10", "00 04 'MQTT' 05 02 00 00 03 21 00 00 00 01 'c'"),
    PROTOCOL,
  ],
  [
    "3.1.2.11.4 maximum packet size 0",
    5,
    packet("10", "00 04 'MQTT' 05 02 00 00 05 27 00 00 00 00 00 01 'c'"),
    PROTOCOL,
  ],
  [
    "3.1.2.11.10 data without method",
    5,
    packet("10", "00 04 'MQTT' 05 02 00 00 04 16 00 01 'x' 00 01 'c'"),
    PROTOCOL,
  ],
  ["3.1.3 extra bytes", 4, packet("10", "00 04 'MQTT' 04 02 00 00 00 01 'c' 00"), MALFORMED],
  [
    "3.1.3.3 a will topic with wildcards",
    4,
    packet("10", "00 04 'MQTT' 04 06 00 00 00 01 'c' 00 01 '#' 00 00"),
    0x90,
  ],
  ["[MQTT-3.8.3-1] a topic filter that is not UTF-8", 5, packet("82", "00 01 00 00 01 ff 00"), MALFORMED],
  [
    "[MQTT-3.8.3-1 of 3.1.1] a topic filter that is not UTF-8",
    4,
    packet("82", "00 01 00 01 ff 00"),
    MALFORMED,
  ],
  ["[MQTT-3.8.3-2] no topic filter", 5, packet("82", "00 01 00"), PROTOCOL],
  ["[MQTT-3.8.3-3 of 3.1.1] no topic filter", 4, packet("82", "00 01"), PROTOCOL],
  ["[MQTT-3.8.3-5] reserved options", 5, packet("82", "00 01 00 00 01 'a' 40"), MALFORMED],
  ["[MQTT-3.8.3-4 of 3.1.1] QoS 3", 4, packet("82", "00 01 00 01 'a' 03"), MALFORMED],
  ["[MQTT-3.8.3-4 of 3.1.1] options of 5.0", 4, packet("82", "00 01 00 01 'a' 05"), MALFORMED],
  ["3.8.3.1 retain handling 3", 5, packet("82", "00 01 00 00 01 'a' 30"), PROTOCOL],
  ["3.8.2.1.2 subscription identifier 0", 5, packet("82", "00 01 02 0b 00 00 01 'a' 00"), PROTOCOL],
  ["[MQTT-3.10.3-1] a topic filter that is not UTF-8", 5, packet("a2", "00 01 00 00 01 ff"), MALFORMED],
  ["[MQTT-3.10.3-1 of 3.1.1] a topic filter that is not UTF-8", 4, packet("a2", "00 01 00 01 ff"), MALFORMED],
  ["[MQTT-3.10.3-2] no topic filter", 5, packet("a2", "00 01 00"), PROTOCOL],
  ["[MQTT-3.10.3-2 of 3.1.1] no topic filter", 4, packet("a2", "00 01"), PROTOCOL],
  ["[MQTT-3.4.2-1] an unknown reason code of PUBACK", 5, packet("40", "00 01 03"), PROTOCOL],
  ["[MQTT-3.5.2-1] an unknown reason code of PUBREC", 5, packet("50", "00 01 92"), PROTOCOL],
  ["[MQTT-3.6.2-1] an unknown reason code of PUBREL", 5, packet("62", "00 01 80"), PROTOCOL],
  ["[MQTT-3.7.2-1] an unknown reason code of PUBCOMP", 5, packet("70", "00 01 10"), PROTOCOL],
  ["[MQTT-3.14.2-1] an unknown reason code of DISCONNECT", 5, packet("e0", "03"), PROTOCOL],
  ["[MQTT-3.15.2-1] an unknown reason code of AUTH", 5, packet("f0", "80"), PROTOCOL],
  ["3.4.2 of 3.1.1: a reason code", 4, packet("40", "00 01 00"), MALFORMED],
  ["3.12 content of PINGREQ", 5, packet("c0", "00"), MALFORMED],
  ["3.14 of 3.1.1: content of DISCONNECT", 4, packet("e0", "00"), MALFORMED],
];

describe("MQTT properties", () => {
  it("properties - have the identifiers, types, packets and limits of the specification", () => {
    // MQTT 5.0, table 2-4, and the limits in 3.1.2.11, 3.2.2.3 and 3.3.2.3.
    const table = `
      01 payloadFormatIndicator byte PUBLISH WILL, at most 1
      02 messageExpiryInterval four PUBLISH WILL
      03 contentType text PUBLISH WILL
      08 responseTopic text PUBLISH WILL
      09 correlationData binary PUBLISH WILL
      0b subscriptionIdentifiers variable PUBLISH SUBSCRIBE, at least 1
      11 sessionExpiryInterval four CONNECT CONNACK DISCONNECT
      12 assignedClientIdentifier text CONNACK
      13 serverKeepAlive two CONNACK
      15 authenticationMethod text CONNECT CONNACK AUTH
      16 authenticationData binary CONNECT CONNACK AUTH
      17 requestProblemInformation byte CONNECT, at most 1
      18 willDelayInterval four WILL
      19 requestResponseInformation byte CONNECT, at most 1
      1a responseInformation text CONNACK
      1c serverReference text CONNACK DISCONNECT
      1f reasonString text CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH
      21 receiveMaximum two CONNECT CONNACK, at least 1
      22 topicAliasMaximum two CONNECT CONNACK
      23 topicAlias two PUBLISH
      24 maximumQos byte CONNACK, at most 1
      25 retainAvailable byte CONNACK, at most 1
      26 userProperties pair CONNECT CONNACK PUBLISH WILL PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH
      27 maximumPacketSize four CONNECT CONNACK, at least 1
      28 wildcardSubscriptionAvailable byte CONNACK, at most 1
      29 subscriptionIdentifierAvailable byte CONNACK, at most 1
      2a sharedSubscriptionAvailable byte CONNACK, at most 1`;
    const expected = table.trim().split("\n").map((line) => {
      const [row, limit] = line.trim().split(", ");
      const [id, name, kind, ...packets] = row!.split(" ");
      return [id, name, kind, packets.sort().join(" "), limit ?? ""];
    });
    const rows: readonly (readonly [string, PropertyRow])[] = Object.entries(PROPERTY);
    const found = rows.map(([name, { id, kind, packets, min, max }]) => [
      id.toString(16).padStart(2, "0"),
      name,
      kind,
      packets.map((packet) => packet === WILL ? "WILL" : packetName(packet)).sort().join(" "),
      min !== undefined ? `at least ${min}` : max !== undefined ? `at most ${max}` : "",
    ]);
    assert.deepEqual(found, expected);
    const repeating = rows.filter(([, { repeats }]) => repeats !== undefined);
    assert.deepEqual(repeating.map(([name, { repeats }]) => [name, repeats]), [
      ["subscriptionIdentifiers", [PUBLISH]],
      ["userProperties", PROPERTY.userProperties.packets],
    ]);
  });
});

describe("MQTT packets, memory", () => {
  it("memory - nothing is allocated for what a packet only announces", () => {
    const decoder = new PacketDecoder({ onPacket: () => assert.fail("not complete") });
    decoder.version = 5;
    decoder.maxPacket = 2 ** 29;
    const announced = Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x74, 0);
    const bytes = allocated(() => {
      decoder.push(announced);
      for (let i = 0; i < 100; i++) decoder.push(new Uint8Array(10));
    });
    assert.ok(bytes < 100_000, `${bytes} bytes`);
  });
});

describe("MQTT reason codes", () => {
  it("reason codes - those of DISCONNECT and AUTH are those of the specification", () => {
    const of = (type: number) =>
      Array.from({ length: 256 }, (_, code) => code).filter((code) => isEndReason(type, code));
    // MQTT 5.0, tables 3-13 and 3-15.
    assert.deepEqual(of(DISCONNECT), [
      ...[
        0x00,
        0x04,
        0x80,
        0x81,
        0x82,
        0x83,
        0x87,
        0x89,
        0x8b,
        0x8d,
        0x8e,
        0x8f,
        0x90,
        0x93,
        0x94,
        0x95,
        0x96,
        0x97,
      ],
      ...[0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
    ]);
    assert.deepEqual(of(AUTH), [0x00, 0x18, 0x19]);
  });
});

describe("mqtt packets", () => {
  for (const [clause, version, wire, reason] of REFUSED) {
    it(`refuses ${clause}`, () => assert.equal(reasonOf(version, wire), reason));
  }

  it("accepts a length that is not minimal, an AUTH, and DUP in requests of MQTT 3.1", () => {
    assert.equal(reasonOf(5, bytes("c0 80 80 00")), 0);
    assert.equal(reasonOf(5, packet("f0", "")), 0);
    assert.equal(reasonOf(3, packet("8a", "00 01 00 01 'a' 00")), 0);
    assert.equal(reasonOf(4, packet("8a", "00 01 00 01 'a' 00")), MALFORMED);
  });

  it("0x95 - a packet over the limit is refused at its header, whatever it claims", () => {
    const decoder = new PacketDecoder({ onPacket() {} });
    decoder.maxPacket = 100;
    decoder.push(Uint8Array.from([0x30, 98, ...new Uint8Array(98)]));
    assert.throws(() => decoder.push(bytes("30 63")), {
      reasonCode: 0x95,
      message: /101 bytes: the limit is 100/,
    });
    const other = new PacketDecoder({ onPacket() {} });
    other.maxPacket = 1000;
    for (const byte of [0x30, 0xff, 0xff, 0xff]) other.push(Uint8Array.of(byte));
    assert.throws(() => other.push(Uint8Array.of(0x7f)), { reasonCode: 0x95 });
  });

  // [MQTT-3.1.3-1] [MQTT-3.1.3-1 of 3.1.1]
  it("a will, a name and a password come after the client identifier", () => {
    const wire = encodePackets(5, [{
      type: 1,
      value: {
        version: 5,
        cleanStart: true,
        keepAlive: 10,
        properties: { receiveMaximum: 7, userProperties: [["a", "1"], ["a", "2"]] },
        clientId: "c",
        will: {
          topic: "t",
          payload: Uint8Array.of(1),
          qos: 1,
          retain: true,
          properties: { willDelayInterval: 5, responseTopic: "r" },
        },
        userName: "u",
        password: Uint8Array.of(9),
      },
    }]);
    assert.deepEqual(
      wire,
      packet(
        "10",
        "00 04 'MQTT' 05 ee 00 0a 11 21 00 07 26 00 01 'a' 00 01 '1' 26 00 01 'a' 00 01 '2' 00 01 'c'" +
          "09 08 00 01 'r' 18 00 00 00 05 00 01 't' 00 01 01 00 01 'u' 00 01 09",
      ),
    );
  });

  // [MQTT-1.5.5-1] [MQTT-2.2.2-1] [MQTT-2.2.1-2] [MQTT-2.3.1-5 of 3.1.1]
  it("a PUBLISH of QoS 0 has no packet identifier, a property length of 0, and the shortest length", () => {
    const publish = { topic: "a", qos: 0, dup: false, retain: false, packetId: 0, properties: {} };
    const encoded = (version: ProtocolVersion, size: number) =>
      encodePackets(version, [{ type: 3, value: { ...publish, payload: new Uint8Array(size).fill(0x78) } }]);
    assert.deepEqual(encoded(5, 1), bytes("30 05 00 01 'a' 00 'x'"));
    assert.deepEqual(encoded(4, 1), bytes("30 04 00 01 'a' 'x'"));
    const lengths = [[124, "7f"], [125, "80 01"], [16_380, "ff 7f"], [16_381, "80 80 01"], [
      2_097_148,
      "ff ff 7f",
    ]];
    for (const [size, length] of lengths as [number, string][]) {
      const expected = bytes(`30 ${length} 00 01 'a' 'x'`);
      assert.deepEqual(encoded(4, size).subarray(0, expected.length), expected);
    }
  });

  it("the encoder refuses values that do not fit", () => {
    const filter = { qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 };
    const subscribe = (name: string, ids: number[]) => () =>
      encodePackets(5, [{
        type: 8,
        value: {
          packetId: 1,
          properties: { subscriptionIdentifiers: ids },
          requests: [{ ...filter, filter: name }],
        },
      }]);
    assert.throws(subscribe("x".repeat(65_536), [1]), RangeError);
    assert.throws(subscribe("a\0b", [1]), RangeError);
    assert.throws(subscribe("\ud800", [1]), RangeError);
    assert.throws(subscribe("a", [268_435_456]), RangeError);
  });
});

describe("mqtt topics", () => {
  const matches = (filter: string, topic: string) => {
    const tree = new TopicTree<boolean>();
    tree.set(filter, true);
    let found = false;
    tree.matchTopic(topic, () => found = true);
    return found;
  };

  // [MQTT-4.7.3-1] [MQTT-4.7.3-3] [MQTT-4.7.1-2 of 3.1.1] [MQTT-4.7.1-3 of 3.1.1] [MQTT-4.7.3-3 of 3.1.1]
  it("[MQTT-4.7.1-1] # is the last level; [MQTT-4.7.1-2] + fills a level", () => {
    for (const good of ["#", "+", "a/#", "+/a", "/", "a//b", "+/+/#", "$SYS/#", " "]) {
      assert.ok(isTopicFilter(good), good);
    }
    for (const bad of ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a\0", "x".repeat(65_536)]) {
      assert.ok(!isTopicFilter(bad), bad);
    }
    assert.ok(isTopicName("a b/c") && !isTopicName("a/+") && !isTopicName(""));
  });

  it("4.7.1.2 a filter with # also matches the parent; empty levels count", () => {
    assert.ok(matches("a/#", "a") && matches("a/#", "a/b/c") && matches("#", "/") && matches("+/+", "/a"));
    assert.ok(!matches("a/#", "ab") && !matches("+", "/a") && !matches("a/+", "a") && matches("a/+", "a/"));
  });

  it("[MQTT-4.7.2-1] wildcards in the first level do not match topics that begin with $", () => {
    assert.ok(!matches("#", "$SYS/a") && !matches("+/a", "$SYS/a"));
    assert.ok(matches("$SYS/#", "$SYS/a") && matches("$SYS/+", "$SYS/a"));
  });

  it("[MQTT-4.8.2-1] [MQTT-4.8.2-2] a shared subscription has a group and a filter", () => {
    assert.deepEqual(parseShared("$share/g/a/+"), { group: "g", filter: "a/+" });
    for (const bad of ["$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g#/a", "$share/g/a#"]) {
      assert.equal(parseShared(bad), undefined, bad);
      assert.ok(!isTopicFilter(bad), bad);
    }
    assert.ok(isTopicFilter("$share"));
  });
});
