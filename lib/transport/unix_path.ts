import fs from "node:fs";
import os from "node:os";
import { dirname, join } from "node:path";
import { AddressInUseError, EndpointError } from "../errors.ts";
import { currentRuntime } from "./runtime/mod.ts";
import type { ByteStream, Listener, Runtime } from "./stream.ts";

/** How long a program may take to accept on a socket file before the file counts as in use, in milliseconds. */
const PROBE_MS = 1000;

/** Connects to a Unix socket. */
export async function connectPath(scheme: string, path: string, signal: AbortSignal): Promise<ByteStream> {
  const kind = otherKind(path);
  if (kind !== undefined) throw new EndpointError(`the path is ${kind}, not a socket (choose another path)`);
  return await (await currentRuntime()).connectUnix(systemPath(path), `${scheme}://${path}`, signal);
}

/** Listens on a Unix socket; `*` makes a new path in a private folder. */
export async function listenPath(
  scheme: string,
  wanted: string,
  backlog: number,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  const runtime = await currentRuntime();
  const folder = wanted === "*" ? privateFolder() : undefined;
  const path = folder === undefined ? wanted : `${folder}/socket`;
  const name = `${scheme}://${path}`;
  const kind = otherKind(path);
  if (kind !== undefined) throw new EndpointError(`the path is ${kind} (choose a path that does not exist)`);
  if (await removeStaleSocket(path, runtime) === "live") {
    throw new AddressInUseError("another program listens on it");
  }
  if (!hasFolder(path)) throw new EndpointError("the folder does not exist (create it first)");
  const raw = await runtime.listenUnix(systemPath(path), name, backlog, accept);
  let open = true;
  const close = async () => {
    await raw.close();
    if (open) removeSocketFile(path); // Only once: another program may own the next file there.
    if (open && folder !== undefined) removeFolder(folder);
    open = false;
  };
  return { endpoint: name, close, [Symbol.asyncDispose]: close };
}

/** The path as the system takes it: `@name` is NUL and the name, in Linux's abstract namespace (unix(7)). */
function systemPath(path: string): string {
  return path.startsWith("@") ? `\0${path.slice(1)}` : path;
}

/**
 * Removes a socket file that a dead process left at `path`.
 *
 * @returns "live" when a program still listens there, else "free"
 */
export async function removeStaleSocket(path: string, runtime: Runtime): Promise<"live" | "free"> {
  if (path.startsWith("@") || !isSocketFile(path)) return "free";
  const signal = AbortSignal.timeout(PROBE_MS);
  try {
    (await runtime.connectUnix(path, path, signal)).close();
    return "live";
  } catch (error) {
    // Only this error proves that no program listens: a full queue or missing rights mean that one does.
    if (codeOf(error) === "ECONNREFUSED") removeSocketFile(path);
    return isSocketFile(path) ? "live" : "free";
  }
}

/** Removes the file of a closed socket; an abstract name has none. */
function removeSocketFile(path: string): void {
  if (!path.startsWith("@") && isSocketFile(path)) fs.rmSync(path, { force: true });
}

/** Makes a folder that only this user may enter, for the socket of `ipc://*`. */
function privateFolder(): string {
  return fs.mkdtempSync(join(os.tmpdir(), "mqcat-ipc-"));
}

function removeFolder(path: string): void {
  fs.rmSync(path, { recursive: true, force: true });
}

/** Whether the folder of a socket file exists; an abstract name needs none. */
function hasFolder(path: string): boolean {
  return path.startsWith("@") || (kindOf(dirname(path))?.isDirectory() ?? false);
}

/** The system's error code in the cause of one of our errors. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error.cause as { code?: string } | undefined)?.code : undefined;
}

function isSocketFile(path: string): boolean {
  return kindOf(path)?.isSocket() ?? false;
}

/** What is at a path; undefined: nothing, or the user may not see it, which binding reports. */
function kindOf(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** What is at a path if it is not a socket: "a file" or "a directory"; undefined for a socket or nothing. */
function otherKind(path: string): string | undefined {
  if (path.startsWith("@")) return undefined;
  const kind = kindOf(path);
  if (kind === undefined || kind.isSocket()) return undefined;
  return kind.isDirectory() ? "a directory" : "a file";
}
