import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import { describe } from "node:test";
import { type TempDir, tempDir } from "../support/helpers.ts";
import { run, start, test } from "../support/mqcat.ts";

const MIB = 2 ** 20;
const SIZE = 100 * MIB;

/** A file of 100 MiB without repeated blocks, and its checksum. */
function largeFile(dir: TempDir): { path: string; sum: string } {
  const path = dir.file("large");
  const hash = createHash("sha256");
  const piece = randomBytes(MIB);
  const file = fs.openSync(path, "w");
  for (let i = 0; i < SIZE / MIB; i++) {
    piece.writeUInt32BE(i, i);
    hash.update(piece);
    fs.writeSync(file, piece);
  }
  fs.closeSync(file);
  return { path, sum: hash.digest("hex") };
}

const checksum = (path: string) => createHash("sha256").update(fs.readFileSync(path)).digest("hex");

describe("a message of 100 MB", () => {
  test("push --in blob, pull --out blob - carry it from stdin to a file", async () => {
    using dir = tempDir();
    const { path, sum } = largeFile(dir);
    using pull = start(["pull", ":0", "-n", "1", "--out", "blob"], { stdout: dir.file("out") });
    const endpoint = await pull.readyEndpoint();
    const stdin = fs.openSync(path, "r");
    try {
      assert.equal((await run(["push", endpoint, "--in", "blob"], { stdinFrom: stdin })).code, 0);
    } finally {
      fs.closeSync(stdin);
    }
    assert.equal((await pull.exit()).code, 0);
    assert.equal(checksum(dir.file("out")), sum);
  });

  test("pub -F, sub --out u32 - carry it from a file, over ipc", async () => {
    using dir = tempDir();
    const { path, sum } = largeFile(dir);
    const endpoint = `ipc://${dir.file("feed")}`;
    using sub = start(["sub", endpoint, "-n", "1", "--out", "u32"], { stdout: dir.file("out") });
    assert.equal((await run(["pub", endpoint, "-F", path])).code, 0);
    assert.equal((await sub.exit()).code, 0);
    const printed = fs.readFileSync(dir.file("out"));
    assert.equal(printed.readUInt32BE(0), SIZE);
    assert.equal(createHash("sha256").update(printed.subarray(4)).digest("hex"), sum);
  });

  test("req, rep --echo - carry it there and back", async () => {
    using dir = tempDir();
    const { path, sum } = largeFile(dir);
    using rep = start(["rep", ":0", "--echo", "-n", "1"]);
    const args = ["req", await rep.readyEndpoint(), "-F", path, "--out", "blob"];
    assert.equal((await run(args, { stdout: dir.file("out") })).code, 0);
    assert.equal((await rep.exit()).code, 0);
    assert.equal(checksum(dir.file("out")), sum);
  });

  test("push, pull - carry it between short lines, all in order", async () => {
    using dir = tempDir();
    const line = Buffer.alloc(30 * MIB, "long ");
    const stdin = Buffer.concat([Buffer.from("before\n"), line, Buffer.from("\nafter\n"), line]);
    using pull = start(["pull", ":0", "-n", "4"], { stdout: dir.file("out") });
    assert.equal((await run(["push", await pull.readyEndpoint()], { stdin })).code, 0);
    assert.equal((await pull.exit()).code, 0);
    const printed = fs.readFileSync(dir.file("out"));
    assert.ok(printed.subarray(0, -1).equals(stdin) && printed.at(-1) === 10);
  });
});
