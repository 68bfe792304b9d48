/** Messages that a server sends in frames. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Content } from "../../../../lib/amqp/client/content.ts";
import { encodeProperties } from "../../../../lib/amqp/properties.ts";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { LimitError } from "../../../../lib/errors.ts";
import { concat } from "../../../../lib/zmtp/bytes.ts";

const MIB = 1024 * 1024;

/** The payload of a header frame, with a byte on both sides that is not part of it. */
function header(size: number, properties = encodeProperties({})): [Uint8Array, number, number] {
  const head = new Uint8Array(12);
  head[1] = 60;
  new DataView(head.buffer).setUint32(8, size);
  const bytes = concat([Uint8Array.of(0xee), head, properties, Uint8Array.of(0xee)]);
  return [bytes, 1, bytes.length - 1];
}

/** Passes a body in frames of these sizes. @returns whether the message was complete after each */
function pass(content: Content, body: Uint8Array, sizes: readonly number[]): boolean[] {
  let at = 0;
  return sizes.map((size) => {
    const frame = concat([Uint8Array.of(0xee, 0xee), body.subarray(at, at += size), Uint8Array.of(0xee)]);
    return content.onBody(frame, 2, 2 + size);
  });
}

const bodyOf = ({ body, bodyStart, bodyEnd }: Content) => body.slice(bodyStart, bodyEnd);

describe("AMQP client, content", () => {
  it("content - has the properties of each message, also longer ones than before", () => {
    const content = new Content(100);
    for (const text of ["", "a", "b".repeat(1000), "c"]) {
      const properties = encodeProperties({ headers: { text } });
      assert.equal(content.onHeader(...header(0, properties)), true);
      assert.deepEqual(content.properties.slice(0, content.propertiesEnd), properties);
      assert.deepEqual(bodyOf(content), new Uint8Array(0));
    }
  });

  it("content - a body in one frame is not copied", () => {
    const content = new Content(100);
    assert.equal(content.onHeader(...header(3)), false);
    const bytes = Uint8Array.of(9, 1, 2, 3, 9);
    assert.equal(content.onBody(bytes, 1, 4), true);
    assert.equal(content.body, bytes);
    assert.deepEqual(bodyOf(content), Uint8Array.of(1, 2, 3));
    content.onHeader(...header(0));
    assert.deepEqual([content.body.length, content.bodyStart, content.bodyEnd], [0, 0, 0]);
  });

  it("content - a body in several frames is collected", () => {
    const content = new Content(4 * MIB);
    for (const sizes of [[1, 2], [50, 50, 1], [0, 5, 0, 5], [2, 1], [MIB, MIB, 5], [1, MIB + 7], [3, 4]]) {
      const size = sizes.reduce((sum, size) => sum + size);
      const body = Uint8Array.from({ length: size }, (_, i) => i % 251);
      content.onHeader(...header(size));
      // A frame without bytes may follow at the end.
      const complete = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size) === size);
      assert.deepEqual(pass(content, body, sizes), complete);
      assert.deepEqual(bodyOf(content), body);
    }
  });

  it("content - a buffer of more than 1 MiB is not kept", () => {
    const content = new Content(4 * MIB);
    for (const [size, kept] of [[10, 10], [MIB, MIB], [9, MIB], [MIB + 1, MIB + 1], [8, 8]] as const) {
      content.onHeader(...header(size));
      pass(content, new Uint8Array(size), [1, size - 1]);
      assert.equal(content.body.length, kept);
    }
  });

  it("content - a buffer grows with the body, and not as the header announces", () => {
    const content = new Content(9 * MIB);
    content.onHeader(...header(8 * MIB));
    const lengths = new Set<number>();
    for (let i = 0; i < 64; i++) {
      pass(content, new Uint8Array(MIB / 8), [MIB / 8]);
      lengths.add(content.body.length / MIB);
    }
    assert.deepEqual([...lengths], [1, 2, 4, 8]);
    content.onHeader(...header(9 * MIB));
    pass(content, new Uint8Array(3 * MIB), [3 * MIB]);
    assert.equal(content.body.length, 3 * MIB);
  });

  it("content - is refused over the limit, and when it is longer than its header says", () => {
    const content = new Content(5);
    content.onHeader(...header(5));
    assert.deepEqual(pass(content, new Uint8Array(5), [5]), [true]);
    assert.throws(() => content.onHeader(...header(6)), LimitError);
    for (const sizes of [[6], [4, 2]]) {
      content.onHeader(...header(5));
      assert.throws(() => pass(content, new Uint8Array(6), sizes), (error) => {
        assert.ok(error instanceof AmqpError);
        assert.match(error.message, /exceeds the 5 bytes that its header announced/);
        return true;
      });
    }
  });
});
