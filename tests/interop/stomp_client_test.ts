/** Our STOMP client with RabbitMQ and our broker; stomp.py and pika are at the other end. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";
import crypto from "node:crypto";
import { after, describe, it } from "node:test";
import readline from "node:readline";
import { fileURLToPath } from "node:url";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { declareQueue, findQueue, withChannel } from "../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import type { FieldTable } from "../../lib/amqp/types/field_value.ts";
import { Broker } from "../../lib/broker/server.ts";
import { RefusedError } from "../../lib/errors.ts";
import type { Bodies, Delivery, Envelope, Inlet, Outlet } from "../../lib/patterns/contract.ts";
import { publishedTo } from "../../lib/patterns/stomp/destinations.ts";
import { pull, type PullOptions, subscribe } from "../../lib/patterns/stomp/receive.ts";
import { reply } from "../../lib/patterns/stomp/reply.ts";
import { request, requestedAt } from "../../lib/patterns/stomp/request.ts";
import { publish, push } from "../../lib/patterns/stomp/send.ts";
import { parseStompAddress } from "../../lib/stomp/client/url.ts";
import { waitFor } from "../support/helpers.ts";
import { Proxy, rabbitMq, stopRabbitMq, test as withRabbitMq } from "../support/rabbitmq.ts";

const PYTHON = "/usr/bin/python3";
const FAR_END = fileURLToPath(new URL("./peers/stomp_far_end.py", import.meta.url));
const hasPeers = spawnSync(PYTHON, ["-c", "import pika, stomp"]).status === 0;
const PATIENCE = 30_000;
const RECONNECT = { first: 10, longest: 50 };

/** A broker: its endpoints, `host:port`, and the base URL of its HTTP API. */
interface Running {
  readonly amqp: string;
  readonly stomp: string;
  readonly http: string;
}

let own: Promise<{ broker: Broker; running: Running }> | undefined;

