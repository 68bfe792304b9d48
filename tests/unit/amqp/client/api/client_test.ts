/** The public AMQP client against the embedded broker, through mod.ts. */
import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, it } from "node:test";
import {
  type AmqpClient,
  AmqpError,
  type AmqpEvent,
  type AmqpOptions,
  ClosedError,
  connectAmqp,
  type EmbeddedBroker,
  EndpointError,
  LimitError,
  MqcatError,
  openBroker,
  RefusedError,
  UnreachableError,
} from "../../../../../mod.ts";
import { deadline, waitFor } from "../../../../support/helpers.ts";
import { Proxy } from "../../../../support/rabbitmq.ts";

let broker: EmbeddedBroker;
let url: string;

before(async () => {
  broker = await openBroker();
  url = await broker.listen("amqp://127.0.0.1:0");
});
after(() => broker.close());

const RECONNECT = { first: 10, longest: 50 };
const connect = (options: AmqpOptions = {}) => connectAmqp(url, { reconnect: RECONNECT, ...options });

/** A client with an empty queue of its own. */
async function withQueue(
  queue: string,
  work: (client: AmqpClient) => Promise<void>,
  args: { readonly [name: string]: number | string } = {},
): Promise<void> {
  await using client = await connect();
  await client.declareQueue(queue, { arguments: args });
  await deadline(work(client), 20_000, "the test");
}

/** A condition for an AMQP error with this reply code. */
const isAmqp = (replyCode: number, words: RegExp) => (error: Error) => {
  assert.ok(error instanceof AmqpError, `${error}`);
  assert.equal(error.replyCode, replyCode);
  assert.match(error.message, words);
  return true;
};

