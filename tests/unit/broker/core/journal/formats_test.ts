/** The formats of the files, byte for byte, and the data directories of earlier versions. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { BrokerCore } from "../../../../../lib/broker/core/broker_core.ts";
import { DefinitionsLog } from "../../../../../lib/broker/core/journal/definitions_log.ts";
import {
  addAck,
  clearAcks,
  decodeAcks,
  encodeAcks,
  encodeRanges,
} from "../../../../../lib/broker/core/journal/format/acks.ts";
import { crc32c, seedOf } from "../../../../../lib/broker/core/journal/format/crc32c.ts";
import { DeliveredMarks } from "../../../../../lib/broker/core/journal/format/delivered.ts";
import {
  RecordView,
  sizeofMessage,
  Targets,
  writeMessage,
  writeSegmentHead,
  writeSource,
  writeSum,
} from "../../../../../lib/broker/core/journal/format/record.ts";
import { findSalt, scanLog } from "../../../../../lib/broker/core/journal/format/scan.ts";
import {
  findListSalt,
  type ListScan,
  readRecords,
  sealRecord,
} from "../../../../../lib/broker/core/journal/format/record_list.ts";
import { decodeIndex, encodeIndex } from "../../../../../lib/broker/core/journal/format/segment_index.ts";
import { Segment } from "../../../../../lib/broker/core/journal/segment.ts";
import { CORE_OPTIONS } from "../../../../support/core_options.ts";
import { tempDir } from "../../../../support/helpers.ts";
import { message } from "../../../../support/journal_model.ts";

const SALT = 0x01020304;
const HEAD = "4d514341544c4f470200000004030201" +
  "180000007f6350b7030000004d514341544c4f47020000000403020107000000";

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Writes a segment with one record of each kind. */
function segment(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(512);
  const view = viewOf(bytes);
  let at = writeSegmentHead(bytes, view, SALT, 7);
  const add = (end: number) => {
    writeSum(view, at, end, SALT);
    at = end;
  };
  add(writeSource(3, view, at));
  const targets = new Targets();
  targets.add(1, 0, 0x0102030405, 0);
  const size = sizeofMessage(message("plain"), targets);
  const start = at;
  add(writeMessage(message("plain"), targets, bytes, view, at));
  assert.equal(at - start, size);
  targets.clear();
  targets.add(2, 3, 5, 0);
  targets.add(0xfffffffe, 255, 6, 1.5);
  targets.setOrigin(9, 1, 0x0a0000000b);
  const expiring = sizeofMessage(message("expiring"), targets);
  const second = at;
  add(writeMessage(message("expiring"), targets, bytes, view, at));
  assert.equal(at - second, expiring);
  return bytes.slice(0, at);
}

