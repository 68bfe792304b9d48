/** MQTT connections, sessions and subscriptions, by the clauses of MQTT 5.0 (3.1.1 where it says so). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Broker } from "../../../../lib/broker/server.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
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
import type { Will } from "../../../../lib/mqtt/packets.ts";
import type { MqttProperties } from "../../../../lib/mqtt/properties.ts";
import { waitFor } from "../../../support/helpers.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";

const TIMEOUT = { timeout: 60_000 };
const FOREVER = { sessionExpiryInterval: 0xffff_ffff };

let broker: Broker;
let url: string;
let names = 0;

before(async () => {
  broker = await Broker.open({ sessionLimit: 20, retainedLimit: 50, maxMessageSize: 100_000 });
  url = await broker.listen("mqtt://127.0.0.1:0");
});
after(() => broker.close());

/** A name that no other test uses. */
function fresh(): string {
  return `n${++names}`;
}

function open(clientId = fresh(), options: Parameters<typeof MqttPeer.open>[2] = {}): Promise<MqttPeer> {
  return MqttPeer.open(url, clientId, options);
}

function ack(
  peer: MqttPeer,
  type: typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP,
  packetId: number,
) {
  peer.send({ type, value: { packetId, reasonCode: 0, properties: {} } });
}

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

/** Waits until the connection of a client has ended. */
async function gone(clientId: string): Promise<void> {
  await waitFor(() => ![...broker.connections].some((one) => one.clientProperties["client_id"] === clientId));
}

/** A subscriber of one topic with a connection of its own. */
async function listener(topic: string, qos = 0): Promise<MqttPeer> {
  const peer = await open();
  await peer.subscribe(topic, qos);
  return peer;
}

/** Sends a PUBLISH as a marker and checks that it is the next message. */
async function nothingElse(peer: MqttPeer, topic: string): Promise<void> {
  const other = await open();
  other.publish(topic, "marker");
  assert.equal(await peer.message(), `${topic} marker 0`);
  await other.disconnect();
}

