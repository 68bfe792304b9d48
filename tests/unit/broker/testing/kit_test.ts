/** The test kit: a broker whose time, faults and messages are in the hands of a test. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { declareQueue, withChannel } from "../../../../lib/amqp/client/queues.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../../../lib/amqp/properties.ts";
import { Publisher } from "../../../../lib/amqp/client/publisher.ts";
import type { FieldTable } from "../../../../lib/amqp/types/field_value.ts";
import { type EmbeddedBroker, openBroker, TestClock } from "../../../../mod.ts";
import { MqttPeer } from "../../../support/mqtt_peer.ts";
import { waitFor } from "../../../support/helpers.ts";

const HOUR = 3_600_000;
const bytes = (text: string) => new TextEncoder().encode(text);
const texts = (broker: EmbeddedBroker, queue: string) => broker.messages(queue).map(({ text }) => text);

/** A broker with a clock that stands still, and ways to use it. */
async function kit(heartbeat = 0) {
  const clock = new TestClock();
  const broker = await openBroker({ clock, heartbeat });
  const url = await broker.listen("amqp://127.0.0.1:0");
  const brokers = parseAmqpUrl(url);
  const connect = () => connectBroker(brokers);
  const declare = async (queue: string, args: FieldTable = {}) => {
    const connection = await connect();
    await declareQueue(connection, queue, { arguments: args });
    await connection.close();
  };
  /** Publishes a message, and waits for the confirm. @returns the publisher, which is closed */
  const publish = async (exchange: string, routingKey: string, body: string, properties = {}) => {
    const publisher = new Publisher(brokers);
    await publisher.start();
    const content = bytes(body);
    const envelope = { exchange, routingKey, properties: encodeProperties(properties) };
    publisher.publish({ bytes: content, starts: [0], ends: [content.length] }, 0, 1, envelope);
    await waitFor(() => publisher.pending === 0);
    await publisher.close();
    return publisher;
  };
  return { clock, broker, url, connect, declare, publish };
}

describe("test kit - time", () => {
  it("messages expire, are dead-lettered, and unused queues end, when the clock says so", async () => {
    const { clock, broker, declare, publish } = await kit();
    await declare("dead");
    await declare("jobs", {
      "x-message-ttl": HOUR,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": "dead",
    });
    await declare("unused", { "x-expires": 2 * HOUR });
    await publish("", "jobs", "first");
    clock.advance(HOUR / 2);
    await publish("", "jobs", "second", { expiration: "1000" });
    assert.deepEqual(texts(broker, "jobs"), ["first", "second"]);
    clock.advance(HOUR / 2);
    assert.deepEqual([texts(broker, "jobs"), texts(broker, "dead")], [[], ["first", "second"]]);
    const [{ properties }] = broker.messages("dead") as [ReturnType<EmbeddedBroker["messages"]>[number]];
    assert.equal(((properties.headers!["x-death"] as FieldTable[])[0]!)["reason"], "expired");
    clock.advance(HOUR);
    assert.throws(() => broker.messages("unused"), /no queue 'unused'/);
    await broker.close();
  });

  it("delayed messages arrive after their delay", async () => {
    const { clock, broker, connect, declare, publish } = await kit();
    await declare("jobs");
    const connection = await connect();
    await withChannel(connection, async (channel) => {
      await channel.call("exchange.declare", {
        exchange: "later",
        type: "x-delayed-message",
        durable: true,
        arguments: { "x-delayed-type": "fanout" },
      }, "exchange.declare-ok");
      await channel.call("queue.bind", { queue: "jobs", exchange: "later" }, "queue.bind-ok");
    });
    await connection.close();
    await publish("later", "", "x", { headers: { "x-delay": HOUR } });
    clock.advance(HOUR - 1);
    assert.deepEqual(texts(broker, "jobs"), []);
    clock.advance(1);
    assert.deepEqual(texts(broker, "jobs"), ["x"]);
    await broker.close();
  });

  it("a client without heartbeats stays; one that is silent for two intervals is disconnected", async () => {
    const quiet = await kit(0);
    const stays = await quiet.connect();
    quiet.clock.advance(HOUR);
    await declareQueue(stays, "still here");
    await stays.close();
    await quiet.broker.close();

    const { clock, broker, connect } = await kit(60);
    const silent = await connect();
    // One long step is a suspension of the machine, which a client survives.
    clock.advance(HOUR);
    await declareQueue(silent, "q");
    for (let i = 0; i < 5; i++) clock.advance(30_000);
    await waitFor(() => silent.over);
    await broker.close();
  });

  it("sessions and keep alive of MQTT follow the clock", async () => {
    const { clock, broker } = await kit();
    const mqtt = await broker.listen("mqtt://127.0.0.1:0");
    const peer = await MqttPeer.open(mqtt, "sensor", { keepAlive: 10 });
    clock.advance(14_000);
    await peer.subscribe("t");
    clock.advance(14_000);
    // One and a half times the keep alive.
    clock.advance(15_001);
    await peer.stream.closed;
    await broker.close();
  });
});

