/** The ERROR command of the handshake. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeError, parseCommand, parseError } from "../../../lib/zmtp/command.ts";

describe("commands", () => {
  it("ERROR - a reason has at most 255 bytes, and its length fits into one", () => {
    for (const length of [0, 1, 255, 256, 300]) {
      const frame = encodeError("x".repeat(length));
      // The body starts with the length of the name.
      const { name, data } = parseCommand(frame.subarray(frame.indexOf(5, 2)));
      assert.equal(name, "ERROR");
      assert.deepEqual([data[0], data.length - 1], [Math.min(length, 255), Math.min(length, 255)]);
      assert.equal(parseError(data), "x".repeat(Math.min(length, 255)) || "no reason given");
    }
  });
});
