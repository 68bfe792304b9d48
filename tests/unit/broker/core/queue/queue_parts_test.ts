/** A queue without a broker: what it tells the journal, when its timers fire, and what it does at each of its limits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FieldTable } from "../../../../../lib/amqp/types/field_value.ts";
import { encodeMessage } from "../../../../../lib/broker/core/message.ts";
import { type ConsumingChannel, QueueConsumer } from "../../../../../lib/broker/core/queue/consumer.ts";
import { type DelayHost, DelayQueue } from "../../../../../lib/broker/core/queue/delay_queue.ts";
import { Queue, type QueueHost } from "../../../../../lib/broker/core/queue/queue.ts";
import { GONE } from "../../../../../lib/broker/core/queue/lane.ts";
import { TestClock } from "../../../../../lib/broker/testing/test_clock.ts";

const START = 1_000_000;
const DAY = 86_400_000;
/** The longest time of a timer, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

interface Given {
  arguments?: FieldTable;
  durable?: boolean;
  autoDelete?: boolean;
  /** Whether a message that survives a restart replaces a dead one, or a delayed one. */
  replaces?: boolean;
  /** Whether it holds the messages of an exchange until they are due. */
  delays?: boolean;
}

/** A queue, and what it did. */
class Scene {
  readonly clock = new TestClock({ start: START });
  /** The times of the timers that it has started, in milliseconds. */
  readonly waits: number[] = [];
  /** What it told the journal and the broker, in order. */
  readonly told: string[] = [];
  readonly cycle: { now: number } & QueueHost["cycle"];
  readonly queue: Queue;
  /** Why the broker takes no messages. */
  blocked: string | undefined;
  /** The messages that cannot be read. */
  readonly damaged = new Set<number>();
  #depth = 0;
  #sent = 0;

