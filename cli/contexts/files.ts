/** Where contexts are stored. Start-up must not pay for them, so this file reads none. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import process from "node:process";

/** The name of the file of a project, in its folder. */
export const PROJECT_FILE = ".mqcat.toml";

/** The path of the user's file (XDG Base Directory Specification); it need not exist. */
export function userFile(): string {
  const config = process.env["XDG_CONFIG_HOME"] || path.join(os.homedir(), ".config");
  return path.join(config, "mqcat", "config.toml");
}

/** The path of the nearest file of a project: in the current folder or above it. */
export function projectFile(): string | undefined {
  for (let folder = process.cwd();; folder = path.dirname(folder)) {
    const file = path.join(folder, PROJECT_FILE);
    // Another folder may have anything in its place, such as a pipe that never ends.
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
    if (folder === path.dirname(folder)) return undefined;
  }
}
