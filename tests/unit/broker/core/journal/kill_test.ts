/**
 * Simulates `kill -9` at every call that changes a file: the files are copied before each call and in the middle of
 * each write, and a journal is opened on the copy. Messages written before the last `flush` returned must exist,
 * messages settled by then must not, and later changes can be in either state.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { Targets } from "../../../../../lib/broker/core/journal/journal.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, message, QUEUES } from "../../../../support/journal_model.ts";

const [FIRST, SECOND] = QUEUES as [number, number, number, number];
const OPTIONS = { sync: "confirm", segmentSize: 2048, cacheSize: 3000, garbageSize: 0 } as const;

/** Calls `step` before each call that changes a file and in the middle of each write, until it is disposed. */
function interrupt(step: () => void): Disposable {
  const { writeSync, unlink, rmSync, renameSync, writeFileSync, truncateSync, openSync } = fs;
  const { fdatasyncSync, fsyncSync } = fs;
  const files = { writeSync, unlink, rmSync, renameSync, writeFileSync, truncateSync, openSync };
  const syncs = { fdatasyncSync, fsyncSync };
  let inside = false;
  const before = () => {
    if (inside) return;
    inside = true;
    try {
      step();
    } finally {
      inside = false;
    }
  };
  const patched = {
    writeSync(fd: number, bytes: Uint8Array, offset: number, length: number, position: null) {
      before();
      if (inside || length < 2) return writeSync(fd, bytes, offset, length, position);
      const half = writeSync(fd, bytes, offset, length >> 1, position);
      before();
      return half;
    },
    unlink: (file: string, done: () => void) => (before(), unlink(file, done)),
    rmSync: (file: string, options: fs.RmOptions) => (before(), rmSync(file, options)),
    renameSync: (from: string, to: string) => (before(), renameSync(from, to)),
    writeFileSync(file: string, bytes: Uint8Array) {
      before();
      if (!inside) writeFileSync(file, bytes.subarray(0, bytes.length >> 1));
      before();
      writeFileSync(file, bytes);
    },
    truncateSync: (file: string, length: number) => (before(), truncateSync(file, length)),
    openSync: (file: string, flags: string, mode?: number) => (before(), openSync(file, flags, mode)),
    // The copies need no sync.
    fdatasyncSync: (fd: number) => inside || fdatasyncSync(fd),
    fsyncSync: (fd: number) => inside || fsyncSync(fd),
  };
  Object.assign(fs, patched);
  return { [Symbol.dispose]: () => void Object.assign(fs, files, syncs) };
}

/** Opens a directory and returns its messages: `queue/seq` to body. */
function find(directory: string, whole = true): Map<string, string> {
  const other = new JournalModel({ ...OPTIONS, directory });
  const found = new Map<string, string>();
  for (const [id, lane] of other.lanes) {
    for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) {
      found.set(`${id}/${seq}`, other.bodyAt(id, seq)!);
    }
  }
  if (whole) assert.deepEqual(other.problems, []);
  other.journal.close();
  return found;
}

function bodies(state: JournalModel["state"]): Map<string, string> {
  return new Map(
    [...state].flatMap(([id, entries]) => [...entries].map(([seq, { body }]) => [`${id}/${seq}`, body])),
  );
}

/** Checks a copy of a model's files, and that closing and reopening the copy changes nothing. */
function checkCopy(model: JournalModel, copy: string): void {
  copyFiles(model.directory!, copy);
  const before = bodies(model.flushed);
  const now = bodies(model.state);
  const found = find(copy);
  for (const [key, body] of found) assert.equal(body, before.get(key) ?? now.get(key), `${key} came back`);
  for (const [key, body] of before) if (now.has(key)) assert.equal(found.get(key), body, `${key} is lost`);
  assert.deepEqual([...find(copy)], [...found]);
}

/** Fills several segments, settles in pieces, and leaves a few messages in each segment. */
async function work(model: JournalModel, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 12; i++) {
      model.publish(
        `${round}/${i} `.padEnd(90, "."),
        i % 3 === 0 ? [FIRST, SECOND] : [i % 2 === 0 ? FIRST : SECOND],
      );
    }
    model.flush();
    for (const id of [FIRST, SECOND]) {
      for (const seq of model.take(id, 20)) if (seq % 7 !== 3) model.settle(id, seq);
    }
    model.flush();
    // Time for a step of the compaction.
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
}

