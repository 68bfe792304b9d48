/** The checksum of records. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32c } from "../../../../../lib/broker/core/journal/format/crc32c.ts";

describe("crc32c", () => {
  const sum = (bytes: Uint8Array, seed = 0) => crc32c(new DataView(bytes.buffer), 0, bytes.length, seed);

  // From RFC 3720, B.4, and the check value in the catalogue of CRCs.
  const known: [name: string, bytes: Uint8Array, expected: number][] = [
    ["no bytes", new Uint8Array(0), 0],
    ["123456789", new TextEncoder().encode("123456789"), 0xe3069283],
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(255), 0x62a8ab43],
    ["32 ascending", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["32 descending", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ];
  for (const [name, bytes, expected] of known) {
    it(`crc32c - computes the sum of ${name}`, () => assert.equal(sum(bytes), expected));
  }

  it("crc32c - begins with the seed 0 unless it is given", () => {
    const view = new DataView(new TextEncoder().encode("123456789").buffer);
    assert.equal(crc32c(view, 0, 9), 0xe3069283);
  });

  it("crc32c - computes the sum of any range, and of consecutive ranges", () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i * 37 + 11);
    const view = new DataView(bytes.buffer);
    for (let start = 0; start < 20; start++) {
      for (let end = start; end < 60; end++) {
        const piece = sum(bytes.slice(start, end));
        assert.equal(crc32c(view, start, end), piece);
        assert.equal(crc32c(view, end, 80, crc32c(view, start, end)), crc32c(view, start, 80));
      }
    }
  });
});
