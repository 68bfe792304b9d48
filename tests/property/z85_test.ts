/** Z85 (RFC 32): decoding is the inverse of encoding; invalid text is rejected by an error that does not contain it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeZ85, encodeZ85 } from "../../mod.ts";

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const bytes = fc.array(fc.uint8Array({ minLength: 4, maxLength: 4 }), { maxLength: 12, size: "max" })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [...group])));

describe("z85", () => {
  it("z85 - encodes and decodes the RFC's example", () => {
    const hello = Uint8Array.of(0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b);
    assert.equal(encodeZ85(hello), "HelloWorld");
    assert.deepEqual(decodeZ85("HelloWorld"), hello);
    assert.equal(encodeZ85(new Uint8Array(4)), "00000");
    assert.equal(encodeZ85(new Uint8Array(4).fill(255)), "%nSc0");
  });

  it("z85 - encodes four bytes as five characters, and decodes them again", () => {
    fc.assert(fc.property(bytes, (bytes) => {
      const text = encodeZ85(bytes);
      assert.equal(text.length * 4, bytes.length * 5);
      assert.ok([...text].every((char) => ALPHABET.includes(char)));
      assert.deepEqual(decodeZ85(text), bytes);
    }));
  });

  it("z85 - decodes and encodes a text of its alphabet to itself, or reports that a group exceeds 32 bits", () => {
    const text = fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 5, maxLength: 5 });
    fc.assert(fc.property(text, (text) => {
      const value = [...text].reduce((sum, char) => sum * 85 + ALPHABET.indexOf(char), 0);
      if (value < 2 ** 32) assert.equal(encodeZ85(decodeZ85(text)), text);
      else assert.throws(() => decodeZ85(text), /exceed 32 bits/);
    }));
  });

  it("z85 - rejects any other text by a RangeError that does not contain it", () => {
    const junk = fc.oneof(
      fc.string({ minLength: 1, maxLength: 60, size: "max" }),
      fc.string({ unit: "binary", minLength: 5, maxLength: 5 }),
    );
    fc.assert(fc.property(junk, (text) => {
      try {
        assert.equal(encodeZ85(decodeZ85(text)), text);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
        if (text.length > 20) assert.ok(!error.message.includes(text));
      }
    }));
    assert.throws(() => encodeZ85(new Uint8Array(5)), RangeError);
  });
});