const BROKERS = [
  {
    name: "RabbitMQ",
    test: withRabbitMq,
    async start(): Promise<Running> {
      const { port, stomp, http } = await rabbitMq();
      return { amqp: `127.0.0.1:${port}`, stomp: stomp!.replace("stomp://", ""), http };
    },
    stop: stopRabbitMq,
  },
  {
    name: "mqcat",
    test: (name: string, run: () => Promise<void>) => void it(name, { timeout: 60_000 }, run),
    async start(): Promise<Running> {
      own ??= (async () => {
        const broker = await Broker.open();
        const host = async (url: string) => (await broker.listen(url)).replace(/^\w+:\/\//, "");
        const amqp = await host("amqp://127.0.0.1:0");
        const stomp = await host("stomp://127.0.0.1:0");
        return { broker, running: { amqp, stomp, http: await broker.listenHttp("127.0.0.1:0") } };
      })();
      return (await own).running;
    },
    async stop() {
      await (await own)?.broker.close();
      own = undefined;
    },
  },
];

/** Does something with queues over AMQP. */
async function overAmqp<T>(
  { amqp }: Running,
  work: (connection: Awaited<ReturnType<typeof connectBroker>>) => Promise<T>,
): Promise<T> {
  const connection = await connectBroker(parseAmqpUrl(`amqp://${amqp}`));
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

const declare = (on: Running, queue: string, args: FieldTable = {}) =>
  overAmqp(on, (connection) => declareQueue(connection, queue, { arguments: args }));

async function queues({ http }: Running): Promise<string[]> {
  const headers = { authorization: `Basic ${btoa("guest:guest")}` };
  const list = await (await fetch(`${http}/api/queues`, { headers })).json() as { name: string }[];
  return list.map(({ name }) => name).sort();
}

function bodiesOf(parts: readonly Uint8Array[]): Bodies {
  const ends: number[] = [];
  for (const part of parts) ends.push((ends.at(-1) ?? 0) + part.length);
  return { bytes: Buffer.concat(parts), starts: [0, ...ends.slice(0, -1)], ends };
}

const bytes = (text: string) => Buffer.from(text);
const to = (exchange: string, routingKey: string, properties: BasicProperties = {}): Envelope => ({
  exchange,
  routingKey,
  properties: encodeProperties(properties),
});

/** Sends messages, and waits until they are settled or the outlet fails. */
async function send(outlet: Outlet, envelope: Envelope, parts: readonly Uint8Array[]): Promise<void> {
  const run = bodiesOf(parts);
  for (let at = 0; at < parts.length && outlet.failure === undefined;) {
    const next = outlet.publish(run, at, parts.length, envelope);
    if (next === at) await outlet.changed.wait(1000);
    at = next;
  }
  await waitFor(() => outlet.pending === 0 || outlet.failure !== undefined, PATIENCE, "the receipts");
}

interface Got {
  readonly exchange: string;
  readonly key: string;
  readonly redelivered: boolean;
  readonly properties: BasicProperties;
  readonly body: Buffer;
}

function gotOf({ exchange, routingKey, redelivered, content }: Delivery): Got {
  const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
  return {
    exchange,
    key: routingKey,
    redelivered,
    properties: decodeProperties(properties, 0, propertiesEnd),
    body: Buffer.from(body.slice(bodyStart, bodyEnd)),
  };
}

/** Makes an inlet that collects its messages, and acknowledges all of each chunk. */
function collect(
  open: (events: Pick<PullOptions, "onDelivery" | "onBatchEnd">) => Inlet,
  got: Got[],
  acknowledges = true,
): Inlet {
  let tag = 0;
  const inlet = open({
    onDelivery(delivery) {
      tag = delivery.deliveryTag;
      got.push(gotOf(delivery));
    },
    onBatchEnd() {
      if (!acknowledges) return;
      inlet.ack({ generation: inlet.generation, tag }, true);
      inlet.flush();
    },
  });
  return inlet;
}

/** A message of the other end. */
interface Far {
  readonly headers: Record<string, string>;
  readonly exchange: string;
  readonly key: string;
  readonly properties: Record<string, unknown>;
  readonly body: string;
}

/** A process at the other end of the broker. */
class FarEnd implements AsyncDisposable {
  readonly messages: Far[] = [];
  readonly #child;
  readonly #exit: Promise<number | null>;
  #isReady = false;
  #stderr = "";

  /** @param messages what it sends */
  constructor(
    args: readonly [library: "stomp" | "pika", work: "send" | "take" | "answer" | "ask", ...rest: string[]],
    messages: readonly object[] = [],
  ) {
    this.#child = spawn(PYTHON, [FAR_END, ...args], { stdio: ["pipe", "pipe", "pipe"], timeout: 60_000 });
    this.#child.stdin.on("error", () => {});
    this.#child.stdin.end(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => this.#stderr += text);
    readline.createInterface({ input: this.#child.stdout }).on("line", (line) => {
      if (line === '"ready"') this.#isReady = true;
      else this.messages.push(JSON.parse(line) as Far);
    });
    this.#exit = new Promise((resolve) => this.#child.on("close", resolve));
  }

  async ready(): Promise<void> {
    await waitFor(() => this.#isReady || this.#child.exitCode !== null, PATIENCE, "the other end");
    assert.ok(this.#isReady, this.#stderr);
  }

  /** Waits for its end, and returns its messages. */
  async done(): Promise<Far[]> {
    assert.equal(await this.#exit, 0, this.#stderr);
    return this.messages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
    await this.#exit;
  }
}

const PROPERTIES: BasicProperties = {
  contentType: "text/x",
  deliveryMode: 2,
  priority: 3,
  correlationId: "c",
  messageId: "m",
  timestamp: 1234567890,
  type: "t",
  appId: "a",
  headers: { colour: "ré:d\n", count: 5 },
};
/** All bytes, NUL included. */
const BINARY = Buffer.from(Array.from({ length: 512 }, (_, i) => i & 0xff));
const BODIES = [BINARY, bytes(""), bytes("plain")];
const encoded = BODIES.map((body) => body.toString("base64"));

for (const { name, test: given, start, stop } of BROKERS) {
  const test = hasPeers
    ? given
    : (title: string, _run: () => Promise<void>) => void it(title, { skip: "no stomp.py" });
  // The broker may have queues of an earlier run.
  const run = crypto.randomUUID().slice(0, 8);
  let serial = 0;
  const unique = (what: string) => `${run}.${what}.${++serial}`;

  describe(`STOMP client with ${name}`, () => {
    after(stop);

    test("push - pika and stomp.py get bodies, headers and properties as they are", async () => {
      const on = await start();
      const queue = unique("a/b é");
      await declare(on, queue);
      const outlet = push(parseStompAddress(`stomp://${on.stomp}/queue/${encodeURIComponent(queue)}`));
      await outlet.start();
      await using amqp = new FarEnd(["pika", "take", on.amqp, queue, "3"]);
      await send(outlet, to("", queue, PROPERTIES), BODIES);
      assert.deepEqual([outlet.acknowledged, outlet.failure], [3, undefined]);
      const taken = await amqp.done();
      assert.deepEqual(taken.map(({ body }) => body), encoded);
      const { headers, ...properties } = taken[0]!.properties as { headers: Record<string, string> };
      assert.deepEqual(properties, {
        content_type: "text/x",
        delivery_mode: 2,
        priority: 3,
        correlation_id: "c",
        message_id: "m",
        timestamp: 1234567890,
        type: "t",
        app_id: "a",
      });
      assert.deepEqual([headers["colour"], headers["count"]], ["ré:d\n", "5"]);
      const destination = `/amq/queue/${queue.replace("/", "%2F")}`;
      await using other = new FarEnd(["stomp", "take", on.stomp, destination, "3"]);
      await send(outlet, to("", queue, PROPERTIES), BODIES);
      const frames = await other.done();
      assert.deepEqual(frames.map(({ body }) => body), encoded);
      const { "content-type": type, persistent, colour } = frames[0]!.headers;
      assert.deepEqual([type, persistent, colour], ["text/x", "true", "ré:d\n"]);
      await outlet.close();
    });

    test("pull - gets what pika and stomp.py send, and acknowledges it", async () => {
      const on = await start();
      const queue = unique("pull");
      await declare(on, queue);
      const body = BINARY.toString("base64");
      await using amqp = new FarEnd(["pika", "send", on.amqp, `|${queue}`], [
        {
          body,
          headers: { colour: "ré:d\n", count: 5 },
          properties: { content_type: "text/x", reply_to: "r" },
        },
      ]);
      await amqp.done();
      await using far = new FarEnd(["stomp", "send", on.stomp, `/amq/queue/${queue}`], [
        {
          body,
          headers: { "content-type": "text/y", colour: "c:d", "correlation-id": "7", persistent: "true" },
        },
        { body: "" },
      ]);
      await far.done();
      const got: Got[] = [];
      const inlet = collect((events) => pull(parseStompAddress(`stomp://${on.stomp}/${queue}`), events), got);
      await inlet.start();
      await waitFor(() => got.length === 3, PATIENCE, "the messages");
      await inlet.close();
      assert.deepEqual(got.map((one) => one.body.toString("base64")), [body, body, ""]);
      const [first, second] = got.map(({ properties }) => JSON.parse(JSON.stringify(properties)) as unknown);
      assert.deepEqual(first, {
        contentType: "text/x",
        headers: { colour: "ré:d\n", count: "5" },
        replyTo: "r",
      });
      assert.deepEqual(second, {
        contentType: "text/y",
        headers: { colour: "c:d" },
        deliveryMode: 2,
        correlationId: "7",
      });
      const left = await overAmqp(on, (connection) => findQueue(connection, queue));
      assert.equal(left!.messageCount, 0);
    });

    test("pull - messages that are not acknowledged come again, rejected ones do not", async () => {
      const on = await start();
      const queue = unique("again");
      await declare(on, queue);
      const address = parseStompAddress(`stomp://${on.stomp}/${queue}`);
      const outlet = push(address);
      await outlet.start();
      await send(outlet, to("", queue), ["ack", "reject", "requeue", "keep"].map(bytes));
      await outlet.close();
      const seen: string[] = [];
      const first: Inlet = pull(address, {
        onDelivery(delivery) {
          const { body, redelivered } = gotOf(delivery);
          const receipt = { generation: first.generation, tag: delivery.deliveryTag };
          seen.push(`${body}${redelivered ? " again" : ""}`);
          if (`${body}` === "ack") first.ack(receipt, false);
          if (`${body}` === "reject") first.nack(receipt, false);
          if (`${body}` === "requeue" && !redelivered) first.nack(receipt, true);
        },
        onBatchEnd: () => first.flush(),
      });
      await first.start();
      await waitFor(() => seen.includes("requeue again") && seen.includes("keep"), PATIENCE, "the messages");
      await first.close();
      const got: Got[] = [];
      const second = collect((events) => pull(address, events), got);
      await second.start();
      await waitFor(() => got.length === 2, PATIENCE, "the messages again");
      await second.close();
      assert.deepEqual(got.map(({ body, redelivered }) => [`${body}`, redelivered]).sort(), [
        ["keep", true],
        ["requeue", true],
      ]);
    });

    test("publish - pika gets it from the exchange, stomp.py from the topic", async () => {
      const on = await start();
      const address = parseStompAddress(`stomp://${on.stomp}`);
      const { exchange } = publishedTo(address.destination);
      const key = unique("topic");
      await using amqp = new FarEnd(["pika", "take", on.amqp, `amq.topic|${key}`]);
      await using far = new FarEnd(["stomp", "take", on.stomp, `/topic/${key}`]);
      await amqp.ready();
      await far.ready();
      const outlet = publish(address);
      await outlet.start();
      await send(outlet, to(exchange, key, { contentType: "text/x" }), [BINARY]);
      await outlet.close();
      const [message] = await amqp.done();
      const [frame] = await far.done();
      assert.deepEqual([message!.exchange, message!.key], ["amq.topic", key]);
      assert.equal(frame!.headers["destination"], `/topic/${key}`);
      assert.deepEqual([message!.body, frame!.body], [BINARY.toString("base64"), BINARY.toString("base64")]);
    });

    test("subscribe - gets a copy of each message once, and leaves no queue", async () => {
      const on = await start();
      const before = await queues(on);
      const got: Got[] = [];
      const topics = ["stomp.tap.#", "stomp.*.x"];
      const address = parseStompAddress(`stomp://${on.stomp}`);
      const inlet = collect((events) => subscribe(address, { topics, ...events }), got, false);
      await inlet.start();
      assert.equal((await queues(on)).length, before.length + 1);
      await using amqp = new FarEnd(["pika", "send", on.amqp, "amq.topic|stomp.tap.x"], [{ body: "YQ==" }]);
      await amqp.done();
      await using far = new FarEnd(["stomp", "send", on.stomp, "/topic/stomp.tap.y"], [{ body: "Yg==" }]);
      await far.done();
      await waitFor(() => got.length >= 2, PATIENCE, "the messages");
      await inlet.close();
      assert.deepEqual(got.map(({ exchange, key, body }) => [exchange, key, `${body}`]), [
        ["amq.topic", "stomp.tap.x", "a"],
        ["amq.topic", "stomp.tap.y", "b"],
      ]);
      await waitFor(
        async () => (await queues(on)).join() === before.join(),
        PATIENCE,
        "the end of the queue",
      );
    });

    test("missing - queues and exchanges are named, and nothing is made", async () => {
      const on = await start();
      const before = await queues(on);
      const url = `stomp://${on.stomp}`;
      const events = { onDelivery() {} };
      const starts: (readonly [{ start(): Promise<void> }, RegExp])[] = [
        [push(parseStompAddress(`${url}/queue/missing`)), /no queue 'missing'/],
        [publish(parseStompAddress(`${url}/amq/queue/missing`)), /no queue 'missing'/],
        [request(parseStompAddress(`${url}/missing`), { onReply() {} }), /no queue 'missing'/],
        [pull(parseStompAddress(`${url}/missing`), events), /'\/amq\/queue\/missing': .*no queue 'missing'/],
        [subscribe(parseStompAddress(`${url}/exchange/missing`), events), /no exchange 'missing'/],
      ];
      for (const [end, words] of starts) await assert.rejects(end.start(), words);
      const outlet = publish(parseStompAddress(`${url}/exchange/missing/k`));
      await outlet.start();
      await send(outlet, to("missing", "k"), [bytes("a")]);
      assert.match(outlet.failure!.message, /no exchange 'missing'/);
      await outlet.close();
      assert.deepEqual(await queues(on), before);
      await assert.rejects(
        push(parseStompAddress(`stomp://guest:wrong@${on.stomp}/q`)).start(),
        RefusedError,
      );
      await assert.rejects(
        push(parseStompAddress(`${url}/q?vhost=nowhere`)).start(),
        /'nowhere' does not exist/,
      );
    });

    test("queues of any kind are found, and missing ones are made if that is asked for", async () => {
      const on = await start();
      const kinds: Record<string, FieldTable> = {
        plain: {},
        expiring: { "x-expires": 600_000 },
        quorum: { "x-queue-type": "quorum" },
      };
      for (const [kind, args] of Object.entries(kinds)) {
        const queue = unique(kind);
        await declare(on, queue, args);
        const outlet = push(parseStompAddress(`stomp://${on.stomp}/${queue}`));
        await outlet.start();
        await send(outlet, to("", queue), [bytes("a")]);
        assert.deepEqual([outlet.acknowledged, outlet.failure], [1, undefined]);
        await outlet.close();
      }
      const pushed = unique("declared");
      const outlet = push(parseStompAddress(`stomp://${on.stomp}/${pushed}`), { declare: true });
      await outlet.start();
      await send(outlet, to("", pushed), [bytes("a")]);
      await outlet.close();
      const pulled = unique("declared");
      const inlet = pull(parseStompAddress(`stomp://${on.stomp}/${pulled}`), {
        declare: true,
        onDelivery() {},
      });
      await inlet.start();
      await inlet.close();
      const [one, other] = await overAmqp(on, async (connection) => [
        await findQueue(connection, pushed),
        await findQueue(connection, pulled),
      ]);
      assert.deepEqual([one?.messageCount, other?.messageCount], [1, 0]);
    });

    test("reconnect - everything arrives although the connections are cut", async () => {
      const on = await start();
      const queue = unique("cut");
      await declare(on, queue);
      await using proxy = await Proxy.to(Number(on.stomp.split(":")[1]));
      const address = parseStompAddress(
        `stomp://${new URL(proxy.url.replace("amqp", "http")).host}/${queue}`,
      );
      const got: Got[] = [];
      const inlet = collect(
        (events) => pull(address, { ...events, reconnect: RECONNECT, prefetch: 100 }),
        got,
      );
      await inlet.start();
      const outlet = push(address, { reconnect: RECONNECT });
      await outlet.start();
      const numbers = Array.from({ length: 3000 }, (_, i) => bytes(String(i)));
      for (let at = 0; at < 3000; at += 1000) {
        proxy.cutAfter(40_000);
        await send(outlet, to("", queue), numbers.slice(at, at + 1000));
      }
      assert.deepEqual([outlet.failure, inlet.failure], [undefined, undefined]);
      const distinct = () => new Set(got.map(({ body }) => `${body}`)).size;
      await waitFor(() => distinct() === 3000, PATIENCE, "all messages");
      assert.ok(inlet.generation > 1);
      await inlet.close();
      await outlet.close();
    });

    test("large messages, and many with a small prefetch count", async () => {
      const on = await start();
      const queue = unique("large");
      await declare(on, queue);
      const address = parseStompAddress(`stomp://${on.stomp}/${queue}`);
      const got: Got[] = [];
      const inlet = collect((events) => pull(address, { ...events, prefetch: 5 }), got);
      await inlet.start();
      const outlet = push(address);
      await outlet.start();
      const large = Buffer.alloc(3_000_000, BINARY);
      await send(outlet, to("", queue), [large, ...Array.from({ length: 2000 }, () => bytes("x"))]);
      await waitFor(() => got.length === 2001, PATIENCE, "the messages");
      assert.ok(got[0]!.body.equals(large));
      await inlet.close();
      await outlet.close();
    });

    for (const library of ["stomp", "pika"] as const) {
      test(`request - ${library} answers, and the replies come in the order of the requests`, async () => {
        const on = await start();
        const queue = unique("rpc");
        await declare(on, queue);
        const where = library === "stomp" ? on.stomp : on.amqp;
        const target = library === "stomp" ? `/amq/queue/${queue}` : queue;
        await using far = new FarEnd([library, "answer", where, target, "20"]);
        await far.ready();
        const replies: string[] = [];
        const address = parseStompAddress(`stomp://${on.stomp}/${queue}`);
        const requester = request(address, {
          jobs: 5,
          onReply: (delivery) => void replies.push(`${gotOf(delivery).body}`),
        });
        await requester.start();
        const bodies = bodiesOf(Array.from({ length: 20 }, (_, i) => bytes(`${i}\0`)));
        const envelope = { ...requestedAt(address.destination), properties: encodeProperties({}) };
        for (let i = 0; i < 20; i++) {
          while (!requester.hasRoom) await requester.changed.wait(1000);
          requester.request(bodies, i, envelope);
          requester.flush();
        }
        await waitFor(() => replies.length === 20, PATIENCE, "the replies");
        assert.deepEqual(replies, Array.from({ length: 20 }, (_, i) => `${i}\0!`));
        await far.done();
        await requester.close();
      });

      test(`reply - ${library} asks, and gets each reply with its correlation id`, async () => {
        const on = await start();
        const queue = unique("rpc");
        await declare(on, queue);
        const replier = reply(parseStompAddress(`stomp://${on.stomp}/${queue}`));
        await replier.start();
        const serving = (async () => {
          for (let asked; (asked = await replier.receive()) !== undefined;) {
            replier.reply(asked, Buffer.concat([gotOf(asked.delivery).body, bytes("!")]));
          }
        })();
        const where = library === "stomp" ? on.stomp : on.amqp;
        const target = library === "stomp" ? `/amq/queue/${queue}` : queue;
        await using far = new FarEnd([library, "ask", where, target], [
          { body: BINARY.toString("base64") },
          { body: "" },
        ]);
        const answers = await far.done();
        assert.deepEqual(answers.map(({ body }) => `${Buffer.from(body, "base64")}`), [`${BINARY}!`, "!"]);
        const ids = answers.map(({ headers, properties }) =>
          headers?.["correlation-id"] ?? properties["correlation_id"]
        );
        assert.deepEqual(ids, ["c0", "c1"]);
        await replier.close();
        await serving;
        const state = await overAmqp(on, (connection) => findQueue(connection, queue));
        assert.equal(state!.messageCount, 0);
      });
    }

    test("a full queue, and a queue that is deleted, end with the reason", async () => {
      const on = await start();
      const queue = unique("full");
      await declare(on, queue, { "x-max-length": 1, "x-overflow": "reject-publish" });
      const address = parseStompAddress(`stomp://${on.stomp}/${queue}`);
      const outlet = push(address, { reconnect: { first: 1, longest: 1 } });
      await outlet.start();
      await send(outlet, to("", queue), [bytes("1"), bytes("2")]);
      assert.equal(outlet.acknowledged, 1);
      // RabbitMQ gives no reason.
      if (name === "RabbitMQ") assert.match(outlet.failure!.message, /queue is full/);
      else assert.match(outlet.refusalReason, /is full/);
      await outlet.close();
      const inlet = pull(address, { onDelivery() {} });
      await inlet.start();
      await overAmqp(
        on,
        (connection) =>
          withChannel(connection, (channel) => channel.call("queue.delete", { queue }, "queue.delete-ok")),
      );
      await waitFor(() => inlet.failure !== undefined, PATIENCE, "the failure");
      assert.match(
        inlet.failure!.message,
        new RegExp(`cancelled subscription: destination '/amq/queue/${queue}'`),
      );
      await inlet.close();
    });
  });
}