describe("journal, killed", () => {
  it("journal - loses no message and restores no settled one, wherever it is killed", async () => {
    using folder = tempDir();
    const model = new JournalModel({ ...OPTIONS, directory: folder.file("journal") });
    let steps = 0;
    {
      using _faults = interrupt(() => {
        steps++;
        checkCopy(model, folder.file("copy"));
      });
      await work(model, 6);
      // Compaction continues until few settled messages are left.
      await waitFor(() => {
        model.flush();
        return fs.readdirSync(model.directory!).filter((name) => name.endsWith(".log")).length <= 5;
      });
    }
    assert.ok(steps > 100, `only ${steps} steps`);
    model.check();
    model.restart();
    for (const id of [FIRST, SECOND]) {
      for (const seq of [...model.state.get(id)!.keys()]) model.settle(id, seq);
    }
    model.restart();
    assert.equal(bodies(model.state).size, 0);
    model.journal.close();
    assert.deepEqual(fs.readdirSync(model.directory!).sort(), ["delivered", "manifest"]);
  });

  it("journal - restores no message that was settled after a crash in the middle of a compaction", async () => {
    using folder = tempDir();
    const model = new JournalModel({ ...OPTIONS, directory: folder.file("journal") });
    let steps = 0;
    let copied = 0;
    {
      using _faults = interrupt(() => {
        if (++steps % 5 !== 0) return;
        // Settles the messages of the copy, last segment first, with a crash after each: copies before originals.
        const from = folder.file("from");
        const to = folder.file("to");
        copyFiles(model.directory!, from);
        const other = new JournalModel({ ...OPTIONS, directory: from });
        for (const [id, lane] of other.lanes) {
          for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) {
            const entry = { body: other.bodyAt(id, seq)!, expiry: 0, durable: true, unacked: false };
            other.state.get(id)!.set(seq, { ...entry, redelivered: lane.isRedelivered(seq) });
            if (lane.isRedelivered(seq)) other.marks.set(id, seq);
          }
        }
        for (;;) {
          const places = [FIRST, SECOND].flatMap((id) =>
            [...other.state.get(id)!.keys()].map((seq) => ({
              id,
              seq,
              segment: other.lanes.get(id)!.segmentAt(seq),
            }))
          );
          if (places.length === 0) break;
          const last = Math.max(...places.map(({ segment }) => segment));
          for (const { id, seq, segment } of places) if (segment === last) other.settle(id, seq);
          other.flush();
          copyFiles(other.directory!, to);
          other.journal.close();
          fs.rmSync(other.directory!, { recursive: true });
          copyFiles(to, from);
          other.afterCrash(from);
        }
        other.journal.close();
        copied++;
      });
      await work(model, 8);
    }
    assert.ok(copied > 20, `only ${copied} copies`);
    model.check();
    model.journal.close();
  });

  it("journal - has either a message or the one that replaces it, wherever it is killed", () => {
    using folder = tempDir();
    const model = new JournalModel({ ...OPTIONS, directory: folder.file("journal"), segmentSize: 600 });
    const targets = new Targets();
    const count = 12;
    for (let i = 0; i < count; i++) model.publish(`${i}`, [FIRST]);
    model.flush();
    let steps = 0;
    {
      using _faults = interrupt(() => {
        steps++;
        copyFiles(model.directory!, folder.file("copy"));
        for (let round = 0; round < 2; round++) {
          const found = [...find(folder.file("copy")).values()];
          assert.deepEqual(found.sort(), Array.from({ length: count }, (_, i) => `${i}`).sort());
        }
      });
      for (let seq = 0; seq < count; seq++) {
        targets.clear();
        targets.setOrigin(FIRST, 3, seq);
        const lane = model.lanes.get(SECOND)!;
        targets.add(SECOND, 3, lane.nextSeq, 0);
        model.journal.append(message(`${seq}`), targets);
        const to = lane.push(model.journal.segment, model.journal.offset, `${seq}`.length, 0);
        const entry = { body: `${seq}`, expiry: 0, durable: true, unacked: false, redelivered: false };
        model.state.get(SECOND)!.set(to, entry);
        model.settle(FIRST, seq);
        if (seq % 3 === 2) model.flush();
      }
      model.flush();
    }
    assert.ok(steps > 10, `only ${steps} steps`);
    model.check();
    model.restart();
    model.journal.close();
  });

  it("journal - keeps a segment with copies as long as their originals exist", async () => {
    using folder = tempDir();
    const model = new JournalModel({ ...OPTIONS, directory: folder.file("journal") });
    const lane = model.lanes.get(FIRST)!;
    for (let i = 0; i < 18; i++) model.publish(`${i}`.padEnd(90, "."), [FIRST]);
    const kept = [9, 10, 11, 12, 13];
    for (let seq = 0; seq < 14; seq++) if (!kept.includes(seq)) model.settle(FIRST, seq);
    model.flush();
    // Each step makes one copy.
    while (lane.segmentAt(9) === 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(lane.segmentAt(13), 1);
    while (lane.segmentAt(lane.nextSeq - 1) <= 2) model.publish("-".padEnd(90, "."), [FIRST]);
    // All messages of the second segment are settled, including the copies.
    for (const seq of [...model.state.get(FIRST)!.keys()]) {
      if (lane.segmentAt(seq) === 2) model.settle(FIRST, seq);
    }
    model.flush();
    await new Promise((resolve) => setImmediate(resolve));
    checkCopy(model, folder.file("copy"));
    await waitFor(() => {
      model.flush();
      return fs.readdirSync(model.directory!).every((name) => !/^0000000[12]/.test(name));
    });
    checkCopy(model, folder.file("copy"));
    model.check();
    model.journal.close();
  });

  for (const sync of ["confirm", "flush"] as const) {
    it(`journal - data that it reports as synced is on disk, also during compaction, sync ${sync}`, async () => {
      using folder = tempDir();
      const model = new JournalModel({ ...OPTIONS, sync, directory: folder.file("journal") });
      const disk = new SyncedFiles();
      /** The position of the log after each message. */
      const positions = new Map<string, number>();
      const onDisk = new Set<string>();
      let settled = new Set<string>();
      let checked = 0;
      {
        using _disk = disk;
        using _faults = interrupt(() => {
          if (++checked % 3 !== 0) return;
          const synced = sync === "confirm" ? model.journal.syncedPosition : -1;
          disk.copy(model.directory!, folder.file("copy"));
          const found = find(folder.file("copy"), false);
          for (const [key, position] of positions) {
            if (position <= synced) onDisk.add(key);
            if (onDisk.has(key) && !settled.has(key)) assert.ok(found.has(key), `${key} is lost`);
          }
          // Messages that are on disk without a promise must not be lost: their copies must be on disk before the
          // deletion.
          for (const key of found.keys()) onDisk.add(key);
        });
        for (let round = 0; round < 12; round++) {
          for (let i = 0; i < 12; i++) {
            const seq = model.lanes.get(FIRST)!.nextSeq;
            model.publish(`${round}/${i} `.padEnd(90, "."), [FIRST]);
            positions.set(`${FIRST}/${seq}`, model.journal.position);
          }
          model.flush();
          // Simulates that the system wrote everything by itself.
          if (round === 3) disk.sync(model.directory!);
          const taken = model.take(FIRST, 20).filter((seq) => seq % 7 !== 3);
          settled = new Set([...settled, ...taken.map((seq) => `${FIRST}/${seq}`)]);
          for (const seq of taken) model.settle(FIRST, seq);
          model.flush();
          await new Promise((resolve) => setTimeout(resolve, 4));
        }
      }
      await waitFor(() => model.journal.syncedPosition === model.journal.position);
      model.check();
      model.journal.close();
    });
  }
});

