/** Commands and their data: metadata, ERROR, PING. Decoding is the inverse of encoding; junk is a ProtocolError. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import { concat, preview, text, utf8 } from "../../lib/zmtp/bytes.ts";
import {
  encodeError,
  encodeMetadata,
  encodePong,
  parseCommand,
  parseError,
  parseMetadata,
} from "../../lib/zmtp/command.ts";
import { encodeCommand } from "../../lib/zmtp/frame_encoder.ts";

const TIMEOUT = { timeout: 60_000 };

/** Names as in RFC 37: 1 to 255 letters, digits and four other characters. */
const name = fc.string({
  unit: fc.constantFrom(..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+"),
  minLength: 1,
  maxLength: 255,
  size: "max",
});
const value = fc.oneof(
  fc.uint8Array({ maxLength: 40, size: "max" }),
  fc.constantFrom(0, 255, 256, 70_000).map((n) => new Uint8Array(n)),
);
const properties = fc.array(fc.tuple(name, value), { maxLength: 6 });

/** Returns the body of a command frame; the header is read by this test, not by the code under test. */
function bodyOf(frame: Uint8Array): Uint8Array {
  const long = (frame[0]! & 2) !== 0;
  assert.equal(frame[0]! & ~2, 4);
  const body = frame.subarray(long ? 9 : 2);
  const view = new DataView(frame.buffer, frame.byteOffset);
  assert.equal(long ? Number(view.getBigUint64(1)) : frame[1], body.length);
  return body;
}

function protocolErrorOrValue<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error));
    return undefined;
  }
}

describe("commands", () => {
  it("metadata - is decoded by lower-case name, with copies of the values", TIMEOUT, () => {
    fc.assert(
      fc.property(properties, (list) => {
        const encoded = encodeMetadata(list);
        const expected = new Map(list.map(([name, value]) => [name.toLowerCase(), value.slice()]));
        const parsed = parseMetadata(encoded);
        encoded.fill(0xee);
        assert.deepEqual(parsed, expected);
      }),
      { numRuns: 300 },
    );
  });

  it("metadata - has the layout of RFC 37", () => {
    const bytes = encodeMetadata([["Socket-Type", utf8("REQ")], ["Identity", new Uint8Array(0)]]);
    assert.deepEqual(bytes, utf8("\x0bSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0"));
  });

  it(
    "metadata - is a ProtocolError if it is truncated within a property, or has an extra byte",
    TIMEOUT,
    () => {
      const some = fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 40, size: "max" })), {
        minLength: 1,
        maxLength: 3,
      });
      fc.assert(
        fc.property(some, (list) => {
          const bytes = encodeMetadata(list);
          const boundaries = new Set(list.map((_, i) => encodeMetadata(list.slice(0, i)).length));
          for (let cut = 0; cut < bytes.length; cut++) {
            const parse = () => parseMetadata(bytes.subarray(0, cut));
            if (boundaries.has(cut)) parse();
            else assert.throws(parse, ProtocolError);
          }
          assert.throws(() => parseMetadata(concat([bytes, Uint8Array.of(0)])), ProtocolError);
        }),
        { numRuns: 100 },
      );
    },
  );

  it("metadata - lengths of 2^31 and 2^32-1 are unsigned", () => {
    for (const first of [0x7f, 0x80, 0xff]) {
      assert.throws(() => parseMetadata(Uint8Array.of(1, 65, first, 0xff, 0xff, 0xff, 1)), ProtocolError);
    }
  });

  it("metadata - junk causes properties or a ProtocolError, also in the middle of a buffer", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: "max" }), fc.nat(10), (junk, offset) => {
        const shifted = concat([new Uint8Array(offset).fill(9), junk]).subarray(offset);
        const direct = protocolErrorOrValue(() => parseMetadata(junk));
        assert.deepEqual(protocolErrorOrValue(() => parseMetadata(shifted)), direct);
      }),
      { numRuns: 1000 },
    );
  });

  it("READY - contains the metadata, in a LONG frame if necessary", TIMEOUT, () => {
    fc.assert(
      fc.property(properties, (list) => {
        const { name, data } = parseCommand(bodyOf(encodeCommand("READY", encodeMetadata(list))));
        assert.equal(name, "READY");
        assert.deepEqual(data, encodeMetadata(list));
      }),
      { numRuns: 100 },
    );
  });

  it("ERROR - keeps up to 255 bytes of the reason", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 300, size: "max" }), (reason) => {
        const { name, data } = parseCommand(bodyOf(encodeError(reason)));
        assert.equal(name, "ERROR");
        assert.equal(data[0], data.length - 1);
        if (utf8(reason).length <= 255) {
          assert.equal(parseError(data), reason.replace(/^\ufeff/, "") || "no reason given");
        } else {assert.ok(
            data.length === 256 && text(utf8(reason)).startsWith(parseError(data).replace(/\ufffd+$/, "")),
          );}
      }),
      { numRuns: 300 },
    );
  });

  it("commands - junk causes a ProtocolError, or a command with a name of 1 to 32 bytes", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80, size: "max" }), (junk) => {
        const command = protocolErrorOrValue(() => parseCommand(junk));
        if (command !== undefined) {
          assert.ok(junk[0]! >= 1 && junk[0]! <= 32);
          assert.equal(command.data.length, junk.length - 1 - junk[0]!);
        }
        assert.equal(typeof parseError(junk), "string");
        assert.ok(preview(junk).length <= 60);
      }),
      { numRuns: 1000 },
    );
  });

  it("preview - text in quotes up to the first line break, and other bytes in hexadecimal", () => {
    const previews: [bytes: string, shown: string][] = [
      ["", "bytes "],
      ["A", "'A'"],
      [" ~", "' ~'"],
      ["SSH-2.0-x\r\ny", "'SSH-2.0-x'"],
      ["a\nb", "'a'"],
      ["twenty characters...", "'twenty character'"],
      ["a\x1f", "bytes 61 1f"],
      ["a\x7f", "bytes 61 7f"],
      ["\x00", "bytes 00"],
      ["sixteen letters.\x00", "'sixteen letters.'"],
    ];
    for (const [bytes, shown] of previews) assert.equal(preview(new TextEncoder().encode(bytes)), shown);
  });

  it("PONG - repeats at most 16 bytes of the context, without the time to live", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40, size: "max" }), (ping) => {
        const frame = protocolErrorOrValue(() => encodePong(ping));
        if (ping.length < 2) return assert.equal(frame, undefined);
        const { name, data } = parseCommand(bodyOf(frame!));
        assert.equal(name, "PONG");
        assert.deepEqual(data, ping.subarray(2, 18));
      }),
      { numRuns: 300 },
    );
  });
});
