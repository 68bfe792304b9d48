/** The last packet of the broker arrives, whatever the client still sends. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { PacketDecoder } from "../../../../lib/mqtt/packet_decoder.ts";
import { CONNACK, CONNECT, DISCONNECT, PUBLISH, PUBREC, PUBREL } from "../../../../lib/mqtt/packet_type.ts";
import { encodePackets, type Packet, readPacket } from "../../../support/mqtt_packets.ts";
import { Broker } from "../../../../lib/broker/server.ts";

const TIMEOUT = { timeout: 60_000 };
let broker: Broker;
let url: string;

before(async () => {
  broker = await Broker.open({});
  url = await broker.listen("mqtt://127.0.0.1:0");
});
after(() => broker.close());

/** A client that reads nothing before it has sent everything, and closes only after the broker has. */
async function talk(first: Packet[], answer: (packet: Packet) => Packet[]): Promise<Packet[]> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect({
    port: Number(url.split(":").at(-1)),
    host: "127.0.0.1",
    allowHalfOpen: true,
  });
  const received: Packet[] = [];
  const decoder = new PacketDecoder({
    onPacket: (type, flags, bytes, start, end) => {
      const packet = readPacket(type, flags, bytes, start, end, 5);
      received.push(packet);
      for (const reply of answer(packet)) socket.write(encodePackets(5, [reply]));
    },
  });
  decoder.version = 5;
  socket.on("error", reject);
  socket.on("close", () => resolve());
  socket.on("end", () => socket.end(encodePackets(5, first.slice(-1))));
  socket.write(
    encodePackets(5, first),
    () => socket.on("data", (chunk) => decoder.push(new Uint8Array(chunk))),
  );
  await promise;
  return received;
}

function connectPacket(password: string): Packet {
  return {
    type: CONNECT,
    value: {
      version: 5,
      cleanStart: true,
      keepAlive: 0,
      properties: {},
      clientId: "talker",
      will: undefined,
      userName: "guest",
      password: new TextEncoder().encode(password),
    },
  };
}

function publishes(count: number, size: number): Packet[] {
  const payload = new Uint8Array(size);
  const fixed = { topic: "t", payload, dup: false, retain: false, properties: {}, qos: 2 };
  return Array.from({ length: count }, (_, i) => ({ type: PUBLISH, value: { ...fixed, packetId: i + 1 } }));
}

describe("mqtt: the last packet of the broker", () => {
  it("[MQTT-4.13.2-1] the reason of a DISCONNECT reaches a client that still answers", TIMEOUT, async () => {
    const received = await talk(
      [connectPacket("guest"), ...publishes(1025, 10)],
      ({ type, value }) =>
        type === PUBREC ? [{ type: PUBREL, value: { ...value, reasonCode: 0, properties: {} } }] : [],
    );
    const last = received.at(-1)!;
    assert.equal(last.type, DISCONNECT);
    assert.equal((last.value as { reasonCode: number }).reasonCode, 0x93);
  });

  it("[MQTT-3.1.4-2] the refusal of a CONNECT reaches a client that has sent more", TIMEOUT, async () => {
    const received = await talk([connectPacket("wrong"), ...publishes(100, 50_000)], () => []);
    assert.deepEqual(received.map(({ type }) => type), [CONNACK]);
    assert.equal((received[0]!.value as { code: number }).code, 0x86);
  });
});
