/** Retained MQTT messages and wills, by the clauses of MQTT 5.0 (3.1.1 where it says so). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PUBLISH, PUBREL } from "../../../../lib/mqtt/packet_type.ts";
import type { Will } from "../../../../lib/mqtt/packets.ts";
import { sharedBroker } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const { fresh, gone, listener, nothingElse, open } = sharedBroker();

function willOf(topic: string, options: Partial<Will> = {}): Will {
  return {
    topic,
    payload: new TextEncoder().encode("will"),
    qos: 0,
    retain: false,
    properties: {},
    ...options,
  };
}

describe("mqtt retained messages", () => {
  // [MQTT-3.3.1-7] [MQTT-3.3.1-5 of 3.1.1] [MQTT-3.3.1-6 of 3.1.1] [MQTT-3.3.1-7 of 3.1.1] [MQTT-3.3.1-8 of 3.1.1]
  // [MQTT-3.3.1-10 of 3.1.1] [MQTT-3.3.1-11 of 3.1.1]
  it(
    "[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-9] are stored, sent to new subscriptions, and deleted",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const sender = await open();
      for (const [n, qos] of [[1, 0], [2, 1], [3, 2]] as const) {
        sender.publish(`${topic}/${n}`, "old", { retain: true });
        sender.publish(`${topic}/${n}`, `r${n}`, { retain: true, qos, packetId: n });
        if (qos > 0) await sender.next();
        sender.ack(PUBREL, n);
        await sender.next();
      }
      const peer = await open();
      await peer.subscribe(`${topic}/+`, 2);
      const seen = [await peer.message(), await peer.message(), await peer.message()];
      assert.deepEqual(seen.sort(), [
        `${topic}/1 r1 0 retain`,
        `${topic}/2 r2 1 retain`,
        `${topic}/3 r3 2 retain`,
      ]);
      sender.publish(`${topic}/1`, "", { retain: true });
      assert.equal(await peer.message(), `${topic}/1  0`);
      await peer.disconnect();
      const other = await open();
      await other.subscribe(`${topic}/#`, 0, {}, { subscriptionIdentifiers: [9] });
      const left = [await other.expect(PUBLISH), await other.expect(PUBLISH)];
      assert.deepEqual(left.map(({ value }) => value.topic).sort(), [`${topic}/2`, `${topic}/3`]);
      assert.deepEqual(left[0]!.value.properties.subscriptionIdentifiers, [9]);
      await nothingElse(other, `${topic}/x`);
      await other.disconnect();
    },
  );

  it(
    "[MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.3.1-12] [MQTT-3.3.1-13] retain handling, retain as published",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const sender = await open();
      await sender.publishAcknowledged(topic, "r", { retain: true });
      const peer = await open();
      await peer.subscribe(topic, 0, { retainHandling: 2 });
      await nothingElse(peer, topic);
      await peer.subscribe(topic, 0, { retainHandling: 1 });
      await nothingElse(peer, topic);
      await peer.subscribe(topic, 0, { retainHandling: 0, retainAsPublished: true });
      assert.equal(await peer.message(), `${topic} r 0 retain`);
      sender.publish(topic, "live", { retain: true });
      assert.equal(await peer.message(), `${topic} live 0 retain`);
      const plain = await open();
      await plain.subscribe(`$share/g/${topic}`, 0);
      await plain.subscribe(topic, 0, { retainHandling: 1 });
      assert.equal(await plain.message(), `${topic} live 0 retain`);
      sender.publish(topic, "more", { retain: true });
      assert.equal(await plain.message(), `${topic} more 0`);
      await plain.disconnect();
      await peer.disconnect();
    },
  );

  it("are bounded", TIMEOUT, async () => {
    const topic = fresh();
    const sender = await open();
    let refused = 0;
    for (let n = 1; n <= 60; n++) {
      if (await sender.publishAcknowledged(`${topic}/${n}`, "r", { retain: true, packetId: n }) === 0x97) {
        refused++;
      }
    }
    assert.ok(refused >= 10);
    for (let n = 1; n <= 60; n++) sender.publish(`${topic}/${n}`, "", { retain: true });
    await sender.disconnect();
  });
});

describe("mqtt wills", () => {
  // [MQTT-3.1.2-15] [MQTT-3.1.2-8 of 3.1.1] [MQTT-3.1.2-17 of 3.1.1]
  it("[MQTT-3.1.2-8] [MQTT-3.14.4-3] are published without a DISCONNECT, or with 0x04", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(`${topic}/#`, 1);
    await (await open(fresh(), { will: willOf(`${topic}/1`, { qos: 1 }) })).abort();
    assert.equal(await peer.message(), `${topic}/1 will 1`);
    await (await open(fresh(), { will: willOf(`${topic}/2`) })).disconnect();
    await (await open(fresh(), { will: willOf(`${topic}/3`) })).disconnect(4);
    assert.equal(await peer.message(), `${topic}/3 will 0`);
    const broken = await open(fresh(), { will: willOf(`${topic}/4`, { retain: true }), version: 4 });
    broken.sendBytes(Uint8Array.of(0));
    assert.equal(await peer.message(), `${topic}/4 will 0`);
    const late = await open();
    await late.subscribe(`${topic}/4`);
    assert.equal(await late.message(), `${topic}/4 will 0 retain`);
    await late.disconnect();
  });

  it("[MQTT-3.1.3-9] wait for their delay, and not longer than the session", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(`${topic}/#`);
    const delayed = (name: string, delay: number, expiry: number) => ({
      will: willOf(`${topic}/${name}`, { properties: { willDelayInterval: delay } }),
      properties: { sessionExpiryInterval: expiry },
    });
    const id = fresh();
    await (await open(id, delayed("cancelled", 100, 200))).abort();
    await gone(id);
    const back = await open(id, { cleanStart: false });
    assert.equal(back.connack.sessionPresent, true);
    await back.disconnect();
    const end = fresh();
    await (await open(end, delayed("ended", 100, 200))).abort();
    await (await open(end, {})).disconnect();
    assert.equal(await peer.message(), `${topic}/ended will 0`);
    await (await open(fresh(), delayed("short", 1, 200))).abort();
    assert.equal(await peer.message(), `${topic}/short will 0`);
    await (await open(fresh(), delayed("session", 100, 1))).abort();
    assert.equal(await peer.message(), `${topic}/session will 0`);
    await peer.disconnect();
  });
});
