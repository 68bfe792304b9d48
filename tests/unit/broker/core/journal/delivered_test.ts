/** The delivered marks: what a file in each state means, and any sequence of changes and restarts. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DeliveredMarks } from "../../../../../lib/broker/core/journal/format/delivered.ts";
import { sealRecord } from "../../../../../lib/broker/core/journal/format/record_list.ts";
import { tempDir } from "../../../../support/helpers.ts";

const SALT = 0x01020304;
const HEAD = "04030201";

/** A record of marks `QUEUE LANE SEQ`; the mark "singles" begins a list of marks of one message. */
function record(...marks: string[]): string {
  const bytes = Buffer.alloc(8 + 11 * marks.length);
  marks.forEach((mark, i) => {
    const at = 8 + 11 * i;
    const [queue, lane, seq] = mark === "singles"
      ? [2 ** 32 - 1, 255, 2 ** 48 - 1]
      : mark.split(" ").map(Number);
    bytes.writeUInt32LE(queue!, at);
    bytes.writeUIntLE(seq!, at + 4, 6);
    bytes[at + 10] = lane!;
  });
  sealRecord(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, SALT);
  return bytes.toString("hex");
}

/** A record whose content is not a list of marks. */
function strange(length: number): string {
  const bytes = Buffer.alloc(8 + length, 1);
  sealRecord(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, SALT);
  return bytes.toString("hex");
}

/** The other value of one byte. */
function damaged(hex: string, at: number): string {
  const bytes = Buffer.from(hex, "hex");
  bytes[at]! ^= 0xff;
  return bytes.toString("hex");
}

/** What a start finds. */
interface Found {
  readonly isComplete: boolean;
  /** `QUEUE LANE SEQ`, with `one` for a mark of one message. */
  readonly marks: string[];
  readonly problems: string[];
}

function load(
  file: string,
  { changed = false, exists = () => true }: { changed?: boolean; exists?: (mark: string) => boolean } = {},
): [marks: DeliveredMarks, found: Found] {
  const marks: string[] = [];
  const problems: string[] = [];
  const delivered = new DeliveredMarks(file);
  const visit = (suffix: string) => (...mark: [number, number, number]) => {
    marks.push(mark.join(" ") + suffix);
    return exists(mark.join(" "));
  };
  const isComplete = delivered.load(changed, visit(""), visit(" one"), (text) => problems.push(text));
  return [delivered, { isComplete, marks: marks.sort(), problems }];
}

const MARKS = record("1 0 5", "2 255 6");
const ONES = record("singles", "1 0 9", "1 0 11", "3 1 4");
const FOUND = ["1 0 11 one", "1 0 5", "1 0 9 one", "2 255 6", "3 1 4 one"];
const WAS_DAMAGED =
  "The file delivered was damaged: all marks were recovered; the file as it was is kept as delivered.damaged-1";
const IS_DAMAGED =
  "The file delivered is damaged: all messages are marked as redelivered; the file as it was is kept as delivered.damaged-1";

/** A file, what is found in it, and what the file is afterwards: the same if it is not given. */
interface State {
  readonly what: string;
  readonly hex: string;
  /** Whether the file is not as the last clean stop left it. */
  readonly changed?: boolean;
  readonly marks?: readonly string[];
  readonly isComplete?: boolean;
  readonly problem?: string;
  readonly after?: string;
}

