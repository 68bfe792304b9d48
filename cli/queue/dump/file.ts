/** The file of a dump, which can be continued after the end of the process. */
import { Buffer } from "node:buffer";
import fs from "node:fs";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { UsageError } from "../../app/errors.ts";
import { phrase } from "../../app/reporter.ts";
import type { DumpSink, Progress } from "./sink.ts";

/** The size of a block, in bytes: the unit of writing and of compression, and what an interruption can lose. */
const BLOCK = 1024 * 1024;
/** The number of unwritten blocks above which the source should stop. */
const MAX_WAITING = 4;
/** The messages are for the owner of the file only. */
const MODE = 0o600;

const gzip = promisify(zlib.gzip);

/** How a dump file is opened. */
export interface FileOptions {
  /** Whether existing files may be replaced. */
  readonly force: boolean;
  /** Only a dump with the same text can be continued; undefined: this one cannot. */
  readonly identity: string | undefined;
  /** What the dump consists of: an interrupted dump continues with its own plan. */
  readonly plan: string;
  /** Called when the source may continue, and after a failure. */
  readonly onChange: () => void;
}

/** The file `PATH.part.state`. */
interface State {
  readonly plan: string;
  readonly progress: Progress;
  /** The length of `PATH.part` that belongs to it, in bytes. */
  readonly length: number;
}

/**
 * Writes `PATH.part`, which gets its name when it is complete, and notes in `PATH.part.state` what is written: after the
 * end of the process, even by SIGKILL, the same dump continues there. Each block is compressed as a gzip member, so that
 * the file is the same with and without interruptions.
 */
