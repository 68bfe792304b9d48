import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe } from "node:test";
import { run, test, through, transfer } from "../support/mqcat.ts";

/** Messages with bytes that could be mistaken for separators. */
const MESSAGES = ["", "a", "", "ü\u{1f600}", "tab\there", " spaces ", "\r", "x".repeat(70_000), ""];

const u32 = (messages: readonly (string | Uint8Array)[]) =>
  Buffer.concat(messages.flatMap((message) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(message));
    return [length, Buffer.from(message as string)];
  }));
const lines = (messages: readonly string[]) => messages.map((message) => `${message}\n`).join("");
const nulls = (messages: readonly string[]) => messages.map((message) => `${message}\0`).join("");
const json = (messages: readonly string[]) =>
  messages.map((body) => `${JSON.stringify({ body })}\n`).join("");

/** The same messages in each framing, for input and output. */
const FRAMED = { lines, null: nulls, u32, json };

/** Every byte value, in an order without a pattern. */
const binary = (length: number) => {
  const bytes = Buffer.alloc(length);
  for (let i = 0, state = 1; i < length; i++) {
    bytes[i] = state = (state * 167 + 13) & 0xff;
    if (i % 256 === 255) state ^= i >> 8;
  }
  return bytes;
};

describe("framing", () => {
  for (const [into, frame] of Object.entries(FRAMED)) {
    test(`--in ${into} - is converted byte for byte to every framing`, async () => {
      const stdin = frame(MESSAGES);
      await Promise.all(
        Object.entries(FRAMED).map(async ([out, expected]) => {
          const printed = await through(["push", "--in", into], ["pull", "--out", out], { stdin });
          if (out !== "json") {
            return assert.ok(printed.equals(Buffer.from(expected(MESSAGES) as string)), out);
          }
          const bodies = printed.toString().trimEnd().split("\n").map((line) => JSON.parse(line).body);
          assert.deepEqual(bodies, MESSAGES);
        }),
      );
    });
  }

  test("--in blob - all of stdin is one message; --out blob adds no separators", async () => {
    const stdin = binary(300_000);
    assert.ok((await through(["push", "--in", "blob"], ["pull", "--out", "blob"], { stdin })).equals(stdin));
    assert.ok(
      (await through(["pub", "--in", "blob"], ["sub", "--out", "u32"], { stdin })).equals(u32([stdin])),
    );
    const joined = await through(["push"], ["pull", "--out", "blob"], { stdin: "a\n\nb\nc" });
    assert.equal(joined.toString(), "abc");
  });

  test("--in blob - an empty stdin is one empty message", async () => {
    const printed = await through(["push", "--in", "blob"], ["pull", "--out", "u32"], { stdin: "" });
    assert.deepEqual([...printed], [0, 0, 0, 0]);
  });

  test("--in u32 - carries any bytes as separate messages", async () => {
    const messages = [binary(1), Buffer.alloc(0), binary(65_536), binary(257), Buffer.from("\n\0\n")];
    const stdin = u32(messages);
    const printed = await through(["push", "--in", "u32"], ["pull", "--out", "u32"], { stdin });
    assert.ok(printed.equals(stdin));
  });

  test("-0 - separates by NUL on both sides, and newlines are payload", async () => {
    const stdin = "a\nb\0\0c\n";
    assert.equal((await through(["push", "-0"], ["pull", "-0"], { stdin })).toString(), "a\nb\0\0c\n\0");
    assert.equal((await through(["pub", "--null"], ["sub"], { stdin })).toString(), "a\nb\n\nc\n\n");
  });

  test("lines - NUL bytes and bytes that are not UTF-8 are payload", async () => {
    const stdin = Buffer.from([0, 0xff, 0x0a, 0x0a, 0xc3, 0x28, 0x00, 0x0d, 0x0a, 0x80]);
    const printed = await through(["push"], ["pull"], { stdin });
    assert.deepEqual([...printed], [...stdin, 0x0a]);
    assert.deepEqual([...await through(["pub"], ["sub"], { stdin })], [...stdin, 0x0a]);
  });

  test("lines - a lone newline is one empty message", async () => {
    assert.equal((await through(["push"], ["pull", "-f", "[%s]"], { stdin: "\n" })).toString(), "[]");
    assert.equal((await through(["push"], ["pull", "-f", "[%s]"], { stdin: "\n\n" })).toString(), "[][]");
  });

  test("--in u32 - a truncated end and an absurd length are reported as errors", async () => {
    const { sent: truncated, received } = await transfer(["push", "--in", "u32"], ["pull"], {
      stdin: Buffer.from([0, 0, 0, 1, 97, 0, 0, 0, 9, 98]),
    });
    assert.equal(truncated.code, 1);
    assert.match(truncated.stderr, /ends in the middle of a u32 message: 5 bytes are left/);
    assert.equal(received.stdout.toString(), "a\n");
    const absurd = await run(["push", "--in", "u32", ":1"], { stdin: "GET / HTTP/1.1\r\n" });
    assert.equal(absurd.code, 1);
    assert.match(absurd.stderr, /announces 1195725856 bytes, .*: check --in u32/);
  });

  test("usage - contradictory framings are refused", async () => {
    for (
      const args of [["push", "-0", "-J"], ["push", "--in", "lines", "-0"], ["push", "-J", "--in", "blob"]]
    ) {
      const { code, stderr } = await run([...args, ":1"]);
      assert.equal(code, 2);
      assert.match(stderr, /--in, -J and -0 name different framings: (lines, null|json, null|blob, json)/);
    }
    const { code, stderr } = await run(["pull", "-f", "%s", "-J", ":0"]);
    assert.deepEqual([code, /-f sets the whole format of the output/.test(stderr)], [2, true]);
  });
});
