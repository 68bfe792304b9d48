/**
 * The file `manifest`, which a clean stop writes: what the next start must find. It has one line: the CRC-32C of the
 * rest in eight hexadecimal digits, a space, and JSON. A start compares it with the directory and deletes it before it
 * writes anything else, so there is none after a crash.
 */
import { Buffer } from "node:buffer";
import fs from "node:fs";
import path from "node:path";
import type { Lane } from "../queue/lane.ts";
import { kindOf, replaceFile, setAside } from "./files/aside.ts";
import { logName, readIfThere, remove } from "./files/files.ts";
import { crc32c } from "./format/crc32c.ts";
import type { LaneLookup } from "./options.ts";

const NAME = "manifest";
/** The files that are listed. */
const LISTED = /^((\d{8}|[1-9]\d{8,9})\.(log|ack|idx)|delivered|definitions)$/;
/** Files up to this size are listed with their sum, in bytes. */
const SUMMED = 1024 * 1024;

interface ListedFile {
  readonly length: number;
  readonly sum?: number | undefined;
}

/** The content of a manifest. */
interface Listing {
  readonly files: Readonly<Record<string, ListedFile>>;
  /** For each segment its salt, and the number of live messages by queue id. */
  readonly segments: Readonly<Record<string, { salt: number; live: Readonly<Record<string, number>> }>>;
  /** The names of the queues by id. */
  readonly queues: Readonly<Record<string, string>>;
}

/** The number of live messages by segment and queue id. */
export type LiveCounts = Map<number, Map<number, number>>;

/** How a file differs from the manifest. */
type Difference = "missing" | "changed" | "new" | { readonly by: number };

/** Counts the live messages of lanes by segment and queue. */
export function countLive(lanes: Iterable<readonly [queueId: number, lane: Lane]>): LiveCounts {
  const counts: LiveCounts = new Map();
  for (const [queueId, lane] of lanes) {
    lane.tally((segment, count) => {
      let queues = counts.get(segment);
      if (queues === undefined) counts.set(segment, queues = new Map());
      queues.set(queueId, (queues.get(queueId) ?? 0) + count);
    });
  }
  return counts;
}

/** Writes the manifest of a directory whose files are complete. Without one, the next start compares nothing. */
export function writeManifest(
  directory: string,
  salts: Iterable<readonly [segment: number, salt: number]>,
  lookup: LaneLookup,
  sync: boolean,
): void {
  if (lookup.lanes === undefined) return;
  try {
    const files = list(directory);
    if (Object.keys(files).length === 0) return;
    const live = countLive(lookup.lanes());
    const segments: Record<string, { salt: number; live: Record<string, number> }> = {};
    const queues: Record<string, string> = {};
    for (const [number, salt] of salts) {
      const counts = live.get(number) ?? new Map<number, number>();
      segments[number] = { salt, live: Object.fromEntries(counts) };
      for (const id of counts.keys()) queues[id] = nameOf(lookup, id);
    }
    const json = JSON.stringify({ files, segments, queues });
    replaceFile(path.join(directory, NAME), Buffer.from(`${sumOf(Buffer.from(json))} ${json}\n`), sync);
  } catch {
    remove(path.join(directory, `${NAME}.new`));
  }
}

/** What a clean stop left, compared with what a start finds. */
export class Manifest {
  readonly #directory: string;
  readonly #listing: Listing;
  readonly #differences = new Map<string, Difference>();

  private constructor(directory: string, listing: Listing) {
    this.#directory = directory;
    this.#listing = listing;
    const found = list(directory);
    for (const [name, file] of Object.entries(listing.files)) {
      const now = found[name];
      if (now === undefined) this.#differences.set(name, "missing");
      else if (now.length !== file.length) this.#differences.set(name, { by: now.length - file.length });
      else if (now.sum !== file.sum) this.#differences.set(name, "changed");
    }
    for (const name of Object.keys(found)) {
      if (listing.files[name] === undefined) this.#differences.set(name, "new");
    }
  }

