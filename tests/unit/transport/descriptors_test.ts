/** The count of open file descriptors. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe, it } from "node:test";
import { openDescriptors } from "../../../lib/transport/descriptors.ts";

describe("descriptors", () => {
  it("descriptors - all open ones are counted, also above the lowest free number", () => {
    const before = openDescriptors();
    const fds = Array.from({ length: 600 }, () => fs.openSync("/dev/null", "r")).sort((a, b) => a - b);
    try {
      // Low numbers become free, as after many connections that ended.
      for (const fd of fds.splice(0, 300)) fs.closeSync(fd);
      const more = openDescriptors() - before;
      // Other tests of the process may open and close some.
      assert.ok(more > 200 && more < 400, `${more}`);
    } finally {
      for (const fd of fds) fs.closeSync(fd);
    }
  });
});
