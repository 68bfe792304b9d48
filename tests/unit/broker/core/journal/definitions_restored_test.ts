/** The file of definitions: what is restored from it, whole, truncated or damaged. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { DefinitionsLog } from "../../../../../lib/broker/core/journal/definitions_log.ts";
import { tempDir } from "../../../../support/helpers.ts";

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
