/** The data directory while it is used: when files are continued, synced, kept and deleted, and what a failure leaves. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import type { SyncMode } from "../../../../../lib/broker/core/journal/journal.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../../../../support/journal_model.ts";
import { PowerFailure } from "../../../../support/power_failure.ts";

const [A, B] = QUEUES as [number, number, number, number];
const OPTIONS = { sync: "flush", segmentSize: 4096, cacheSize: 0, garbageSize: 1e9 } as const;

const named = (directory: string, pattern: RegExp) =>
  fs.readdirSync(directory).filter((name) => pattern.test(name)).sort();
const logs = (directory: string) => named(directory, /\.log$/);

/** Waits for the timers that were set before, of up to 3 ms: the first step of a compaction, for example. */
const earlierTimers = () => new Promise((resolve) => setTimeout(resolve, 3));

/** Replaces functions of the file system until it is disposed. */
function replaced(functions: Partial<Record<keyof typeof fs, unknown>>): Disposable {
  const real = Object.fromEntries(Object.keys(functions).map((name) => [name, fs[name as keyof typeof fs]]));
  Object.assign(fs, functions);
  return { [Symbol.dispose]: () => void Object.assign(fs, real) };
}

/** Counts the syncs of files on other threads. */
class Syncs implements Disposable {
  count = 0;
  readonly #replaced: Disposable;

  constructor() {
    const { fdatasync } = fs;
    this.#replaced = replaced({
      fdatasync: (fd: number, done: fs.NoParamCallback) => {
        this.count++;
        fdatasync(fd, done);
      },
    });
  }

  [Symbol.dispose](): void {
    this.#replaced[Symbol.dispose]();
  }
}

/** Lets the writes to some files fail, with the names of the files that are open. */
class Failing implements Disposable {
  pattern: RegExp | undefined;
  readonly #paths = new Map<number, string>();
  readonly #replaced: Disposable;

  constructor() {
    const { openSync, writeSync } = fs;
    this.#replaced = replaced({
      openSync: (file: string, flags: string, mode?: number) => {
        const fd = openSync(file, flags, mode);
        this.#paths.set(fd, file);
        return fd;
      },
      writeSync: (fd: number, ...rest: [Uint8Array, number, number, null]) => {
        if (this.pattern?.test(this.#paths.get(fd)!) === true) throw new Error("EIO: input/output");
        return writeSync(fd, ...rest);
      },
    });
  }

  [Symbol.dispose](): void {
    this.#replaced[Symbol.dispose]();
  }
}

/** Publishes 50 messages. */
function fill(model: JournalModel): void {
  for (let i = 0; i < 50; i++) model.publish(`${i} `.padEnd(200, "x"), [A]);
}

/** Asserts that a start after a crash, of which `copy` has the files, finds everything that the model has. */
function losesNothing(model: JournalModel, copy: string): void {
  copyFiles(model.directory!, copy);
  model.journal.close();
  model.flushed = model.state;
  model.afterCrash(copy);
  model.journal.close();
}

