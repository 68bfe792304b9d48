/** Payloads of method frames that are too short. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import { decodeMethod, readMethodId, sizeofMethod, writeMethod } from "../../../lib/amqp/method_codec.ts";
import { METHODS } from "../../../lib/amqp/methods.ts";

describe("method codec", () => {
  for (const length of [0, 1, 2, 3]) {
    it(`decode - ${length} bytes are no method: 501, whatever comes after them`, () => {
      // channel.close-ok, which is followed by other bytes of the same buffer.
      const bytes = Uint8Array.of(0, 20, 0, 41, 0, 0);
      assert.throws(() => readMethodId(bytes, 0, length), (error: unknown) => {
        assert.ok(error instanceof AmqpError, `${error}`);
        assert.equal(error.replyCode, 501);
        return true;
      });
      assert.equal(decodeMethod(bytes, 0, 4).name, "channel.close-ok");
    });
  }

  it("decode - an unknown method is named", () => {
    assert.throws(() => decodeMethod(Uint8Array.of(0, 60, 1, 2), 0, 4), {
      message: "NOT_IMPLEMENTED - unknown method 60.258",
    });
  });

  it("bits - share one octet for as many of them as any method has in a row", () => {
    for (const { fields } of Object.values<{ fields: readonly (readonly [string, string])[] }>(METHODS)) {
      for (const run of fields.map(([, type]) => type === "bit" ? "b" : " ").join("").split(" ")) {
        assert.ok(run.length <= 8);
      }
    }
    const flags = ["passive", "durable", "exclusive", "autoDelete", "noWait"] as const;
    for (const [i, flag] of flags.entries()) {
      const args = { queue: "q", [flag]: true };
      const bytes = new Uint8Array(sizeofMethod("queue.declare", args)).fill(0xff);
      assert.equal(writeMethod("queue.declare", args, bytes, 0), bytes.length);
      assert.equal(bytes[8], 1 << i, flag);
      const { args: found } = decodeMethod(bytes, 0, bytes.length);
      const set = Object.entries(found).filter(([, value]) => value === true).map(([name]) => name);
      assert.deepEqual(set, [flag]);
    }
  });
});
