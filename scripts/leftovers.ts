/** Ends processes that a run has left, such as brokers of tests that were interrupted: they have process groups of their own. */
import fs from "node:fs";
import process from "node:process";

/**
 * Kills all other processes that have this text in their environment. Only Linux shows the environment of processes.
 *
 * @returns their number
 */
export function endLeftovers(mark: string): number {
  if (!fs.existsSync("/proc/self/environ")) return 0;
  let count = 0;
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number)) {
    if (pid === process.pid) continue;
    try {
      if (!fs.readFileSync(`/proc/${pid}/environ`, "latin1").includes(mark)) continue;
      process.kill(pid, "SIGKILL");
      count++;
    } catch {
      // It has ended, or belongs to another user.
    }
  }
  return count;
}
