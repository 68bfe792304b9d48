/** The small parts of the journal: the checksum, the lock, the log of definitions, spilling, large messages. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { crc32c } from "../../../../../lib/broker/core/journal/format/crc32c.ts";
import { DefinitionsLog } from "../../../../../lib/broker/core/journal/definitions_log.ts";
import { Files, logName } from "../../../../../lib/broker/core/journal/files/files.ts";
import { Syncer } from "../../../../../lib/broker/core/journal/files/syncer.ts";
import { Log } from "../../../../../lib/broker/core/journal/log.ts";
import { Lock } from "../../../../../lib/broker/core/journal/files/lock.ts";
import { MqcatError } from "../../../../../lib/errors.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const [FIRST, SECOND] = QUEUES as [number, number, number, number];

describe("crc32c", () => {
  const sum = (bytes: Uint8Array, seed = 0) => crc32c(new DataView(bytes.buffer), 0, bytes.length, seed);

  // From RFC 3720, B.4, and the check value in the catalogue of CRCs.
  const known: [name: string, bytes: Uint8Array, expected: number][] = [
    ["no bytes", new Uint8Array(0), 0],
    ["123456789", new TextEncoder().encode("123456789"), 0xe3069283],
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(255), 0x62a8ab43],
    ["32 ascending", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["32 descending", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ];
  for (const [name, bytes, expected] of known) {
    it(`crc32c - computes the sum of ${name}`, () => assert.equal(sum(bytes), expected));
  }

  it("crc32c - begins with the seed 0 unless it is given", () => {
    const view = new DataView(new TextEncoder().encode("123456789").buffer);
    assert.equal(crc32c(view, 0, 9), 0xe3069283);
  });

  it("crc32c - computes the sum of any range, and of consecutive ranges", () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i * 37 + 11);
    const view = new DataView(bytes.buffer);
    for (let start = 0; start < 20; start++) {
      for (let end = start; end < 60; end++) {
        const piece = sum(bytes.slice(start, end));
        assert.equal(crc32c(view, start, end), piece);
        assert.equal(crc32c(view, end, 80, crc32c(view, start, end)), crc32c(view, start, 80));
      }
    }
  });
});

describe("lock", () => {
  it("lock - allows one process, which the error names", () => {
    using folder = tempDir();
    const lock = Lock.take(folder.path);
    assert.throws(() => Lock.take(folder.path), (error: Error) => {
      assert.ok(error instanceof MqcatError && error.code === "ERR_ADDRESS_IN_USE");
      assert.match(error.message, new RegExp(`in use by process ${process.pid}: stop that process`));
      return true;
    });
    lock.release();
    Lock.take(folder.path).release();
    assert.deepEqual(fs.readdirSync(folder.path), []);
  });

  it("lock - ignores the lock of a dead process", async () => {
    using folder = tempDir();
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    const lock = folder.file("lock");
    const taken = Lock.take(folder.path);
    const own = JSON.parse(fs.readlinkSync(lock));
    taken.release();
    try {
      const stat = `/proc/${child.pid}/stat`;
      const started = fs.existsSync(stat) ? fs.readFileSync(stat, "utf8").split(") ")[1]!.split(" ")[19] : "";
      fs.symlinkSync(JSON.stringify({ ...own, pid: child.pid, started }), lock);
      assert.throws(() => Lock.take(folder.path), new RegExp(`process ${child.pid}:`));
    } finally {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.on("exit", resolve));
    }
    Lock.take(folder.path).release();
    // Also where the system does not tell when a process has started.
    fs.symlinkSync(JSON.stringify({ ...own, pid: child.pid, started: "" }), lock);
    Lock.take(folder.path).release();
  });

  it("lock - of a process that has ended is replaced, also while its parent has not noticed the end", {
    skip: !fs.existsSync("/proc/self/stat"),
  }, async () => {
    using folder = tempDir();
    const taken = Lock.take(folder.path);
    const own = JSON.parse(fs.readlinkSync(folder.file("lock")));
    taken.release();
    // The shell starts a process, and becomes one that never asks for its end.
    const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      let output = "";
      parent.stdout!.on("data", (bytes) => output += bytes);
      await waitFor(() => output.includes("\n"));
      const pid = Number(output);
      await waitFor(() => fs.readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
      process.kill(pid, "SIGKILL");
      const fields = () => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      await waitFor(() => fields()[0] === "Z");
      fs.symlinkSync(JSON.stringify({ ...own, pid, started: fields()[19] }), folder.file("lock"));
      Lock.take(folder.path).release();
    } finally {
      parent.kill("SIGKILL");
      await new Promise((resolve) => parent.on("exit", resolve));
    }
  });

  it("lock - one that another process has taken meanwhile is not removed by the release", () => {
    using folder = tempDir();
    const lock = Lock.take(folder.path);
    const own = JSON.parse(fs.readlinkSync(folder.file("lock")));
    fs.rmSync(folder.file("lock"));
    fs.symlinkSync(JSON.stringify({ ...own, pid: own.pid + 1 }), folder.file("lock"));
    lock.release();
    assert.deepEqual(fs.readdirSync(folder.path), ["lock"]);
  });

  it("lock - a second lock of a process that replaces the first one is waited for, but not forever", () => {
    using folder = tempDir();
    const taken = Lock.take(folder.path);
    const own = fs.readlinkSync(folder.file("lock"));
    taken.release();
    fs.symlinkSync("{}", folder.file("lock"));
    // This process is alive, so it is not removed.
    fs.symlinkSync(own, folder.file("lock.old"));
    assert.throws(() => Lock.take(folder.path), /other processes take it repeatedly/);
    assert.deepEqual(fs.readdirSync(folder.path).sort(), ["lock", "lock.old"]);
  });

  const stale: [name: string, change: (own: Record<string, unknown>) => unknown][] = [
    ["a lock whose process id was reused", (own) => ({ ...own, started: "1" })],
    ["a lock of another boot", (own) => ({ ...own, boot: "another" })],
    ["a lock without an owner", () => ({})],
  ];
  for (const [name, change] of stale) {
    it(`lock - replaces ${name}`, { skip: !fs.existsSync("/proc/self/stat") }, () => {
      using folder = tempDir();
      const lock = folder.file("lock");
      const taken = Lock.take(folder.path);
      const changed = change(JSON.parse(fs.readlinkSync(lock)));
      taken.release();
      fs.symlinkSync(JSON.stringify(changed), lock);
      // Another process was killed while it replaced the lock.
      fs.symlinkSync(JSON.stringify(changed), `${lock}.old`);
      Lock.take(folder.path).release();
    });
  }
});

describe("definitions log", () => {
  const open = (directory: string, state: unknown[], problems: string[] = []) => {
    const found: unknown[] = [];
    const options = {
      directory,
      sync: false,
      snapshot: () => state,
      onProblem: (text: string) => problems.push(text),
    };
    return { log: DefinitionsLog.open(options, (change) => found.push(change)), found };
  };

  it("definitions - are restored in order with any content", () => {
    using folder = tempDir();
    const changes = [{ queue: "a" }, { text: "é\u0000😀", list: [1, null, true] }, { queue: "b" }];
    const { log, found } = open(folder.path, []);
    assert.deepEqual(found, []);
    for (const change of changes) log.append(change);
    log.close();
    const again = open(folder.path, []);
    assert.deepEqual(again.found, changes);
    again.log.close();
  });

  it("definitions - restores the complete records of a file truncated at any byte, and continues", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const { log } = open(folder.path, []);
    const ends: number[] = [];
    for (let i = 0; i < 3; i++) {
      log.append({ i });
      ends.push(fs.statSync(file).size);
    }
    log.close();
    const bytes = fs.readFileSync(file);
    for (let cut = 0; cut <= bytes.length; cut++) {
      fs.writeFileSync(file, bytes.subarray(0, cut));
      const whole = [0, 1, 2].slice(0, ends.filter((end) => end <= cut).length).map((i) => ({ i }));
      const problems: string[] = [];
      const cutOff = open(folder.path, [], problems);
      assert.deepEqual(cutOff.found, whole, `cut at ${cut}`);
      cutOff.log.append({ i: 9 });
      cutOff.log.close();
      const again = open(folder.path, [], problems);
      assert.deepEqual(again.found, [...whole, { i: 9 }]);
      assert.deepEqual(problems, []);
      again.log.close();
    }
  });

  it("definitions - skips and reports damaged records", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const { log } = open(folder.path, []);
    for (let i = 0; i < 3; i++) log.append({ i });
    log.close();
    const bytes = fs.readFileSync(file);
    const size = (bytes.length - 4) / 3;
    for (let at = 4 + size; at < 4 + 2 * size; at++) {
      fs.writeFileSync(file, bytes.map((byte, i) => i === at ? byte ^ 1 : byte));
      const problems: string[] = [];
      const damaged = open(folder.path, [], problems);
      // The first four bytes are the length, which is found again.
      const isLength = at < 4 + size + 4;
      assert.deepEqual(damaged.found, [{ i: 0 }, ...(isLength ? [{ i: 1 }] : []), { i: 2 }], `byte ${at}`);
      const what = isLength
        ? "was damaged: all definitions were recovered"
        : `is damaged: ${size} bytes of definitions are lost`;
      assert.match(
        problems.join("\n"),
        new RegExp(`${what}; the file as it was is kept as definitions.damaged-\\d+$`),
      );
      damaged.log.close();
      // It was repaired.
      const again = open(folder.path, [], problems);
      assert.deepEqual([again.found, problems.length], [damaged.found, 1]);
      again.log.close();
    }
  });

  it("definitions - what is incomplete after a clean stop is lost, and after a crash it was never there", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const { log } = open(folder.path, []);
    for (let i = 0; i < 2; i++) log.append({ i });
    log.close();
    const bytes = fs.readFileSync(file);
    for (const [changed, expected] of [[true, 9], [false, 0]] as const) {
      fs.writeFileSync(file, bytes.subarray(0, bytes.length - 6));
      const problems: string[] = [];
      const options = { directory: folder.path, sync: false, snapshot: () => [], changed };
      const cut = DefinitionsLog.open({ ...options, onProblem: (text) => problems.push(text) }, () => {});
      assert.deepEqual([cut.damaged, cut.incomplete], [changed, true]);
      const lost = problems.map((text) => Number(/is damaged: (\d+) bytes/.exec(text)?.[1]));
      assert.deepEqual(lost, expected === 0 ? [] : [expected]);
      cut.close();
    }
  });

  it("definitions - a missing file is reported where there are messages, and only once", () => {
    for (const changed of [true, false, "cut"] as const) {
      for (const mustExist of [true, false]) {
        using folder = tempDir();
        const problems: string[] = [];
        const options = { directory: folder.path, sync: false, snapshot: () => [], changed, mustExist };
        const log = DefinitionsLog.open({ ...options, onProblem: (text) => problems.push(text) }, () => {});
        // The manifest has reported a file that is cut.
        assert.equal(problems.length, mustExist && changed !== "cut" ? 1 : 0);
        if (problems.length > 0) {
          assert.match(problems[0]!, /definitions" is missing: all definitions are lost$/);
        }
        assert.deepEqual([log.damaged, log.incomplete], [mustExist || changed === "cut", true]);
        log.close();
      }
    }
  });

  it("definitions - a single byte between two records is damage", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const { log } = open(folder.path, []);
    log.append({ i: 0 });
    const { size } = fs.statSync(file);
    log.append({ i: 1 });
    assert.equal(log.damaged, false);
    log.close();
    const bytes = fs.readFileSync(file);
    fs.writeFileSync(file, Buffer.concat([bytes.subarray(0, size), Uint8Array.of(7), bytes.subarray(size)]));
    const problems: string[] = [];
    const damaged = open(folder.path, [], problems);
    assert.deepEqual([damaged.found, damaged.log.damaged], [[{ i: 0 }, { i: 1 }], true]);
    assert.match(problems.join("\n"), /is damaged: 1 bytes of definitions are lost/);
    damaged.log.close();
  });

  it("definitions - replaces a grown file by one with the current state", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const state: { name: string }[] = [];
    const { log } = open(folder.path, state);
    for (let i = 0; i < 3000; i++) {
      state.splice(0, state.length, { name: `queue ${i}`.padEnd(50, "-") });
      log.append(state[0]);
    }
    assert.ok(fs.statSync(file).size < 100_000, `${fs.statSync(file).size} bytes`);
    log.close();
    const again = open(folder.path, state);
    assert.deepEqual(again.found.at(-1), state[0]);
    again.log.close();
    assert.deepEqual(fs.readdirSync(folder.path), ["definitions"]);
  });
});

describe("journal, parts", () => {
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
