import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { visible, visibleJson } from "../../../../cli/records/visible.ts";

const shown = (bytes: Iterable<number>) => Buffer.from(visible(Uint8Array.from(bytes))).toString();

describe("visible", () => {
  it("keeps text, newlines and tabs", () => {
    const text = Buffer.from("naïve\tΩ 日本 🙂\n~ \\");
    assert.deepEqual(Buffer.from(visible(text)), text);
  });

  it("escapes every control character, in UTF-8 and in other bytes", () => {
    for (let code = 0; code < 0xa0; code++) {
      const isControl = code < 0x20 || code >= 0x7f;
      const character = String.fromCharCode(code);
      const expected = !isControl || code === 9 || code === 10
        ? character
        : `\\x${code.toString(16).padStart(2, "0")}`;
      assert.equal(shown(Buffer.from(character)), expected);
      if (code < 0x80) assert.equal(shown([code, 0xff]), `${expected}\\xff`);
    }
    assert.equal(shown([0x1b, 0x5b, 0x33, 0x31, 0x6d, 0x9b, 0x0d]), "\\x1b[31m\\x9b\\x0d");
  });

  it("JSON - stays the same value", () => {
    const value = { body: Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("") };
    const json = visibleJson(JSON.stringify(value));
    assert.doesNotMatch(json, /\p{Cc}/u);
    assert.deepEqual(JSON.parse(json), value);
  });
});
