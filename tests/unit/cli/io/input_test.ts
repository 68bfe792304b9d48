/** Messages from a descriptor: a file, and pipes whose writers are slow or fast. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import type { Writable } from "node:stream";
import { describe, it } from "node:test";
import { DescriptorReader } from "../../../../cli/io/descriptor.ts";
import { Input } from "../../../../cli/io/input.ts";
import { splitterFor } from "../../../../cli/records/splitter.ts";
import { tempDir } from "../../../support/helpers.ts";

/** Lines of different lengths, so that every buffer ends in the middle of one: some need a larger buffer. */
function lines(): Uint8Array[] {
  const sizes = [0, 1, 63, 70_000, 300_000, 1_000_000, 5_000_000];
  return Array.from({ length: 21 }, (_, i) => new Uint8Array(sizes[i % sizes.length]!).fill(0x61 + i % 26));
}

function textOf(list: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(list.flatMap((line) => [line, Uint8Array.of(10)])));
}

/** Writes in small pieces: a reader finds less than a full pipe. */
async function writeSlowly(stdin: Writable, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += 30_000) {
    await new Promise((resolve) => stdin.write(bytes.subarray(at, at + 30_000), resolve));
  }
  stdin.end();
}

/** Reads all messages. Some batches are used for a while after the next call, as an outbox uses them. */
async function readAll(fd: number): Promise<Uint8Array[]> {
  const input = new Input(new DescriptorReader(fd), splitterFor("lines", {}));
  const read: Uint8Array[] = [];
  const leased: (() => void)[] = [];
  for (let batch = await input.next(); batch !== undefined; batch = await input.next()) {
    const { lease } = batch;
    const frames = Array.from({ length: batch.frames }, (_, i) => batch.frame(i));
    const first = read.length;
    read.push(...frames.map((frame) => frame.slice()));
    if (lease === undefined) continue;
    lease.retain();
    leased.push(() => {
      frames.forEach((frame, i) =>
        assert.ok(Buffer.compare(frame, read[first + i]!) === 0, "it was overwritten")
      );
      lease.release();
    });
    if (leased.length > 3) leased.shift()!();
  }
  for (const check of leased) check();
  assert.ok(input.ended);
  return read;
}

function assertLines(read: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  assert.deepEqual(read.map(({ length }) => length), expected.map(({ length }) => length));
  read.forEach((line, i) => assert.ok(Buffer.compare(line, expected[i]!) === 0, `line ${i}`));
}

describe("input", () => {
  it("input - reads a file, and leaves a leased buffer as it is", async () => {
    using dir = tempDir();
    const expected = lines();
    fs.writeFileSync(dir.file("in"), textOf(expected));
    const fd = fs.openSync(dir.file("in"), "r");
    assertLines(await readAll(fd), expected);
    fs.closeSync(fd);
  });

  for (const writer of ["fast", "slow"]) {
    it(`input - reads a pipe whose writer is ${writer}`, async () => {
      using dir = tempDir();
      const expected = lines();
      fs.writeFileSync(dir.file("in"), textOf(expected));
      execFileSync("mkfifo", [dir.file("pipe")]);
      const child = spawn("/bin/sh", ["-c", 'exec cat > "$0"', dir.file("pipe")], {
        stdio: [writer === "fast" ? fs.openSync(dir.file("in"), "r") : "pipe", "ignore", "inherit"],
      });
      if (child.stdin !== null) writeSlowly(child.stdin, textOf(expected));
      const closed = new Promise((resolve) => child.on("close", resolve));
      const fd = fs.openSync(dir.file("pipe"), "r");
      assertLines(await readAll(fd), expected);
      fs.closeSync(fd);
      await closed;
    });
  }
});
