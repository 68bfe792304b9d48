/** Questions about queues and exchanges, and what the refusals of a broker say about them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { explainQueue, isGone, isTemporary } from "../../../../lib/amqp/client/availability.ts";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import {
  countReady,
  declareQueue,
  exchangeType,
  findExchange,
  KNOWN_TYPES,
  purgeQueue,
  queueArguments,
} from "../../../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { PEEK } from "../../../../lib/amqp/peek.ts";
import { AwayError } from "../../../../lib/link/away.ts";
import { deadline } from "../../../support/helpers.ts";
import { type Answer, ANSWERS, serve } from "../../../support/scripted_broker.ts";

/** Counts at a broker that answers so. @returns the count, and whether a consumer asked */
async function count(
  messageCount: number,
  consumerCount: number,
  capabilities = {},
): Promise<[count: number | undefined, consumes: boolean]> {
  const reply: Answer = ["queue.declare-ok", { queue: "q", messageCount, consumerCount }];
  let found: number | undefined;
  let consumes = false;
  await serve({
    answers: () => ({ ...ANSWERS, "queue.declare": reply }),
    capabilities,
    on(_served, name) {
      if (name === "basic.consume") consumes = true;
    },
  }, async (url) => {
    const connection = await connectBroker(parseAmqpUrl(url));
    try {
      found = await deadline(countReady(connection, "q"), 5000);
    } finally {
      await connection.close();
    }
  });
  return [found, consumes];
}

describe("failures of queues", () => {
  it("temporary - some codes that close a connection, and some texts that close a channel", () => {
    const codes = [
      200,
      311,
      312,
      313,
      320,
      402,
      403,
      404,
      405,
      406,
      501,
      502,
      503,
      504,
      505,
      506,
      530,
      540,
      541,
    ];
    const temporary = (scope: "channel" | "connection", text: string) =>
      codes.filter((code) => isTemporary(new AmqpError(code, text, { scope })));
    assert.deepEqual(temporary("connection", "x"), [320, 506, 541]);
    assert.deepEqual(temporary("channel", "x"), []);
    assert.deepEqual(temporary("channel", "the node is down or inaccessible"), codes);
  });

  it("away - names the reason; a stopped connection and other failures say nothing about the queue", () => {
    const connection = (code: number) => new AmqpError(code, "x", { scope: "connection" });
    const channel = (text: string) => new AmqpError(404, text, { scope: "channel" });
    const cases: [Error, string | undefined][] = [
      [channel("home node 'rabbit@b' of queue 'q' is down or inaccessible"), "its node 'rabbit@b' is down"],
      [channel("the queue is STOPPED by supervisor"), "the queue is STOPPED by supervisor"],
      [channel("failed to perform operation on queue 'q'"), "failed to perform operation on queue 'q'"],
      [channel("does not have a running replica on the node"), "does not have a running replica on the node"],
      [channel("does not have a replica on the node"), "does not have a replica on the node"],
      [connection(541), "x (if it is a quorum queue, most of its nodes may be down)"],
      [connection(506), "x"],
      [connection(320), undefined],
      [channel("no queue 'q'"), undefined],
      [new Error("is down or inaccessible"), undefined],
    ];
    for (const [error, reason] of cases) {
      const explained = explainQueue("q", error) as Error;
      if (reason === undefined) assert.equal(explained, error);
      else {
        assert.ok(explained instanceof AwayError);
        assert.deepEqual(
          [explained.message, explained.cause],
          [`queue 'q' is unavailable: ${reason}`, error],
        );
      }
    }
    assert.deepEqual(
      [channel("no queue"), channel("is down or inaccessible"), connection(404), new Error("404")].map(
        isGone,
      ),
      [true, false, true, false],
    );
  });
});

describe("count of ready messages", () => {
  it("count - is believed if the queue has messages or consumers", async () => {
    assert.deepEqual(await count(1, 0), [1, false]);
    assert.deepEqual(await count(0, 1), [0, false]);
    assert.deepEqual(await count(7, 2), [7, false]);
  });

  it("count - a consumer that asks takes one message, which counts", async () => {
    const asked: unknown[] = [];
    let declares = 0;
    await serve({
      answers: () => ({ ...ANSWERS, "queue.declare": undefined }),
      on(served, name, channel, args) {
        if (name === "basic.qos") asked.push((args as { prefetchCount: number }).prefetchCount);
        if (name !== "queue.declare") return;
        asked.push((args as { passive: boolean }).passive);
        const isFirst = declares++ === 0;
        if (declares === 2) served.deliver(channel, 1, 1);
        const counts = { messageCount: isFirst ? 0 : 4, consumerCount: isFirst ? 0 : 1 };
        served.say(channel, "queue.declare-ok", { queue: "q", ...counts });
      },
    }, async (url) => {
      const connection = await connectBroker(parseAmqpUrl(url));
      assert.equal(await deadline(countReady(connection, "q"), 5000), 5);
      await connection.close();
    });
    assert.deepEqual(asked, [true, 1, true, true]);
  });

  it("count - of an empty queue without consumers is asked by a consumer, except of mqcat's own broker", async () => {
    await assert.rejects(count(0, 0), AwayError);
    assert.deepEqual(await count(0, 0, { [PEEK]: true }), [0, false]);
  });
});

