import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { fileReason } from "../../../../cli/app/file_error.ts";

function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe("fileReason", () => {
  it("says why a file is refused, without the code and the system call", () => {
    assert.equal(fileReason(errorOf(() => fs.readFileSync("/tmp"))), "it is a directory, not a file");
    assert.equal(
      fileReason(errorOf(() => fs.readFileSync("/no/file"))),
      "there is no such file or directory",
    );
    assert.equal(
      fileReason(errorOf(() => fs.readFileSync("/dev/null/x"))),
      "a part of the path is not a directory",
    );
  });

  it("leaves other errors alone", () => {
    assert.equal(fileReason(new Error("ENOENT")), undefined);
    assert.equal(fileReason(Object.assign(new Error("spawn x ENOENT"), { code: "ENOENT" })), undefined);
    assert.equal(fileReason("text"), undefined);
  });
});
