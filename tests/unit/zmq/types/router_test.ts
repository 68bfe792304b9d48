/** ROUTER with peers that have no network: routing ids that are taken over, and what is sent to whom. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Batch } from "../../../../lib/zmtp/batch.ts";
import { text } from "../../../../lib/zmtp/bytes.ts";
import { Router, type RouterOptions } from "../../../../mod.ts";
import { FakeTime } from "../../../support/fake_time.ts";
import { batchOf, FakePeer } from "../fake_peer.ts";

/** A ROUTER whose peers the test adds. */
class TestedRouter extends Router {
  readonly events: string[] = [];

  constructor(options: RouterOptions = {}) {
    const events: string[] = [];
    super({
      ...options,
      onEvent: (event) => {
        if (event.type === "contested" || event.type === "unroutable") {
          events.push(`${event.type} ${text(event.routingId)}`);
        } else if (event.type === "dropping") events.push(`${event.type} ${event.endpoint}`);
      },
    });
    this.events = events;
  }

  attach(identity: string, room = 10): FakePeer {
    const peer = new FakePeer(identity, { messages: room, bytes: Infinity }, identity);
    this.onAttach(peer.connection, undefined);
    return peer;
  }

  arrive(peer: FakePeer, messages: string, stable: boolean): void {
    const batch = batchOf(messages);
    batch.stable = stable;
    this.onBatch(peer.connection, batch);
    if (!stable) batch.bytes.fill(0x3f);
  }
}

describe("router", () => {
  it("contested - is an id that was taken over three times, each within ten seconds of the time before", () => {
    using time = new FakeTime();
    time.pass(1e6); // A process that has run for long.
    const cases: [pauses: number[], reports: number][] = [
      [[0, 0, 0], 0],
      [[0, 0, 0, 0], 1],
      [[0, 0, 9999, 9999], 1],
      [[0, 0, 9999, 10_000], 0],
      [[0, 0, 10_000, 9999, 9999], 1],
      [[0, 20_000, 20_000, 20_000, 20_000], 0],
      [[0, 0, 0, 0, 0, 0], 1],
      [[0, 0, 0, 0, 10_000, 0, 0], 2],
    ];
    for (const [pauses, reports] of cases) {
      const router = new TestedRouter({ handover: true });
      const peers = pauses.map((ms) => {
        time.pass(ms);
        return router.attach("id");
      });
      assert.deepEqual(router.events, Array(reports).fill("contested id"), `${pauses}`);
      assert.deepEqual(
        peers.map(({ closed }) => closed !== undefined),
        pauses.map((_, i) => i < pauses.length - 1),
      );
      assert.equal(peers[0]!.closed!.message, "Another peer took over the routing id 'id'");
    }
  });

  it("contested - a thousand ids are remembered, and all are forgotten before one more", () => {
    for (const [others, reports] of [[999, 1], [1000, 0]] as const) {
      const router = new TestedRouter({ handover: true });
      const take = (id: string, times: number) => {
        for (let i = 0; i <= times; i++) router.attach(id);
      };
      take("id", 2);
      for (let i = 0; i < others; i++) take(`other ${i}`, 1);
      router.attach("id");
      assert.deepEqual(router.events, Array(reports).fill("contested id"), `${others}`);
    }
  });

  it("send - each message goes to its peer; what has none, or finds its queue full, is counted and reported", () => {
    const router = new TestedRouter();
    const [one, two] = [router.attach("one"), router.attach("two", 2)];
    assert.throws(() => router.sendBatch(batchOf("one")), RangeError);
    const batch = batchOf("one/a two/b/c none/d two/e two/f two/g one/h/ on/i one2/j");
    assert.equal(router.sendBatch(batch), batch.frames);
    assert.deepEqual([one.writing, two.writing], ["a h/", "b/c e"]);
    assert.deepEqual([one.drain(), two.drain()], ["a h/", "b/c e"]);
    assert.deepEqual(router.events, ["unroutable none", "dropping two", "unroutable on", "unroutable one2"]);
    assert.equal(router.dropped, 5);
    router.sendBatch(batchOf("two/k two/l two/m"));
    assert.equal(two.writing, "k l");
    // It had room in between, so this is another spell.
    assert.deepEqual([two.drain(), router.events.slice(4), router.dropped], ["k l", ["dropping two"], 6]);
    // What was queued before the wrong message is reported first.
    assert.equal(router.sendBatch(batchOf("one/n one")), 2);
    assert.throws(() => router.sendBatch(batchOf("one/n one"), 2), RangeError);
    assert.equal(one.drain(), "n");
  });

  it("labels - messages that a consumer keeps do not change when the next ones arrive", () => {
    for (const stable of [false, true]) {
      const router = new TestedRouter();
      const kept: Batch[] = [];
      router.consume((batch) => {
        assert.equal(batch.stable, stable);
        kept.push(batch.own(0));
      });
      const peers = ["one", "another"].map((id) => router.attach(id));
      for (const message of ["a b/c", "d", "e//f g"]) {
        for (const peer of peers) router.arrive(peer, message, stable);
      }
      const messages = kept.map((batch) => {
        const frames = batch.copy(0, batch.frames).map(text);
        return frames.map((frame, i) => frame + (batch.flags[i] === 0 ? " " : "/")).join("").trim();
      });
      assert.deepEqual(messages, [
        "one/a one/b/c",
        "another/a another/b/c",
        "one/d",
        "another/d",
        "one/e//f one/g",
        "another/e//f another/g",
      ]);
    }
  });

  it("mandatory - a full queue waits, and an unknown id is an error after the messages before it", () => {
    const router = new TestedRouter({ mandatory: true });
    const one = router.attach("one", 2);
    const batch = batchOf("one/a one/b one/c none/d");
    assert.equal(router.sendBatch(batch), 4);
    assert.equal(one.drain(), "a b");
    assert.equal(router.sendBatch(batch, 4), 6);
    assert.throws(() => router.sendBatch(batch, 6), /no peer has the routing id 'none'/);
    assert.deepEqual([one.drain(), router.dropped, router.events], ["c", 0, []]);
  });
});
