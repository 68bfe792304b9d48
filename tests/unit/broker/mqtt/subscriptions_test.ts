/** MQTT subscriptions, by the clauses of MQTT 5.0 (3.1.1 where it says so). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PUBACK, PUBLISH, PUBREC, UNSUBACK, UNSUBSCRIBE } from "../../../../lib/mqtt/packet_type.ts";
import { waitFor } from "../../../support/helpers.ts";
import { FOREVER, sharedBroker } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { fresh, listener, nothingElse, open } = shared;

describe("mqtt subscriptions", () => {
  // [MQTT-3.8.4-7] [MQTT-3.8.4-8] [MQTT-3.8.4-6 of 3.1.1]
  it("[MQTT-3.8.4-6] each filter is answered; the QoS of a message is the lower one", TIMEOUT, async () => {
    const peer = await open();
    assert.deepEqual(await peer.subscribe("a#"), [0x8f]);
    const topic = fresh();
    assert.deepEqual(await peer.subscribe(topic, 1), [1]);
    peer.publish(topic, "x", { qos: 2, packetId: 1 });
    await peer.expect(PUBREC);
    assert.equal(await peer.message(), `${topic} x 1`);
    const old = await open(fresh(), { version: 4 });
    assert.deepEqual(await old.subscribe("a#"), [0x80]);
    await old.disconnect();
    await peer.disconnect();
  });

  it(
    "[MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] one copy for overlapping subscriptions, with the highest QoS and all identifiers",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const peer = await open();
      await peer.subscribe(`${topic}/#`, 0, {}, { subscriptionIdentifiers: [5] });
      await peer.subscribe(`${topic}/+`, 1, {}, { subscriptionIdentifiers: [300_000] });
      await peer.subscribe(`${topic}/a`, 0);
      await peer.publishAcknowledged(`${topic}/a`, "x", { packetId: 3 });
      const { value } = await peer.expect(PUBLISH);
      assert.equal(value.qos, 1);
      assert.deepEqual(value.properties.subscriptionIdentifiers?.toSorted(), [300_000, 5]);
      peer.ack(PUBACK, value.packetId);
      peer.publish(`${topic}/a/b`, "y");
      assert.equal(await peer.message(), `${topic}/a/b y 0`);
      await peer.disconnect();
    },
  );

  it(
    "[MQTT-3.8.4-3] a second subscription replaces the first; [MQTT-3.8.4-4] no message is lost",
    TIMEOUT,
    async () => {
      const id = fresh();
      const peer = await open(id, { properties: FOREVER });
      await peer.subscribe(id, 2);
      await peer.disconnect();
      const sender = await open();
      await sender.publishAcknowledged(id, "queued");
      const again = await open(id, { cleanStart: false, properties: { ...FOREVER, receiveMaximum: 1 } });
      const { value } = await again.expect(PUBLISH);
      await again.subscribe(id, 0);
      again.ack(PUBACK, value.packetId);
      sender.publish(id, "later", { qos: 1, packetId: 2 });
      assert.equal(await again.message(), `${id} later 0`);
      await again.disconnect();
    },
  );

  // [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2]
  it(
    "[MQTT-3.10.4-1] [MQTT-3.10.4-2] an unsubscribed filter gets nothing more; unknown filters are reported",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const peer = await open();
      await peer.subscribe(topic, 1);
      await peer.subscribe(`${topic}/x`);
      peer.send({ type: UNSUBSCRIBE, value: { packetId: 5, properties: {}, filters: [topic, "unknown"] } });
      assert.deepEqual((await peer.expect(UNSUBACK)).value.codes, [0, 0x11]);
      assert.equal(await peer.publishAcknowledged(topic, "gone"), 0x10);
      await nothingElse(peer, `${topic}/x`);
    },
  );

  // [MQTT-4.7.2-1 of 3.1.1]
  it(
    "[MQTT-4.7.2-1] wildcards do not match $ topics; levels with * and . are kept apart",
    TIMEOUT,
    async () => {
      const peer = await open();
      await peer.subscribe("#");
      await peer.subscribe("+/monitor");
      const sender = await open();
      sender.publish("$SYS/monitor", "hidden");
      sender.publish("a.b/c*", "dots");
      assert.equal(await peer.message(), "a.b/c* dots 0");
      const star = await listener("s/*");
      sender.publish("s/x", "no");
      sender.publish("s/*", "yes");
      assert.equal(await star.message(), "s/* yes 0");
      const dollar = await listener("$SYS/#");
      sender.publish("$SYS/x", "seen");
      assert.equal(await dollar.message(), "$SYS/x seen 0");
      for (const one of [peer, sender, star, dollar]) await one.disconnect();
    },
  );

  it("[MQTT-3.8.3-3] No Local: a client does not get its own messages", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await open();
    await peer.subscribe(topic, 1, { noLocal: true });
    await peer.publishAcknowledged(topic, "mine");
    peer.publish(topic, "mine");
    await nothingElse(peer, topic);
    await peer.disconnect();
  });

  it("[MQTT-4.8.2-3] a shared subscription gives each message to one member", TIMEOUT, async () => {
    const topic = fresh();
    const first = await open();
    const second = await open();
    for (const peer of [first, second]) {
      await peer.subscribe(`$share/g/${topic}/+`, 1, {}, { subscriptionIdentifiers: [7] });
    }
    const sender = await open();
    for (let n = 1; n <= 4; n++) {
      sender.publish(`${topic}/a`, `m${n}`, { qos: n % 2, packetId: n });
      if (n % 2 === 1) await sender.expect(PUBACK);
    }
    const seen: string[] = [];
    for (const peer of [first, second, first, second]) {
      const { value } = await peer.expect(PUBLISH);
      assert.deepEqual(value.properties.subscriptionIdentifiers, [7]);
      seen.push(`${new TextDecoder().decode(value.payload)} ${value.qos}`);
      if (value.qos === 1) peer.ack(PUBACK, value.packetId);
    }
    assert.deepEqual(seen.sort(), ["m1 1", "m2 0", "m3 1", "m4 0"]);
    for (const peer of [first, second, sender]) await peer.disconnect();
    await waitFor(() =>
      ![...shared.broker.vhosts.get("/")!.queues.keys()].some((name) => name.startsWith("mqtt-shared-"))
    );
  });
});