const states: State[] = [
  { what: "empty", hex: "", isComplete: false },
  { what: "a part of a salt", hex: "040302", isComplete: false, problem: IS_DAMAGED, after: "any salt" },
  { what: "a salt", hex: HEAD },
  { what: "all kinds of marks", hex: HEAD + MARKS + ONES, marks: FOUND },
  { what: "all kinds of marks, changed", hex: HEAD + MARKS + ONES, changed: true, marks: FOUND },
  { what: "a list of no single mark", hex: HEAD + record("singles") },
  { what: "the latest mark", hex: HEAD + MARKS + record("1 0 3"), marks: ["1 0 3", "2 255 6"] },
  {
    what: "marks that are only like the begin of a list of single ones",
    hex: HEAD + record("4294967295 255 1", "1 0 2") + record("1 0 3", "singles"),
    marks: ["1 0 3", "4294967295 255 281474976710655"],
  },
  {
    what: "an incomplete record after a crash",
    hex: HEAD + MARKS + ONES.slice(0, -2),
    marks: ["1 0 5", "2 255 6"],
    after: HEAD + MARKS,
  },
  {
    what: "an incomplete record after a clean stop",
    hex: HEAD + MARKS + ONES.slice(0, -2),
    changed: true,
    marks: ["1 0 5", "2 255 6"],
    isComplete: false,
    problem: IS_DAMAGED,
    after: HEAD + MARKS,
  },
  {
    what: "a damaged record between others",
    hex: HEAD + damaged(MARKS, 12) + ONES,
    marks: FOUND.filter((mark) => mark.endsWith("one")),
    isComplete: false,
    problem: IS_DAMAGED,
    after: HEAD + ONES,
  },
  {
    what: "a damaged length",
    hex: HEAD + damaged(MARKS, 0) + ONES,
    marks: FOUND,
    problem: WAS_DAMAGED,
    after: HEAD + MARKS + ONES,
  },
  {
    what: "a damaged salt",
    hex: damaged(HEAD, 0) + MARKS + ONES,
    marks: FOUND,
    problem: WAS_DAMAGED,
    after: HEAD + MARKS + ONES,
  },
  {
    what: "a record of another length",
    hex: HEAD + MARKS + strange(12) + ONES,
    marks: FOUND,
    isComplete: false,
    problem: IS_DAMAGED,
    after: HEAD + MARKS + ONES,
  },
  {
    what: "nothing that can be read",
    hex: HEAD + strange(13) + strange(10),
    isComplete: false,
    problem: IS_DAMAGED,
    after: HEAD,
  },
];

