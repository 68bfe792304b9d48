/** What a start reports about files that are not as the last clean stop left them. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { writeFailure } from "../../../../../lib/broker/core/journal/files/files.ts";
import { crc32c } from "../../../../../lib/broker/core/journal/format/crc32c.ts";
import { type LiveCounts, Manifest, writeManifest } from "../../../../../lib/broker/core/journal/manifest.ts";
import type { LaneLookup } from "../../../../../lib/broker/core/journal/options.ts";
import { Lane } from "../../../../../lib/broker/core/queue/lane.ts";
import { tempDir } from "../../../../support/helpers.ts";

/** Messages by segment and queue. */
type Counts = Record<number, Record<number, number>>;

/** At the stop. */
const LIVE: Counts = { 1: { 7: 3, 8: 2 }, 2: { 7: 4 }, 3: {} };
const FILES = [
  "00000001.log",
  "00000001.ack",
  "00000001.idx",
  "00000002.log",
  "00000003.log",
  "definitions",
  "delivered",
];

function countsOf(counts: Counts): LiveCounts {
  return new Map(
    Object.entries(counts).map(([segment, queues]) => [
      Number(segment),
      new Map(Object.entries(queues).map(([id, count]) => [Number(id), count])),
    ]),
  );
}

/** The reports after a stop, some harm, and a start that found these messages. */
function reports(harm: (directory: string) => void, found: Counts, unread: readonly number[] = []): string[] {
  using dir = tempDir();
  for (const name of FILES) fs.writeFileSync(dir.file(name), name.padEnd(100));
  const lanes = new Map<number, Lane>();
  for (const [segment, queues] of Object.entries(LIVE)) {
    for (const [id, count] of Object.entries(queues)) {
      const lane = lanes.get(Number(id)) ?? new Lane();
      lanes.set(Number(id), lane);
      for (let i = 0; i < count; i++) lane.push(Number(segment), i, 1, 0);
    }
  }
  const lookup: LaneLookup = {
    lane: () => undefined,
    nameOf: (id) => id === 7 ? "'seven'" : undefined,
    lanes: () => lanes,
  };
  writeManifest(dir.path, [[1, 11], [2, 22], [3, 33]], lookup, false);
  harm(dir.path);
  const problems: string[] = [];
  const manifest = Manifest.read(dir.path, (text) => problems.push(text));
  if (manifest === undefined) return problems;
  assert.deepEqual(manifest.salts, [11, 22, 33]);
  manifest.report(
    countsOf(found),
    (number) => !unread.includes(number),
    lookup,
    (text) => problems.push(text),
  );
  return problems;
}

