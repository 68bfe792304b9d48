/** Transports of MQTT, by the numbers of the statements; without a version those of MQTT 5.0. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Broker } from "../../../../../lib/broker/server.ts";
import { CONNACK, CONNECT, PUBLISH, SUBACK, SUBSCRIBE } from "../../../../../lib/mqtt/packet_type.ts";
import { deadline, waitFor } from "../../../../support/helpers.ts";
import { decodePackets, encodePackets, type Packet } from "../../../../support/mqtt_packets.ts";
import { MqttPeer } from "../../../../support/mqtt_peer.ts";

const TIMEOUT = { timeout: 60_000 };

let broker: Broker;

before(async () => {
  broker = await Broker.open();
});
after(() => broker.close());

/** Connects, subscribes `t` and publishes there. */
const SESSION: Packet[] = [
  {
    type: CONNECT,
    value: {
      version: 4,
      cleanStart: true,
      keepAlive: 0,
      properties: {},
      clientId: "page",
      will: undefined,
      userName: undefined,
      password: undefined,
    },
  },
  {
    type: SUBSCRIBE,
    value: {
      packetId: 1,
      properties: {},
      requests: [{ filter: "t", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    },
  },
  {
    type: PUBLISH,
    value: {
      topic: "t",
      payload: new TextEncoder().encode("m"),
      qos: 0,
      dup: false,
      retain: false,
      packetId: 0,
      properties: {},
    },
  },
];

/** A WebSocket of the runtime, as a browser has it, and the bytes that it receives. */
async function openSocket(
  url: string,
): Promise<{ socket: WebSocket; received: number[]; closed: Promise<void> }> {
  const socket = new WebSocket(url, ["mqtt"]);
  socket.binaryType = "arraybuffer";
  const received: number[] = [];
  socket.onmessage = ({ data }) => {
    assert.ok(data instanceof ArrayBuffer, "a frame is not binary");
    received.push(...new Uint8Array(data));
  };
  const closed = new Promise<void>((resolve) => socket.onclose = () => resolve());
  await deadline(new Promise((resolve) => socket.onopen = resolve));
  return { socket, received, closed };
}

describe("mqtt spec: transports", () => {
  // [MQTT-4.2.0-1] [MQTT-7.1.1-1 of 3.1.1] [MQTT-7.0.0-2 of 3.1.1]
  it("TCP, with nothing but the packets of the standard", TIMEOUT, async () => {
    const peer = await MqttPeer.dial(await broker.listen("mqtt://127.0.0.1:0"), 4);
    peer.send(...SESSION);
    assert.equal(await peer.message(), "t m 0");
    assert.deepEqual(peer.order, [CONNACK, SUBACK, PUBLISH]);
    await peer.disconnect();
  });

  // [MQTT-6.0.0-2] [MQTT-6.0.0-4] [MQTT-6.0.0-2 of 3.1.1] [MQTT-6.0.0-4 of 3.1.1]
  it("WebSocket frames with parts of packets and with several packets", TIMEOUT, async () => {
    const url = await broker.listen("ws://127.0.0.1:0/mqtt");
    const bytes = encodePackets(4, SESSION);
    for (const size of [1, bytes.length]) {
      const { socket, received, closed } = await openSocket(url);
      assert.equal(socket.protocol, "mqtt");
      for (let at = 0; at < bytes.length; at += size) socket.send(bytes.slice(at, at + size));
      const types = () => decodePackets(4, [Uint8Array.from(received)]).packets.map(({ type }) => type);
      await waitFor(() => types().length === 3);
      assert.deepEqual(types(), [CONNACK, SUBACK, PUBLISH]);
      socket.close();
      await deadline(closed);
      await waitFor(() => broker.connections.size === 0);
    }
  });

  // [MQTT-6.0.0-1] [MQTT-6.0.0-1 of 3.1.1]
  it("a text frame closes the connection", TIMEOUT, async () => {
    const { socket, received, closed } = await openSocket(await broker.listen("ws://127.0.0.1:0/mqtt"));
    socket.send(encodePackets(4, SESSION.slice(0, 1)).slice());
    await waitFor(() => received.length === 4);
    socket.send("text");
    await deadline(closed);
    await waitFor(() => broker.connections.size === 0);
  });
});
