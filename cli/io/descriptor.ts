import fs from "node:fs";
import { isRegularFile, reopened } from "../../lib/transport/runtime/stdout.ts";
import { phrase } from "../app/reporter.ts";

/** The wait after a read from an empty nonblocking descriptor, in milliseconds. */
const RETRY_MS = 5;
/** A read of this many bytes found a full pipe, so the next one will probably find bytes, too. */
const FULL_PIPE = 64 * 1024;
/** After this many reads in the thread of JavaScript, the event loop gets a turn. */
const MAX_DIRECT = 16;

/** Where the bytes of an input come from. */
export interface ByteReader {
  /** Whether it is a regular file, which has an end. */
  readonly isFile: boolean;
  /** Which part of a regular file was read, from 0 to 1; undefined if the end is not known. */
  readonly part?: number | undefined;
  /**
   * Reads into `buffer[from, to)`.
   *
   * @returns the number of bytes; 0 at the end
   * @throws {Error} it cannot be read
   */
  read(buffer: Uint8Array, from: number, to: number): number | Promise<number>;
  /** Ends the current read: it returns 0. */
  cancel(): void;
}

/**
 * Reads a descriptor. A read in another thread can wait for a writer, but costs several times as much as the read
 * itself; so a regular file, and a pipe whose writer is faster than we are, are read in the thread of JavaScript.
 */
export class DescriptorReader implements ByteReader {
  readonly isFile: boolean;

  readonly #fd: number;
  readonly #name: string;
  /** For direct reads, which do not wait for a writer. It is opened at the first of them; null if that is impossible. */
  #direct: number | null | undefined;
  #directReads = 0;
  #last = 0;
  /** The bytes that were read of a regular file, and all its bytes. */
  #done = 0;
  readonly #size: number;
  #cancel: ((count: number) => void) | undefined;

  /** @param name the name of the input in error messages */
  constructor(fd: number, name = "stdin") {
    this.#fd = fd;
    this.#name = name;
    this.isFile = isRegularFile(fd);
    if (this.isFile) this.#direct = fd;
    this.#size = this.isFile ? fs.fstatSync(fd).size : 0;
  }

  get part(): number | undefined {
    return this.#size === 0 ? undefined : Math.min(1, this.#done / this.#size);
  }

  read(buffer: Uint8Array, from: number, to: number): number | Promise<number> {
    if ((this.isFile || this.#last >= FULL_PIPE) && ++this.#directReads <= MAX_DIRECT) {
      const count = this.#readDirectly(buffer, from, to);
      if (count >= 0) {
        this.#done += count;
        return this.#last = count;
      }
    }
    this.#directReads = 0;
    return this.#readElsewhere(buffer, from, to);
  }

  cancel(): void {
    this.#cancel?.(0);
  }

  /** Returns -1 if there are no bytes yet. */
  #readDirectly(buffer: Uint8Array, from: number, to: number): number {
    if (this.#direct === undefined) this.#direct = reopened(this.#fd, fs.constants.O_RDONLY) ?? null;
    if (this.#direct === null) return -1;
    try {
      return fs.readSync(this.#direct, buffer, from, to - from, null);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") return -1;
      if (code === "EOF") return 0;
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): Error {
    return new Error(`cannot read ${this.#name}: ${phrase(error)}`, { cause: error });
  }

  #readElsewhere(buffer: Uint8Array, from: number, to: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#cancel = resolve;
      const attempt = () =>
        fs.read(this.#fd, buffer, from, to - from, null, (error, count) => {
          if (error?.code === "EAGAIN") return void setTimeout(attempt, RETRY_MS);
          if (error && error.code !== "EOF") return reject(this.#failure(error));
          resolve(this.#last = error ? 0 : count);
        });
      attempt();
    });
  }
}
