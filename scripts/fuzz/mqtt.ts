/** The MQTT targets of the fuzzer: packets of every type in each version. */
import { setImmediate } from "node:timers/promises";
import { TRUST_ALL } from "../../lib/broker/core/users/authenticator.ts";
import { MqttServer } from "../../lib/broker/mqtt/server.ts";
import { Broker } from "../../lib/broker/server.ts";
import { MqcatError } from "../../lib/errors.ts";
import type { ProtocolVersion } from "../../lib/mqtt/packet_type.ts";
import { connectInproc, listenInproc } from "../../lib/transport/schemes/inproc.ts";
import type { ByteStream } from "../../lib/transport/stream.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { decodePackets, encodePackets, type Packet } from "../../tests/support/mqtt_packets.ts";
import { type Chance, mutate } from "./mutate.ts";
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

/** The number of sessions that one broker serves before a new, empty one replaces it. */
const SESSIONS = 300;
/** The number of event loop turns until a chunk is read and answered. */
const TURNS = 5;

/** The packets of a client after its login, some of them changed, left out or repeated, in two chunks. */
function session(version: ProtocolVersion, chance: Chance): Uint8Array[] {
  const [login, ...others] = samples(version).filter(({ type }) =>
    type !== 2 && type !== 9 && type !== 11 && type !== 13
  );
  const parts = others.map((packet) => encodePackets(version, [packet]));
  const plain = parts.slice();
  for (let left = 1 + chance.below(5); left > 0; left--) {
    const at = chance.below(parts.length);
    const change = chance.below(4);
    if (change < 2) parts[at] = mutate(parts[at]!, plain, chance);
    else if (change === 2) parts.splice(at, 1);
    else parts.splice(at, 0, plain[chance.below(plain.length)]!);
  }
  const bytes = concat(parts);
  const cut = chance.below(bytes.length);
  const first = encodePackets(version, [login!]);
  return [
    chance.below(6) === 0 ? mutate(first, plain, chance) : first,
    bytes.slice(0, cut),
    bytes.slice(cut),
  ];
}

/** A broker may refuse unusual packets, but must not fail itself. */
function broker(): Target {
  let opened: { broker: Broker; server: MqttServer; failures: Error[]; left: number } | undefined;
  let names = 0;
  const current = async () => {
    if (opened !== undefined && opened.left-- > 0) return opened;
    opened?.server.close();
    await opened?.broker.close();
    const failures: Error[] = [];
    const broker = await Broker.open({
      sessionLimit: 10,
      onEvent(event) {
        const foreign = "error" in event && event.error !== undefined && !(event.error instanceof MqcatError);
        if (event.type === "failed" || foreign) failures.push((event as { error: Error }).error);
        const { cause } = event as { cause?: { message?: string } };
        if (cause?.message?.startsWith("The broker failed") === true) failures.push(cause as Error);
      },
    });
    return opened = { broker, server: new MqttServer(broker), failures, left: SESSIONS };
  };
  return {
    name: "MQTT sessions with a broker",
    seeds: [new Uint8Array(1)],
    async run(_input, chance) {
      const { server, failures } = await current();
      const name = `fuzz-mqtt-${++names}`;
      let listener: { close(): Promise<void> } | undefined;
      const accepted = new Promise<ByteStream>((resolve) => listener = listenInproc(name, resolve));
      const stream = await connectInproc(name, AbortSignal.timeout(1000));
      const far = await accepted;
      await listener!.close();
      const served = server.serve(far, TRUST_ALL, true).catch((error) => {
        if (!(error instanceof MqcatError)) failures.push(error);
      });
      let open = true;
      stream.closed.then(() => open = false);
      stream.attach({ onData() {}, onEnd: () => stream.close(), onDrain() {} });
      for (const piece of session(chance.of(VERSIONS), chance)) {
        if (open && piece.length > 0) stream.write(piece);
        for (let turns = 0; open && turns < TURNS; turns++) await setImmediate();
      }
      stream.close();
      await stream.closed;
      await served;
      await far.closed;
      await setImmediate();
      if (failures.length > 0) throw failures[0];
    },
  };
}

export const mqttTargets: readonly Target[] = [{
  name: "MQTT packets",
  seeds,
  run(input, chance) {
    const cut = chance.below(input.length + 1);
    decodePackets(chance.of(VERSIONS), [input.slice(0, cut), input.slice(cut)], 64 * 1024);
  },
}, broker()];