describe("journal, formats", () => {
  it("format - a segment: header, head record, source, messages with expiry and origin", () => {
    const bytes = segment();
    assert.equal(
      hex(bytes),
      HEAD + "08000000a7f9f7060200000003000000" +
        "2b0000008ca5a3bf0100040001000000070000000500000001000000050403020100000002713110000474657874706c61696e" +
        "5400000014c916340103040002000000070000000800000002000000050000000000030000000000000000feffffff060000000000ff000000000000f83f" + // The fields, and the targets with their expiries.
        "090000000b0000000a0001" + // The origin.
        "00027131100004746578746578706972696e67",
    );
    const { index, records, end, damaged } = scanLog(bytes, viewOf(bytes), bytes.length, SALT);
    assert.deepEqual([records, end, damaged], [3, bytes.length, 0]);
    assert.deepEqual(index.sources, [3]);
    assert.deepEqual(index.origins, [{ queueId: 9, lane: 1, seq: 0x0a0000000b }]);
    assert.deepEqual(
      index.runs.map(({ queueId, lane, firstSeq, expiries }) => [queueId, lane, firstSeq, [...expiries]]),
      [
        [1, 0, 0x0102030405, []],
        [2, 3, 5, []],
        [0xfffffffe, 255, 6, [1.5]],
      ],
    );
    const record = new RecordView();
    assert.ok(record.set(bytes, viewOf(bytes), 64, bytes.length));
    assert.equal(new TextDecoder().decode(record.body.subarray(record.bodyStart, record.bodyEnd)), "plain");
  });

  it("format - bytes that continue after the valid ones are no record", () => {
    const whole = segment();
    const record = new RecordView();
    for (let at = 16; at < whole.length; at = record.end) {
      assert.ok(record.set(whole, viewOf(whole), at, whole.length));
      assert.equal(record.set(whole, viewOf(whole), at, record.end - 1), false);
      assert.equal(record.set(whole, viewOf(whole), at, record.end), true);
    }
  });

  it("format - a scan corrects a wrong length, also of the last record", () => {
    const whole = segment();
    const plain = scanLog(whole, viewOf(whole), whole.length, SALT);
    const record = new RecordView();
    const starts: number[] = [];
    for (let at = 16; at < whole.length; at = record.end) {
      assert.ok(record.set(whole, viewOf(whole), at, whole.length));
      starts.push(at);
    }
    assert.equal(starts.length, 4);
    for (const at of starts) {
      for (const length of [0, 1, 0xff]) {
        const bytes = whole.with(at, length);
        const scan = scanLog(bytes, viewOf(bytes), bytes.length, SALT);
        assert.deepEqual([scan.corrected, scan.damaged, scan.end, scan.records], [
          true,
          0,
          plain.end,
          plain.records,
        ]);
        assert.deepEqual(scan.index, plain.index);
        assert.deepEqual(bytes, whole);
      }
    }
  });

  it("format - a scan counts the bytes of damaged records, and goes on after them", () => {
    const whole = segment();
    const { index } = scanLog(whole, viewOf(whole), whole.length, SALT);
    const bytes = whole.slice();
    const record = new RecordView();
    assert.ok(record.set(bytes, viewOf(bytes), 64, bytes.length));
    bytes[record.bodyStart]! ^= 1;
    const scan = scanLog(bytes, viewOf(bytes), bytes.length, SALT);
    assert.deepEqual([scan.damaged, scan.records, scan.corrected], [record.end - 64, 2, false]);
    assert.equal(scan.index.runs.length, index.runs.length - 1);
  });

  it("format - an index", () => {
    const bytes = segment();
    const { index } = scanLog(bytes, viewOf(bytes), bytes.length, SALT);
    const encoded = encodeIndex(index, bytes.length, SALT);
    assert.equal(
      hex(encoded),
      "4d5143491ce3632fcf0000000300000003000000010000000100000001000000" +
        "000050403020f04101000000000000000100000000000000" +
        "000000000000144002000000030000000100000000000000" +
        "0000000000001840feffffffff0000000100000001000000" +
        "00001600000024420900000001000000" +
        "000000000000f83f40000000730000007300000005000000080000000800000003000000",
    );
    assert.deepEqual(decodeIndex(encoded, bytes.length, SALT), index);
    assert.equal(decodeIndex(encoded, bytes.length, SALT + 1), undefined);
    assert.equal(decodeIndex(encoded, bytes.length + 1, SALT), undefined);
  });

  it("format - acknowledgements", () => {
    const one = new Segment(1);
    one.salt = SALT;
    addAck(one, 1, 0, 0x0102030405);
    one.ackTo += 2;
    addAck(one, 0xfffffffe, 255, 6);
    const bytes = encodeAcks(one).slice(0, one.acksLength);
    assert.equal(hex(bytes), "1e000000e7c2ddaa010000000005040302010003000000feffffffff06000000000001000000");
    // What follows after these were written is a record of its own.
    clearAcks(one);
    addAck(one, 1, 0, 0x0102030405);
    one.ackTo += 2;
    addAck(one, 0xfffffffe, 255, 6);
    assert.deepEqual(encodeAcks(one).slice(0, one.acksLength), bytes);
    // A repaired file has the same format, and the segment can collect others after it.
    const two = new Segment(2);
    two.salt = SALT;
    const first = { queueId: 1, lane: 0, from: 0x0102030405, to: 0x0102030407 };
    for (let round = 0; round < 2; round++) {
      const repaired = encodeRanges([first, { queueId: 0xfffffffe, lane: 255, from: 6, to: 6 }], two);
      assert.deepEqual(repaired, bytes);
    }
    const ranges: unknown[] = [];
    decodeAcks(bytes, SALT, (range) => ranges.push(range));
    assert.deepEqual(ranges, [
      { queueId: 1, lane: 0, from: 0x0102030405, to: 0x0102030407 },
      { queueId: 0xfffffffe, lane: 255, from: 6, to: 6 },
    ]);
  });

  it("format - delivered marks", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    const golden = "040302010b000000160257a90100000005040302010003";
    fs.writeFileSync(file, Buffer.from(golden, "hex"));
    const found: number[][] = [];
    const marks = new DeliveredMarks(file);
    assert.ok(marks.load(false, (...mark) => found.push(mark) > 0, () => false, assert.fail));
    assert.deepEqual(found, [[1, 3, 0x0102030405]]);
    marks.set(1, 3, 0x0102030405);
    marks.write();
    assert.equal(fs.readFileSync(file, "hex"), golden);
    marks.set(1, 3, 0x0102030406);
    marks.write();
    assert.equal(fs.readFileSync(file, "hex"), golden + "0b0000004e7752110100000006040302010003");
    marks.close();
  });

  it("format - delivered marks of any number of queues", () => {
    using dir = tempDir();
    const marks = new DeliveredMarks(dir.file("delivered"));
    marks.load(false, () => true, () => true, assert.fail);
    for (let count = 1; count < 300; count++) {
      for (let id = 1; id <= count; id++) marks.set(id, 0, count);
      marks.write();
    }
    for (let seq = 0; seq < 300; seq++) {
      marks.add(7, 1, seq);
      marks.write();
    }
    marks.close();
    const again = new DeliveredMarks(dir.file("delivered"));
    const found: number[] = [];
    const single: number[] = [];
    again.load(false, (id) => found.push(id) > 0, (_id, _lane, seq) => single.push(seq) > 0, assert.fail);
    assert.deepEqual(found, Array.from({ length: 299 }, (_, i) => i + 1));
    assert.deepEqual(single, Array.from({ length: 300 }, (_, i) => i));
    again.close();
  });

  it("format - delivered marks are found when their salt is damaged", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    const golden = "040302010b000000160257a901000000050403020100030b0000004e7752110100000006040302010003";
    const bytes = Buffer.from(golden, "hex");
    fs.writeFileSync(file, bytes.map((byte, i) => i < 4 ? byte ^ 0xff : byte));
    const found: number[][] = [];
    const problems: string[] = [];
    const marks = new DeliveredMarks(file);
    const isWhole = marks.load(
      false,
      (...mark) => found.push(mark) > 0,
      () => false,
      (text) => problems.push(text),
    );
    marks.close();
    assert.deepEqual([isWhole, found], [true, [[1, 3, 0x0102030406]]]);
    assert.match(problems.join("\n"), /^The file delivered was damaged: all marks were recovered;.*$/);
    assert.deepEqual(fs.readFileSync(file), bytes);
  });

  it("format - delivered marks of one message, until it is settled", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    const golden = "040302010b000000160257a90100000005040302010003";
    fs.writeFileSync(file, Buffer.from(golden, "hex"));
    const load = (exists: (seq: number) => boolean) => {
      const found: number[][] = [];
      const marks = new DeliveredMarks(file);
      const one = (...mark: [number, number, number]) => found.push([...mark, 1]) > 0 && exists(mark[2]);
      assert.ok(marks.load(false, (...mark) => found.push(mark) > 0, one, assert.fail));
      return { marks, found };
    };
    const { marks } = load(() => true);
    marks.add(1, 3, 0x0102030409);
    marks.add(2, 0, 7);
    marks.remove(2, 0, 7);
    marks.write();
    marks.close();
    assert.match(
      fs.readFileSync(file, "hex"),
      new RegExp(`^${golden}16000000.{8}f{22}0100000009040302010003$`),
    );
    const again = load(() => true);
    assert.deepEqual(again.found, [[1, 3, 0x0102030405], [1, 3, 0x0102030409, 1]]);
    // Many marks of settled messages do not make the file large.
    for (let seq = 0; seq < 100_000; seq++) {
      again.marks.add(1, 3, seq);
      if (seq % 100 === 0) again.marks.write();
      if (seq !== 5) again.marks.remove(1, 3, seq);
    }
    again.marks.write();
    again.marks.close();
    assert.ok(fs.statSync(file).size < 300_000);
    const last = load(() => false);
    assert.deepEqual(last.found.filter(([, , seq]) => seq === 5), [[1, 3, 5, 1]]);
    last.marks.close();
  });

  it("format - definitions", () => {
    using dir = tempDir();
    const file = dir.file("definitions");
    const golden = "040302010700000081aeccf37b2261223a317d";
    fs.writeFileSync(file, Buffer.from(golden, "hex"));
    const found: unknown[] = [];
    const options = { directory: dir.path, sync: false, snapshot: () => [], onProblem: assert.fail };
    const log = DefinitionsLog.open(options, (change) => found.push(change));
    assert.deepEqual(found, [{ a: 1 }]);
    log.append({ b: "é" });
    log.close();
    assert.equal(fs.readFileSync(file, "hex"), golden + "0a0000005c84e7937b2262223a22c3a9227d");
  });

  /** A list of texts, after two bytes of a header. The record of a text takes its length and 8 bytes. */
  const list = (...texts: string[]): Uint8Array => {
    const records = texts.map((text) => {
      const record = new Uint8Array(8 + text.length);
      record.set(new TextEncoder().encode(text), 8);
      sealRecord(viewOf(record), 0, record.length, SALT);
      return record;
    });
    return new Uint8Array(Buffer.concat([Uint8Array.of(1, 2), ...records]));
  };
  const SCANS: [what: string, bytes: () => Uint8Array, texts: string, expected: ListScan][] = [
    ["no record", () => list(), "", { end: 2, damaged: 0, records: 0, pieces: [], corrected: false }],
    ["two records", () => list("one", "three"), "one three", {
      end: 26,
      damaged: 0,
      records: 2,
      pieces: [2, 26],
      corrected: false,
    }],
    ["a refused record", () => list("one", "bad!", "two"), "one two", {
      end: 36,
      damaged: 12,
      records: 2,
      pieces: [2, 13, 25, 36],
      corrected: false,
    }],
    ["refused records at both ends", () => list("bad!", "one", "bad!"), "one", {
      end: 37,
      damaged: 24,
      records: 1,
      pieces: [14, 25],
      corrected: false,
    }],
    ["a damaged record", () => list("one", "two", "three").with(22, 0), "one three", {
      end: 37,
      damaged: 11,
      records: 2,
      pieces: [2, 13, 24, 37],
      corrected: false,
    }],
    ["a damaged last record", () => list("one", "two").with(22, 0), "one", {
      end: 13,
      damaged: 11,
      records: 1,
      pieces: [2, 13],
      corrected: false,
    }],
    ["a wrong length", () => list("one", "two", "three").with(13, 77), "one two three", {
      end: 37,
      damaged: 0,
      records: 3,
      pieces: [2, 37],
      corrected: true,
    }],
    ["a wrong length of the last record", () => list("one", "two").with(13, 2), "one two", {
      end: 24,
      damaged: 0,
      records: 2,
      pieces: [2, 24],
      corrected: true,
    }],
    ["an incomplete last record", () => list("one", "two").subarray(0, 23), "one", {
      end: 13,
      damaged: 0,
      records: 1,
      pieces: [2, 13],
      corrected: false,
    }],
    ["an incomplete head", () => list("one", "two").subarray(0, 16), "one", {
      end: 13,
      damaged: 0,
      records: 1,
      pieces: [2, 13],
      corrected: false,
    }],
    [
      "zeros at the end, as a power failure leaves them",
      () => new Uint8Array([...list("one"), ...new Uint8Array(20)]),
      "one",
      {
        end: 13,
        damaged: 0,
        records: 1,
        pieces: [2, 13],
        corrected: false,
      },
    ],
    ["other bytes at the end", () => new Uint8Array([...list("one"), ...new Uint8Array(19), 1]), "one", {
      end: 13,
      damaged: 20,
      records: 1,
      pieces: [2, 13],
      corrected: false,
    }],
    [
      "a damaged and an incomplete record",
      () => list("one", "two", "three", "four").with(22, 0).subarray(0, 48),
      "one three",
      { end: 37, damaged: 11, records: 2, pieces: [2, 13, 24, 37], corrected: false },
    ],
  ];
  for (const [what, make, texts, expected] of SCANS) {
    it(`format - a list with ${what}`, () => {
      const bytes = make();
      const found: string[] = [];
      const scan = readRecords(viewOf(bytes), 2, SALT, (start, end) => {
        const text = new TextDecoder().decode(bytes.subarray(start, end));
        if (!text.startsWith("bad")) found.push(text);
        return !text.startsWith("bad");
      });
      assert.deepEqual([found.join(" "), scan], [texts, expected]);
      // What was corrected stays so.
      if (expected.corrected) assert.deepEqual(bytes, list(...texts.split(" ")));
    });
  }

  it("format - the salt of a segment is found when its header is damaged", () => {
    const find = (bytes: Uint8Array) => findSalt(bytes, viewOf(bytes), bytes.length);
    const whole = segment();
    const only = whole.slice(0, 48);
    for (let byte = 12; byte < 16; byte++) {
      const other = whole[byte]! ^ 0xff;
      assert.equal(find(whole.with(byte, other)), SALT);
      assert.equal(find(only.with(byte, other)), SALT);
      // One record tells it only when the header has nearly the same.
      const two = only.with(byte, other).with(byte === 12 ? 13 : 12, 0xee);
      assert.equal(find(two), undefined);
      assert.equal(find(whole.with(byte, other).with(byte === 12 ? 13 : 12, 0xee)), SALT);
    }
    assert.equal(find(whole.subarray(0, 15)), undefined);
    assert.equal(find(only.with(24, 0)), undefined);
    // A record that is damaged does not hide those after it.
    assert.equal(find(whole.with(12, 0xee).with(13, 0xee).with(24, 0xee)), SALT);
  });

  it("format - the salt of a list is found when its header is damaged", () => {
    const fits = (bytes: Uint8Array) => (start: number) => bytes[start]! >= 0x61;
    const find = (bytes: Uint8Array, head?: number) => findListSalt(viewOf(bytes), 2, head, fits(bytes));
    assert.equal(find(list("one", "two")), SALT);
    // One record tells it only when the header has nearly the same.
    assert.equal(find(list("one")), undefined);
    assert.equal(find(list("one"), SALT ^ 0x00ff0000), SALT);
    assert.equal(find(list("one"), ~SALT >>> 0), undefined);
    assert.equal(find(list("One", "two", "three")), SALT);
    assert.equal(find(list("one", "two", "three").with(10, 0)), SALT);
    assert.equal(find(list("ONE", "TWO")), undefined);
    assert.equal(find(list()), undefined);
  });

  it("format - every record tells the salt of its file", () => {
    const bytes = Uint8Array.from({ length: 50 }, (_, i) => i * 31);
    for (const salt of [0, 1, SALT, 0xffffffff]) {
      for (let end = 0; end <= 50; end += 7) {
        const sum = crc32c(viewOf(bytes), 0, end, salt);
        assert.equal(seedOf(viewOf(bytes), 0, end, sum), salt);
      }
    }
  });

  for (const state of ["stopped", "killed"] as const) {
    it(`format - a data directory of mqcat 0.1.0 that was ${state} opens without a report, and again after that`, () => {
      using dir = tempDir();
      const data = dir.file("data");
      const fixture = new URL("./data_0.1.0.json", import.meta.url);
      const files = JSON.parse(fs.readFileSync(fixture, "utf8"))[state] as Record<string, string>;
      fs.mkdirSync(data);
      for (const [name, text] of Object.entries(files)) {
        fs.writeFileSync(`${data}/${name}`, Buffer.from(text, "base64"));
      }
      for (let round = 0; round < 3; round++) {
        const problems: string[] = [];
        const core = new BrokerCore(
          { ...CORE_OPTIONS, data },
          { onBlocked: assert.fail, onFailure: assert.fail, onDamage: (what) => problems.push(what) },
        );
        assert.deepEqual(problems, []);
        assert.deepEqual([...core.users].map(({ name }) => name), ["alice"]);
        const queues = [...core.vhosts.get("/")!.queues.values()].map((queue) => {
          const bodies: string[] = [];
          queue.lanes.forEach((lane, at) => {
            for (let seq = 0; (seq = lane.nextReady(seq)) >= 0; seq++) {
              const { body, bodyStart, bodyEnd } = queue.messageAt(at, seq)!;
              bodies.push(
                new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)) +
                  (lane.isRedelivered(seq) ? "*" : ""),
              );
            }
          });
          return [queue.name, bodies];
        });
        assert.deepEqual(queues, [
          ["dead", ["job 2"]],
          ["jobs", ["job 3", "job 4", "job 5", "job 6", "job 7"]],
          ["logs", ["log 0", "log 1", "log 2", "log 3", "log 4"]],
        ]);
        core.close();
      }
    });
  }
});