/** Runs `work` at a broker that replies to methods of this name as `reply` says: with a refusal, or as usual. */
async function refusing(
  name: string,
  reply: (args: Record<string, unknown>) => [code: number, text: string] | undefined,
  work: (connection: AmqpConnection) => Promise<void>,
): Promise<void> {
  const { [name]: _, ...answers } = ANSWERS;
  await serve({
    answers: () => answers,
    on(served, asked, channel, args) {
      if (asked !== name) return;
      const refusal = reply(args as Record<string, unknown>);
      if (refusal === undefined) served.say(channel, `${name}-ok` as "queue.purge-ok", { messageCount: 7 });
      else served.say(channel, "channel.close", { replyCode: refusal[0], replyText: refusal[1] });
    },
  }, async (url) => {
    const connection = await connectBroker(parseAmqpUrl(url));
    try {
      await deadline(work(connection), 5000, "the replies");
    } finally {
      await connection.close();
    }
  });
}

const isAmqp = (code: number) => (error: unknown) => error instanceof AmqpError && error.replyCode === code;

describe("refusals of a broker", () => {
  it("purge - the number of messages; a stream has no purge, and other refusals are not explained", async () => {
    await refusing("queue.purge", () => undefined, async (connection) => {
      assert.equal(await purgeQueue(connection, "q"), 7);
    });
    await refusing(
      "queue.purge",
      () => [540, "NOT_IMPLEMENTED - not supported by stream queues"],
      (connection) =>
        assert.rejects(purgeQueue(connection, "q"), {
          code: "ERR_AMQP_CHANNEL",
          message: "Cannot purge 'q' as it is a stream: only its limits remove messages, such as x-max-age",
        }),
    );
    for (const refusal of [[540, "NOT_IMPLEMENTED - no"], [403, "not by stream queues"]] as const) {
      await refusing(
        "queue.purge",
        () => [...refusal],
        (connection) => assert.rejects(purgeQueue(connection, "q"), isAmqp(refusal[0])),
      );
    }
  });

  it("exchanges - one that does not exist is no error, another refusal is", async () => {
    for (const [refusal, expected] of [[undefined, true], [[404, "NOT_FOUND"], false]] as const) {
      await refusing("exchange.declare", () => refusal && [...refusal], async (connection) => {
        assert.equal(await findExchange(connection, "x"), expected);
      });
    }
    await refusing(
      "exchange.declare",
      () => [403, "ACCESS_REFUSED"],
      (connection) => assert.rejects(findExchange(connection, "x"), isAmqp(403)),
    );
  });

  it("exchanges - the type is known, or the one that the broker names when it refuses another one", async () => {
    const different = (what: string, wanted: string, current: string) =>
      `PRECONDITION_FAILED - inequivalent arg '${what}' for exchange 'x' in vhost '/': ` +
      `received ${wanted} but current is ${current}`;
    const cases: [refusal: [number, string] | undefined, type: string | undefined][] = [
      [undefined, "topic"],
      [[406, different("type", "'topic'", "'fanout'")], "fanout"],
      [[406, different("durable", "'true'", "'false'")], "topic"],
      [[406, "PRECONDITION_FAILED - no"], undefined],
      [[403, different("type", "'topic'", "'fanout'")], undefined],
    ];
    for (const [refusal, type] of cases) {
      let asked: unknown;
      await refusing("exchange.declare", (args) => {
        asked = [args["exchange"], args["type"], args["durable"], args["passive"]];
        return refusal;
      }, async (connection) => {
        assert.equal(await exchangeType(connection, "x"), type);
        assert.deepEqual(asked, ["x", "topic", true, false]);
        asked = undefined;
        for (const [name, known] of Object.entries(KNOWN_TYPES)) {
          assert.equal(await exchangeType(connection, name), known);
        }
        assert.equal(asked, undefined);
      });
    }
    await refusing("exchange.declare", () => undefined, async (connection) => {
      connection.abort(new AmqpError(541, "x", { scope: "connection" }));
      await assert.rejects(exchangeType(connection, "x"), isAmqp(541));
    });
  });

  it("arguments - are those that the broker names in one refusal after the other", async () => {
    /** What the broker compares, in its order: the name, RabbitMQ's text of the value, and the value itself. */
    const actual: [name: string, text: string, value: unknown][] = [
      ["durable", "'false'", false],
      ["auto_delete", "'true'", true],
      ["x-max-length", "the value '5' of type 'long'", 5],
      ["x-overflow", "the value 'it's 5' of type 'longstr'", "it's 5"],
      ["x-single-active-consumer", "the value 'true' of type 'bool'", true],
      ["x-none", "the value 'false' of type 'bool'", false],
    ];
    const reply = (args: Record<string, unknown>): [number, string] | undefined => {
      const given: Record<string, unknown> = {
        ...(args["arguments"] as object),
        durable: args["durable"],
        auto_delete: args["autoDelete"],
      };
      const difference = actual.find(([name, , value]) => given[name] !== value);
      if (difference === undefined) return undefined;
      const [name, text] = difference;
      return [
        406,
        `PRECONDITION_FAILED - inequivalent arg '${name}' for queue 'q': received none but current is ${text}`,
      ];
    };
    await refusing("queue.declare", reply, async (connection) => {
      assert.deepEqual(await queueArguments(connection, "q"), {
        "x-max-length": 5,
        "x-overflow": "it's 5",
        "x-single-active-consumer": true,
        "x-none": false,
      });
    });
    await refusing("queue.declare", () => [406, "no"], async (connection) => {
      assert.equal(await queueArguments(connection, "q"), undefined);
    });
    const first: unknown[] = [];
    await refusing("queue.declare", (args) => {
      first.push(args["queue"], args["durable"], args["autoDelete"], args["passive"]);
      return undefined;
    }, async (connection) => {
      assert.deepEqual(await queueArguments(connection, "q"), {});
    });
    assert.deepEqual(first, ["q", true, false, false]);
    let tries = 0;
    const never = "inequivalent arg 'x': received none but current is the value '1' of type 'long'";
    await refusing("queue.declare", () => {
      tries++;
      return [406, never];
    }, async (connection) => {
      assert.equal(await queueArguments(connection, "q"), undefined);
    });
    assert.equal(tries, 40);
    await refusing("queue.declare", () => undefined, async (connection) => {
      connection.abort(new AmqpError(541, "x", { scope: "connection" }));
      await assert.rejects(queueArguments(connection, "q"), isAmqp(541));
    });
    // The connection ends while the broker looks for the queue.
    let asked: AmqpConnection | undefined;
    await refusing("queue.declare", () => {
      asked!.abort(new AmqpError(541, "x", { scope: "connection" }));
      return undefined;
    }, async (connection) => {
      asked = connection;
      await assert.rejects(queueArguments(connection, "q"), isAmqp(541));
    });
  });

  it("declare - a queue is durable unless it is given; a difference is explained", async () => {
    const cases = [
      ["'durable'", "'true'", "'false'", "its durable is false: received true"],
      ["'x-max-length'", "the value '5' of type 'long'", "none", "its x-max-length is not set: received 5"],
      ["'x-a'", "none", "the value 'b c' of type 'longstr'", "its x-a is b c: received not set"],
      ["'x-b'", "1", "2", "its x-b is 2: received 1"],
    ];
    for (const [name, wanted, current, words] of cases) {
      let durable: unknown;
      await refusing("queue.declare", (args) => {
        durable = args["durable"];
        return [406, `inequivalent arg ${name} for queue 'q': received ${wanted} but current is ${current}`];
      }, (connection) =>
        assert.rejects(declareQueue(connection, "q"), {
          code: "ERR_AMQP_CHANNEL",
          message:
            `Cannot declare queue 'q' as it exists and ${words} (declare it with the same value, or delete it ` +
            "first)",
        }));
      assert.equal(durable, true);
    }
    for (const code of [404, 405]) {
      const text = "inequivalent arg 'durable' for queue 'q': received 'true' but current is 'false'";
      await refusing(
        "queue.declare",
        () => [code, text],
        (connection) => assert.rejects(declareQueue(connection, "q", { durable: false }), isAmqp(code)),
      );
    }
  });
});
