/** Routing ids as text, and back. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatRoutingId, parseRoutingId } from "../../../../cli/records/routing_id.ts";

const CASES: readonly [id: readonly number[], text: string][] = [
  [[...new TextEncoder().encode("alice")], "alice"],
  [[...new TextEncoder().encode("ü☃")], "ü☃"],
  [[0, 0x80, 0, 0x41, 0x29], "0x0080004129"],
  [[0x61, 0x20, 0x62], "0x612062"], // a space
  [[0x61, 0x0a], "0x610a"],
  [[0x61, 0x7f], "0x617f"],
  [[0xc2, 0x85], "0xc285"], // a control character of two bytes
  [[0xc2, 0xa0], "0xc2a0"], // a space of two bytes
  [[0x61, 0xff], "0x61ff"], // not UTF-8
  [[0x30, 0x78, 0x31], "0x307831"], // text that begins with 0x
];

describe("routing id", () => {
  for (const [id, text] of CASES) {
    it(`${text} - is the text of its bytes`, () => {
      assert.equal(formatRoutingId(Uint8Array.from(id)), text);
      assert.deepEqual([...parseRoutingId(text)], id);
    });
  }
});
