import fs from "node:fs";
import os from "node:os";
import { dirname, join } from "node:path";
import type { Runtime } from "./stream.ts";

/** How long a socket file's owner may take to accept before it counts as live all the same, in milliseconds. */
const PROBE_MS = 1000;

/** The path as the system takes it: `@name` is NUL + name, Linux's abstract namespace (unix(7)). */
export function systemPath(path: string): string {
  return path.startsWith("@") ? `\0${path.slice(1)}` : path;
}

/**
 * Removes the socket file that a dead process left at `path`.
 *
 * @returns "live" when somebody still listens there, else "free"
 */
export async function removeStaleSocket(path: string, runtime: Runtime): Promise<"live" | "free"> {
  if (path.startsWith("@") || !isSocketFile(path)) return "free";
  const signal = AbortSignal.timeout(PROBE_MS);
  try {
    (await runtime.connectUnix(path, path, signal)).close();
    return "live";
  } catch (error) {
    // Only this says that nobody listens: one whose queue is full, or that we may not connect to, is live.
    if (codeOf(error) === "ECONNREFUSED") removeSocketFile(path);
    return isSocketFile(path) ? "live" : "free";
  }
}

/** Removes the file of a socket that was closed; an abstract name has none. */
export function removeSocketFile(path: string): void {
  if (!path.startsWith("@") && isSocketFile(path)) fs.rmSync(path, { force: true });
}

/** A new folder that only this user may enter, for the socket of `ipc://*`. */
export function privateFolder(): string {
  return fs.mkdtempSync(join(os.tmpdir(), "mqcat-ipc-"));
}

export function removeFolder(path: string): void {
  fs.rmSync(path, { recursive: true, force: true });
}

/** Whether a socket file can be made at `path` as far as its folder goes; an abstract name needs none. */
export function hasFolder(path: string): boolean {
  return path.startsWith("@") || fs.existsSync(dirname(path));
}

/** The system's code of the failure under an error of ours. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error.cause as { code?: string } | undefined)?.code : undefined;
}

function isSocketFile(path: string): boolean {
  return fs.statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}
