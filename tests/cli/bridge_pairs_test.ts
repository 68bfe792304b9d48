/** `mqcat proxy` from each system to each other system; the other ends are pyzmq and pika. */
import assert from "node:assert/strict";
import { after, before, describe } from "node:test";
import { Broker } from "../../lib/broker/server.ts";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { PATIENCE, readyFileOf, start } from "../support/mqcat.ts";
import { hasPika, pika } from "../support/pika.ts";
import { framesOf, hasPyzmq, zmqReceiver, zmqSender } from "../support/pyzmq.ts";

const test = requirePeer("pika and pyzmq", hasPika && hasPyzmq, 3 * PATIENCE);

/** Our broker with all of its protocols. */
interface AllProtocols {
  readonly broker: Broker;
  readonly amqp: string;
  readonly mqtt: string;
  readonly stomp: string;
}

async function open(): Promise<AllProtocols> {
  const broker = await Broker.open();
  const amqp = (await broker.listen("amqp://127.0.0.1:0")).replace("://", "://guest:guest@");
  return {
    broker,
    amqp,
    mqtt: await broker.listen("mqtt://127.0.0.1:0"),
    stomp: await broker.listen("stomp://127.0.0.1:0"),
  };
}

type System = "zmq" | "amqp" | "mqtt" | "stomp";
const SYSTEMS: readonly System[] = ["zmq", "amqp", "mqtt", "stomp"];
const BIND = "@tcp://127.0.0.1:0";

/** The address of a side that publishes or subscribes, or of a queue. */
function addressOf(system: System, { amqp, mqtt, stomp }: AllProtocols, queue?: string): string {
  switch (system) {
    case "zmq":
      return BIND;
    case "amqp":
      return `${amqp}//${queue ?? "amq.topic"}`;
    case "mqtt":
      return queue === undefined ? mqtt : `${mqtt}/${queue}`;
    case "stomp":
      return queue === undefined ? `${stomp}/exchange/amq.topic` : `${stomp}/queue/${queue}`;
  }
}

describe("bridge, all pairs", () => {
  let one: AllProtocols;
  let two: AllProtocols;
  before(async () => [one, two] = await Promise.all([open(), open()]));
  after(async () => void await Promise.all([one?.broker.close(), two?.broker.close()]));

  /** Runs a bridge for two messages. */
  async function join(args: readonly string[], work: (from: string, to: string) => Promise<void>) {
    using dir = tempDir();
    using proxy = start(["proxy", "--ready-file", dir.file("ready"), "-v", "-n", "2", ...args]);
    const [from, to] = await readyFileOf(proxy, dir.file("ready"));
    await work(from!, to!);
    const { code, stderr } = await proxy.exit();
    assert.equal(code, 0, stderr);
  }

  for (const from of SYSTEMS) {
    for (const to of SYSTEMS) {
      if (from === "zmq" && to === "zmq") continue;

      test(`pubsub, ${from} to ${to} - keeps topics, and headers where both sides have them`, async () => {
        const sides = ["--from", addressOf(from, one), "--to", addressOf(to, two)];
        const collector = `collector-${from}-${to}`;
        await pika(
          two.amqp,
          `ch.queue_declare("${collector}"); ch.queue_bind("${collector}", "amq.topic", "#")`,
        );
        await join(["--pattern", "pubsub", ...sides], async (source, sink) => {
          using sub = to === "zmq" ? zmqReceiver("SUB", sink, 2) : undefined;
          // In ZeroMQ a topic is any text; in the others `sensors` and `temp` are two words.
          if (from === "zmq") {
            using pub = zmqSender("XPUB", source, [["sensors.temp", "1"], ["sensors.temp", "2"]]);
            await pub.exit();
          } else {
            await pika(
              one.amqp,
              `
for body in ["1", "2"]: ch.basic_publish("amq.topic", "sensors.temp", body,
    props(content_type="text/plain", headers={"k": "v"}, delivery_mode=2))`,
            );
          }
          if (sub !== undefined) {
            await sub.exit();
            const topic = from === "mqtt" ? "sensors/temp" : "sensors.temp";
            assert.deepEqual(framesOf(sub), [[topic, "1"], [topic, "2"]]);
            return;
          }
          const got = await pika(
            two.amqp,
            `
for key, body, p in take("${collector}", 2):
    print(key, body, p.content_type, p.delivery_mode, (p.headers or {}).get("k"))`,
          );
          // ZeroMQ's text is a topic of one level in MQTT, and a dot there is a slash in a routing key.
          const key = from === "zmq" && to === "mqtt" ? "sensors/temp" : "sensors.temp";
          const rest = from === "zmq" ? "None 2 None" : "text/plain 2 v";
          assert.equal(got, `${key} 1 ${rest}\n${key} 2 ${rest}\n`);
        });
        await pika(two.amqp, `ch.queue_delete("${collector}")`);
      });
    }
  }

  for (const from of ["zmq", "amqp", "stomp"] as const) {
    for (const to of ["zmq", "amqp", "stomp"] as const) {
      if (from === "zmq" && to === "zmq") continue;

      test(`pushpull, ${from} to ${to} - from a queue to a queue, acknowledged`, async () => {
        const [source, sink] = [`from-${from}-${to}`, `to-${from}-${to}`];
        const sides = ["--from", addressOf(from, one, source), "--to", addressOf(to, two, sink)];
        await pika(
          one.amqp,
          `
ch.queue_declare("${source}", durable=True)
for body in ["1", "2"] if "${from}" != "zmq" else []: ch.basic_publish("", "${source}", body, props(headers={"k": "v"}))`,
        );
        const declare = to === "zmq" ? [] : ["--declare"];
        await join(["--pattern", "pushpull", ...declare, ...sides], async (there, here) => {
          using push = from === "zmq" ? zmqSender("PUSH", there, [["1"], ["2"]]) : undefined;
          await push?.exit();
          if (to === "zmq") {
            using pull = zmqReceiver("PULL", here, 2);
            await pull.exit();
            assert.deepEqual(framesOf(pull), [["1"], ["2"]]);
            return;
          }
          const got = await pika(
            two.amqp,
            `
for key, body, p in take("${sink}", 2): print(key, body, (p.headers or {}).get("k"))`,
          );
          const header = from === "zmq" ? "None" : "v";
          assert.equal(got, `${sink} 1 ${header}\n${sink} 2 ${header}\n`);
        });
        const left = await pika(
          one.amqp,
          `print(ch.queue_declare("${source}", passive=True).method.message_count)`,
        );
        assert.equal(left, "0\n");
      });
    }
  }
});
