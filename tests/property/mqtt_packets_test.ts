/** MQTT packets: decoding inverts encoding under any chunking, and agrees with `mqtt-packet` in both directions. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import fc from "fast-check";
import mqtt from "mqtt-packet";
import { MqttError } from "../../lib/mqtt/mqtt_error.ts";
import {
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
import type { MqttProperties } from "../../lib/mqtt/properties.ts";
import { PROPERTY, type PropertyRow, WILL } from "../../lib/mqtt/property_table.ts";
import { decodePackets, encodePackets, foreignPacket, type Packet } from "../support/mqtt_packets.ts";
import { bytesOf, cuts, pieces, size } from "./generators.ts";

const TIMEOUT = { timeout: 60_000 };

const text = fc.string({ unit: "grapheme", maxLength: 20, size: "max" }).filter((one) =>
  one.isWellFormed() && !one.includes("\0")
);
const name = text.filter((one) => one !== "");
const topic = name.map((one) => one.replaceAll(/[+#]/g, "x"));
const filter = fc.oneof(
  topic,
  topic.map((one) => `${one}/+/#`),
  fc.constantFrom("#", "+", "+/a", "$share/g/a/#"),
);
const bytes = fc.uint8Array({ maxLength: 30, size: "max" });
const id = fc.integer({ min: 1, max: 65_535 });
const payload = fc.record({ size, seed: fc.nat(255) }).map(bytesOf);

function valueOf(key: string, { kind, min = 0, max }: PropertyRow, packet: number): fc.Arbitrary<unknown> {
  switch (kind) {
    case "byte":
      return fc.integer({ min, max: max ?? 255 });
    case "two":
      return fc.integer({ min: key === "topicAlias" ? 1 : min, max: max ?? 0xffff });
    case "four":
      return fc.oneof(fc.constantFrom(min, 0xffff_ffff), fc.integer({ min, max: 0xffff_ffff }));
    case "variable":
      return fc.array(
        fc.oneof(fc.constantFrom(1, 127, 128, 16_384, 268_435_455), fc.integer({ min: 1, max: 3e6 })),
        {
          minLength: 1,
          maxLength: packet === SUBSCRIBE ? 1 : 3,
        },
      );
    case "text":
      return key === "responseTopic" ? topic : name;
    case "binary":
      return bytes;
    case "pair":
      return fc.array(fc.tuple(name, text), { minLength: 1, maxLength: 3 });
  }
}

/** The properties that a packet may have; none before MQTT 5.0. */
function properties(version: ProtocolVersion, packet: number): fc.Arbitrary<MqttProperties> {
  if (version < 5) return fc.constant({});
  const model: Record<string, fc.Arbitrary<unknown>> = {};
  for (const [key, row] of Object.entries(PROPERTY)) {
    if ((row.packets as readonly number[]).includes(packet)) model[key] = valueOf(key, row, packet);
  }
  const some = fc.record(model, { requiredKeys: [] }).map((found) => {
    // Authentication data needs a method.
    if (found["authenticationMethod"] === undefined) delete found["authenticationData"];
    return found as MqttProperties;
  });
  return fc.oneof({ weight: 1, arbitrary: fc.constant({}) }, { weight: 2, arbitrary: some });
}

function connect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const will = fc.record({
    topic,
    payload: bytes,
    qos: fc.nat(2),
    retain: fc.boolean(),
    properties: properties(version, WILL),
  });
  return fc.record({
    version: fc.constant(version),
    cleanStart: fc.boolean(),
    keepAlive: fc.nat(65_535),
    properties: properties(version, CONNECT),
    clientId: name,
    will: fc.option(will, { nil: undefined }),
    userName: fc.option(name, { nil: undefined }),
    password: fc.option(bytes, { nil: undefined }),
  }).map((value) => ({
    type: CONNECT,
    value: { ...value, password: version < 5 && value.userName === undefined ? undefined : value.password },
  }));
}

