/** The MQTT targets of the fuzzer: packets of every type in each version. */
import type { ProtocolVersion } from "../../lib/mqtt/packet_type.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { decodePackets, encodePackets, type Packet } from "../../tests/support/mqtt_packets.ts";
import type { Target } from "./target.ts";

const text = new TextEncoder().encode("payload");

/** Packets of every type; properties only in MQTT 5.0. */
function samples(version: ProtocolVersion): Packet[] {
  const five = version === 5;
  const properties = five ? { reasonString: "why", userProperties: [["a", "b"]] as [string, string][] } : {};
  const will = {
    topic: "w",
    payload: text,
    qos: 1,
    retain: true,
    properties: five ? { willDelayInterval: 5 } : {},
  };
  const request = {
    filter: "a/+/#",
    qos: 2,
    noLocal: five,
    retainAsPublished: five,
    retainHandling: five ? 1 : 0,
  };
  const ids = five ? { subscriptionIdentifiers: [300] } : {};
  return [
    {
      type: 1,
      value: {
        version,
        cleanStart: false,
        keepAlive: 60,
        properties: five ? { sessionExpiryInterval: 9, receiveMaximum: 5, topicAliasMaximum: 3 } : {},
        clientId: "client",
        will,
        userName: "guest",
        password: text,
      },
    },
    { type: 2, value: { sessionPresent: true, code: 0, properties: five ? { serverKeepAlive: 5 } : {} } },
    ...[0, 1, 2].map((qos): Packet => ({
      type: 3,
      value: {
        topic: "a/b",
        payload: text,
        qos,
        dup: qos > 0,
        retain: true,
        packetId: qos > 0 ? 10 : 0,
        properties: five
          ? {
            contentType: "text/plain",
            responseTopic: "r",
            correlationData: text,
            messageExpiryInterval: 9,
            topicAlias: 1,
          }
          : {},
      },
    })),
    ...([4, 5, 6, 7] as const).map((type): Packet => ({
      type,
      value: { packetId: 10, reasonCode: 0, properties },
    })),
    { type: 8, value: { packetId: 11, properties: ids, requests: [request] } },
    { type: 9, value: { packetId: 11, properties, codes: [2] } },
    { type: 10, value: { packetId: 12, properties: {}, filters: ["a/+/#", "b"] } },
    { type: 11, value: { packetId: 12, properties, codes: five ? [0, 0] : [] } },
    { type: 12, value: null },
    { type: 13, value: null },
    { type: 14, value: { reasonCode: five ? 4 : 0, properties } },
    ...(five
      ? [{ type: 15, value: { reasonCode: 0x18, properties: { authenticationMethod: "m" } } } as const]
      : []),
  ];
}

const VERSIONS: readonly ProtocolVersion[] = [3, 4, 5];
const seeds = VERSIONS.flatMap((version) => {
  const each = samples(version).map((packet) => encodePackets(version, [packet]));
  return [...each, concat(each)];
});

export const mqttTargets: readonly Target[] = [{
  name: "MQTT packets",
  seeds,
  run(input, chance) {
    const cut = chance.below(input.length + 1);
    decodePackets(chance.of(VERSIONS), [input.slice(0, cut), input.slice(cut)], 64 * 1024);
  },
}];
