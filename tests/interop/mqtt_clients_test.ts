/** MQTT clients with our broker: the programs of mosquitto, mqtt.js, and paho together with pika (AMQP). */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, connectAsync, type MqttClient } from "mqtt";
import { Broker } from "../../lib/broker/server.ts";
import { deadline, installed, requirePeer, waitFor } from "../support/helpers.ts";

const PEERS = fileURLToPath(new URL("./peers/", import.meta.url));
const PYTHON = "/usr/bin/python3";

let broker: Broker;
let port: string;
let amqpPort: string;

before(async () => {
  broker = await Broker.open();
  port = new URL(await broker.listen("mqtt://127.0.0.1:0")).port;
  amqpPort = new URL(await broker.listen("amqp://127.0.0.1:0")).port;
});
after(() => broker.close());

/** Runs a program to its end. @returns its output */
async function run(program: string, ...args: string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => errors += chunk);
  const status = await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${errors}${output}`);
  return output;
}

/** Waits until a filter is subscribed `count` times. */
async function subscribed(key: string, count = 1): Promise<void> {
  const { bindings } = broker.vhosts.get("/")!.exchanges.get("amq.topic")!;
  await waitFor(() => [...bindings].filter(({ routingKey }) => routingKey === key).length === count);
}

describe("mosquitto clients", () => {
  const test = requirePeer("mosquitto_sub");
  const version = (five: boolean) => ["-p", port, "-V", five ? "mqttv5" : "mqttv311"];

  for (const five of [false, true]) {
    const name = five ? "5.0" : "3.1.1";

    test(`mosquitto ${name} - every QoS, both ways`, async () => {
      for (const qos of ["0", "1", "2"]) {
        const topic = `m${name}/${qos}`;
        const format = ["-F", "%t %q %p", "-C", "3", "-W", "20"];
        const output = run("mosquitto_sub", ...version(five), "-q", qos, "-t", `${topic}/#`, ...format);
        await subscribed(`${topic.replace(/[./]/g, (c) => c === "/" ? "." : "/")}.#`);
        for (const sent of ["0", "1", "2"]) {
          await run("mosquitto_pub", ...version(five), "-q", sent, "-t", `${topic}/a`, "-m", `p${sent}`);
        }
        const expected = [0, 1, 2].map((sent) => `${topic}/a ${Math.min(sent, Number(qos))} p${sent}\n`);
        assert.deepEqual((await output).split(/(?<=\n)/).sort(), expected.sort());
      }
    });

    test(`mosquitto ${name} - retained messages, sessions, wills`, async () => {
      const topic = `k${five ? 5 : 4}`;
      const id = ["-i", `keeper-${name}`, "-c", ...(five ? ["-x", "1000"] : [])];
      await run("mosquitto_pub", ...version(five), "-t", `${topic}/r`, "-m", "kept", "-r", "-q", "1");
      const retained = await run(
        "mosquitto_sub",
        ...version(five),
        "-t",
        `${topic}/#`,
        "-C",
        "1",
        "-F",
        "%r %p",
      );
      assert.equal(retained, "1 kept\n");
      await run("mosquitto_sub", ...version(five), ...id, "-q", "1", "-t", `${topic}/s`, "-E");
      await run("mosquitto_pub", ...version(five), "-t", `${topic}/s`, "-m", "waited", "-q", "1");
      const waited = await run(
        "mosquitto_sub",
        ...version(five),
        ...id,
        "-q",
        "1",
        "-t",
        `${topic}/s`,
        "-C",
        "1",
      );
      assert.equal(waited, "waited\n");
      const seen = run("mosquitto_sub", ...version(five), "-t", `${topic}/w`, "-C", "1", "-W", "20");
      await subscribed(`${topic}.w`);
      const will = ["--will-topic", `${topic}/w`, "--will-payload", "gone"];
      const dying = spawn("mosquitto_sub", [...version(five), ...will, "-t", `${topic}/x`], {
        stdio: "ignore",
      });
      await subscribed(`${topic}.x`);
      dying.kill("SIGKILL");
      assert.equal(await seen, "gone\n");
    });
  }

  test("mosquitto_rr - a request is answered", async () => {
    const request = run(
      "mosquitto_rr",
      ...version(true),
      "-t",
      "ask/me",
      "-e",
      "answer/here",
      "-m",
      "question",
      "-W",
      "20",
    );
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 });
    client.on("message", (_topic, payload, { properties }) => {
      const { responseTopic, correlationData } = properties!;
      client.publish(responseTopic!, `re: ${payload}`, {
        qos: 1,
        properties: correlationData === undefined ? {} : { correlationData },
      });
    });
    await client.subscribeAsync("ask/#", { qos: 1, properties: {} });
    // The request may have come before the subscription.
    const repeat = setInterval(() => {
      client.publish("ask/me", "again", { properties: { responseTopic: "answer/here" } });
    }, 200);
    assert.match(await request, /^re: (question|again)\n$/);
    clearInterval(repeat);
    await client.endAsync();
  });
});

