/** Messages between MQTT and AMQP through `amq.topic`, with their properties. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connectAmqp } from "../../../../lib/amqp/client/api/client.ts";
import type { AmqpClient, AmqpMessage } from "../../../../lib/amqp/client/api/types.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { PUBACK, PUBLISH, PUBREC } from "../../../../lib/mqtt/packet_type.ts";
import { deadline } from "../../../support/helpers.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";

const TIMEOUT = { timeout: 60_000 };

let broker: Broker;
let mqtt: string;
let amqp: AmqpClient;

before(async () => {
  broker = await Broker.open();
  mqtt = await broker.listen("mqtt://127.0.0.1:0");
  amqp = await connectAmqp(await broker.listen("amqp://127.0.0.1:0"));
});
after(async () => {
  await amqp.close();
  await broker.close();
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Consumes a new queue that is bound to `amq.topic`. @returns the next message of it */
async function consume(key: string): Promise<() => Promise<AmqpMessage>> {
  const queue = `q-${key}`;
  await amqp.declareQueue(queue);
  await amqp.bindQueue(queue, "amq.topic", key);
  const messages = (await amqp.consume(queue))[Symbol.asyncIterator]();
  return async () => {
    const { value } = await deadline(messages.next());
    await value.ack();
    return value;
  };
}

