/** A message that another one replaces does not come back at the next start, whether the other one survives or not. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Timestamp } from "../../../../lib/amqp/types/field_value.ts";
import { BrokerCore } from "../../../../lib/broker/core/broker_core.ts";
import { encodeMessage, propertiesOf } from "../../../../lib/broker/core/message.ts";
import type { Queue } from "../../../../lib/broker/core/queue/queue.ts";
import { TestClock } from "../../../../lib/broker/testing/test_clock.ts";
import { CORE_OPTIONS } from "../../../support/core_options.ts";
import { tempDir } from "../../../support/helpers.ts";
import { copyFiles } from "../../../support/journal_model.ts";

function open(data: string, clock: TestClock): BrokerCore {
  return new BrokerCore({ ...CORE_OPTIONS, data, clock }, {
    onBlocked: assert.fail,
    onFailure: assert.fail,
    onDamage: assert.fail,
  });
}

/** The number of messages in each queue that has some, also in the hidden ones. */
function counts(core: BrokerCore): Record<string, number> {
  const queues = [...core.catalog.queues.values()].filter(({ ready }) => ready > 0);
  return Object.fromEntries(queues.map((queue) => [queue.name, queue.ready]));
}

/** How the messages of the queue "work", or of the exchange "later", get to the queue "end". */
const WAYS = {
  "a dead letter"(core: BrokerCore) {
    const queue = core.vhosts.get("/")!.queues.get("work")!;
    while (queue.take()) queue.reject(queue.takenLane, queue.takenSeq);
  },
  "a message that is moved"(core: BrokerCore) {
    const { queues } = core.vhosts.get("/")!;
    const [from, to] = [queues.get("work")!, queues.get("end")!];
    while (from.take()) {
      const { takenLane, takenSeq } = from;
      assert.ok(core.intake.replace(from, takenLane, takenSeq, to, from.messageAt(takenLane, takenSeq)!));
    }
  },
  "a delayed message"(_core: BrokerCore, clock: TestClock) {
    clock.advance(1000);
  },
};

describe("broker, replaced messages", () => {
  for (const [way, go] of Object.entries(WAYS)) {
    for (const source of [true, false]) {
      for (const target of [true, false]) {
        const words = (durable: boolean) => durable ? "durable" : "transient";
        it(`restart - ${way}, from a ${words(source)} queue to a ${words(target)} one`, () => {
          const isDelayed = way === "a delayed message";
          using dir = tempDir();
          const clock = new TestClock();
          const core = open(dir.file("data"), clock);
          const vhost = core.vhosts.get("/")!;
          const flags = { passive: false, autoDelete: false };
          const declare = (queue: string, durable: boolean, args = {}) =>
            vhost.declareQueue(
              { ...flags, exclusive: false, queue, durable, arguments: args },
              core as never,
            );
          declare("work", source, { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "end" });
          declare("end", target);
          vhost.declareExchange({
            ...flags,
            exchange: "later",
            durable: source,
            type: "x-delayed-message",
            internal: false,
            arguments: { "x-delayed-type": "fanout" },
          });
          vhost.bindQueue({ queue: "end", exchange: "later", routingKey: "", arguments: {} }, core as never);
          core.cycle.begin();
          for (let i = 0; i < 3; i++) {
            const exchange = isDelayed ? "later" : "";
            const address = { exchange, routingKey: "work" };
            const properties = { deliveryMode: 2, headers: { "x-delay": 500 } };
            const message = encodeMessage(address, properties, new Uint8Array(10));
            assert.ok(core.intake.publishInternally(vhost, exchange, "work", message).taken);
          }
          core.cycle.end();
          const from = isDelayed ? "later" : "work";
          assert.deepEqual(counts(core), { [from]: 3 });
          core.cycle.begin();
          go(core, clock);
          core.cycle.end();
          assert.deepEqual(counts(core), { end: 3 });
          copyFiles(dir.file("data"), dir.file("killed"));
          core.close();
          for (const data of ["data", "killed"]) {
            const again = open(dir.file(data), clock);
            assert.deepEqual(counts(again), target ? { end: 3 } : {}, data);
            again.close();
          }
        });
      }
    }
  }

  it("restart - a dead letter for an exchange that does not exist is gone", () => {
    using dir = tempDir();
    const clock = new TestClock();
    const core = open(dir.file("data"), clock);
    const args = { "x-dead-letter-exchange": "none" };
    const queue = declare(core, "work", args);
    publish(core, "work", 2);
    // The segment stays because of this one.
    declare(core, "other");
    publish(core, "other", 1);
    core.cycle.begin();
    while (queue.take()) queue.reject(queue.takenLane, queue.takenSeq);
    core.cycle.end();
    core.close();
    const again = open(dir.file("data"), clock);
    assert.deepEqual(counts(again), { other: 1 });
    again.close();
  });

  it("put in place of another one - after a crash the original is gone, also if it was not settled yet", () => {
    using dir = tempDir();
    const clock = new TestClock();
    const core = open(dir.file("data"), clock);
    const [from, to] = [declare(core, "work"), declare(core, "end")];
    publish(core, "work", 3);
    core.cycle.begin();
    assert.ok(from.take());
    const seq = from.takenSeq;
    core.intake.put(to, from.messageAt(0, seq)!, { queue: from, seq });
    core.cycle.end();
    copyFiles(dir.file("data"), dir.file("killed"));
    core.close();
    const again = open(dir.file("killed"), clock);
    assert.deepEqual(counts(again), { work: 2, end: 1 });
    again.close();
  });

  it("moved - a message stays where it is when the other queue has no room for it", () => {
    using dir = tempDir();
    const core = open(dir.file("data"), new TestClock());
    const from = declare(core, "work");
    const to = declare(core, "end", { "x-max-length-bytes": 30, "x-overflow": "reject-publish" });
    publish(core, "work", 5);
    core.cycle.begin();
    const moved: boolean[] = [];
    while (from.take()) {
      const { takenLane, takenSeq } = from;
      moved.push(core.intake.replace(from, takenLane, takenSeq, to, from.messageAt(takenLane, takenSeq)!));
    }
    core.cycle.end();
    assert.deepEqual([moved, from.unacked, to.ready], [[true, true, true, false, false], 2, 3]);
    core.close();
  });

  it("dead letter - tells its time in seconds", () => {
    using dir = tempDir();
    const core = open(dir.file("data"), new TestClock({ start: 1_700_000_000_999 }));
    const args = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "end" };
    const [from, to] = [declare(core, "work", args), declare(core, "end")];
    publish(core, "work", 1);
    core.cycle.begin();
    assert.ok(from.take());
    from.reject(from.takenLane, from.takenSeq);
    core.cycle.end();
    const death = propertiesOf(to.messageAt(0, 0)!).headers!["x-death"] as unknown as { time: Timestamp }[];
    assert.equal(death[0]!.time.seconds, 1_700_000_000);
    core.close();
  });
});

function declare(core: BrokerCore, queue: string, args = {}): Queue {
  const flags = { passive: false, autoDelete: false, exclusive: false, durable: true };
  return core.vhosts.get("/")!.declareQueue({ ...flags, queue, arguments: args }, core as never);
}

/** Publishes messages of 10 bytes. */
function publish(core: BrokerCore, queue: string, count: number): void {
  core.cycle.begin();
  for (let i = 0; i < count; i++) {
    const message = encodeMessage(
      { exchange: "", routingKey: queue },
      { deliveryMode: 2 },
      new Uint8Array(10),
    );
    assert.ok(core.intake.publishInternally(core.vhosts.get("/")!, "", queue, message).taken);
  }
  core.cycle.end();
}
