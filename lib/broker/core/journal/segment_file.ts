/** Reads one segment at a start, and repairs its file when it is damaged. */
import fs from "node:fs";
import { joinPieces, keepAside, kindOf, replaceFile, setAside } from "./files/aside.ts";
import { type Files, indexName, logName, readIfThere, remove } from "./files/files.ts";
import { NEW_SEGMENT, readSegmentHead, type SegmentHead, writeSegmentHead } from "./format/record.ts";
import { findSalt, type Scan, scanLog } from "./format/scan.ts";
import { decodeIndex, type SegmentIndex, writeIndex } from "./format/segment_index.ts";
import { keptAs } from "./manifest.ts";
import { Segment } from "./segment.ts";

/** What is known about a segment before its file is read. */
export interface SegmentRequest {
  readonly number: number;
  /** It is the last one, so a crash can have left an incomplete record at its end. */
  readonly last: boolean;
  /** The file is not as the last clean stop left it, so nothing can be incomplete. */
  readonly changed: boolean;
  /** A last segment up to this length is read completely, because it may be continued. */
  readonly readUpTo: number;
  /** Describes a message that was lost. */
  readonly describe: (queueId: number, seq: number) => string;
  readonly problem: (text: string) => void;
}

/** A segment that was read. */
export interface SegmentFile {
  readonly segment: Segment;
  readonly index: SegmentIndex;
  /** The content of the file, if all of its records were checked and new ones can follow. */
  readonly content: Uint8Array | undefined;
}

/** Reads the header of a segment. */
export function readHead(files: Files, number: number): SegmentHead | undefined {
  const bytes = new Uint8Array(NEW_SEGMENT);
  return readSegmentHead(bytes, new DataView(bytes.buffer), files.read(number, bytes, 0, NEW_SEGMENT));
}

/** Reads a segment. @returns undefined when no message is found in it; the file is then deleted or set aside */
export function readSegment(files: Files, request: SegmentRequest): SegmentFile | undefined {
  const { number, last, readUpTo, problem } = request;
  const name = logName(number);
  const file = files.path(name);
  const { size } = fs.statSync(file);
  const head = readHead(files, number);
  const { index, fits } = head?.intact === true && (head.number ?? number) === number
    ? readIndex(files, number, size, head.salt)
    : { index: undefined, fits: false };
  const wanted = last && size <= readUpTo;
  if (index !== undefined && fits && !wanted) {
    return { segment: newSegment(number, head!.salt, size), index, content: undefined };
  }
  const bytes = new Uint8Array(size);
  const length = files.read(number, bytes, 0, size);
  const view = new DataView(bytes.buffer);
  if (last && !request.changed && isBegun(bytes)) {
    files.unlinkNow(number);
    return undefined;
  }
  let salt = head?.salt;
  let scan = salt === undefined ? undefined : scanLog(bytes, view, length, salt);
  if ((scan === undefined || scan.records === 0) && length > NEW_SEGMENT) {
    const found = findSalt(bytes, view, length);
    if (found !== undefined) scan = scanLog(bytes, view, length, salt = found);
  }
  if (scan === undefined || salt === undefined) {
    files.forget(number);
    problem(`The segment ${name} is damaged, and no message is found in it; ${keptAs(setAside(file))}`);
    return undefined;
  }
  const lost = request.changed ? scan.damaged + incomplete(scan, length) : scan.damaged;
  const moved = head?.number !== undefined && head.number !== number ? head.number : undefined;
  if (head?.intact !== true || moved !== undefined || head.salt !== salt || lost > 0 || scan.corrected) {
    return repair(files, request, { bytes, scan, salt, lost, index, moved });
  }
  const segment = newSegment(number, salt, scan.end);
  if (scan.end < length) {
    if (!last) problem(`The segment ${name} is truncated: its last ${length - scan.end} bytes are lost`);
    fs.truncateSync(file, scan.end);
  }
  if (!fits || scan.end < length) writeIndex(files, number, scan.index, scan.end, salt);
  return { segment, index: scan.index, content: head.version > 1 ? bytes : undefined };
}

