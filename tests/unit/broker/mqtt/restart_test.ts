/** MQTT sessions, retained messages and wills after a stop and after a crash of the broker. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { Broker } from "../../../../lib/broker/server.ts";
import {
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../../lib/mqtt/packet_type.ts";
import { tempDir } from "../../../support/helpers.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";
import { FOREVER } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };

/** A broker whose data can be taken over by another one, with or without a clean stop. */
class Stage implements AsyncDisposable {
  readonly #dir = tempDir();
  #runs = 0;
  #broker: Broker | undefined;
  readonly problems: string[] = [];
  url = "";

  get broker(): Broker {
    return this.#broker!;
  }

  async start(): Promise<string> {
    const data = path.join(this.#dir.path, String(this.#runs));
    this.#broker = await Broker.open({
      data,
      onEvent: (event) => {
        if (event.type === "failed" || event.type === "damaged") this.problems.push(JSON.stringify(event));
      },
    });
    return this.url = await this.#broker.listen("mqtt://127.0.0.1:0");
  }

  /** Continues with what a killed process would leave: the files as they are now. */
  async crash(): Promise<string> {
    const from = path.join(this.#dir.path, String(this.#runs));
    const to = path.join(this.#dir.path, String(++this.#runs));
    fs.cpSync(from, to, { recursive: true, filter: (name) => path.basename(name) !== "lock" });
    const old = this.broker;
    const url = await this.start();
    await old.close();
    return url;
  }

  async restart(): Promise<string> {
    await this.broker.close();
    return await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close();
    this.#dir[Symbol.dispose]();
  }
}

describe("mqtt restart", () => {
  for (const how of ["restart", "crash"] as const) {
    it(
      `${how} - subscriptions and messages of QoS 1 survive, with their packet identifiers`,
      TIMEOUT,
      async () => {
        await using stage = new Stage();
        const peer = await MqttPeer.open(await stage.start(), "c", { properties: FOREVER });
        await peer.subscribe("a/+/*", 1, { retainAsPublished: true }, { subscriptionIdentifiers: [5] });
        await peer.subscribe("b/#", 0);
        await peer.subscribe("gone/#", 1);
        await peer.subscribe("$share/g/s/#", 1);
        peer.send({ type: UNSUBSCRIBE, value: { packetId: 1, properties: {}, filters: ["gone/#"] } });
        await peer.expect(UNSUBACK);
        for (const n of [1, 2]) {
          await peer.publishAcknowledged("a/x/*", `m${n}`, { packetId: n, retain: n === 2 });
        }
        const sent = [await peer.expect(PUBLISH), await peer.expect(PUBLISH)];
        peer.ack(PUBACK, sent[0]!.value.packetId);
        peer.publish("b/x", "zero");
        assert.equal(await peer.message(), "b/x zero 0");
        const url = await stage[how]();
        const again = await MqttPeer.open(url, "c", { cleanStart: false, properties: FOREVER });
        assert.equal(again.connack.sessionPresent, true);
        const { value } = await again.expect(PUBLISH);
        assert.equal(new TextDecoder().decode(value.payload), "m2");
        assert.deepEqual([value.dup, value.retain, value.packetId], [true, true, sent[1]!.value.packetId]);
        assert.deepEqual(value.properties.subscriptionIdentifiers, [5]);
        assert.equal(await again.publishAcknowledged("gone/x", "no", { packetId: 8 }), 0x10);
        again.publish("b/x", "yes");
        assert.equal(await again.message(), "b/x yes 0");
        again.publish("s/x", "shared", { qos: 1, packetId: 9 });
        assert.equal(await again.message(), "s/x shared 1");
        await again.disconnect();
        const fresh = await MqttPeer.open(url, "d");
        await fresh.subscribe("a/#", 1);
        assert.equal(await fresh.message(), "a/x/* m2 1 retain");
        await fresh.disconnect();
        assert.deepEqual(stage.problems, []);
      },
    );

    // [MQTT-4.3.3-3]
    it(`${how} - a message of QoS 2 comes exactly once in every state of its exchange`, TIMEOUT, async () => {
      await using stage = new Stage();
      const open = { cleanStart: false, properties: FOREVER };
      const first = await MqttPeer.open(await stage.start(), "c", open);
      await first.subscribe("t", 2);
      // The client has published 1, and sent no PUBREL.
      first.publish("t", "one", { qos: 2, packetId: 1 });
      await first.expect(PUBREC);
      const { value: { packetId } } = await first.expect(PUBLISH);
      const second = await MqttPeer.open(await stage[how](), "c", open);
      // Nothing was acknowledged: the message comes again with the same identifier.
      const { value } = await second.expect(PUBLISH);
      assert.deepEqual([value.packetId, value.dup, value.qos], [packetId, true, 2]);
      // The broker knows that it has published 1.
      second.publish("t", "one", { qos: 2, packetId: 1, dup: true });
      await second.expect(PUBREC);
      second.ack(PUBREC, packetId);
      await second.expect(PUBREL);
      const third = await MqttPeer.open(await stage[how](), "c", open);
      // It was received: only PUBREL comes again.
      assert.equal((await third.expect(PUBREL)).value.packetId, packetId);
      third.ack(PUBCOMP, packetId);
      third.ack(PUBREL, 1);
      assert.equal((await third.expect(PUBCOMP)).value.reasonCode, 0);
      third.publish("t", "two", { qos: 2, packetId: 1 });
      await third.expect(PUBREC);
      const next = await third.expect(PUBLISH);
      assert.equal(new TextDecoder().decode(next.value.payload), "two");
      assert.notEqual(next.value.packetId, packetId);
      const fourth = await MqttPeer.open(await stage[how](), "c", { cleanStart: true });
      assert.equal(fourth.connack.sessionPresent, false);
      await fourth.disconnect();
      const left = [...stage.broker.vhosts.get("/")!.queues.values()].filter(({ name }) =>
        /-c(qos|$)/.test(name)
      );
      assert.deepEqual(left.map(({ name }) => name), []);
      assert.deepEqual(stage.problems, []);
    });
  }

  // [MQTT-3.1.2-7]
  it(
    "crash - wills are published after it, retained messages are replaced and deleted",
    TIMEOUT,
    async () => {
      await using stage = new Stage();
      const url = await stage.start();
      const will = {
        topic: "w",
        payload: new TextEncoder().encode("will"),
        qos: 1,
        retain: true,
        properties: {},
      };
      await MqttPeer.open(url, "dies", { will });
      await (await MqttPeer.open(url, "leaves", { will: { ...will, topic: "other" } })).disconnect();
      const peer = await MqttPeer.open(url, "c", { properties: FOREVER });
      await peer.subscribe("w", 1);
      for (const n of [1, 2, 3]) {
        await peer.publishAcknowledged("r/1", `m${n}`, { retain: true, packetId: n });
        await peer.publishAcknowledged("r/2", n === 3 ? "" : "x", { retain: true, packetId: n });
      }
      const again = await MqttPeer.open(await stage.crash(), "c", { cleanStart: false, properties: FOREVER });
      assert.equal(await again.message(), "w will 1");
      await again.subscribe("other", 1);
      await again.subscribe("r/#", 1);
      assert.equal(await again.message(), "r/1 m3 1 retain");
      again.publish("other", "marker");
      assert.equal(await again.message(), "other marker 0");
      assert.deepEqual(stage.problems, []);
    },
  );
});
