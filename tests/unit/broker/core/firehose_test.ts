/** The routing keys of the copies for the trace exchange. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { outcomeReport, traceCopy } from "../../../../lib/broker/core/firehose.ts";
import { addressOf, encodeMessage } from "../../../../lib/broker/core/message.ts";

describe("firehose", () => {
  it("trace - a key has at most 255 bytes, and loses its end", () => {
    const message = encodeMessage({ exchange: "e", routingKey: "k" }, {}, new Uint8Array(3));
    const keys: [key: string, expected: string][] = [
      ["publish.e", "publish.e"],
      [`deliver.${"q".repeat(247)}`, `deliver.${"q".repeat(247)}`],
      [`deliver.${"q".repeat(255)}`, `deliver.${"q".repeat(247)}`],
      [`deliver.${"é".repeat(127)}`, `deliver.${"é".repeat(123)}`],
    ];
    for (const [key, expected] of keys) {
      for (const copy of [traceCopy(message, key, {}), outcomeReport(key, {})]) {
        assert.deepEqual(addressOf(copy), { exchange: "amq.rabbitmq.trace", routingKey: expected });
      }
    }
  });
});
