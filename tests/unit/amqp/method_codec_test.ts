/** Payloads of method frames that are too short. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import { decodeMethod, readMethodId } from "../../../lib/amqp/method_codec.ts";

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
});
