/** Text on the wire that is not valid UTF-8, lengths, and the cache of names. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clipText, readText, textLength, writeText } from "../../../lib/bytes/text.ts";
import { readName } from "../../../lib/bytes/text_cache.ts";

/** What the bytes of a text are when it is written in the middle of a buffer. */
function written(text: string): number[] {
  const length = textLength(text);
  const target = new Uint8Array(length + 8).fill(0x3f);
  assert.equal(writeText(text, target, 3), 3 + length, JSON.stringify(text));
  assert.ok(target.subarray(0, 3).every((byte) => byte === 0x3f));
  assert.ok(target.subarray(3 + length).every((byte) => byte === 0x3f));
  return [...target.subarray(3, 3 + length)];
}

/** The text of bytes in the middle of a buffer. */
function read(bytes: readonly number[]): string {
  const buffer = Uint8Array.from([0xc3, 0x41, ...bytes, 0xa9, 0x42]);
  return readText(buffer, 2, 2 + bytes.length);
}

const escaped = (bytes: readonly number[]) =>
  bytes.map((byte) => String.fromCharCode(0xdc00 | byte)).join("");
const utf8 = (text: string) => [...new TextEncoder().encode(text)];

/** The first and the last character of each form of UTF-8. */
const EDGES = [
  0x41,
  0x7f,
  0x80,
  0xbf,
  0xc0,
  0x7ff,
  0x800,
  0xfff,
  0x1000,
  0xcfff,
  0xd000,
  0xd7ff,
  0xe000,
  0xfeff,
  0xffff,
]
  .concat([0x1_0000, 0x3_ffff, 0x4_0000, 0xf_ffff, 0x10_0000, 0x10_ffff])
  .map((code) => String.fromCodePoint(code));

/** Bytes that begin like a character and are none. */
const BROKEN = [
  "80",
  "bf",
  "c080",
  "c1bf",
  "e09fbf",
  "e08080",
  "eda080",
  "edbfbf",
  "f08fbfbf",
  "f0808080",
  "f4908080",
]
  .concat([
    "f5808080",
    "ff",
    "fe",
    "c241",
    "c2c2",
    "c27f",
    "e14180",
    "e18041",
    "e180c0",
    "f1418080",
    "f1804180",
  ])
  .concat(["f1808041", "c2", "e180", "e1", "f18080", "f180", "f1"])
  .map((hex) => hex.match(/../g)!.map((pair) => parseInt(pair, 16)));

describe("text", () => {
  it("bytes - each character keeps its bytes, alone and next to bytes that are no text", () => {
    for (const char of EDGES) {
      // Short and long texts have ways of their own.
      for (
        const text of [char, `ab${char}`, `${char.repeat(40)}`, "x".repeat(64) + char, char + "x".repeat(63)]
      ) {
        const bytes = utf8(text);
        assert.deepEqual(written(text), bytes);
        assert.equal(read(bytes), text);
        assert.deepEqual(written(`\udcff${text}\udc80`), [0xff, ...bytes, 0x80]);
        assert.equal(read([0xff, ...bytes, 0x80]), `\udcff${text}\udc80`);
      }
    }
  });

  it("bytes - those that are no text become lone surrogates, one for each, and the same bytes again", () => {
    for (const broken of BROKEN) {
      const text = broken.map((byte) => byte < 0x80 ? String.fromCharCode(byte) : escaped([byte])).join("");
      for (const around of ["", "é", "x".repeat(100)]) {
        const bytes = [...utf8(around), ...broken, ...utf8(around)];
        assert.equal(read(bytes), around + text + around, `${broken}`);
        assert.deepEqual(written(around + text + around), bytes);
      }
    }
  });

  it("surrogates - only U+DC80 to U+DCFF are bytes; others become U+FFFD, and pairs are characters", () => {
    for (const code of [0xd800, 0xdbff, 0xdc00, 0xdc7f, 0xdd00, 0xdfff]) {
      const lone = String.fromCharCode(code);
      for (const text of [lone, `a${lone}b`, `${lone}\udcff`.replace(/^[\ud800-\udbff]/, "$& ")]) {
        const expected = text.replace(lone, "\ufffd");
        const tail = expected.endsWith("\udcff");
        assert.deepEqual(written(text), tail ? [...utf8(expected.slice(0, -1)), 0xff] : utf8(expected));
      }
    }
    assert.deepEqual(written("\udc80\udcff"), [0x80, 0xff]);
    assert.deepEqual(written("\ud800\udc80\udcfe"), [...utf8("\u{10080}"), 0xfe]);
    assert.deepEqual(written("\udcfe\ud83d\ude00\udcfe"), [0xfe, ...utf8("😀"), 0xfe]);
  });

  it("clip - keeps the longest beginning with so many bytes, and no part of a character", () => {
    const text = "aé€😀b";
    const expected = ["", "a", "a", "aé", "aé", "aé", "aé€", "aé€", "aé€", "aé€", "aé€😀", text, text];
    assert.deepEqual(expected.map((_, limit) => clipText(text, limit)), expected);
  });

  it("names - are those of their bytes, however many there are and how often each is read", () => {
    const names = Array.from({ length: 3000 }, (_, i) => `name ${i} ${i % 7 ? "" : "é"}`)
      .concat([
        "",
        "x",
        "x".repeat(63),
        "x".repeat(64),
        "y".repeat(64),
        "x".repeat(65),
        "y".repeat(65),
        "€".repeat(21),
      ])
      .concat(Array.from({ length: 64 }, (_, i) => "z".repeat(i)));
    for (let round = 0; round < 2; round++) {
      for (const name of names) {
        const bytes = Uint8Array.from([1, 2, ...utf8(name), 3]);
        for (let time = 0; time < 2; time++) assert.equal(readName(bytes, 2, bytes.length - 1), name);
      }
    }
  });
});
