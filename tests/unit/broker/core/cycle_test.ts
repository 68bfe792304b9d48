/** The order of work in a cycle, and what happens once. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Cycle, type CycleHost } from "../../../../lib/broker/core/cycle.ts";

/** A cycle whose steps are noted. */
function noted() {
  const steps: string[] = [];
  const host = {
    journal: {
      memoryFull: false,
      memoryScarce: false,
      flush: () => void steps.push("journal"),
      syncNow: () => void steps.push("sync"),
    },
    safePosition: 7,
    onRoomChange: () => void steps.push(`room ${cycle.memoryFull}`),
    onFailure: (error: Error) => void steps.push(`failed ${error.message}`),
  };
  const clock = {
    now: () => time,
    monotonic: () => time,
    setTimeout() {},
    clearTimeout() {},
    setInterval() {},
    clearInterval() {},
  };
  let time = 5;
  const cycle: Cycle = new Cycle(host as CycleHost, clock as never);
  const queue = (name: string, work = () => {}) => ({
    awake: false,
    dispatch() {
      steps.push(`queue ${name}`);
      work();
    },
  });
  const connection = (name: string) => ({
    flushScheduled: false,
    flush() {
      this.flushScheduled = false;
      steps.push(`flush ${name}`);
    },
  });
  const source = (name: string, rounds: number) => ({
    awaitingConfirms: false,
    confirm(position: number) {
      steps.push(`confirm ${name} ${position}`);
      return --rounds > 0;
    },
  });
  const run = (work: () => void) => {
    cycle.begin();
    work();
    cycle.end();
    return steps.splice(0);
  };
  return { steps, host, cycle, queue, connection, source, run, setTime: (ms: number) => time = ms };
}

describe("cycle", () => {
  it("cycle - queues first, then the journal, the confirms and the output, each once", () => {
    const { cycle, queue, connection, source, run } = noted();
    const [a, b] = [queue("a"), queue("b")];
    const [c, s] = [connection("c"), source("s", 2)];
    assert.deepEqual(
      run(() => {
        for (let i = 0; i < 2; i++) {
          cycle.scheduleFlush(c);
          cycle.awaitConfirms(s);
          cycle.wake(a);
          cycle.wake(b);
        }
        assert.equal(a.awake && c.flushScheduled && s.awaitingConfirms, true);
      }),
      ["queue a", "queue b", "journal", "confirm s 7", "flush c"],
    );
    assert.deepEqual([a.awake, s.awaitingConfirms], [false, true]);
    assert.deepEqual(run(() => {}), ["journal", "confirm s 7"]);
    assert.equal(s.awaitingConfirms, false);
    assert.deepEqual(run(() => {}), ["journal"]);
  });

  it("cycle - an inner one is a part of the outer one, also during the work", () => {
    const { cycle, queue, connection, steps, run } = noted();
    const [b, c] = [queue("b"), connection("c")];
    const a = queue("a", () => {
      cycle.begin();
      cycle.wake(b);
      cycle.scheduleFlush(c);
      cycle.end();
    });
    const seen = run(() => {
      cycle.begin();
      cycle.wake(a);
      cycle.end();
      assert.deepEqual(steps, []);
    });
    assert.deepEqual(seen, ["queue a", "queue b", "journal", "flush c"]);
  });

  it("cycle - a queue that fails is reported, and the others are served", () => {
    const { cycle, queue, run } = noted();
    const a = queue("a", () => {
      throw new Error("bug");
    });
    const b = queue("b");
    const both = () => {
      for (const one of [a, b]) cycle.wake(one);
    };
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(run(both), ["queue a", "failed bug", "queue b", "journal"]);
    }
  });

  it("cycle - syncs once when it is asked, and survives a full disk", () => {
    const { cycle, host, run } = noted();
    assert.deepEqual(run(() => cycle.syncThisCycle()), ["journal", "sync"]);
    assert.deepEqual(run(() => {}), ["journal"]);
    host.journal.syncNow = () => {
      throw new Error("full");
    };
    assert.deepEqual(run(() => cycle.syncThisCycle()), ["journal"]);
    assert.deepEqual(run(() => {}), ["journal"]);
  });

  it("cycle - a full memory is reported once, and again when it is no longer scarce", () => {
    const { host, run } = noted();
    const states = [[false, true], [true, true], [true, true], [false, true], [false, false], [false, false]];
    const seen = states.map(([memoryFull, memoryScarce]) => {
      Object.assign(host.journal, { memoryFull, memoryScarce });
      return run(() => {}).slice(1).join();
    });
    assert.deepEqual(seen, ["", "room true", "", "", "room false", ""]);
  });

  it("cycle - confirms between cycles are written at once, and in a cycle at its end", () => {
    const { cycle, connection, source, steps, run } = noted();
    const s = source("s", 9);
    const c = connection("c");
    run(() => cycle.awaitConfirms(s));
    cycle.scheduleFlush(c);
    cycle.confirm();
    assert.deepEqual(steps.splice(0), ["confirm s 7", "flush c"]);
    const seen = run(() => {
      cycle.scheduleFlush(c);
      cycle.confirm();
      assert.deepEqual(steps.splice(0), ["confirm s 7"]);
    });
    assert.deepEqual(seen, ["journal", "confirm s 7", "flush c"]);
  });

  it("cycle - has one time, that of its begin", () => {
    const { cycle, setTime } = noted();
    assert.equal(cycle.now, 5);
    setTime(6);
    assert.equal(cycle.now, 5);
    cycle.begin();
    setTime(7);
    assert.equal(cycle.now, 6);
    cycle.end();
  });

  it("cycle - is over when the work fails", () => {
    const { cycle, host, run } = noted();
    const { flush } = host.journal;
    host.journal.flush = () => {
      throw new Error("bug");
    };
    assert.throws(() => run(() => {}), /bug/);
    host.journal.flush = flush;
    assert.deepEqual(run(() => {}), ["journal"]);
    assert.equal(cycle.memoryFull, false);
  });
});
