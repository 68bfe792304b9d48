/** Our MQTT client with mosquitto, RabbitMQ's plug-in (MQTT 3.1.1 only) and our broker; mosquitto's programs are at the other end. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import { after, describe } from "node:test";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { Broker } from "../../lib/broker/server.ts";
import { MqttPublisher, type PublisherOptions } from "../../lib/mqtt/client/publisher.ts";
import { MqttSubscriber, type SubscriberOptions } from "../../lib/mqtt/client/subscriber.ts";
import type { Subscription } from "../../lib/mqtt/client/subscriptions.ts";
import { parseMqttUrl } from "../../lib/mqtt/client/url.ts";
import type { Inlet } from "../../lib/patterns/contract.ts";
import { AmqpMapping } from "../../lib/patterns/mqtt/mapping.ts";
import { subscribe } from "../../lib/patterns/mqtt/receive.ts";
import { installed, requirePeer, type TempDir, tempDir, waitFor } from "../support/helpers.ts";
import { freePort } from "../support/ports.ts";
import { isInstalled, Proxy, rabbitMq, stopRabbitMq } from "../support/rabbitmq.ts";

const QOS = [0, 1, 2] as const;
const clients = installed("mosquitto_sub");

/** A server for the tests. */
interface Kind {
  readonly name: string;
  readonly version: 4 | 5;
  /** The highest QoS of subscriptions. */
  readonly maxQos: number;
  readonly test: ReturnType<typeof requirePeer>;
  /** Returns the URL of a running server. */
  start(): Promise<string>;
  stop(): Promise<void>;
}

class Mosquitto implements Kind {
  readonly name: string = "mosquitto";
  readonly version = 5;
  readonly maxQos = 2;
  readonly test: Kind["test"] = requirePeer("mosquitto", clients && fs.existsSync("/usr/sbin/mosquitto"));
  #dir: TempDir | undefined;
  #child: ChildProcess | undefined;

  async start(): Promise<string> {
    this.#dir = tempDir();
    const port = await freePort();
    const lines = [`listener ${port} 127.0.0.1`, "allow_anonymous true", "max_queued_messages 0"];
    fs.writeFileSync(this.#dir.file("conf"), `${lines.join("\n")}\n`);
    const child = this.#child = spawn("/usr/sbin/mosquitto", ["-c", this.#dir.file("conf")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr!.on("data", (chunk) => said += chunk);
    await waitFor(() => / running/.test(said) || child.exitCode !== null, 20_000, "mosquitto to start");
    assert.equal(child.exitCode, null, said);
    return `mqtt://127.0.0.1:${port}`;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null) {
      const over = new Promise((resolve) => child.once("exit", resolve));
      child.kill();
      await over;
    }
    this.#dir?.remove();
  }
}

class Rabbit implements Kind {
  readonly name: string = "RabbitMQ";
  readonly version = 4;
  readonly maxQos = 1;
  readonly test: Kind["test"] = requirePeer("rabbitmq-server", clients && isInstalled);

  async start(): Promise<string> {
    const { mqtt } = await rabbitMq();
    return mqtt!.replace("//", "//guest:guest@");
  }

  stop(): Promise<void> {
    return stopRabbitMq();
  }
}

class Own implements Kind {
  readonly name: string = "mqcat";
  readonly version = 5;
  readonly maxQos = 2;
  readonly test: Kind["test"] = requirePeer("mosquitto_sub", clients);
  #broker: Broker | undefined;

  async start(): Promise<string> {
    this.#broker = await Broker.open();
    return await this.#broker.listen("mqtt://127.0.0.1:0");
  }

  async stop(): Promise<void> {
    await this.#broker?.close();
  }
}

/** A program of mosquitto. */
class Client {
  readonly child: ChildProcess;
  output = "";
  #errors = "";
  /** Whether it ended and all of its output was read. */
  #isOver = false;