export class DumpFile implements DumpSink {
  /** Why nothing more can be written. */
  failure: Error | undefined;
  readonly plan: string;
  readonly continued: Progress | undefined;
  readonly #path: string;
  readonly #options: FileOptions;
  readonly #fd: number;
  /** The descriptor of the state; undefined if the dump cannot be continued. */
  readonly #state: number | undefined;
  /** A device or a pipe is written directly. */
  readonly #isDirect: boolean;
  #bytes = Buffer.allocUnsafe(BLOCK * 2);
  #filled = 0;
  /** The number of bytes in the file. */
  #length = 0;
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  /** @throws {UsageError} the file exists, or cannot be written */
  constructor(path: string, options: FileOptions) {
    this.#path = path;
    this.#options = options;
    this.plan = options.plan;
    const { force, identity } = options;
    try {
      const kind = fs.statSync(path, { throwIfNoEntry: false });
      this.#isDirect = kind !== undefined && !kind.isFile();
      if (this.#isDirect) {
        this.#fd = fs.openSync(path, "w");
        return;
      }
      if (kind !== undefined) this.#refuse();
      const state = identity === undefined ? undefined : readState(this.#stateName, identity);
      const size = fs.statSync(this.#part, { throwIfNoEntry: false })?.size;
      if (state !== undefined && size !== undefined && state.length <= size) {
        this.plan = state.plan;
        if (state.length > 0) this.continued = state.progress;
        this.#length = state.length;
        this.#fd = fs.openSync(this.#part, "r+");
        fs.ftruncateSync(this.#fd, this.#length);
      } else {
        if (size !== undefined && state === undefined && !force) {
          throw new UsageError(`'${this.#part}' is of another dump: remove it, or replace it with --force`);
        }
        fs.rmSync(this.#part, { force: true });
        this.#fd = fs.openSync(this.#part, "wx", MODE);
      }
      if (identity === undefined) return;
      const draft = `${this.#stateName}.new`;
      fs.writeFileSync(draft, `${JSON.stringify({ identity, plan: this.plan })}\n`, { mode: MODE });
      this.#state = fs.openSync(draft, "a");
      this.#note(this.continued ?? { queue: 0, position: 0, messages: 0 });
      fs.renameSync(draft, this.#stateName);
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`'${path}' cannot be written: ${phrase(error)}`);
    }
  }

  /** Whether the source should stop until `onChange`. */
  get full(): boolean {
    return this.#waiting >= MAX_WAITING;
  }

  /** Appends a line. @param progress how far the dump is with it */
  append(line: string, progress: Progress): void {
    const room = this.#bytes.length - this.#filled;
    // A character of a string has at most 3 bytes in UTF-8.
    if (room < line.length * 3) {
      const needed = Buffer.byteLength(line);
      if (room < needed) {
        const grown = Buffer.allocUnsafe(this.#filled + needed);
        this.#bytes.copy(grown, 0, 0, this.#filled);
        this.#bytes = grown;
      }
    }
    this.#filled += this.#bytes.write(line, this.#filled);
    if (this.#filled >= BLOCK) this.#writeBlock(progress);
  }

  /** Writes what is left, and gives the file its name. @throws {Error} the file cannot be written */
  async complete(progress: Progress): Promise<void> {
    if (this.#filled > 0) this.#writeBlock(progress);
    await this.#close();
    if (this.failure !== undefined) throw this.failure;
    if (this.#isDirect) return;
    if (fs.existsSync(this.#path)) this.#refuse();
    fs.renameSync(this.#part, this.#path);
    fs.rmSync(this.#stateName, { force: true });
  }

  get canContinue(): boolean {
    return this.#state !== undefined && this.failure === undefined;
  }

  flush(): void {
    // Only whole blocks are written.
  }

  async abandon(): Promise<void> {
    await this.#close();
    if (this.failure !== undefined) throw this.failure;
  }

  async #close(): Promise<void> {
    await this.#last;
    try {
      if (!this.#isDirect && this.failure === undefined) fs.fsyncSync(this.#fd);
    } catch (error) {
      this.failure = error as Error;
    }
    fs.closeSync(this.#fd);
    if (this.#state !== undefined) fs.closeSync(this.#state);
  }

  get #part(): string {
    return `${this.#path}.part`;
  }

  get #stateName(): string {
    return `${this.#path}.part.state`;
  }

  #refuse(): void {
    if (!this.#options.force) throw new UsageError(`'${this.#path}' exists: --force replaces it`);
  }

  #writeBlock(progress: Progress): void {
    const block = this.#bytes.subarray(0, this.#filled);
    this.#bytes = Buffer.allocUnsafe(BLOCK * 2);
    this.#filled = 0;
    this.#waiting++;
    const packed = this.#path.endsWith(".gz") ? gzip(block) : Promise.resolve(block);
    this.#last = this.#last.then(async () => {
      try {
        this.#write(await packed);
        this.#note(progress);
      } catch (error) {
        this.failure ??= new Error(`'${this.#path}' cannot be written: ${phrase(error)}`, { cause: error });
      }
      this.#waiting--;
      this.#options.onChange();
    });
  }

  #write(bytes: Uint8Array): void {
    if (this.failure !== undefined) return;
    for (let at = 0; at < bytes.length;) {
      at += fs.writeSync(this.#fd, bytes, at, bytes.length - at, this.#isDirect ? null : this.#length + at);
    }
    this.#length += bytes.length;
  }

  /** Notes what is in the file. It is written after the file, so it never names more than there is. */
  #note({ queue, position, messages }: Progress): void {
    if (this.#state === undefined || this.failure !== undefined) return;
    fs.writeSync(this.#state, `${this.#length} ${queue} ${position} ${messages}\n`);
  }
}

/** Reads the state of an interrupted dump; undefined if there is none with this identity. */
function readState(path: string, identity: string): State | undefined {
  let text: string;
  let head: { readonly identity?: unknown; readonly plan: string };
  try {
    text = fs.readFileSync(path, "utf8");
    head = JSON.parse(text.split("\n", 1)[0]!);
  } catch {
    return undefined;
  }
  const [, ...notes] = text.split("\n");
  // What follows the last newline is incomplete.
  notes.pop();
  const last = notes.at(-1)?.split(" ").map(Number);
  if (last === undefined || last.length !== 4 || !last.every(Number.isSafeInteger)) return undefined;
  const [length, queue, position, messages] = last as [number, number, number, number];
  return head?.identity === identity
    ? { plan: head.plan, progress: { queue, position, messages }, length }
    : undefined;
}