/** Keeps the damaged file under another name, and replaces it by one with the valid records. */
function repair(
  files: Files,
  { number, describe, problem }: SegmentRequest,
  { bytes, scan, salt, lost, index, moved }: {
    bytes: Uint8Array;
    scan: Scan;
    salt: number;
    lost: number;
    index: SegmentIndex | undefined;
    moved: number | undefined;
  },
): SegmentFile {
  const name = logName(number);
  const file = files.path(name);
  const effect = lost === 0
    ? `was ${
      moved === undefined ? "damaged" : `written as ${logName(moved)}`
    }: all messages in it were recovered`
    : `is damaged: ${lost} bytes of messages are lost${lostMessages(index, scan.index, describe)}`;
  remove(files.path(indexName(number)));
  files.forget(number);
  try {
    const kept = keepAside(file);
    problem(`The segment ${name} ${effect}; ${keptAs(kept)}`);
    const header = new Uint8Array(NEW_SEGMENT);
    writeSegmentHead(header, new DataView(header.buffer), salt, number);
    const repaired = joinPieces(header, bytes, scan.pieces);
    replaceFile(file, repaired, true);
    const valid = scanLog(repaired, new DataView(repaired.buffer), repaired.length, salt);
    writeIndex(files, number, valid.index, repaired.length, salt);
    return { segment: newSegment(number, salt, repaired.length), index: valid.index, content: repaired };
  } catch (error) {
    // The disk is full: the damaged file is used as it is.
    problem(`Cannot repair the segment ${name}: ${(error as Error).message}`);
    const segment = newSegment(number, salt, bytes.length);
    segment.unreadable = true;
    return { segment, index: scan.index, content: undefined };
  }
}

/** Lists the messages that are in the index of a segment, but not in the segment. */
function lostMessages(
  expected: SegmentIndex | undefined,
  found: SegmentIndex,
  describe: (queueId: number, seq: number) => string,
): string {
  const present = new Set<string>();
  for (const { queueId, lane, firstSeq, offsets } of found.runs) {
    for (let i = 0; i < offsets.length; i++) present.add(`${queueId}/${lane}/${firstSeq + i}`);
  }
  const lost: string[] = [];
  for (const { queueId, lane, firstSeq, offsets } of expected?.runs ?? []) {
    for (let i = 0; i < offsets.length; i++) {
      if (!present.has(`${queueId}/${lane}/${firstSeq + i}`)) lost.push(describe(queueId, firstSeq + i));
    }
  }
  const more = lost.length > 10 ? `, and ${lost.length - 10} more` : "";
  return lost.length === 0 ? "" : `, ${lost.slice(0, 10).join(", ")}${more}`;
}

/** Reads the index of a segment. `fits` is false when the log does not have the length that the index names. */
function readIndex(
  files: Files,
  number: number,
  length: number,
  salt: number,
): { index: SegmentIndex | undefined; fits: boolean } {
  const file = files.path(indexName(number));
  const kind = kindOf(file);
  if (kind === "other") setAside(file);
  if (kind !== "file") return { index: undefined, fits: false };
  const bytes = new Uint8Array(readIfThere(file));
  const end = bytes.length < 12 ? 0 : new DataView(bytes.buffer).getUint32(8, true);
  const index = decodeIndex(bytes, end, salt);
  const fits = index !== undefined && end === length;
  // It may be truncated, because index files are not synced.
  if (!fits) remove(file);
  return { index, fits };
}

function newSegment(number: number, salt: number, end: number): Segment {
  const segment = new Segment(number);
  segment.salt = salt;
  segment.end = segment.written = end;
  segment.sealed = segment.finished = true;
  return segment;
}

/** The number of bytes after the last valid record that are not counted as damage. */
function incomplete(scan: Scan, length: number): number {
  return scan.damaged > 0 ? 0 : length - scan.end;
}

/** Whether the bytes are the begin of a new segment, as a crash leaves it. */
function isBegun(bytes: Uint8Array): boolean {
  const header = new Uint8Array(NEW_SEGMENT);
  writeSegmentHead(header, new DataView(header.buffer), 0, 0);
  return bytes.length < NEW_SEGMENT && bytes.every((byte, i) => i >= 8 || byte === header[i] || byte === 0);
}
