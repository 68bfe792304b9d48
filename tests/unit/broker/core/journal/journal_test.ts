/** The journal: its cache and its files, syncs and confirms, full memory, large and transient messages. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { Files, logName } from "../../../../../lib/broker/core/journal/files/files.ts";
import { Syncer } from "../../../../../lib/broker/core/journal/files/syncer.ts";
import { Log } from "../../../../../lib/broker/core/journal/log.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const [FIRST, SECOND] = QUEUES as [number, number, number, number];

describe("journal", () => {
  it("log - keeps as many written segments in memory as its cache may have", () => {
    for (const [cacheSize, expected] of [[0, 0], [8192, 1], [3 * 8192, 3], [3 * 8192 - 1, 2]] as const) {
      using folder = tempDir();
      const log = new Log(new Files(folder.path), 8192, cacheSize, 1, new Set());
      const segments = Array.from({ length: 6 }, () => log.roll(10));
      log.end();
      log.write(({ fd }) => fs.closeSync(fd));
      assert.deepEqual(
        segments.map(({ bytes }) => bytes !== undefined),
        segments.map((_, i) => i >= 6 - expected),
      );
    }
  });

  it("files - without descriptors the open ones are closed, and other errors are reported", () => {
    for (const code of ["EMFILE", "ENFILE", "EACCES"]) {
      using folder = tempDir();
      for (const number of [1, 2]) fs.writeFileSync(folder.file(logName(number)), `segment ${number}`);
      const files = new Files(folder.path);
      const bytes = new Uint8Array(9);
      assert.equal(files.read(1, bytes, 0, 9), 9);
      const { openSync, closeSync } = fs;
      let failures = 0;
      let closed = 0;
      fs.openSync = (...args: Parameters<typeof openSync>) => {
        if (failures++ === 0) throw Object.assign(new Error("no descriptors"), { code });
        return openSync(...args);
      };
      fs.closeSync = (fd) => {
        closed++;
        closeSync(fd);
      };
      try {
        if (code === "EACCES") assert.throws(() => files.read(2, bytes, 0, 9), { code });
        else assert.equal(files.read(2, bytes, 0, 9), 9);
        assert.equal(closed, code === "EACCES" ? 0 : 1);
      } finally {
        Object.assign(fs, { openSync, closeSync });
        files.close();
      }
      if (code !== "EACCES") assert.equal(new TextDecoder().decode(bytes), "segment 2");
    }
  });

  it("sync - now syncs the head, the sealed segments and the directory", () => {
    using folder = tempDir();
    const log = new Log(new Files(folder.path), 8192, 0, 1, new Set());
    const syncer = new Syncer(log, folder.path, () => assert.fail("no sync in the background"));
    const { fdatasyncSync, fsyncSync } = fs;
    const synced: (number | string)[] = [];
    fs.fdatasyncSync = (fd) => void synced.push(fd);
    fs.fsyncSync = (fd) => void synced.push(fs.fstatSync(fd).isDirectory() ? "directory" : fd);
    try {
      const [sealed, head] = [log.roll(10), log.roll(10)];
      log.write((segment) => syncer.add(segment));
      const { fd } = sealed;
      syncer.now();
      assert.deepEqual(synced.slice(0, 2), [fd, head.fd]);
      assert.ok(synced.includes("directory"));
      assert.deepEqual([sealed.fd, syncer.durable, syncer.waiting, log.directoryChanged], [
        -1,
        log.written,
        0,
        false,
      ]);
      assert.ok(head.fd >= 0);
    } finally {
      Object.assign(fs, { fdatasyncSync, fsyncSync });
      syncer.close();
    }
  });

  for (const kind of ["now", "start"] as const) {
    it(`sync - ${kind} fails when the file was deleted after it was written, and nothing counts as safe`, async () => {
      using folder = tempDir();
      const log = new Log(new Files(folder.path), 8192, 0, 1, new Set());
      let isDone = false;
      const syncer = new Syncer(log, folder.path, () => isDone = true);
      const head = log.roll(10);
      head.end += 10;
      log.write((segment) => syncer.add(segment));
      const { durable } = syncer;
      fs.rmSync(folder.file(logName(head.number)));
      if (kind === "now") assert.throws(() => syncer.now(), /deleted/);
      else {
        syncer.start();
        await waitFor(() => isDone);
      }
      assert.match(syncer.failure!.message, /deleted/);
      assert.deepEqual([syncer.unlinked, syncer.durable], [true, durable]);
      assert.ok(durable < log.written);
      syncer.close();
    });
  }

  it("sync - without open files everything is on disk", () => {
    const log = { written: 5, head: undefined, directoryChanged: false };
    const syncer = new Syncer(log as unknown as Log, "/nowhere", () => assert.fail("no sync"));
    assert.equal(syncer.durable, 5);
    log.written = 10;
    syncer.start();
    assert.equal(syncer.durable, 10);
  });

  it("journal - allows one process per directory", () => {
    using folder = tempDir();
    const model = new JournalModel({ directory: folder.path });
    assert.throws(() => new JournalModel({ directory: folder.path }), /in use by process/);
    model.journal.close();
    new JournalModel({ directory: folder.path }).journal.close();
  });

  it("journal - reads messages of any size outside its cache, sequentially and at random", () => {
    using folder = tempDir();
    const model = new JournalModel({
      directory: folder.path,
      segmentSize: 1 << 20,
      cacheSize: 0,
      sync: "flush",
    });
    const sizes = [0, 1, 100, 8191, 8192, 70_000, 262_144, 300_000, 1_000_000, 1_100_000, 3_000_000];
    for (let round = 0; round < 3; round++) {
      for (const size of sizes) model.publish(`${round} ${size} `.padEnd(size, "x"), [FIRST]);
      model.flush();
    }
    model.restart();
    const seqs = [...model.state.get(FIRST)!.keys()];
    for (const seq of [...seqs].reverse()) {
      assert.equal(model.bodyAt(FIRST, seq), model.state.get(FIRST)!.get(seq)!.body);
    }
    for (let i = 0; i < 200; i++) {
      const seq = seqs[(i * 7) % seqs.length]!;
      assert.equal(model.bodyAt(FIRST, seq), model.state.get(FIRST)!.get(seq)!.body);
    }
    for (const seq of seqs) model.settle(FIRST, seq);
    model.journal.close();
    assert.deepEqual(fs.readdirSync(folder.path), []);
  });

  it("journal - moves transient messages to files over the memory limit, and deletes the files", async () => {
    using folder = tempDir();
    const model = new JournalModel({ directory: folder.path, segmentSize: 4096, memorySize: 20_000 });
    const files = () => fs.readdirSync(folder.path).filter((name) => name.startsWith("transient"));
    for (let i = 0; i < 400; i++) {
      model.publish(`${i} `.padEnd(200), [FIRST], false);
      if (i % 10 === 9) model.flush();
    }
    assert.ok(model.journal.memorySize <= 20_000);
    assert.equal(model.journal.memoryFull, false);
    assert.ok(files().length > 10);
    model.check();
    for (const seq of model.take(FIRST, 400)) model.settle(FIRST, seq);
    model.flush();
    await waitFor(() => files().length === 0);
    for (let i = 0; i < 200; i++) model.publish(`${i} `.padEnd(200), [FIRST], false);
    model.flush();
    assert.ok(files().length > 0);
    model.journal.close();
    assert.deepEqual(files(), []);
  });

  it("journal - reports full memory, and accepts more after messages are settled", async () => {
    const model = new JournalModel({ memorySize: 200_000, segmentSize: 4096 });
    let count = 0;
    for (; !model.journal.memoryFull; count++) model.publish(`${count} `.padEnd(200), [FIRST, SECOND]);
    assert.ok(count > 700, `only ${count} messages`);
    // One message of a hundred is kept; the memory of the others is freed.
    for (const id of [FIRST, SECOND]) {
      for (const seq of model.take(id, count)) if (seq % 100 > 0) model.settle(id, seq);
    }
    await waitFor(() => {
      model.flush();
      return model.journal.memorySize < 50_000;
    });
    assert.equal(model.journal.memoryFull, false);
    model.check();
    model.journal.close();
  });

  it("journal - the memory of a large message is free as soon as the message is settled", () => {
    for (const large of [10, 17_000, 19_000, 30_000]) {
      for (const first of [true, false]) {
        const model = new JournalModel({ memorySize: 20_000, segmentSize: 4096 });
        const messages = ["x".repeat(3000), "y".repeat(large)];
        if (first) messages.reverse();
        for (const text of messages) model.publish(text, [FIRST], false);
        for (const seq of model.take(FIRST, 2)) model.settle(FIRST, seq);
        model.flush();
        const state = `${large} bytes, ${
          first ? "first" : "last"
        }: ${model.journal.memorySize} bytes in memory`;
        assert.equal(model.journal.memoryScarce, false, state);
        assert.ok(model.journal.memorySize <= 4096, state);
        model.publish("z", [FIRST], false);
        model.check();
        model.journal.close();
      }
    }
  });

  it("journal - one remaining message does not keep the log of the later ones", async () => {
    using folder = tempDir();
    const options = { directory: folder.path, segmentSize: 8192, garbageSize: 30_000, cacheSize: 0 };
    const model = new JournalModel(options);
    for (let i = 0; i < 3000; i++) {
      model.publish(`${i} `.padEnd(200), [FIRST]);
      if (i % 20 !== 19) continue;
      for (const seq of model.take(FIRST, 20)) if (seq % 100 !== 50) model.settle(FIRST, seq);
      model.flush();
    }
    const size = () =>
      fs.readdirSync(folder.path).filter((name) => name.endsWith(".log"))
        .reduce((sum, name) => sum + fs.statSync(folder.file(name)).size, 0);
    await waitFor(() => {
      model.flush();
      return size() < 60_000;
    });
    model.check();
    model.restart();
    model.journal.close();
  });

  it("journal - reports when a confirm can be sent, in each sync mode", async () => {
    for (const sync of ["confirm", "flush", "interval"] as const) {
      using folder = tempDir();
      let synced = 0;
      const model = new JournalModel({
        directory: folder.path,
        sync,
        syncInterval: 1,
        onSynced: () => synced++,
      });
      model.publish("a", [FIRST]);
      const { journal } = model;
      const { position } = journal;
      assert.ok(journal.syncedPosition < position);
      model.flush();
      if (sync === "confirm") {
        await waitFor(() => synced > 0);
        assert.ok(journal.syncedPosition >= position);
        model.publish("b", [FIRST]);
        journal.syncNow();
      }
      assert.equal(journal.syncedPosition, journal.position);
      journal.close();
    }
  });

  it("journal - stops confirming when a sync fails, because another try could hide lost data", async () => {
    using folder = tempDir();
    const changes: (Error | undefined)[] = [];
    const options = { directory: folder.path, onFullChange: () => changes.push(model.journal.full) };
    const model: JournalModel = new JournalModel(options);
    const { fdatasync } = fs;
    const failing = (_fd: number, done: (error: Error) => void) =>
      setTimeout(() => done(new Error("EIO: input/output")));
    Object.assign(fs, { fdatasync: failing });
    try {
      model.publish("a", [FIRST]);
      model.flush();
      await waitFor(() => changes.length > 0);
    } finally {
      Object.assign(fs, { fdatasync });
    }
    assert.match(changes[0]!.message, /the disk failed \(EIO: input\/output\); restart the broker/);
    model.publish("b", [FIRST]);
    model.flush();
    assert.equal(model.journal.syncedPosition, 0);
    assert.equal(changes.length, 1);
    assert.throws(() => model.journal.syncNow(), /the disk failed/);
    assert.throws(() => model.journal.close(), /the disk failed/);
    // The written data is still readable, and the directory is unlocked.
    model.flushed = model.state;
    model.afterCrash(folder.path);
    model.journal.close();
  });
});
