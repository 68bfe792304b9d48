/** Archives that are the same bytes for the same files: no owner, no time of the build. */
import { execFileSync } from "node:child_process";
import path from "node:path";
import process from "node:process";

/** 1980-01-01, the first time that a zip can store, in UTC. */
const TIME = "1980-01-01T00:00:00Z";

/**
 * Packs a folder, as `.zip` or `.tar.gz` by the name of the archive.
 *
 * @param folder the folder; its last part is the folder in the archive
 */
export function pack(folder: string, archive: string): void {
  const [parent, name] = [path.dirname(folder), path.basename(folder)];
  const run = (command: string, args: readonly string[], env = {}) =>
    execFileSync(command, args, {
      cwd: parent,
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, ...env },
    });
  if (archive.endsWith(".zip")) {
    execFileSync("find", [name, "-exec", "touch", "-h", "-d", TIME, "{}", "+"], { cwd: parent });
    run("zip", ["-X", "-q", "-r", archive, name], { TZ: "UTC" });
    return;
  }
  const owner = ["--owner=0", "--group=0", "--numeric-owner", "--sort=name", `--mtime=${TIME}`];
  run("tar", ["--use-compress-program=gzip -6n", ...owner, "-cf", archive, name]);
}
