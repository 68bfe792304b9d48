/** The data directory as a whole: what a start finds and reports, what is synced, and a directory that is deleted. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { DeliveredMarks } from "../../../../../lib/broker/core/journal/format/delivered.ts";
import { Files } from "../../../../../lib/broker/core/journal/files/files.ts";
import { recover } from "../../../../../lib/broker/core/journal/recovery.ts";
import { Lane } from "../../../../../lib/broker/core/queue/lane.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const [FIRST, SECOND] = QUEUES as [number, number, number, number];
const OPTIONS = { sync: "flush", segmentSize: 4096, cacheSize: 0 } as const;

/** Makes a directory of three segments, after a clean stop. Some messages of the first two are settled. */
function stopped(directory: string): JournalModel {
  const model = new JournalModel({ ...OPTIONS, directory });
  for (let i = 0; i < 40; i++) model.publish(`${i} `.padEnd(200, "x"), i % 2 === 0 ? [FIRST] : [SECOND]);
  model.flush();
  for (const seq of model.take(FIRST, 20)) if (seq % 3 === 0) model.settle(FIRST, seq);
  model.flush();
  model.take(SECOND, 1);
  model.flush();
  model.journal.close();
  return model;
}

/** Opens a directory and returns the bodies by queue, with a star for redelivered ones, and the reports. */
function found(directory: string): { model: JournalModel; bodies: string[]; problems: string[] } {
  const model = new JournalModel({ ...OPTIONS, directory });
  const bodies: string[] = [];
  for (const [id, lane] of model.lanes) {
    for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) {
      const body = model.bodyAt(id, seq);
      if (body !== undefined) bodies.push(body.split(" ")[0]! + (lane.isRedelivered(seq) ? "*" : ""));
    }
  }
  return { model, bodies, problems: model.problems };
}

