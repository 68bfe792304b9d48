/** PUBLISH, its acknowledgements and the order of messages, by the numbers of the statements; without a version those of MQTT 5.0. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL } from "../../../../../lib/mqtt/packet_type.ts";
import { waitFor } from "../../../../support/helpers.ts";
import { FOREVER, sharedBroker } from "../shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { fresh, gone, listener, nothingElse, open } = shared;

const VERSIONS = [4, 5] as const;

describe("mqtt spec: PUBLISH", () => {
  for (const version of VERSIONS) {
    const name = version === 5 ? "5.0" : "3.1.1";

    // [MQTT-1.5.4-3] [MQTT-1.5.3-3 of 3.1.1]
    it(`${name}: U+FEFF is kept in topics`, TIMEOUT, async () => {
      const topic = `\ufeff${fresh()}`;
      const peer = await open(fresh(), { version });
      await peer.subscribe(topic);
      peer.publish(topic.slice(1), "no");
      peer.publish(topic, "yes");
      assert.equal(await peer.message(), `${topic} yes 0`);
      await peer.disconnect();
    });

    // [MQTT-2.2.1-5] [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-2.3.1-6 of 3.1.1] [MQTT-3.3.4-1 of 3.1.1]
    // [MQTT-4.3.2-5] [MQTT-4.3.3-12] [MQTT-4.3.2-2 of 3.1.1] [MQTT-4.3.3-2 of 3.1.1]
    it(`${name}: each QoS has its answer, after which the identifier is free`, TIMEOUT, async () => {
      const topic = fresh();
      const peer = await listener(topic, 1);
      const sender = await open(fresh(), { version });
      sender.publish(topic, "zero");
      for (const dup of [false, true]) {
        sender.publish(topic, `one ${dup}`, { qos: 1, packetId: 7, dup });
        assert.equal((await sender.expect(PUBACK)).value.packetId, 7);
      }
      for (const dup of [false, true]) {
        for (let n = 0; n < 2; n++) {
          sender.publish(topic, `two ${dup}`, { qos: 2, packetId: 7, dup: dup || n === 1 });
          assert.equal((await sender.expect(PUBREC)).value.packetId, 7);
        }
        sender.ack(PUBREL, 7);
        assert.equal((await sender.expect(PUBCOMP)).value.packetId, 7);
      }
      assert.equal(await peer.message(), `${topic} zero 0`);
      for (const payload of ["one false", "one true", "two false", "two true"]) {
        assert.equal(await peer.message(), `${topic} ${payload} 1`);
      }
      await nothingElse(peer, topic);
      for (const one of [peer, sender]) await one.disconnect();
    });

    // [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-2.2.1-4]
    // [MQTT-3.3.1-3 of 3.1.1] [MQTT-4.3.1-1 of 3.1.1] [MQTT-4.3.3-1 of 3.1.1]
    it(`${name}: the broker's messages have identifiers of their own, and no DUP`, TIMEOUT, async () => {
      const topic = fresh();
      const peer = await open(fresh(), { version });
      await peer.subscribe(topic, 2);
      const sender = await open();
      for (const qos of [1, 2, 1]) {
        sender.publish(topic, "m", { qos, packetId: 9, dup: true });
        await sender.next();
        sender.ack(PUBREL, 9);
        await sender.next();
      }
      sender.publish(topic, "m");
      const ids = new Set<number>();
      for (const qos of [1, 2, 1]) {
        const { value } = await peer.expect(PUBLISH);
        assert.deepEqual([value.qos, value.dup], [qos, false]);
        assert.ok(value.packetId > 0);
        ids.add(value.packetId);
      }
      assert.equal(ids.size, 3);
      assert.equal(await peer.message(), `${topic} m 0`);
      for (const one of [peer, sender]) await one.disconnect();
    });

    // [MQTT-3.3.1-8] [MQTT-3.1.2-7 of 3.1.1] [MQTT-3.3.1-9 of 3.1.1] [MQTT-3.3.1-12 of 3.1.1]
    it(`${name}: RETAIN 0 changes no retained message, which outlives its client`, TIMEOUT, async () => {
      const topic = fresh();
      const peer = await listener(`${topic}/#`);
      const sender = await open(fresh(), { version });
      sender.publish(`${topic}/a`, "kept", { retain: true });
      for (const payload of ["other", ""]) sender.publish(`${topic}/a`, payload);
      sender.publish(`${topic}/b`, "live");
      for (const rest of ["a kept", "a other", "a ", "b live"]) {
        assert.equal(await peer.message(), `${topic}/${rest} 0`);
      }
      await sender.disconnect();
      const late = await listener(`${topic}/#`);
      assert.equal(await late.message(), `${topic}/a kept 0 retain`);
      await nothingElse(late, `${topic}/x`);
      await peer.disconnect();
    });

    // [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT-4.6.0-5] [MQTT-4.6.0-6]
    // [MQTT-4.6.0-2 of 3.1.1] [MQTT-4.6.0-3 of 3.1.1] [MQTT-4.6.0-4 of 3.1.1] [MQTT-4.6.0-5 of 3.1.1]
    // [MQTT-4.6.0-6 of 3.1.1]
    it(`${name}: messages and acknowledgements keep their order`, TIMEOUT, async () => {
      const topic = fresh();
      const peer = await open(fresh(), { version });
      await peer.subscribe(topic, 2);
      const sender = await open(fresh(), { version });
      for (let n = 1; n <= 15; n++) sender.publish(topic, `m${n}`, { qos: n % 3, packetId: n });
      const acks = [1, 2, 4, 5, 7, 8, 10, 11, 13, 14];
      for (const n of acks) {
        const { value } = await sender.expect(n % 3 === 1 ? PUBACK : PUBREC);
        assert.equal(value.packetId, n);
      }
      for (const qos of [0, 1, 2]) sender.publish(topic, `end${qos}`, { qos, packetId: 20 + qos });
      const seen: string[][] = [[], [], []];
      const released: number[] = [];
      while (seen.some((list, qos) => !list.includes(`end${qos}`))) {
        const { value } = await peer.expect(PUBLISH);
        seen[value.qos]!.push(new TextDecoder().decode(value.payload));
        if (value.qos === 1) peer.ack(PUBACK, value.packetId);
        if (value.qos === 2) released.push(value.packetId);
      }
      for (const [qos, list] of seen.entries()) {
        const sent = Array.from({ length: 15 }, (_, n) => n + 1).filter((n) => n % 3 === qos);
        assert.deepEqual(list, [...sent.map((n) => `m${n}`), `end${qos}`]);
      }
      for (const id of released) peer.ack(PUBREC, id);
      for (const id of released) assert.equal((await peer.expect(PUBREL)).value.packetId, id);
      for (const one of [peer, sender]) await one.disconnect();
    });
  }

  it("[MQTT-3.1.2-27] no topic alias without a Topic Alias Maximum", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(topic, 1);
    for (let n = 1; n <= 3; n++) await peer.publishAcknowledged(topic, "m", { packetId: n });
    for (let n = 1; n <= 3; n++) {
      const { value } = await peer.expect(PUBLISH);
      assert.deepEqual([value.topic, value.properties.topicAlias], [topic, undefined]);
    }
    await peer.disconnect();
  });

  // [MQTT-3.3.2-7] [MQTT-3.3.2-12]
  it("all topic aliases up to the maximum, on one connection", TIMEOUT, async () => {
    const topic = fresh();
    const id = fresh();
    const peer = await listener(`${topic}/#`);
    const sender = await open(id, { properties: FOREVER });
    const maximum = sender.connack.properties.topicAliasMaximum!;
    for (let n = 1; n <= maximum; n++) sender.publish(`${topic}/${n}`, "", { properties: { topicAlias: n } });
    for (let n = 1; n <= maximum; n++) sender.publish("", "again", { properties: { topicAlias: n } });
    for (const payload of ["", "again"]) {
      for (let n = 1; n <= maximum; n++) assert.equal(await peer.message(), `${topic}/${n} ${payload} 0`);
    }
    await sender.disconnect();
    const next = await open(id, { cleanStart: false });
    next.publish("", "x", { properties: { topicAlias: 1 } });
    await next.expectDisconnect(0x82);
    await peer.disconnect();
  });
});

describe("mqtt spec: the exchange of QoS 2", () => {
  it("[MQTT-4.3.3-7] a message that was sent does not expire", TIMEOUT, async () => {
    const id = fresh();
    const peer = await open(id, { properties: FOREVER });
    await peer.subscribe(id, 2);
    await peer.subscribe(`${id}/other`, 2);
    const sender = await open();
    const properties = { messageExpiryInterval: 1 };
    sender.publish(id, "sent", { qos: 2, packetId: 1, properties });
    await sender.expect(PUBREC);
    const { value: { packetId } } = await peer.expect(PUBLISH);
    await peer.abort();
    await gone(id);
    // This one was not sent: when it is gone, the first one has also expired.
    sender.publish(`${id}/other`, "waits", { qos: 2, packetId: 2, properties });
    await sender.expect(PUBREC);
    const queue = shared.broker.vhosts.get("/")!.queues.get(`mqtt-subscription-${id}qos1`)!;
    await waitFor(() => {
      shared.broker.core.cycle.begin();
      queue.expire();
      shared.broker.core.cycle.end();
      return Date.now() > queue.lanes[0]!.expiryAt(queue.lanes[0]!.nextReady(packetId));
    });
    const again = await open(id, { cleanStart: false, properties: FOREVER });
    const { value } = await again.expect(PUBLISH);
    assert.deepEqual([value.packetId, value.dup, value.qos], [packetId, true, 2]);
    again.ack(PUBREC, packetId);
    await again.expect(PUBREL);
    again.ack(PUBCOMP, packetId);
    await nothingElse(again, id);
    await sender.disconnect();
  });

  it("[MQTT-4.3.3-13] the exchange continues after the expiry", TIMEOUT, async () => {
    const id = fresh();
    const keeper = await open(id, { properties: FOREVER });
    await keeper.subscribe(id, 2);
    await keeper.disconnect();
    const sender = await open();
    sender.publish(id, "m", { qos: 2, packetId: 1, properties: { messageExpiryInterval: 1 } });
    await sender.expect(PUBREC);
    const queue = shared.broker.vhosts.get("/")!.queues.get(`mqtt-subscription-${id}qos1`)!;
    await waitFor(() => queue.ready === 0);
    sender.ack(PUBREL, 1);
    assert.equal((await sender.expect(PUBCOMP)).value.reasonCode, 0);
    await sender.disconnect();
  });

  it("[MQTT-4.3.3-9] a refused message leaves its identifier free", TIMEOUT, async () => {
    shared.broker.users.put("half", "pw");
    shared.broker.users.permit("half", "/", { configure: ".*", write: ".*", read: ".*" });
    const topic = fresh();
    shared.broker.users.permitTopics("half", "/", "amq.topic", { write: `^${topic}\\.yes$`, read: ".*" });
    const peer = await listener(`${topic}/#`, 2);
    const sender = await open(fresh(), { userName: "half", password: new TextEncoder().encode("pw") });
    sender.publish(`${topic}/no`, "x", { qos: 2, packetId: 5 });
    assert.equal((await sender.expect(PUBREC)).value.reasonCode, 0x87);
    sender.publish(`${topic}/yes`, "y", { qos: 2, packetId: 5 });
    assert.equal((await sender.expect(PUBREC)).value.reasonCode, 0);
    assert.equal(await peer.message(), `${topic}/yes y 2`);
    for (const one of [peer, sender]) await one.disconnect();
  });

  it("[MQTT-4.4.0-2] a message refused by the client is not sent again", TIMEOUT, async () => {
    const id = fresh();
    const peer = await open(id, { properties: FOREVER });
    await peer.subscribe(id, 2);
    const sender = await open();
    for (const [qos, type] of [[1, PUBACK], [2, PUBREC]] as const) {
      sender.publish(id, "m", { qos, packetId: qos });
      await sender.next();
      const { value: { packetId } } = await peer.expect(PUBLISH);
      peer.send({ type, value: { packetId, reasonCode: 0x80, properties: {} } });
    }
    const queue = shared.broker.vhosts.get("/")!.queues.get(`mqtt-subscription-${id}qos1`)!;
    await waitFor(() => queue.lanes[0]!.unacked === 0);
    await peer.abort();
    await gone(id);
    const again = await open(id, { cleanStart: false, properties: FOREVER });
    await nothingElse(again, id);
    await sender.disconnect();
  });
});
