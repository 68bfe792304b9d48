/** Truncated and damaged files of a journal: complete records are restored, damage is reported, and nothing throws. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import type { JournalOptions } from "../../../../../lib/broker/core/journal/journal.ts";
import { tempDir } from "../../../../support/helpers.ts";
import { copyFiles, JournalModel, QUEUES } from "../../../../support/journal_model.ts";

const ID = QUEUES[0]!;
const LOG = "00000001.log";

/** Opens the directory and returns the bodies in the queue, in order. */
function bodiesIn(
  directory: string,
  options: JournalOptions = {},
): { model: JournalModel; bodies: string[] } {
  const model = new JournalModel({ sync: "flush", directory, segmentSize: 4096, ...options });
  const lane = model.lanes.get(ID)!;
  const bodies: string[] = [];
  for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) {
    bodies.push(model.bodyAt(ID, seq) ?? "damaged");
  }
  return { model, bodies };
}

/** Makes the files of a journal with ten messages, after `kill -9` or a close. */
function written(directory: string, closed = false): { ends: number[]; bodies: string[] } {
  const model = new JournalModel({ sync: "flush", directory, segmentSize: 432 });
  const ends: number[] = [];
  const bodies: string[] = [];
  for (let i = 0; i < 7; i++) {
    const body = `body ${i}`;
    model.publish(body, [ID]);
    bodies.push(body);
    ends.push(model.journal.position);
  }
  model.flush();
  if (closed) model.journal.close();
  else {
    copyFiles(directory, `${directory}.copy`);
    model.journal.close();
    copyFiles(`${directory}.copy`, directory);
  }
  return { ends, bodies };
}

