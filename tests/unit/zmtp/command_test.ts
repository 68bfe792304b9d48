/** Commands at the limits of their fields. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProtocolError } from "../../../lib/errors.ts";
import { utf8 } from "../../../lib/zmtp/bytes.ts";
import { encodeError, encodePong, parseCommand, parseError, pingTtl } from "../../../lib/zmtp/command.ts";
import { encodeCommand } from "../../../lib/zmtp/frame_encoder.ts";

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

  it("names - have 1 to 32 bytes, and the data after them may be empty", () => {
    for (const length of [1, 2, 31, 32]) {
      const name = "N".repeat(length);
      for (const data of ["", "d", "data"]) {
        const parsed = parseCommand(Uint8Array.of(length, ...utf8(name + data)));
        assert.deepEqual([parsed.name, parsed.data], [name, utf8(data)]);
      }
      assert.throws(() => parseCommand(Uint8Array.of(length, ...utf8(name.slice(1)))), ProtocolError);
    }
    for (const [length, size] of [[0, 0], [0, 5], [33, 33], [33, 40], [255, 300]] as const) {
      assert.throws(() => parseCommand(Uint8Array.of(length, ...new Uint8Array(size))), ProtocolError);
    }
    assert.throws(() => parseCommand(new Uint8Array(0)), ProtocolError);
  });

  it("encoding - the length of a command has one byte up to 255, and eight above", () => {
    for (const length of [0, 253, 254, 255, 300]) {
      const data = new Uint8Array(length).fill(7);
      const frame = encodeCommand("N", data);
      const long = length + 2 > 255;
      assert.deepEqual([...frame.subarray(0, long ? 9 : 2)], [
        ...(long ? [6, 0, 0, 0, 0, 0, 0] : [4]),
        ...(long ? [(length + 2) >> 8] : []),
        (length + 2) & 255,
      ]);
      const { name, data: parsed } = parseCommand(frame.subarray(long ? 9 : 2));
      assert.deepEqual([name, parsed], ["N", data]);
    }
  });

  it("PING - its time to live is a number of two bytes, in tenths of a second; without it there is no PONG", () => {
    const pings: [data: number[], ttl: number][] = [
      [[], 0],
      [[9], 0],
      [[0, 0], 0],
      [[0, 1], 100],
      [[1, 2], 25_800],
      [[255, 255], 6_553_500],
      [[0, 255, 7], 25_500],
    ];
    for (const [data, ttl] of pings) {
      assert.equal(pingTtl(Uint8Array.from(data)), ttl);
      const pong = () => encodePong(Uint8Array.from(data));
      if (data.length < 2) assert.throws(pong, ProtocolError);
      else assert.deepEqual([...pong()], [4, 5 + data.length - 2, 4, ...utf8("PONG"), ...data.slice(2)]);
    }
  });
});
