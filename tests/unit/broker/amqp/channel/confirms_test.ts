/** Publisher confirms: in order, coalesced, and not before their position in the journal is safe. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameEncoder } from "../../../../../lib/amqp/frames/frame_encoder.ts";
import { decodeMethod } from "../../../../../lib/amqp/method_codec.ts";
import { Confirms } from "../../../../../lib/broker/amqp/channel/confirms.ts";

/** Returns the confirms since the last call, for example `ack 3 multiple`. */
function told(encoder: FrameEncoder): string[] {
  const bytes = encoder.out.take();
  const found: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 3);
    const method = decodeMethod(bytes, at + 7, at + 7 + size);
    assert.ok(method.name === "basic.ack" || method.name === "basic.nack");
    const { deliveryTag, multiple } = method.args;
    found.push(`${method.name.slice(6)} ${deliveryTag}${multiple ? " multiple" : ""}`);
    at += size + 8;
  }
  return found;
}

describe("confirms", () => {
  it("confirms - sends one frame for all publishes of a cycle", () => {
    const confirms = new Confirms();
    const encoder = new FrameEncoder();
    for (let i = 1; i <= 3; i++) confirms.add(true, i * 100);
    assert.equal(confirms.send(encoder, 1, 300), false);
    assert.deepEqual(told(encoder), ["ack 3 multiple"]);
    confirms.add(true, 400);
    assert.equal(confirms.send(encoder, 1, 400), false);
    assert.deepEqual(told(encoder), ["ack 4"]);
  });

  it("confirms - an unsafe publish waits, and later publishes do not delay it", () => {
    const confirms = new Confirms();
    const encoder = new FrameEncoder();
    confirms.add(true, 100);
    assert.equal(confirms.send(encoder, 1, 0), true);
    confirms.add(true, 200);
    assert.equal(confirms.send(encoder, 1, 100), true);
    assert.deepEqual(told(encoder), ["ack 1"]);
    assert.equal(confirms.send(encoder, 1, 200), false);
    assert.deepEqual(told(encoder), ["ack 2"]);
  });

  it("confirms - the publishes of a cycle wait until the last one of them is safe", () => {
    for (const positions of [[100, 200], [0, 200, 0], [200, 100]]) {
      const confirms = new Confirms();
      const encoder = new FrameEncoder();
      for (const position of positions) confirms.add(true, position);
      assert.equal(confirms.send(encoder, 1, 199), true);
      assert.deepEqual(told(encoder), []);
      assert.equal(confirms.send(encoder, 1, 200), false);
      assert.deepEqual(told(encoder), [`ack ${positions.length} multiple`]);
    }
  });

  it("confirms - cycles that become safe together are confirmed together", () => {
    const confirms = new Confirms();
    const encoder = new FrameEncoder();
    for (let turn = 1; turn <= 3; turn++) {
      confirms.add(true, turn * 100);
      confirms.send(encoder, 1, 0);
    }
    assert.equal(confirms.send(encoder, 1, 300), false);
    assert.deepEqual(told(encoder), ["ack 3 multiple"]);
  });

  it("confirms - a refused publish separates the accepted ones", () => {
    const confirms = new Confirms();
    const encoder = new FrameEncoder();
    for (const taken of [true, true, false, true]) confirms.add(taken, 0);
    assert.equal(confirms.send(encoder, 1, 0), false);
    assert.deepEqual(told(encoder), ["ack 2 multiple", "nack 3", "ack 4"]);
  });

  it("confirms - a transient message is confirmed in order after a persistent one", () => {
    const confirms = new Confirms();
    const encoder = new FrameEncoder();
    confirms.add(true, 100);
    confirms.send(encoder, 1, 0);
    confirms.add(true, 0);
    assert.equal(confirms.send(encoder, 1, 0), true);
    assert.deepEqual(told(encoder), []);
    assert.equal(confirms.send(encoder, 1, 100), false);
    assert.deepEqual(told(encoder), ["ack 2 multiple"]);
  });
});