  constructor(
    { arguments: args = {}, durable = true, autoDelete = false, replaces = false, delays }: Given = {},
  ) {
    const { clock, told, waits } = this;
    this.cycle = {
      now: START,
      clock: Object.assign(Object.create(clock) as TestClock, {
        now: () => clock.now(),
        clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
        setTimeout: (callback: () => void, ms: number) => {
          waits.push(ms);
          return clock.setTimeout(callback, ms);
        },
      }),
      wake: (queue) => void (queue.awake = true),
      begin: () => {
        this.#depth++;
        this.cycle.now = clock.now();
      },
      end: () => {
        if (--this.#depth === 0) this.work();
      },
    };
    const encoded = encodeMessage({ exchange: "", routingKey: "k" }, {}, new Uint8Array(3));
    const definition = {
      id: 7,
      vhost: "/",
      name: "q",
      durable,
      exclusive: false,
      autoDelete,
      arguments: args,
    };
    const isBlocked = () => this.blocked;
    const host: DelayHost = {
      journal: {
        read: (_segment, _offset, _id, seq) => this.damaged.has(seq!) ? undefined : encoded,
        settle: (...settled) => void told.push(`settle ${settled.join(" ")}`),
        delivered: (...mark) => void told.push(`delivered ${mark.join(" ")}`),
        deliveredOne: (...mark) => void told.push(`deliveredOne ${mark.join(" ")}`),
        settledOne: (...mark) => void told.push(`settledOne ${mark.join(" ")}`),
      },
      cycle: this.cycle,
      deadLetter: (_queue, _message, reason, lane, seq) => {
        told.push(`dead ${reason} ${lane} ${seq}`);
        return replaces;
      },
      isTraced: () => false,
      traceDelivery() {},
      traceOutcome() {},
      deleteQueue: () => void told.push("delete"),
      forget: () => void told.push("forget"),
      get blocked() {
        return isBlocked();
      },
      forward: (_queue, _message, seq) => {
        told.push(`forward ${seq}`);
        return replaces;
      },
    };
    this.queue = delays ? new DelayQueue(definition, host) : new Queue(definition, host);
  }

  /** The end of a cycle. */
  work(): void {
    if (!this.queue.awake) return;
    this.queue.awake = false;
    this.queue.dispatch();
  }

  /** What was told since the last call. */
  news(): string[] {
    return this.told.splice(0);
  }

  /** Messages arrive; their bodies have `size` bytes. */
  push(count = 1, { lane = 0, size = 1, ttl = Infinity } = {}): void {
    for (let i = 0; i < count; i++) {
      const expiry = this.queue.expiryOf(ttl, 0);
      this.queue.lanes[lane]!.push(3, 10 * this.#sent++, size, expiry);
      this.queue.arrived(expiry, lane);
    }
  }

  /** A message arrives that is due after `delay` milliseconds. */
  delay(delay: number): void {
    const due = this.queue.expiryOf(Infinity, delay);
    this.queue.lanes[0]!.push(3, 10 * this.#sent++, 1, due);
    this.queue.arrived(due, 0);
  }

  /** Time passes. */
  advance(ms: number): void {
    this.clock.advance(ms);
    this.cycle.now = this.clock.now();
  }

  /** A consumer that takes `room` messages. */
  consume(room = Infinity): QueueConsumer & { got: string[] } {
    const got: string[] = [];
    const channel: ConsumingChannel = {
      writable: true,
      get hasRoom() {
        return got.length < room;
      },
      client: undefined,
      deliver: (_consumer, { takenLane, takenSeq }) => void got.push(`${takenLane} ${takenSeq}`),
      onCancelled: () => void this.told.push("cancelled"),
    };
    const options = { tag: "t", noAck: false, exclusive: false, priority: 0, prefetch: 0, arguments: {} };
    const consumer = Object.assign(new QueueConsumer(this.queue, channel, options), { got });
    this.queue.addConsumer(consumer);
    this.work();
    return consumer;
  }
}

describe("queue, what the journal gets to know", () => {
  it("marks - of each lane the last delivered message, once, and only those of a durable queue", () => {
    for (const durable of [true, false]) {
      const scene = new Scene({ durable, arguments: { "x-max-priority": 2 } });
      scene.push(2, { lane: 1 });
      scene.push(3, { lane: 2 });
      const { got } = scene.consume(4);
      assert.deepEqual(got, ["2 0", "2 1", "2 2", "1 0"]);
      assert.deepEqual(scene.news(), durable ? ["delivered 7 1 0", "delivered 7 2 2"] : []);
      scene.queue.giveBack(2, 1);
      assert.equal(scene.queue.take(), true);
      assert.deepEqual([scene.queue.takenLane, scene.queue.takenSeq], [2, 1]);
      scene.queue.noteDelivered();
      assert.deepEqual(scene.news(), [], "an earlier message is marked already");
      assert.equal(scene.queue.take(), true);
      scene.queue.noteDelivered();
      assert.deepEqual(scene.news(), durable ? ["delivered 7 1 1"] : []);
      assert.equal(scene.queue.take(), false);
    }
  });

  it("marks - a message that is delivered before its turn has one of its own until it is settled", () => {
    for (const durable of [true, false]) {
      const scene = new Scene({ durable });
      const { queue } = scene;
      scene.push(5);
      const consumer = scene.consume(0);
      queue.deliverTo(consumer, 0, 3);
      assert.deepEqual(consumer.got, ["0 3"]);
      assert.deepEqual(scene.news(), durable ? ["deliveredOne 7 0 3"] : []);
      assert.equal(queue.take(), true);
      queue.deliverTo(consumer, 0, 1);
      assert.deepEqual(scene.news(), durable ? ["deliveredOne 7 0 1"] : []);
      queue.settle(0, 0);
      queue.settle(0, 3);
      queue.settle(0, 3);
      assert.deepEqual(
        scene.news().filter((text) => text.startsWith("settledOne")),
        durable ? ["settledOne 7 0 3"] : [],
      );
      // The next message in turn is marked with those before it.
      queue.markRedelivered(0, 1);
      queue.markRedelivered(0, 2);
      queue.markRedelivered(0, 4);
      assert.deepEqual(
        scene.news(),
        durable ? ["delivered 7 0 1", "delivered 7 0 2", "deliveredOne 7 0 4"] : [],
      );
      assert.deepEqual([1, 2, 4].map((seq) => queue.lanes[0]!.isRedelivered(seq)), [true, true, true]);
    }
  });

  it("settle - tells the place, the size, and whether another message replaces it", () => {
    const dead = { "x-dead-letter-exchange": "d" };
    for (const replaces of [true, false]) {
      const scene = new Scene({ arguments: { ...dead, "x-max-priority": 1 }, replaces });
      scene.push(2, { lane: 1, size: 5 });
      scene.push(1, { lane: 0, size: 9 });
      scene.queue.settle(1, 1);
      scene.queue.take();
      scene.queue.reject(1, 0);
      scene.queue.settle(0, 0, true);
      assert.deepEqual(scene.news(), [
        "settle 3 7 1 1 5 false",
        "dead rejected 1 0",
        `settle 3 7 1 0 5 ${replaces}`,
        "settle 3 7 0 0 9 true",
      ]);
      assert.deepEqual([scene.queue.stats.rejected, scene.queue.ready, scene.queue.unacked], [1, 0, 0]);
    }
  });

  it("delivery limit - a message of a quorum queue is dead when it comes back once more", () => {
    const scene = new Scene({
      arguments: { "x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": "d" },
    });
    const { queue } = scene;
    scene.push(2);
    for (let returns = 0; returns < 3; returns++) {
      assert.equal(queue.returnsOf(0), returns);
      assert.ok(queue.take());
      assert.deepEqual([queue.takenSeq, scene.news()], [0, []]);
      queue.giveBack(0, 0);
    }
    assert.deepEqual(scene.news(), ["dead delivery_limit 0 0", "settle 3 7 0 0 1 false"]);
    assert.deepEqual([queue.returnsOf(0), queue.stats.overDelivered, queue.ready], [0, 1, 1]);
    const classic = new Scene();
    classic.push();
    for (let i = 0; i < 100; i++) {
      assert.ok(classic.queue.take());
      classic.queue.giveBack(0, 0);
    }
    assert.equal(classic.queue.returnsOf(0), 0);
  });
});

describe("queue, limits", () => {
  it("room - to the message and to the byte, of the ready ones only", () => {
    const cases: [args: FieldTable, ready: number, size: number, more: number, expected: boolean][] = [
      [{ "x-max-length": 3 }, 2, 1, 1, true],
      [{ "x-max-length": 3 }, 3, 1, 1, false],
      [{ "x-max-length": 0 }, 0, 1, 1, false],
      [{ "x-max-length-bytes": 10 }, 1, 4, 6, true],
      [{ "x-max-length-bytes": 10 }, 1, 4, 7, false],
      [{ "x-max-length-bytes": 0 }, 0, 1, 0, true],
      [{ "x-max-length": 2, "x-max-length-bytes": 10 }, 1, 4, 7, false],
      [{ "x-max-length": 1, "x-max-length-bytes": 10 }, 1, 1, 1, false],
      [{ "x-max-length": 2, "x-max-length-bytes": 10 }, 1, 4, 6, true],
      [{}, 5, 1, 1e12, true],
    ];
    for (const [args, ready, size, more, expected] of cases) {
      for (const overflow of ["reject-publish", "reject-publish-dlx", "drop-head"]) {
        const scene = new Scene({ arguments: { ...args, "x-overflow": overflow } });
        // Unacknowledged messages need no room.
        scene.push(1, { size });
        if (scene.queue.ready > 0) scene.queue.take();
        scene.push(ready, { size });
        const what = `${JSON.stringify(args)} ${overflow} ${more}`;
        assert.equal(scene.queue.hasRoomFor(more), expected || overflow === "drop-head", what);
      }
    }
  });

  it("drop-head - the first messages go until the rest has room, also after one that comes back", () => {
    const scene = new Scene({
      arguments: { "x-max-length-bytes": 10, "x-max-priority": 1, "x-dead-letter-exchange": "d" },
    });
    const { queue } = scene;
    scene.push(3, { size: 3 });
    assert.deepEqual([queue.readyBytes, scene.news()], [9, []]);
    scene.push(1, { size: 1 });
    assert.deepEqual([queue.readyBytes, scene.news()], [10, []]);
    scene.push(1, { size: 4 });
    assert.deepEqual(scene.news().filter((text) => text.startsWith("dead")), [
      "dead maxlen 0 0",
      "dead maxlen 0 1",
    ]);
    assert.deepEqual([queue.ready, queue.readyBytes, queue.stats.overflowed], [3, 8, 2]);
    queue.take();
    scene.push(2, { size: 2 });
    assert.deepEqual([queue.readyBytes, queue.unackedBytes, scene.news()], [9, 3, []]);
    queue.giveBack(0, 2);
    assert.deepEqual(scene.news(), ["dead maxlen 0 2", "settle 3 7 0 2 3 false"]);
    // The lane of the highest priority is the first.
    scene.push(1, { lane: 1, size: 2 });
    assert.deepEqual(scene.news(), ["dead maxlen 1 0", "settle 3 7 1 0 2 false"]);
  });

  it("reject-publish - a message that comes back drops none, though the queue is over its limit", () => {
    const scene = new Scene({
      arguments: { "x-max-length": 2, "x-overflow": "reject-publish", "x-dead-letter-exchange": "d" },
    });
    const { queue } = scene;
    scene.push(2);
    queue.take();
    scene.push(1);
    queue.giveBack(0, 0);
    assert.deepEqual([queue.ready, scene.news()], [3, []]);
    assert.ok(queue.awake);
    assert.equal(queue.lanes[0]!.isRedelivered(0), true);
  });

  it("policies - new limits take effect at once on what is there, and the same ones change nothing", () => {
    const scene = new Scene();
    const { queue } = scene;
    const policies = (definition: Record<string, unknown>) =>
      ({ policy: undefined, operatorPolicy: undefined, definition }) as Parameters<Queue["setPolicies"]>[0];
    scene.push(5);
    queue.setPolicies(policies({ "max-length": 5 }));
    assert.deepEqual([queue.ready, queue.settings.maxLength], [5, 5]);
    queue.setPolicies(policies({ "max-length": 3, overflow: "reject-publish" }));
    assert.equal(queue.ready, 5);
    const three = policies({ "max-length": 3 });
    queue.setPolicies(three);
    assert.equal(queue.ready, 3);
    const { settings } = queue;
    queue.setPolicies(three);
    assert.equal(queue.settings, settings);
    queue.setPolicies(undefined);
    assert.equal(queue.settings.maxLength, Infinity);
  });
});

describe("queue, time", () => {
  it("expiry - one timer for the next message that expires, of all priorities", () => {
    const scene = new Scene({ arguments: { "x-max-priority": 1, "x-dead-letter-exchange": "d" } });
    const { queue } = scene;
    scene.push(1, { lane: 0, ttl: 500 });
    scene.push(1, { lane: 1, ttl: 300 });
    scene.push(1, { lane: 1, ttl: 100 });
    scene.work();
    assert.deepEqual(scene.waits, [300]);
    queue.expire();
    assert.deepEqual(scene.waits, [300], "the timer runs already");
    scene.advance(299);
    assert.deepEqual(scene.news(), []);
    scene.advance(1);
    assert.deepEqual(scene.news().filter((text) => text.startsWith("dead")), [
      "dead expired 1 0",
      "dead expired 1 1",
    ]);
    assert.deepEqual(scene.waits, [300, 200]);
    // A message without an expiry in front does not expire, and hides the others of its lane.
    scene.push(1, { lane: 1 });
    scene.push(1, { lane: 1, ttl: 50 });
    scene.advance(100);
    queue.expire();
    assert.deepEqual([scene.news(), scene.waits], [[], [300, 200]]);
    scene.advance(100);
    assert.deepEqual(scene.news(), ["dead expired 0 0", "settle 3 7 0 0 1 false"]);
    assert.deepEqual([queue.stats.expired, queue.ready], [3, 2]);
    // A get drops what expires at that moment.
    assert.ok(queue.take());
    assert.deepEqual([queue.takenLane, queue.takenSeq], [1, 2]);
    assert.equal(queue.take(), false);
    assert.deepEqual(scene.news(), ["dead expired 1 3", "settle 3 7 1 3 1 false"]);
  });

  it("expiry - a time to live of 0 is long enough for a consumer that waits, and not for what expired before", () => {
    const scene = new Scene();
    scene.push(1, { ttl: 1 });
    scene.queue.expire();
    assert.deepEqual(scene.waits, [1]);
    const { got } = scene.consume(5);
    assert.deepEqual(got, ["0 0"]);
    scene.push(1, { ttl: 1 });
    // The timer is late.
    scene.cycle.now += 2;
    scene.push(2, { ttl: 0 });
    assert.deepEqual(got, ["0 0", "0 2", "0 3"]);
    const { stats } = scene.queue;
    assert.deepEqual([stats.published, stats.expired, stats.overflowed, stats.activeAt], [
      4,
      1,
      0,
      START + 2,
    ]);
  });

  it("expiry - a get drops all that expired, in each priority, before it takes the next", () => {
    const scene = new Scene({ arguments: { "x-max-priority": 1 } });
    const { queue } = scene;
    for (const lane of [0, 1]) {
      scene.push(2, { lane, ttl: 10 });
      scene.push(1, { lane });
    }
    scene.cycle.now += 10;
    const taken = Array.from(
      { length: 3 },
      () => queue.take() ? `${queue.takenLane} ${queue.takenSeq}` : "none",
    );
    assert.deepEqual([taken, queue.stats.expired], [["1 2", "0 2", "none"], 4]);
  });

  it("expiry - also of messages from the journal; a queue that has some wakes up", () => {
    for (const count of [0, 1, 2]) {
      const scene = new Scene();
      const { queue } = scene;
      for (let seq = 0; seq < count; seq++) queue.lanes[0]!.restore(seq, 1, 1, 1, START + 100);
      queue.recovered();
      assert.equal(queue.awake, count > 0);
      scene.work();
      scene.advance(99);
      assert.equal(queue.ready, count);
      scene.advance(1);
      assert.deepEqual([queue.ready, queue.stats.expired], [0, count]);
    }
  });

  it("expiry - the timer of a far one is as long as timers may be, and is set again", () => {
    const scene = new Scene();
    scene.push(1, { ttl: 30 * DAY });
    scene.work();
    assert.deepEqual(scene.waits, [LONGEST]);
    scene.advance(LONGEST);
    assert.deepEqual([scene.waits, scene.queue.ready], [[LONGEST, 30 * DAY - LONGEST], 1]);
    scene.advance(30 * DAY - LONGEST);
    assert.equal(scene.queue.ready, 0);
    // After a stop nothing happens any more.
    scene.push(1, { ttl: 10 });
    scene.work();
    scene.queue.stop();
    scene.advance(10);
    assert.equal(scene.queue.ready, 1);
  });

  it("unused - the queue is deleted after the time without a use, and each use begins it again", () => {
    const scene = new Scene({ arguments: { "x-expires": 1000 } });
    const { queue } = scene;
    scene.advance(600);
    queue.touch();
    scene.advance(400);
    scene.advance(599);
    assert.deepEqual([scene.waits.splice(0), scene.news()], [[1000, 600], []]);
    queue.touch();
    scene.advance(1);
    scene.advance(998);
    queue.touch();
    scene.advance(1);
    assert.deepEqual([scene.waits.splice(0), scene.news()], [[999, 999], []]);
    queue.touch();
    scene.advance(999);
    const consumer = scene.consume();
    scene.advance(5000);
    assert.deepEqual(scene.news(), [], "it has a consumer");
    queue.removeConsumer(consumer);
    scene.advance(999);
    assert.deepEqual(scene.news(), []);
    scene.advance(1);
    assert.deepEqual(scene.news(), ["delete"]);
  });

  it("unused - a long time, one that a policy changes, and none", () => {
    const exact = new Scene({ arguments: { "x-expires": 1000 } });
    exact.advance(1);
    exact.queue.touch();
    exact.advance(999);
    assert.deepEqual([exact.news(), exact.waits], [[], [1000, 1]]);
    exact.advance(1);
    assert.deepEqual(exact.news(), ["delete"]);
    const long = new Scene({ arguments: { "x-expires": 60 * DAY } });
    long.advance(60 * DAY - 1);
    assert.deepEqual(long.news(), []);
    assert.deepEqual(long.waits, [LONGEST, LONGEST, 60 * DAY - 2 * LONGEST]);
    long.advance(1);
    assert.deepEqual(long.news(), ["delete"]);
    const scene = new Scene();
    const policies = (definition: Record<string, unknown>) =>
      ({ policy: undefined, operatorPolicy: undefined, definition }) as Parameters<Queue["setPolicies"]>[0];
    scene.queue.setPolicies(policies({ expires: 500 }));
    scene.advance(400);
    scene.queue.setPolicies(policies({ expires: 300 }));
    scene.advance(299);
    scene.queue.setPolicies(policies({ expires: 300, "max-length": 4 }));
    assert.deepEqual([scene.waits, scene.news()], [[500, 300], []]);
    scene.advance(1);
    assert.deepEqual(scene.news(), ["delete"]);
    scene.queue.setPolicies(undefined);
    scene.advance(10 * DAY);
    assert.deepEqual([scene.waits, scene.news()], [[500, 300], []]);
  });

  it("the oldest message - of all priorities; one whose time is not known is older than all others", () => {
    const scene = new Scene({ arguments: { "x-max-priority": 2 } });
    const { queue } = scene;
    assert.equal(queue.oldest, undefined);
    scene.advance(5000);
    scene.push(1, { lane: 1 });
    scene.advance(5000);
    scene.push(1, { lane: 2 });
    scene.push(1, { lane: 0 });
    assert.deepEqual(queue.oldest, { time: START + 5000, isExact: true });
    queue.settle(1, 0);
    assert.deepEqual(queue.oldest, { time: START + 10_000, isExact: true });
    scene.advance(5000);
    scene.push(1, { lane: 2 });
    queue.settle(0, 0);
    assert.deepEqual(queue.oldest, { time: START + 10_000, isExact: true });
    queue.settle(2, 0);
    assert.deepEqual(queue.oldest, { time: START + 15_000, isExact: true });
    // As after a start: the message was there before.
    const restored = new Scene({ arguments: { "x-max-priority": 1 } });
    restored.queue.lanes[1]!.restore(0, 1, 1, 1, 0);
    restored.advance(3000);
    restored.push(1, { lane: 0 });
    assert.deepEqual(restored.queue.oldest, { time: START, isExact: false });
  });
});

describe("queue of delayed messages", () => {
  const forwarded = (scene: Scene) => scene.news().filter((text) => text.startsWith("forward"));

  it("delays - one timer for the message that is due first, and the order of the due times", () => {
    const scene = new Scene({ delays: true });
    for (const ms of [500, 300, 300, 400, 0]) scene.delay(ms);
    assert.deepEqual(scene.waits, [500, 300, 0]);
    scene.advance(0);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 4"], [500, 300, 0, 300]]);
    scene.advance(299);
    assert.deepEqual(forwarded(scene), []);
    scene.advance(1);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 1", "forward 2"], [100]]);
    // A later one needs no other timer.
    scene.delay(1000);
    assert.deepEqual(scene.waits.splice(0), []);
    scene.advance(200);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 3", "forward 0"], [100, 800]]);
    scene.advance(800);
    assert.deepEqual([forwarded(scene), scene.waits, scene.queue.ready], [["forward 5"], [], 0]);
  });

  it("delays - a forwarded message is settled, also one that cannot be read", () => {
    for (const replaces of [true, false]) {
      const scene = new Scene({ delays: true, replaces });
      scene.damaged.add(0);
      scene.delay(1);
      scene.delay(2);
      scene.advance(2);
      assert.deepEqual(scene.news(), ["settle 3 7 0 0 1 false", "forward 1", `settle 3 7 0 1 1 ${replaces}`]);
    }
  });

  it("delays - at most a thousand messages at once, and the others directly after them", () => {
    const scene = new Scene({ delays: true });
    for (let i = 0; i < 2001; i++) scene.delay(5);
    const counts: number[] = [];
    const { end } = scene.cycle;
    scene.cycle.end = () => {
      end();
      counts.push(forwarded(scene).length);
    };
    scene.advance(5);
    assert.deepEqual([counts, scene.queue.ready], [[1000, 1000, 1], 0]);
  });

  it("delays - a broker that takes no messages is tried again each second", () => {
    const scene = new Scene({ delays: true });
    scene.delay(10);
    scene.blocked = "a test";
    scene.advance(10);
    assert.deepEqual([scene.news(), scene.waits.splice(0)], [[], [10, 1000]]);
    scene.advance(1000);
    assert.deepEqual([scene.news(), scene.waits.splice(0)], [[], [1000]]);
    scene.blocked = undefined;
    scene.advance(999);
    assert.deepEqual(forwarded(scene), []);
    scene.advance(1);
    assert.deepEqual([forwarded(scene), scene.waits], [["forward 0"], []]);
  });

  it("delays - messages of the journal, those that are far away, and none after the end", () => {
    const scene = new Scene({ delays: true });
    const lane = scene.queue.lanes[0]!;
    for (const [seq, due] of [[0, START + 700], [2, START - 5], [3, START + 30 * DAY]] as const) {
      lane.restore(seq, 1, 1, 1, due);
    }
    scene.queue.recovered();
    assert.deepEqual(scene.waits.splice(0), [0]);
    scene.advance(0);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 2"], [700]]);
    scene.advance(700);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [["forward 0"], [LONGEST]]);
    scene.advance(LONGEST);
    assert.deepEqual([forwarded(scene), scene.waits.splice(0)], [[], [30 * DAY - 700 - LONGEST]]);
    scene.queue.dispatch();
    scene.queue.close();
    scene.delay(0);
    scene.advance(60 * DAY);
    assert.deepEqual([forwarded(scene), scene.waits], [[], []]);
  });
});

describe("queue, its end", () => {
  it("auto-delete - with the last consumer only", () => {
    for (const autoDelete of [true, false]) {
      const scene = new Scene({ autoDelete });
      const [one, two] = [scene.consume(), scene.consume()];
      scene.queue.removeConsumer(one);
      assert.deepEqual(scene.news(), []);
      scene.queue.end(two);
      assert.deepEqual(scene.news(), autoDelete ? ["delete", "cancelled"] : ["cancelled"]);
    }
  });

  it("purge and close - settle the ready ones, or all, of each priority", () => {
    const fill = () => {
      const scene = new Scene({ durable: false, arguments: { "x-max-priority": 1 } });
      scene.push(3, { lane: 0 });
      scene.push(2, { lane: 1 });
      scene.queue.take();
      return scene;
    };
    const purged = fill();
    assert.equal(purged.queue.purge(), 4);
    assert.deepEqual([purged.queue.ready, purged.queue.unacked], [0, 1]);
    assert.deepEqual(purged.news().map((text) => text.split(" ").slice(3, 5).join(" ")), [
      "0 0",
      "0 1",
      "0 2",
      "1 1",
    ]);
    const closed = fill();
    closed.consume(0);
    closed.queue.close();
    assert.deepEqual(closed.news().map((text) => text.split(" ").slice(3, 5).join(" ") || text), [
      "0 0",
      "0 1",
      "0 2",
      "1 0",
      "1 1",
      "cancelled",
      "forget",
    ]);
    const { queue } = closed;
    assert.deepEqual([queue.deleted, queue.consumers.size, queue.ready, queue.unacked], [true, 0, 0, 0]);
    // What still comes from channels has no effect.
    queue.settle(1, 0);
    queue.giveBack(1, 0);
    queue.reject(1, 0);
    queue.dispatch();
    assert.deepEqual([closed.news(), queue.lanes[1]!.stateAt(0)], [[], GONE]);
  });

  it("purge - waiting consumers get their messages first", () => {
    const scene = new Scene();
    const { got } = scene.consume(2);
    scene.push(5);
    assert.deepEqual(got, []);
    assert.equal(scene.queue.purge(), 3);
    assert.deepEqual(got, ["0 0", "0 1"]);
    // There is nobody to deliver to, or nothing new.
    scene.push(1);
    scene.queue.catchUp();
    assert.equal(scene.queue.purge(), 1);
  });
});