function packet(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const five = version === 5;
  const publish = fc.record({
    topic,
    payload,
    qos: fc.nat(2),
    dup: fc.boolean(),
    retain: fc.boolean(),
    packetId: id,
    properties: properties(version, PUBLISH),
  }).map((value) => ({
    type: PUBLISH,
    value: { ...value, dup: value.qos > 0 && value.dup, packetId: value.qos > 0 ? value.packetId : 0 },
  }));
  const ack = fc.constantFrom<4 | 5 | 6 | 7>(PUBACK, PUBREC, PUBREL, PUBCOMP).chain((type) =>
    fc.record({
      packetId: id,
      reasonCode: five
        ? fc.constantFrom(...type < PUBREL ? [0, 0x10, 0x80, 0x97] : [0, 0x92])
        : fc.constant(0),
      properties: properties(version, type),
    }).map((value) => ({ type, value }))
  );
  const request = fc.record({
    filter,
    qos: fc.nat(2),
    noLocal: five ? fc.boolean() : fc.constant(false),
    retainAsPublished: five ? fc.boolean() : fc.constant(false),
    retainHandling: five ? fc.nat(2) : fc.constant(0),
  });
  const subscribe = fc.record({
    packetId: id,
    properties: properties(version, SUBSCRIBE),
    requests: fc.array(request, { minLength: 1, maxLength: 4 }),
  }).map((value) => ({ type: SUBSCRIBE, value }));
  const unsubscribe = fc.record({
    packetId: id,
    properties: properties(version, UNSUBSCRIBE),
    filters: fc.array(filter, { minLength: 1, maxLength: 4 }),
  }).map((value) => ({ type: UNSUBSCRIBE, value }));
  const list = fc.constantFrom<9 | 11>(SUBACK, UNSUBACK).chain((type) =>
    fc.record({
      packetId: id,
      properties: properties(version, type),
      codes: type === UNSUBACK
        ? fc.array(fc.constantFrom(0, 0x11, 0x87), five ? { minLength: 1, maxLength: 4 } : { maxLength: 0 })
        : fc.array(fc.constantFrom(0, 1, 2, 0x80), { minLength: 1, maxLength: 4 }),
    }).map((value) => ({ type, value }))
  );
  const connack = fc.record({
    sessionPresent: fc.boolean(),
    code: five ? fc.constantFrom(0, 0x80, 0x87) : fc.nat(5),
    properties: properties(version, CONNACK),
  }).map((value) => ({ type: CONNACK, value }));
  const ping = fc.constantFrom<12 | 13>(PINGREQ, PINGRESP).map((type) => ({ type, value: null }));
  const reason = (type: typeof DISCONNECT | typeof AUTH, codes: readonly number[]) =>
    fc.record({
      reasonCode: five ? fc.constantFrom(...codes) : fc.constant(0),
      properties: properties(version, type),
    }).map((value) => ({ type, value }));
  const disconnect = reason(DISCONNECT, [0, 4, 0x8b, 0x8e]);
  const auth = reason(AUTH, [0, 0x18, 0x19]);
  const all = [
    publish,
    publish,
    ack,
    subscribe,
    unsubscribe,
    list,
    connack,
    ping,
    disconnect,
    connect(version),
  ];
  return fc.oneof(...(five ? [...all, auth] : all)) as fc.Arbitrary<Packet>;
}

const traffic = fc.constantFrom<ProtocolVersion>(3, 4, 5).chain((version) =>
  fc.tuple(fc.constant(version), fc.array(packet(version), { minLength: 1, maxLength: 6 }))
);
/** One packet, of those that the oracle accepts: it knows neither AUTH with success nor passwords without user names. */
const single = fc.constantFrom<ProtocolVersion>(4, 5).chain((version) =>
  fc.tuple(fc.constant(version), packet(version))
).filter(([, { type, value }]) =>
  !(type === AUTH && value.reasonCode === 0) &&
  !(type === CONNECT && value.userName === undefined && value.password !== undefined)
);

/** The packets that the oracle finds. */
function foreignDecode(version: ProtocolVersion, encoded: Uint8Array): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = [];
  const parser = mqtt.parser({ protocolVersion: version });
  parser.on("packet", (one) => found.push(one as unknown as Record<string, unknown>));
  parser.on("error", (error) => {
    throw error;
  });
  parser.parse(Buffer.from(encoded));
  return found;
}

/** Whether every field of `expected` is in `actual`, with the same value. */
function assertIncludes(actual: unknown, expected: unknown, where: string): void {
  if (
    expected !== null && typeof expected === "object" && !(expected instanceof Uint8Array) &&
    !Array.isArray(expected)
  ) {
    for (const [key, value] of Object.entries(expected)) {
      assertIncludes((actual as Record<string, unknown> | undefined)?.[key], value, `${where}.${key}`);
    }
  } else if (expected instanceof Uint8Array) {
    assert.deepEqual(new Uint8Array(actual as Uint8Array), new Uint8Array(expected), where);
  } else if (Array.isArray(expected)) {
    assert.equal((actual as unknown[]).length, expected.length, where);
    expected.forEach((one, i) => assertIncludes((actual as unknown[])[i], one, `${where}[${i}]`));
  } else assert.equal(actual, expected, where);
}