/** Tracks the synced length of each log, the minimum that survives a power failure. */
class SyncedFiles implements Disposable {
  readonly #paths = new Map<number, string>();
  readonly #synced = new Map<string, number>();
  readonly #real = { openSync: fs.openSync, fdatasync: fs.fdatasync, fdatasyncSync: fs.fdatasyncSync };

  constructor() {
    const { openSync, fdatasync, fdatasyncSync } = this.#real;
    Object.assign(fs, {
      openSync: (file: string, flags: string, mode?: number) => {
        const fd = openSync(file, flags, mode);
        this.#paths.set(fd, file);
        return fd;
      },
      fdatasync: (fd: number, done: (error: Error | null) => void) => {
        const file = this.#paths.get(fd)!;
        const { size } = fs.fstatSync(fd);
        // The delay of a disk.
        const later = () =>
          fdatasync(fd, (error) => {
            this.#synced.set(file, size);
            done(error);
          });
        setTimeout(later, 3);
      },
      fdatasyncSync: (fd: number) => {
        fdatasyncSync(fd);
        this.#synced.set(this.#paths.get(fd)!, fs.fstatSync(fd).size);
      },
    });
  }

  /** Marks everything as synced. */
  sync(directory: string): void {
    for (const name of fs.readdirSync(directory)) {
      if (!name.endsWith(".log")) continue;
      this.#synced.set(`${directory}/${name}`, fs.statSync(`${directory}/${name}`).size);
    }
  }

  /** Copies the synced part of the logs, and the acknowledgements. */
  copy(from: string, to: string): void {
    copyFiles(from, to);
    for (const name of fs.readdirSync(to)) {
      if (!name.endsWith(".log")) continue;
      fs.rmSync(`${to}/${name.replace(".log", ".idx")}`, { force: true });
      const synced = this.#synced.get(`${from}/${name}`);
      if (synced === undefined) fs.rmSync(`${to}/${name}`);
      else fs.truncateSync(`${to}/${name}`, synced);
    }
  }

  [Symbol.dispose](): void {
    Object.assign(fs, this.#real);
  }
}
