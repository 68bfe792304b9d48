/** A broker that stops to confirm or to deliver is given up, unless something explains it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { watchConfirms } from "../../../../lib/amqp/client/confirm_watch.ts";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { watchDeliveries } from "../../../../lib/amqp/client/delivery_watch.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { AwayError } from "../../../../lib/link/away.ts";
import { deadline } from "../../../support/helpers.ts";
import { ANSWERS, type Script, serve } from "../../../support/scripted_broker.ts";

/** The interval of the checks, in milliseconds, and the time in which a stall is noticed. */
const INTERVAL = 30;
const ENOUGH = 20 * INTERVAL;
const pause = (ms: number) => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ms));

/** Runs `watch` on a connection. @returns the error that ended it, or undefined if it is still open after some time */
async function outcome(
  script: Script,
  watch: (connection: AmqpConnection) => Promise<void>,
): Promise<Error | undefined> {
  let cause: Error | undefined;
  await serve(script, async (url) => {
    const connection = await connectBroker(parseAmqpUrl(url));
    await watch(connection);
    cause = await Promise.race([connection.closed, pause(ENOUGH)]);
    await deadline(connection.close(), 5000, "the close");
  });
  return cause;
}

/** A broker that answers everything but `basic.qos`. */
const DEAF: Script = { answers: () => ({ ...ANSWERS, "basic.qos": undefined }) };

describe("a broker that stops to confirm", () => {
  const confirms = { pending: 2, pendingBytes: 0, acknowledged: 5, refused: 0 };
  const watch = (given = confirms, change?: (connection: AmqpConnection) => void) =>
  async (
    connection: AmqpConnection,
  ) => {
    change?.(connection);
    watchConfirms(connection, await connection.open(), given, INTERVAL);
  };

  it("has read the messages - the connection ends", async () => {
    assert.match((await outcome({}, watch()))!.message, /has read 2 messages, and confirms none/);
  });

  it("does not read them - the connection ends", async () => {
    assert.match((await outcome(DEAF, watch()))!.message, /does not read 2 messages, and confirms none/);
  });

  it("has nothing to confirm, or says that it is blocked - the connection stays", async () => {
    assert.equal(await outcome({}, watch({ ...confirms, pending: 0 })), undefined);
    assert.equal(
      await outcome({}, watch(confirms, (connection) => connection.blocked = "memory")),
      undefined,
    );
  });

  it("confirms slowly - the connection stays", async () => {
    const slow = { ...confirms };
    const timer = setInterval(() => slow.acknowledged++, INTERVAL / 2);
    assert.equal(await outcome(DEAF, watch(slow)), undefined);
    clearInterval(timer);
  });

  it("reads a long message on a slow link - the connection stays while bytes move", async () => {
    let taken = 0;
    const moves = (connection: AmqpConnection) =>
      void Object.defineProperty(connection, "progress", { get: () => taken++ });
    assert.equal(await outcome(DEAF, watch(confirms, moves)), undefined);
    // What the system has taken may be on its way: as much as 50 kB/s carry.
    const size = 50_000 * 2 * ENOUGH / 1000;
    assert.equal(await outcome(DEAF, watch({ ...confirms, pendingBytes: size })), undefined);
    const stands = (connection: AmqpConnection) =>
      void Object.defineProperty(connection, "progress", { get: () => 7 });
    assert.match((await outcome(DEAF, watch(confirms, stands)))!.message, /does not read/);
  });
});

describe("a broker that stops to deliver", () => {
  const cases = [
    ["all delivered messages are acknowledged", { delivered: 2, settled: 2 }, [3, 1], true],
    ["one is not", { delivered: 2, settled: 1 }, [3, 1], false],
    ["none was delivered before: another consumer may have its turn", { delivered: 0, settled: 0 }, [
      3,
      1,
    ], false],
    ["a stream counts all its messages, and no consumers", { delivered: 2, settled: 2 }, [5, 0], false],
    ["the queue is empty", { delivered: 2, settled: 2 }, [0, 1], false],
  ] as const;
  for (const [what, deliveries, [messageCount, consumerCount], ends] of cases) {
    it(`${what} - the connection ${ends ? "ends" : "stays"}`, async () => {
      const reply = { queue: "q", messageCount, consumerCount };
      const script: Script = {
        answers: () => ({ ...ANSWERS, "queue.declare": ["queue.declare-ok", reply] }),
      };
      const cause = await outcome(
        script,
        async (connection) => watchDeliveries(connection, await connection.open(), "q", deliveries, INTERVAL),
      );
      assert.equal(cause instanceof AwayError, ends);
      if (ends) assert.match(cause!.message, /queue 'q' is unavailable: the broker delivers none of its 3/);
    });
  }

  it("messages that arrive between the checks - the connection stays", async () => {
    const deliveries = { delivered: 1, settled: 1 };
    const timer = setInterval(() => deliveries.settled = ++deliveries.delivered, INTERVAL / 2);
    const reply = { queue: "q", messageCount: 3, consumerCount: 1 };
    const script: Script = { answers: () => ({ ...ANSWERS, "queue.declare": ["queue.declare-ok", reply] }) };
    const cause = await outcome(
      script,
      async (connection) => watchDeliveries(connection, await connection.open(), "q", deliveries, INTERVAL),
    );
    clearInterval(timer);
    assert.equal(cause, undefined);
  });
});