describe("mqtt connections", () => {
  it("[MQTT-3.1.0-1] a first packet that is not CONNECT closes the connection", TIMEOUT, async () => {
    const peer = await MqttPeer.dial(url);
    peer.send({ type: PINGREQ, value: null });
    await peer.expectEnd();
  });

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

  it("[MQTT-3.1.2-2] another version is refused with the code of that version", TIMEOUT, async () => {
    const five = await MqttPeer.dial(url, 5);
    five.sendBytes(Uint8Array.of(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 6, 2, 0, 0, 0, 0));
    assert.equal((await five.expect(CONNACK)).value.code, 0x84);
    await five.expectEnd();
    const four = await MqttPeer.dial(url, 4);
    four.sendBytes(Uint8Array.of(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 2, 2, 0, 0, 0, 0));
    assert.equal((await four.expect(CONNACK)).value.code, 1);
    await four.expectEnd();
  });

  it("[MQTT-3.1.3-6] [MQTT-3.1.3-7] a client without identifier gets one", TIMEOUT, async () => {
    const peer = await open("");
    assert.match(peer.connack.properties.assignedClientIdentifier!, /^mqcat-/);
    await peer.disconnect();
  });

  it(
    "[MQTT-3.1.3-8] of 3.1.1: without identifier and clean session the client is refused",
    TIMEOUT,
    async () => {
      const peer = await open("", { version: 4, cleanStart: false, refused: true });
      assert.equal(peer.connack.code, 2);
      await peer.expectEnd();
      await (await open("", { version: 4 })).disconnect();
    },
  );

  it("3.1.4 names, passwords and virtual hosts", TIMEOUT, async () => {
    const password = (text: string) => new TextEncoder().encode(text);
    broker.core.addVirtualHost("other");
    broker.users.permit("guest", "other", { configure: ".*", write: ".*", read: ".*" });
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
    assert.ok([...broker.connections].some(({ vhost }) => vhost.name === "other"));
    await right.disconnect();
    broker.users.put("poor", "pw");
    const poor = await open(fresh(), { userName: "poor", password: password("pw"), refused: true });
    assert.equal(poor.connack.code, 0x87);
  });

  it("4.12 enhanced authentication is refused", TIMEOUT, async () => {
    const peer = await open(fresh(), { properties: { authenticationMethod: "SCRAM" }, refused: true });
    assert.equal(peer.connack.code, 0x8c);
    const other = await open();
    other.send({ type: AUTH, value: { reasonCode: 0x19, properties: { authenticationMethod: "m" } } });
    await other.expectDisconnect(0x82);
  });

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

  it("[MQTT-3.1.2-22] a silent client is disconnected after 1.5 times the keep alive", TIMEOUT, async () => {
    const peer = await open(fresh(), { keepAlive: 1 });
    const since = Date.now();
    await peer.expectDisconnect(0x8d);
    assert.ok(Date.now() - since >= 1400);
  });

  it("[MQTT-3.12.4-1] PINGREQ is answered", TIMEOUT, async () => {
    const peer = await open();
    peer.send({ type: PINGREQ, value: null });
    await peer.expect(PINGRESP);
    await peer.disconnect();
  });

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

describe("mqtt sessions", () => {
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
          sender.publish(`${id}/a`, `m${n}`, { qos: 1, packetId: n });
          assert.equal((await sender.expect(PUBACK)).value.packetId, n);
        }
        const second = await open(id, { version, cleanStart: false, properties });
        assert.equal(second.connack.sessionPresent, true);
        const ids: number[] = [];
        for (const n of [1, 2, 3]) {
          const { value } = await second.expect(PUBLISH);
          assert.equal(`${new TextDecoder().decode(value.payload)} ${value.dup}`, `m${n} false`);
          ids.push(value.packetId);
        }
        ack(second, PUBACK, ids[1]!);
        await second.abort();
        await gone(id);
        const third = await open(id, { version, cleanStart: false, properties });
        for (const n of [1, 3]) {
          const { value } = await third.expect(PUBLISH);
          assert.equal(`${new TextDecoder().decode(value.payload)} ${value.dup}`, `m${n} true`);
          assert.equal(value.packetId, ids[n - 1]);
          ack(third, PUBACK, value.packetId);
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

  it("[MQTT-3.1.2-23] a session ends after its expiry", TIMEOUT, async () => {
    const id = fresh();
    const first = await open(id, { properties: { sessionExpiryInterval: 1 } });
    await first.disconnect();
    const second = await open(id, { cleanStart: false, properties: { sessionExpiryInterval: 1 } });
    assert.equal(second.connack.sessionPresent, true);
    await second.disconnect();
    await waitFor(() => !broker.vhosts.get("/")!.queues.has(`mqtt-session-${id}`));
    const third = await open(id, { cleanStart: false });
    assert.equal(third.connack.sessionPresent, false);
    await third.disconnect();
  });

  it("[MQTT-4.3.3-10] a QoS 2 message that comes twice is published once", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(topic, 2);
    const sender = await open(fresh(), { properties: FOREVER });
    sender.publish(topic, "once", { qos: 2, packetId: 9 });
    await sender.expect(PUBREC);
    sender.publish(topic, "once", { qos: 2, packetId: 9, dup: true });
    await sender.expect(PUBREC);
    ack(sender, PUBREL, 9);
    assert.equal((await sender.expect(PUBCOMP)).value.reasonCode, 0);
    ack(sender, PUBREL, 9);
    assert.equal((await sender.expect(PUBCOMP)).value.reasonCode, 0x92);
    const { value } = await peer.expect(PUBLISH);
    assert.equal(value.qos, 2);
    ack(peer, PUBREC, value.packetId);
    assert.equal((await peer.expect(PUBREL)).value.packetId, value.packetId);
    ack(peer, PUBCOMP, value.packetId);
    await nothingElse(peer, topic);
  });

  it(
    "[MQTT-4.3.3-8] after PUBREC the broker sends PUBREL, also to the next connection, and not the message",
    TIMEOUT,
    async () => {
      const id = fresh();
      const peer = await open(id, { properties: FOREVER });
      await peer.subscribe(id, 2);
      peer.publish(id, "m", { qos: 2, packetId: 1 });
      await peer.expect(PUBREC);
      const { value: { packetId } } = await peer.expect(PUBLISH);
      ack(peer, PUBREC, packetId);
      await peer.expect(PUBREL);
      await peer.abort();
      await gone(id);
      const again = await open(id, { cleanStart: false, properties: FOREVER });
      assert.equal((await again.expect(PUBREL)).value.packetId, packetId);
      ack(again, PUBCOMP, packetId);
      // The broker still knows the packet identifier of the client, too.
      again.publish(id, "m", { qos: 2, packetId: 1, dup: true });
      await again.expect(PUBREC);
      ack(again, PUBREL, 1);
      await again.expect(PUBCOMP);
      await nothingElse(again, id);
    },
  );

  it("[MQTT-3.3.4-7] no more messages are sent than the receive maximum", TIMEOUT, async () => {
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
    ack(peer, PUBACK, first.value.packetId);
    assert.equal(await peer.message(), `${topic} m3 1`);
    await peer.disconnect();
  });

  it("[MQTT-3.3.4-9] more messages than our receive maximum are refused", TIMEOUT, async () => {
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
      const vhost = broker.vhosts.get("/")!;
      broker.core.cycle.begin();
      vhost.removeQueue(vhost.queues.get(name)!);
      broker.core.cycle.end();
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
    broker.core.addVirtualHost("tiny").setLimits({ "max-queues": 0 });
    broker.users.permit("guest", "tiny", { configure: ".*", write: ".*", read: ".*" });
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
      sender.publish("t", `m${n}`, { qos: 1, packetId: n });
      await sender.expect(PUBACK);
    }
    const again = await MqttPeer.open(where, id, { cleanStart: false });
    for (const n of [3, 4, 5]) assert.equal(await again.message(), `t m${n} 1`);
    await again.disconnect();
    await small.close();
    assert.ok(events.some((event) => JSON.stringify(event).includes('"dropped"')), JSON.stringify(events));
  });
});

