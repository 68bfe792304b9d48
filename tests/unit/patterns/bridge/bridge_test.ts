import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { LimitError, ProtocolError } from "../../../../lib/errors.ts";
import { Bridge, type BridgeOptions } from "../../../../lib/patterns/bridge/bridge.ts";
import type { Bodies, Envelope } from "../../../../lib/patterns/contract.ts";
import { waitFor } from "../../../support/helpers.ts";
import { FakeSink, FakeSource } from "../../../support/bridge_ends.ts";

const ENVELOPE: Envelope = { exchange: "", routingKey: "sink", properties: NO_PROPERTIES };

function build(count: number, options: Partial<BridgeOptions> = {}, sink = new FakeSink()) {
  let source!: FakeSource;
  const receive = (events: ConstructorParameters<typeof FakeSource>[0]) =>
    source = new FakeSource(events, count, options.prefetch);
  const bridge = new Bridge(sink, receive, { address: () => ENVELOPE, ...options });
  source.start();
  return { bridge, sink, source };
}

describe("bridge", () => {
  it("bridge - acknowledges a message after the sink has it and all before it", () => {
    const { bridge, sink, source } = build(3);
    source.deliver(3);
    assert.deepEqual([bridge.taken, bridge.published, bridge.forwarded, bridge.bytes], [3, 3, 0, 3]);
    sink.settle(1, true, false);
    assert.deepEqual(source.acknowledged, []);
    sink.settle(0, true, false);
    assert.deepEqual(source.acknowledged, [0, 1]);
    sink.settle(0, true, false);
    assert.deepEqual([bridge.forwarded, bridge.isIdle, bridge.isComplete], [3, true, false]);
  });

  it("bridge - pauses the source while the sink has no room, and continues in order", () => {
    const { sink, source } = build(10, {}, new FakeSink(2));
    source.deliver(5);
    assert.deepEqual([sink.arrived, source.isPaused], [[0, 1], true]);
    sink.settle(1, true, true);
    assert.deepEqual([sink.arrived, source.isPaused], [[0, 1, 2, 3], true]);
    sink.settle(1, true, true);
    assert.deepEqual([sink.arrived, source.isPaused], [[0, 1, 2, 3, 4], false]);
  });

  it("bridge - pauses the source while it is told that something else is full", () => {
    let isFull = true;
    const { bridge, source } = build(10, { isFull: () => isFull });
    source.deliver(2);
    assert.equal(source.isPaused, true);
    isFull = false;
    bridge.proceed();
    assert.equal(source.isPaused, false);
  });

  it("bridge - takes no more than the wanted number, and acknowledges only when all have arrived", () => {
    const { bridge, sink, source } = build(10, { count: 3, prefetch: 3 });
    source.deliver(2);
    sink.settle(1, true, true);
    assert.deepEqual(source.acknowledged, []);
    source.deliver(8);
    assert.deepEqual([sink.arrived, source.isCancelled], [[0, 1, 2], true]);
    sink.settle(0, true, true);
    assert.deepEqual([source.acknowledged, bridge.isComplete], [[0, 1, 2], true]);
  });

  it("bridge - keeps messages at their source, with the reasons, and acknowledges the others one by one", () => {
    let number = 0;
    const address = () => number++ % 2 === 0 ? "for a reason" : ENVELOPE;
    const { bridge, sink, source } = build(6, { address, prefetch: 3 });
    source.deliver(6);
    sink.settleAll();
    source.deliver(6);
    sink.settleAll();
    assert.deepEqual(source.acknowledged, [1, 3]);
    source.deliver(6);
    assert.deepEqual([...bridge.kept], [["for a reason", 3]]);
    assert.deepEqual([bridge.keptCount, bridge.isStuck, bridge.isRefused], [3, true, false]);
    source.cut();
    bridge.proceed();
    assert.deepEqual([bridge.keptCount, bridge.taken], [0, 2]);
  });

  it("bridge - keeps a message that the sink cannot encode, and publishes the others", () => {
    class Narrow extends FakeSink {
      override publish(bodies: Bodies, from: number, to: number, envelopes: Envelope | readonly Envelope[]) {
        for (let i = from; i < to; i++) {
          if (bodies.bytes[bodies.starts[i]!] !== "1".charCodeAt(0)) continue;
          if (i > from) return super.publish(bodies, from, i, envelopes);
          throw new LimitError("too large");
        }
        return super.publish(bodies, from, to, envelopes);
      }
    }
    const { bridge, sink, source } = build(3, {}, new Narrow());
    source.deliver(3);
    sink.settleAll();
    assert.deepEqual([source.acknowledged, bridge.keptCount], [[0, 2], 1]);
  });

  it("bridge - waits for the admission of a message, and keeps the order", () => {
    let verdict: true | string | undefined;
    const { bridge, sink, source } = build(4, { admit: () => verdict });
    source.deliver(2);
    assert.deepEqual([sink.arrived, source.isPaused], [[], true]);
    verdict = true;
    bridge.proceed();
    assert.deepEqual([sink.arrived, source.isPaused], [[0, 1], false]);
    verdict = "to nowhere";
    source.deliver(2);
    assert.deepEqual([...bridge.kept], [["to nowhere", 2]]);
  });

  it("bridge - acknowledges nothing after a refused message", () => {
    const { bridge, sink, source } = build(4);
    source.deliver(4);
    sink.settle(1, false, false);
    sink.settleAll();
    assert.deepEqual([source.acknowledged, bridge.isRefused], [[0], true]);
  });

  it("bridge - acknowledges nothing after a returned message, which cannot be identified", () => {
    const { bridge, sink, source } = build(4);
    source.deliver(4);
    sink.return();
    sink.settleAll();
    assert.deepEqual([source.acknowledged, bridge.isRefused], [[], true]);
  });

  it("bridge - forwards the messages of a lost connection again, and does not acknowledge the old ones", () => {
    const { bridge, sink, source } = build(3);
    source.deliver(3);
    source.cut();
    bridge.proceed();
    sink.settleAll();
    assert.deepEqual([source.acknowledged, bridge.forwarded], [[], 0]);
    source.deliver(3);
    sink.settleAll();
    assert.deepEqual([source.acknowledged, sink.arrived], [[0, 1, 2], [0, 1, 2, 0, 1, 2]]);
  });

  it("bridge - after a lost connection forwards no more messages than were present", () => {
    const { bridge, sink, source } = build(5, { present: 3 });
    source.deliver(2);
    sink.settleAll();
    source.cut();
    bridge.proceed();
    // The two acknowledged ones might come again.
    source.deliver(5);
    sink.settleAll();
    assert.deepEqual([source.acknowledged, bridge.isComplete], [[0, 1, 2, 3, 4], true]);
  });

  it("bridge - forwards the messages of a lossy source also after its connection is lost", () => {
    const { bridge, sink, source } = build(5, { isLossy: true }, new FakeSink(2));
    source.deliver(4);
    source.cut();
    source.ready = [4];
    bridge.proceed();
    sink.settleAll();
    assert.deepEqual([sink.arrived, bridge.forwarded, source.acknowledged], [[0, 1, 2, 3], 2, []]);
    sink.settleAll();
    source.deliver(1);
    sink.settleAll();
    assert.deepEqual([sink.arrived, bridge.forwarded, source.acknowledged], [[0, 1, 2, 3, 4], 5, [4]]);
    assert.equal(bridge.isIdle, true);
  });

  it("bridge - drops messages of a lossy source that cannot be forwarded, so that they do not fill its window", () => {
    let number = 0;
    const address = () => number++ % 2 === 0 ? "for a reason" : ENVELOPE;
    const { bridge, sink, source } = build(6, { address, isLossy: true });
    source.deliver(6);
    sink.settleAll();
    assert.deepEqual([source.unacked.size, bridge.forwarded, bridge.keptCount], [0, 3, 3]);
    source.cut();
    bridge.proceed();
    assert.equal(bridge.keptCount, 3);
  });

  it("finish - waits only for published messages, as the others stay at their source", async () => {
    const { bridge, sink, source } = build(5, {}, new FakeSink(1));
    source.deliver(3);
    const finished = bridge.finish(10_000);
    sink.window = 0;
    sink.settle(0, true, false);
    await finished;
    assert.deepEqual([source.acknowledged, source.unacked.size], [[0], 2]);
    await bridge.close();
  });

  it("finish - ends the deliveries, and waits until the sink has all messages of a lossy source", async () => {
    const { bridge, sink, source } = build(5, { isLossy: true }, new FakeSink(1));
    source.deliver(3);
    const finished = bridge.finish(10_000);
    assert.equal(source.isCancelled, true);
    for (let i = 0; i < 3; i++) {
      await waitFor(() => sink.pending > 0);
      sink.settle(0, true, false);
    }
    await finished;
    assert.deepEqual(source.acknowledged, [0, 1, 2]);
    await bridge.close();
    assert.deepEqual([source.isClosed, sink.isClosed], [true, true]);
  });

  it("finish - gives up after its limit, and at a failure of the sink", async () => {
    const { bridge, sink, source } = build(5);
    source.deliver(3);
    await bridge.finish(1);
    assert.deepEqual([source.acknowledged, sink.pending], [[], 3]);
    sink.failure = new Error("gone");
    await bridge.finish(1_000_000);
    assert.equal(bridge.failure, sink.failure);
  });

  it("bridge - keeps a message whose headers the sink cannot decode", () => {
    class Strict extends FakeSink {
      override publish(): number {
        throw new ProtocolError("malformed headers");
      }
    }
    const { bridge, source } = build(2, {}, new Strict());
    source.deliver(2);
    assert.deepEqual([bridge.keptCount, bridge.failure], [2, undefined]);
  });

  it("bridge - an error at a change of an end is the failure of the bridge", async () => {
    const { bridge, source } = build(1, {
      isFull() {
        throw new Error("mine");
      },
    });
    source.changed.fire();
    await waitFor(() => bridge.failure?.message === "mine");
  });
});
