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
        assert.equal(ring.count, model.size);
        assert.equal(ring.last, last);
        assert.equal(ring.first, model.size === 0 ? last + 1 : Math.min(...model.keys()));
      }
      for (let tag = 0; tag <= last + 1; tag++) {
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

function queueOf(number: number): Queue {
  return { name: `q${number}` } as Queue;
}
