/** Whose turn it is: what takes too long for each commit is tried by the commits of main after each other. */
import { spawnSync } from "node:child_process";

/**
 * The part of `all` that this commit tries.
 *
 * @param turns the number of commits that try all of them
 */
export function turnOf<T>(all: readonly T[], turns: number): T[] {
  const git = spawnSync("git", ["rev-list", "--count", "--first-parent", "HEAD"], { encoding: "utf8" });
  const turn = Number(git.stdout ?? 0) % turns;
  return all.filter((_, i) => i % turns === turn);
}