describe("mqtt subscriptions", () => {
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
    "[MQTT-3.3.4-2] [MQTT-3.3.4-3] one copy for overlapping subscriptions, with the highest QoS and all identifiers",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const peer = await open();
      await peer.subscribe(`${topic}/#`, 0, {}, { subscriptionIdentifiers: [5] });
      await peer.subscribe(`${topic}/+`, 1, {}, { subscriptionIdentifiers: [300_000] });
      await peer.subscribe(`${topic}/a`, 0);
      peer.publish(`${topic}/a`, "x", { qos: 1, packetId: 3 });
      await peer.expect(PUBACK);
      const { value } = await peer.expect(PUBLISH);
      assert.equal(value.qos, 1);
      assert.deepEqual(value.properties.subscriptionIdentifiers?.toSorted(), [300_000, 5]);
      ack(peer, PUBACK, value.packetId);
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
      sender.publish(id, "queued", { qos: 1, packetId: 1 });
      await sender.expect(PUBACK);
      const again = await open(id, { cleanStart: false, properties: { ...FOREVER, receiveMaximum: 1 } });
      const { value } = await again.expect(PUBLISH);
      await again.subscribe(id, 0);
      ack(again, PUBACK, value.packetId);
      sender.publish(id, "later", { qos: 1, packetId: 2 });
      assert.equal(await again.message(), `${id} later 0`);
      await again.disconnect();
    },
  );

  it(
    "[MQTT-3.10.4-1] an unsubscribed filter gets nothing more; unknown filters are reported",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const peer = await open();
      await peer.subscribe(topic, 1);
      await peer.subscribe(`${topic}/x`);
      peer.send({ type: UNSUBSCRIBE, value: { packetId: 5, properties: {}, filters: [topic, "unknown"] } });
      assert.deepEqual((await peer.expect(UNSUBACK)).value.codes, [0, 0x11]);
      peer.publish(topic, "gone", { qos: 1, packetId: 1 });
      assert.equal((await peer.expect(PUBACK)).value.reasonCode, 0x10);
      await nothingElse(peer, `${topic}/x`);
    },
  );

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
    peer.publish(topic, "mine", { qos: 1, packetId: 1 });
    await peer.expect(PUBACK);
    peer.publish(topic, "mine");
    await nothingElse(peer, topic);
    await peer.disconnect();
  });

  it("[MQTT-4.8.2-4] a shared subscription gives each message to one member", TIMEOUT, async () => {
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
      if (value.qos === 1) ack(peer, PUBACK, value.packetId);
    }
    assert.deepEqual(seen.sort(), ["m1 1", "m2 0", "m3 1", "m4 0"]);
    for (const peer of [first, second, sender]) await peer.disconnect();
    await waitFor(() =>
      ![...broker.vhosts.get("/")!.queues.keys()].some((name) => name.startsWith("mqtt-shared-"))
    );
  });
});

