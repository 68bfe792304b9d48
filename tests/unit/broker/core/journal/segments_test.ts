/** Segments in memory: what they weigh, when they are full, reused and spilled, and which acknowledgements they hold. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { Compaction, type CompactionHost } from "../../../../../lib/broker/core/journal/compaction.ts";
import {
  joinPieces,
  keepAside,
  kindOf,
  replaceFile,
  setAside,
} from "../../../../../lib/broker/core/journal/files/aside.ts";
import { Buffers } from "../../../../../lib/broker/core/journal/files/buffers.ts";
import { Files, logName } from "../../../../../lib/broker/core/journal/files/files.ts";
import {
  type AckRange,
  addAck,
  clearAcks,
  decodeAcks,
  encodeAcks,
  encodeRanges,
} from "../../../../../lib/broker/core/journal/format/acks.ts";
import { SOURCE, type Targets } from "../../../../../lib/broker/core/journal/format/record.ts";
import { IndexBuilder } from "../../../../../lib/broker/core/journal/format/segment_index.ts";
import { HeldAcks } from "../../../../../lib/broker/core/journal/held_acks.ts";
import { Log } from "../../../../../lib/broker/core/journal/log.ts";
import { MemoryLog } from "../../../../../lib/broker/core/journal/memory_log.ts";
import { FIRST_TRANSIENT, Segment, weigh } from "../../../../../lib/broker/core/journal/segment.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";

const HIGH = 2 ** 32;

describe("segments", () => {
  it("segment - a target weighs its body and 64 bytes", () => {
    assert.deepEqual([weigh(0), weigh(100)], [64, 164]);
    const segment = new Segment(1);
    segment.add(2, 100);
    segment.add(1, 0);
    assert.deepEqual([segment.live, segment.liveWeight, segment.weight], [3, 392, 392]);
    segment.end = 999;
    segment.clear();
    assert.deepEqual([segment.liveWeight, segment.weight, segment.end], [0, 0, new Segment(2).end]);
  });

  it("segment - numbers from 2 to the power of 31 are transient", () => {
    const numbers = [1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1];
    assert.deepEqual(numbers.map((number) => new Segment(number).transient), [false, false, true, true]);
    assert.equal(FIRST_TRANSIENT, 2 ** 31);
  });

  it("segment - begins with nothing", () => {
    const segment = new Segment(7);
    const {
      number,
      bytes,
      written,
      salt,
      sealed,
      finished,
      fd,
      syncing,
      live,
      held,
      unreadable,
      kept,
      acking,
    } = segment;
    assert.deepEqual(
      { number, bytes, written, salt, sealed, finished, fd, syncing, live, held, unreadable, kept, acking },
      {
        number: 7,
        bytes: undefined,
        written: 0,
        salt: 0,
        sealed: false,
        finished: false,
        fd: -1,
        syncing: false,
        live: 0,
        held: 0,
        unreadable: false,
        kept: false,
        acking: false,
      },
    );
    assert.deepEqual([segment.ackFrom > segment.ackTo, segment.acksLength, segment.ackFileLength], [
      true,
      0,
      0,
    ]);
    segment.setBuffer(new Uint8Array(new ArrayBuffer(20), 4, 8));
    segment.view!.setUint8(0, 5);
    assert.deepEqual([segment.bytes![0], segment.view!.byteLength], [5, 8]);
    segment.setBuffer(undefined);
    assert.deepEqual([segment.bytes, segment.view], [undefined, undefined]);
  });

  it("buffers - one of the usual size is kept for reuse", () => {
    const buffers = new Buffers(100);
    const [a, b, large] = [buffers.take(0), buffers.take(100), buffers.take(101)];
    assert.deepEqual([a.length, b.length, large.length], [100, 100, 101]);
    for (const bytes of [large, a, b]) buffers.give(bytes);
    assert.equal(buffers.take(5), a);
    assert.notEqual(buffers.take(5), b);
  });

  it("memory - a head is full when the next record does not fit, and a segment of usual size is emptied", () => {
    const memory = new MemoryLog(100);
    assert.equal(memory.isFull(0), true);
    const first = memory.roll(10);
    assert.deepEqual([first.number, memory.size, first.transient], [FIRST_TRANSIENT, 100, true]);
    const room = 100 - first.end;
    assert.deepEqual([memory.isFull(room), memory.isFull(room + 1)], [false, true]);
    const second = memory.roll(room + 1);
    assert.deepEqual([first.sealed, second.number, memory.size], [true, FIRST_TRANSIENT + 1, 201]);
    assert.equal(memory.clear(second), false);
    memory.release(second);
    assert.deepEqual([memory.size, memory.head, second.bytes], [100, undefined, undefined]);
    memory.release(second);
    assert.equal(memory.size, 100);
    const third = memory.roll(1);
    third.end = 50;
    assert.equal(memory.clear(third), true);
    assert.equal(third.end, first.end);
    assert.equal(memory.size, 200);
  });

  it("memory - the oldest segments are spilled until the rest fits", () => {
    using folder = tempDir();
    const memory = new MemoryLog(100);
    const segments = Array.from({ length: 4 }, () => memory.roll(10));
    const files = new Files(folder.path);
    const inMemory = () => segments.map(({ bytes }) => bytes !== undefined);
    memory.spill(files, 400);
    assert.deepEqual(inMemory(), [true, true, true, true]);
    memory.spill(files, 399);
    assert.deepEqual(inMemory(), [false, true, true, true]);
    memory.spill(files, 200);
    assert.deepEqual(inMemory(), [false, false, true, true]);
    // The head stays.
    memory.spill(files, 0);
    assert.deepEqual([inMemory(), memory.size], [[false, false, false, true], 100]);
    assert.equal(fs.readdirSync(folder.path).length, 3);
    files.close();
  });

  it("memory - a segment whose file cannot be written stays in memory", () => {
    using folder = tempDir();
    const memory = new MemoryLog(100);
    const [first] = [memory.roll(10), memory.roll(10)];
    first.end += 10;
    const files = new Files(folder.path);
    const { writeSync } = fs;
    fs.writeSync = () => {
      throw Object.assign(new Error("full"), { code: "ENOSPC" });
    };
    try {
      assert.throws(() => memory.spill(files, 0), /full/);
    } finally {
      fs.writeSync = writeSync;
    }
    assert.deepEqual([first.bytes?.length, memory.size, fs.readdirSync(folder.path)], [100, 200, []]);
    files.close();
  });

  it("log - a new segment has a number of its own, and no number of something else", () => {
    using folder = tempDir();
    const log = new Log(new Files(folder.path), 4096, 0, 3, new Set([1, 3, 4, 6]));
    assert.equal(log.isFull(0), true);
    log.end();
    const first = log.roll(10);
    const room = 4096 - first.end;
    assert.deepEqual([log.isFull(room), log.isFull(room + 1), log.position], [false, true, first.end]);
    const others = [log.roll(10), log.roll(5000)];
    assert.deepEqual([first, ...others].map(({ number }) => number), [5, 7, 8]);
    assert.deepEqual([first, ...others].map(({ sealed }) => sealed), [true, true, false]);
    assert.equal(new Set([first, ...others].map(({ salt }) => salt)).size, 3);
    assert.equal(others[1]!.bytes!.length, 5000 + first.end);
    const finished: number[] = [];
    assert.deepEqual([log.written, log.directoryChanged], [0, false]);
    log.write(({ number, fd }) => {
      finished.push(number);
      fs.closeSync(fd);
    });
    assert.deepEqual([finished, log.written, log.directoryChanged], [[5, 7], log.position, true]);
    assert.deepEqual([first.finished, others[1]!.finished, first.written], [true, false, first.end]);
    log.end();
    log.write(({ number, fd }) => {
      finished.push(number);
      fs.closeSync(fd);
    });
    assert.deepEqual([finished, log.head], [[5, 7, 8], undefined]);
  });
});

describe("index of a segment", () => {
  it("index - consecutive messages of one lane are one run, whatever comes between them", () => {
    const builder = new IndexBuilder();
    // Lane 255 of queue 1 comes before lane 0 of queue 2.
    const targets = [[1, 255, 0], [2, 0, 0], [1, 255, 1], [2, 0, 1], [3, 0, 7], [2, 0, 3], [1, 254, 2], [
      1,
      255,
      2,
    ]];
    for (const [i, [queueId, lane, seq]] of targets.entries()) {
      builder.add(queueId!, lane!, seq!, 100 + i, i, i % 3);
    }
    builder.addSource(9);
    builder.addSource(9);
    builder.addOrigin(1, 2, 3);
    const { runs, sources, origins } = builder.finish();
    assert.deepEqual(
      runs.map(({ queueId, lane, firstSeq, offsets, sizes, expiries }) =>
        [queueId, lane, firstSeq, offsets.join(), sizes.join(), expiries.join()].join(" ")
      ),
      [
        "1 255 0 100,102,107 0,2,7 0,2,1",
        "2 0 0 101,103 1,3 1,0",
        "3 0 7 104 4 1",
        "2 0 3 105 5 2",
        "1 254 2 106 6 ",
      ],
    );
    assert.deepEqual([sources, origins], [[9], [{ queueId: 1, lane: 2, seq: 3 }]]);
  });
});

describe("acknowledgements of a segment", () => {
  const ranges: AckRange[] = [
    { queueId: 1, lane: 0, from: 0, to: 0 },
    { queueId: HIGH - 1, lane: 255, from: HIGH - 1, to: HIGH + 5 },
    { queueId: 70_000, lane: 3, from: 2 ** 48 - 1, to: 2 ** 48 - 1 },
    { queueId: 2, lane: 1, from: 256 * HIGH + 7, to: 256 * HIGH + 7 + 65_536 },
  ];

  it("acks - any range is read as it was written, also in several records", () => {
    const segment = new Segment(1);
    segment.salt = 12345;
    const first = encodeRanges(ranges, segment);
    assert.deepEqual([segment.acksLength, segment.acks], [0, undefined]);
    const many = Array.from(
      { length: 100 },
      (_, i) => ({ queueId: i, lane: i % 4, from: 3 * i, to: 3 * i + 1 }),
    );
    const second = encodeRanges(many, segment);
    const bytes = new Uint8Array([...first, ...second]);
    const read: AckRange[] = [];
    const scan = decodeAcks(bytes, 12345, (range) => read.push(range));
    assert.deepEqual(read, [...ranges, ...many]);
    assert.deepEqual([scan.records, scan.end, scan.damaged], [2, bytes.length, 0]);
    assert.equal(decodeAcks(bytes, 54321, () => assert.fail("another salt")).records, 0);
  });

  it("acks - consecutive settlements are one range, and the written part is forgotten", () => {
    const segment = new Segment(1);
    addAck(segment, 5, 1, 10);
    segment.ackTo = 12;
    addAck(segment, 5, 1, 20);
    const bytes = encodeAcks(segment).slice(0, segment.acksLength);
    const read: AckRange[] = [];
    decodeAcks(bytes, 0, (range) => read.push(range));
    assert.deepEqual(read, [{ queueId: 5, lane: 1, from: 10, to: 12 }, {
      queueId: 5,
      lane: 1,
      from: 20,
      to: 20,
    }]);
    clearAcks(segment);
    assert.deepEqual([segment.ackFileLength, segment.acksLength, segment.acks], [bytes.length, 0, undefined]);
    addAck(segment, 6, 0, 0);
    const more = encodeAcks(segment).slice(0, segment.acksLength);
    clearAcks(segment);
    assert.equal(segment.ackFileLength, bytes.length + more.length);
    assert.ok(more.length < bytes.length);
  });

  it("held - released in order, as soon as the replacements are safe", () => {
    const held = new HeldAcks();
    const [a, b, c] = [new Segment(1), new Segment(2), new Segment(3)];
    held.add(a, b, 1, 0, 10, 100);
    held.add(a, b, 1, 0, 11, 200);
    assert.deepEqual([a.held, b.held], [1, 1]);
    // Each of these differs in one respect.
    held.add(a, b, 1, 0, 13, 300);
    held.add(a, b, 2, 0, 14, 300);
    held.add(a, b, 2, 1, 15, 300);
    held.add(c, b, 2, 1, 16, 300);
    held.add(c, a, 2, 1, 17, 400);
    assert.deepEqual([a.held, b.held, c.held], [5, 5, 2]);
    const changed: number[] = [];
    const release = (safe: number) => {
      held.release(safe, ({ number }) => changed.push(number));
      return changed.splice(0);
    };
    assert.deepEqual(release(199), []);
    assert.deepEqual(release(200), [1]);
    assert.deepEqual([a.ackQueue, a.ackLane, a.ackFrom, a.ackTo], [1, 0, 10, 11]);
    assert.deepEqual(release(300), [1, 1, 1, 3]);
    assert.deepEqual([a.held, b.held, c.held], [1, 0, 1]);
    // After a release a range does not grow: it would never be safe.
    held.add(c, a, 2, 1, 18, 500);
    assert.deepEqual([a.held, c.held], [2, 2]);
    assert.deepEqual(release(499), [3]);
    assert.deepEqual(release(500), [3]);
    assert.deepEqual(release(9999), []);
    assert.deepEqual([a.held, c.held], [0, 0]);
  });

  it("held - with a full disk those are released whose replacement is settled", () => {
    const held = new HeldAcks();
    const [a, b, c] = [new Segment(1), new Segment(2), new Segment(3)];
    b.live = 1;
    held.add(a, b, 1, 0, 10, 100);
    held.add(a, c, 1, 0, 11, 100);
    const changed: Segment[] = [];
    held.releaseSettled((segment) => changed.push(segment));
    assert.deepEqual([changed, a.held, b.held, c.held], [[a], 1, 1, 0]);
    assert.deepEqual([a.ackFrom, a.ackTo], [11, 11]);
    held.add(a, c, 1, 0, 12, 100);
    assert.equal(a.held, 2);
    held.release(100, (segment) => changed.push(segment));
    assert.deepEqual([changed.length, a.held], [3, 0]);
  });
});

describe("compaction", () => {
  /** Compacts a segment of records of 10 bytes; each is a message for these queues, or a source. @returns the steps */
  async function compact(
    records: readonly (readonly number[] | "source" | "damaged")[],
    step: number,
  ): Promise<string[]> {
    const source = new Segment(5);
    const start = source.end;
    source.end = start + 10 * records.length;
    source.live = records.length;
    const steps: string[] = [];
    const host: CompactionHost = {
      // Queue 9 is gone, and queue 8 has its message elsewhere.
      lane: (queueId) => queueId === 9 ? undefined : { isAt: () => queueId !== 8 } as never,
      load(_, offset, record) {
        const one = records[(offset - start) / 10]!;
        Object.assign(record, {
          type: one === "source" ? SOURCE : 0,
          start: offset,
          end: offset + 10,
          targets: one.length,
          queueId: (i: number) => one[i],
          lane: () => 0,
          seq: () => offset,
          expiry: () => 0,
        });
        return one !== "damaged";
      },
      copy: (_source, _record, { count, queueIds }: Targets) =>
        void steps.push(`copy ${Array.from({ length: count }, (_, i) => queueIds[i]).join()}`),
      copied: ({ unreadable }, whole) =>
        void steps.push(`${whole ? "whole" : "part"}${unreadable ? " unreadable" : ""}`),
    };
    // `load` sets a plain record.
    const compaction = new Compaction(host, step);
    assert.equal(compaction.active, false);
    compaction.begin(source);
    assert.equal(compaction.active, true);
    await waitFor(() => !compaction.active);
    return steps;
  }

  it("compaction - copies what is live, in steps", async () => {
    assert.deepEqual(await compact([[1], [1, 2], [9], [8], [8, 3]], 1000), [
      "copy 1",
      "copy 1,2",
      "copy 3",
      "whole",
    ]);
    assert.deepEqual(await compact([[1], [2], [3]], 20), ["copy 1", "copy 2", "part", "copy 3", "whole"]);
    assert.deepEqual(await compact([[1], [2]], 20), ["copy 1", "copy 2", "whole"]);
    assert.deepEqual(await compact([[1], [2]], 5), ["copy 1", "part", "copy 2", "whole"]);
  });

  it("compaction - skips sources, and stops at what cannot be read", async () => {
    assert.deepEqual(await compact(["source", [1], "damaged", [2]], 1000), ["copy 1", "part unreadable"]);
  });
});

