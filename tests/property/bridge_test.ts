/** A bridge between a source and a sink that are cut, slow and refuse messages at random. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Bridge } from "../../lib/patterns/bridge/bridge.ts";
import { addressing } from "../../lib/patterns/bridge/addressing.ts";
import { FakeSink, FakeSource } from "../support/bridge_ends.ts";

type Step = readonly [kind: "deliver" | "confirm" | "one" | "refuse" | "cutSource" | "cutSink", n: number];

const step = (kind: Step[0], weight: number, max: number) => ({
  weight,
  arbitrary: fc.nat(max).map((n): Step => [kind, n]),
});

const steps = (refusals: number) =>
  fc.array(
    fc.oneof(
      step("deliver", 6, 12),
      step("confirm", 4, 20),
      step("one", 4, 20),
      step("refuse", refusals, 20),
      step("cutSource", 1, 0),
      step("cutSink", 1, 0),
    ),
    { maxLength: 200, size: "max" },
  );

const COUNT = 60;
const limits = fc.record({
  prefetch: fc.integer({ min: 1, max: 30 }),
  window: fc.integer({ min: 1, max: 20 }),
});

function build(prefetch: number, window: number, isLossy = false) {
  const sink = new FakeSink(window);
  let source!: FakeSource;
  const bridge = new Bridge(sink, (events) => source = new FakeSource(events, COUNT, prefetch), {
    address: addressing(({ properties }) => ({ exchange: "", routingKey: "sink", properties })),
    prefetch: isLossy ? undefined : prefetch,
    isLossy,
  });
  source.forgets = isLossy;
  source.start();
  return { sink, source, bridge };
}

function perform([kind, n]: Step, sink: FakeSink, source: FakeSource, bridge: Bridge): void {
  if (kind === "deliver") source.deliver(n);
  else if (kind === "confirm") sink.settle(n, true, true);
  else if (kind === "one") sink.settle(n, true, false);
  else if (kind === "refuse") sink.settle(n, false, false);
  else if (kind === "cutSource") source.cut();
  else sink.cut();
  if (kind === "cutSource") bridge.proceed(); // Its signal fires in a later task.
}

/** The first arrivals of each message must be in order. */
function assertOrder(arrived: readonly number[]): void {
  const first = [...new Set(arrived)];
  assert.deepEqual(first, [...first].sort((a, b) => a - b));
}

describe("bridge", () => {
  it("bridge - acknowledges at the source only what the sink has, keeps the order, and loses nothing", () => {
    fc.assert(fc.property(steps(1), limits, (all, { prefetch, window }) => {
      const { sink, source, bridge } = build(prefetch, window);
      for (const step of all) {
        perform(step, sink, source, bridge);
        for (const number of source.acknowledged) assert.ok(sink.taken.has(number), `${number} is lost`);
        assertOrder(sink.arrived);
        assert.ok(bridge.forwarded <= sink.acknowledged);
        assert.equal(bridge.forwarded, source.acknowledged.length);
        assert.ok(sink.pending <= window);
      }
    }));
  });

  it("bridge - without refusals forwards everything, whatever happens on the way", () => {
    fc.assert(fc.property(steps(0), limits, (all, { prefetch, window }) => {
      const { sink, source, bridge } = build(prefetch, window);
      for (const step of all) perform(step, sink, source, bridge);
      for (let i = 0; i < 4 * COUNT; i++) {
        source.deliver(7);
        sink.settleAll();
      }
      assert.deepEqual(
        [...source.acknowledged].sort((a, b) => a - b),
        Array.from({ length: COUNT }, (_, i) => i),
      );
      assert.deepEqual([source.ready.length, source.unacked.size], [0, 0]);
      assert.ok(bridge.isIdle);
    }));
  });

  it("bridge - forwards everything that arrived from a source that forgets it, once and in order", () => {
    fc.assert(fc.property(steps(0), limits, (all, { prefetch, window }) => {
      const { sink, source, bridge } = build(prefetch, window, true);
      for (const step of all.filter(([kind]) => kind !== "cutSink")) perform(step, sink, source, bridge);
      for (let i = 0; i < 4 * COUNT; i++) {
        source.deliver(7);
        sink.settleAll();
      }
      assert.deepEqual(sink.arrived, Array.from({ length: COUNT }, (_, i) => i));
      assert.deepEqual([bridge.forwarded, bridge.isIdle, source.unacked.size], [COUNT, true, 0]);
    }));
  });
});
