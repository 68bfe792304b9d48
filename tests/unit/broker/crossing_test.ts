/** AMQP, MQTT and STOMP clients get what each of them publishes to one topic, with properties and headers. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connectAmqp } from "../../../lib/amqp/client/api/client.ts";
import type { AmqpClient, AmqpMessage } from "../../../lib/amqp/client/api/types.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { PUBLISH } from "../../../lib/mqtt/packet_type.ts";
import { deadline } from "../../support/helpers.ts";
import { MqttPeer } from "../../support/mqtt_peer.ts";
import { StompPeer } from "../../support/stomp_peer.ts";

/** A message as each protocol shows it. */
interface Seen {
  readonly text: string;
  readonly contentType: string | undefined;
  readonly correlationId: string | undefined;
  readonly replyTo: string | undefined;
  readonly user: unknown;
}

const decode = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);

let broker: Broker;
let amqp: AmqpClient;
let mqtt: MqttPeer;
let stomp: StompPeer;
let messages: AsyncIterator<AmqpMessage>;

before(async () => {
  broker = await Broker.open();
  amqp = await connectAmqp(await broker.listen("amqp://127.0.0.1:0"));
  mqtt = await MqttPeer.open(await broker.listen("mqtt://127.0.0.1:0"), "crossing");
  stomp = await StompPeer.open(await broker.listen("stomp://127.0.0.1:0"));
  await amqp.declareQueue("all");
  await amqp.bindQueue("all", "amq.topic", "one.*");
  messages = (await amqp.consume("all"))[Symbol.asyncIterator]();
  await mqtt.subscribe("one/+", 1);
  await stomp.call("SUBSCRIBE", { id: "s", destination: "/topic/one.*" });
});
after(async () => {
  await amqp.close();
  await broker.close();
});

/** What the consumers of the three protocols get. */
async function received(): Promise<Seen[]> {
  const { value } = await deadline(messages.next());
  await value.ack();
  const { properties } = value;
  const { value: packet } = await mqtt.expect(PUBLISH);
  if (packet.qos > 0) {
    mqtt.send({ type: 4, value: { packetId: packet.packetId, reasonCode: 0, properties: {} } });
  }
  const { headers, text } = await stomp.take("MESSAGE");
  return [
    {
      text: decode(value.body)!,
      contentType: properties.contentType,
      correlationId: properties.correlationId,
      replyTo: properties.replyTo,
      user: properties.headers?.["user"],
    },
    {
      text: decode(packet.payload)!,
      contentType: packet.properties.contentType,
      correlationId: decode(packet.properties.correlationData),
      replyTo: packet.properties.responseTopic,
      user: packet.properties.userProperties?.find(([name]) => name === "user")?.[1],
    },
    {
      text,
      contentType: headers["content-type"],
      correlationId: headers["correlation-id"],
      replyTo: headers["reply-to"]?.replace("/reply-queue/", ""),
      user: headers["user"],
    },
  ];
}

function expected(text: string): Seen[] {
  const seen = { text, contentType: "text/plain", correlationId: "c-1", replyTo: "answers", user: "é:1" };
  return [seen, seen, seen];
}

describe("crossing", () => {
  it("WebSockets - one listener serves MQTT and STOMP by their subprotocols", async () => {
    const url = await broker.listen("ws://127.0.0.1:0");
    const subscriber = await MqttPeer.open(url, "web");
    await subscriber.subscribe("web/#", 1);
    using sender = await StompPeer.open(url);
    await sender.call("SEND", { destination: "/topic/web.page" }, "hello");
    assert.equal(await subscriber.message(), "web/page hello 0");
    await subscriber.abort();
    await sender.close();
  });

  it("AMQP - is received by all three", async () => {
    const properties = {
      contentType: "text/plain",
      correlationId: "c-1",
      replyTo: "answers",
      headers: { user: "é:1" },
    };
    await amqp.publish({ exchange: "amq.topic", routingKey: "one.amqp" }, "from AMQP", { properties });
    assert.deepEqual(await received(), expected("from AMQP"));
  });

  it("MQTT - is received by all three", async () => {
    mqtt.publish("one/mqtt", "from MQTT", {
      properties: {
        contentType: "text/plain",
        correlationData: new TextEncoder().encode("c-1"),
        responseTopic: "answers",
        userProperties: [["user", "é:1"]],
      },
    });
    assert.deepEqual(await received(), expected("from MQTT"));
  });

  it("STOMP - is received by all three", async () => {
    const headers = {
      "content-type": "text/plain",
      "correlation-id": "c-1",
      "reply-to": "answers",
      user: "é:1",
    };
    stomp.send("SEND", { destination: "/topic/one.stomp", ...headers }, "from STOMP");
    assert.deepEqual(await received(), expected("from STOMP"));
  });
});