describe("mqtt messages", () => {
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
    peer.publish(topic, "x", { qos: 1, packetId: 1, properties });
    await peer.expect(PUBACK);
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
      sender.publish(`${id}/a`, "short", { qos: 1, packetId: 1, properties: { messageExpiryInterval: 1 } });
      sender.publish(`${id}/b`, "long", { qos: 1, packetId: 2, properties: { messageExpiryInterval: 100 } });
      await sender.expect(PUBACK);
      await sender.expect(PUBACK);
      await waitFor(() => broker.vhosts.get("/")!.queues.get(`mqtt-subscription-${id}qos1`)!.ready === 1);
      const again = await open(id, { cleanStart: false });
      const { value } = await again.expect(PUBLISH);
      assert.equal(value.topic, `${id}/b`);
      const left = value.properties.messageExpiryInterval!;
      assert.ok(left < 100 && left > 50, String(left));
      await again.disconnect();
    },
  );

  it(
    "[MQTT-3.1.2-24] a message over the maximum packet size of the client is not sent",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const peer = await open(fresh(), { properties: { maximumPacketSize: 100 } });
      await peer.subscribe(topic, 1);
      const sender = await open();
      sender.publish(topic, "x".repeat(200), { qos: 1, packetId: 1 });
      await sender.expect(PUBACK);
      sender.publish(topic, "small", { qos: 1, packetId: 2 });
      assert.equal(await peer.message(), `${topic} small 1`);
      await peer.disconnect();
    },
  );

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
    peer.publish("x".repeat(256), "", { qos: 1, packetId: 1 });
    assert.equal((await peer.expect(PUBACK)).value.reasonCode, 0x90);
    assert.deepEqual(await peer.subscribe("x".repeat(256)), [0x8f]);
    await peer.disconnect();
  });

  it("permissions - a publish and a subscription that are not allowed are refused", TIMEOUT, async () => {
    broker.users.put("reader", "pw");
    broker.users.permit("reader", "/", { configure: "^mqtt-.*", write: "^mqtt-.*", read: ".*" });
    broker.users.permitTopics("reader", "/", "amq.topic", { write: "^$", read: "^open\\..*" });
    const login = { userName: "reader", password: new TextEncoder().encode("pw") };
    const peer = await open(fresh(), login);
    assert.deepEqual(await peer.subscribe("secret/a", 1), [0x87]);
    assert.deepEqual(await peer.subscribe("open/a", 1), [1]);
    peer.publish("open/a", "x", { qos: 1, packetId: 1 });
    assert.equal((await peer.expect(PUBACK)).value.reasonCode, 0x87);
    peer.publish("open/a", "x", { qos: 2, packetId: 1 });
    assert.equal((await peer.expect(PUBREC)).value.reasonCode, 0x87);
    await peer.disconnect();
    const old = await open(fresh(), { ...login, version: 4 });
    old.publish("open/a", "x", { qos: 1, packetId: 1 });
    await old.expectEnd();
  });
});

describe("mqtt retained messages", () => {
  it(
    "[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] are stored, sent to new subscriptions, and deleted",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const sender = await open();
      for (const [n, qos] of [[1, 0], [2, 1], [3, 2]] as const) {
        sender.publish(`${topic}/${n}`, "old", { retain: true });
        sender.publish(`${topic}/${n}`, `r${n}`, { retain: true, qos, packetId: n });
        if (qos > 0) await sender.next();
        ack(sender, PUBREL, n);
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
    "[MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.3.1-13] retain handling, retain as published",
    TIMEOUT,
    async () => {
      const topic = fresh();
      const sender = await open();
      sender.publish(topic, "r", { retain: true, qos: 1, packetId: 1 });
      await sender.expect(PUBACK);
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
      sender.publish(`${topic}/${n}`, "r", { retain: true, qos: 1, packetId: n });
      if ((await sender.expect(PUBACK)).value.reasonCode === 0x97) refused++;
    }
    assert.ok(refused >= 10);
    for (let n = 1; n <= 60; n++) sender.publish(`${topic}/${n}`, "", { retain: true });
    await sender.disconnect();
  });
});

describe("mqtt wills", () => {
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
