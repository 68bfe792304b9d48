/** The MQTT targets of the fuzzer: packets of every type in each version, a broker with whole sessions, clients. */
import { setImmediate } from "node:timers/promises";
import { TRUST_ALL } from "../../lib/broker/core/users/authenticator.ts";
import { MqttServer } from "../../lib/broker/mqtt/server.ts";
import { Broker } from "../../lib/broker/server.ts";
import { MqcatError, UnreachableError } from "../../lib/errors.ts";
import type { LinkEvent } from "../../lib/link/options.ts";
import { MqttPublisher } from "../../lib/mqtt/client/publisher.ts";
import { MqttSubscriber } from "../../lib/mqtt/client/subscriber.ts";
import { parseMqttUrl } from "../../lib/mqtt/client/url.ts";
import type { ProtocolVersion } from "../../lib/mqtt/packet_type.ts";
import { AmqpMapping } from "../../lib/patterns/mqtt/mapping.ts";
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

/** The packets of a server to a client, after the CONNACK. */
const served = ([4, 5] as const).flatMap((version) => {
  const packets = samples(version).filter(({ type }) => [3, 4, 5, 6, 7, 9, 11, 13, 14].includes(type));
  const each = packets.map((packet) => {
    const { type, value } = packet;
    // The identifiers of the first message, and of the only subscription.
    if (type >= 4 && type <= 7) return { type, value: { ...value as object, packetId: 1 } } as Packet;
    if (type !== 3 && type !== 9) return packet;
    return type === 9
      ? { type, value: { packetId: 65_535, properties: {}, codes: [2] } } as Packet
      : { type, value: { ...value as object, properties: {} } } as Packet;
  });
  return [encodePackets(version, each), ...each.map((packet) => encodePackets(version, [packet]))];
});

/** Connects a client to a server in memory that sends `input` after the first packets that follow the login. */
async function serverFor(version: 4 | 5, input: Uint8Array): Promise<ByteStream> {
  const name = `fuzz-mqtt-client-${++clients}`;
  const connack = encodePackets(version, [
    { type: 2, value: { sessionPresent: false, code: 0, properties: {} } },
  ]);
  const answers = [connack, input];
  const listener = await listenInproc(name, (far) =>
    far.attach({
      onData() {
        const answer = answers.shift();
        if (answer !== undefined && answer.length > 0) far.write(answer);
        else if (answers.length === 0) far.close();
      },
      onEnd: () => far.close(),
      onDrain: () => answers.length === 0 ? far.close() : undefined,
    }));
  const stream = await connectInproc(name, AbortSignal.timeout(1000));
  await listener.close();
  return stream;
}

let clients = 0;

/** The clients may refuse what a server sends, but must not fail themselves. */
const client: Target = {
  name: "MQTT clients",
  seeds: served,
  lanes: 8,
  async run(input, chance) {
    const version = chance.below(2) === 0 ? 4 : 5;
    const qos = chance.below(3) as 0 | 1 | 2;
    const errors: Error[] = [];
    const { promise: lost, resolve } = Promise.withResolvers<void>();
    const options = {
      version,
      qos,
      mapping: new AmqpMapping(),
      maxMessageSize: 64 * 1024,
      handshakeTimeout: 5000,
      reconnect: { first: 60_000, longest: 60_000 },
      dial: () => serverFor(version, input),
      onEvent(event: LinkEvent) {
        if (!("error" in event)) return;
        errors.push(event.error);
        resolve();
      },
    } as const;
    const address = parseMqttUrl("mqtt://127.0.0.1");
    const end = chance.below(2) === 0
      ? new MqttPublisher(address.addresses, options)
      : new MqttSubscriber(address.addresses, [{ filter: "a/#", qos }], {
        ...options,
        onDelivery({ deliveryTag: tag }) {
          const receipt = { generation: (end as MqttSubscriber).generation, tag };
          if (chance.below(2) === 0) (end as MqttSubscriber).ack(receipt, chance.below(2) === 0);
        },
      });
    if (end instanceof MqttPublisher) {
      const envelope = { exchange: "", routingKey: "a/b", properties: Uint8Array.of(0, 0) };
      end.publish({ bytes: text, starts: [0, 1, 2], ends: [1, 2, 3] }, 0, 3, envelope);
    }
    try {
      await end.start();
      while (end.failure === undefined && errors.length === 0) {
        await Promise.race([lost, end.changed.wait(1000)]);
      }
    } catch (error) {
      errors.push(error as Error);
    }
    await end.close(100);
    if (end.failure !== undefined) errors.push(end.failure);
    const foreign = errors.find((error) => !(error instanceof MqcatError)) ??
      errors.find((error) => !(error instanceof UnreachableError)); // The server closes the connection in any case.
    if (foreign !== undefined) throw foreign;
  },
};

export const mqttTargets: readonly Target[] = [
  {
    name: "MQTT packets",
    seeds,
    run(input, chance) {
      const cut = chance.below(input.length + 1);
      decodePackets(chance.of(VERSIONS), [input.slice(0, cut), input.slice(cut)], 64 * 1024);
    },
  },
  broker(),
  client,
];
