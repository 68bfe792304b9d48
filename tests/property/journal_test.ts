/** The journal compared with a model of lists, under random work, crashes and restarts. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../support/journal_model.ts";

const queue = fc.constantFrom(...QUEUES);
const some = fc.integer({ min: 1, max: 12 });

const action = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      count: fc.integer({ min: 1, max: 30 }),
      size: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constantFrom(500, 3000)),
      queues: fc.uniqueArray(queue, { minLength: 1, maxLength: 3 }),
      durable: fc.constantFrom(true, true, true, false),
      expiry: fc.constantFrom(0, 0, 5),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("take" as const), queue, count: some }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("ack" as const), queue, count: fc.integer({ min: 1, max: 40 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("nack" as const), queue, count: some }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("purge" as const), queue }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("thin" as const), queue, keep: fc.integer({ min: 2, max: 9 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pause" as const), ms: fc.constantFrom(0, 1, 6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
);
type Action = typeof action extends fc.Arbitrary<infer Step> ? Step : never;

let bodies = 0;

async function run(model: JournalModel, step: Action, next: () => string): Promise<void> {
  switch (step.do) {
    case "publish":
      for (let i = 0; i < step.count; i++) {
        const body = `${bodies++} `.padEnd(step.size, "x");
        model.publish(body, step.queues, step.durable, step.expiry);
      }
      return;
    case "take":
      return void model.take(step.queue, step.count);
    case "ack":
      for (const seq of model.unacked(step.queue).slice(0, step.count)) model.settle(step.queue, seq);
      return;
    case "nack":
      for (const seq of model.unacked(step.queue).slice(0, step.count)) model.giveBack(step.queue, seq);
      return;
    case "purge": {
      const lane = model.lanes.get(step.queue)!;
      for (let seq = lane.first(); seq >= 0; seq = lane.first()) model.settle(step.queue, seq);
      return;
    }
    case "thin":
      for (const seq of [...model.state.get(step.queue)!.keys()]) {
        if (seq % step.keep !== 0) model.settle(step.queue, seq);
      }
      return;
    case "flush":
      return model.flush();
    case "pause":
      // Compaction flushes the pending data.
      model.flush();
      return await new Promise((resolve) => setTimeout(resolve, step.ms));
    case "restart":
      return model.restart();
    case "crash":
      return crash(model, next());
  }
}

/** Simulates a crash: copies the files, and continues with a journal on the copy. */
function crash(model: JournalModel, directory: string): void {
  copyFiles(model.directory!, directory);
  model.journal.close();
  model.afterCrash(directory);
}

describe("journal, model", () => {
  for (const sync of ["confirm", "flush", "interval"] as const) {
    it(`journal - behaves like lists of messages, with crashes and restarts, sync ${sync}`, async () => {
      using folder = tempDir();
      let directories = 0;
      const next = () => folder.file(String(directories++));
      await fc.assert(
        fc.asyncProperty(fc.array(action, { maxLength: 60, size: "max" }), async (steps) => {
          const model = new JournalModel({
            directory: next(),
            sync,
            syncInterval: 3,
            segmentSize: 2048,
            cacheSize: 4096,
            garbageSize: 500,
            memorySize: 6000,
          });
          try {
            for (const step of steps) {
              await run(model, step, next);
              model.check();
            }
            model.restart();
            model.flush();
            crash(model, next());
          } finally {
            model.journal.close();
          }
        }),
        { numRuns: 20 },
      );
    });
  }

  it("journal - writes nothing without a directory, and frees settled messages", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60, size: "max" }), async (steps) => {
        const model = new JournalModel({ garbageSize: 1000, segmentSize: 1000 });
        for (const step of steps) {
          if (step.do === "restart" || step.do === "crash") continue;
          await run(model, step, () => "");
          model.check();
        }
        assert.equal(model.journal.position, 0);
        model.journal.close();
      }),
      { numRuns: 20 },
    );
  });
});
