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

  it("ERROR - the reason ends at its length, or where the frame does", () => {
    const cases: [data: number[], reason: string][] = [
      [[], "no reason given"],
      [[0], "no reason given"],
      [[3], "no reason given"],
      [[0, 97], "no reason given"],
      [[1, 97, 98, 99], "a"],
      [[3, 97, 98, 99], "abc"],
      [[200, 97, 98], "ab"],
    ];
    for (const [data, reason] of cases) assert.equal(parseError(Uint8Array.from(data)), reason);
  });
});