describe("AMQP client", () => {
  it("connect - logs in, names the server and closes twice", async () => {
    const client = await connect();
    assert.match(client.server, /^mqcat/);
    await client.close();
    await client.close();
    await assert.rejects(client.declareQueue("q"), ClosedError);
    await assert.rejects(client.publish("q", "m"), ClosedError);
    await assert.rejects(client.consume("q"), ClosedError);
    await assert.rejects(client.get("q"), ClosedError);
  });

  it("connect - reports a malformed URL, wrong credentials and a closed port", async () => {
    await assert.rejects(connectAmqp("http://localhost"), EndpointError);
    await assert.rejects(connectAmqp(url.replace("//", "//guest:wrong@")), RefusedError);
    await assert.rejects(connectAmqp("amqp://127.0.0.1:1"), UnreachableError);
  });

  it("connect - ends with the reason of the signal, before and during the handshake", async () => {
    const reason = new Error("stop");
    await assert.rejects(connect({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
    const sockets: net.Socket[] = [];
    let ended = 0;
    const silent = net.createServer((socket) => {
      sockets.push(socket.on("error", () => {}).on("close", () => ended++).resume());
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = silent.address() as net.AddressInfo;
      const abort = new AbortController();
      const connecting = connectAmqp(`amqp://127.0.0.1:${port}`, { signal: abort.signal });
      connecting.catch(() => {});
      await waitFor(() => sockets.length > 0);
      abort.abort(reason);
      await assert.rejects(deadline(connecting, 5000, "the abort"), (error) => error === reason);
      await waitFor(() => ended === 1);
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  it("queues - declares, finds, purges and deletes a queue", () =>
    withQueue("life", async (client) => {
      assert.deepEqual(await client.findQueue("life"), { queue: "life", messageCount: 0, consumerCount: 0 });
      await client.publish("life", "a");
      await client.publish("life", "b");
      assert.equal((await client.findQueue("life"))!.messageCount, 2);
      assert.equal(await client.purgeQueue("life"), 2);
      assert.equal(await client.deleteQueue("life"), 0);
      assert.equal(await client.findQueue("life"), undefined);
      await assert.rejects(client.purgeQueue("life"), isAmqp(404, /no queue 'life'/));
      const { queue } = await client.declareQueue("", { autoDelete: true });
      assert.match(queue, /^amq\.gen/);
    }));

  it("queues - names the difference to an existing queue", () =>
    withQueue("same", async (client) => {
      await assert.rejects(client.declareQueue("same", { durable: false }), (error: Error) => {
        assert.ok(error instanceof MqcatError);
        assert.match(error.message, /queue 'same' as it exists and its durable is true: received false/);
        return true;
      });
    }));

  it("exchanges - routes a message to a bound queue", () =>
    withQueue("orders", async (client) => {
      await client.declareExchange("shop", { type: "topic" });
      await client.bindQueue("orders", "shop", "orders.*");
      await client.publish({ exchange: "shop", routingKey: "orders.new" }, "one");
      const message = (await client.get("orders"))!;
      assert.deepEqual([message.exchange, message.routingKey, message.text()], ["shop", "orders.new", "one"]);
      message.ack();
      await assert.rejects(
        client.declareExchange("shop", { type: "fanout" }),
        isAmqp(406, /inequivalent arg 'type'/),
      );
    }));

  it("publish - sends bytes and properties; a message is persistent by default", () =>
    withQueue("bytes", async (client) => {
      const body = Uint8Array.of(0, 255, 10);
      await client.publish("bytes", body, { properties: { contentType: "x/y", headers: { n: 7 } } });
      await client.publish("bytes", "text ü");
      const first = (await client.get("bytes"))!;
      assert.deepEqual([...first.body], [...body]);
      assert.deepEqual([first.properties.contentType, { ...first.properties.headers }], ["x/y", { n: 7 }]);
      const second = (await client.get("bytes"))!;
      assert.deepEqual([second.text(), second.properties], ["text ü", { deliveryMode: 2 }]);
    }));

  it("publish - keeps the order of thousands of calls that are in progress", () =>
    withQueue("order", async (client) => {
      const COUNT = 12_000; // More than the window of the publisher.
      const { signal } = new AbortController();
      const sent = Array.from(
        { length: COUNT },
        (_, i) => client.publish("order", `${i}`, i % 2 === 0 ? { signal } : {}),
      );
      await Promise.all(sent);
      const consumer = await client.consume("order", { prefetch: 1000 });
      for (let i = 0; i < COUNT; i++) {
        const message = (await consumer.receive())!;
        assert.equal(message.text(), `${i}`);
        message.ack();
      }
      await consumer.close();
      assert.equal((await client.findQueue("order"))!.messageCount, 0);
    }));

  it("publish - rejects exactly the returned messages", () =>
    withQueue("there", async (client) => {
      const names = Array.from({ length: 40 }, (_, i) => i % 3 === 0 ? "not there" : "there");
      const ends = await Promise.allSettled(names.map((queue, i) => client.publish(queue, `${i}`)));
      assert.deepEqual(
        ends.map(({ status }) => status),
        names.map((queue) => queue === "there" ? "fulfilled" : "rejected"),
      );
      await assert.rejects(
        client.publish("not there", "x"),
        isAmqp(312, /^Cannot deliver the message as queue 'not there' does not exist/),
      );
    }));

  it("publish - rejects a message that a full queue refuses", () =>
    withQueue("full", async (client) => {
      await client.publish("full", "fits");
      await assert.rejects(client.publish("full", "too many"), (error: Error) => {
        assert.match(error.message, /^The broker refused the message \(basic\.nack\)/);
        return error instanceof MqcatError;
      });
    }, { "x-max-length": 1, "x-overflow": "reject-publish" }));

  it("publish - continues after an exchange that does not exist", () =>
    withQueue("after", async (client) => {
      await assert.rejects(client.publish({ exchange: "none" }, "x"), isAmqp(404, /no exchange 'none'/));
      await client.publish("after", "works");
      assert.equal((await client.get("after"))!.text(), "works");
    }));

  it("publish - checks names and properties before it sends", () =>
    withQueue("checked", async (client) => {
      await assert.rejects(client.publish("q".repeat(256), "x"), RangeError);
      await assert.rejects(client.publish("checked", "x", { properties: { priority: 256 } }), RangeError);
      const properties = { headers: { large: "x".repeat(200_000) } };
      await assert.rejects(client.publish("checked", "x", { properties }), LimitError);
      await client.publish("checked", "fine");
      const reason = new Error("stop");
      await assert.rejects(
        client.publish("checked", "x", { signal: AbortSignal.abort(reason) }),
        (error) => error === reason,
      );
      assert.equal((await client.findQueue("checked"))!.messageCount, 1);
    }));

  it("get - takes messages until the queue is empty; nack returns a message", () =>
    withQueue("get", async (client) => {
      assert.equal(await client.get("get"), undefined);
      await client.publish("get", "again");
      const first = (await client.get("get"))!;
      assert.equal(first.redelivered, false);
      first.nack();
      first.ack(); // Has no effect.
      const second = await waitFor(() => client.get("get"));
      assert.deepEqual([second!.text(), second!.redelivered], ["again", true]);
      second!.ack();
      await assert.rejects(client.get("not there"), isAmqp(404, /no queue 'not there'/));
      assert.equal((await client.findQueue("get"))!.messageCount, 0);
    }));

  it("consume - iterates, acknowledges, and returns what is unacknowledged", () =>
    withQueue("work", async (client) => {
      for (let i = 0; i < 10; i++) await client.publish("work", `${i}`);
      const seen: string[] = [];
      {
        await using consumer = await client.consume("work", { prefetch: 4 });
        for await (const message of consumer) {
          seen.push(message.text());
          message.ack();
          if (seen.length === 6) break;
        }
        assert.equal((await consumer.receive())!.text(), "6");
      }
      assert.deepEqual(seen, ["0", "1", "2", "3", "4", "5"]);
      await waitFor(async () => (await client.findQueue("work"))?.consumerCount === 0);
      assert.equal((await client.findQueue("work"))!.messageCount, 4);
    }));

  it("consume - holds no more unacknowledged messages than the prefetch", () =>
    withQueue("held", async (client) => {
      for (let i = 0; i < 5; i++) await client.publish("held", `${i}`);
      const consumer = await client.consume("held", { prefetch: 2 });
      const first = (await consumer.receive())!;
      await consumer.receive();
      const reason = new Error("enough");
      const abort = new AbortController();
      const waiting = consumer.receive({ signal: abort.signal });
      waiting.catch(() => {});
      abort.abort(reason);
      await assert.rejects(waiting, (error) => error === reason);
      assert.equal((await client.findQueue("held"))!.messageCount, 3);
      first.ack();
      assert.equal((await consumer.receive())!.text(), "2");
      for (const prefetch of [0, -1, 1.5, 65_536, NaN]) {
        await assert.rejects(client.consume("held", { prefetch }), RangeError, `${prefetch}`);
      }
      for (const prefetch of [1, 65_535]) await (await client.consume("held", { prefetch })).close();
    }));

  it("consume - rejects for a queue that does not exist, and reports a deleted queue", () =>
    withQueue("gone", async (client) => {
      await assert.rejects(client.consume("not there"), isAmqp(404, /no queue 'not there'/));
      const consumer = await client.consume("gone");
      const waiting = consumer.receive();
      waiting.catch(() => {});
      await client.deleteQueue("gone");
      await assert.rejects(waiting, isAmqp(404, /queue 'gone' was deleted/));
    }));

  it("consume - a signal closes the consumer; close ends the iteration", () =>
    withQueue("signal", async (client) => {
      const reason = new Error("stop");
      const abort = new AbortController();
      const first = await client.consume("signal", { signal: abort.signal });
      const waiting = first.receive();
      waiting.catch(() => {});
      abort.abort(reason);
      await assert.rejects(waiting, (error) => error === reason);
      const second = await client.consume("signal");
      const end = second.receive();
      await client.close();
      assert.equal(await end, undefined);
      for await (const message of second) assert.fail(`received ${message.text()} after close`);
    }));

  it("reconnect - publisher, consumer and commands continue after a lost connection", () =>
    withQueue("lost", async () => {
      await using proxy = await Proxy.to(Number(new URL(url).port));
      const events: AmqpEvent[] = [];
      {
        await using client = await connectAmqp(proxy.url, {
          reconnect: RECONNECT,
          onEvent: (event) => events.push(event),
        });
        const consumer = await client.consume("lost");
        await client.publish("lost", "before");
        const before = (await consumer.receive())!;
        proxy.cut();
        await waitFor(() => events.filter(({ type }) => type === "lost").length === 2);
        before.ack(); // Has no effect: the connection is lost.
        await client.publish("lost", "after");
        const bodies: string[] = [];
        while (bodies.length < 2) {
          const message = (await consumer.receive())!;
          bodies.push(`${message.text()} ${message.redelivered}`);
          message.ack();
        }
        assert.deepEqual(bodies.sort(), ["after false", "before true"]);
        await waitFor(async () => (await client.findQueue("lost"))?.consumerCount === 1);
      }
    }));

  it("public objects - show no field of the implementation", async () => {
    await using client = await connect();
    await client.declareQueue("plain", { autoDelete: true });
    const consumer = await client.consume("plain");
    await client.publish("plain", "x");
    const message = (await consumer.receive())!;
    assert.deepEqual(Object.keys(client), []);
    assert.deepEqual(Object.keys(consumer), ["queue"]);
    assert.deepEqual(Object.keys(message).sort(), ["body", "exchange", "redelivered", "routingKey"]);
  });
});
