/** A journal on a full disk: a small tmpfs, which only root can mount. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { describe, it } from "node:test";
import { replaceFile } from "../../../../../lib/broker/core/journal/files/aside.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const ID = QUEUES[0]!;
const SIZE = 256 * 1024;
const FILLER = Array.from({ length: 200 }, (_, i) => String.fromCharCode(33 + i % 90)).join("");

/** Mounts a tmpfs of the given size; returns undefined if this user cannot mount. */
function mount(directory: string): Disposable | undefined {
  fs.mkdirSync(directory);
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", directory]);
  if (status !== 0) return undefined;
  return { [Symbol.dispose]: () => void spawnSync("umount", ["-l", directory]) };
}

const allowed = (() => {
  using folder = tempDir();
  using disk = mount(folder.file("disk"));
  return disk !== undefined;
})();
if (!allowed) console.log("disk full skipped: mounting a tmpfs takes root");

/** A journal on the full disk, with its reported states. */
class FullDisk extends JournalModel {
  static readonly changes: (string | undefined)[] = [];
  /** The position of the log after each message. */
  readonly positions = new Map<number, number>();

  constructor(directory: string, sync: "confirm" | "flush") {
    FullDisk.changes.length = 0;
    super({
      directory,
      sync,
      segmentSize: 16 * 1024,
      onFullChange: () => FullDisk.changes.push(this.journal.full?.message),
    });
  }

  fill(): void {
    for (let i = 0; this.journal.full === undefined; i++) {
      assert.ok(i < 5000, "the disk does not become full");
      this.send(i);
    }
  }

  send(i: number): void {
    const seq = this.lanes.get(ID)!.nextSeq;
    this.publish(`${i} ${FILLER}`, [ID]);
    this.positions.set(seq, this.journal.position);
    if (i % 5 === 4) this.flush();
  }

  /** Checks that all messages reported as safe are in a copy of the files. */
  checkConfirmed(copy: string): void {
    copyFiles(this.directory!, copy);
    const other = new JournalModel({ directory: copy, sync: "flush" });
    const lane = other.lanes.get(ID)!;
    const synced = this.journal.syncedPosition;
    let confirmed = 0;
    for (const [seq, { body }] of this.state.get(ID)!) {
      if (this.positions.get(seq)! > synced) continue;
      confirmed++;
      assert.equal(other.bodyAt(ID, seq), body);
      assert.equal(lane.sizeAt(seq), body.length);
    }
    assert.ok(confirmed > 0);
    assert.deepEqual(other.problems, []);
    other.journal.close();
  }
}

describe("journal, disk full", { skip: !allowed }, () => {
  for (const sync of ["confirm", "flush"] as const) {
    it(`disk full - keeps confirmed messages, and continues after messages are settled, sync ${sync}`, async () => {
      using folder = tempDir();
      using _disk = mount(folder.file("disk"))!;
      const model = new FullDisk(folder.file("disk"), sync);
      const { journal } = model;
      model.fill();
      await waitFor(() => journal.syncedPosition > 0);
      assert.match(
        journal.full!.message,
        /^Cannot write to the data directory ".*": the disk is full \(ENOSPC\); the broker continues/,
      );
      assert.ok(journal.syncedPosition < journal.position);
      // Some more arrive before all publishers are blocked.
      for (let i = 0; i < 20; i++) model.send(i);
      model.checkConfirmed(folder.file("copy"));
      model.check();

      for (const seq of model.take(ID, 400)) model.settle(ID, seq);
      model.flush();
      await waitFor(() => journal.full === undefined);
      await waitFor(() => journal.syncedPosition === journal.position);
      assert.equal(FullDisk.changes.length, 2);
      assert.equal(FullDisk.changes[1], undefined);
      model.checkConfirmed(folder.file("copy"));
      model.restart();
      model.journal.close();
    });
  }

  it("disk full - continues by itself when another process frees space", async () => {
    using folder = tempDir();
    using _disk = mount(folder.file("disk"))!;
    const model = new FullDisk(folder.file("disk"), "confirm");
    const filler = `${folder.file("disk")}/filler`;
    model.send(4);
    try {
      for (;;) fs.appendFileSync(filler, FILLER.repeat(20));
    } catch { /* It is full. */ }
    model.fill();
    const taken = model.take(ID, 1);
    for (const seq of taken) model.settle(ID, seq);
    model.flush();
    fs.rmSync(filler);
    await waitFor(() => model.journal.full === undefined);
    await waitFor(() => model.journal.syncedPosition === model.journal.position);
    model.checkConfirmed(folder.file("copy"));
    model.restart();
    model.journal.close();
  });

  it("disk full - what is acknowledged meanwhile is marked as redelivered after a crash", async () => {
    using folder = tempDir();
    using _disk = mount(folder.file("disk"))!;
    const model = new FullDisk(folder.file("disk"), "confirm");
    model.fill();
    await waitFor(() => model.journal.syncedPosition > 0);
    // Nothing can be written any more, neither acknowledgements nor marks.
    try {
      for (let i = 0;; i++) fs.writeFileSync(`${folder.file("disk")}/filler${i}`, FILLER);
    } catch { /* It is full. */ }
    const settled = model.take(ID, 30);
    model.flush();
    for (const seq of settled.slice(0, 20)) model.settle(ID, seq);
    model.flush();
    copyFiles(folder.file("disk"), folder.file("copy"));
    for (const name of fs.readdirSync(folder.file("copy"))) {
      if (name.startsWith("filler")) fs.rmSync(`${folder.file("copy")}/${name}`);
    }
    const other = new JournalModel({ directory: folder.file("copy"), sync: "flush" });
    const lane = other.lanes.get(ID)!;
    const back = settled.filter((seq) => lane.stateAt(seq) !== 0);
    assert.ok(back.length > 20, `${back.length} came back`);
    assert.deepEqual(back.filter((seq) => !lane.isRedelivered(seq)), []);
    assert.deepEqual(other.problems, []);
    other.journal.close();

    // With space again, the marks are exact again.
    for (const name of fs.readdirSync(folder.file("disk"))) {
      if (name.startsWith("filler")) fs.rmSync(`${folder.file("disk")}/${name}`);
    }
    for (const seq of model.take(ID, 400)) model.settle(ID, seq);
    model.flush();
    await waitFor(() => model.journal.full === undefined);
    model.restart();
    model.journal.close();
  });

  it("disk full - a file that is replaced stays as it was, and the error names the reason", () => {
    using folder = tempDir();
    using _disk = mount(folder.file("disk"))!;
    const file = folder.file("disk/file");
    replaceFile(file, new Uint8Array(100), false);
    assert.throws(() => replaceFile(file, new Uint8Array(2 * SIZE), false), { code: "ENOSPC" });
    assert.equal(fs.statSync(file).size, 100);
  });

  it("disk full - close fails with an error, and confirmed messages are kept", () => {
    using folder = tempDir();
    using _disk = mount(folder.file("disk"))!;
    const model = new FullDisk(folder.file("disk"), "flush");
    model.fill();
    const { syncedPosition } = model.journal;
    assert.throws(() => model.journal.close(), /the disk is full/);
    const confirmed = [...model.positions].filter(([, position]) => position <= syncedPosition).length;
    // The journal can be opened on a full disk.
    model.open(folder.file("disk"));
    const lane = model.lanes.get(ID)!;
    assert.equal(lane.nextSeq, confirmed);
    model.journal.close();
  });
});