describe("files set aside", () => {
  it("aside - each kind of entry, and the next free name", () => {
    using folder = tempDir();
    const file = folder.file("f");
    assert.equal(kindOf(file), "missing");
    fs.writeFileSync(file, "1");
    fs.symlinkSync(file, folder.file("link"));
    fs.symlinkSync(folder.path, folder.file("loop"));
    fs.symlinkSync(folder.file("nowhere"), folder.file("dangling"));
    assert.deepEqual([file, folder.file("link"), folder.path, folder.file("loop")].map(kindOf), [
      "file",
      "file",
      "other",
      "other",
    ]);
    assert.equal(kindOf(folder.file("dangling")), "missing");
    assert.throws(() => kindOf(`${file}/x`), { code: "ENOTDIR" });
    assert.equal(keepAside(file), "f.damaged-1");
    assert.equal(setAside(file), "f.damaged-2");
    assert.deepEqual([kindOf(file), fs.readFileSync(folder.file("f.damaged-1"), "utf8")], ["missing", "1"]);
    replaceFile(file, Uint8Array.of(50), true);
    const { linkSync } = fs;
    fs.linkSync = () => {
      throw Object.assign(new Error("no links"), { code: "EPERM" });
    };
    try {
      assert.equal(keepAside(file), "f.damaged-3");
    } finally {
      fs.linkSync = linkSync;
    }
    assert.equal(fs.readFileSync(folder.file("f.damaged-3"), "utf8"), "2");
    assert.deepEqual(fs.readdirSync(folder.path).filter((name) => name.endsWith(".new")), []);
  });

  it("aside - pieces are joined after a header", () => {
    const bytes = Uint8Array.from({ length: 10 }, (_, i) => i);
    assert.deepEqual([...joinPieces(Uint8Array.of(99), bytes, [1, 3, 3, 3, 8, 10])], [99, 1, 2, 8, 9]);
    assert.deepEqual([...joinPieces(Uint8Array.of(99), bytes, [])], [99]);
  });

  it("names - of segments have at least eight digits, and those of transient ones count from 0", () => {
    const names = [1, 99_999_999, 100_000_000, FIRST_TRANSIENT, FIRST_TRANSIENT + 7].map(logName);
    assert.deepEqual(names, [
      "00000001.log",
      "99999999.log",
      "100000000.log",
      "transient-00000000",
      "transient-00000007",
    ]);
  });
});