describe("mqtt.js", () => {
  const open = (protocolVersion: 4 | 5, options = {}): Promise<MqttClient> =>
    connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion, reconnectPeriod: 0, ...options });

  for (const version of [4, 5] as const) {
    it(`mqtt.js, level ${version} - every QoS, a will, a session`, { timeout: 60_000 }, async () => {
      const topic = `js${version}`;
      const session = version === 5 ? { properties: { sessionExpiryInterval: 1000 } } : {};
      const subscriber = await open(version, { clientId: topic, clean: false, ...session });
      const seen: string[] = [];
      subscriber.on("message", (topic, payload, { qos }) => seen.push(`${topic} ${payload} ${qos}`));
      await subscriber.subscribeAsync(`${topic}/#`, { qos: 2 });
      const publisher = await open(version, { will: { topic: `${topic}/will`, payload: "w", qos: 1 } });
      for (const qos of [0, 1, 2] as const) {
        await publisher.publishAsync(`${topic}/${qos}`, `m${qos}`, { qos });
      }
      publisher.stream.destroy();
      await waitFor(() => seen.length === 4);
      assert.deepEqual(
        seen.sort(),
        [0, 1, 2].map((q) => `${topic}/${q} m${q} ${q}`).concat(`${topic}/will w 1`),
      );
      await subscriber.endAsync();
      const other = await open(version);
      for (let n = 0; n < 200; n++) await other.publishAsync(`${topic}/n`, String(n), { qos: 1 });
      await other.endAsync();
      seen.length = 0;
      // Messages may come as soon as it is connected.
      const again = connect(`mqtt://127.0.0.1:${port}`, {
        protocolVersion: version,
        clientId: topic,
        clean: false,
        ...session,
      });
      again.on("message", (_topic, payload) => seen.push(String(payload)));
      await waitFor(() => seen.length === 200);
      assert.deepEqual(seen, Array.from({ length: 200 }, (_, n) => String(n)));
      await deadline(again.endAsync());
    });
  }
});

describe("paho and pika", () => {
  const modules = spawnSync(PYTHON, ["-c", "import paho.mqtt, pika"], { stdio: "ignore" }).status === 0;
  const test = requirePeer("paho.mqtt and pika", installed(PYTHON) && modules);

  test("paho - every QoS, sessions; MQTT and AMQP exchange messages with their properties", async () => {
    const steps = JSON.parse(await run(PYTHON, `${PEERS}mqtt_peer.py`, port, amqpPort));
    assert.deepEqual(steps, {
      "qos, 3.1.1": ["paho4/0 m0 0", "paho4/1 m1 1", "paho4/2 m2 2"],
      "qos, 5.0": ["paho5/0 m0 0", "paho5/1 m1 1", "paho5/2 m2 2"],
      "session, 3.1.1": [true, "session4 waited 1"],
      "session, 5.0": [true, "session5 waited 1"],
      "crossing": {
        amqp: [
          ["cross.a", "from mqtt", "text/plain", "c1", "reply.here", { k: "v", l: "w" }],
          ["cross.b", "from amqp", "text/csv", "c2", "reply.there", { h: "x" }],
        ],
        mqtt: [
          ["cross/a from mqtt 1", "text/plain", "c1", "reply/here", [["k", "v"], ["l", "w"]]],
          ["cross/b from amqp 1", "text/csv", "c2", "reply/there", [["h", "x"]]],
        ],
      },
    });
  });
});