describe("manifest", () => {
  const cut = (dir: string, name: string, by: number) => fs.truncateSync(`${dir}/${name}`, 100 - by);
  const change = (dir: string, name: string) => fs.writeFileSync(`${dir}/${name}`, "x".repeat(100));
  const cases: [what: string, harm: (dir: string) => void, found: Counts, expected: string[]][] = [
    ["nothing", () => {}, LIVE, []],
    ["a missing segment", (dir) => fs.rmSync(`${dir}/00000001.log`), { 2: { 7: 4 } }, [
      "The file 00000001.log is missing: 3 messages of queue 'seven', 2 messages of queue with the id 8 are lost",
    ]],
    [
      "one segment cut and one missing",
      (dir) => {
        cut(dir, "00000001.log", 9);
        fs.rmSync(`${dir}/00000002.log`);
      },
      { 1: { 7: 2, 8: 2 } },
      [
        "The file 00000001.log is 9 bytes shorter than at the last clean stop: 1 message of queue 'seven' are lost",
        "The file 00000002.log is missing: 4 messages of queue 'seven' are lost",
      ],
    ],
    ["a segment that is missing, and its messages were moved", (dir) => fs.rmSync(`${dir}/00000002.log`), {
      1: { 7: 3, 8: 2 },
      3: { 7: 3 },
    }, [
      "The file 00000002.log is missing: 1 message of queue 'seven' are lost",
    ]],
    ["an empty segment that is missing", (dir) => fs.rmSync(`${dir}/00000003.log`), LIVE, [
      "The file 00000003.log is missing: no message is lost",
    ]],
    ["a segment that has grown", (dir) => fs.appendFileSync(`${dir}/00000003.log`, "12"), LIVE, [
      "The file 00000003.log is 2 bytes longer than at the last clean stop: no message is lost",
    ]],
    ["messages that are gone without a reason", () => {}, { 1: { 7: 3, 8: 1 }, 2: { 7: 2 } }, [
      "2 messages of queue 'seven' are lost since the last clean stop",
      "1 message of queue with the id 8 is lost since the last clean stop",
    ]],
    ["more messages than there were", () => {}, { 1: { 7: 3, 8: 2 }, 2: { 7: 5 }, 3: { 9: 2 } }, [
      "1 message of queue 'seven' were acknowledged before the last clean stop, and are delivered again",
      "2 messages of queue with the id 9 were acknowledged before the last clean stop, and are delivered again",
    ]],
    ["missing acknowledgements", (dir) => fs.rmSync(`${dir}/00000001.ack`), LIVE, [
      "The file 00000001.ack is missing: acknowledged messages may be delivered again, marked as redelivered",
    ]],
    ["new acknowledgements", (dir) => fs.writeFileSync(`${dir}/00000002.ack`, "x"), LIVE, [
      "The file 00000002.ack was not there at the last clean stop: the acknowledgements in it are applied",
    ]],
    ["more acknowledgements", (dir) => fs.appendFileSync(`${dir}/00000001.ack`, "x"), LIVE, [
      "The file 00000001.ack is 1 bytes longer than at the last clean stop: acknowledged messages may be delivered again, marked as redelivered",
    ]],
    ["a segment that has changed, which its records tell", (dir) => change(dir, "00000001.log"), LIVE, []],
    ["an index that has changed", (dir) => change(dir, "00000001.idx"), LIVE, [
      "The file 00000001.idx has changed since the last clean stop: the segment was read instead, and nothing is lost",
    ]],
    [
      "marks that are missing, and definitions that are cut",
      (dir) => {
        fs.rmSync(`${dir}/delivered`);
        cut(dir, "definitions", 1);
      },
      LIVE,
      [
        "The file definitions is 1 bytes shorter than at the last clean stop: definitions of queues, exchanges, bindings or users are lost",
        "The file delivered is missing: all messages are marked as redelivered",
      ],
    ],
    [
      "what the readers report",
      (dir) => {
        change(dir, "00000001.ack");
        change(dir, "definitions");
        fs.appendFileSync(`${dir}/delivered`, "x");
      },
      LIVE,
      [],
    ],
    ["a new segment", (dir) => fs.writeFileSync(`${dir}/00000005.log`, "x"), LIVE, [
      "The file 00000005.log was not there at the last clean stop: messages in it are delivered",
    ]],
    [
      "other files",
      (dir) => {
        fs.writeFileSync(`${dir}/notes.txt`, "x");
        fs.mkdirSync(`${dir}/00000007.log`);
      },
      LIVE,
      [],
    ],
  ];
  for (const [what, harm, found, expected] of cases) {
    it(`manifest - reports ${what}`, () => assert.deepEqual(reports(harm, found), expected));
  }

  it("manifest - has the CRC-32C of its text, and those of the files but for logs", () => {
    using dir = tempDir();
    for (const name of ["00000001.log", "00000001.ack", "definitions"]) {
      fs.writeFileSync(dir.file(name), "123456789");
    }
    writeManifest(
      dir.path,
      [],
      { lane: () => undefined, nameOf: () => undefined, lanes: () => new Map() },
      false,
    );
    const text = fs.readFileSync(dir.file("manifest"));
    const json = text.subarray(9, -1);
    const sum = crc32c(new DataView(json.buffer, json.byteOffset), 0, json.length);
    assert.equal(text.toString("latin1", 0, 9), `${sum.toString(16).padStart(8, "0")} `);
    assert.deepEqual(JSON.parse(json.toString()).files, {
      "00000001.ack": { length: 9, sum: 0xe3069283 },
      "00000001.log": { length: 9 },
      definitions: { length: 9, sum: 0xe3069283 },
    });
  });

  it("manifest - says nothing of a new segment that was not read", () => {
    assert.deepEqual(reports((dir) => fs.writeFileSync(`${dir}/00000005.log`, "x"), LIVE, [5]), []);
  });

  it("manifest - is not believed when it is damaged", () => {
    for (const at of [0, 7, 8, 9, 20, -2, -1]) {
      const harm = (dir: string) => {
        const bytes = fs.readFileSync(`${dir}/manifest`);
        bytes[at < 0 ? bytes.length + at : at]! ^= 1;
        fs.writeFileSync(`${dir}/manifest`, bytes);
      };
      assert.deepEqual(reports(harm, LIVE), [
        "The file manifest is damaged, so nothing is compared with the last clean stop; the file as it was is kept as manifest.damaged-1",
      ]);
    }
  });

  it("a failed write - names the reason", () => {
    const words = (code: string) =>
      writeFailure("/d", Object.assign(new Error("some reason"), { code })).message;
    const around = (why: string) =>
      `Cannot write to the data directory "/d": ${why}; the broker continues when there is space`;
    assert.equal(words("ENOSPC"), around("the disk is full (ENOSPC)"));
    assert.equal(words("EDQUOT"), around("the quota is used up (EDQUOT)"));
    assert.equal(words("EIO"), around("some reason"));
  });
});
