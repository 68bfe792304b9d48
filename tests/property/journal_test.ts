/** The journal compared with a model of lists, under random work, crashes and restarts. */
import fc from "fast-check";
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { type FilePlace, PowerFailure } from "../support/power_failure.ts";
import { logName } from "../../lib/broker/core/journal/files/files.ts";
import { FIRST_TRANSIENT } from "../../lib/broker/core/journal/segment.ts";
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
  { weight: 2, arbitrary: fc.record({ do: fc.constant("replace" as const), queue, to: queue, count: some }) },
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

/**
 * Does one step; the promise is that of a pause. Others may not be awaited: a sync that has ended would run between them
 * and write what the model takes for unwritten.
 */
function run(model: JournalModel, step: Action, next: () => string): Promise<void> | void {
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
    case "replace": {
      const lane = model.lanes.get(step.queue)!;
      // A message of the same queue follows the others.
      for (let i = Math.min(step.count, lane.ready); i > 0; i--) {
        model.replace(step.queue, lane.first(), step.to);
      }
      return;
    }
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
      return new Promise((resolve) => setTimeout(resolve, step.ms));
    case "restart":
      return model.restart();
    case "crash":
      return crash(model, next());
  }
}

/** Simulates a crash: copies the files, and continues with a journal on the copy. */
function crash(model: JournalModel, directory: string): void {
  assert.equal(model.journal.full?.message, undefined);
  copyFiles(model.directory!, directory);
  model.journal.close();
  model.afterCrash(directory);
}

/** The messages that survive a restart. */
function* durable(model: JournalModel): Iterable<{ body: string; segment: number; offset: number }> {
  for (const [id, lane] of model.lanes) {
    for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) {
      const segment = lane.segmentAt(seq);
      if (segment >= FIRST_TRANSIENT) continue;
      yield { body: model.bodyAt(id, seq)!, segment, offset: lane.offsetAt(seq) };
    }
  }
}

/** Notes the first place of each message in a file. */
function notePlaces(model: JournalModel, places: Map<string, FilePlace>): void {
  for (const { body, segment, offset } of durable(model)) {
    const file = fs.statSync(`${model.directory}/${logName(segment)}`, { throwIfNoEntry: false });
    if (file !== undefined && !places.has(body)) places.set(body, { ino: file.ino, offset });
  }
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
              const pause = run(model, step, next);
              if (pause !== undefined) await pause;
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

  for (const sync of ["confirm", "interval"] as const) {
    it(`journal - loses no synced message at a power failure, sync ${sync}`, async () => {
      using folder = tempDir();
      using power = new PowerFailure();
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
          const places = new Map<string, FilePlace>();
          try {
            for (const step of steps) {
              const pause = step.do === "restart" || step.do === "crash" ? undefined : run(model, step, next);
              if (pause !== undefined) await pause;
              notePlaces(model, places);
              if (step.do !== "crash") continue;
              const directory = next();
              power.copy(model.directory!, directory);
              const after = new JournalModel({ directory, sync });
              const found = new Set([...durable(after)].map(({ body }) => body));
              after.journal.close();
              for (const { body } of durable(model)) {
                const place = places.get(body);
                if (place !== undefined && power.isSynced(place)) assert.ok(found.has(body), body);
              }
            }
          } finally {
            model.journal.close();
          }
        }),
        { numRuns: 10 },
      );
    });
  }

  it("journal - writes nothing without a directory, and frees settled messages", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60, size: "max" }), async (steps) => {
        const model = new JournalModel({ garbageSize: 1000, segmentSize: 1000 });
        for (const step of steps) {
          if (step.do === "restart" || step.do === "crash") continue;
          const pause = run(model, step, () => "");
          if (pause !== undefined) await pause;
          model.check();
        }
        assert.equal(model.journal.position, 0);
        model.journal.close();
      }),
      { numRuns: 20 },
    );
  });
});
