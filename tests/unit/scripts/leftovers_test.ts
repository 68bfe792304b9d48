import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { it } from "node:test";
import { endLeftovers } from "../../../scripts/leftovers.ts";

it("leftovers - processes with the mark of a run end, in any process group; others stay", {
  skip: !fs.existsSync("/proc/self/environ"),
}, async () => {
  const mark = crypto.randomUUID();
  const start = (MQCAT_TEST_RUN: string) =>
    spawn("sleep", ["60"], {
      detached: true,
      stdio: "ignore",
      env: { PATH: "/bin:/usr/bin", MQCAT_TEST_RUN },
    });
  const [left, other] = [start(mark), start("another run")];
  const ended = once(left, "exit");
  await Promise.all([left, other].map((child) => child.pid ?? once(child, "spawn")));
  assert.equal(endLeftovers(mark), 1);
  assert.deepEqual(await ended, [null, "SIGKILL"]);
  assert.equal(other.exitCode, null);
  assert.equal(endLeftovers(mark), 0);
  other.kill("SIGKILL");
});