describe("journal, damaged", () => {
  it("journal - restores the complete records of a log truncated at any byte, and continues", () => {
    using folder = tempDir();
    const { ends, bodies } = written(folder.file("whole"));
    const length = fs.statSync(`${folder.file("whole")}/${LOG}`).size;
    assert.equal(length, ends[6]);
    for (let cut = 0; cut <= length; cut++) {
      // The header of the segment, and its last records.
      if (cut > 60 && cut < ends[3]!) continue;
      const directory = folder.file("cut");
      copyFiles(folder.file("whole"), directory);
      fs.truncateSync(`${directory}/${LOG}`, cut);
      const found = bodiesIn(directory);
      const whole = bodies.slice(0, ends.filter((end) => end <= cut).length);
      assert.deepEqual(found.bodies, whole, `cut at ${cut}`);
      assert.deepEqual(found.model.problems, [], `cut at ${cut}`);
      found.model.publish("later", [ID]);
      found.model.journal.close();
      const again = bodiesIn(directory);
      assert.deepEqual(again.bodies, [...whole, "later"], `cut at ${cut}`);
      again.model.journal.close();
    }
  });

  it("journal - loses only the message of a damaged record, and reports it", () => {
    using folder = tempDir();
    const { ends, bodies } = written(folder.file("whole"));
    const others = bodies.filter((_, i) => i !== 3);
    for (let at = ends[2]!; at < ends[3]!; at++) {
      const directory = folder.file("damaged");
      copyFiles(folder.file("whole"), directory);
      flip(`${directory}/${LOG}`, at);
      const found = bodiesIn(directory);
      // The first four bytes are the length, which is found again.
      if (at < ends[2]! + 4) {
        assert.deepEqual(found.bodies, bodies, `byte ${at}`);
        assert.match(
          found.model.problems.join("\n"),
          /^The segment 00000001\.log was damaged: all messages in it were recovered/,
        );
        found.model.journal.close();
        continue;
      }
      assert.deepEqual(found.bodies, others, `byte ${at}`);
      assert.equal(found.model.problems.length, 1);
      assert.match(
        found.model.problems[0]!,
        /00000001\.log is damaged: \d+ bytes of messages are lost; .*damaged-1$/,
      );
      assert.equal(
        fs.readFileSync(`${directory}/${LOG}.damaged-1`)[at],
        fs.readFileSync(`${folder.file("whole")}/${LOG}`)[at]! ^ 0x55,
      );
      found.model.journal.close();
    }
  });

  it("journal - does not read a body as a record when its own record is damaged", () => {
    using folder = tempDir();
    written(folder.file("other"));
    const record = fs.readFileSync(`${folder.file("other")}/${LOG}`).subarray(48);
    const directory = folder.file("journal");
    const model = new JournalModel({ sync: "flush", directory });
    model.publish(new TextDecoder("latin1").decode(record), [ID]);
    model.publish("last", [ID]);
    model.flush();
    const copy = folder.file("copy");
    copyFiles(directory, copy);
    model.journal.close();
    flip(`${copy}/${LOG}`, 48 + 24);
    const found = bodiesIn(copy);
    assert.deepEqual(found.bodies, ["last"]);
    found.model.journal.close();
  });

  it("journal - detects a damaged record of a sealed segment on reading", () => {
    using folder = tempDir();
    const { ends, bodies } = written(folder.file("whole"), true);
    for (let at = ends[2]!; at < ends[3]!; at += 5) {
      const directory = folder.file("damaged");
      copyFiles(folder.file("whole"), directory);
      assert.ok(fs.existsSync(`${directory}/00000001.idx`));
      flip(`${directory}/${LOG}`, at);
      // Prevents that the segment is continued, which would read all of it.
      const found = bodiesIn(directory, { segmentSize: 400 });
      assert.deepEqual(found.bodies, bodies.with(3, "damaged"), `byte ${at}`);
      assert.match(
        found.model.problems.join("\n"),
        /^Message 3 of queue 'queue 1' is damaged and cannot be delivered \(at \d+ of 00000001\.log\); .*damaged-1$/,
      );
      found.model.journal.close();
    }
  });

  it("journal - scans the segment when its index is damaged, truncated, of another log, or missing", () => {
    using folder = tempDir();
    const { bodies } = written(folder.file("whole"), true);
    const index = `${folder.file("damaged")}/00000001.idx`;
    const length = fs.statSync(`${folder.file("whole")}/00000001.idx`).size;
    const harms: (() => void)[] = [() => fs.rmSync(index), () => fs.writeFileSync(index, "")];
    for (let at = 0; at < length; at++) harms.push(() => flip(index, at), () => fs.truncateSync(index, at));
    for (const harm of harms) {
      copyFiles(folder.file("whole"), folder.file("damaged"));
      harm();
      const found = bodiesIn(folder.file("damaged"), { segmentSize: 400 });
      assert.deepEqual(found.bodies, bodies);
      assert.match(
        found.model.problems.join("\n"),
        /^The file 00000001\.idx .*: the segment was read instead, and nothing is lost$/,
      );
      found.model.journal.close();
    }
  });

  it("journal - restores messages whose acknowledgements are truncated, and accepts new ones", () => {
    using folder = tempDir();
    const directory = folder.file("journal");
    const model = new JournalModel({ sync: "flush", directory });
    for (let i = 0; i < 6; i++) model.publish(`body ${i}`, [ID]);
    model.flush();
    const acks = `${folder.file("cut")}/00000001.ack`;
    const lengths: number[] = [];
    for (const seq of [1, 2, 4]) {
      model.settle(ID, seq);
      model.flush();
      lengths.push(fs.statSync(`${directory}/00000001.ack`).size);
    }
    for (let cut = 0; cut <= lengths[2]!; cut++) {
      copyFiles(directory, folder.file("cut"));
      fs.truncateSync(acks, cut);
      const whole = lengths.filter((length) => length <= cut).length;
      const kept = [0, 1, 2, 3, 4, 5].filter((seq) => ![1, 2, 4].slice(0, whole).includes(seq));
      const found = bodiesIn(folder.file("cut"));
      assert.deepEqual(found.bodies, kept.map((seq) => `body ${seq}`), `cut at ${cut}`);
      assert.deepEqual(found.model.problems, []);
      found.model.state = structuredClone(model.state);
      found.model.settle(ID, 0);
      found.model.journal.close();
      const again = bodiesIn(folder.file("cut"));
      assert.deepEqual(
        again.bodies,
        kept.filter((seq) => seq > 0).map((seq) => `body ${seq}`),
        `cut at ${cut}`,
      );
      again.model.journal.close();
    }
    // A damaged acknowledgement does not affect the later ones.
    copyFiles(directory, folder.file("cut"));
    flip(acks, 10);
    const found = bodiesIn(folder.file("cut"));
    assert.deepEqual(found.bodies, ["body 0", "body 1", "body 3", "body 5"]);
    assert.match(found.model.problems.join("\n"), /^The file 00000001\.ack is damaged/);
    found.model.journal.close();
    model.journal.close();
  });

  it("journal - keeps and reports a file that is not a segment", () => {
    using folder = tempDir();
    const directory = folder.file("journal");
    const { bodies } = written(directory);
    fs.writeFileSync(`${directory}/00000009.log`, "something else, and long enough");
    const found = bodiesIn(directory, { segmentSize: 200 });
    assert.deepEqual(found.bodies, bodies);
    assert.match(
      found.model.problems.join("\n"),
      /^The segment 00000009\.log is damaged, and no message is found in it; .*damaged-1$/,
    );
    found.model.publish("later", [ID]);
    found.model.flush();
    assert.ok(fs.existsSync(`${directory}/00000010.log`));
    found.model.journal.close();
    const kept = fs.readFileSync(`${directory}/00000009.log.damaged-1`, "utf8");
    assert.equal(kept, "something else, and long enough");
  });
});

/** Changes one byte of a file. */
function flip(file: string, at: number): void {
  const bytes = fs.readFileSync(file);
  bytes[at]! ^= 0x55;
  fs.writeFileSync(file, bytes);
}
