/** The decoder of AMQP frames: channels, heartbeats, and peers that speak something else. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROTOCOL_HEADER } from "../../../../lib/amqp/frames/frame.ts";
import { FrameDecoder, type Role } from "../../../../lib/amqp/frames/frame_decoder.ts";

/** A method frame with four bytes of payload. */
const method = (channel: number) => [1, channel >> 8, channel & 0xff, 0, 0, 0, 4, 1, 2, 3, 4, 0xce];

/** Decodes bytes, cut at a position. @returns type and channel of each frame */
function decode(role: Role, bytes: readonly number[], cut = 0): [type: number, channel: number][] {
  const frames: [number, number][] = [];
  const decoder = new FrameDecoder(role, {
    onProtocolHeader() {},
    onFrame: (type, channel) => void frames.push([type, channel]),
  });
  decoder.push(Uint8Array.from(bytes.slice(0, cut)));
  decoder.push(Uint8Array.from(bytes.slice(cut)));
  return frames;
}

describe("AMQP frame decoder", () => {
  it("channels - have sixteen bits", () => {
    const channels = [0, 1, 255, 256, 258, 32768, 65535];
    const bytes = channels.flatMap(method);
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.deepEqual(decode("client", bytes, cut), channels.map((channel) => [1, channel]));
    }
  });

  it("heartbeats - are empty, and have no channel", () => {
    const heartbeat = (channel: number, size: number) => [
      ...method(0),
      8,
      0,
      channel,
      0,
      0,
      0,
      size,
      ...Array(size).fill(0),
      0xce,
    ];
    assert.deepEqual(decode("client", heartbeat(0, 0)), [[1, 0], [8, 0]]);
    for (const channel of [1, 2]) {
      assert.throws(() => decode("client", heartbeat(channel, 0)), {
        message: `UNEXPECTED_FRAME - a heartbeat arrived on channel ${channel}`,
      });
    }
    assert.throws(() => decode("client", heartbeat(0, 1)), /a heartbeat has 1 bytes of payload/);
  });

  it("other protocols - are named by their first bytes, at most sixteen", () => {
    const text = (words: string) => [...new TextEncoder().encode(words)];
    const cases: [bytes: number[], words: string][] = [
      [[0x15, 3, 1, 0, 2], "The peer speaks TLS"],
      [[0x16, 3, 1, 0, 2], "The peer speaks TLS"],
      [[0x15, 4, 1, 0, 2], "The peer does not speak AMQP (it sent bytes 15 04 01 00 02)"],
      [text("HTTP/1.1"), "The peer speaks HTTP, not AMQP"],
      [text("HTTQ"), "The peer does not speak AMQP (it sent 'HTTQ')"],
      [[0xff, 0, 0], "The peer is a ZeroMQ socket"],
      [text("0123456789abcdefgh"), "The peer does not speak AMQP (it sent '0123456789abcdef')"],
      [text("~ ok\r\nx"), "The peer does not speak AMQP (it sent '~ ok')"],
      [[0x7f, 0x20], "The peer does not speak AMQP (it sent bytes 7f 20)"],
      [[0x1f, 0x20], "The peer does not speak AMQP (it sent bytes 1f 20)"],
    ];
    for (const role of ["client", "server"] as const) {
      for (const [bytes, words] of cases) {
        assert.throws(() => decode(role, bytes), (error: Error) => {
          assert.ok(error.message.startsWith(words), `${role}: ${error.message}`);
          return true;
        });
      }
    }
  });

  it("other versions - are named", () => {
    const cases: [bytes: number[], name: string][] = [
      [[0, 1, 0, 0], "AMQP 1.0"],
      [[2, 1, 0, 0], "AMQP 1.0 with TLS"],
      [[3, 1, 0, 0], "AMQP 1.0 with SASL"],
      [[1, 1, 0, 10], "AMQP 0-10"],
      [[1, 1, 8, 0], "AMQP 0-8"],
      [[0, 0, 9, 2], "AMQP 0-9-2"],
      [[0, 1, 0, 1], "AMQP 1-0-1"],
      [[0, 1, 1, 0], "AMQP 1-1-0"],
      [[1, 2, 0, 0], "AMQP of bytes 1 2 0 0"],
      [[4, 2, 5, 6], "AMQP of bytes 4 2 5 6"],
    ];
    for (const [bytes, name] of cases) {
      const header = [...PROTOCOL_HEADER.slice(0, 4), ...bytes];
      for (const role of ["client", "server"] as const) {
        assert.throws(() => decode(role, [...header, ...method(0)]), (error: Error) => {
          assert.match(error.message, new RegExp(`\\b${name}(?![\\d-])`), `${role} ${bytes}`);
          return true;
        });
      }
    }
  });
});