describe("mqtt packets", () => {
  it("packets - are decoded unchanged under any chunking", TIMEOUT, () => {
    fc.assert(
      fc.property(traffic, cuts, ([version, packets], cuts) => {
        const result = decodePackets(version, pieces(encodePackets(version, packets), cuts));
        assert.ok(result.idle);
        // Generated records may have no prototype.
        assert.deepEqual(result.packets, structuredClone(packets));
      }),
      { numRuns: 500 },
    );
  });

  it("packets - mqtt-packet decodes what is encoded", TIMEOUT, () => {
    fc.assert(
      fc.property(single, ([version, packet]) => {
        const [found] = foreignDecode(version, encodePackets(version, [packet]));
        assertIncludes(found, foreignPacket(version, packet), "packet");
      }),
      { numRuns: 1000 },
    );
  });

  it("packets - what mqtt-packet encodes is decoded to the same values", TIMEOUT, () => {
    fc.assert(
      fc.property(single, cuts, ([version, packet], cuts) => {
        const encoded = mqtt.generate(foreignPacket(version, packet) as never, { protocolVersion: version });
        const result = decodePackets(version, pieces(new Uint8Array(encoded), cuts));
        assert.ok(result.idle);
        assert.equal(result.packets.length, 1);
        assert.deepEqual(foreignPacket(version, result.packets[0]!), foreignPacket(version, packet));
      }),
      { numRuns: 1000 },
    );
  });

  it("packets - a split at any byte changes nothing", TIMEOUT, () => {
    fc.assert(
      fc.property(single, ([version, packet]) => {
        const encoded = encodePackets(version, [packet]).subarray(0, 400);
        const whole = decodePackets(version, [encoded.slice()]);
        for (let cut = 1; cut < encoded.length; cut++) {
          const split = decodePackets(version, [encoded.slice(0, cut), encoded.slice(cut)]);
          assert.deepEqual(split, whole);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("packets - malformed bytes are refused with the same reason code under any chunking", TIMEOUT, () => {
    const spoiled = fc.oneof(
      fc.tuple(fc.constantFrom<ProtocolVersion>(3, 4, 5), fc.uint8Array({ maxLength: 100, size: "max" })),
      fc.tuple(traffic, fc.nat(), fc.nat(255)).map(([[version, packets], at, value]) => {
        const encoded = encodePackets(version, packets);
        encoded[at % Math.min(encoded.length, 300)] = value;
        return [version, encoded] as const;
      }),
    );
    const result = (version: ProtocolVersion, encoded: Uint8Array, cuts: readonly number[]) => {
      try {
        return decodePackets(version, pieces(encoded, cuts), 10_000);
      } catch (error) {
        if (!(error instanceof MqttError)) throw error;
        return error.reasonCode;
      }
    };
    fc.assert(
      fc.property(spoiled, cuts, ([version, encoded], cuts) => {
        assert.deepEqual(result(version, encoded, cuts), result(version, encoded, [Infinity]));
      }),
      { numRuns: 1000 },
    );
  });

  it(
    "packets - a sink over its backlog receives the same packets, in order, after resume",
    TIMEOUT,
    async () => {
      const { PacketDecoder } = await import("../../lib/mqtt/packet_decoder.ts");
      fc.assert(
        fc.property(
          traffic,
          cuts,
          fc.array(fc.boolean(), { minLength: 1 }),
          ([version, packets], cuts, full) => {
            const encoded = encodePackets(version, packets);
            const seen: string[] = [];
            let overBacklog = false;
            const decoder = new PacketDecoder({
              onPacket(type, _flags, bytes, start, end) {
                assert.ok(!overBacklog, "a packet was reported to a sink over its backlog");
                seen.push(`${type} ${bytes.subarray(start, end).join()}`);
                overBacklog = full[seen.length % full.length]!;
              },
              get overBacklog() {
                return overBacklog;
              },
            });
            decoder.version = version;
            const drain = () => {
              do {
                overBacklog = false;
                decoder.resume();
              } while (decoder.holding);
            };
            for (const piece of pieces(encoded, cuts)) {
              decoder.push(piece);
              piece.fill(0xee);
              if (seen.length % 2 === 0) drain();
            }
            drain();
            assert.ok(decoder.idle);
            assert.equal(seen.length, packets.length);
          },
        ),
        { numRuns: 200 },
      );
    },
  );
});
