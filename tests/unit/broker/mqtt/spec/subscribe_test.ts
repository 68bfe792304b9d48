/** Subscriptions and shared subscriptions, by the numbers of the statements; without a version those of MQTT 5.0. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../../../lib/mqtt/packet_type.ts";
import type { SubscriptionRequest } from "../../../../../lib/mqtt/packets.ts";
import type { MqttPeer } from "../../../../support/mqtt_peer.ts";
import { FOREVER, sharedBroker } from "../shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { fresh, gone, nothingElse, open } = shared;

const VERSIONS = [4, 5] as const;

function requestOf(filter: string, qos = 0): SubscriptionRequest {
  return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
}

/** Subscribes several filters with one packet. @returns the codes */
async function subscribeAll(
  peer: MqttPeer,
  packetId: number,
  requests: readonly SubscriptionRequest[],
): Promise<readonly number[]> {
  peer.send({ type: SUBSCRIBE, value: { packetId, properties: {}, requests } });
  const { value } = await peer.expect(SUBACK);
  assert.equal(value.packetId, packetId);
  return value.codes;
}

/** Unsubscribes several filters with one packet. @returns the codes */
async function unsubscribeAll(
  peer: MqttPeer,
  packetId: number,
  filters: readonly string[],
): Promise<readonly number[]> {
  peer.send({ type: UNSUBSCRIBE, value: { packetId, properties: {}, filters } });
  const { value } = await peer.expect(UNSUBACK);
  assert.equal(value.packetId, packetId);
  return value.codes;
}

describe("mqtt spec: SUBSCRIBE", () => {
  for (const version of VERSIONS) {
    const name = version === 5 ? "5.0" : "3.1.1";

    // [MQTT-2.2.1-6] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2]
    // [MQTT-2.3.1-7 of 3.1.1] [MQTT-3.8.4-1 of 3.1.1] [MQTT-3.8.4-2 of 3.1.1] [MQTT-3.8.4-4 of 3.1.1]
    // [MQTT-3.8.4-5 of 3.1.1] [MQTT-3.9.3-1 of 3.1.1] [MQTT-3.9.3-2 of 3.1.1]
    // [MQTT-3.3.2-3] [MQTT-3.3.2-3 of 3.1.1]
    it(
      `${name}: one SUBACK with a code for each filter, in order, with the identifier`,
      TIMEOUT,
      async () => {
        const topic = fresh();
        const peer = await open(fresh(), { version });
        const filters = [["a", 2], ["b#", 1], ["c/+", 0], ["d", 1]] as const;
        const requests = filters.map(([filter, qos]) => requestOf(`${topic}/${filter}`, qos));
        const bad = version === 5 ? 0x8f : 0x80;
        assert.deepEqual(await subscribeAll(peer, 4711, requests), [2, bad, 0, 1]);
        const sender = await open();
        for (const name of ["b", "c", "c/x/y", "a", "c/x", "d"]) sender.publish(`${topic}/${name}`, "m");
        const seen = [await peer.message(), await peer.message(), await peer.message()];
        assert.deepEqual(seen.sort(), [`${topic}/a m 0`, `${topic}/c/x m 0`, `${topic}/d m 0`]);
        for (const one of [peer, sender]) await one.disconnect();
      },
    );

    // [MQTT-3.10.4-3] [MQTT-3.10.4-4] [MQTT-3.10.4-5]
    // [MQTT-3.10.4-1 of 3.1.1] [MQTT-3.10.4-2 of 3.1.1] [MQTT-3.10.4-3 of 3.1.1] [MQTT-3.10.4-4 of 3.1.1]
    // [MQTT-3.10.4-5 of 3.1.1] [MQTT-3.10.4-6 of 3.1.1]
    it(`${name}: UNSUBSCRIBE ends new messages, and deliveries are completed`, TIMEOUT, async () => {
      const topic = fresh();
      const id = fresh();
      const peer = await open(id, { version, cleanStart: false, properties: version === 5 ? FOREVER : {} });
      await subscribeAll(peer, 1, [requestOf(`${topic}/a`, 2), requestOf(`${topic}/b`), requestOf("+/z")]);
      const sender = await open();
      sender.publish(`${topic}/a`, "started", { qos: 2, packetId: 1 });
      await sender.expect(PUBREC);
      const { value: { packetId } } = await peer.expect(PUBLISH);
      const codes = await unsubscribeAll(peer, 2, [`${topic}/+`, `${topic}/a`, "+/z"]);
      assert.deepEqual(codes, version === 5 ? [0x11, 0, 0] : []);
      assert.deepEqual(await unsubscribeAll(peer, 3, ["+/z"]), version === 5 ? [0x11] : []);
      sender.publish(`${topic}/a`, "late");
      peer.ack(PUBREC, packetId);
      assert.equal((await peer.expect(PUBREL)).value.packetId, packetId);
      peer.ack(PUBCOMP, packetId);
      await nothingElse(peer, `${topic}/b`);
      for (const one of [peer, sender]) await one.disconnect();
    });

    // [MQTT-4.7.3-4] [MQTT-4.7.3-4 of 3.1.1]
    it(`${name}: topics are compared by character`, TIMEOUT, async () => {
      const topic = fresh();
      const peer = await open(fresh(), { version });
      const names = ["\u00c4", "A\u0308", "a", "A", " a", "a ", "a/", "/a", "\ufffd"];
      await subscribeAll(peer, 1, [requestOf(`${topic}/\u00c4`), requestOf(`${topic}/a`)]);
      const sender = await open();
      for (const name of names) sender.publish(`${topic}/${name}`, "m");
      assert.equal(await peer.message(), `${topic}/\u00c4 m 0`);
      assert.equal(await peer.message(), `${topic}/a m 0`);
      await nothingElse(peer, `${topic}/a`);
      for (const one of [peer, sender]) await one.disconnect();
    });
  }

  // [MQTT-3.8.4-3 of 3.1.1] [MQTT-3.3.5-1 of 3.1.1]
  it(
    "3.1.1: an equal filter replaces the subscription, overlapping ones give one message",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const sender = await open();
      await sender.publishAcknowledged(`${topic}/a`, "kept", { retain: true });
      const peer = await open(fresh(), { version: 4 });
      for (const qos of [0, 1]) {
        await peer.subscribe(`${topic}/+`, qos);
        assert.equal(await peer.message(), `${topic}/a kept ${qos} retain`);
      }
      await peer.subscribe(`${topic}/#`, 0);
      assert.equal(await peer.message(), `${topic}/a kept 0 retain`);
      await sender.publishAcknowledged(`${topic}/a`, "live");
      assert.equal(await peer.message(), `${topic}/a live 1`);
      await nothingElse(peer, `${topic}/a`);
    },
  );

  // [MQTT-3.9.2-1] [MQTT-3.1.2-29]
  it("a reason only if the client wants it, and within its packet size", TIMEOUT, async () => {
    const cases = [
      [{}, true],
      [{ maximumPacketSize: 20 }, false],
      [{ requestProblemInformation: 0 }, false],
    ] as const;
    for (const [properties, hasReason] of cases) {
      const peer = await open(fresh(), { properties });
      peer.send({ type: SUBSCRIBE, value: { packetId: 7, properties: {}, requests: [requestOf("b#")] } });
      const { value } = await peer.expect(SUBACK);
      assert.deepEqual(value.codes, [0x8f]);
      assert.equal(value.properties.reasonString !== undefined, hasReason);
      await peer.disconnect();
    }
  });

  it("[MQTT-3.8.3-4] No Local of a shared subscription is an error", TIMEOUT, async () => {
    const peer = await open();
    const request = { ...requestOf("$share/g/a"), noLocal: true };
    peer.send({ type: SUBSCRIBE, value: { packetId: 1, properties: {}, requests: [request] } });
    await peer.expectDisconnect(0x82);
  });
});

