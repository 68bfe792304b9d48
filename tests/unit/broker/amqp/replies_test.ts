/** Which reply a client gets for an error of the broker. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { amqpError } from "../../../../lib/amqp/amqp_error.ts";
import { replyFor } from "../../../../lib/broker/amqp/replies.ts";
import { LimitError } from "../../../../lib/errors.ts";

describe("replies for errors", () => {
  it("reply - 501 for what does not fit a frame, 541 for a bug, and an AMQP error as it is", () => {
    const METHOD = 0x0032000a;
    const seen = [
      new LimitError("large"),
      new RangeError("long"),
      new Error("bug"),
      amqpError(404, "no queue"),
    ]
      .map((error) => replyFor(error, METHOD, "channel"))
      .map(({ replyCode, classId, methodId, scope }) => [replyCode, classId, methodId, scope]);
    assert.deepEqual(seen, [
      [501, 50, 10, "connection"],
      [501, 50, 10, "connection"],
      [541, 50, 10, "channel"],
      [404, 50, 10, "channel"],
    ]);
    const known = amqpError(404, "no queue", { method: 1 });
    assert.equal(replyFor(known, METHOD), known);
  });
});
