/** What other clients and administrators do to the queues that the MQTT server keeps its records in. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectAmqp } from "../../../../lib/amqp/client/api/client.ts";
import { readSnapshot } from "../../../../lib/amqp/client/dump.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import type { BasicProperties } from "../../../../lib/amqp/properties.ts";
import { definitionsOf } from "../../../../lib/broker/core/definitions/definitions.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { TestClock } from "../../../../lib/broker/testing/test_clock.ts";
import type { BrokerOptions } from "../../../../lib/broker/options.ts";
import { DISCONNECT, PUBLISH } from "../../../../lib/mqtt/packet_type.ts";
import { REASON } from "../../../../lib/mqtt/reason_code.ts";
import { tempDir, waitFor } from "../../../support/helpers.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";
import { FOREVER } from "./shared_broker.ts";

const TIMEOUT = { timeout: 60_000 };

/** Runs a broker on a directory; the same one for all calls with the same path. */
async function withBroker(data: string, work: (broker: Broker, url: string) => Promise<void>): Promise<void> {
  const problems: string[] = [];
  const options: BrokerOptions = {
    data,
    onEvent: (event) => {
      if (event.type === "failed" || event.type === "damaged") problems.push(JSON.stringify(event));
    },
  };
  const broker = await Broker.open(options);
  try {
    await work(broker, await broker.listen("mqtt://127.0.0.1:0"));
  } finally {
    await broker.close();
  }
  assert.deepEqual(problems, []);
}

async function put(
  broker: Broker,
  queue: string,
  body: string,
  properties: BasicProperties = {},
): Promise<void> {
  const client = await connectAmqp(await broker.listen("amqp://127.0.0.1:0"));
  await client.publish(queue, body, { properties: { deliveryMode: 2, ...properties } });
  await client.close();
}

