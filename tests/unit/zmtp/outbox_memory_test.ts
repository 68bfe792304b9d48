/** The memory of an outbox: queued messages that are sent by reference must not need much more than their bodies. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Batch, MORE } from "../../../lib/zmtp/batch.ts";
import { Lease } from "../../../lib/zmtp/buffers.ts";
import { Outbox } from "../../../lib/zmtp/outbox.ts";
import { allocated } from "../../support/allocated.ts";

describe("outbox memory", () => {
  const COUNT = 200;
  const body = new Uint8Array(64 * 1024);
  const large = Batch.of([body]);
  const small = Batch.of([body.subarray(0, 100)]);

  it("large bodies - each one that waits costs its body and a few KiB for its header", () => {
    const outbox = new Outbox({ messages: 1000, bytes: Infinity }, () => {});
    const bytes = allocated(() => {
      for (let i = 0; i < COUNT; i++) {
        outbox.appendBatch(large, 0, 1);
        outbox.flush();
      }
    });
    assert.equal(outbox.unsent, COUNT);
    assert.ok(bytes < COUNT * 8 * 1024, `${bytes} bytes for ${COUNT} headers`);
  });

  it("shared frames - a short message between two runs of shared frames costs a few KiB", () => {
    const lease = new Lease(body, { give() {} });
    const outbox = new Outbox({ messages: 1000, bytes: Infinity }, () => {});
    const bytes = allocated(() => {
      for (let i = 0; i < COUNT; i++) {
        outbox.appendShared(body, 1, lease);
        outbox.appendBatch(small, 0, 1);
        outbox.flush();
      }
    });
    assert.equal(outbox.unsent, 2 * COUNT);
    assert.ok(bytes < COUNT * 8 * 1024, `${bytes} bytes for ${COUNT} short messages`);
  });

  it("frames - the buffer of a message that was written is used again", () => {
    const buffers = new Set<ArrayBufferLike>();
    const outbox = new Outbox({ messages: 1000, bytes: Infinity }, (bytes) => buffers.add(bytes.buffer));
    for (let i = 0; i < 500; i++) {
      outbox.appendFrame(body.subarray(0, 10), MORE);
      outbox.appendFrame(body.subarray(0, 100), 0);
      outbox.flush();
      outbox.onDrain();
    }
    assert.equal(outbox.written, 500);
    assert.ok(buffers.size < 10, `${buffers.size} buffers`);
  });

  it("stream - short messages without large ones between them still share full blocks", () => {
    const writes: number[] = [];
    const outbox = new Outbox({ messages: 100_000, bytes: Infinity }, (bytes) => writes.push(bytes.length));
    for (let i = 0; i < 10_000; i++) {
      outbox.appendBatch(small, 0, 1);
      outbox.flush();
    }
    while (!outbox.empty) outbox.onDrain();
    assert.equal(outbox.written, 10_000);
    assert.ok(writes.length < 12, `${writes.length} writes`);
  });
});
