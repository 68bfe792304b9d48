/** The publisher with thousands of unconfirmed messages, against scripted brokers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Publisher, type PublisherOptions } from "../../../../lib/amqp/client/publisher.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { PEEK } from "../../../../lib/amqp/peek.ts";
import { encodeProperties } from "../../../../lib/amqp/properties.ts";
import { LimitError } from "../../../../lib/errors.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { ANSWERS, type Script, serve } from "../../../support/scripted_broker.ts";

const PLAIN = { exchange: "", routingKey: "q", properties: encodeProperties({}) };
const large = (size: number) => ({
  ...PLAIN,
  properties: encodeProperties({ headers: { x: "x".repeat(size) } }),
});
const bodies = (...sizes: number[]) => {
  const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size, 0));
  return { bytes: new Uint8Array(ends.at(-1) ?? 0), starts: ends.map((end, i) => end - sizes[i]!), ends };
};
const ack = (tag: number, multiple = false) => ["basic.ack", { deliveryTag: tag, multiple }] as const;

async function withPublisher(
  script: Script,
  work: (publisher: Publisher, connections: Parameters<Parameters<typeof serve>[1]>[1]) => Promise<void>,
  options: PublisherOptions = {},
): Promise<void> {
  await serve(script, async (url, connections) => {
    const publisher = new Publisher(parseAmqpUrl(url), { reconnect: { first: 5, longest: 20 }, ...options });
    await deadline(publisher.start(), 5000, "the connection");
    try {
      await deadline(work(publisher, connections), 20_000, "the test");
    } finally {
      await publisher.close();
    }
  });
}

describe("AMQP publisher", () => {
  it("headers - larger than a frame are a typed error of that message, and the others are published", () =>
    withPublisher({}, async (publisher, connections) => {
      const list = [PLAIN, large(200_000), PLAIN];
      assert.equal(publisher.publish(bodies(1, 1, 1), 0, 3, list), 1);
      assert.throws(() => publisher.publish(bodies(1, 1, 1), 1, 3, list), (error: Error) => {
        assert.ok(error instanceof LimitError, `${error}`);
        assert.match(error.message, /20\d{4} bytes of headers and properties: the limit .* is 131052 /);
        return true;
      });
      assert.throws(() => publisher.publish(bodies(1), 0, 1, large(200_000)), LimitError);
      assert.throws(
        () => publisher.publish(bodies(1), 0, 1, { ...PLAIN, routingKey: "k".repeat(256) }),
        RangeError,
      );
      assert.equal(publisher.publish(bodies(1, 1, 1), 2, 3, list), 3);
      await waitFor(() => connections[0]!.asked.filter((name) => name === "content").length === 2);
      connections[0]!.say(1, ...ack(2, true));
      await waitFor(() => publisher.acknowledged === 2);
      assert.deepEqual([publisher.pending, publisher.failure], [0, undefined]);
    }));

  it("headers - a reconnect with smaller frames refuses only the messages that do not fit", async () => {
    const small: typeof ANSWERS = {
      ...ANSWERS,
      "connection.start-ok": ["connection.tune", { channelMax: 9, frameMax: 4096, heartbeat: 0 }],
    };
    const refusals: string[] = [];
    const outcome = {
      onReturn() {},
      onRefused: (error: Error) => void refusals.push(error.message),
      onSettled: (all: boolean) => void refusals.push(String(all)),
    };
    await withPublisher(
      { answers: (number) => number === 0 ? ANSWERS : small },
      async (publisher, connections) => {
        assert.equal(publisher.publish(bodies(1, 1, 1), 0, 3, [PLAIN, large(5000), PLAIN], outcome), 3);
        assert.equal(publisher.publish(bodies(1), 0, 1, large(6000)), 1);
        await waitFor(() => connections[0]!.asked.filter((name) => name === "content").length === 4);
        publisher.abort(new Error("lost"));
        await waitFor(() => connections[1]?.asked.filter((name) => name === "content").length === 2);
        assert.deepEqual([publisher.refused, publisher.pending, publisher.failure], [2, 2, undefined]);
        connections[1]!.say(1, ...ack(2, true));
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual([publisher.acknowledged, publisher.takenInOrder], [2, 0]);
        assert.match(publisher.refusalReason, /50\d\d bytes of headers and properties: .* is 4076 /);
        assert.deepEqual([refusals.length, refusals[1]], [2, "false"]);
      },
    );
  });

  it("events - a callback that throws ends the publisher with its error", () =>
    withPublisher({}, async (publisher) => {
      publisher.abort(new Error("lost"));
      await waitFor(() => publisher.failure !== undefined);
      assert.equal(publisher.failure!.message, "from a callback");
      assert.equal(publisher.publish(bodies(1), 0, 1, PLAIN), 0);
    }, {
      onEvent({ type }) {
        if (type === "lost") throw new Error("from a callback");
      },
    }));

  it("windowBytes - the last message may exceed it, and a confirm makes room", () =>
    withPublisher({}, async (publisher, connections) => {
      const list = bodies(60, 60, 60, 10);
      assert.equal(publisher.publish(list, 0, 4, PLAIN), 2);
      assert.equal(publisher.publish(list, 2, 4, PLAIN), 2);
      await waitFor(() => connections[0]!.asked.filter((name) => name === "content").length === 2);
      connections[0]!.say(1, ...ack(1));
      await waitFor(() => publisher.acknowledged === 1);
      assert.equal(publisher.publish(list, 2, 4, PLAIN), 3);
      assert.equal(publisher.publish(list, 3, 4, PLAIN), 3);
      await waitFor(() => connections[0]!.asked.filter((name) => name === "content").length === 3);
      connections[0]!.say(1, ...ack(3, true));
      await waitFor(() => publisher.pending === 0);
      assert.equal(publisher.publish(list, 0, 4, PLAIN), 2);
    }, { windowBytes: 100 }));

  it("windowBytes - counts what is unconfirmed after a reconnect, and no more", () =>
    withPublisher({}, async (publisher, connections) => {
      assert.equal(publisher.publish(bodies(40, 40, 40), 0, 3, PLAIN), 3);
      await waitFor(() => connections[0]!.asked.filter((name) => name === "content").length === 3);
      connections[0]!.say(1, ...ack(2));
      await waitFor(() => publisher.acknowledged === 1);
      publisher.abort(new Error("lost"));
      await waitFor(() => connections[1]?.asked.filter((name) => name === "content").length === 2);
      assert.equal(publisher.publish(bodies(10, 10, 10), 0, 3, PLAIN), 2);
      assert.equal(publisher.pending, 4);
    }, { windowBytes: 100 }));

  it("refusals - name the reason why the broker was blocked at the first one", () =>
    withPublisher({}, async (publisher, connections) => {
      publisher.publish(bodies(1, 1), 0, 2, PLAIN);
      await waitFor(() => connections[0]!.asked.filter((name) => name === "content").length === 2);
      connections[0]!.say(0, "connection.blocked", { reason: "low on disk" });
      connections[0]!.say(1, "basic.nack", { deliveryTag: 1 });
      connections[0]!.say(0, "connection.blocked", { reason: "low on memory" });
      connections[0]!.say(1, "basic.nack", { deliveryTag: 2 });
      await waitFor(() => publisher.refused === 2);
      assert.equal(publisher.refusalReason, "low on disk");
    }));

  it("refusals - have no reason when the broker was not blocked", () =>
    withPublisher({}, async (publisher, connections) => {
      publisher.publish(bodies(1), 0, 1, PLAIN);
      await waitFor(() => connections[0]!.asked.includes("content"));
      connections[0]!.say(0, "connection.blocked", { reason: "low on disk" });
      connections[0]!.say(0, "connection.unblocked", {});
      connections[0]!.say(1, "basic.nack", { deliveryTag: 1 });
      await waitFor(() => publisher.refused === 1);
      assert.equal(publisher.refusalReason, "");
    }));

  it("mandatory - all messages unless it is said, or those that a function chooses", async () => {
    const choose = ({ routingKey }: { routingKey: string }) => routingKey === "q";
    for (
      const [options, expected] of [[{}, true], [{ mandatory: false }, false], [
        { mandatory: choose },
        true,
      ]] as const
    ) {
      const published: unknown[] = [];
      const on: Script["on"] = (_served, name, _channel, args) => {
        if (name === "basic.publish") published.push((args as { mandatory: boolean }).mandatory);
      };
      await withPublisher({ on }, async (publisher) => {
        publisher.publish(bodies(1), 0, 1, PLAIN);
        await waitFor(() => published.length === 1);
        assert.deepEqual(published, [expected]);
      }, options);
    }
  });

  it("returns - name the queue, or the exchange with the routing key", async () => {
    for (
      const [exchange, words] of [
        ["", "queue 'q' does not exist (NO_ROUTE)"],
        ["x", "no queue is bound to exchange 'x' with the routing key 'q' (NO_ROUTE)"],
      ] as const
    ) {
      const on: Script["on"] = ({ socket, say }, name, channel) => {
        if (name !== "content") return;
        const encoder = new FrameEncoder();
        encoder.method(channel, "basic.return", {
          replyCode: 312,
          replyText: "NO_ROUTE",
          exchange,
          routingKey: "q",
        });
        encoder.contentHeader(channel, 0, PLAIN.properties);
        socket.write(encoder.out.take().slice());
        say(channel, ...ack(1));
      };
      await withPublisher({ on }, async (publisher) => {
        publisher.publish(bodies(0), 0, 1, { ...PLAIN, exchange });
        await waitFor(() => publisher.pending === 0);
        assert.deepEqual([publisher.returned, publisher.returnReason], [1, words]);
      });
    }
  });

  it("a channel that the broker closes - ends the publisher, unless the error may be over after some time", async () => {
    for (
      const [text, permanent] of [
        ["NOT_FOUND - no exchange 'x'", true],
        ["NOT_FOUND - home node 'a' is down or inaccessible", false],
      ] as const
    ) {
      const on: Script["on"] = ({ number, say }, name, channel) => {
        if (name !== "content") return;
        if (number === 0) say(channel, "channel.close", { replyCode: 404, replyText: text });
        else say(channel, ...ack(1));
      };
      await withPublisher({ on }, async (publisher, connections) => {
        publisher.publish(bodies(1), 0, 1, PLAIN);
        await waitFor(() => permanent ? publisher.failure !== undefined : publisher.pending === 0);
        assert.deepEqual(
          [publisher.failure?.message, connections.length],
          permanent ? [text, 1] : [undefined, 2],
        );
      });
    }
  });

  it("watch - over confirms of other brokers only, as our own may confirm late by intention", async () => {
    const { setInterval } = globalThis;
    for (const [capabilities, watches] of [[{}, 1], [{ [PEEK]: true }, 0]] as const) {
      let started = 0;
      globalThis.setInterval = (() => void started++) as unknown as typeof setInterval;
      try {
        await withPublisher({ capabilities }, () => Promise.resolve(assert.equal(started, watches)));
      } finally {
        globalThis.setInterval = setInterval;
      }
    }
  });
});
