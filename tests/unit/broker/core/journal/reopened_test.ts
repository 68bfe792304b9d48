/** What a start makes of the files that it finds: what is kept, reported, continued and marked as redelivered. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import type { JournalOptions } from "../../../../../lib/broker/core/journal/journal.ts";
import { tempDir } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const [FIRST, SECOND, THIRD] = QUEUES as [number, number, number, number];
const OPTIONS = { sync: "flush", segmentSize: 4096, cacheSize: 0 } as const;

/** The bodies of a queue up to the first space, with a star for redelivered ones. */
function bodiesOf(model: JournalModel, id: number): string[] {
  const lane = model.lanes.get(id)!;
  const bodies: string[] = [];
  for (let seq = 0; (seq = lane.nextLive(seq)) >= 0; seq++) {
    const body = model.bodyAt(id, seq)?.split(" ")[0] ?? "damaged";
    bodies.push(body + (lane.isRedelivered(seq) ? "*" : ""));
  }
  return bodies;
}

interface Found {
  readonly bodies: string[][];
  readonly problems: string[];
}

/** Opens a directory, and stops cleanly after some work. */
function start(
  directory: string,
  work: (model: JournalModel) => void = () => {},
  options: JournalOptions = OPTIONS,
): Found {
  const model = new JournalModel({ ...options, directory });
  const bodies = QUEUES.map((id) => bodiesOf(model, id));
  work(model);
  model.journal.close();
  return { bodies, problems: model.problems };
}

/**
 * Makes three segments and their acknowledgements: the first is of the first queue, the second of the second queue, the
 * third has both. Nothing is marked as delivered.
 *
 * @returns the length of the first record of the first acknowledgements
 */
function make(directory: string, crash = false): number {
  const model = new JournalModel({ ...OPTIONS, directory: crash ? `${directory}.source` : directory });
  for (const ids of [[FIRST], [SECOND], [FIRST, SECOND]]) {
    for (let i = 0; i < 14; i++) model.publish(`${ids.join("+")}/${i} `.padEnd(200, "x"), ids);
    if (ids.length === 1) model.publish(" ".repeat(400), [THIRD]);
  }
  model.flush();
  // In two writes, so that the files have two records.
  let length = 0;
  for (const seqs of [[0, 1, 4], [6, 14, 16]]) {
    for (const id of [FIRST, SECOND]) for (const seq of seqs) model.settle(id, seq);
    model.flush();
    length ||= fs.statSync(`${model.directory}/00000001.ack`).size;
  }
  if (crash) copyFiles(`${directory}.source`, directory);
  model.journal.close();
  return length;
}

