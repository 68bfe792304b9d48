/** Properties, limits and permissions of MQTT messages, by the clauses of MQTT 5.0 (3.1.1 where it says so). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PUBACK, PUBLISH, PUBREC } from "../../../../lib/mqtt/packet_type.ts";
import type { MqttProperties } from "../../../../lib/mqtt/properties.ts";
import { waitFor } from "../../../support/helpers.ts";
import { FOREVER, sharedBroker } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { fresh, listener, open } = shared;

describe("mqtt messages", () => {
  // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
  it("properties reach subscribers, in order", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(topic, 1);
    const properties: MqttProperties = {
      payloadFormatIndicator: 1,
      contentType: "text/plain",
      responseTopic: "reply/to.me",
      correlationData: Uint8Array.of(0, 255, 1),
      userProperties: [["b", "1"], ["a", "2"], ["b", "3"], ["7", "x"], ["CC", "y"]],
    };
    await peer.publishAcknowledged(topic, "x", { properties });
    const { value } = await peer.expect(PUBLISH);
    assert.deepEqual(value.properties, properties);
    const simple: MqttProperties = {
      userProperties: [["z", "1"], ["a", "2"]],
      correlationData: new Uint8Array(300),
    };
    peer.publish(topic, "y", { properties: simple });
    assert.deepEqual((await peer.expect(PUBLISH)).value.properties, simple);
    await peer.disconnect();
  });

  it(
    "[MQTT-3.3.2-5] [MQTT-3.3.2-6] a message expires, and subscribers see what is left",
    TIMEOUT,
    async () => {
      const id = fresh();
      const peer = await open(id, { properties: FOREVER });
      await peer.subscribe(`${id}/#`, 1);
      await peer.disconnect();
      const sender = await open();
      await sender.publishAcknowledged(`${id}/a`, "short", { properties: { messageExpiryInterval: 1 } });
      await sender.publishAcknowledged(`${id}/b`, "long", { properties: { messageExpiryInterval: 100 } });
      await waitFor(() =>
        shared.broker.vhosts.get("/")!.queues.get(`mqtt-subscription-${id}qos1`)!.ready === 1
      );
      const again = await open(id, { cleanStart: false });
      const { value } = await again.expect(PUBLISH);
      assert.equal(value.topic, `${id}/b`);
      const left = value.properties.messageExpiryInterval!;
      assert.ok(left < 100 && left > 50, String(left));
      await again.disconnect();
    },
  );

  it("[MQTT-3.3.2-6] an expiry longer than AMQP allows is sent in full", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await open();
    await peer.subscribe(topic, 1);
    const sender = await open();
    for (const messageExpiryInterval of [0xffff_ffff, 400_000_000, 315_000_000]) {
      for (const qos of [0, 1]) {
        sender.publish(topic, "x", { qos, retain: true, properties: { messageExpiryInterval } });
        if (qos > 0) await sender.expect(PUBACK);
        const { value } = await peer.expect(PUBLISH);
        const left = value.properties.messageExpiryInterval!;
        assert.ok(left <= messageExpiryInterval && left > messageExpiryInterval - 50, String(left));
        assert.deepEqual(Object.keys(value.properties), ["messageExpiryInterval"]);
        if (qos > 0) peer.ack(PUBACK, value.packetId);
      }
      const late = await open();
      await late.subscribe(topic, 1);
      const left = (await late.expect(PUBLISH)).value.properties.messageExpiryInterval!;
      assert.ok(left <= messageExpiryInterval && left > messageExpiryInterval - 50, String(left));
      await late.disconnect();
    }
    await peer.disconnect();
  });

  it(
    "[MQTT-3.1.2-24] [MQTT-3.1.2-25] a message over the maximum packet size of the client is not sent",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const peer = await open(fresh(), { properties: { maximumPacketSize: 100 } });
      await peer.subscribe(topic, 1);
      const sender = await open();
      await sender.publishAcknowledged(topic, "x".repeat(200));
      sender.publish(topic, "small", { qos: 1, packetId: 2 });
      assert.equal(await peer.message(), `${topic} small 1`);
      await peer.disconnect();
    },
  );

  // [MQTT-3.1.2-26] [MQTT-3.3.2-11]
  it("3.3.2.3.4 topic aliases both ways", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await open(fresh(), { properties: { topicAliasMaximum: 1 } });
    await peer.subscribe(`${topic}/#`);
    const sender = await open();
    assert.ok(sender.connack.properties.topicAliasMaximum! > 0);
    sender.publish(`${topic}/a`, "1", { properties: { topicAlias: 3 } });
    sender.publish("", "2", { properties: { topicAlias: 3 } });
    sender.publish(`${topic}/b`, "3");
    const seen: string[] = [];
    for (let n = 0; n < 3; n++) {
      const { value } = await peer.expect(PUBLISH);
      seen.push(`${value.topic} ${value.properties.topicAlias}`);
    }
    assert.deepEqual(seen, [`${topic}/a 1`, " 1", `${topic}/b undefined`]);
    sender.publish("", "x", { properties: { topicAlias: 4 } });
    await sender.expectDisconnect(0x82);
    await peer.disconnect();
  });

  it("4.7.3 a topic over 255 bytes is refused", TIMEOUT, async () => {
    const peer = await open();
    assert.equal(await peer.publishAcknowledged("x".repeat(256), ""), 0x90);
    assert.deepEqual(await peer.subscribe("x".repeat(256)), [0x8f]);
    await peer.disconnect();
  });

  // [MQTT-3.3.5-2 of 3.1.1] [MQTT-4.8.0-2 of 3.1.1]
  it("permissions - a publish and a subscription that are not allowed are refused", TIMEOUT, async () => {
    shared.broker.users.put("reader", "pw");
    shared.broker.users.permit("reader", "/", { configure: "^mqtt-.*", write: "^mqtt-.*", read: ".*" });
    shared.broker.users.permitTopics("reader", "/", "amq.topic", { write: "^$", read: "^open\\..*" });
    const login = { userName: "reader", password: new TextEncoder().encode("pw") };
    const peer = await open(fresh(), login);
    assert.deepEqual(await peer.subscribe("secret/a", 1), [0x87]);
    assert.deepEqual(await peer.subscribe("open/a", 1), [1]);
    assert.equal(await peer.publishAcknowledged("open/a", "x"), 0x87);
    peer.publish("open/a", "x", { qos: 2, packetId: 1 });
    assert.equal((await peer.expect(PUBREC)).value.reasonCode, 0x87);
    await peer.disconnect();
    const old = await open(fresh(), { ...login, version: 4 });
    old.publish("open/a", "x", { qos: 1, packetId: 1 });
    await old.expectEnd();
  });

  it(
    "permissions - {client_id} stands for the identifier of the client, as it is in topics",
    TIMEOUT,
    async () => {
      const { users } = shared.broker;
      users.put("fleet", "pw");
      users.permit("fleet", "/", { configure: ".*", write: ".*", read: ".*" });
      const permission = { write: "^{username}\\.{client_id}\\.", read: "^{username}\\.{client_id}\\.#$" };
      users.permitTopics("fleet", "/", "amq.topic", permission);
      const login = { userName: "fleet", password: new TextEncoder().encode("pw") };
      for (const id of ["truck.1/a", "[x].*", "{username}", ""]) {
        const peer = await open(id, login);
        const name = id === "" ? peer.connack.properties.assignedClientIdentifier! : id;
        assert.equal(await peer.publishAcknowledged(`fleet/${name}/speed`, "80"), 0x10);
        assert.equal(await peer.publishAcknowledged(`fleet/other/speed`, "80"), 0x87);
        assert.equal(await peer.publishAcknowledged(`fleet/fleet/speed`, "80"), 0x87);
        if (id === "truck.1/a") assert.deepEqual(await peer.subscribe(`fleet/${name}/#`), [0]);
        assert.deepEqual(await peer.subscribe("fleet/#"), [0x87]);
        await peer.disconnect();
      }
      const peer = await open("late", login);
      users.permitTopics("fleet", "/", "amq.topic", { ...permission, write: "^all\\.{client_id}$" });
      assert.equal(await peer.publishAcknowledged("all/late", "x"), 0x10);
      assert.equal(await peer.publishAcknowledged("fleet/late/x", "x"), 0x87);
      await peer.disconnect();
      users.forbidTopics("fleet", "/", "amq.topic");
    },
  );
});
