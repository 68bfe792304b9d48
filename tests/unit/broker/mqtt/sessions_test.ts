/** MQTT sessions and the exchange of QoS 1 and 2, by the clauses of MQTT 5.0 (3.1.1 where it says so). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../../lib/broker/server.ts";
import {
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../../lib/mqtt/packet_type.ts";
import type { MqttProperties } from "../../../../lib/mqtt/properties.ts";
import { waitFor } from "../../../support/helpers.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";
import { FOREVER, sharedBroker } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { fresh, gone, listener, nothingElse, open } = shared;

describe("mqtt sessions", () => {
  // [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.5.0-1] [MQTT-4.6.0-1] [MQTT-2.3.1-4 of 3.1.1]
  // [MQTT-3.1.2-4 of 3.1.1] [MQTT-3.1.2-5 of 3.1.1] [MQTT-3.1.2-6 of 3.1.1] [MQTT-3.1.4-3 of 3.1.1]
  // [MQTT-3.3.1-1 of 3.1.1] [MQTT-4.1.0-1 of 3.1.1] [MQTT-4.3.2-1 of 3.1.1] [MQTT-4.4.0-1 of 3.1.1]
  // [MQTT-4.5.0-1 of 3.1.1] [MQTT-4.6.0-1 of 3.1.1]
  it(
    "[MQTT-3.1.2-5] [MQTT-4.4.0-1] messages wait, and are sent again with DUP in order",
    TIMEOUT,
    async () => {
      for (const version of [4, 5] as const) {
        const id = fresh();
        const properties: MqttProperties = version === 5 ? FOREVER : {};
        const first = await open(id, { version, cleanStart: false, properties });
        await first.subscribe(`${id}/#`, 1);
        await first.disconnect();
        const sender = await open();
        for (const n of [1, 2, 3]) {
          await sender.publishAcknowledged(`${id}/a`, `m${n}`, { packetId: n });
        }
        const second = await open(id, { version, cleanStart: false, properties });
        assert.equal(second.connack.sessionPresent, true);
        const ids: number[] = [];
        for (const n of [1, 2, 3]) {
          const { value } = await second.expect(PUBLISH);
          assert.equal(`${new TextDecoder().decode(value.payload)} ${value.dup}`, `m${n} false`);
          ids.push(value.packetId);
        }
        second.ack(PUBACK, ids[1]!);
        await second.abort();
        await gone(id);
        const third = await open(id, { version, cleanStart: false, properties });
        for (const n of [1, 3]) {
          const { value } = await third.expect(PUBLISH);
          assert.equal(`${new TextDecoder().decode(value.payload)} ${value.dup}`, `m${n} true`);
          assert.equal(value.packetId, ids[n - 1]);
          third.ack(PUBACK, value.packetId);
        }
        await third.disconnect();
        const fourth = await open(id, { version, properties });
        assert.equal(fourth.connack.sessionPresent, false);
        await nothingElse(await listener(`${id}/x`), `${id}/x`);
        await fourth.disconnect();
        await sender.disconnect();
      }
    },
  );

  // [MQTT-4.1.0-1] [MQTT-4.1.0-2] [MQTT-4.1.0-2 of 3.1.1]
  it("[MQTT-3.1.2-23] a session ends after its expiry, and not before its connection", TIMEOUT, async () => {
    const id = fresh();
    const stays = await open(fresh(), { properties: { sessionExpiryInterval: 1 } });
    await stays.subscribe(`${id}/stays`, 1);
    const first = await open(id, { properties: { sessionExpiryInterval: 1 } });
    await first.disconnect();
    const second = await open(id, { cleanStart: false, properties: { sessionExpiryInterval: 1 } });
    assert.equal(second.connack.sessionPresent, true);
    await second.disconnect();
    await waitFor(() => !shared.broker.vhosts.get("/")!.queues.has(`mqtt-session-${id}`));
    const third = await open(id, { cleanStart: false });
    assert.equal(third.connack.sessionPresent, false);
    await third.disconnect();
    await stays.publishAcknowledged(`${id}/stays`, "m");
    assert.equal(await stays.message(), `${id}/stays m 1`);
    await stays.disconnect();
  });

  // [MQTT-4.3.3-11]
  it("[MQTT-4.3.3-10] a QoS 2 message that comes twice is published once", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(topic, 2);
    const sender = await open(fresh(), { properties: FOREVER });
    sender.publish(topic, "once", { qos: 2, packetId: 9 });
    await sender.expect(PUBREC);
    sender.publish(topic, "once", { qos: 2, packetId: 9, dup: true });
    await sender.expect(PUBREC);
    sender.ack(PUBREL, 9);
    assert.equal((await sender.expect(PUBCOMP)).value.reasonCode, 0);
    sender.ack(PUBREL, 9);
    assert.equal((await sender.expect(PUBCOMP)).value.reasonCode, 0x92);
    const { value } = await peer.expect(PUBLISH);
    assert.equal(value.qos, 2);
    peer.ack(PUBREC, value.packetId);
    assert.equal((await peer.expect(PUBREL)).value.packetId, value.packetId);
    peer.ack(PUBCOMP, value.packetId);
    await nothingElse(peer, topic);
  });

  // [MQTT-4.3.3-4]
  it(
    "[MQTT-4.3.3-5] [MQTT-4.3.3-6] after PUBREC the broker sends PUBREL, also to the next connection, and not the message",
    TIMEOUT,
    async () => {
      const id = fresh();
      const peer = await open(id, { properties: FOREVER });
      await peer.subscribe(id, 2);
      peer.publish(id, "m", { qos: 2, packetId: 1 });
      await peer.expect(PUBREC);
      const { value: { packetId } } = await peer.expect(PUBLISH);
      peer.ack(PUBREC, packetId);
      await peer.expect(PUBREL);
      await peer.abort();
      await gone(id);
      const again = await open(id, { cleanStart: false, properties: FOREVER });
      assert.equal((await again.expect(PUBREL)).value.packetId, packetId);
      again.ack(PUBCOMP, packetId);
      // The broker still knows the packet identifier of the client, too.
      again.publish(id, "m", { qos: 2, packetId: 1, dup: true });
      await again.expect(PUBREC);
      again.ack(PUBREL, 1);
      await again.expect(PUBCOMP);
      await nothingElse(again, id);
    },
  );

  // [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]
  it("[MQTT-3.3.4-9] no more messages are sent than the receive maximum", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await open(fresh(), { properties: { receiveMaximum: 2 } });
    await peer.subscribe(topic, 1);
    const sender = await open();
    for (let n = 1; n <= 4; n++) sender.publish(topic, `m${n}`, { qos: 1, packetId: n });
    for (let n = 1; n <= 4; n++) await sender.expect(PUBACK);
    const first = await peer.expect(PUBLISH);
    await peer.expect(PUBLISH);
    // A message of QoS 0 has no limit, but keeps its place.
    peer.send({ type: PINGREQ, value: null });
    await peer.expect(PINGRESP);
    peer.ack(PUBACK, first.value.packetId);
    assert.equal(await peer.message(), `${topic} m3 1`);
    await peer.disconnect();
  });

  it("[MQTT-3.3.4-7] more messages than our receive maximum are refused", TIMEOUT, async () => {
    const peer = await open();
    const maximum = peer.connack.properties.receiveMaximum!;
    for (let n = 1; n <= maximum; n++) peer.publish("t", "", { qos: 2, packetId: n });
    for (let n = 1; n <= maximum; n++) await peer.expect(PUBREC);
    peer.publish("t", "", { qos: 1, packetId: maximum + 1 });
    await peer.expectDisconnect(0x93);
  });

  it("a subscriber that does not read loses messages of QoS 0 and delays no other", TIMEOUT, async () => {
    const events: string[] = [];
    const other = await Broker.open({ onEvent: (event) => events.push(JSON.stringify(event)) });
    const where = await other.listen("mqtt://127.0.0.1:0");
    const [slow, fast, sender] = [
      await MqttPeer.open(where, "slow"),
      await MqttPeer.open(where, "fast"),
      await MqttPeer.open(where, "sender"),
    ];
    for (const peer of [slow, fast]) await peer.subscribe("t");
    slow.stream.pause();
    const payload = "x".repeat(60_000);
    for (let round = 0; round < 40; round++) {
      for (let n = 0; n < 10; n++) sender.publish("t", payload);
      for (let n = 0; n < 10; n++) await fast.expect(PUBLISH);
    }
    const connection = [...other.connections].find((one) => one.clientProperties["client_id"] === "slow")!;
    assert.ok(connection.sent < 40 * 10 * 60_000);
    slow.stream.close();
    await waitFor(() => events.some((event) => event.includes('"dropped"') && event.includes('"slow"')));
    await fast.disconnect();
    await sender.disconnect();
    await other.close();
  });

  it("continues when an administrator deletes its queues", TIMEOUT, async () => {
    const id = fresh();
    const peer = await open(id, { properties: FOREVER });
    await peer.subscribe(id, 2);
    for (const name of [`mqtt-subscription-${id}qos1`, `mqtt-session-${id}`]) {
      const vhost = shared.broker.vhosts.get("/")!;
      shared.broker.core.cycle.begin();
      vhost.removeQueue(vhost.queues.get(name)!);
      shared.broker.core.cycle.end();
    }
    peer.publish(id, "lost", { qos: 2, packetId: 1 });
    assert.equal((await peer.expect(PUBREC)).value.reasonCode, 0x10);
    peer.send({ type: UNSUBSCRIBE, value: { packetId: 5, properties: {}, filters: [id] } });
    assert.deepEqual((await peer.expect(UNSUBACK)).value.codes, [0]);
    await peer.subscribe(id, 1);
    peer.publish(id, "again", { qos: 1, packetId: 2 });
    assert.equal(await peer.message(), `${id} again 1`);
    await peer.disconnect();
  });

  it("a login whose queues cannot be declared is refused", TIMEOUT, async () => {
    shared.broker.core.addVirtualHost("tiny").setLimits({ "max-queues": 0 });
    shared.broker.users.permit("guest", "tiny", { configure: ".*", write: ".*", read: ".*" });
    const login = { userName: "tiny:guest", password: new TextEncoder().encode("guest") };
    const peer = await open(fresh(), { ...login, properties: FOREVER, refused: true });
    assert.ok(peer.connack.code >= 0x80);
    await peer.expectEnd();
    const plain = await open(fresh(), login);
    assert.ok((await plain.subscribe("a", 1))[0]! >= 0x80);
    await plain.disconnect();
  });

  it("a session that never returns is bounded, and reports what it drops", TIMEOUT, async () => {
    const id = fresh();
    const events: unknown[] = [];
    const small = await Broker.open({ sessionLimit: 3, onEvent: (event) => events.push(event) });
    const where = await small.listen("mqtt://127.0.0.1:0");
    const peer = await MqttPeer.open(where, id, { properties: FOREVER });
    await peer.subscribe("t", 1);
    await peer.disconnect();
    const sender = await MqttPeer.open(where, fresh());
    for (let n = 1; n <= 5; n++) {
      await sender.publishAcknowledged("t", `m${n}`, { packetId: n });
    }
    const again = await MqttPeer.open(where, id, { cleanStart: false });
    for (const n of [3, 4, 5]) assert.equal(await again.message(), `t m${n} 1`);
    await again.disconnect();
    await small.close();
    assert.ok(events.some((event) => JSON.stringify(event).includes('"dropped"')), JSON.stringify(events));
  });
});
