/** The consumer over reconnects and errors of its queue, against scripted brokers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { Consumer } from "../../../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { findQueue } from "../../../../lib/amqp/client/queues.ts";
import { PEEK, WHERE } from "../../../../lib/amqp/peek.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import type { ByteStream } from "../../../../lib/transport/stream.ts";
import { connect } from "../../../../lib/transport/transport.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { type Answer, ANSWERS, serve, type Served } from "../../../support/scripted_broker.ts";

const AWAY = "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible";
const closeOf = (replyCode: number, replyText: string): Answer => [
  "channel.close",
  { replyCode, replyText, classId: 50, methodId: 10 },
];
const reconnect = { first: 5, longest: 20 };
const isAmqp = (code: number, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AmqpError, `${error}`);
  assert.deepEqual([error.replyCode, words.test(error.message)], [code, true], error.message);
  return true;
};

/** A stream that notes whether it is paused. */
function noting(stream: ByteStream): ByteStream & { paused: boolean } {
  const pause = stream.pause.bind(stream);
  const resume = stream.resume.bind(stream);
  const noted = Object.assign(stream, {
    paused: false,
    pause() {
      noted.paused = true;
      pause();
    },
    resume() {
      noted.paused = false;
      resume();
    },
  });
  return noted;
}

