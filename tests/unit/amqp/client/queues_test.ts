/** The count of a queue's messages, when a broker may not know it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { isTemporary } from "../../../../lib/amqp/client/availability.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { countReady } from "../../../../lib/amqp/client/queues.ts";
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
});

describe("count of ready messages", () => {
  it("count - is believed if the queue has messages or consumers", async () => {
    assert.deepEqual(await count(1, 0), [1, false]);
    assert.deepEqual(await count(0, 1), [0, false]);
    assert.deepEqual(await count(7, 2), [7, false]);
  });

  it("count - of an empty queue without consumers is asked by a consumer, except of mqcat's own broker", async () => {
    await assert.rejects(count(0, 0), AwayError);
    assert.deepEqual(await count(0, 0, { [PEEK]: true }), [0, false]);
  });
});
