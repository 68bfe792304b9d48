/** Which consumer gets the next message: by priority, in turn, and by the room that it has. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ConsumerList,
  type ConsumingChannel,
  QueueConsumer,
  type QueueConsumerOptions,
} from "../../../../../lib/broker/core/queue/consumer.ts";
import type { Filter } from "../../../../../lib/filter/filter.ts";
import { namedQueue } from "../../../../support/queues.ts";

const queue = namedQueue("q");
const FILTER = {} as Filter;

function consumer(
  tag: string,
  options: Partial<QueueConsumerOptions> = {},
  channel: Partial<ConsumingChannel> = {},
) {
  return new QueueConsumer(queue, { writable: true, hasRoom: true, ...channel } as ConsumingChannel, {
    tag,
    noAck: false,
    exclusive: false,
    priority: 0,
    prefetch: 1,
    arguments: {},
    filter: undefined,
    drain: false,
    ...options,
  });
}

/** A list with these consumers: a name, and its priority. */
function list(...names: (readonly [tag: string, priority: number])[]) {
  const consumers = new ConsumerList(false);
  const byTag = new Map(names.map(([tag, priority]) => [tag, consumer(tag, { priority })]));
  for (const one of byTag.values()) consumers.add(one);
  /** Delivers a message to each next consumer, which takes up its room. */
  const serve = (count: number) => {
    let served = "";
    for (let i = 0; i < count; i++) {
      const next = consumers.next();
      if (next !== undefined) next.unacked++;
      served += next?.options.tag ?? "-";
    }
    return served;
  };
  const free = (tags: string) => {
    for (const tag of tags) byTag.get(tag)!.unacked = 0;
    consumers.refresh();
  };
  const tags = () => [...consumers].map(({ options: { tag } }) => tag).join("");
  return { consumers, byTag, serve, free, tags };
}

