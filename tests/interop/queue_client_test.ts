import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import net from "node:net";
import { after, describe } from "node:test";
import tls from "node:tls";
import type { AmqpError } from "../../lib/amqp/amqp_error.ts";
import { Consumer, type ConsumerOptions } from "../../lib/amqp/client/consumer.ts";
import { type AmqpEvent, connectBroker } from "../../lib/amqp/client/link.ts";
import { type Envelope, Publisher, type PublisherOptions } from "../../lib/amqp/client/publisher.ts";
import { declareQueue, findQueue } from "../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { Decimal, type FieldTable, Timestamp, TypedNumber } from "../../lib/amqp/types/field_value.ts";
import { waitFor } from "../support/helpers.ts";
import { certificate } from "../support/stream_adapters.ts";
import { type BrokerKind, BROKERS } from "../support/brokers.ts";
import { Proxy } from "../support/rabbitmq.ts";

const PATIENCE = 20_000;
const RECONNECT = { first: 10, longest: 50 };

const to = (queue: string, properties: BasicProperties = { deliveryMode: 2 }): Envelope => ({
  exchange: "",
  routingKey: queue,
  properties: encodeProperties(properties),
});

async function declare(url: string, queue: string, args: FieldTable = {}): Promise<void> {
  const connection = await connectBroker(parseAmqpUrl(url));
  await declareQueue(connection, queue, { arguments: args });
  await connection.close();
}

async function publisher(url: string, options: PublisherOptions = {}): Promise<Publisher> {
  const started = new Publisher(parseAmqpUrl(url), { reconnect: RECONNECT, ...options });
  await started.start();
  return started;
}

/** Publishes all bodies within the window of unconfirmed messages, and waits for the confirms. */
async function publish(publisher: Publisher, bodies: readonly string[], envelope: Envelope): Promise<void> {
  for (let from = 0; from < bodies.length; from += 100) {
    const parts = bodies.slice(from, from + 100).map((body) => Buffer.from(body));
    const ends: number[] = [];
    for (const part of parts) ends.push((ends.at(-1) ?? 0) + part.length);
    const run = { bytes: Buffer.concat(parts), starts: [0, ...ends.slice(0, -1)], ends };
    for (let at = 0; at < parts.length;) {
      const next = publisher.publish(run, at, parts.length, envelope);
      if (publisher.failure !== undefined) return;
      if (next === at) await publisher.changed.wait(1000);
      at = next;
    }
  }
  await waitFor(() => publisher.pending === 0 || publisher.failure, PATIENCE, "the confirms");
}

interface Taken {
  readonly body: Uint8Array;
  readonly properties: Uint8Array;
  readonly redelivered: boolean;
  readonly routingKey: string;
}

