/** Finds Bun, or installs it from npm: a fresh machine has only Node and npm. */
import { execFileSync } from "node:child_process";
import process from "node:process";

const VERSION = "1.4.5";

/** The path of a Bun executable: `$MQCAT_BUN`, else Bun on the PATH, else the Bun that npx downloads. */
export function findBun(): string {
  if (process.env.MQCAT_BUN) return process.env.MQCAT_BUN;
  for (
    const command of [["sh", "-c", "command -v bun"], [
      "npx",
      "-y",
      "-p",
      `bun@${VERSION}`,
      "-c",
      "command -v bun",
    ]]
  ) {
    try {
      const path = execFileSync(command[0]!, command.slice(1), {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      if (path.trim() !== "") return path.trim().split("\n").at(-1)!;
    } catch {
      // Try the next command.
    }
  }
  throw new Error(
    `Cannot find Bun: install it with npm (npm install -g bun@${VERSION}) or set MQCAT_BUN to its path`,
  );
}