describe("mqtt own queues", () => {
  it("messages that clients put into them do not prevent a start", TIMEOUT, async () => {
    using dir = tempDir();
    const will = {
      topic: "w",
      payload: new TextEncoder().encode("will"),
      qos: 1,
      retain: false,
      properties: {},
    };
    await withBroker(dir.path, async (broker, url) => {
      const peer = await MqttPeer.open(url, "c", { properties: FOREVER });
      await peer.subscribe("t", 1);
      await peer.subscribe("$share/g/s", 1);
      await peer.publishAcknowledged("r", "kept", { retain: true, packetId: 1 });
      await MqttPeer.open(url, "dies", { will });
      for (const body of ["", "junk", "\u0010\u0000"]) await put(broker, "mqtt-wills", body);
      for (
        const meta of [
          "",
          "{",
          "null",
          "7",
          "{}",
          '{"expiry":"x","shared":[]}',
          '{"expiry":1,"shared":[{"filter":"t"}]}',
        ]
      ) {
        await put(broker, "mqtt-session-c", meta, { messageId: "meta" });
      }
      for (const release of ["", "x"]) await put(broker, "mqtt-session-c", release, { messageId: "release" });
      await put(broker, "mqtt-retained", "odd");
    });
    await withBroker(dir.path, async (_, url) => {
      const peer = await MqttPeer.open(url, "c", { cleanStart: false, properties: FOREVER });
      assert.equal(peer.connack.sessionPresent, true);
      await peer.subscribe("r", 0);
      assert.equal(await peer.message(), "r kept 0 retain");
      for (const topic of ["t", "s"]) {
        peer.publish(topic, "hello", { qos: 1, packetId: 7 });
        assert.equal(await peer.message(), `${topic} hello 1`);
      }
      await peer.disconnect();
    });
  });

  it("a client's queues with such names survive a restart", TIMEOUT, async () => {
    using dir = tempDir();
    const names = ["mqtt-session-jobs", "mqtt-shared-jobs", "mqtt-subscription-jobs", "mqtt-retainedjobs"];
    await withBroker(dir.path, async (broker) => {
      const client = await connectAmqp(await broker.listen("amqp://127.0.0.1:0"));
      for (const name of names) {
        await client.declareQueue(name);
        await client.publish(name, "work", { properties: { deliveryMode: 2 } });
      }
      await client.close();
    });
    await withBroker(dir.path, (broker) => {
      const { queues } = broker.vhosts.get("/")!;
      assert.deepEqual(names.map((name) => queues.get(name)?.ready), [1, 1, 1, 1]);
      return Promise.resolve();
    });
  });

  it("a policy for all queues removes no session, no will and no retained message", TIMEOUT, async () => {
    using dir = tempDir();
    await withBroker(dir.path, async (broker, url) => {
      broker.vhosts.get("/")!.putPolicy(false, {
        vhost: "/",
        name: "all",
        pattern: ".*",
        applyTo: "all",
        definition: { "max-length": 1, "message-ttl": 0, "dead-letter-exchange": "" },
        priority: 0,
      });
      const peer = await MqttPeer.open(url, "c", { properties: FOREVER });
      await peer.subscribe("t", 1);
      for (const n of [1, 2]) {
        await peer.publishAcknowledged(`r/${n}`, `m${n}`, { retain: true, packetId: n });
      }
      await peer.disconnect();
    });
    await withBroker(dir.path, async (_, url) => {
      const peer = await MqttPeer.open(url, "c", { cleanStart: false, properties: FOREVER });
      assert.equal(peer.connack.sessionPresent, true);
      await peer.subscribe("r/#", 0);
      const messages = [await peer.message(), await peer.message()];
      assert.deepEqual(messages.sort(), ["r/1 m1 0 retain", "r/2 m2 0 retain"]);
      await peer.disconnect();
    });
  });

  for (const how of ["deleted", "deleted before a restart"]) {
    it(
      `a session whose queue was ${how} is not continued, so that the client subscribes again`,
      TIMEOUT,
      async () => {
        using dir = tempDir();
        const open = { cleanStart: false, properties: FOREVER };
        const resumed = async (url: string) => {
          for (const filter of ["t", "$share/g/s"]) {
            const peer = await MqttPeer.open(url, filter.slice(-1), open);
            assert.equal(peer.connack.sessionPresent, false);
            await peer.disconnect();
          }
          const peer = await MqttPeer.open(url, "kept", open);
          assert.equal(peer.connack.sessionPresent, true);
          await peer.disconnect();
        };
        await withBroker(dir.path, async (broker, url) => {
          for (const [id, filter] of [["t", "t"], ["s", "$share/g/s"], ["kept", "t"]] as const) {
            const peer = await MqttPeer.open(url, id, open);
            await peer.subscribe(filter, 1);
            await peer.disconnect();
          }
          await waitFor(() => broker.connections.size === 0);
          broker.core.cycle.begin();
          for (const queue of ["mqtt-subscription-tqos1", "mqtt-shared-g/s"]) {
            broker.vhosts.get("/")!.deleteQueue({ queue, ifUnused: false, ifEmpty: false }, {});
          }
          broker.core.cycle.end();
          if (how === "deleted") await resumed(url);
        });
        if (how !== "deleted") await withBroker(dir.path, (_, url) => resumed(url));
      },
    );
  }

  it("a client whose queue was deleted is disconnected, so that it subscribes again", TIMEOUT, async () => {
    const { setInterval } = globalThis;
    const ticks: (() => void)[] = [];
    const broker = await Broker.open();
    globalThis.setInterval = ((tick: () => void) => {
      ticks.push(tick);
      return setInterval(() => {}, 2 ** 30);
    }) as typeof setInterval;
    const url = await broker.listen("mqtt://127.0.0.1:0").finally(() => globalThis.setInterval = setInterval);
    const { queues } = broker.vhosts.get("/")!;
    for (
      const [filter, queue] of [["t", "mqtt-subscription-cqos0"], ["$share/g/s", "mqtt-shared-g/s"]] as const
    ) {
      const peer = await MqttPeer.open(url, "c", { cleanStart: false, properties: FOREVER });
      await peer.subscribe(filter, 0);
      for (const tick of ticks) tick();
      broker.core.cycle.begin();
      broker.core.deleteQueue(queues.get(queue)!);
      broker.core.cycle.end();
      for (const tick of ticks) tick();
      assert.equal((await peer.expect(DISCONNECT)).value.reasonCode, REASON.administrativeAction);
      await waitFor(() => broker.connections.size === 0);
    }
    const peer = await MqttPeer.open(url, "c", { cleanStart: false, properties: FOREVER });
    assert.equal(peer.connack.sessionPresent, false);
    await peer.disconnect();
    await broker.close();
  });

  it(
    "an expiry of unused queues is for those of sessions without a client, also with QoS 0",
    TIMEOUT,
    async () => {
      const clock = new TestClock();
      const broker = await Broker.open({ clock, heartbeat: 0 });
      const url = await broker.listen("mqtt://127.0.0.1:0");
      broker.vhosts.get("/")!.putPolicy(false, {
        vhost: "/",
        name: "expires",
        pattern: "^mqtt-subscription",
        applyTo: "queues",
        definition: { expires: 60_000 },
        priority: 0,
      });
      const peer = await MqttPeer.open(url, "c", { cleanStart: false, properties: FOREVER, keepAlive: 0 });
      for (const qos of [0, 1]) await peer.subscribe(`t/${qos}`, qos);
      clock.advance(300_000);
      for (const qos of [0, 1]) {
        peer.publish(`t/${qos}`, "hello");
        assert.equal(await peer.message(), `t/${qos} hello 0`);
      }
      await peer.disconnect();
      await waitFor(() => broker.connections.size === 0);
      const { queues } = broker.vhosts.get("/")!;
      clock.advance(59_000);
      assert.equal(queues.has("mqtt-subscription-cqos0"), true);
      clock.advance(2000);
      assert.deepEqual([...queues.keys()].filter((name) => name.startsWith("mqtt-subscription")), []);
      await broker.close();
    },
  );

  it("neither dumps nor exported definitions have them", TIMEOUT, async () => {
    using dir = tempDir();
    const will = { topic: "w", payload: new Uint8Array(1), qos: 1, retain: false, properties: {} };
    await withBroker(dir.path, async (broker, url) => {
      const peer = await MqttPeer.open(url, "c", { properties: FOREVER, will });
      await peer.subscribe("t", 1);
      await peer.publishAcknowledged("r", "kept", { retain: true, packetId: 1 });
      const vhost = broker.vhosts.get("/")!;
      assert.deepEqual([...vhost.queues.keys()].sort(), [
        "mqtt-retained",
        "mqtt-session-c",
        "mqtt-subscription-cqos1",
        "mqtt-wills",
      ]);
      const exported = definitionsOf([vhost]);
      assert.deepEqual(exported.queues.map(({ name }) => name), ["mqtt-subscription-cqos1"]);
      assert.deepEqual(exported.bindings.map(({ destination }) => destination), ["mqtt-subscription-cqos1"]);
      const connection = await connectBroker(parseAmqpUrl(await broker.listen("amqp://127.0.0.1:0")));
      const { queues, definitions } = await readSnapshot(connection);
      assert.deepEqual(queues.map(({ name }) => name), ["mqtt-subscription-cqos1"]);
      assert.deepEqual(definitions["queues"], exported.queues);
      await connection.close();
      await peer.disconnect();
    });
  });

  it("a shared subscription works again after its queue was deleted", TIMEOUT, async () => {
    using dir = tempDir();
    await withBroker(dir.path, async (broker, url) => {
      const peer = await MqttPeer.open(url, "c", { properties: FOREVER });
      await peer.subscribe("$share/g/s", 1);
      const vhost = broker.vhosts.get("/")!;
      broker.core.cycle.begin();
      vhost.deleteQueue({ queue: "mqtt-shared-g/s", ifUnused: false, ifEmpty: false }, {});
      broker.core.cycle.end();
      await peer.subscribe("$share/g/s", 1);
      peer.publish("s", "hello", { qos: 1, packetId: 7 });
      const { value } = await peer.expect(PUBLISH);
      assert.equal(value.topic, "s");
      await peer.disconnect();
    });
  });
});