describe("data directory, in use", () => {
  it("restart - continues the last segment up to half of its size, while it has messages", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const found: string[][] = [];
    // Each message takes a bit more than an eighth of a segment, the first one is enough to continue.
    for (let round = 0; round < 6; round++) {
      const model = new JournalModel({ ...OPTIONS, directory });
      model.publish("x".repeat(500), [A]);
      model.journal.close();
      found.push(logs(directory).map((name) => name.slice(6, 8)));
    }
    assert.deepEqual(found, [["01"], ["01"], ["01"], ["01"], ["01", "02"], ["01", "02"]]);
  });

  it("restart - a last segment without messages is deleted after a crash", async () => {
    using dir = tempDir();
    const source = new JournalModel({ ...OPTIONS, directory: dir.file("source") });
    for (let i = 0; i < 3; i++) source.publish(`${i}`, [A]);
    source.flush();
    for (let seq = 0; seq < 3; seq++) source.settle(A, seq);
    // The log is still there, as the head is not deleted.
    source.flush();
    const directory = dir.file("data");
    copyFiles(dir.file("source"), directory);
    source.journal.close();
    assert.deepEqual(logs(directory), ["00000001.log"]);
    const model = new JournalModel({ ...OPTIONS, directory });
    model.flush();
    await waitFor(() => named(directory, /^0/).length === 0);
    model.journal.close();
  });

  it("replaced - an acknowledgement that a start finds in the replacement is written, so that the replacement can go", async () => {
    using dir = tempDir();
    using power = new PowerFailure();
    const options = { ...OPTIONS, sync: "confirm" as const, segmentSize: 1024 };
    const model = new JournalModel({ ...options, directory: dir.file("data") });
    // Two in each segment.
    for (let i = 0; i < 4; i++) model.publish(`${i}`.padEnd(350, "x"), [A]);
    model.flush();
    await waitFor(() => model.journal.syncedPosition === model.journal.position);
    power.hold();
    model.replace(A, 0, B);
    // Something else follows, so that the segment of the replacement is not the last one.
    for (let i = 0; i < 4; i++) model.publish(`${i}`.padEnd(350, "x"), [QUEUES[2]!]);
    model.flush();
    copyFiles(dir.file("data"), dir.file("killed"));
    power.release();
    model.journal.close();

    const again = new JournalModel({ ...options, sync: "flush", directory: dir.file("killed") });
    again.flush();
    const lane = again.lanes.get(B)!;
    const segment = lane.segmentAt(0);
    assert.equal(segment, 3);
    // Everything in the segment of the replacement is settled.
    for (const id of [B, QUEUES[2]!]) {
      const one = again.lanes.get(id)!;
      for (let seq = 0; (seq = one.nextLive(seq)) >= 0; seq++) {
        if (one.segmentAt(seq) !== segment) continue;
        again.journal.settle(segment, id, 3, seq, one.sizeAt(seq));
        one.remove(seq);
      }
    }
    again.flush();
    const name = `${segment}`.padStart(8, "0");
    await waitFor(() => !logs(dir.file("killed")).includes(`${name}.log`));
    copyFiles(dir.file("killed"), dir.file("last"));
    again.journal.close();
    const last = new JournalModel({ ...options, directory: dir.file("last") });
    assert.deepEqual([0, 1, 2, 3].map((seq) => last.lanes.get(A)!.nextLive(seq)), [1, 1, 2, 3]);
    assert.equal(last.lanes.get(B)!.nextLive(0), -1);
    last.journal.close();
  });

  it("damage - the file of a segment is kept once, and that of messages without durability is not", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const model = new JournalModel({ ...OPTIONS, directory, memorySize: 4096 });
    for (let i = 0; i < 60; i++) model.publish(`${i} `.padEnd(200, "x"), [A], i % 2 === 0);
    model.flush();
    for (const name of ["00000001.log", "transient-00000000"]) {
      const bytes = fs.readFileSync(`${directory}/${name}`);
      for (const i of name.startsWith("0") ? [2, 4] : [3, 5]) bytes[bytes.indexOf(`${i} x`)]! ^= 1;
      fs.writeFileSync(`${directory}/${name}`, bytes);
    }
    for (const seq of [2, 3, 4, 5]) assert.equal(model.bodyAt(A, seq), undefined);
    const problem = (seq: number, name: string, kept: string) =>
      `Message ${seq} of queue 'queue 1' is damaged and cannot be delivered (at N of ${name})${kept}`;
    assert.deepEqual(model.problems.map((text) => text.replace(/at \d+/, "at N")), [
      problem(2, "00000001.log", "; the file as it was is kept as 00000001.log.damaged-1"),
      problem(3, "transient-00000000", ""),
      problem(4, "00000001.log", ""),
      problem(5, "transient-00000000", ""),
    ]);
    assert.deepEqual(named(directory, /damaged/), ["00000001.log.damaged-1"]);
    model.journal.close();
  });

  it("failure - acknowledgements are not written before the log, and none is lost", async () => {
    using dir = tempDir();
    using failing = new Failing();
    const directory = dir.file("data");
    const model = new JournalModel({ ...OPTIONS, directory });
    const fill = (count: number) => {
      for (let i = 0; i < count; i++) model.publish(`${i} `.padEnd(200, "x"), [A]);
    };
    fill(40);
    model.flush();
    failing.pattern = /\.log$/;
    // Three segments that are not written, between others.
    fill(40);
    model.flush();
    assert.match(model.journal.full!.message, /input\/output/);
    const all = [...model.state.get(A)!.keys()];
    for (const seq of all) if (seq % 3 === 0) model.settle(A, seq);
    model.flush();
    for (const name of named(directory, /\.ack$/)) {
      assert.ok(fs.existsSync(`${directory}/${name.replace("ack", "log")}`), name);
    }
    const written = named(directory, /\.ack$/).length;
    assert.ok(written >= 2, `${written} files`);
    failing.pattern = undefined;
    await waitFor(() => {
      model.flush();
      return model.journal.full === undefined;
    });
    assert.ok(named(directory, /\.ack$/).length > written + 1);
    losesNothing(model, dir.file("copy"));
  });

  it("failure - none is lost when neither the log nor some acknowledgements can be written", async () => {
    using dir = tempDir();
    using failing = new Failing();
    const directory = dir.file("data");
    const model = new JournalModel({ ...OPTIONS, directory });
    fill(model);
    model.flush();
    failing.pattern = /\.log$|0000002\.ack$/;
    fill(model);
    model.flush();
    // Those of the newest segments come first.
    for (let seq = 99; seq >= 0; seq--) if (seq % 3 === 0) model.settle(A, seq);
    model.flush();
    assert.match(model.journal.full!.message, /input\/output/);
    failing.pattern = undefined;
    await waitFor(() => model.journal.full === undefined);
    losesNothing(model, dir.file("copy"));
  });

  it("failure - messages that are settled before their log is written do not come back", async () => {
    using dir = tempDir();
    using failing = new Failing();
    const directory = dir.file("data");
    const model = new JournalModel({ ...OPTIONS, directory });
    fill(model);
    model.flush();
    failing.pattern = /\.log$/;
    fill(model);
    model.flush();
    for (let seq = 50; seq < 100; seq++) model.settle(A, seq);
    model.flush();
    failing.pattern = undefined;
    await waitFor(() => model.journal.full === undefined);
    model.flush();
    losesNothing(model, dir.file("copy"));
  });

  it("files - are closed when a segment is deleted that waits for a sync", () => {
    using dir = tempDir();
    const open = new Set<number>();
    const { openSync, closeSync } = fs;
    using _files = replaced({
      openSync: (file: string, flags: string, mode?: number) => {
        const fd = openSync(file, flags, mode);
        open.add(fd);
        return fd;
      },
      closeSync: (fd: number) => {
        open.delete(fd);
        closeSync(fd);
      },
    });
    const model = new JournalModel({
      ...OPTIONS,
      sync: "interval",
      syncInterval: 1e8,
      directory: dir.file("data"),
    });
    for (let i = 0; i < 100; i++) model.publish("x".repeat(200), [A]);
    model.flush();
    assert.ok(open.size > 5, `${open.size} files`);
    for (let seq = 0; seq < 100; seq++) model.settle(A, seq);
    model.flush();
    // The head stays, with its acknowledgements.
    assert.deepEqual([open.size, logs(dir.file("data")).length], [2, 1]);
    model.journal.close();
    assert.equal(open.size, 0);
  });

  it("failure - acknowledgements of which some cannot be written are written later", async () => {
    for (const broken of [1, 2, 3]) {
      using dir = tempDir();
      using failing = new Failing();
      const directory = dir.file("data");
      const model = new JournalModel({ ...OPTIONS, directory });
      for (let i = 0; i < 50; i++) model.publish(`${i} `.padEnd(200, "x"), [A]);
      model.flush();
      failing.pattern = new RegExp(`0${broken}\\.ack$`);
      for (let seq = 0; seq < 50; seq++) if (seq % 3 === 0) model.settle(A, seq);
      model.flush();
      assert.match(model.journal.full!.message, /input\/output/);
      failing.pattern = undefined;
      await waitFor(() => model.journal.full === undefined);
      losesNothing(model, dir.file("copy"));
    }
  });

  it("sync - each batch is synced once when a confirm needs it", async () => {
    using dir = tempDir();
    using syncs = new Syncs();
    let synced = 0;
    const counts: number[] = [];
    const model = new JournalModel({
      directory: dir.file("data"),
      onSynced: () => counts.push(syncs.count),
    });
    for (; synced < 4; synced++) {
      model.publish("a", [A]);
      model.flush();
      await waitFor(() => counts.length > synced);
    }
    assert.deepEqual(counts, [1, 2, 3, 4]);
    assert.equal(syncs.count, 4);
    model.journal.close();
  });

  it("sync - what is written during a sync is safe with the next one, and a new file with that of the directory", async () => {
    using dir = tempDir();
    const held: [what: string, end: () => void][] = [];
    const { fdatasync, fsync } = fs;
    const hold = (what: string, real: typeof fsync) => (fd: number, done: fs.NoParamCallback) =>
      void held.push([what, () => real(fd, done)]);
    using _held = replaced({ fdatasync: hold("log", fdatasync), fsync: hold("directory", fsync) });
    let reports = 0;
    const model = new JournalModel({ directory: dir.file("data"), onSynced: () => reports++ });
    const { journal } = model;
    const positions: number[] = [];
    const write = () => {
      model.publish("a", [A]);
      model.flush();
      positions.push(journal.position);
    };
    const end = () => held.splice(0, 1).forEach(([, end]) => end());
    const waits = (...names: string[]) =>
      waitFor(() => held.map(([what]) => what).sort().join() === names.join());
    write();
    await waits("directory", "log");
    write();
    write();
    await waits("directory", "log");
    end();
    // The other of the two is still running.
    write();
    assert.deepEqual([reports, journal.syncedPosition, held.length], [0, 0, 1]);
    end();
    await waits("log");
    assert.deepEqual([reports, journal.syncedPosition], [1, positions[0]]);
    end();
    await waitFor(() => reports === 2);
    assert.deepEqual([journal.syncedPosition, held.length], [positions[3], 0]);
    journal.close();
  });

  it("sync - a stop during a sync syncs everything, and closes the files", async () => {
    using dir = tempDir();
    const open = new Set<number>();
    const held: (() => void)[] = [];
    const { openSync, closeSync, fdatasync } = fs;
    const model = new JournalModel({ ...OPTIONS, sync: "confirm", directory: dir.file("data") });
    {
      using _files = replaced({
        openSync: (file: string, flags: string, mode?: number) => {
          const fd = openSync(file, flags, mode);
          open.add(fd);
          return fd;
        },
        closeSync: (fd: number) => {
          open.delete(fd);
          closeSync(fd);
        },
        fdatasync: (fd: number, done: fs.NoParamCallback) => void held.push(() => fdatasync(fd, done)),
      });
      for (let i = 0; i < 40; i++) model.publish("x".repeat(200), [A]);
      model.flush();
      for (let i = 0; i < 40; i++) model.publish("x".repeat(200), [A]);
      model.flush();
      const { length } = held;
      assert.ok(length > 1, `${length} files`);
      model.journal.close();
      assert.equal(model.journal.syncedPosition, model.journal.position);
      // The files of the running sync are needed until it ends.
      assert.ok(open.size > 0);
      for (const end of held) end();
      await waitFor(() => open.size === 0);
      assert.equal(held.length, length);
    }
    model.flushed = model.state;
    model.afterCrash(dir.file("data"));
    model.journal.close();
  });

  it("sync - the mode flush makes none, and interval makes one when many segments wait for it", async () => {
    const modes: [sync: SyncMode, segments: number, isSynced: boolean][] = [
      ["flush", 40, false],
      ["interval", 10, false],
      ["interval", 17, true],
    ];
    for (const [sync, segments, isSynced] of modes) {
      using dir = tempDir();
      using syncs = new Syncs();
      const directory = dir.file("data");
      const model = new JournalModel({ ...OPTIONS, sync, syncInterval: 1e8, directory });
      while (logs(directory).length < segments + 1) {
        model.publish("x".repeat(3000), [A]);
        model.flush();
      }
      if (!isSynced) {
        // Segments without messages are deleted; no copies need to be on disk before that.
        for (let seq = 0; seq < 5; seq++) model.settle(A, seq);
        model.flush();
        model.flush();
        assert.ok(logs(directory).length <= segments - 4);
      }
      assert.equal(syncs.count > 0, isSynced, `${sync}, ${segments} segments`);
      if (isSynced) await waitFor(() => (model.flush(), syncs.count >= segments));
      model.check();
      model.restart();
      model.journal.close();
    }
  });

  it("sync - an interval syncs what was written, again and again", async () => {
    using dir = tempDir();
    using syncs = new Syncs();
    const model = new JournalModel({
      ...OPTIONS,
      sync: "interval",
      syncInterval: 2,
      directory: dir.file("data"),
    });
    for (let round = 0; round < 3; round++) {
      model.publish("x", [A]);
      model.flush();
      const { count } = syncs;
      await waitFor(() => syncs.count > count);
    }
    model.journal.close();
    const { count } = syncs;
    // A stop ends it.
    await earlierTimers();
    assert.equal(syncs.count, count);
  });

  for (const sync of ["confirm", "flush", "interval"] as const) {
    it(`stop - the manifest is ${sync === "flush" ? "not " : ""}synced, sync ${sync}`, () => {
      using dir = tempDir();
      const synced: string[] = [];
      const paths = new Map<number, string>();
      const { openSync } = fs;
      const model = new JournalModel({ ...OPTIONS, sync, directory: dir.file("data") });
      model.publish("x", [A]);
      {
        using _spy = replaced({
          openSync: (file: string, flags: string, mode?: number) => {
            const fd = openSync(file, flags, mode);
            paths.set(fd, file);
            return fd;
          },
          fdatasyncSync: (fd: number) => void synced.push(paths.get(fd) ?? ""),
        });
        model.journal.close();
      }
      assert.equal(synced.some((file) => file.endsWith("manifest.new")), sync !== "flush");
    });
  }

  it("compaction - does not begin because of messages whose segments were deleted", async () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const options = { ...OPTIONS, directory, garbageSize: 12_000 };
    const model = new JournalModel(options);
    let published = 0;
    const publish = (id: number) => {
      model.publish("x".repeat(200), [id]);
      published++;
    };
    // The first segment has one message left; this is less garbage than what starts a compaction.
    for (let i = 0; i < 20; i++) publish(A);
    for (let seq = 0; seq < 20; seq++) if (seq !== 5) model.settle(A, seq);
    for (let i = 0; i < 600; i++) {
      publish(B);
      model.settle(B, i);
      if (i % 10 === 9) model.flush();
      if (i % 60 === 59) await earlierTimers();
    }
    model.flush();
    await earlierTimers();
    assert.equal(model.journal.written, published);
    assert.equal(model.lanes.get(A)!.segmentAt(5), 1);
    model.journal.close();
    // The same after a start, which counts the messages in the files.
    const after = new JournalModel(options);
    after.flush();
    for (let i = 0; i < 300; i++) {
      after.publish("x".repeat(200), [B]);
      after.settle(B, after.lanes.get(B)!.nextSeq - 1);
      if (i % 10 === 9) after.flush();
      if (i % 60 === 59) await earlierTimers();
    }
    assert.equal(after.journal.written, 300);
    after.journal.close();
  });
});