describe("AMQP consumer", () => {
  it("selects - only a server that can apply the filter does, if there is one", async () => {
    for (
      const [where, able, expected] of [["size > 1", true, true], ["size > 1", false, false], [
        undefined,
        true,
        false,
      ]] as const
    ) {
      await serve({ capabilities: able ? { [WHERE]: true } : {} }, async (url) => {
        const options = { reconnect, onDelivery: () => {}, ...(where === undefined ? {} : { where }) };
        const consumer = new Consumer(parseAmqpUrl(url), "q", options);
        await deadline(consumer.start(), 5000, "the start");
        assert.equal(consumer.selects, expected);
        await deadline(consumer.close(), 5000, "the close");
      });
    }
  });

  it("prefetch - is 1000 unless it is given", async () => {
    for (const [options, expected] of [[{}, 1000], [{ prefetch: 7 }, 7]] as const) {
      let asked: unknown;
      await serve({
        on: (_served, name, _channel, args) => {
          if (name === "basic.qos") asked = (args as { prefetchCount: number }).prefetchCount;
        },
      }, async (url) => {
        const consumer = new Consumer(parseAmqpUrl(url), "q", {
          reconnect,
          onDelivery: () => {},
          ...options,
        });
        await deadline(consumer.start(), 5000, "the start");
        assert.equal(asked, expected);
        await deadline(consumer.close(), 5000, "the close");
      });
    }
  });

  for (
    const [what, counts, expected] of [
      ["is drained", { messageCount: 0, consumerCount: 1 }, true],
      ["has messages", { messageCount: 1, consumerCount: 1 }, false],
      ["has no leader, and so no consumers", { messageCount: 0, consumerCount: 0 }, false],
    ] as const
  ) {
    it(`isDrained - ${expected} for a queue that ${what}; false without a connection`, () =>
      serve({
        answers: () => ({ ...ANSWERS, "queue.declare": ["queue.declare-ok", { queue: "q", ...counts }] }),
      }, async (url) => {
        const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
        assert.equal(await consumer.isDrained(), false);
        await deadline(consumer.start(), 5000, "the start");
        assert.equal(await deadline(consumer.isDrained(), 5000, "the check"), expected);
        await deadline(consumer.close(), 5000, "the close");
        assert.equal(await consumer.isDrained(), false);
      }));
  }

  it("pause - lasts over a reconnect, until resume", () =>
    serve({}, async (url, connections) => {
      const brokers = parseAmqpUrl(url);
      const streams: { paused: boolean }[] = [];
      const came: string[] = [];
      const consumer = new Consumer(brokers, "q", {
        reconnect,
        async dial(signal) {
          const stream = noting(await connect(brokers[0]!.endpoint, { signal }));
          streams.push(stream);
          return stream;
        },
        onDelivery: ({ content: { body, bodyStart, bodyEnd } }) =>
          void came.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd))),
      });
      await deadline(consumer.start(), 5000, "the connection");
      try {
        consumer.pause();
        assert.equal(streams[0]!.paused, true);
        consumer.abort(new Error("lost"));
        await waitFor(() => consumer.generation === 2 && streams[1]!.paused);
        connections[1]!.deliver(1, 1, 3);
        consumer.resume();
        assert.equal(streams[1]!.paused, false);
        await waitFor(() => came.length === 3);
        consumer.abort(new Error("lost again"));
        await waitFor(() => connections[2]?.asked.includes("basic.consume") === true);
        connections[2]!.deliver(1, 1, 1);
        await waitFor(() => came.length === 4);
        assert.deepEqual([came, streams[2]!.paused], [["m1", "m2", "m3", "m1"], false]);
      } finally {
        await consumer.close();
      }
    }));

  it("acknowledgements - of a lost connection are not sent on the next one", () =>
    serve({}, async (url, connections) => {
      const receipts: { generation: number; tag: number }[] = [];
      const consumer: Consumer = new Consumer(parseAmqpUrl(url), "q", {
        reconnect,
        onDelivery: ({ deliveryTag: tag }) => void receipts.push({ generation: consumer.generation, tag }),
      });
      await deadline(consumer.start(), 5000, "the connection");
      try {
        connections[0]!.deliver(1, 1, 2);
        await waitFor(() => receipts.length === 2);
        consumer.abort(new Error("lost"));
        await waitFor(() => connections[1]?.asked.includes("basic.consume") === true);
        connections[1]!.deliver(1, 1, 1);
        await waitFor(() => receipts.length === 3);
        for (const receipt of receipts) consumer.ack(receipt, false);
        for (const receipt of receipts) consumer.nack(receipt, true);
        consumer.flush();
        await waitFor(() => connections[1]!.asked.includes("basic.nack"));
        assert.deepEqual(connections[1]!.asked.filter((name) => /ack/.test(name)), [
          "basic.ack",
          "basic.nack",
        ]);
      } finally {
        await consumer.close();
      }
    }));

  it("a deleted queue - basic.cancel is a 404 with its name, and the consumer does not reconnect", () =>
    serve({
      answers: () => ({ ...ANSWERS, "queue.declare": closeOf(404, "NOT_FOUND - no queue 'q' in vhost '/'") }),
      on(served, name, channel) {
        if (name === "basic.consume") {
          served.say(channel, "basic.cancel", { consumerTag: "mqcat", nowait: true });
        }
      },
    }, async (url, connections) => {
      const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
      await deadline(consumer.start().catch(() => {}), 5000, "the start");
      await waitFor(() => consumer.failure !== undefined);
      isAmqp(404, /queue 'q' was deleted/)(consumer.failure);
      await deadline(consumer.close(), 5000, "the close");
      assert.equal(connections.length, 1);
    }));

  it("a queue whose node is down - basic.cancel lets the consumer reconnect until the queue is back", () =>
    serve({
      answers: (connection) =>
        connection > 1 ? ANSWERS : {
          ...ANSWERS,
          "queue.declare": closeOf(404, AWAY),
          ...(connection === 0 ? {} : { "basic.consume": closeOf(404, AWAY) }),
        },
      on(served, name, channel) {
        if (name === "basic.consume" && served.number === 0) {
          served.say(channel, "basic.cancel", { consumerTag: "mqcat", nowait: true });
        }
      },
    }, async (url, connections) => {
      const events: string[] = [];
      const consumer = new Consumer(parseAmqpUrl(url), "q", {
        reconnect,
        onDelivery: () => {},
        onEvent: (event) => void events.push(event.type === "away" ? event.error.message : event.type),
      });
      await deadline(consumer.start(), 5000, "the start");
      try {
        await waitFor(() => connections.length === 3 && connections[2]!.asked.includes("basic.consume"));
        assert.equal(consumer.failure, undefined);
        assert.deepEqual(events.filter((event) => event.startsWith("queue")), [
          "queue 'q' is unavailable: its node 'rabbit@b' is down",
        ]);
      } finally {
        await consumer.close();
      }
    }));

  it("a queue without a leader - an answer without messages and without consumers is not believed", () =>
    serve({
      answers: () => ({
        ...ANSWERS,
        "queue.declare": ["queue.declare-ok", { queue: "q", messageCount: 0, consumerCount: 0 }],
      }),
    }, async (url) => {
      const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
      await deadline(consumer.start(), 5000, "the start");
      try {
        assert.equal(await consumer.isDrained(), false);
      } finally {
        await consumer.close();
      }
    }));

  for (
    const [code, text] of [[404, "NOT_FOUND - no queue 'q'"], [405, "RESOURCE_LOCKED - queue 'q'"]] as const
  ) {
    const close = { replyCode: code, replyText: text, classId: 60, methodId: 20 };

    it(`a deleted queue - ${code} at the consume ends the consumer with the text of the broker`, () =>
      serve({
        answers: () => ({ ...ANSWERS, "basic.consume": ["channel.close", close] }),
      }, async (url, connections) => {
        const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
        await assert.rejects(deadline(consumer.start(), 5000, "the start"), isAmqp(code, /queue 'q'/));
        await deadline(consumer.close(), 5000, "the close");
        assert.equal(connections.length, 1);
      }));

    it(`a deleted queue - ${code} after a reconnect ends the consumer with the text of the broker`, () =>
      serve({
        answers: (number) =>
          number === 0 ? ANSWERS : { ...ANSWERS, "basic.consume": ["channel.close", close] },
      }, async (url, connections) => {
        const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
        await deadline(consumer.start(), 5000, "the start");
        consumer.abort(new Error("lost"));
        await waitFor(() => consumer.failure !== undefined);
        isAmqp(code, /queue 'q'/)(consumer.failure);
        await deadline(consumer.close(), 5000, "the close");
        assert.equal(connections.length, 2);
      }));

    it(`find - ${code} ${code === 404 ? "is a queue that does not exist" : "is an error"}`, () =>
      serve({ answers: () => ({ ...ANSWERS, "queue.declare": ["channel.close", close] }) }, async (url) => {
        const connection = await connectBroker(parseAmqpUrl(url));
        const found = deadline(findQueue(connection, "q"), 5000, "the reply");
        if (code === 404) assert.equal(await found, undefined);
        else await assert.rejects(found, isAmqp(405, /RESOURCE_LOCKED/));
        await connection.close();
      }));
  }

  it("isDrained, isAtEnd - two passive declarations, and no delivery meanwhile", async () => {
    const asked: unknown[] = [];
    let onDeclare = (_count: number, _served: Served, _channel: number) => {};
    await serve({
      on(served, name, channel, args) {
        if (name !== "queue.declare") return;
        const { queue, passive } = args as { queue: string; passive: boolean };
        asked.push([queue, passive]);
        onDeclare(asked.length, served, channel);
      },
    }, async (url, connections) => {
      const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
      assert.equal(await consumer.isAtEnd(), false);
      await deadline(consumer.start(), 5000, "the start");
      try {
        for (const check of [() => consumer.isDrained(), () => consumer.isAtEnd()]) {
          assert.equal(await deadline(check(), 5000, "the check"), true);
          assert.deepEqual(asked.splice(0), [["q", true], ["q", true]]);
          // The reply to the question overtakes a delivery.
          onDeclare = (count, served, channel) => count === 1 && served.deliver(channel, 1, 1);
          assert.equal(await deadline(check(), 5000, "the check"), false);
          asked.length = 0;
          onDeclare = () => {};
        }
        onDeclare = (count) => void (count === 1 && connections[0]!.socket.destroy());
        const lost = consumer.isAtEnd();
        assert.equal(await deadline(lost, 5000, "the check"), false);
      } finally {
        await consumer.close();
      }
    });
  });

  it("cancel - ends the deliveries once, and waits for the reply no longer than the limit", async () => {
    for (const replies of [true, false]) {
      const { "basic.cancel": _, ...silent } = ANSWERS;
      await serve({ answers: () => replies ? ANSWERS : silent }, async (url, connections) => {
        const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
        await deadline(consumer.cancel(), 5000, "the cancellation before the start");
        await deadline(consumer.start(), 5000, "the start");
        await deadline(consumer.cancel(replies ? undefined : 1), 5000, "the cancellation");
        await waitFor(() => connections[0]!.asked.includes("basic.cancel"));
        await deadline(consumer.close(), 5000, "the close");
        await deadline(consumer.cancel(), 5000, "the cancellation after the close");
        assert.deepEqual(connections[0]!.asked.filter((name) => name === "basic.cancel").length, 1);
      });
    }
  });

  it("acknowledgements - each of one message; the watch over deliveries knows their number", async () => {
    const { setInterval } = globalThis;
    const checks: (() => void)[] = [];
    globalThis.setInterval =
      ((check: () => void) => void checks.push(check)) as unknown as typeof setInterval;
    try {
      const settled: unknown[] = [];
      await serve({
        answers: () => ({
          ...ANSWERS,
          "queue.declare": ["queue.declare-ok", { queue: "q", messageCount: 3, consumerCount: 1 }],
        }),
        on(_served, name, _channel, args) {
          if (/ack$/.test(name)) settled.push([name, { ...args }]);
        },
      }, async (url, connections) => {
        const tags: number[] = [];
        const events: string[] = [];
        const consumer = new Consumer(parseAmqpUrl(url), "q", {
          reconnect,
          onDelivery: ({ deliveryTag }) => void tags.push(deliveryTag),
          onEvent: (event) => void (event.type === "lost" && events.push(event.error.message)),
        });
        await deadline(consumer.start(), 5000, "the start");
        assert.equal(checks.length, 1);
        connections[0]!.deliver(1, 1, 4);
        await waitFor(() => tags.length === 4);
        const receipt = (tag: number) => ({ generation: consumer.generation, tag });
        consumer.ack(receipt(2), true);
        consumer.ack(receipt(3), false);
        consumer.flush();
        await waitFor(() => settled.length === 2);
        checks[0]!();
        checks[0]!();
        consumer.nack(receipt(4), true);
        consumer.flush();
        await waitFor(() => settled.length === 3);
        assert.deepEqual(settled, [
          ["basic.ack", { deliveryTag: 2, multiple: true }],
          ["basic.ack", { deliveryTag: 3, multiple: false }],
          ["basic.nack", { deliveryTag: 4, multiple: false, requeue: true }],
        ]);
        assert.ok(!connections[0]!.asked.includes("queue.declare"), "a message is not settled");
        checks[0]!();
        await waitFor(() => events.length === 1);
        assert.deepEqual(events, ["queue 'q' is unavailable: the broker delivers none of its 3 messages"]);
        await deadline(consumer.close(), 5000, "the close");
      });
    } finally {
      globalThis.setInterval = setInterval;
    }
  });

  it("filter - a server that can apply it selects the messages; for another one no limit is large enough", async () => {
    const cases = [
      [{ where: "size > 1" }, true, { "x-mqcat-where": "size > 1", "x-mqcat-drain": false }, 7],
      [{ where: "size > 1", drain: true }, true, { "x-mqcat-where": "size > 1", "x-mqcat-drain": true }, 7],
      [{ where: "size > 1", drain: true }, false, {}, 0],
      [{ drain: true }, true, {}, 7],
      [{ arguments: () => ({ "x-priority": 5 }) }, true, { "x-priority": 5 }, 7],
    ] as const;
    for (const [options, able, args, prefetch] of cases) {
      const asked = new Map<string, Record<string, unknown>>();
      await serve({
        capabilities: able ? { [WHERE]: true, [PEEK]: true } : {},
        on: (_served, name, _channel, args) => void asked.set(name, args as Record<string, unknown>),
      }, async (url, connections) => {
        let ends = 0;
        const consumer = new Consumer(parseAmqpUrl(url), "q", {
          reconnect,
          prefetch: 7,
          ...options,
          onDelivery: () => {},
          onBatchEnd: () => void ends++,
        });
        await deadline(consumer.start(), 5000, "the start");
        const { arguments: found, queue, consumerTag } = asked.get("basic.consume")!;
        assert.deepEqual([{ ...found as object }, queue, consumerTag], [args, "q", "mqcat"]);
        assert.equal(asked.get("basic.qos")!["prefetchCount"], prefetch);
        if ("where" in options && "drain" in options && able) {
          // The server says when all messages are tested, so the queue is not asked.
          assert.equal(await consumer.isDrained(), false);
          connections[0]!.say(1, "basic.cancel", { consumerTag: "mqcat", nowait: true });
          await waitFor(() => ends === 1);
          assert.equal(await consumer.isDrained(), true);
          assert.ok(!asked.has("queue.declare"));
        }
        await deadline(consumer.close(), 5000, "the close");
        assert.equal(consumer.selects, false);
      });
    }
  });

  it("watch - over deliveries of other brokers only, as our own does not forget acknowledgements", async () => {
    const { setInterval } = globalThis;
    for (const [capabilities, watches] of [[{}, 1], [{ [PEEK]: true }, 0]] as const) {
      let started = 0;
      globalThis.setInterval = (() => void started++) as unknown as typeof setInterval;
      try {
        await serve({ capabilities }, async (url) => {
          const consumer = new Consumer(parseAmqpUrl(url), "q", { reconnect, onDelivery: () => {} });
          await deadline(consumer.start(), 5000, "the start");
          assert.equal(started, watches);
          await deadline(consumer.close(), 5000, "the close");
        });
      } finally {
        globalThis.setInterval = setInterval;
      }
    }
  });
});