describe("data directory", () => {
  const differences: [name: string, harm: (directory: string) => void, reports: RegExp[]][] = [
    ["a missing segment", (dir) => fs.rmSync(`${dir}/00000002.log`), [
      /^The file 00000002\.log is missing: \d+ messages of queue 'queue 1', \d+ messages of queue 'queue 2' are lost$/,
    ]],
    ["the newest segment cut", (dir) => fs.truncateSync(`${dir}/00000003.log`, 1000), [
      /^The segment 00000003\.log is damaged: \d+ bytes of messages are lost, message \d+ of queue 'queue \d'.*kept as 00000003\.log\.damaged-1$/,
      /^The file 00000003\.log is \d+ bytes shorter than at the last clean stop: \d+ messages? of queue 'queue 1', \d+ messages? of queue 'queue 2' are lost$/,
    ]],
    ["missing acknowledgements", (dir) => fs.rmSync(`${dir}/00000001.ack`), [
      /^The file 00000001\.ack is missing: acknowledged messages may be delivered again, marked as redelivered$/,
      /^\d+ messages of queue 'queue 1' were acknowledged before the last clean stop, and are delivered again$/,
    ]],
    ["cut acknowledgements", (dir) => fs.truncateSync(`${dir}/00000001.ack`, 0), [
      /^The file 00000001\.ack is \d+ bytes shorter .* may be delivered again, marked as redelivered$/,
      /^\d+ messages of queue 'queue 1' were acknowledged .* are delivered again$/,
    ]],
    [
      "a damaged head of a segment",
      (dir) =>
        fs.writeFileSync(
          `${dir}/00000001.log`,
          fs.readFileSync(`${dir}/00000001.log`).map((byte, i) => i === 0 ? byte ^ 1 : byte),
        ),
      [
        /^The segment 00000001\.log was damaged: all messages in it were recovered; .* kept as 00000001\.log\.damaged-1$/,
      ],
    ],
    ["a missing index", (dir) => fs.rmSync(`${dir}/00000001.idx`), [
      /^The file 00000001\.idx is missing: the segment was read instead, and nothing is lost$/,
    ]],
    ["missing marks", (dir) => fs.rmSync(`${dir}/delivered`), [
      /^The file delivered is missing: all messages are marked as redelivered$/,
    ]],
    ["cut marks", (dir) => fs.truncateSync(`${dir}/delivered`, fs.statSync(`${dir}/delivered`).size - 3), [
      /^The file delivered is damaged: all messages are marked as redelivered; .* kept as delivered\.damaged-1$/,
      /^The file delivered is 3 bytes shorter than at the last clean stop: all messages are marked as redelivered$/,
    ]],
    ["a manifest that cannot be read", (dir) => fs.writeFileSync(`${dir}/manifest`, "nonsense"), [
      /^The file manifest is damaged, so nothing is compared .* kept as manifest\.damaged-1$/,
    ]],
    ["a copy of a segment", (dir) => fs.copyFileSync(`${dir}/00000001.log`, `${dir}/00000009.log`), [
      /^The segment 00000009\.log is a copy of 00000001\.log; the file as it was is kept as 00000009\.log\.damaged-1$/,
    ]],
    ["a directory named like a segment", (dir) => fs.mkdirSync(`${dir}/00000004.log`), [
      /^"00000004\.log" in the data directory is ignored: it is not a file$/,
    ]],
    ["an absurd number", (dir) => fs.writeFileSync(`${dir}/9999999999.log`, "x"), [
      /^"9999999999\.log" in the data directory is ignored: it is not the name of a segment$/,
    ]],
    ["a number that would be transient", (dir) => fs.writeFileSync(`${dir}/2147483647.log`, "x"), [
      /^"2147483647\.log" in the data directory is ignored: it is not the name of a segment$/,
    ]],
  ];
  for (const [name, harm, reports] of differences) {
    it(`data directory - reports ${name} with its effect, and nothing at the next start`, () => {
      using dir = tempDir();
      const directory = dir.file("data");
      stopped(directory);
      const before = found(directory);
      assert.deepEqual(before.problems, []);
      before.model.journal.close();
      harm(directory);
      const { model, problems, bodies } = found(directory);
      assert.equal(problems.length, reports.length, problems.join("\n"));
      reports.forEach((report, i) => assert.match(problems[i]!, report));
      // Messages that come again are marked.
      const more = bodies.filter((body) => !before.bodies.includes(body));
      assert.deepEqual(more.filter((body) => !body.endsWith("*")), []);
      model.publish("after", [FIRST]);
      model.journal.close();
      const again = found(directory);
      const ignored = again.problems.filter((text) => !/is ignored/.test(text));
      assert.deepEqual(ignored, []);
      assert.ok(again.bodies.includes("after"));
      again.model.journal.close();
    });
  }

  it("data directory - a start counts the live messages with the sizes of their bodies", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    stopped(directory);
    const lanes = new Map<number, Lane>();
    const { segments } = recover({
      path: directory,
      files: new Files(directory),
      marks: new DeliveredMarks(`${directory}/delivered`),
      lookup: {
        lane(id) {
          const lane = lanes.get(id) ?? new Lane();
          lanes.set(id, lane);
          return lane;
        },
      },
      manifest: undefined,
      resumable: 0,
      problem: assert.fail,
    });
    const live = new Map<number, number>();
    const weight = new Map<number, number>();
    for (const lane of lanes.values()) {
      lane.tally((segment, count, bytes) => {
        live.set(segment, (live.get(segment) ?? 0) + count);
        // Each message counts with 64 bytes more than its body.
        weight.set(segment, (weight.get(segment) ?? 0) + bytes + 64 * count);
      });
    }
    assert.deepEqual([...segments.keys()], [1, 2, 3]);
    for (const [number, segment] of segments) {
      assert.deepEqual([segment.live, segment.liveWeight], [live.get(number), weight.get(number)]);
    }
    const all = [...segments.values()].reduce((sum, { weight }) => sum + weight, 0);
    assert.equal(all, 40 * (200 + 64));
  });

  it("data directory - a pipe in the place of any file does not stop the start", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    stopped(directory);
    const names = [
      "00000001.log",
      "00000002.ack",
      "00000001.idx",
      "00000077.log",
      "00000077.ack",
      "delivered",
    ];
    names.push("delivered.new", "definitions.new", "transient-00000000", "manifest", "manifest.new");
    for (const name of names) {
      fs.rmSync(`${directory}/${name}`, { force: true });
      if (spawnSync("mkfifo", [`${directory}/${name}`]).status !== 0) return;
    }
    const { model, problems } = found(directory);
    assert.ok(problems.length >= 4, problems.join("\n"));
    for (let i = 0; i < 30; i++) model.publish("x".repeat(3000), [FIRST], i % 2 === 0);
    model.journal.delivered(FIRST, 3, 2);
    model.flush();
    model.journal.close();
    const again = found(directory);
    assert.ok(again.problems.every((text) => /is ignored/.test(text)), again.problems.join("\n"));
    again.model.journal.close();
  });

  it("data directory - there is no manifest while it is used, so nothing is compared after a crash", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    stopped(directory);
    assert.ok(fs.existsSync(`${directory}/manifest`));
    const { model } = found(directory);
    assert.ok(!fs.existsSync(`${directory}/manifest`));
    model.publish("more", [FIRST]);
    model.flush();
    copyFiles(directory, dir.file("copy"));
    model.journal.close();
    fs.truncateSync(
      `${dir.file("copy")}/00000003.log`,
      fs.statSync(`${dir.file("copy")}/00000003.log`).size - 5,
    );
    const crashed = found(dir.file("copy"));
    assert.deepEqual(crashed.problems, []);
    crashed.model.journal.close();
  });

  it("data directory - a damaged body in the newest segment is not delivered after a clean stop, and is reported", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const model = new JournalModel({ sync: "flush", directory });
    for (const body of ["first", "second", "third"]) model.publish(body, [FIRST]);
    model.journal.close();
    const log = `${directory}/00000001.log`;
    const bytes = fs.readFileSync(log);
    bytes[bytes.indexOf("second")]! ^= 1;
    fs.writeFileSync(log, bytes);
    const after = new JournalModel({ sync: "flush", directory });
    const lane = after.lanes.get(FIRST)!;
    assert.deepEqual([0, 2].map((seq) => after.bodyAt(FIRST, seq)), ["first", "third"]);
    assert.equal(lane.ready, 2);
    assert.match(
      after.problems.join("\n"),
      /^The segment 00000001\.log is damaged: \d+ bytes of messages are lost, message 1 of queue 'queue 1'; .*damaged-1$/m,
    );
    assert.deepEqual(fs.readFileSync(`${log}.damaged-1`), bytes);
    after.journal.close();
  });

  it("data directory - compaction does not copy a damaged body", async () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const options = { ...OPTIONS, directory, garbageSize: 0 };
    const model = new JournalModel({ ...options, garbageSize: 2 ** 30 });
    for (let i = 0; i < 60; i++) model.publish(`${i} `.padEnd(200, "x"), [FIRST]);
    for (let seq = 0; seq < 60; seq++) if (seq % 10 !== 3) model.settle(FIRST, seq);
    model.journal.close();
    const log = `${directory}/00000001.log`;
    const bytes = fs.readFileSync(log);
    bytes[bytes.indexOf("3 xxx")]! ^= 1;
    fs.writeFileSync(log, bytes);
    const after = new JournalModel(options);
    const lane = after.lanes.get(FIRST)!;
    await waitFor(() => {
      after.flush();
      return after.problems.some((text) => /is damaged and cannot be delivered/.test(text)) &&
        lane.segmentAt(23) > 4;
    });
    assert.equal(after.bodyAt(FIRST, 3), undefined);
    assert.equal(after.bodyAt(FIRST, 23), "23 ".padEnd(200, "x"));
    after.settle(FIRST, 3);
    after.journal.close();
    assert.deepEqual(fs.readFileSync(`${log}.damaged-1`), bytes);
  });

  for (const sync of ["confirm", "flush", "interval"] as const) {
    it(`data directory - confirms nothing after the directory was deleted, sync ${sync}`, async () => {
      using dir = tempDir();
      const directory = dir.file("data");
      const changes: string[] = [];
      const model: JournalModel = new JournalModel({
        directory,
        sync,
        syncInterval: 1,
        onFullChange: () => changes.push(String(model.journal.full?.message)),
      });
      const { journal } = model;
      model.publish("before", [FIRST]);
      model.flush();
      await waitFor(() => journal.syncedPosition === journal.position);
      const safe = journal.syncedPosition;
      fs.rmSync(directory, { recursive: true });
      for (let i = 0; i < 3; i++) {
        model.publish("after", [FIRST]);
        model.flush();
        await waitFor(() => changes.length > 0);
        assert.equal(journal.syncedPosition, safe);
      }
      assert.match(
        changes.join("\n"),
        /^Cannot write to the data directory ".*": "00000001\.log" was deleted while the broker was running.*; restart the broker/,
      );
      assert.throws(() => journal.syncNow(), /deleted/);
      assert.equal(journal.syncedPosition, safe);
      assert.throws(() => journal.close());
    });
  }

  it("data directory - the entries of new directories are synced, and those that an earlier process did not sync", () => {
    using dir = tempDir();
    const root = fs.realpathSync(dir.path);
    const directory = path.join(root, "a", "b", "data");
    const synced: string[] = [];
    const { openSync, fsyncSync } = fs;
    const paths = new Map<number, string>();
    Object.assign(fs, {
      openSync: (file: string, flags: string, mode?: number) => {
        const fd = openSync(file, flags, mode);
        paths.set(fd, file);
        return fd;
      },
      fsyncSync: (fd: number) => {
        synced.push(path.relative(root, paths.get(fd)!));
        fsyncSync(fd);
      },
    });
    try {
      const model = new JournalModel({ directory, sync: "flush" });
      assert.deepEqual(synced, ["a/b", "a", ""]);
      model.publish("a", [FIRST]);
      model.flush();
      copyFiles(directory, path.join(root, "copy"));
      model.journal.close();
      synced.length = 0;
      const other = new JournalModel({ directory: path.join(root, "copy"), sync: "confirm" });
      other.publish("b", [FIRST]);
      other.journal.syncNow();
      assert.ok(synced.includes("copy"), synced.join());
      other.journal.close();
    } finally {
      Object.assign(fs, { openSync, fsyncSync });
    }
  });

  it("data directory - a process that leaves it deletes no file of the next one", async () => {
    using dir = tempDir();
    const options = { directory: dir.file("data"), sync: "flush", segmentSize: 1024 } as const;
    const { unlink } = fs;
    let late = 0;
    const held: (() => void)[] = [];
    // The thread that deletes files is late.
    Object.assign(fs, {
      unlink: (file: string, done: (error: Error | null) => void) =>
        held.push(() => unlink(file, (error) => (late++, done(error)))),
    });
    try {
      const model = new JournalModel(options);
      for (let i = 0; i < 30; i++) model.publish(`${i} `.padEnd(200, "x"), [FIRST]);
      model.flush();
      for (let seq = 0; seq < 30; seq++) model.settle(FIRST, seq);
      model.flush();
      model.journal.close();
      const next = new JournalModel(options);
      for (let i = 0; i < 30; i++) next.publish(`${i} `.padEnd(200, "x"), [FIRST]);
      next.flush();
      const names = fs.readdirSync(options.directory).sort();
      for (const run of held) run();
      await waitFor(() => late >= 7);
      assert.deepEqual(fs.readdirSync(options.directory).sort(), names);
      next.restart();
      next.journal.close();
    } finally {
      Object.assign(fs, { unlink });
    }
  });

  it("data directory - a log that cannot be deleted stays with its acknowledgements, and the next start deletes both", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const model = new JournalModel({ ...OPTIONS, directory });
    for (let i = 0; i < 40; i++) model.publish(`${i} `.padEnd(200, "x"), [FIRST]);
    model.flush();
    const { renameSync, rmSync } = fs;
    const refuse = (file: string) => {
      if (/\d\.log$/.test(file)) throw Object.assign(new Error("EACCES"), { code: "EACCES" });
    };
    Object.assign(fs, {
      renameSync: (from: string, to: string) => (refuse(from), renameSync(from, to)),
      rmSync: (file: string, options: fs.RmOptions) => (refuse(file), rmSync(file, options)),
    });
    try {
      for (const seq of model.take(FIRST, 30)) model.settle(FIRST, seq);
      model.flush();
      model.journal.close();
    } finally {
      Object.assign(fs, { renameSync, rmSync });
    }
    assert.ok(fs.existsSync(`${directory}/00000001.log`));
    assert.ok(fs.existsSync(`${directory}/00000001.ack`));
    const next = found(directory);
    assert.deepEqual(next.problems, []);
    assert.deepEqual(next.bodies, Array.from({ length: 10 }, (_, i) => `${30 + i}`));
    next.model.flush();
    next.model.journal.close();
    assert.ok(!fs.existsSync(`${directory}/00000001.log`));
    assert.ok(!fs.existsSync(`${directory}/00000001.ack`));
  });

  it("data directory - removes files without a segment, and what another process was deleting", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    stopped(directory);
    fs.rmSync(`${directory}/manifest`);
    const orphans = ["00000009.ack", "00000009.idx", "transient-00000003", "00000009.log.deleted-123-0"];
    for (const name of orphans) fs.writeFileSync(`${directory}/${name}`, "x");
    const { model, problems } = found(directory);
    assert.deepEqual(problems, []);
    for (const name of orphans) assert.ok(!fs.existsSync(`${directory}/${name}`), name);
    model.journal.close();
  });

  it("data directory - no sequence number is used again that an acknowledgement mentions", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const model = new JournalModel({ directory, sync: "flush" });
    for (let i = 0; i < 5; i++) model.publish(`body ${i}`, [FIRST]);
    model.flush();
    // It was purged: nothing marks it as delivered.
    model.settle(FIRST, 4);
    model.flush();
    const copy = dir.file("copy");
    copyFiles(directory, copy);
    model.journal.close();
    const log = `${copy}/00000001.log`;
    const bytes = fs.readFileSync(log);
    bytes[bytes.indexOf("body 4")]! ^= 1;
    fs.writeFileSync(log, bytes);
    const after = new JournalModel({ directory: copy, sync: "flush" });
    assert.equal(after.lanes.get(FIRST)!.ready, 4);
    assert.equal(after.lanes.get(FIRST)!.nextSeq, 5);
    after.journal.close();
  });

  it("data directory - settled messages of an earlier process are removed by compaction", async () => {
    using dir = tempDir();
    const options = { ...OPTIONS, directory: dir.file("data") };
    const model = new JournalModel({ ...options, garbageSize: 2 ** 30 });
    for (let i = 0; i < 400; i++) model.publish(`${i} `.padEnd(200, "x"), [FIRST]);
    for (const seq of model.take(FIRST, 400)) if (seq % 40 !== 7) model.settle(FIRST, seq);
    model.flush();
    model.restart();
    model.journal.close();
    const size = () =>
      fs.readdirSync(options.directory).filter((name) => name.endsWith(".log"))
        .reduce((sum, name) => sum + fs.statSync(`${options.directory}/${name}`).size, 0);
    assert.ok(size() > 30_000, `${size()}`);
    const after = new JournalModel({ ...options, garbageSize: 8000 });
    await waitFor(() => {
      after.flush();
      return size() < 20_000;
    });
    after.state = structuredClone(model.state);
    after.check();
    after.journal.close();
  });
});
