/** CONNECT, CONNACK, DISCONNECT and wills, by the numbers of the statements; without a version those of MQTT 5.0. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REASON } from "../../../../../lib/mqtt/reason_code.ts";
import {
  CONNACK,
  CONNECT,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBLISH,
} from "../../../../../lib/mqtt/packet_type.ts";
import type { Connect, Will } from "../../../../../lib/mqtt/packets.ts";
import { MqttPeer } from "../../../../support/mqtt_peer.ts";
import { FOREVER, sharedBroker } from "../shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };
const shared = sharedBroker();
const { dial, fresh, gone, listener, nothingElse, open } = shared;

const VERSIONS = [4, 5] as const;
const utf8 = (text: string) => new TextEncoder().encode(text);
const WRONG = { userName: "guest", password: utf8("wrong") };

function connectOf(version: 4 | 5, options: Partial<Connect> = {}): Connect {
  return {
    version,
    cleanStart: true,
    keepAlive: 0,
    properties: {},
    clientId: fresh(),
    will: undefined,
    userName: undefined,
    password: undefined,
    ...options,
  };
}

function willOf(topic: string, options: Partial<Will> = {}): Will {
  return { topic, payload: utf8("will"), qos: 1, retain: false, properties: {}, ...options };
}

/** A persistent session with one message that waits. @returns the client identifier */
async function waitingSession(version: 4 | 5): Promise<string> {
  const id = fresh();
  const peer = await open(id, { version, cleanStart: false, properties: version === 5 ? FOREVER : {} });
  await peer.subscribe(id, 1);
  await peer.disconnect();
  const sender = await open();
  assert.equal(await sender.publishAcknowledged(id, "waits"), 0);
  await sender.disconnect();
  return id;
}

describe("mqtt spec: CONNECT", () => {
  for (const version of VERSIONS) {
    const name = version === 5 ? "5.0" : "3.1.1";

    // [MQTT-3.2.0-1] [MQTT-3.2.0-1 of 3.1.1] [MQTT-3.1.4-4 of 3.1.1]
    // [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.2.2-1 of 3.1.1] [MQTT-3.2.2-2 of 3.1.1] [MQTT-3.2.2-3 of 3.1.1]
    it(`${name}: CONNACK comes first, and says whether there is a session`, TIMEOUT, async () => {
      const id = await waitingSession(version);
      const properties = version === 5 ? FOREVER : {};
      const again = await open(id, { version, cleanStart: false, properties });
      assert.equal(again.connack.sessionPresent, true);
      assert.equal(await again.message(), `${id} waits 1`);
      assert.deepEqual(again.order, [CONNACK, PUBLISH]);
      await again.disconnect();
      const clean = await open(id, { version, properties });
      assert.equal(clean.connack.sessionPresent, false);
      await clean.disconnect();
      const none = await open(fresh(), { version, cleanStart: false });
      assert.equal(none.connack.sessionPresent, false);
      await none.disconnect();
    });

    // [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-3.2.2-4 of 3.1.1] [MQTT-3.2.2-5 of 3.1.1]
    // [MQTT-3.1.4-6] [MQTT-3.1.4-5 of 3.1.1]
    it(
      `${name}: a refused client is closed, and nothing after its CONNECT is processed`,
      TIMEOUT,
      async () => {
        const id = await waitingSession(version);
        const peer = await dial(version);
        const publish = {
          topic: `${id}/r`,
          payload: utf8("x"),
          qos: 0,
          dup: false,
          retain: true,
          packetId: 0,
        };
        peer.send(
          { type: CONNECT, value: connectOf(version, { ...WRONG, clientId: id, cleanStart: false }) },
          { type: PUBLISH, value: { ...publish, properties: {} } },
        );
        const { value } = await peer.expect(CONNACK);
        assert.equal(value.sessionPresent, false);
        assert.equal(value.code, version === 5 ? REASON.badUserNameOrPassword : 4);
        await peer.expectEnd();
        await nothingElse(await listener(`${id}/#`), `${id}/r`);
      },
    );

    // [MQTT-3.1.4-1] [MQTT-3.1.4-1 of 3.1.1] [MQTT-3.2.2-6 of 3.1.1]
    it(`${name}: a malformed CONNECT closes the connection, with CONNACK in 5.0 only`, TIMEOUT, async () => {
      const peer = await dial(version);
      const end = version === 5 ? [0, 0, 1, 0x61] : [0, 1, 0x61];
      const body = [0, 4, 0x4d, 0x51, 0x54, 0x54, version, 3, 0, ...end];
      peer.sendBytes(Uint8Array.from([0x10, body.length, ...body]));
      if (version === 5) assert.equal((await peer.expect(CONNACK)).value.code, REASON.malformedPacket);
      await peer.expectEnd();
    });

    // [MQTT-3.1.3-5] [MQTT-3.1.3-5 of 3.1.1] [MQTT-3.1.3-8] [MQTT-3.1.3-9 of 3.1.1]
    it(`${name}: client identifiers of letters and digits, and one that is too long`, TIMEOUT, async () => {
      const all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
      for (const id of [all.slice(0, 1), all.slice(0, 23), all.slice(23, 46), all.slice(46)]) {
        await (await open(id, { version })).disconnect();
      }
      const refused = await open("x".repeat(300), { version, refused: true });
      assert.equal(refused.connack.code, version === 5 ? REASON.clientIdNotValid : 2);
      await refused.expectEnd();
    });

    // [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-10 of 3.1.1] [MQTT-3.1.2-12 of 3.1.1]
    // [MQTT-3.1.2-16 of 3.1.1] [MQTT-3.14.4-3 of 3.1.1]
    it(
      `${name}: a will comes once, is not retained without RETAIN, and not after DISCONNECT`,
      TIMEOUT,
      async () => {
        const topic = fresh();
        const peer = await listener(`${topic}/#`, 1);
        const id = fresh();
        await (await open(id, { version, will: willOf(`${topic}/a`) })).abort();
        assert.equal(await peer.message(), `${topic}/a will 1`);
        await gone(id);
        await (await open(id, { version })).abort();
        await gone(id);
        await (await open(fresh(), { version, will: willOf(`${topic}/a`) })).disconnect();
        await nothingElse(peer, `${topic}/a`);
        await nothingElse(await listener(`${topic}/a`), `${topic}/a`);
      },
    );
  }

  // [MQTT-3.1.2-8] [MQTT-3.14.4-3]: only 0x00 discards it.
  it("a will comes after a DISCONNECT with an error", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(topic, 1);
    await (await open(fresh(), { will: willOf(topic) })).disconnect(REASON.unspecified);
    assert.equal(await peer.message(), `${topic} will 1`);
    await peer.disconnect();
  });

  it("[MQTT-3.1.3-10] User Properties of a will keep their order", TIMEOUT, async () => {
    const topic = fresh();
    const peer = await listener(topic, 1);
    const userProperties: [string, string][] = [["b", "1"], ["a", "2"], ["b", "3"]];
    await (await open(fresh(), { will: willOf(topic, { properties: { userProperties } }) })).abort();
    assert.deepEqual((await peer.expect(PUBLISH)).value.properties.userProperties, userProperties);
    await peer.disconnect();
  });

  it("[MQTT-3.2.2-16] each client without an identifier gets another one", TIMEOUT, async () => {
    const [first, second] = [await open(""), await open("")];
    const ids = [first, second].map(({ connack }) => connack.properties.assignedClientIdentifier);
    assert.notEqual(ids[0], ids[1]);
    for (const peer of [first, second]) await peer.disconnect();
  });

  // [MQTT-3.1.2-28] [MQTT-4.12.0-6]
  it("CONNACK has no Response Information and no Authentication Method", TIMEOUT, async () => {
    for (const requestResponseInformation of [0, 1]) {
      const peer = await open(fresh(), { properties: { requestResponseInformation } });
      const { responseInformation, authenticationMethod } = peer.connack.properties;
      assert.deepEqual([responseInformation, authenticationMethod], [undefined, undefined]);
      await peer.disconnect();
      assert.deepEqual(peer.order, [CONNACK]);
    }
  });

  it("[MQTT-3.2.2-19] no reason that makes CONNACK larger than the client allows", TIMEOUT, async () => {
    for (const [maximumPacketSize, hasReason] of [[1000, true], [20, false]] as const) {
      const refused = await open("x".repeat(300), { properties: { maximumPacketSize }, refused: true });
      assert.equal(refused.connack.code, REASON.clientIdNotValid);
      assert.equal(refused.connack.properties.reasonString !== undefined, hasReason);
      await refused.expectEnd();
    }
  });

  it("[MQTT-3.14.2-3] no reason that makes DISCONNECT larger than the client allows", TIMEOUT, async () => {
    for (const [maximumPacketSize, hasReason] of [[1000, true], [20, false]] as const) {
      const peer = await open("", { properties: { maximumPacketSize } });
      peer.sendBytes(Uint8Array.of(0x36, 5, 0, 1, 0x61, 0, 1));
      const { value } = await peer.expect(DISCONNECT);
      assert.equal(value.properties.reasonString !== undefined, hasReason);
      await peer.expectEnd();
    }
  });

  it("[MQTT-3.2.2-1] the reserved flags of CONNACK are 0", TIMEOUT, async () => {
    // The decoder of this peer refuses others.
    const id = await waitingSession(5);
    await (await open(id, { cleanStart: false })).disconnect();
  });
});