describe("mqtt spec: shared subscriptions", () => {
  /** Two members of a group; the first one has the first message of QoS 2. */
  async function group(topic: string, expiry: number) {
    const id = fresh();
    const first = await open(id, { properties: { sessionExpiryInterval: expiry } });
    await first.subscribe(`$share/g/${topic}`, 2);
    const sender = await open();
    sender.publish(topic, "m", { qos: 2, packetId: 1 });
    await sender.expect(PUBREC);
    const { value: { packetId } } = await first.expect(PUBLISH);
    const second = await open();
    await second.subscribe(`$share/g/${topic}`, 2);
    await second.subscribe(`${topic}/marker`);
    return { id, first, second, packetId };
  }

  it("[MQTT-4.8.2-4] a member that returns completes its message of QoS 2", TIMEOUT, async () => {
    const topic = fresh();
    const { id, first, second, packetId } = await group(topic, 1000);
    await first.abort();
    await gone(id);
    const again = await open(id, { cleanStart: false, properties: FOREVER });
    const { value } = await again.expect(PUBLISH);
    assert.deepEqual([value.packetId, value.dup, value.qos], [packetId, true, 2]);
    again.ack(PUBREC, packetId);
    await again.expect(PUBREL);
    again.ack(PUBCOMP, packetId);
    await nothingElse(second, `${topic}/marker`);
    for (const one of [again, second]) await one.disconnect();
  });

  it("[MQTT-4.8.2-5] a message of QoS 2 ends with the session that has it", TIMEOUT, async () => {
    const topic = fresh();
    const { id, first, second } = await group(topic, 0);
    await first.abort();
    await gone(id);
    await nothingElse(second, `${topic}/marker`);
    await second.disconnect();
  });

  it("[MQTT-4.8.2-6] a refused message goes to no other member", TIMEOUT, async () => {
    const topic = fresh();
    const { first, second, packetId } = await group(topic, 0);
    first.send({ type: PUBREC, value: { packetId, reasonCode: 0x97, properties: {} } });
    await nothingElse(second, `${topic}/marker`);
    await first.disconnect();
    await nothingElse(second, `${topic}/marker`);
    await second.disconnect();
  });

  it("4.8.2: messages of QoS 1 of a session that ends go to another member", TIMEOUT, async () => {
    const topic = fresh();
    const id = fresh();
    const first = await open(id, { properties: { receiveMaximum: 2 } });
    await first.subscribe(`$share/g/${topic}`, 1);
    const sender = await open();
    for (let n = 1; n <= 4; n++) await sender.publishAcknowledged(topic, `m${n}`, { packetId: n });
    const { value } = await first.expect(PUBLISH);
    await first.expect(PUBLISH);
    first.ack(PUBACK, value.packetId);
    await first.expect(PUBLISH);
    const second = await open();
    await second.subscribe(`$share/g/${topic}`, 1);
    await first.abort();
    await gone(id);
    const seen = [await second.message(), await second.message(), await second.message()];
    assert.deepEqual(seen.sort(), [2, 3, 4].map((n) => `${topic} m${n} 1`));
    for (const one of [second, sender]) await one.disconnect();
  });
});