/** What is in the directory before any harm. */
const WHOLE = [FIRST, SECOND].map((id) => [
  ...[2, 3, 5, 7, 8, 9, 10, 11, 12, 13].map((i) => `${id}/${i}`),
  ...[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map((i) => `${FIRST}+${SECOND}/${i}`),
]);

function edit(file: string, change: (bytes: Buffer) => Uint8Array | void): void {
  const bytes = fs.readFileSync(file);
  fs.writeFileSync(file, change(bytes) ?? bytes);
}

/** All messages of a queue are marked as redelivered. */
const again = (bodies: readonly string[]) => bodies.map((body) => `${body}*`);
const [ONE, TWO] = WHOLE as [string[], string[]];
const BLANK = ["", ""];
/** The second queue without what is in its first segment. */
const LATER = TWO.slice(10);

const KEPT = "; the file as it was is kept as";
const AGAIN = "acknowledged messages may be delivered again, marked as redelivered";
const SOME_AGAIN = "some acknowledged messages are delivered again, marked as redelivered";

interface Case {
  readonly what: string;
  /** Whether a crash has left the directory; otherwise a clean stop. */
  readonly crash: boolean;
  readonly harm: (directory: string, firstAcks: number) => void;
  /** The reports, in which a number of bytes can be N. */
  readonly problems: readonly string[];
  /** The content of the first three queues. */
  readonly bodies: readonly (readonly string[])[];
  /** Names that are there after the start, and those that are not. */
  readonly there?: readonly string[];
  readonly gone?: readonly string[];
}

const ALL_TWO = Array.from({ length: 14 }, (_, i) => `2/${i}`);
const unharmed = [ONE, TWO, BLANK];
/** The first segment has messages of the first and the third queue, the second one of the second and the third. */
const unsureOfFirst = [again(ONE), TWO, again(BLANK)];
const rename = (directory: string, from: string, to: string) =>
  fs.renameSync(`${directory}/${from}`, `${directory}/${to}`);

const CASES: readonly Case[] = [
  ...[true, false].flatMap((crash): Case[] => [
    {
      what: "acknowledgements of two segments that are swapped",
      crash,
      harm(directory) {
        rename(directory, "00000001.ack", "x");
        rename(directory, "00000002.ack", "00000001.ack");
        rename(directory, "x", "00000002.ack");
      },
      problems: ["00000001.ack", "00000002.ack"].map((name) =>
        `The file ${name} was damaged or renamed: all acknowledgements in it were recovered${KEPT} ${name}.damaged-1`
      ),
      bodies: unharmed,
    },
    {
      what: "acknowledgements whose first length is wrong",
      crash,
      harm: (directory) => edit(`${directory}/00000001.ack`, (bytes) => void (bytes[0]! ^= 0x40)),
      problems: [
        `The file 00000001.ack was damaged or renamed: all acknowledgements in it were recovered${KEPT} 00000001.ack.damaged-1`,
      ],
      bodies: unharmed,
    },
    {
      what: "acknowledgements of which one is damaged",
      crash,
      harm: (directory) => edit(`${directory}/00000001.ack`, (bytes) => void (bytes[12]! ^= 0x40)),
      problems: [`The file 00000001.ack is damaged: ${SOME_AGAIN}${KEPT} 00000001.ack.damaged-1`].concat(
        crash ? [] : [
          "3 messages of queue 'queue 1' were acknowledged before the last clean stop, and are delivered again",
        ],
      ),
      bodies: [again(["1/0", "1/1", ...ONE.slice(0, 2), "1/4", ...ONE.slice(2)]), TWO, again(BLANK)],
    },
    {
      what: "a directory in the place of acknowledgements",
      crash,
      harm(directory) {
        fs.rmSync(`${directory}/00000002.ack`);
        fs.mkdirSync(`${directory}/00000002.ack`);
      },
      problems: [`The file 00000002.ack is not a file: ${SOME_AGAIN}${KEPT} 00000002.ack.damaged-1`].concat(
        crash ? [] : [
          `The file 00000002.ack is missing: ${AGAIN}`,
          "4 messages of queue 'queue 2' were acknowledged before the last clean stop, and are delivered again",
        ],
      ),
      bodies: [ONE, again([...ALL_TWO, ...LATER]), again(BLANK)],
    },
    {
      what: "names that no segment has",
      crash,
      harm(directory) {
        // The highest number of a segment is 2146435072.
        for (const name of ["00000000", "000000001", "2146435073"]) {
          fs.writeFileSync(`${directory}/${name}.log`, "x");
        }
      },
      problems: ["00000000", "000000001", "2146435073"].map((name) =>
        `"${name}.log" in the data directory is ignored: it is not the name of a segment`
      ),
      bodies: unharmed,
      there: ["00000000.log", "000000001.log", "2146435073.log"],
    },
    {
      what: "a segment that was renamed",
      crash,
      harm: (directory) => rename(directory, "00000002.log", "00000004.log"),
      problems: [
        `The segment 00000004.log was written as 00000002.log: all messages in it were recovered${KEPT} 00000004.log.damaged-1`,
        ...(crash ? [] : [
          "The file 00000002.log is missing: no message is lost",
          "The file 00000004.log was not there at the last clean stop: messages in it are delivered",
        ]),
      ],
      bodies: unharmed,
      gone: ["00000002.idx"],
    },
    {
      what: "copies of a segment, one in the place of another segment, and a segment that is cut off",
      crash,
      harm(directory) {
        fs.truncateSync(`${directory}/00000001.log`, 3);
        for (const name of ["00000002", "00000007", "00000008"]) {
          fs.copyFileSync(`${directory}/00000003.log`, `${directory}/${name}.log`);
        }
      },
      problems: [
        ...["00000002.log", "00000007.log", "00000008.log"].map((name) =>
          `The segment ${name} is a copy of 00000003.log${KEPT} ${name}.damaged-1`
        ),
        `The segment 00000001.log is damaged, and no message is found in it${KEPT} 00000001.log.damaged-1`,
        ...(crash ? [] : [
          "The file 00000001.log is N bytes shorter than at the last clean stop: 10 messages of queue 'queue 1', 1 message of queue 'queue 70000' are lost",
          "The file 00000002.log is N bytes shorter than at the last clean stop: 10 messages of queue 'queue 2', 1 message of queue 'queue 70000' are lost",
        ]),
      ],
      bodies: [ONE.slice(10), LATER, []],
      // The acknowledgements of a log that cannot be read are kept with it.
      there: ["00000001.ack.damaged-1", ...(crash ? [] : ["00000002.ack.damaged-1"])],
      gone: ["00000001.ack", "00000002.ack"],
    },
    ...([
      ["a head that is overwritten", (bytes) => bytes.fill(0, 0, 48)],
      ["a head whose salt is damaged, and whose repetition is damaged", (bytes) => {
        bytes[12]! ^= 1;
        bytes[30]! ^= 1;
      }],
      ["a head whose repetition has another number", (bytes) => bytes[44]! ^= 4],
    ] as [what: string, change: (bytes: Buffer) => void][]).map(([what, change]): Case => ({
      what,
      crash,
      harm: (directory) => edit(`${directory}/00000002.log`, (bytes) => void change(bytes)),
      problems: [
        // Its own record counts, too.
        `The segment 00000002.log is damaged: N bytes of messages are lost${KEPT} 00000002.log.damaged-1`,
      ],
      bodies: unharmed,
    })),
    {
      what: "a directory in the place of an index",
      crash,
      harm(directory) {
        fs.rmSync(`${directory}/00000001.idx`);
        fs.mkdirSync(`${directory}/00000001.idx`);
      },
      problems: crash ? [] : [
        "The file 00000001.idx is missing: the segment was read instead, and nothing is lost",
      ],
      bodies: unharmed,
      there: ["00000001.idx", "00000001.idx.damaged-1"],
    },
    ...[10, 11].map((count): Case => ({
      what: `${count} damaged messages in a segment with an index and a byte too many`,
      crash,
      harm: (directory) =>
        edit(`${directory}/00000002.log`, (bytes) => {
          for (let i = 0; i < count; i++) bytes[bytes.indexOf(`2/${i} `)]! ^= 1;
          return Buffer.concat([bytes, Buffer.of(0)]);
        }),
      problems: [
        `The segment 00000002.log is damaged: N bytes of messages are lost, ${
          Array.from({ length: 10 }, (_, i) => `message ${i} of queue 'queue 2'`).join(", ")
        }${count > 10 ? ", and 1 more" : ""}${KEPT} 00000002.log.damaged-1`,
        // Four of them were acknowledged.
        ...(crash ? [] : [
          `The file 00000002.log is N bytes longer than at the last clean stop: ${
            count - 4
          } messages of queue 'queue 2' are lost`,
        ]),
      ],
      bodies: [ONE, [...ALL_TWO.slice(count), ...LATER], BLANK],
    })),
  ]),
  {
    what: "acknowledgements that cannot be read",
    crash: false,
    harm: (directory) => edit(`${directory}/00000002.ack`, (bytes) => void bytes.fill(1)),
    problems: [
      `The file 00000002.ack is damaged: ${SOME_AGAIN}${KEPT} 00000002.ack.damaged-1`,
      "4 messages of queue 'queue 2' were acknowledged before the last clean stop, and are delivered again",
    ],
    bodies: [ONE, again([...ALL_TWO, ...LATER]), again(BLANK)],
    gone: ["00000002.ack"],
  },
  {
    what: "acknowledgements that cannot be read, as if they were being written",
    crash: true,
    harm: (directory) => edit(`${directory}/00000002.ack`, (bytes) => void bytes.fill(1)),
    problems: [],
    bodies: [ONE, [...ALL_TWO, ...LATER], BLANK],
    gone: ["00000002.ack.damaged-1"],
  },
  {
    what: "acknowledgements that were being written",
    crash: true,
    harm: (directory, firstAcks) =>
      edit(`${directory}/00000001.ack`, (bytes) => bytes.subarray(0, firstAcks + 7)),
    problems: [],
    bodies: [[...ONE.slice(0, 3), "1/6", ...ONE.slice(3)], TWO, BLANK],
  },
  {
    what: "acknowledgements that lack the last record",
    crash: false,
    harm: (directory, firstAcks) => fs.truncateSync(`${directory}/00000001.ack`, firstAcks),
    problems: [
      `The file 00000001.ack is N bytes shorter than at the last clean stop: ${AGAIN}`,
      "1 message of queue 'queue 1' were acknowledged before the last clean stop, and are delivered again",
    ],
    bodies: [again([...ONE.slice(0, 3), "1/6", ...ONE.slice(3)]), TWO, again(BLANK)],
    gone: ["00000001.ack.damaged-1"],
  },
  {
    what: "acknowledgements with something after the last record",
    crash: false,
    harm: (directory) => fs.appendFileSync(`${directory}/00000001.ack`, "x"),
    problems: [
      `The file 00000001.ack is damaged: ${SOME_AGAIN}${KEPT} 00000001.ack.damaged-1`,
      `The file 00000001.ack is N bytes longer than at the last clean stop: ${AGAIN}`,
    ],
    bodies: unsureOfFirst,
  },
  {
    what: "a last segment whose end was being written",
    crash: true,
    harm: (directory) =>
      fs.truncateSync(`${directory}/00000003.log`, fs.statSync(`${directory}/00000003.log`).size - 5),
    problems: [],
    bodies: [ONE.slice(0, -1), TWO.slice(0, -1), BLANK],
    gone: ["00000003.log.damaged-1"],
  },
  {
    what: "a segment with a byte too many",
    crash: false,
    harm: (directory) => fs.appendFileSync(`${directory}/00000002.log`, "x"),
    problems: [
      `The segment 00000002.log is damaged: 1 bytes of messages are lost${KEPT} 00000002.log.damaged-1`,
      "The file 00000002.log is 1 bytes longer than at the last clean stop: no message is lost",
    ],
    bodies: unharmed,
  },
  {
    what: "missing acknowledgements of the second segment",
    crash: false,
    harm: (directory) => fs.rmSync(`${directory}/00000002.ack`),
    problems: [
      `The file 00000002.ack is missing: ${AGAIN}`,
      "4 messages of queue 'queue 2' were acknowledged before the last clean stop, and are delivered again",
    ],
    bodies: [ONE, again([...ALL_TWO, ...LATER]), again(BLANK)],
  },
  {
    what: "a missing segment, whose acknowledgements are kept",
    crash: false,
    harm: (directory) => fs.rmSync(`${directory}/00000002.log`),
    problems: [
      "The file 00000002.log is missing: 10 messages of queue 'queue 2', 1 message of queue 'queue 70000' are lost",
    ],
    bodies: [ONE, LATER, [""]],
    there: ["00000002.ack.damaged-1"],
    gone: ["00000002.ack", "00000002.idx"],
  },
  {
    what: "a segment before the last one that lacks its end",
    crash: true,
    harm: (directory) =>
      fs.truncateSync(`${directory}/00000002.log`, fs.statSync(`${directory}/00000002.log`).size - 5),
    // The record has 46 bytes more than its body.
    problems: ["The segment 00000002.log is truncated: its last 441 bytes are lost"],
    bodies: [ONE, TWO, [""]],
    there: ["00000002.idx"],
  },
];

describe("data directory, reopened", () => {
  for (const { what, crash, harm, problems, bodies, there = [], gone = [] } of CASES) {
    it(`data directory - ${what}, after a ${crash ? "crash" : "clean stop"}`, () => {
      using dir = tempDir();
      const directory = dir.file("data");
      const firstAcks = make(directory, crash);
      harm(directory, firstAcks);
      const first = start(directory, (model) => {
        model.publish("after", [FIRST]);
        const names = fs.readdirSync(directory);
        assert.deepEqual(there.filter((name) => !names.includes(name)), []);
        assert.deepEqual(gone.filter((name) => names.includes(name)), []);
      });
      // A directory lists its names in any order.
      const reported = first.problems.map((text) =>
        problems.includes(text) ? text : text.replace(/\d+ bytes/g, "N bytes")
      );
      assert.deepEqual(reported.sort(), [...problems].sort());
      assert.deepEqual(first.bodies, [...bodies, []]);
      // The next start finds the same, and has nothing to report but what it ignores.
      const [one, ...others] = bodies;
      const ignored = first.problems.filter((text) => /is ignored/.test(text));
      assert.deepEqual(start(directory), { bodies: [[...one!, "after"], ...others, []], problems: ignored });
    });
  }

  it("data directory - an incomplete acknowledgement is cut off before others follow", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    const firstAcks = make(directory, true);
    fs.truncateSync(`${directory}/00000001.ack`, firstAcks + 7);
    const bodies = [ONE.filter((body) => body !== "1/7"), TWO, BLANK, []];
    const settle = (model: JournalModel) => {
      const lane = model.lanes.get(FIRST)!;
      for (const seq of [6, 7]) {
        model.journal.settle(lane.segmentAt(seq), FIRST, 3, seq, lane.sizeAt(seq));
        lane.remove(seq);
      }
    };
    assert.deepEqual(start(directory, settle).problems, []);
    assert.deepEqual(start(directory), { bodies, problems: [] });
  });

  it("data directory - a start does not depend on the order of the names in the directory", () => {
    for (const order of [1, -1]) {
      using dir = tempDir();
      const directory = dir.file("data");
      make(directory);
      const { readdirSync } = fs;
      Object.assign(fs, {
        readdirSync: (path: string) => readdirSync(path).sort((a, b) => a < b ? -order : order),
      });
      try {
        const { bodies, problems } = start(directory, (model) => {
          // They need another segment.
          for (let i = 0; i < 10; i++) model.publish("after ".padEnd(200, "x"), [QUEUES[3]!]);
        });
        assert.deepEqual([bodies, problems], [[...unharmed, []], []]);
        const after = Array.from({ length: 10 }, () => "after");
        assert.deepEqual(start(directory), { bodies: [...unharmed, after], problems: [] });
      } finally {
        Object.assign(fs, { readdirSync });
      }
    }
  });

  it("data directory - the acknowledgements of a renamed segment are not lost in a crash before they are written again", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    make(directory);
    rename(directory, "00000002.log", "00000004.log");
    const model = new JournalModel({ ...OPTIONS, directory });
    copyFiles(directory, dir.file("early"));
    model.flush();
    copyFiles(directory, dir.file("late"));
    model.journal.close();
    for (const copy of ["early", "late"]) {
      // The first start writes what is missing, and the second one needs the old file no longer.
      for (let i = 0; i < 2; i++) {
        assert.deepEqual(start(dir.file(copy)), { bodies: [...unharmed, []], problems: [] }, copy);
      }
      assert.equal(fs.existsSync(`${dir.file(copy)}/00000002.ack`), false);
    }
  });

  it("data directory - a repaired segment is on disk before it takes the place of the damaged one", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    make(directory);
    edit(`${directory}/00000002.log`, (bytes) => void (bytes[0]! ^= 1));
    const { openSync, fdatasyncSync, renameSync } = fs;
    const paths = new Map<number, string>();
    const steps: string[] = [];
    Object.assign(fs, {
      openSync: (file: string, flags: string, mode?: number) => {
        const fd = openSync(file, flags, mode);
        paths.set(fd, file);
        return fd;
      },
      fdatasyncSync: (fd: number) => void steps.push(`sync ${path.basename(paths.get(fd)!)}`),
      renameSync: (from: string, to: string) => {
        steps.push(`rename ${path.basename(from)}`);
        renameSync(from, to);
      },
    });
    try {
      start(directory);
    } finally {
      Object.assign(fs, { openSync, fdatasyncSync, renameSync });
    }
    assert.deepEqual(steps.slice(0, 2), ["sync 00000002.log.new", "rename 00000002.log.new"]);
  });

  it("data directory - a damaged segment that cannot be repaired is used as it is, and repaired at the next start", () => {
    using dir = tempDir();
    const directory = dir.file("data");
    make(directory);
    edit(`${directory}/00000002.log`, (bytes) => {
      bytes[0]! ^= 1;
      bytes[bytes.indexOf("2/3 ")]! ^= 1;
    });
    const { linkSync, copyFileSync } = fs;
    const fail = () => {
      throw new Error("no space");
    };
    Object.assign(fs, { linkSync: fail, copyFileSync: fail });
    const bodies = [ONE, TWO.filter((body) => body !== "2/3"), BLANK, []];
    try {
      const { problems, bodies: found } = start(directory);
      assert.deepEqual(found, bodies);
      assert.equal(problems[0], "Cannot repair the segment 00000002.log: no space");
    } finally {
      Object.assign(fs, { linkSync, copyFileSync });
    }
    const { problems, bodies: found } = start(directory);
    assert.deepEqual(found, bodies);
    assert.match(problems[0]!, /^The segment 00000002\.log is damaged: .* kept as 00000002\.log\.damaged-1$/);
    assert.deepEqual(start(directory), { bodies, problems: [] });
  });
});
