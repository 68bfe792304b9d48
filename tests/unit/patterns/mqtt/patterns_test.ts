/** The patterns on MQTT with our broker: properties and topics both ways, groups, and addresses. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../../../lib/amqp/properties.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";
import type { Inlet, InletEvents, Outlet } from "../../../../lib/patterns/contract.ts";
import { pull, subscribe } from "../../../../lib/patterns/mqtt/receive.ts";
import { publish, push, topicOf } from "../../../../lib/patterns/mqtt/send.ts";
import { issue, selfSigned } from "../../../support/certificates.ts";
import { waitFor } from "../../../support/helpers.ts";

let broker: Broker;
let url: string;

before(async () => {
  broker = await Broker.open();
  url = await broker.listen("mqtt://127.0.0.1:0");
});
after(() => broker.close());

/** A received message. */
interface Got {
  readonly topic: string;
  readonly body: string;
  readonly properties: BasicProperties;
}

/** Collects the messages of an inlet, and acknowledges them. */
async function collect(make: (events: InletEvents) => Inlet, got: Got[]): Promise<Inlet> {
  let tag = 0;
  const inlet: Inlet = make({
    onDelivery({ deliveryTag, exchange, routingKey: topic, content }) {
      assert.equal(exchange, "");
      tag = deliveryTag;
      got.push({
        topic,
        body: new TextDecoder().decode(content.body.subarray(content.bodyStart, content.bodyEnd)),
        properties: decodeProperties(content.properties, 0, content.propertiesEnd),
      });
    },
    onBatchEnd() {
      inlet.ack({ generation: inlet.generation, tag }, true);
      inlet.flush();
    },
  });
  await inlet.start();
  return inlet;
}

/** Sends messages, and waits until they are confirmed. */
async function send(outlet: Outlet, topic: string, properties: BasicProperties, ...bodies: string[]) {
  for (const body of bodies) {
    const bytes = new TextEncoder().encode(body);
    const envelope = { exchange: "", routingKey: topic, properties: encodeProperties(properties) };
    outlet.publish({ bytes, starts: [0], ends: [bytes.length] }, 0, 1, envelope);
  }
  await waitFor(() => outlet.pending === 0);
}

