/** Copies of messages that refer to a part of a shared buffer, and their fields for filters. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PropertyScan } from "../../../../lib/amqp/property_scan.ts";
import {
  addressOf,
  copyMessage,
  encodeMessage,
  inQueue,
  movedTo,
  propertiesOf,
  withoutHeader,
} from "../../../../lib/broker/core/message.ts";
import { StoredMessage } from "../../../../lib/broker/core/stored_message.ts";

const properties = { headers: { CC: ["a"], BCC: ["b"], keep: "1" }, contentType: "text/plain" };
const plain = encodeMessage(
  { exchange: "an.exchange", routingKey: "a.key" },
  properties,
  Uint8Array.of(1, 2, 3),
);

/** The same message within longer buffers. */
const shared = {
  head: Uint8Array.of(9, 9, 9, ...plain.head, 9, 9),
  routeStart: 3,
  propertiesStart: plain.propertiesStart + 3,
  propertiesEnd: plain.propertiesEnd + 3,
  body: Uint8Array.of(8, 8, ...plain.body, 8),
  bodyStart: 2,
  bodyEnd: 5,
};

describe("messages", () => {
  for (const [what, message] of [["of its own", plain], ["in a shared buffer", shared]] as const) {
    it(`message ${what} - is copied as a whole, or to a queue, or without a header`, () => {
      assert.deepEqual(copyMessage(message), plain);
      assert.deepEqual(addressOf(message), { exchange: "an.exchange", routingKey: "a.key" });
      assert.deepEqual(propertiesOf(message).contentType, "text/plain");
      const without = withoutHeader(message, "BCC");
      assert.deepEqual(Object.keys(propertiesOf(without).headers!), ["CC", "keep"]);
      assert.deepEqual([addressOf(without).routingKey, [...without.body]], ["a.key", [1, 2, 3]]);
      const moved = movedTo("a queue", message, new PropertyScan());
      assert.deepEqual(addressOf(moved), { exchange: "", routingKey: "a queue" });
      assert.deepEqual([Object.keys(propertiesOf(moved).headers!), [...moved.body], moved.bodyEnd], [
        ["keep"],
        [1, 2, 3],
        3,
      ]);
      const encoded = encodeMessage({ exchange: "", routingKey: "" }, {}, new Uint8Array(0));
      const empty = inQueue("q", encoded.head.subarray(encoded.propertiesStart), message);
      assert.deepEqual([addressOf(empty), propertiesOf(empty), empty.bodyStart], [
        { exchange: "", routingKey: "q" },
        {},
        0,
      ]);
    });

    it(`message ${what} - is seen by a filter`, () => {
      const stored = new StoredMessage().of(message, true);
      assert.deepEqual([stored.exchange(), stored.topic(), stored.redelivered], [
        "an.exchange",
        "a.key",
        true,
      ]);
      assert.deepEqual([...stored.body.subarray(stored.bodyStart, stored.bodyEnd)], [1, 2, 3]);
      assert.deepEqual(
        stored.properties.slice(stored.propertiesStart, stored.propertiesEnd),
        plain.head.slice(plain.propertiesStart),
      );
    });
  }

  it("message - only with copies has no headers after a move", () => {
    const only = encodeMessage(
      { exchange: "", routingKey: "k" },
      { headers: { CC: ["a"] } },
      new Uint8Array(0),
    );
    assert.deepEqual(propertiesOf(movedTo("q", only, new PropertyScan())), {});
    const bare = encodeMessage({ exchange: "", routingKey: "k" }, {}, new Uint8Array(0));
    assert.deepEqual(Object.keys(propertiesOf(withoutHeader(bare, "BCC")).headers!), []);
  });
});