/** Consumes into a list, and acknowledges each batch. */
async function consumer(
  url: string,
  queue: string,
  list: Taken[],
  options: Partial<ConsumerOptions> & { readonly keep?: boolean; readonly onTaken?: () => void } = {},
): Promise<Consumer> {
  let tag = 0;
  const started: Consumer = new Consumer(parseAmqpUrl(url), queue, {
    reconnect: RECONNECT,
    onDelivery({ deliveryTag, redelivered, routingKey, content }) {
      const { body, bodyStart, bodyEnd, properties, propertiesEnd } = content;
      list.push({
        body: body.slice(bodyStart, bodyEnd),
        properties: properties.slice(0, propertiesEnd),
        redelivered,
        routingKey,
      });
      options.onTaken?.();
      tag = deliveryTag;
    },
    onBatchEnd() {
      if (options.keep) return;
      started.ack({ generation: started.generation, tag }, true);
      started.flush();
    },
    ...options,
  });
  await started.start();
  return started;
}

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`);

for (const kind of BROKERS) {
  describe(`queue client, ${kind.name}`, () => {
    after(kind.stop);
    suite(kind);
  });
}

function suite({ test, broker }: BrokerKind): void {
  for (const type of ["classic", "quorum"]) {
    test(`${type} queue - bodies and properties are preserved byte for byte`, async () => {
      const { url } = await broker();
      const queue = `bytes ${type} ü`;
      await declare(url, queue, { "x-queue-type": type });
      const properties: BasicProperties = {
        contentType: "text/plain",
        contentEncoding: "identity",
        deliveryMode: 2,
        priority: 3,
        correlationId: "c-1",
        replyTo: "there",
        messageId: "m-1",
        timestamp: 1_700_000_000,
        type: "t",
        appId: "a",
        headers: {
          text: "ü",
          integer: 7,
          long: 2n ** 40n,
          double: 1.5,
          whole: new TypedNumber("d", 2),
          byte: new TypedNumber("b", -3),
          yes: true,
          nothing: null,
          bytes: Uint8Array.of(0, 255),
          time: new Timestamp(5),
          decimal: new Decimal(2, 314),
          list: [1, "two", { three: 3 }],
        },
      };
      const sizes = [0, 1, 255, 131_063, 131_064, 131_065, 300_000];
      const sent = await publisher(url);
      for (const size of sizes) {
        const body = new Uint8Array(size).map((_, i) => i * 31);
        const run = { bytes: body, starts: [0], ends: [size] };
        assert.equal(sent.publish(run, 0, 1, to(queue, properties)), 1);
      }
      await waitFor(() => sent.pending === 0, PATIENCE, "the confirms");
      await sent.close();
      const list: Taken[] = [];
      const taking = await consumer(url, queue, list);
      await waitFor(() => list.length === sizes.length, PATIENCE, "the messages");
      await taking.close();
      for (const [at, size] of sizes.entries()) {
        assert.equal(list[at]!.body.length, size);
        assert.ok(list[at]!.body.every((byte, i) => byte === (i * 31 & 0xff)), `body of ${size}`);
        // A quorum queue adds no header to a first delivery.
        assert.deepEqual(
          decodeProperties(list[at]!.properties),
          decodeProperties(encodeProperties(properties)),
        );
        assert.deepEqual([list[at]!.routingKey, list[at]!.redelivered], [queue, false]);
      }
    });
  }

  test("confirms - 20 000 messages are confirmed within a window and delivered in order", async () => {
    const { url } = await broker();
    await declare(url, "confirms");
    const bodies = numbered(20_000);
    const sent = await publisher(url, { window: 3000 });
    await publish(sent, bodies, to("confirms"));
    assert.deepEqual([sent.acknowledged, sent.refused, sent.returned, sent.takenInOrder], [
      20_000,
      0,
      0,
      20_000,
    ]);
    await sent.close();
    const list: Taken[] = [];
    const taking = await consumer(url, "confirms", list);
    await waitFor(() => list.length === bodies.length, PATIENCE, "the messages");
    assert.equal(await taking.isDrained(), true);
    await taking.close();
    assert.deepEqual(list.map(({ body }) => textOf(body)), bodies);
  });

  test("cut connection - no message is lost under load", async () => {
    const { url, port } = await broker();
    await declare(url, "cut");
    await using proxy = await Proxy.to(port);
    const lost: AmqpEvent[] = [];
    const onEvent = (event: AmqpEvent) => event.type === "lost" ? void lost.push(event) : undefined;
    const sent = await publisher(proxy.url, { window: 500, onEvent });
    let cuts = 0;
    sent.onSettled = () => {
      if (cuts >= 3 || sent.acknowledged < 2000 * (cuts + 1)) return;
      cuts++;
      proxy.cut();
    };
    const bodies = numbered(10_000);
    await publish(sent, bodies, to("cut"));
    assert.deepEqual([sent.acknowledged, sent.takenInOrder, cuts], [10_000, 10_000, 3]);
    assert.ok(lost.length >= 3);
    await sent.close();

    const list: Taken[] = [];
    const seen = new Set<string>();
    cuts = 0;
    const taking = await consumer(proxy.url, "cut", list, {
      prefetch: 200,
      onEvent,
      onTaken() {
        for (const { body } of list.splice(0)) seen.add(textOf(body));
        if (cuts === 3 || seen.size < 2000 * (cuts + 1)) return;
        cuts++;
        proxy.cut();
      },
    });
    await waitFor(() => seen.size === bodies.length, PATIENCE, "every message");
    assert.equal(cuts, 3);
    await waitFor(() => taking.isDrained(), PATIENCE, "the end of the queue");
    await taking.close();
  });

  test("closed by an operator - the client reconnects", async () => {
    const { url, dropConnections } = await broker();
    await declare(url, "forced");
    const lost: string[] = [];
    const onEvent = (event: AmqpEvent) =>
      event.type === "lost" ? void lost.push(event.error.message) : undefined;
    const sent = await publisher(url, { onEvent });
    await publish(sent, ["before"], to("forced"));
    // RabbitMQ's HTTP API lists a connection with a delay.
    await waitFor(async () => await dropConnections() >= 0 && lost.length > 0, PATIENCE, "the loss");
    assert.match(lost[0]!, /CONNECTION_FORCED/);
    await publish(sent, ["after"], to("forced"));
    assert.deepEqual([sent.acknowledged, sent.failure], [2, undefined]);
    await sent.close();
  });

  test("refused - wrong password, missing or forbidden virtual host, no listener, no AMQP", async () => {
    const { port, addVhost, addUser } = await broker();
    await addVhost("closed");
    await addUser("visitor", "v");
    const webServer = net.createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await new Promise<void>((resolve) => webServer.listen(0, "127.0.0.1", resolve));
    const elsewhere = (webServer.address() as net.AddressInfo).port;
    const cases: [url: string, code: string, words: RegExp][] = [
      [
        `amqp://guest:wrong@127.0.0.1:${port}`,
        "ERR_AUTH",
        /^Login refused for user 'guest': wrong user or password/,
      ],
      [`amqp://127.0.0.1:${port}/none`, "ERR_AUTH", /^Virtual host 'none' does not exist.*\/%2Fnone/],
      [
        `amqp://visitor:v@127.0.0.1:${port}/closed`,
        "ERR_AUTH",
        /^User 'visitor' has no access to virtual host/,
      ],
      ["amqp://127.0.0.1:1", "ERR_UNREACHABLE", /nothing is listening there/],
      [`amqp://127.0.0.1:${elsewhere}`, "ERR_PROTOCOL", /^The peer speaks HTTP, not AMQP/],
    ];
    for (const [url, code, words] of cases) {
      await assert.rejects(connectBroker(parseAmqpUrl(url)), (error: AmqpError) => {
        assert.deepEqual([error.code, words.test(error.message)], [code, true], error.message);
        return true;
      });
    }
    webServer.close();
  });

  test("several hosts - uses the first one that accepts", async () => {
    const { port } = await broker();
    const connection = await connectBroker(parseAmqpUrl(`amqp://127.0.0.1:1,127.0.0.1:${port}`));
    assert.match(connection.server, /^(RabbitMQ|mqcat) \d+\./);
    await connection.close();
    assert.equal(await connection.closed, undefined);
  });

  test("amqps - accepts a trusted certificate and refuses an untrusted one", async () => {
    const { port } = await broker();
    const { cert, key } = certificate();
    const server = tls.createServer({ cert, key }, (near) => {
      const far = net.connect(port, "127.0.0.1");
      near.pipe(far).pipe(near);
      // Reads the end of the stream after the broker has closed its side.
      far.on("close", () => near.resume());
      for (const socket of [near, far]) socket.on("error", () => {});
    });
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const brokers = parseAmqpUrl(`amqps://localhost:${(server.address() as net.AddressInfo).port}`);
    const connection = await connectBroker(brokers, { tls: { ca: cert } });
    assert.equal(await findQueue(connection, "no such queue"), undefined);
    await connection.close();
    await assert.rejects(connectBroker(brokers), /certificate|self.signed|issuer/i);
    await new Promise((resolve) => server.close(resolve));
  });

  test("declare - can be repeated, and a different declaration is reported", async () => {
    const { url } = await broker();
    const connection = await connectBroker(parseAmqpUrl(url));
    assert.equal(await findQueue(connection, "declared"), undefined);
    await declareQueue(connection, "declared");
    await declareQueue(connection, "declared");
    assert.deepEqual(await findQueue(connection, "declared"), {
      queue: "declared",
      messageCount: 0,
      consumerCount: 0,
    });
    await assert.rejects(
      declareQueue(connection, "declared", { durable: false }),
      /^MqcatError: Cannot declare queue 'declared' as it exists and its durable is true: received false/,
    );
    await assert.rejects(
      declareQueue(connection, "declared", { arguments: { "x-max-length": 5 } }),
      /its x-max-length is not set: received 5/,
    );
    await assert.rejects(declareQueue(connection, "amq.mine"), /ACCESS_REFUSED/);
    const channel = await connection.open();
    assert.equal(await channel.get("declared"), undefined);
    const sent = await publisher(url);
    await publish(sent, ["got"], to("declared"));
    await sent.close();
    const got = (await channel.get("declared"))!;
    assert.deepEqual([textOf(got.body), got.messageCount, got.deliveryTag], ["got", 0, 1]);
    channel.ack(got.deliveryTag, false);
    await channel.close();
    await connection.close();
  });

  test("full queue - rejected messages are counted and do not stop the publisher", async () => {
    const { url } = await broker();
    await declare(url, "full client", { "x-max-length": 3, "x-overflow": "reject-publish" });
    await declare(url, "roomy");
    const sent = await publisher(url);
    await publish(sent, numbered(50), to("full client"));
    assert.deepEqual([sent.acknowledged + sent.refused, sent.takenInOrder < 50], [50, true]);
    assert.ok(sent.refused > 0);
    const before = sent.acknowledged;
    await publish(sent, ["one"], to("roomy"));
    assert.equal(sent.acknowledged, before + 1);
    await sent.close();
  });

  test("unroutable - a message is returned, and a missing exchange is a final error", async () => {
    const { url } = await broker();
    const sent = await publisher(url);
    await publish(sent, ["a", "b"], to("no such queue"));
    assert.deepEqual([sent.acknowledged, sent.returned], [2, 2]);
    assert.match(sent.returnReason, /^queue 'no such queue' does not exist \(NO_ROUTE\)$/);
    await publish(sent, ["c"], { ...to("key"), exchange: "no such exchange" });
    await waitFor(() => sent.failure, PATIENCE, "the failure");
    assert.match(sent.failure!.message, /NOT_FOUND - no exchange 'no such exchange'/);
    await sent.close();
  });

  test("unacknowledged messages - are requeued in order", async () => {
    const { url } = await broker();
    await declare(url, "back");
    const sent = await publisher(url);
    await publish(sent, ["1", "2", "3"], to("back"));
    await sent.close();
    const kept: Taken[] = [];
    const keeping = await consumer(url, "back", kept, { keep: true, prefetch: 2 });
    await waitFor(() => kept.length === 2, PATIENCE, "two messages");
    await keeping.close();
    const list: Taken[] = [];
    const taking = await consumer(url, "back", list);
    await waitFor(() => list.length === 3, PATIENCE, "three messages");
    await taking.close();
    assert.deepEqual(list.map((one) => [textOf(one.body), one.redelivered]), [["1", true], ["2", true], [
      "3",
      false,
    ]]);
  });

  test("deleted queue - is a final error of its consumer", async () => {
    const { url } = await broker();
    await declare(url, "doomed");
    const taking = await consumer(url, "doomed", []);
    const connection = await connectBroker(parseAmqpUrl(url));
    const channel = await connection.open();
    await channel.call("queue.delete", { queue: "doomed" }, "queue.delete-ok");
    await waitFor(() => taking.failure, PATIENCE, "the failure");
    assert.match(taking.failure!.message, /queue 'doomed' was deleted/);
    await taking.close();
    await connection.close();
  });

  test("heartbeats - keep an idle connection; a silent server is detected, and the client reconnects", async () => {
    const { url, port } = await broker();
    await declare(url, "silent");
    await using proxy = await Proxy.to(port);
    const noteLoss = (list: string[]) => (event: AmqpEvent) =>
      event.type === "lost" ? void list.push(event.error.message) : undefined;
    const [idleLost, lost]: [string[], string[]] = [[], []];
    // Without heartbeats the idle connection would be lost first, as it is the older one.
    const idle = await publisher(`${url}?heartbeat=1`, { onEvent: noteLoss(idleLost) });
    const sent = await publisher(`${proxy.url}?heartbeat=1`, { onEvent: noteLoss(lost) });
    proxy.freeze();
    const run = { bytes: Buffer.from("late"), starts: [0], ends: [4] };
    assert.equal(sent.publish(run, 0, 1, to("silent")), 1);
    await waitFor(() => lost.length > 0, PATIENCE, "the loss");
    assert.match(lost[0]!, /sent nothing for 2 s/);
    await waitFor(() => sent.acknowledged === 1, PATIENCE, "the confirm");
    assert.deepEqual(idleLost, []);
    await sent.close();
    await idle.close();
  });

  test("limits - a message over the size limit ends the consumer", async () => {
    const { url } = await broker();
    await declare(url, "large");
    const sent = await publisher(url);
    await publish(sent, ["x".repeat(5000)], to("large"));
    await sent.close();
    const taking = await consumer(url, "large", [], { maxMessageSize: 4999 });
    await waitFor(() => taking.failure, PATIENCE, "the failure");
    assert.match(taking.failure!.message, /^Received a message of 5000 bytes: the limit is 4999$/);
    await taking.close();
  });
}
