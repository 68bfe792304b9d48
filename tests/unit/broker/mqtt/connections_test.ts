/** MQTT connections, by the clauses of MQTT 5.0 (3.1.1 where it says so). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AUTH, CONNACK, CONNECT, DISCONNECT, PINGREQ, PINGRESP } from "../../../../lib/mqtt/packet_type.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";
import { FOREVER, sharedBroker } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { dial, fresh, open } = shared;

describe("mqtt connections", () => {
  // [MQTT-3.1.0-1 of 3.1.1] [MQTT-3.14.0-1]
  it("[MQTT-3.1.0-1] a first packet that is not CONNECT closes the connection", TIMEOUT, async () => {
    const peer = await dial();
    peer.send({ type: PINGREQ, value: null });
    await peer.expectEnd();
  });

  // [MQTT-3.1.0-2 of 3.1.1] [MQTT-3.2.0-2] [MQTT-3.14.4-1] [MQTT-3.14.4-2]
  it("[MQTT-3.1.0-2] a second CONNECT closes the connection", TIMEOUT, async () => {
    const connect = { version: 5, cleanStart: true, keepAlive: 0, properties: {}, clientId: "x" } as const;
    const none = { will: undefined, userName: undefined, password: undefined };
    const peer = await open();
    peer.send({ type: CONNECT, value: { ...connect, ...none } });
    await peer.expectDisconnect(0x82);
    const old = await open(fresh(), { version: 4 });
    old.send({ type: CONNECT, value: { ...connect, ...none, version: 4 } });
    await old.expectEnd();
  });

  // [MQTT-3.1.2-2 of 3.1.1]
  it("[MQTT-3.1.2-2] another version is refused with the code of that version", TIMEOUT, async () => {
    const five = await dial(5);
    five.sendBytes(Uint8Array.of(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 6, 2, 0, 0, 0, 0));
    assert.equal((await five.expect(CONNACK)).value.code, 0x84);
    await five.expectEnd();
    const four = await dial(4);
    four.sendBytes(Uint8Array.of(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 2, 2, 0, 0, 0, 0));
    assert.equal((await four.expect(CONNACK)).value.code, 1);
    await four.expectEnd();
  });

  // [MQTT-3.1.3-6 of 3.1.1]
  it("[MQTT-3.1.3-6] [MQTT-3.1.3-7] a client without identifier gets one", TIMEOUT, async () => {
    const peer = await open("");
    assert.match(peer.connack.properties.assignedClientIdentifier!, /^mqcat-/);
    await peer.disconnect();
  });

  it(
    "[MQTT-3.1.3-7 of 3.1.1] [MQTT-3.1.3-8 of 3.1.1] without identifier and clean session the client is refused",
    TIMEOUT,
    async () => {
      const peer = await open("", { version: 4, cleanStart: false, refused: true });
      assert.equal(peer.connack.code, 2);
      await peer.expectEnd();
      await (await open("", { version: 4 })).disconnect();
    },
  );

  it("[MQTT-3.1.4-2] names, passwords and virtual hosts", TIMEOUT, async () => {
    const password = (text: string) => new TextEncoder().encode(text);
    shared.broker.core.addVirtualHost("other");
    shared.broker.users.permit("guest", "other", { configure: ".*", write: ".*", read: ".*" });
    const wrong = await open(fresh(), { userName: "guest", password: password("no"), refused: true });
    assert.equal(wrong.connack.code, 0x86);
    const old = await open(fresh(), {
      version: 4,
      userName: "nobody",
      password: password("x"),
      refused: true,
    });
    assert.equal(old.connack.code, 4);
    const right = await open(fresh(), { userName: "other:guest", password: password("guest") });
    assert.ok([...shared.broker.connections].some(({ vhost }) => vhost.name === "other"));
    await right.disconnect();
    shared.broker.users.put("poor", "pw");
    const poor = await open(fresh(), { userName: "poor", password: password("pw"), refused: true });
    assert.equal(poor.connack.code, 0x87);
  });

  // [MQTT-4.12.0-1] [MQTT-4.12.0-7]
  it("4.12 enhanced authentication is refused", TIMEOUT, async () => {
    const peer = await open(fresh(), { properties: { authenticationMethod: "SCRAM" }, refused: true });
    assert.equal(peer.connack.code, 0x8c);
    const other = await open();
    other.send({ type: AUTH, value: { reasonCode: 0x19, properties: { authenticationMethod: "m" } } });
    await other.expectDisconnect(0x82);
  });

  // [MQTT-3.1.2-6] [MQTT-3.1.3-2] [MQTT-3.1.4-5] [MQTT-3.14.2-2] [MQTT-3.1.3-2 of 3.1.1]
  it("[MQTT-3.1.4-3] a client with the same identifier takes the session over", TIMEOUT, async () => {
    const id = fresh();
    const first = await open(id, { cleanStart: false, properties: FOREVER });
    assert.equal(first.connack.sessionPresent, false);
    await first.subscribe("takeover/a");
    const second = await open(id, { cleanStart: false });
    await first.expectDisconnect(0x8e);
    assert.equal(second.connack.sessionPresent, true);
    second.publish("takeover/a", "x");
    assert.equal(await second.message(), "takeover/a x 0");
    await second.disconnect();
  });

  // [MQTT-3.2.2-22]
  it("[MQTT-3.1.2-22] a silent client is disconnected after 1.5 times the keep alive", TIMEOUT, async () => {
    const peer = await open(fresh(), { keepAlive: 1 });
    const since = Date.now();
    await peer.expectDisconnect(0x8d);
    assert.ok(Date.now() - since >= 1400);
  });

  it("[MQTT-3.2.2-21] [MQTT-3.2.2-22] the heartbeat limits the keep alive of MQTT 5.0", TIMEOUT, async () => {
    const broker = await Broker.open({ heartbeat: 1 });
    try {
      const url = await broker.listen("mqtt://127.0.0.1:0");
      const limited = await MqttPeer.open(url, fresh(), { keepAlive: 120 });
      assert.equal(limited.connack.properties.serverKeepAlive, 1);
      for (const options of [{ keepAlive: 1 }, { keepAlive: 0 }, { keepAlive: 120, version: 4 } as const]) {
        const peer = await MqttPeer.open(url, fresh(), options);
        assert.equal(peer.connack.properties.serverKeepAlive, undefined);
        await peer.disconnect();
      }
      await limited.expectDisconnect(0x8d);
    } finally {
      await broker.close();
    }
  });

  it("[MQTT-3.12.4-1] PINGREQ is answered", TIMEOUT, async () => {
    const peer = await open();
    peer.send({ type: PINGREQ, value: null });
    await peer.expect(PINGRESP);
    await peer.disconnect();
  });

  // [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.3.2-9] [MQTT-3.3.4-6]
  it("4.13 errors close the connection with their reason code", TIMEOUT, async () => {
    const cases: [bytes: number[], reason: number][] = [
      [[0x36, 5, 0, 1, 0x61, 0, 1], 0x81],
      [[0x30, 4, 0, 1, 0xff, 0], 0x81],
      [[0x30, 4, 0, 1, 0x23, 0], 0x90],
      [[0x30, 7, 0, 1, 0x61, 3, 0x23, 0, 0], 0x94],
      [[0x30, 7, 0, 1, 0x61, 3, 0x23, 0xff, 0], 0x94],
      [[0x30, 6, 0, 1, 0x61, 2, 0x0b, 5], 0x82],
      [[0x30, 0xff, 0xff, 0xff, 0x7f], 0x95],
      [[0xd0, 0], 0x82],
    ];
    for (const [bytes, reason] of cases) {
      const peer = await open();
      peer.sendBytes(Uint8Array.from(bytes));
      await peer.expectDisconnect(reason);
    }
  });

  it("3.14.2.2.2 a DISCONNECT cannot set a session expiry if there was none", TIMEOUT, async () => {
    const peer = await open();
    peer.send({ type: DISCONNECT, value: { reasonCode: 0, properties: { sessionExpiryInterval: 5 } } });
    await peer.expectDisconnect(0x82);
  });
});
