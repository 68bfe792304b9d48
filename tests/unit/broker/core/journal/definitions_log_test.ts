/** The file of definitions: when it is rewritten, what a failed write leaves, and what counts as damage. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import {
  DefinitionsLog,
  type DefinitionsLogOptions,
} from "../../../../../lib/broker/core/journal/definitions_log.ts";
import { tempDir } from "../../../../support/helpers.ts";

/** Opens the file of a directory. @returns what it has, what is wrong with it, and what is said of that */
function open(directory: string, options: Partial<DefinitionsLogOptions> = {}) {
  const found: unknown[] = [];
  const problems: string[] = [];
  const log = DefinitionsLog.open({
    directory,
    sync: false,
    snapshot: () => [],
    onProblem: (text) => problems.push(text.replace(`${directory}/`, "")),
    ...options,
  }, (change) => found.push(change));
  return { log, found, problems, state: [log.damaged, log.incomplete] as const };
}

/** The content of a file with these changes. */
function contentOf(...changes: unknown[]): Uint8Array {
  using folder = tempDir();
  const { log } = open(folder.path);
  for (const change of changes) log.append(change);
  log.close();
  return fs.readFileSync(folder.file("definitions"));
}

describe("definitions log", () => {
  it("rewrite - when the file is over 64 KiB, and over twice the length after the last rewrite", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const large = "x".repeat(40_000);
    const state = [{ large }];
    const { log } = open(folder.path, { snapshot: () => state });
    const lengths: number[] = [];
    // Each record has 1024 bytes: a head of 8 bytes and JSON.
    const change = { c: "y".repeat(1024 - 8 - 8) };
    for (let i = 0; i < 200; i++) {
      log.append(change);
      lengths.push(fs.statSync(file).size);
    }
    log.close();
    const rewrites = lengths.flatMap((length, i) =>
      i > 0 && length < lengths[i - 1]! ? [[lengths[i - 1], length]] : []
    );
    const after = 4 + 8 + JSON.stringify(state[0]).length;
    // 64 records are 65,536 bytes, with the salt 4 more.
    assert.deepEqual(rewrites[0], [65_540, after]);
    assert.deepEqual(rewrites[1], [after + 1024 * Math.ceil((after + 1) / 1024), after]);
  });

  it("rewrite - a file that was longer at the start grows to twice that length only after a rewrite", () => {
    using folder = tempDir();
    const file = folder.file("definitions");
    const long = { c: "y".repeat(70_000) };
    fs.writeFileSync(file, contentOf(long));
    const { log, found, state } = open(folder.path, { snapshot: () => [{ few: 1 }] });
    assert.deepEqual([found, state], [[long], [false, false]]);
    const before = fs.statSync(file).size;
    log.append({ a: 1 });
    assert.ok(fs.statSync(file).size > before);
    log.append({ a: 2 });
    assert.equal(fs.statSync(file).size, 4 + 8 + '{"few":1}'.length);
    log.close();
  });

  it("a failed write - is kept as an error, and made up for with the current state", () => {
    using folder = tempDir();
    const { log } = open(folder.path, { snapshot: () => [{ all: 1 }] });
    log.append({ a: 1 });
    assert.equal(log.catchUp(), true);
    const { writeSync } = fs;
    fs.writeSync = () => {
      throw Object.assign(new Error("no space"), { code: "ENOSPC" });
    };
    const text =
      `Cannot write to the data directory "${folder.path}": the disk is full (ENOSPC); the broker continues when there is space`;
    try {
      assert.throws(() => log.append({ a: 2 }), { message: text });
      assert.equal(log.writeError!.message, text);
      assert.equal(log.catchUp(), false);
      assert.throws(() => log.append({ a: 3 }), { message: text });
    } finally {
      fs.writeSync = writeSync;
    }
    assert.equal(log.catchUp(), true);
    assert.equal(log.writeError, undefined);
    log.append({ a: 4 });
    log.close();
    log.close();
    assert.deepEqual(open(folder.path).found, [{ all: 1 }, { a: 4 }]);
  });

  it("a failed write - the next change writes the whole state", () => {
    using folder = tempDir();
    const { log } = open(folder.path, { snapshot: () => [{ all: 1 }] });
    fs.rmSync(folder.file("definitions"));
    assert.throws(() => log.append({ a: 1 }), /"definitions" was deleted while the broker was running/);
    log.append({ a: 2 });
    assert.equal(log.writeError, undefined);
    log.close();
    assert.deepEqual(open(folder.path).found, [{ all: 1 }]);
  });

  it("sync - each change is on disk before the call returns, if that is asked for", () => {
    for (const sync of [true, false]) {
      using folder = tempDir();
      const { fdatasyncSync, fsyncSync } = fs;
      let syncs = 0;
      let directories = 0;
      fs.fdatasyncSync = () => void syncs++;
      fs.fsyncSync = () => void directories++;
      try {
        const { log } = open(folder.path, { sync });
        const counts = [[syncs > 0, directories > 0]];
        syncs = directories = 0;
        log.append({ a: 1 });
        log.append({ a: 2 });
        counts.push([syncs === 2, directories > 0]);
        log.writeError = new Error("before");
        syncs = directories = 0;
        log.catchUp();
        counts.push([syncs > 0, directories > 0]);
        log.close();
        assert.deepEqual(counts, [[sync, sync], [sync, false], [sync, sync]]);
      } finally {
        Object.assign(fs, { fdatasyncSync, fsyncSync });
      }
    }
  });

  const A = { a: 1 };
  const B = { b: 2 };
  const content = contentOf(A, B);
  const [salt, cut] = [content.subarray(0, 4), content.subarray(0, content.length - 1)];
  const flipped = content.map((byte, i) => i === 14 ? byte ^ 1 : byte);
  const other = content.map((byte, i) => i < 4 ? byte ^ 255 : byte);
  /** The file, the options, what is found, whether it is damaged and incomplete, and what is said. */
  const CASES: readonly [
    what: string,
    file: Uint8Array | undefined | "directory",
    options: Partial<DefinitionsLogOptions>,
    expected: string,
  ][] = [
    ["a new directory", undefined, {}, "[] | false,true"],
    ["a file with a salt only", salt, {}, "[] | false,true"],
    ["a file with a salt only, where there must be more", salt, { mustExist: true }, "[] | true,true"],
    ["an empty file", new Uint8Array(0), {}, "[] | true,true"],
    ["a part of the salt", salt.subarray(0, 3), {}, "[] | true,true"],
    ["a salt and a byte", content.subarray(0, 5), {}, "[] | true,true"],
    ["a whole file", content, { mustExist: true }, '[{"a":1},{"b":2}] | false,false'],
    [
      "a whole file after a clean stop",
      content,
      { mustExist: true, changed: false },
      '[{"a":1},{"b":2}] | false,false',
    ],
    ["a whole file that has changed", content, { changed: true }, '[{"a":1},{"b":2}] | false,false'],
    ["a file that is cut", content, { changed: "cut" }, '[{"a":1},{"b":2}] | true,true'],
    ["a record that was being written", cut, {}, '[{"a":1}] | false,true'],
    [
      "an incomplete record after a clean stop",
      cut,
      { changed: true },
      '[{"a":1}] | true,true | The file "definitions" is damaged: 14 bytes of definitions are lost; the file as it was is kept as definitions.damaged-1',
    ],
    [
      "a damaged record",
      flipped,
      {},
      '[{"b":2}] | true,true | The file "definitions" is damaged: 15 bytes of definitions are lost; the file as it was is kept as definitions.damaged-1',
    ],
    [
      "a damaged salt",
      other,
      {},
      '[{"a":1},{"b":2}] | false,false | The file "definitions" was damaged: all definitions were recovered; the file as it was is kept as definitions.damaged-1',
    ],
    ["junk", new Uint8Array(40).fill(7), {}, "[] | true,true"],
    [
      "junk, where there must be more",
      new Uint8Array(40).fill(7),
      { mustExist: true },
      '[] | true,true | The file "definitions" has no valid record: the definitions in it are lost; the file as it was is kept as definitions.damaged-1',
    ],
    [
      "a directory in its place",
      "directory",
      {},
      '[] | true,true | The file "definitions" is not a file: all definitions are lost; the file as it was is kept as definitions.damaged-1',
    ],
    [
      "a missing file",
      undefined,
      { mustExist: true },
      '[] | true,true | The file "definitions" is missing: all definitions are lost',
    ],
    [
      "a missing file that the manifest has reported",
      undefined,
      { mustExist: true, changed: "cut" },
      "[] | true,true",
    ],
  ];
  for (const [what, bytes, options, expected] of CASES) {
    it(`start - ${what}`, () => {
      for (const defer of [false, true]) {
        using folder = tempDir();
        const file = folder.file("definitions");
        if (bytes === "directory") fs.mkdirSync(file);
        else if (bytes !== undefined) fs.writeFileSync(file, bytes);
        const { log, found, problems, state } = open(folder.path, { ...options, defer });
        const said = [JSON.stringify(found), state.join(), ...problems].join(" | ");
        assert.equal(said, expected);
        const isWaiting = defer && state[1];
        const before = fs.existsSync(file) ? fs.readFileSync(file) : undefined;
        if (isWaiting) {
          assert.deepEqual(
            before,
            bytes === "directory" || bytes === undefined ? undefined : Buffer.from(bytes),
          );
        }
        log.append({ more: 1 });
        if (isWaiting) {
          assert.deepEqual(fs.existsSync(file) ? fs.readFileSync(file) : undefined, before);
          log.complete();
        }
        log.complete();
        log.append({ more: 2 });
        log.close();
        const again = open(folder.path, { changed: true });
        assert.deepEqual([again.found, again.problems], [[...found, { more: 1 }, { more: 2 }], []]);
        again.log.close();
      }
    });
  }
});
