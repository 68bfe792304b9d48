/** Files of dumps: what an interruption leaves, and how the same dump continues. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { DumpFile } from "../../../../cli/queue/dump/file.ts";
import { tempDir } from "../../../support/helpers.ts";

const START = { queue: 0, position: 0, messages: 0 };
const OPTIONS = { force: false, identity: "same", onChange: () => {} };

describe("dump file", () => {
  for (const left of ["", "a block that is not noted"]) {
    it(`continues with the plan of the first start, whose part has ${left || "nothing"}`, async () => {
      using dir = tempDir();
      const path = dir.file("dump");
      const first = new DumpFile(path, { ...OPTIONS, plan: "first" });
      await first.abandon();
      fs.appendFileSync(`${path}.part`, left);
      const second = new DumpFile(path, { ...OPTIONS, plan: "second" });
      assert.deepEqual([second.plan, second.continued], ["first", undefined]);
      second.append("whole\n", START);
      await second.complete(START);
      assert.equal(fs.readFileSync(path, "utf8"), "whole\n");
      assert.deepEqual(fs.readdirSync(dir.path), ["dump"]);
    });
  }

  it("a dump whose part was removed begins again, with its own plan", async () => {
    using dir = tempDir();
    const path = dir.file("dump");
    await new DumpFile(path, { ...OPTIONS, plan: "first" }).abandon();
    fs.rmSync(`${path}.part`);
    const second = new DumpFile(path, { ...OPTIONS, plan: "second" });
    assert.equal(second.plan, "second");
    await second.abandon();
  });
});