describe("consumers", () => {
  it("consumers - room depends on the prefetch limit, or on the output for those that do not acknowledge", () => {
    const rows = [
      consumer("", { prefetch: 2 }),
      Object.assign(consumer("", { prefetch: 2 }), { unacked: 1 }),
      Object.assign(consumer("", { prefetch: 2 }), { unacked: 2 }),
      Object.assign(consumer("", { prefetch: 0 }), { unacked: 1000 }),
      consumer("", { prefetch: 0 }, { hasRoom: false }),
      consumer("", { noAck: true }, { hasRoom: false }),
      consumer("", { noAck: true }, { writable: false }),
    ];
    assert.deepEqual(rows.map(({ hasRoom }) => hasRoom), [true, true, false, true, false, true, false]);
  });

  it("consumers - those of one priority are served in turn, and the highest priority first", () => {
    const { serve, free, tags, consumers } = list(["a", 0], ["b", 0], ["x", 5], ["c", 0], ["l", -1]);
    assert.equal(consumers.size, 5);
    assert.equal(tags(), "xabcl");
    assert.equal(serve(7), "xabcl--");
    free("b");
    assert.equal(serve(2), "b-");
    free("ac");
    assert.equal(serve(3), "ac-");
    free("xl");
    assert.equal(serve(3), "xl-");
  });

  it("consumers - one with room again comes at the end of the line", () => {
    const { serve, free, byTag } = list(["a", 0], ["b", 0], ["c", 0], ["d", 0]);
    for (const one of byTag.values()) Object.assign(one.options, { prefetch: 2 });
    assert.equal(serve(5), "abcda");
    // a is full: it is set aside at its turn, and returns after those that wait.
    assert.equal(serve(3), "bcd");
    assert.equal(serve(1), "-");
    free("c");
    free("a");
    assert.equal(serve(2), "ca");
    free("bd");
    assert.equal(serve(4), "cabd");
  });

  it("consumers - a new one comes after those that wait, whoever is next", () => {
    for (let served = 0; served <= 6; served++) {
      const { serve, consumers, byTag } = list(["a", 0], ["b", 0], ["c", 0]);
      for (const one of byTag.values()) Object.assign(one.options, { prefetch: 9 });
      serve(served);
      for (const tag of "de") consumers.add(consumer(tag, { prefetch: 9 }));
      const line = ["abc", "bca", "cab"][served % 3]!;
      assert.equal(serve(10), `${line}de`.repeat(2), `${served}`);
    }
  });

  it("consumers - of each priority, those with room again return, and the others wait on", () => {
    const { serve, free, consumers, byTag, tags } = list(["x", 5], ["a", 0], ["b", 0], ["c", 0], ["l", -1]);
    Object.assign(byTag.get("x")!.options, { prefetch: 4 });
    assert.equal(serve(9), "xxxxabcl-");
    // The highest priority has none that waits for room.
    consumers.remove(byTag.get("x")!);
    free("bl");
    assert.equal(serve(3), "bl-");
    consumers.add(consumer("y", { priority: 5, prefetch: 2 }));
    free("cl");
    assert.equal(serve(5), "yycl-");
    free("a");
    // One in line, and as many that have no room: they stay.
    assert.equal(tags().includes("a"), true);
    consumers.remove(byTag.get("b")!);
    assert.deepEqual([[...tags()].sort().join(""), consumers.size], ["acly", 4]);
    free("cl");
    assert.equal(serve(4), "acl-");
  });

  it("consumers - removing one keeps the turn of the others", () => {
    for (const [gone, expected] of [["a", "cdb"], ["b", "cda"], ["c", "dab"], ["d", "cab"]] as const) {
      const { serve, consumers, byTag } = list(["a", 0], ["b", 0], ["c", 0], ["d", 0]);
      for (const one of byTag.values()) Object.assign(one.options, { prefetch: 2 });
      assert.equal(serve(2), "ab");
      consumers.remove(byTag.get(gone)!);
      consumers.remove(byTag.get(gone)!);
      assert.equal(consumers.size, 3);
      assert.equal(serve(3), expected, `without ${gone}`);
    }
  });

  it("consumers - one that has no room can be removed, and the last one of a priority", () => {
    const { serve, consumers, byTag, tags } = list(["a", 1], ["b", 0]);
    assert.equal(serve(3), "ab-");
    consumers.remove(byTag.get("a")!);
    assert.equal(tags(), "b");
    consumers.remove(byTag.get("b")!);
    assert.deepEqual([tags(), consumers.size, consumers.exclusive], ["", 0, false]);
    consumers.add(byTag.get("b")!);
    assert.equal(consumers.exclusive, false);
  });

  it("consumers - exclusive is one that is alone", () => {
    const consumers = new ConsumerList(false);
    consumers.add(consumer("a", { exclusive: true }));
    assert.equal(consumers.exclusive, true);
    consumers.add(consumer("b"));
    assert.equal(consumers.exclusive, false);
  });

  it("consumers - those with a filter are apart", () => {
    const consumers = new ConsumerList(false);
    const [plain, filtered] = [consumer("a"), consumer("b", { filter: FILTER })];
    for (const one of [filtered, plain]) consumers.add(one);
    assert.deepEqual([consumers.filtered, consumers.size, consumers.next()], [[filtered], 2, plain]);
    assert.deepEqual([...consumers], [plain, filtered]);
    assert.equal(consumers.accepts(filtered), true);
    filtered.unacked = 1;
    assert.equal(consumers.accepts(filtered), false);
    consumers.remove(filtered);
    assert.deepEqual([consumers.filtered, consumers.size], [[], 1]);
  });

  it("consumers - a single active one is the first, whatever its priority, and then the first of the rest", () => {
    const consumers = new ConsumerList(true);
    const [a, b, c] = [
      consumer("a"),
      consumer("b", { priority: 9, filter: FILTER }),
      consumer("c", { priority: 9 }),
    ];
    for (const one of [a, b, c]) consumers.add(one);
    assert.deepEqual([consumers.active, consumers.next(), consumers.accepts(b)], [a, a, false]);
    a.unacked = 1;
    assert.equal(consumers.next(), undefined);
    consumers.remove(c);
    assert.equal(consumers.active, a);
    consumers.remove(a);
    // One with a filter is active, and gets only what matches.
    assert.deepEqual([consumers.active, consumers.next(), consumers.accepts(b)], [b, undefined, true]);
    consumers.add(a);
    consumers.remove(b);
    assert.equal(consumers.active, a);
    consumers.remove(a);
    assert.deepEqual([consumers.active, consumers.next()], [undefined, undefined]);
  });
});