describe("mqtt spec: connections of 3.1.1", () => {
  it("[MQTT-3.1.4-2 of 3.1.1] the older connection of a client ends", TIMEOUT, async () => {
    const id = fresh();
    const first = await open(id, { version: 4, cleanStart: false });
    const second = await open(id, { version: 4, cleanStart: false });
    await first.expectEnd();
    assert.equal(second.connack.sessionPresent, true);
    await second.disconnect();
  });

  it("[MQTT-3.1.2-24 of 3.1.1] a silent client is disconnected", TIMEOUT, async () => {
    const peer = await open(fresh(), { version: 4, keepAlive: 1 });
    const since = Date.now();
    await peer.expectEnd();
    assert.ok(Date.now() - since >= 1400);
  });

  it("[MQTT-3.12.4-1 of 3.1.1] PINGREQ is answered", TIMEOUT, async () => {
    const peer = await open(fresh(), { version: 4 });
    peer.send({ type: PINGREQ, value: null });
    await peer.expect(PINGRESP);
    await peer.disconnect();
  });

  it("[MQTT-4.8.0-1 of 3.1.1] a protocol violation closes the connection", TIMEOUT, async () => {
    const packets = [[0x36, 5, 0, 1, 0x61, 0, 1], [0x30, 2, 0, 0], [0xd0, 0], [0x20, 2, 0, 0], [0x40, 1, 0]];
    for (const bytes of packets) {
      const peer = await open(fresh(), { version: 4 });
      peer.sendBytes(Uint8Array.from(bytes));
      await peer.expectEnd();
    }
  });

  it("a PUBACK without a PUBLISH is ignored", TIMEOUT, async () => {
    for (const version of VERSIONS) {
      const peer: MqttPeer = await open(fresh(), { version });
      peer.ack(PUBACK, 4711);
      peer.send({ type: PINGREQ, value: null });
      await peer.expect(PINGRESP);
      await peer.disconnect();
    }
  });
});