  /** Reads the manifest and compares the files. @returns undefined after a crash, or when the manifest is damaged */
  static read(directory: string, problem: (text: string) => void): Manifest | undefined {
    const file = path.join(directory, NAME);
    const kind = kindOf(file);
    if (kind === "missing") return undefined;
    if (kind === "file") {
      try {
        const text = Buffer.from(readIfThere(file));
        const json = text.subarray(9, -1);
        if (text.toString("latin1", 0, 9) === `${sumOf(json)} ` && text.at(-1) === 10) {
          return new Manifest(directory, JSON.parse(json.toString()));
        }
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
    }
    problem(
      `The file ${NAME} is damaged, so nothing is compared with the last clean stop; ${
        keptAs(setAside(file))
      }`,
    );
    return undefined;
  }

  /** Whether a file is not as the last clean stop left it. */
  differs(name: string): boolean {
    return this.#differences.has(name);
  }

  /** Whether a file is missing or shorter than the last clean stop left it. */
  isCut(name: string): boolean {
    const difference = this.#differences.get(name);
    return difference === "missing" || (typeof difference === "object" && difference.by < 0);
  }

  /** Whether the last clean stop left a file of this name. */
  lists(name: string): boolean {
    return this.#listing.files[name] !== undefined;
  }

  /** The salts of all segments. */
  get salts(): number[] {
    return Object.values(this.#listing.segments).map(({ salt }) => salt);
  }

  /** Deletes the manifest: the directory changes from now on. */
  remove(): void {
    remove(path.join(this.#directory, NAME));
  }

  /**
   * Reports every difference with its effect.
   *
   * @param live what was recovered
   * @param isRead whether the segment of this number was read
   */
  report(
    live: LiveCounts,
    isRead: (number: number) => boolean,
    lookup: LaneLookup,
    problem: (text: string) => void,
  ): void {
    const { segments } = this.#listing;
    const expected = new Map<number, number>();
    for (const { live } of Object.values(segments)) addAll(expected, Object.entries(live));
    const found = new Map<number, number>();
    for (const queues of live.values()) addAll(found, queues);
    const missing = (id: number) => (expected.get(id) ?? 0) - (found.get(id) ?? 0);
    const told = new Map<number, number>();
    for (const [name, difference] of this.#differences) {
      if (isReportedByReader(name, difference)) continue;
      const digits = /^(\d+)\./.exec(name)?.[1];
      const number = Number(digits ?? 0);
      if (difference === "new" && digits !== undefined && !isRead(number)) continue;
      const lost: [id: number, count: number][] = [];
      if (name === logName(number)) {
        for (const [key, count] of Object.entries(segments[number]?.live ?? {})) {
          const id = Number(key);
          const gone = Math.min(
            count - (live.get(number)?.get(id) ?? 0),
            missing(id) - (told.get(id) ?? 0),
          );
          if (gone <= 0) continue;
          lost.push([id, gone]);
          told.set(id, (told.get(id) ?? 0) + gone);
        }
      }
      problem(`The file ${name} ${describe(difference)}: ${this.#effect(name, difference, lost, lookup)}`);
    }
    for (const id of new Set([...expected.keys(), ...found.keys()])) {
      const left = missing(id) - (told.get(id) ?? 0);
      if (left > 0) {
        problem(
          `${this.#messages(id, left, lookup)} ${left === 1 ? "is" : "are"} lost since the last clean stop`,
        );
      }
      if (left < 0) {
        problem(
          `${
            this.#messages(id, -left, lookup)
          } were acknowledged before the last clean stop, and are delivered again`,
        );
      }
    }
  }

  #effect(
    name: string,
    difference: Difference,
    lost: [id: number, count: number][],
    lookup: LaneLookup,
  ): string {
    if (lost.length > 0) {
      return `${lost.map(([id, count]) => this.#messages(id, count, lookup)).join(", ")} are lost`;
    }
    if (name.endsWith(".ack")) {
      return difference === "new"
        ? "the acknowledgements in it are applied"
        : "acknowledged messages may be delivered again, marked as redelivered";
    }
    if (name.endsWith(".idx")) return "the segment was read instead, and nothing is lost";
    if (name === "delivered") return "all messages are marked as redelivered";
    if (name === "definitions") {
      return "definitions of queues, exchanges, bindings or users are lost";
    }
    return difference === "new" ? "messages in it are delivered" : "no message is lost";
  }

  #messages(id: number, count: number, lookup: LaneLookup): string {
    const name = lookup.nameOf?.(id) ?? this.#listing.queues[id] ?? `with the id ${id}`;
    return `${count} message${count === 1 ? "" : "s"} of queue ${name}`;
  }
}

/** Returns the words for a damaged file that was kept. */
export function keptAs(name: string): string {
  return `the file as it was is kept as ${name}`;
}

/** Whether the reader of a file finds and reports the difference itself, because the file has sums. */
function isReportedByReader(name: string, difference: Difference): boolean {
  if (name.endsWith(".log") || name.endsWith(".idx")) return false;
  return difference === "changed" ||
    (!name.endsWith(".ack") && typeof difference === "object" && difference.by > 0);
}

function describe(difference: Difference): string {
  if (difference === "missing") return "is missing";
  if (difference === "new") return "was not there at the last clean stop";
  if (difference === "changed") return "has changed since the last clean stop";
  const { by } = difference;
  return `is ${Math.abs(by)} bytes ${by < 0 ? "shorter" : "longer"} than at the last clean stop`;
}

function nameOf(lookup: LaneLookup, id: number): string {
  return lookup.nameOf?.(id) ?? `with the id ${id}`;
}

function addAll(sums: Map<number, number>, counts: Iterable<readonly [string | number, number]>): void {
  for (const [id, count] of counts) sums.set(Number(id), (sums.get(Number(id)) ?? 0) + count);
}

/** Lists the files with their lengths and sums. */
function list(directory: string): Record<string, ListedFile> {
  const files: Record<string, ListedFile> = {};
  for (const name of fs.readdirSync(directory).sort()) {
    const file = path.join(directory, name);
    if (!LISTED.test(name) || kindOf(file) !== "file") continue;
    const length = fs.statSync(file).size;
    const summed = length <= SUMMED && !name.endsWith(".log");
    files[name] = { length, ...(summed ? { sum: Number.parseInt(sumOf(fs.readFileSync(file)), 16) } : {}) };
  }
  return files;
}

function sumOf(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return crc32c(view, 0, bytes.byteLength).toString(16).padStart(8, "0");
}