describe("mqtt crossing", () => {
  it("an AMQP consumer gets what MQTT clients publish, with properties", TIMEOUT, async () => {
    const next = await consume("sensor.*.temp");
    const five = await MqttPeer.open(mqtt, "five");
    five.publish("sensor/v1.2/temp", "a dot");
    assert.equal((await next()).routingKey, "sensor.v1/2.temp");
    five.publish("sensor/1/temp", "21", {
      qos: 1,
      packetId: 1,
      properties: {
        contentType: "text/plain",
        correlationData: new TextEncoder().encode("id-7"),
        responseTopic: "replies/to/me",
        messageExpiryInterval: 60,
        userProperties: [["unit", "°C"]],
      },
    });
    await five.expect(PUBACK);
    const { exchange, routingKey, body, properties } = await next();
    assert.deepEqual([exchange, routingKey, text(body)], ["amq.topic", "sensor.1.temp", "21"]);
    assert.deepEqual({ ...properties, headers: { ...properties.headers } }, {
      contentType: "text/plain",
      headers: { unit: "°C" },
      deliveryMode: 2,
      correlationId: "id-7",
      replyTo: "replies.to.me",
      expiration: "60000",
    });
    const old = await MqttPeer.open(mqtt, "old", { version: 4 });
    old.publish("sensor/2/temp", "qos 0");
    assert.deepEqual((await next()).properties, {});
    old.publish("sensor/2/temp", "qos 2", { qos: 2, packetId: 2 });
    await old.expect(PUBREC);
    assert.equal((await next()).properties.headers!["x-mqtt-publish-qos"], 2);
    await old.disconnect();
    await five.disconnect();
  });

  it("MQTT subscribers get what an AMQP client publishes, with properties", TIMEOUT, async () => {
    const five = await MqttPeer.open(mqtt, "five");
    await five.subscribe("cmd/+/run", 2);
    const old = await MqttPeer.open(mqtt, "old", { version: 4 });
    await old.subscribe("cmd/#", 0);
    const key = { exchange: "amq.topic", routingKey: "cmd.1.run" };
    await amqp.publish(key, new TextEncoder().encode("go"), {
      properties: {
        contentType: "application/json",
        correlationId: "c-1",
        replyTo: "answers.here",
        expiration: "90000",
        deliveryMode: 2,
        headers: { who: "me", n: 5 },
      },
    });
    const { value } = await five.expect(PUBLISH);
    assert.deepEqual([value.topic, text(value.payload), value.qos], ["cmd/1/run", "go", 1]);
    const { messageExpiryInterval, ...others } = value.properties;
    assert.ok(messageExpiryInterval! > 80 && messageExpiryInterval! <= 90);
    assert.deepEqual(others, {
      contentType: "application/json",
      correlationData: new TextEncoder().encode("c-1"),
      responseTopic: "answers/here",
      userProperties: [["who", "me"], ["n", "5"]],
    });
    assert.equal(await old.message(), "cmd/1/run go 0");
    await amqp.publish(key, new TextEncoder().encode("transient"), { properties: { deliveryMode: 1 } });
    assert.equal(await five.message(), "cmd/1/run transient 0");
    await amqp.publish("mqtt-subscription-fiveqos1", new TextEncoder().encode("direct"));
    assert.match(await five.message(), /^mqtt-subscription-fiveqos1 direct [01]$/);
    await five.disconnect();
    await old.disconnect();
  });

  it(
    "a routing key that is no topic name is not sent: a client would end the connection",
    TIMEOUT,
    async () => {
      const peers = [
        await MqttPeer.open(mqtt, "plain", { version: 4 }),
        await MqttPeer.open(mqtt, "stored", { version: 4, cleanStart: false }),
        await MqttPeer.open(mqtt, "named"),
        await MqttPeer.open(mqtt, "sharing"),
      ];
      await peers[0]!.subscribe("#", 0);
      await peers[1]!.subscribe("#", 1);
      await peers[2]!.subscribe("#", 1, {}, { subscriptionIdentifiers: [3] });
      await peers[3]!.subscribe("$share/all/#", 1);
      for (const deliveryMode of [1, 2]) {
        // U+DCFF stands for the byte 0xFF, which is not UTF-8.
        for (const routingKey of ["", "#", "a.+.b", "a+", "nul\0", "\udcff", "é", "*", "a.b"]) {
          await amqp.publish({ exchange: "amq.topic", routingKey }, new Uint8Array(0), {
            properties: { deliveryMode },
          });
        }
      }
      for (const peer of peers) {
        const topics: string[] = [];
        while (topics.length < 6) {
          const { value } = await peer.expect(PUBLISH);
          topics.push(value.topic);
          if (value.qos > 0) peer.ack(PUBACK, value.packetId);
        }
        assert.deepEqual(topics, ["é", "*", "a/b", "é", "*", "a/b"]);
        await peer.disconnect();
      }
      const stored = broker.vhosts.get("/")!.queues.get("mqtt-subscription-storedqos1")!;
      assert.equal(stored.ready + stored.unacked, 0);
    },
  );

  it("a message that another routing key of it selects is sent with its first one", TIMEOUT, async () => {
    for (const qos of [0, 1]) {
      const peer = await MqttPeer.open(mqtt, `copied${qos}`);
      await peer.subscribe("copies/+", qos);
      for (const header of ["CC", "BCC"]) {
        await amqp.publish(
          { exchange: "amq.topic", routingKey: "first.key" },
          new TextEncoder().encode(header),
          {
            properties: { deliveryMode: 2, headers: { [header]: ["copies.a"] } },
          },
        );
        assert.equal(await peer.message(), `first/key ${header} ${qos}`);
      }
      await peer.disconnect();
    }
  });

  it("the HTTP API shows MQTT connections and their consumers", TIMEOUT, async () => {
    const http = await broker.listenHttp("127.0.0.1:0");
    const peer = await MqttPeer.open(mqtt, "seen", { version: 4, keepAlive: 33 });
    await peer.subscribe("a", 1);
    const get = async (path: string) => {
      const response = await fetch(`${http}/api/${path}`, {
        headers: { authorization: `Basic ${btoa("guest:guest")}` },
      });
      return await response.json() as Record<string, unknown>[];
    };
    const connection = (await get("connections")).find(({ protocol }) => protocol === "MQTT 3.1.1")!;
    assert.deepEqual([connection["user"], connection["timeout"]], ["guest", 33]);
    assert.ok((await get("consumers")).some((one) => one["consumer_tag"] === "seen"));
    assert.ok((await get("queues")).some((one) => one["name"] === "mqtt-subscription-seenqos1"));
    await peer.disconnect();
  });
});
