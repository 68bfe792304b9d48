/** The lock of a data directory. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { Lock } from "../../../../../lib/broker/core/journal/files/lock.ts";
import { MqcatError } from "../../../../../lib/errors.ts";
import { tempDir, waitFor } from "../../../../support/helpers.ts";

describe("lock", () => {
  it("lock - allows one process, which the error names", () => {
    using folder = tempDir();
    const lock = Lock.take(folder.path);
    assert.throws(() => Lock.take(folder.path), (error: Error) => {
      assert.ok(error instanceof MqcatError && error.code === "ERR_ADDRESS_IN_USE");
      assert.match(error.message, new RegExp(`in use by process ${process.pid}: stop that process`));
      return true;
    });
    lock.release();
    Lock.take(folder.path).release();
    assert.deepEqual(fs.readdirSync(folder.path), []);
  });

  it("lock - ignores the lock of a dead process", async () => {
    using folder = tempDir();
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    const lock = folder.file("lock");
    const taken = Lock.take(folder.path);
    const own = JSON.parse(fs.readlinkSync(lock));
    taken.release();
    try {
      const stat = `/proc/${child.pid}/stat`;
      const started = fs.existsSync(stat) ? fs.readFileSync(stat, "utf8").split(") ")[1]!.split(" ")[19] : "";
      fs.symlinkSync(JSON.stringify({ ...own, pid: child.pid, started }), lock);
      assert.throws(() => Lock.take(folder.path), new RegExp(`process ${child.pid}:`));
    } finally {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.on("exit", resolve));
    }
    Lock.take(folder.path).release();
    // Also where the system does not tell when a process has started.
    fs.symlinkSync(JSON.stringify({ ...own, pid: child.pid, started: "" }), lock);
    Lock.take(folder.path).release();
  });

  it("lock - of a process that has ended is replaced, also while its parent has not noticed the end", {
    skip: !fs.existsSync("/proc/self/stat"),
  }, async () => {
    using folder = tempDir();
    const taken = Lock.take(folder.path);
    const own = JSON.parse(fs.readlinkSync(folder.file("lock")));
    taken.release();
    // The shell starts a process, and becomes one that never asks for its end.
    const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      let output = "";
      parent.stdout!.on("data", (bytes) => output += bytes);
      await waitFor(() => output.includes("\n"));
      const pid = Number(output);
      await waitFor(() => fs.readFileSync(`/proc/${parent.pid}/comm`, "utf8") === "sleep\n");
      process.kill(pid, "SIGKILL");
      const fields = () => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      await waitFor(() => fields()[0] === "Z");
      fs.symlinkSync(JSON.stringify({ ...own, pid, started: fields()[19] }), folder.file("lock"));
      Lock.take(folder.path).release();
    } finally {
      parent.kill("SIGKILL");
      await new Promise((resolve) => parent.on("exit", resolve));
    }
  });

  it("lock - one that another process has taken meanwhile is not removed by the release", () => {
    using folder = tempDir();
    const lock = Lock.take(folder.path);
    const own = JSON.parse(fs.readlinkSync(folder.file("lock")));
    fs.rmSync(folder.file("lock"));
    fs.symlinkSync(JSON.stringify({ ...own, pid: own.pid + 1 }), folder.file("lock"));
    lock.release();
    assert.deepEqual(fs.readdirSync(folder.path), ["lock"]);
  });

  it("lock - a second lock of a process that replaces the first one is waited for, but not forever", () => {
    using folder = tempDir();
    const taken = Lock.take(folder.path);
    const own = fs.readlinkSync(folder.file("lock"));
    taken.release();
    fs.symlinkSync("{}", folder.file("lock"));
    // This process is alive, so it is not removed.
    fs.symlinkSync(own, folder.file("lock.old"));
    assert.throws(() => Lock.take(folder.path), /other processes take it repeatedly/);
    assert.deepEqual(fs.readdirSync(folder.path).sort(), ["lock", "lock.old"]);
  });

  const stale: [name: string, change: (own: Record<string, unknown>) => unknown][] = [
    ["a lock whose process id was reused", (own) => ({ ...own, started: "1" })],
    ["a lock of another boot", (own) => ({ ...own, boot: "another" })],
    ["a lock without an owner", () => ({})],
  ];
  for (const [name, change] of stale) {
    it(`lock - replaces ${name}`, { skip: !fs.existsSync("/proc/self/stat") }, () => {
      using folder = tempDir();
      const lock = folder.file("lock");
      const taken = Lock.take(folder.path);
      const changed = change(JSON.parse(fs.readlinkSync(lock)));
      taken.release();
      fs.symlinkSync(JSON.stringify(changed), lock);
      // Another process was killed while it replaced the lock.
      fs.symlinkSync(JSON.stringify(changed), `${lock}.old`);
      Lock.take(folder.path).release();
    });
  }
});
