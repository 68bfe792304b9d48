/** Keeps what cannot be read: damaged files are renamed or linked, never deleted. */
import fs from "node:fs";
import path from "node:path";
import { appendAll, OWNER_ONLY, syncFile } from "./files.ts";

/** What is at a path. `other`: a directory, a pipe, a socket or a device, which must not be opened. */
export type FileKind = "file" | "missing" | "other";

/** Finds out what is at a path without opening it: opening a pipe would wait for another process. */
export function kindOf(file: string): FileKind {
  try {
    const stat = fs.lstatSync(file);
    return (stat.isSymbolicLink() ? fs.statSync(file) : stat).isFile() ? "file" : "other";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return "missing";
  }
}

/** Renames a file to the next free `NAME.damaged-N`. @returns the new name */
export function setAside(file: string): string {
  const name = freeName(file);
  fs.renameSync(file, name);
  return path.basename(name);
}

/**
 * Keeps the content of a file under the next free `NAME.damaged-N`. The caller replaces the file or never changes it.
 *
 * @returns the new name
 */
export function keepAside(file: string): string {
  const name = freeName(file);
  try {
    fs.linkSync(file, name);
  } catch {
    // A file system without links.
    fs.copyFileSync(file, name);
  }
  return path.basename(name);
}

/** Replaces a file: at any moment there is one complete file. */
export function replaceFile(file: string, bytes: Uint8Array, sync: boolean): void {
  const temporary = `${file}.new`;
  clearWay(temporary);
  const fd = fs.openSync(temporary, "w", OWNER_ONLY);
  try {
    appendAll(fd, bytes, 0, bytes.length, 0);
    if (sync) fs.fdatasyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(temporary, file);
  if (sync) syncFile(path.dirname(file));
}

/** Sets aside what is not a file at a path that is about to be written. @returns its new name */
export function clearWay(file: string): string | undefined {
  return kindOf(file) === "other" ? setAside(file) : undefined;
}

/** Returns the bytes of some pieces, pairs of begin and end, after a header. */
export function joinPieces(header: Uint8Array, bytes: Uint8Array, pieces: readonly number[]): Uint8Array {
  let length = header.length;
  for (let i = 0; i < pieces.length; i += 2) length += pieces[i + 1]! - pieces[i]!;
  const joined = new Uint8Array(length);
  joined.set(header);
  let at = header.length;
  for (let i = 0; i < pieces.length; i += 2) {
    joined.set(bytes.subarray(pieces[i], pieces[i + 1]), at);
    at += pieces[i + 1]! - pieces[i]!;
  }
  return joined;
}

function freeName(file: string): string {
  for (let n = 1;; n++) {
    const name = `${file}.damaged-${n}`;
    try {
      fs.lstatSync(name);
    } catch {
      return name;
    }
  }
}