describe("delivered marks", () => {
  for (const { what, hex, changed = false, marks = [], isComplete = true, problem, after = hex } of states) {
    it(`start - ${what}`, () => {
      using dir = tempDir();
      const file = dir.file("delivered");
      fs.writeFileSync(file, hex, "hex");
      const [delivered, found] = load(file, { changed });
      assert.deepEqual(found, { isComplete, marks, problems: problem === undefined ? [] : [problem] });
      if (after === "any salt") assert.equal(fs.statSync(file).size, 4);
      else assert.equal(fs.readFileSync(file, "hex"), after);
      assert.deepEqual(
        fs.readdirSync(dir.path).sort(),
        problem === undefined ? ["delivered"] : ["delivered", "delivered.damaged-1"],
      );
      if (problem !== undefined) assert.equal(fs.readFileSync(`${file}.damaged-1`, "hex"), hex);
      // The next start finds the same marks, with one that is new.
      delivered.set(7, 7, 7);
      delivered.write();
      delivered.close();
      const [again, next] = load(file, { changed: true });
      again.close();
      assert.deepEqual(next, { isComplete: true, marks: [...marks, "7 7 7"].sort(), problems: [] });
    });
  }

  it("start - without a file there are no marks, and none is written before there are some", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    const [delivered, found] = load(file);
    assert.deepEqual(found, { isComplete: true, marks: [], problems: [] });
    delivered.write();
    assert.equal(fs.existsSync(file), false);
    delivered.set(1, 2, 0);
    delivered.write();
    delivered.close();
    assert.equal(fs.statSync(file).size, 4 + 8 + 11);
    assert.deepEqual(load(file)[1].marks, ["1 2 0"]);
  });

  it("start - what is not a file is set aside and reported", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    fs.mkdirSync(file);
    const [delivered, found] = load(file);
    assert.deepEqual(found, {
      isComplete: false,
      marks: [],
      problems: [
        "The file delivered is not a file: all messages are marked as redelivered; the file as it was is kept as delivered.damaged-1",
      ],
    });
    delivered.add(1, 2, 3);
    delivered.write();
    delivered.close();
    assert.deepEqual(load(file)[1].marks, ["1 2 3 one"]);
  });

  it("start - the marks of what does not exist any more are removed when the file is written again", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    fs.writeFileSync(file, HEAD + MARKS + ONES, "hex");
    const [delivered] = load(file, { exists: (mark) => ["1 0 5", "1 0 11"].includes(mark) });
    delivered.forget();
    delivered.write();
    delivered.close();
    assert.deepEqual(load(file)[1].marks, ["1 0 11 one", "1 0 5"]);
  });

  it("an empty file - says that the marks are not known, until they are written as a whole", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    const [delivered] = load(file);
    delivered.set(1, 0, 5);
    delivered.add(1, 0, 8);
    delivered.write();
    delivered.forget();
    assert.equal(fs.statSync(file).size, 0);
    // A second call does not touch the file.
    fs.writeFileSync(file, "x");
    delivered.forget();
    assert.equal(fs.statSync(file).size, 1);
    delivered.write();
    delivered.write();
    assert.equal(fs.statSync(file).size, 4 + 8 + 11 + 8 + 22);
    delivered.close();
    assert.deepEqual(load(file)[1], { isComplete: true, marks: ["1 0 5", "1 0 8 one"], problems: [] });
    // Unknown marks are also written when there are none.
    fs.truncateSync(file, 0);
    const [empty, found] = load(file);
    assert.equal(found.isComplete, false);
    empty.write();
    empty.close();
    assert.deepEqual([fs.statSync(file).size, load(file)[1].isComplete], [4, true]);
  });

  it("a failed write - is reported, and the marks are written by the next call", () => {
    using dir = tempDir();
    const file = dir.file("data/delivered");
    const delivered = new DeliveredMarks(file);
    delivered.set(1, 0, 5);
    delivered.add(2, 0, 6);
    for (let i = 0; i < 2; i++) assert.throws(() => delivered.write(), { code: "ENOENT" });
    fs.mkdirSync(dir.file("data"));
    delivered.write();
    delivered.close();
    assert.deepEqual(load(file)[1].marks, ["1 0 5", "2 0 6 one"]);
  });

  it("rewrite - only of a long file whose marks are mostly settled", () => {
    using dir = tempDir();
    const file = dir.file("delivered");
    const salt = () => fs.readFileSync(file).readUInt32LE();
    const [delivered] = load(file);
    const write = (): void => {
      for (let from = 0; from < 30_000; from += 1000) {
        for (let seq = from; seq < from + 1000; seq++) delivered.add(1, 0, seq);
        delivered.write();
      }
    };
    delivered.set(1, 0, 5);
    write();
    const first = salt();
    assert.ok(fs.statSync(file).size > 300_000);
    // None of these marks is settled.
    write();
    assert.equal(salt(), first);
    for (let seq = 0; seq < 30_000; seq++) if (seq !== 77) delivered.remove(1, 0, seq);
    delivered.set(1, 0, 6);
    delivered.write();
    assert.notEqual(salt(), first);
    assert.equal(fs.statSync(file).size, 4 + 8 + 11 + 8 + 22);
    delivered.close();
    assert.deepEqual(load(file)[1].marks, ["1 0 6", "1 0 77 one"]);
  });

  it("write - any number of both kinds of marks at once, in a new file and at the end of one", () => {
    using dir = tempDir();
    for (const isNew of [true, false]) {
      for (let count = 2; count < 200; count++) {
        const file = dir.file(`${isNew} ${count}`);
        if (!isNew) fs.writeFileSync(file, HEAD, "hex");
        const [delivered] = load(file);
        const singles = Math.floor(count / 2);
        for (let queue = 1; queue <= count - singles; queue++) delivered.set(queue, 0, 5);
        for (let seq = 0; seq < singles; seq++) delivered.add(1, 0, seq);
        delivered.write();
        delivered.close();
        assert.equal(fs.statSync(file).size, 4 + 8 + 8 + 11 * (count + 1));
        assert.equal(load(file)[1].marks.length, count);
      }
    }
  });

  it("any changes, writes and restarts - the file has what was written", () => {
    const place = fc.record({
      queue: fc.constantFrom(1, 2, 2 ** 24, 2 ** 32 - 2),
      lane: fc.constantFrom(0, 1, 254, 255),
      seq: fc.constantFrom(0, 1, 2, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5, 2 ** 47),
    });
    const what = fc.constantFrom(
      ...[
        "set",
        "set",
        "set",
        "add",
        "add",
        "add",
        "remove",
        "delete",
        "write",
        "write",
        "forget",
        "restart",
      ],
    );
    fc.assert(fc.property(fc.array(fc.tuple(what, place), { maxLength: 60, size: "max" }), (steps) => {
      using dir = tempDir();
      const file = dir.file("delivered");
      let [delivered] = load(file);
      /** What is in memory, not written, and in the file, by `QUEUE LANE` and by `QUEUE LANE SEQ`. */
      const marks = new Map<string, number>();
      const ones = new Set<string>();
      const newMarks = new Set<string>();
      const newOnes = new Set<string>();
      let written: Set<string> | undefined;
      const current = (
        keys: Iterable<string>,
        single: Iterable<string>,
      ) => [
        ...Array.from(keys, (key) => `${key} ${marks.get(key)}`),
        ...Array.from(single, (one) => `${one} one`),
      ];
      const write = () => {
        delivered.write();
        if (written === undefined) {
          // Without a file, marks are only written if there are some.
          if (newMarks.size + newOnes.size > 0 || fs.existsSync(file)) {
            written = new Set(current(marks.keys(), ones));
          }
        } else {
          for (const key of newMarks) {
            for (const mark of written) {
              if (!mark.endsWith("one") && mark.startsWith(`${key} `)) written.delete(mark);
            }
          }
          for (const mark of current(newMarks, newOnes)) written.add(mark);
        }
        newMarks.clear();
        newOnes.clear();
      };
      for (const [step, { queue, lane, seq }] of steps) {
        const key = `${queue} ${lane}`;
        const one = `${key} ${seq}`;
        switch (step) {
          case "set":
            delivered.set(queue, lane, seq);
            if (seq <= (marks.get(key) ?? -1)) break;
            marks.set(key, seq);
            newMarks.add(key);
            break;
          case "add":
            delivered.add(queue, lane, seq);
            ones.add(one);
            newOnes.add(one);
            break;
          case "remove":
            delivered.remove(queue, lane, seq);
            ones.delete(one);
            newOnes.delete(one);
            break;
          case "delete":
            delivered.delete(queue);
            for (const all of [marks, ones, newMarks, newOnes]) {
              for (const key of all.keys()) if (key.startsWith(`${queue} `)) all.delete(key);
            }
            break;
          case "write":
            write();
            break;
          case "forget":
            delivered.forget();
            written = undefined;
            break;
          case "restart": {
            write();
            delivered.close();
            let found;
            [delivered, found] = load(file);
            const expected = [...written ?? []].sort();
            assert.deepEqual(found, { isComplete: true, marks: expected, problems: [] });
            marks.clear();
            ones.clear();
            for (const mark of expected) {
              const [queue, lane, seq, single] = mark.split(" ");
              if (single === undefined) marks.set(`${queue} ${lane}`, Number(seq));
              else ones.add(`${queue} ${lane} ${seq}`);
            }
          }
        }
      }
      delivered.close();
    }));
  });
});