  constructor(program: string, url: string, ...args: string[]) {
    const { port, username, password } = new URL(url);
    const login = username === "" ? [] : ["-u", username, "-P", password];
    // The programs would write their output to a pipe only at the end.
    this.child = spawn("stdbuf", ["-oL", program, "-p", port, ...login, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout!.on("data", (chunk) => this.output += chunk);
    this.child.stderr!.on("data", (chunk) => this.#errors += chunk);
    this.child.on("close", () => this.#isOver = true);
  }

  /** Waits for the end, and returns the lines of stdout. */
  async lines(): Promise<string[]> {
    await waitFor(() => this.#isOver, 30_000, "the end of a program of mosquitto");
    assert.equal(this.child.exitCode, 0, this.#errors + this.output);
    return this.output.trimEnd().split("\n");
  }
}

/** Starts mosquitto_sub, and waits until it is subscribed. */
async function listening(url: string, version: 4 | 5, topic: string, ...args: string[]): Promise<Client> {
  const client = new Client(
    "mosquitto_sub",
    url,
    "-d",
    "-V",
    version === 5 ? "mqttv5" : "mqttv311",
    "-t",
    topic,
    "-W",
    "30",
    ...args,
  );
  await waitFor(() => /^Subscribed/m.test(client.output), 20_000, "mosquitto_sub to be subscribed");
  return client;
}

/** The messages among the lines of mosquitto_sub, which also has lines for debugging. */
function messagesOf(lines: string[]): string[] {
  return lines.filter((line) => line.startsWith("> ")).map((line) => line.slice(2));
}

/** A message that our subscriber received. */
interface Got {
  readonly text: string;
  readonly again: boolean;
  readonly properties: BasicProperties;
}

async function subscriber(
  url: string,
  filters: readonly Subscription[],
  got: Got[],
  options: Partial<SubscriberOptions> = {},
): Promise<MqttSubscriber> {
  let tag = 0;
  const made: MqttSubscriber = new MqttSubscriber(parseMqttUrl(url).addresses, filters, {
    mapping: new AmqpMapping(),
    reconnect: { first: 10, longest: 100 },
    onDelivery({ deliveryTag, routingKey, redelivered, content }) {
      tag = deliveryTag;
      const { body, bodyStart, bodyEnd, properties, propertiesEnd } = content;
      got.push({
        text: `${routingKey} ${new TextDecoder().decode(body.subarray(bodyStart, bodyEnd))}`,
        again: redelivered,
        properties: decodeProperties(properties, 0, propertiesEnd),
      });
    },
    onBatchEnd() {
      made.ack({ generation: made.generation, tag }, true);
      made.flush();
    },
    ...options,
  });
  await made.start();
  return made;
}

async function publisher(url: string, options: PublisherOptions = {}): Promise<MqttPublisher> {
  const made = new MqttPublisher(parseMqttUrl(url).addresses, {
    mapping: new AmqpMapping(),
    reconnect: { first: 10, longest: 100 },
    ...options,
  });
  await made.start();
  return made;
}

/** Publishes texts, and waits until all are settled. */
async function publishAll(
  made: MqttPublisher,
  topic: string,
  texts: readonly string[],
  properties: BasicProperties = {},
): Promise<void> {
  const bytes = new TextEncoder().encode(texts.join(""));
  let at = 0;
  const starts = texts.map((text) => (at += text.length) - text.length);
  const ends = texts.map((text, i) => starts[i]! + text.length);
  const envelope = { exchange: "", routingKey: topic, properties: encodeProperties(properties) };
  for (let from = 0; from < texts.length;) {
    from = made.publish({ bytes, starts, ends }, from, texts.length, envelope);
    if (from < texts.length) await made.changed.wait(1000);
  }
  await waitFor(() => made.pending === 0 || made.failure !== undefined, 40_000, "all confirms");
  assert.equal(made.failure, undefined);
}

for (const kind of [new Mosquitto(), new Rabbit(), new Own()]) {
  describe(`MQTT client, ${kind.name}`, () => {
    const { version, maxQos } = kind;
    let running: Promise<string> | undefined;
    // The first test starts the server: Bun limits hooks to 5 s.
    const test = (name: string, run: (url: string) => Promise<void>) =>
      kind.test(name, async () => await run(await (running ??= kind.start())));
    after(() => kind.stop());

    test(`version - the newest one that the server speaks, ${version}`, async (url) => {
      const made = await publisher(url);
      assert.equal(made.version, version);
      await made.close();
    });

    for (const qos of QOS) {
      test(`publish - QoS ${qos} arrives at mosquitto_sub, in order`, async (url) => {
        const sub = await listening(url, version, "out/#", "-q", String(maxQos), "-C", "10", "-F", "> %t %p");
        const made = await publisher(url, { qos });
        const texts = Array.from({ length: 10 }, (_, i) => `m${i}`);
        await publishAll(made, `out/${qos}`, texts);
        assert.deepEqual([made.acknowledged, made.takenInOrder, made.refused], [10, 10, 0]);
        assert.deepEqual(messagesOf(await sub.lines()), texts.map((text) => `out/${qos} ${text}`));
        await made.close();
      });

      test(`subscribe - QoS ${qos} receives from mosquitto_pub, and acknowledges`, async (url) => {
        const got: Got[] = [];
        const made = await subscriber(url, [{ filter: "in/+/x", qos }], got);
        // mosquitto_pub does not accept RabbitMQ's answer to QoS 2.
        const sending = QOS.slice(0, maxQos + 1);
        for (const sent of sending) {
          const args = ["-V", version === 5 ? "mqttv5" : "mqttv311", "-q", String(sent)];
          await new Client("mosquitto_pub", url, ...args, "-t", `in/${qos}/x`, "-m", `p${sent}`).lines();
        }
        await waitFor(() => got.length === sending.length);
        assert.deepEqual(got.map(({ text }) => text), sending.map((sent) => `in/${qos}/x p${sent}`));
        const modes = sending.map((sent) => Math.min(sent, qos) > 0 ? 2 : undefined);
        assert.deepEqual(got.map(({ properties: { deliveryMode } }) => deliveryMode), modes);
        await made.close();
      });
    }

    test("retain - the latest message of a topic waits for subscribers", async (url) => {
      const made = await publisher(url, { retain: true });
      await publishAll(made, "kept/a", ["old", "new"]);
      const got: Got[] = [];
      const sub = await subscriber(url, [{ filter: "kept/a" }], got);
      await waitFor(() => got.length === 1);
      assert.deepEqual([got[0]!.text, got[0]!.properties.headers?.["x-mqtt-retain"]], ["kept/a new", true]);
      await publishAll(made, "kept/a", [""]);
      await Promise.all([sub.close(), made.close()]);
    });

    test("reconnect - messages of QoS 1 across cuts: none is lost", async (url) => {
      await using proxy = await Proxy.to(Number(new URL(url).port));
      const got: Got[] = [];
      const sub = await subscriber(url, [{ filter: "cut/1" }], got);
      const made = await publisher(url.replace(/:\d+$/, `:${new URL(proxy.url).port}`));
      const texts = Array.from({ length: 3000 }, (_, i) => `${i}`.padStart(5, "0"));
      for (let at = 0; at < texts.length; at += 1000) {
        proxy.cutAfter(5000);
        await publishAll(made, "cut/1", texts.slice(at, at + 1000));
      }
      await waitFor(() => new Set(got.map(({ text }) => text)).size === texts.length, 30_000);
      assert.ok(proxy.connections >= 4, `${proxy.connections} connections`);
      assert.deepEqual([made.acknowledged, made.takenInOrder], [3000, 3000]);
      await Promise.all([sub.close(), made.close()]);
    });

    test("reconnect - a subscriber is subscribed again", async (url) => {
      await using proxy = await Proxy.to(Number(new URL(url).port));
      const got: Got[] = [];
      const sub = await subscriber(
        url.replace(/:\d+$/, `:${new URL(proxy.url).port}`),
        [{ filter: "re/#" }],
        got,
      );
      const made = await publisher(url);
      proxy.cut();
      await waitFor(() => sub.generation === 2);
      await waitFor(async () => {
        await publishAll(made, "re/a", ["x"]);
        return got.length > 0;
      });
      assert.equal(sub.failure, undefined);
      await Promise.all([sub.close(), made.close()]);
    });

    if (version === 5) {
      test("QoS 2 - across cuts each message arrives once", async (url) => {
        await using proxy = await Proxy.to(Number(new URL(url).port));
        const got: Got[] = [];
        const through = url.replace(/:\d+$/, `:${new URL(proxy.url).port}`);
        const filters = [{ filter: "cut/2", qos: 2 as const }];
        const sub = await subscriber(through, filters, got, { sessionExpiry: 60 });
        const made = await publisher(through, { qos: 2 });
        const texts = Array.from({ length: 2000 }, (_, i) => `${i}`.padStart(5, "0"));
        for (let at = 0; at < texts.length; at += 500) {
          proxy.cutAfter(7000);
          await publishAll(made, "cut/2", texts.slice(at, at + 500));
        }
        await waitFor(() => got.length >= texts.length, 30_000, `${got.length} of ${texts.length} messages`);
        assert.deepEqual(got.map(({ text }) => text).sort(), texts.map((text) => `cut/2 ${text}`));
        assert.ok(proxy.connections >= 6, `${proxy.connections} connections`);
        await Promise.all([sub.close(), made.close()]);
      });

      test("subscribe - across cuts no message is lost, as the session outlives the connection", async (url) => {
        await using proxy = await Proxy.to(Number(new URL(url).port));
        const seen = new Set<string>();
        let tag = 0;
        const target = parseMqttUrl(`${url.replace(/:\d+$/, `:${new URL(proxy.url).port}`)}/kept/#`);
        const inlet: Inlet = subscribe(target, {
          reconnect: { first: 10, longest: 100 },
          onDelivery({ deliveryTag, content: { body, bodyStart, bodyEnd } }) {
            tag = deliveryTag;
            seen.add(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)));
          },
          onBatchEnd() {
            inlet.ack({ generation: inlet.generation, tag }, true);
            inlet.flush();
          },
        });
        await inlet.start();
        const made = await publisher(url);
        for (let at = 0; at < 2000; at += 500) {
          proxy.cutAfter(3000);
          await publishAll(made, "kept/b", Array.from({ length: 500 }, (_, i) => `${at + i}`));
          await waitFor(() => seen.size === at + 500, 30_000, "the messages");
        }
        assert.ok(proxy.connections >= 4, `${proxy.connections} connections`);
        await Promise.all([inlet.close(), made.close()]);
      });

      test("properties - content type, correlation data, response topic and user properties, both ways", async (url) => {
        const format = ["-F", "> %t %p|%C|%D|%R|%P"];
        const sub = await listening(url, 5, "props/out", "-C", "1", ...format);
        const made = await publisher(url);
        await publishAll(made, "props/out", ["body"], {
          contentType: "text/plain",
          correlationId: "c1",
          replyTo: "answers/here.too",
          headers: { one: "1", two: "zwei" },
        });
        const [line] = messagesOf(await sub.lines());
        assert.match(line!, /^props\/out body\|text\/plain\|c1\|answers\/here\.too\|/);
        assert.match(line!, /one:1.*two:zwei/);
        const got: Got[] = [];
        const own = await subscriber(url, [{ filter: "props/in" }], got);
        const pairs = [["content-type", "text/csv"], ["correlation-data", "c2"], ["response-topic", "r/s.t"]];
        const args = pairs.flatMap((pair) => ["-D", "publish", ...pair]);
        const users = [
          "-D",
          "publish",
          "user-property",
          "a",
          "1",
          "-D",
          "publish",
          "user-property",
          "b",
          "2",
        ];
        await new Client(
          "mosquitto_pub",
          url,
          "-V",
          "mqttv5",
          "-q",
          "1",
          "-t",
          "props/in",
          "-m",
          "x",
          ...args,
          ...users,
        )
          .lines();
        await waitFor(() => got.length === 1);
        const { headers, ...rest } = got[0]!.properties;
        assert.deepEqual(rest, {
          contentType: "text/csv",
          deliveryMode: 2,
          correlationId: "c2",
          replyTo: "r/s.t",
        });
        assert.deepEqual({ ...headers }, { a: "1", b: "2" });
        await Promise.all([own.close(), made.close()]);
      });

      test("shared - the members of a group, ours and mosquitto_sub, share the messages", async (url) => {
        const got: Got[] = [];
        const own = await subscriber(url, [{ filter: "$share/g/jobs/#" }], got);
        const sub = await listening(url, 5, "$share/g/jobs/#", "-q", "1", "-F", "> %t %p");
        const made = await publisher(url);
        await publishAll(made, "jobs/a", Array.from({ length: 100 }, (_, i) => `${i}`));
        await waitFor(() => got.length + messagesOf(sub.output.split("\n")).length === 100);
        assert.ok(got.length > 0 && got.length < 100, String(got.length));
        sub.child.kill();
        await Promise.all([own.close(), made.close()]);
      });
    } else {
      test("shared - is refused in words, as MQTT 3.1.1 has no shared subscriptions", async (url) => {
        await assert.rejects(subscriber(url, [{ filter: "$share/g/a" }], []), {
          name: "IncompatiblePeerError",
          message: /'\$share\/g\/a': .* speaks only MQTT 3\.1\.1/,
        });
      });

      test("refused - wrong credentials, and the port of AMQP", async (url) => {
        const wrong = publisher(url.replace("guest:guest@", "guest:secret@"));
        await assert.rejects(wrong, (error: Error) => {
          assert.deepEqual([error.name, /secret/.test(error.message)], ["RefusedError", false]);
          return /user 'guest'/.test(error.message);
        });
        const { port } = await rabbitMq();
        await assert.rejects(publisher(`mqtt://127.0.0.1:${port}`), {
          name: "IncompatiblePeerError",
          message: /it is an AMQP broker/,
        });
      });
    }
  });
}
