/** The functions of the library for patterns, on our broker and over ZeroMQ. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  openBroker,
  Pub,
  publishTo,
  Pull,
  pull,
  Push,
  pushTo,
  reply,
  requestTo,
  Sub,
  subscribe,
} from "../../../mod.ts";
import { connectAmqp } from "../../../lib/amqp/client/api/client.ts";
import { waitFor } from "../../support/helpers.ts";

type Broker = Awaited<ReturnType<typeof openBroker>>;

/** How long a test waits for a message. */
const PATIENCE = 20_000;
const soon = () => ({ signal: AbortSignal.timeout(PATIENCE) });

describe("patterns in the library", () => {
  let broker: Broker;
  /** The addresses of the broker, which end with a slash. */
  const at = { amqp: "", mqtt: "", stomp: "" };

  before(async () => {
    broker = await openBroker();
    at.amqp = `${await broker.listen("amqp://127.0.0.1:0")}//`;
    at.mqtt = `${await broker.listen("mqtt://127.0.0.1:0")}/`;
    at.stomp = `${await broker.listen("stomp://127.0.0.1:0")}/`;
    await using client = await connectAmqp(at.amqp.slice(0, -2));
    await client.declareQueue("jobs");
    await client.declareExchange("orders", { type: "topic" });
  });
  after(() => broker.close());

  const TOPICS = { amqp: "orders.new", mqtt: "orders/new", stomp: "orders.new" } as const;
  for (const from of ["amqp", "mqtt", "stomp"] as const) {
    for (const to of ["amqp", "mqtt", "stomp"] as const) {
      it(`publishTo ${from}, subscribe ${to} - the message has its topic, its headers and its body`, async () => {
        const options = to === "mqtt" ? { topics: ["orders/#"] } : { topics: ["orders.#"] };
        await using received = await subscribe(at[to], options);
        await using sender = await publishTo(at[from]);
        const properties = { contentType: "text/plain", correlationId: "7", headers: { colour: "red" } };
        await sender.send(TOPICS[from], "one", { properties });
        await sender.send(TOPICS[from], Uint8Array.of(0, 255));
        const first = (await received.receive(soon()))!;
        assert.deepEqual([first.text(), first.redelivered], ["one", false]);
        assert.match(first.topic, new RegExp(`${TOPICS[to]}$`));
        assert.equal(first.properties.contentType, "text/plain");
        assert.equal(first.properties.correlationId, "7");
        assert.equal(first.properties.headers!["colour"], "red");
        assert.deepEqual([...(await received.receive(soon()))!.body], [0, 255]);
      });
    }
  }

  for (const system of ["amqp", "stomp"] as const) {
    it(`pushTo and pull ${system} - an unacknowledged message returns to its queue`, async () => {
      const address = `${at[system]}${system === "stomp" ? "queue/jobs" : "jobs"}`;
      await using jobs = await pushTo(address);
      await Promise.all(["a", "b", "c"].map((body) => jobs.send(body)));
      {
        await using pulled = await pull(address, { prefetch: 2 });
        const first = (await pulled.receive(soon()))!;
        assert.equal(first.text(), "a");
        first.ack();
        (await pulled.receive(soon()))!.nack();
      }
      const left: string[] = [];
      await using again = await pull(address);
      for await (const job of again) {
        job.ack();
        if (left.push(job.text()) === 2) break;
      }
      assert.deepEqual(left.sort(), ["b", "c"]);
    });
  }

  it("pushTo and pull mqtt - the members of a group share the messages", async () => {
    await using one = await pull(`${at.mqtt}work/a`);
    await using two = await pull(`${at.mqtt}work/a`);
    await using sender = await pushTo(`${at.mqtt}work/a`);
    const seen: string[] = [];
    const work = async (member: typeof one) => {
      for await (const message of member) {
        message.ack();
        seen.push(message.text());
      }
    };
    const working = Promise.all([work(one), work(two)]);
    for (let i = 0; i < 10; i++) await sender.send(String(i));
    await waitFor(() => seen.length >= 10, PATIENCE);
    await one.close();
    await two.close();
    await working;
    assert.deepEqual(seen.sort(), Array.from({ length: 10 }, (_, i) => String(i)));
  });

  it("what does not exist - is an error that names it, and nothing is created", async () => {
    await assert.rejects(pushTo(`${at.amqp}typo`), /there is no queue 'typo'/);
    await assert.rejects(pull(`${at.amqp}typo`), /there is no queue 'typo'/);
    await assert.rejects(subscribe(`${at.amqp}typo`), /there is no exchange 'typo'/);
    await assert.rejects(publishTo(`${at.amqp}typo`), /there is no exchange 'typo'/);
    await assert.rejects(pushTo(`${at.stomp}queue/typo`), /typo/);
    await using client = await connectAmqp(at.amqp.slice(0, -2));
    assert.equal(await client.findQueue("typo"), undefined);
  });

  it("mandatory - a message that reaches no queue is an error", async () => {
    await using sender = await publishTo(`${at.amqp}orders`, { mandatory: true });
    await assert.rejects(sender.send("nobody", "x"), /Nothing receives the message/);
  });

  for (const system of ["amqp", "mqtt", "stomp"] as const) {
    it(`requestTo and reply ${system} - replies arrive in the order of the requests`, async () => {
      const address = `${at[system]}${system === "stomp" ? "queue/rpc" : "rpc"}`;
      const upper = (request: { text(): string }) => Promise.resolve(request.text().toUpperCase());
      await using service = await reply(address, upper, { jobs: 4, declare: true });
      await using asking = await requestTo(address, { jobs: 10 });
      const requests = Array.from({ length: 50 }, (_, i) => `request ${i}`);
      const replies = await Promise.all(requests.map((request) => asking.ask(request, soon())));
      assert.deepEqual(replies.map((reply) => reply.text()), requests.map((text) => text.toUpperCase()));
      await service.close();
      await service.done;
    });
  }

  it("requestTo - gives up after its time; a missing queue and a closed requester are errors", async () => {
    await using client = await connectAmqp(at.amqp.slice(0, -2));
    await client.declareQueue("silent");
    await using asking = await requestTo(`${at.amqp}silent`, { timeout: 50 });
    await assert.rejects(asking.ask("anybody?"), { name: "TimeoutError" });
    const closed = await requestTo(`${at.amqp}silent`);
    const waiting = closed.ask("anybody?");
    await Promise.all([assert.rejects(waiting, { code: "ERR_CLOSED" }), closed.close()]);
    await assert.rejects(requestTo(`${at.amqp}typo`), /there is no queue 'typo'/);
    await assert.rejects(requestTo("tcp://127.0.0.1:1"), /use Req/);
    await assert.rejects(requestTo(`${at.amqp}silent`, { jobs: 0 }), RangeError);
  });

  it("reply - an error of the handler ends the service, and the request returns to its queue", async () => {
    const address = `${at.amqp}failing`;
    const failing = await reply(address, () => Promise.reject(new Error("broken")), { declare: true });
    await using asking = await requestTo(address);
    const asked = asking.ask("hello", soon());
    await assert.rejects(failing.done, /broken/);
    await using service = await reply(address, (request) => `${request.text()} again`);
    assert.equal((await asked).text(), "hello again");
    await service.close();
  });

  it("zeromq - subscribe, publishTo, pull and pushTo connect to sockets", async () => {
    await using pub = new Pub();
    await using sub = new Sub();
    await using push = new Push();
    await using pulling = new Pull();
    sub.subscribe("t");
    {
      await using received = await subscribe(await pub.bind("tcp://127.0.0.1:0"), { topics: ["t"] });
      const end = performance.now() + PATIENCE;
      while (pub.subscribers === 0 && performance.now() < end) await pub.change(10);
      await pub.send(["topic", "body"]);
      const message = (await received.receive(soon()))!;
      assert.deepEqual([message.topic, message.text()], ["topic", "body"]);
    }
    {
      await using sender = await publishTo(await sub.bind("tcp://127.0.0.1:0"));
      await sender.send("topic", "body");
      assert.deepEqual((await sub.receive())!.map((frame) => new TextDecoder().decode(frame)), [
        "topic",
        "body",
      ]);
    }
    {
      await using pulled = await pull(await push.bind("tcp://127.0.0.1:0"));
      await push.send("work");
      assert.equal((await pulled.receive(soon()))!.text(), "work");
    }
    await using sender = await pushTo(await pulling.bind("tcp://127.0.0.1:0"));
    await sender.send("work");
    assert.equal(new TextDecoder().decode((await pulling.receive())![0]), "work");
  });

  it("a stream that nobody reads - is paused, and loses nothing", async () => {
    await using received = await subscribe(`${at.amqp}orders`);
    await using sender = await publishTo(`${at.amqp}orders`);
    const count = 5000;
    await Promise.all(Array.from({ length: count }, (_, i) => sender.send("order", String(i))));
    for (let i = 0; i < count; i++) assert.equal((await received.receive(soon()))!.text(), String(i));
  });

  it("addresses - short ones and wrong ones are refused in words", async () => {
    await assert.rejects(subscribe("amqp:orders"), /names no host/);
    await assert.rejects(pull(at.amqp), /names no queue/);
    await assert.rejects(pushTo("nonsense://x"), /nonsense/);
  });
});