describe("test kit - messages, reset and faults", () => {
  it("messages - show unacknowledged ones, and change nothing", async () => {
    const { broker, connect, declare, publish } = await kit();
    await declare("jobs");
    await publish("", "jobs", "a", { messageId: "1" });
    await publish("", "jobs", "b");
    const connection = await connect();
    const channel = await connection.open();
    await channel.get("jobs");
    const shown = broker.messages("jobs");
    assert.deepEqual(shown.map(({ text, unacknowledged }) => [text, unacknowledged]), [["a", true], [
      "b",
      false,
    ]]);
    assert.deepEqual([shown[0]!.exchange, shown[0]!.routingKey, shown[0]!.properties], ["", "jobs", {
      messageId: "1",
    }]);
    assert.deepEqual(broker.messages("jobs"), shown);
    assert.throws(() => broker.messages("jobs", "other"), /no queue 'jobs' in vhost 'other'/);
    await connection.close();
    await broker.close();
  });

  it("reset - leaves a broker as after the start", async () => {
    const { broker, connect, declare, publish } = await kit();
    await declare("jobs");
    await publish("", "jobs", "a");
    broker.faults.full();
    const connection = await connect();
    await broker.reset();
    assert.match((await connection.closed)!.message, /the broker is reset/);
    assert.throws(() => broker.messages("jobs"), /no queue/);
    await declare("jobs");
    assert.equal((await publish("", "jobs", "b")).acknowledged, 1);
    assert.deepEqual(texts(broker, "jobs"), ["b"]);
    await broker.close();
  });

  it("cut - ends connections without a word", async () => {
    const { broker, connect } = await kit();
    const connections = [await connect(), await connect()];
    assert.equal(broker.faults.cut(), 2);
    for (const { closed } of connections) assert.match((await closed)!.message, /closed/i);
    await broker.close();
  });

  it("nack, full - refuse messages until they are cleared", async () => {
    const { broker, declare, publish } = await kit();
    await declare("jobs");
    broker.faults.nack(1);
    assert.deepEqual([(await publish("", "jobs", "a")).refused, (await publish("", "jobs", "b")).refused], [
      1,
      0,
    ]);
    broker.faults.full();
    assert.equal((await publish("", "jobs", "c")).refused, 1);
    broker.faults.clear();
    assert.equal((await publish("", "jobs", "d")).refused, 0);
    assert.deepEqual(texts(broker, "jobs"), ["b", "d"]);
    await broker.close();
  });

  it("block - blocks publishers, with a reason", async () => {
    const { broker, connect, declare } = await kit();
    await declare("jobs");
    const connection = await connect();
    const reasons: (string | undefined)[] = [];
    connection.events.onBlocked = (reason) => void reasons.push(reason);
    broker.faults.block("low on memory");
    const channel = await connection.open();
    connection.encoder.publish(channel.id, "", "jobs", false, {}, bytes("x"));
    connection.flush();
    await waitFor(() => reasons.length > 0);
    assert.match(reasons[0]!, /low on memory/);
    assert.deepEqual(texts(broker, "jobs"), []);
    broker.faults.clear();
    await waitFor(() => reasons.length > 1 && texts(broker, "jobs").length > 0);
    assert.equal(reasons[1], undefined);
    await connection.close();
    await broker.close();
  });

  it("delay - what the broker sends comes later", async () => {
    const { broker, connect } = await kit();
    const connection = await connect();
    broker.faults.delay(150);
    const start = performance.now();
    await declareQueue(connection, "jobs");
    assert.ok(performance.now() - start >= 150 * 2);
    assert.throws(() => broker.faults.delay(-1), /Cannot delay/);
    broker.faults.clear();
    await connection.close();
    await broker.close();
  });
});