describe("patterns on MQTT", () => {
  const cases: [name: string, sent: BasicProperties, got: BasicProperties][] = [
    ["no properties", {}, { deliveryMode: 2 }],
    [
      "all properties that MQTT has",
      {
        contentType: "text/plain",
        correlationId: "c\u20ac",
        replyTo: "answers/here.too",
        expiration: "60000",
        headers: { one: "1", two: "zwei", three: 3 },
        deliveryMode: 1,
      },
      {
        contentType: "text/plain",
        correlationId: "c\u20ac",
        replyTo: "answers/here.too",
        expiration: "60000",
        headers: { one: "1", two: "zwei", three: "3" },
        deliveryMode: 2,
      },
    ],
    [
      "long values and repeated names",
      {
        headers: {
          "x-mqtt-user-properties": ["a", "1", "a", "2", "CC", "x"],
          "x-mqtt-correlation-data": new Uint8Array(300).fill(7),
          "x-mqtt-payload-format": 1,
        },
      },
      {
        deliveryMode: 2,
        headers: {
          a: "1",
          "x-mqtt-user-properties": ["a", "1", "a", "2", "CC", "x"],
          "x-mqtt-correlation-data": new Uint8Array(300).fill(7),
          "x-mqtt-payload-format": 1,
        },
      },
    ],
    ["properties that MQTT has not", { messageId: "m", priority: 3, timestamp: 7 }, { deliveryMode: 2 }],
    [
      "headers that are not what they seem to be",
      {
        headers: {
          "x-mqtt-response-topic": Uint8Array.of(255),
          "x-mqtt-content-type": "no bytes",
          "\0": "x",
        },
      },
      { deliveryMode: 2 },
    ],
  ];
  for (const [name, sent, expected] of cases) {
    it(`properties - ${name}`, async () => {
      const got: Got[] = [];
      const inlet = await collect((events) => subscribe(parseMqttUrl(`${url}/p.x/#`), events), got);
      const outlet = publish(parseMqttUrl(url));
      await outlet.start();
      try {
        await send(outlet, "p.x/y", sent, "body");
        await waitFor(() => got.length === 1);
        const [{ topic, body, properties }] = got as [Got];
        assert.deepEqual([topic, body], ["p.x/y", "body"]);
        const { headers, ...rest } = properties;
        const { headers: wanted, ...others } = expected;
        assert.deepEqual(rest, others);
        assert.deepEqual({ ...headers }, { ...wanted });
      } finally {
        await Promise.all([inlet.close(), outlet.close()]);
      }
    });
  }

  it("subscribe - QoS 0 and 2, several filters, and retained messages are marked", async () => {
    const got: Got[] = [];
    const outlet = publish(parseMqttUrl(url), { retain: true, qos: 2 });
    await outlet.start();
    await send(outlet, "r/1", {}, "kept");
    const inlet = await collect(
      (events) => subscribe(parseMqttUrl(url), { ...events, topics: ["r/1", "r/2"], qos: 2 }),
      got,
    );
    try {
      await waitFor(() => got.length === 1);
      await send(outlet, "r/2", {}, "live");
      await waitFor(() => got.length === 2);
      assert.deepEqual(
        got.map(({ topic, body, properties: { headers } }) => [topic, body, headers!["x-mqtt-retain"]]),
        [["r/1", "kept", true], ["r/2", "live", undefined]],
      );
      assert.equal(got[1]!.properties.headers!["x-mqtt-publish-qos"], 2);
    } finally {
      await Promise.all([inlet.close(), outlet.close()]);
    }
  });

  it("push and pull - the members of a group share the messages", async () => {
    const one: Got[] = [];
    const two: Got[] = [];
    const target = parseMqttUrl(`${url}/jobs/a`);
    const inlets = [
      await collect((events) => pull(target, { ...events, group: "workers" }), one),
      await collect((events) => pull(target, { ...events, group: "workers" }), two),
    ];
    const outlet = push(target);
    await outlet.start();
    try {
      const bodies = Array.from({ length: 100 }, (_, i) => String(i));
      await send(outlet, topicOf(target), {}, ...bodies);
      await waitFor(() => one.length + two.length === 100);
      assert.ok(one.length > 0 && two.length > 0);
      assert.deepEqual(
        new Set([...one, ...two].map(({ body }) => body)),
        new Set(bodies),
      );
    } finally {
      await Promise.all([...inlets, outlet].map((end) => end.close()));
    }
  });

  it("mqtts - a trusted certificate is accepted, an untrusted one refused, and neither end mistaken for the other", async () => {
    const authority = selfSigned("/CN=Authority");
    const secure = await Broker.open({ tls: issue(authority, "/CN=localhost", "server") });
    try {
      const { port } = new URL(await secure.listen("mqtts://127.0.0.1:0"));
      const options = { tls: { ca: authority.cert }, handshakeTimeout: 5000 };
      const outlet = publish(parseMqttUrl(`mqtts://localhost:${port}`), options);
      await outlet.start();
      await send(outlet, "t", {}, "secret");
      assert.equal(outlet.acknowledged, 1);
      await outlet.close();
      const untrusted = publish(parseMqttUrl(`mqtts://localhost:${port}`));
      await assert.rejects(untrusted.start(), { name: "CertificateError" });
      await assert.rejects(
        publish(parseMqttUrl(`mqtt://localhost:${port}`)).start(),
        /TLS|instead of answering/,
      );
    } finally {
      await secure.close();
    }
  });

  it("addresses - push needs a topic, pull a topic or a filter", () => {
    assert.throws(() => push(parseMqttUrl(url)), { name: "EndpointError", message: /names no topic: mqtt:/ });
    assert.throws(() => push(parseMqttUrl(`${url}/a/+`)), {
      name: "EndpointError",
      message: /'a\/\+' is a filter/,
    });
    const events = { onDelivery() {} };
    assert.throws(() => pull(parseMqttUrl(url), events), {
      name: "EndpointError",
      message: /no topic or filter/,
    });
    assert.throws(() => pull(parseMqttUrl(`${url}/a`), { ...events, group: "g/h+" }), RangeError);
    assert.throws(() => subscribe(parseMqttUrl(`${url}/a#`), events), {
      name: "RangeError",
      message: /'a#'/,
    });
  });
});
