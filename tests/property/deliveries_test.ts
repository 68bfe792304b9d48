/** The unacknowledged deliveries of a channel (a ring) compared with a map. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Deliveries } from "../../lib/broker/core/clients/deliveries.ts";
import type { Queue } from "../../lib/broker/core/queue/queue.ts";

type Step = { readonly kind: "add" } | { readonly kind: "skip" } | {
  readonly kind: "settle";
  readonly at: number;
};

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<Step>({ kind: "add" }) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: "skip" }) },
    { weight: 3, arbitrary: fc.nat(1000).map((at): Step => ({ kind: "settle", at })) },
  ),
  { maxLength: 400, size: "max" },
);

describe("deliveries", () => {
  it("deliveries - the ring is equal to a map for any order of settlements", () => {
    fc.assert(fc.property(steps, (all) => {
      const ring = new Deliveries();
      const model = new Map<number, number>();
      let last = 0;
      let most = 0;
      for (const step of all) {
        if (step.kind === "add") {
          assert.equal(ring.add(queueOf(last), last % 5, last * 3, undefined), ++last);
          model.set(last, (last - 1) * 3);
        } else if (step.kind === "skip") assert.equal(ring.skip(), ++last);
        else if (model.size > 0) {
          const tag = [...model.keys()][step.at % model.size]!;
          ring.settle(tag, ring.slotOf(tag));
          model.delete(tag);
        }
        most = Math.max(most, model.size);
        assert.equal(ring.count, model.size);
        assert.equal(ring.last, last);
        assert.ok(ring.size <= Math.max(16, 4 * most), "the ring depends on the unsettled deliveries");
        assert.equal(ring.first, model.size === 0 ? last + 1 : Math.min(...model.keys()));
      }
      for (let tag = 0; tag <= last + 1; tag++) {
        assert.equal(ring.next(tag), Math.min(...[...model.keys()].filter((one) => one >= tag)));
        const slot = ring.slotOf(tag);
        assert.equal(slot >= 0, model.has(tag), `tag ${tag}`);
        if (slot < 0) continue;
        assert.equal(ring.seqs[slot], model.get(tag));
        assert.equal(ring.queues[slot]!.name, `q${tag - 1}`);
        assert.equal(ring.lanes[slot], (tag - 1) % 5);
      }
    }));
  });
});

describe("deliveries, long", () => {
  it("deliveries - one unsettled delivery keeps no memory of those after it", () => {
    const ring = new Deliveries();
    assert.equal(ring.add(queueOf(0), 0, 7, undefined), 1);
    // A consumer without acknowledgement.
    for (let i = 0; i < 100_000; i++) ring.skip();
    assert.equal(ring.size, 16);
    // A consumer that acknowledges at once, and one with 100 messages in flight, acknowledged in any order.
    for (let i = 0; i < 100_000; i++) {
      const tag = ring.add(queueOf(1), 1, i, undefined);
      ring.settle(tag, ring.slotOf(tag));
    }
    const tags: number[] = [];
    for (let i = 0; i < 100_000; i++) {
      tags.push(ring.add(queueOf(1), 1, i, undefined));
      if (tags.length <= 100) continue;
      const [tag] = tags.splice(i * 7919 % tags.length, 1) as [number];
      assert.equal(ring.queues[ring.slotOf(tag)]!.name, "q1");
      ring.settle(tag, ring.slotOf(tag));
    }
    assert.ok(ring.size <= 512, `${ring.size}`);
    assert.equal(ring.seqs[ring.slotOf(1)], 7);
    assert.ok(ring.hasRoom);
  });
});

function queueOf(number: number): Queue {
  return { name: `q${number}` } as Queue;
}
