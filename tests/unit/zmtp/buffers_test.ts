/** Buffers that are used again, and batches that outlive theirs. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Batch } from "../../../lib/zmtp/batch.ts";
import { LargeBuffers, Lease } from "../../../lib/zmtp/buffers.ts";

describe("buffers", () => {
  it("take - returns the smallest buffer that is large enough, the oldest one as well", () => {
    const buffers = new LargeBuffers(10_000);
    assert.equal(buffers.take(1), undefined);
    const [large, small, middle] = [3000, 1000, 2000].map((size) => new Uint8Array(size));
    for (const buffer of [large, small, middle]) buffers.give(buffer!);
    assert.equal(buffers.take(1500), middle);
    assert.equal(buffers.take(1500), large);
    assert.equal(buffers.take(1500), undefined);
    assert.equal(buffers.take(1000), small);
  });

  it("give - releases the oldest buffers above the limit, and keeps none that is over half of it", () => {
    const buffers = new LargeBuffers(10_000);
    buffers.give(new Uint8Array(5001));
    assert.equal(buffers.take(1), undefined);
    const given = [5000, 4000, 3000].map((size) => new Uint8Array(size));
    for (const buffer of given) buffers.give(buffer);
    assert.equal(buffers.take(5000), undefined);
    assert.deepEqual([buffers.take(4000), buffers.take(3000)], given.slice(1));
  });

  it("lease - the owner gets the buffer back from its last user", () => {
    const given: Uint8Array[] = [];
    const buffer = new Uint8Array(3);
    const lease = new Lease(buffer, { give: (one) => given.push(one) });
    lease.retain();
    lease.release();
    assert.equal(given.length, 0);
    lease.release();
    assert.deepEqual(given, [buffer]);
  });

  it("own - copies the frames of a batch, one or several, unless it is stable", () => {
    for (const count of [1, 2]) {
      for (const stable of [false, true]) {
        const batch = new Batch();
        batch.bytes = new TextEncoder().encode("abcd");
        batch.stable = stable;
        for (let at = 0; at < count; at++) batch.add(at, at + 2, 0);
        const owned = batch.own(0);
        batch.bytes.fill(120);
        assert.equal(owned.stable, true);
        assert.equal(
          new TextDecoder().decode(owned.frame(count - 1)),
          stable ? "xx" : "abcd".slice(count - 1, count + 1),
        );
      }
    }
    assert.equal(new Batch().own(0).frames, 0);
  });
});
