/** MQTT clients with our broker: the programs of mosquitto, mqtt.js, and paho together with pika (AMQP). */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "../../lib/broker/server.ts";
import { installed, requirePeer, waitFor } from "../support/helpers.ts";

const PEERS = fileURLToPath(new URL("./peers/", import.meta.url));
const PYTHON = "/usr/bin/python3";

let broker: Broker;
let port: string;
let amqpPort: string;
let web: string;

before(async () => {
  broker = await Broker.open();
  port = new URL(await broker.listen("mqtt://127.0.0.1:0")).port;
  web = await broker.listen("ws://127.0.0.1:0");
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
});

describe("mqtt.js", () => {
  const test = requirePeer("mosquitto_rr");

  test("mqtt.js - every QoS, a will, a session, and the answer to a request of mosquitto_rr", async () => {
    const script = `${PEERS}mqtt_js_peer.mjs`;
    const words = process.versions["bun"] === undefined ? ["run", "-A", "--no-check", script] : [script];
    const child = spawn(process.execPath, [...words, port, web], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      let output = "";
      child.stdout.on("data", (chunk) => output += chunk);
      await waitFor(() => output.endsWith("\n") || child.exitCode !== null, 50_000);
      const expected: Record<string, string[]> = { WebSocket: ["web/a 200000 2"] };
      for (const level of [4, 5]) {
        expected[`level ${level}, live`] = [0, 1, 2].map((qos) => `js${level}/${qos} m${qos} ${qos}`)
          .concat(`js${level}/will w 1`);
        expected[`level ${level}, waited`] = Array.from({ length: 200 }, (_, n) => String(n));
      }
      assert.deepEqual(JSON.parse(output), expected);
      const ask = ["-t", "ask/me", "-e", "answer/here", "-m", "question", "-W", "20"];
      assert.equal(await run("mosquitto_rr", "-p", port, "-V", "mqttv5", ...ask), "re: question\n");
    } finally {
      child.kill();
    }
  });
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
