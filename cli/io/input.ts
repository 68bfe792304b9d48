import fs from "node:fs";
import { LimitError } from "../../lib/errors.ts";
import { MAX_MESSAGE_SIZE } from "../../lib/zmq/options.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import type { Splitter } from "../records/splitter.ts";

/** The size of one read in bytes; a pipe returns at most 64 KiB. */
const READ = 256 * 1024;
/** A buffer that a huge message has made larger than this is not reused, in bytes. */
const KEEP = 1024 * 1024;
/** The wait after a read from an empty nonblocking descriptor, in milliseconds. */
const RETRY_MS = 5;

/** A source of messages in batches, until the input ends. */
export interface Source {
  /** The next batch, valid until the next call; undefined at the end. */
  next(): Promise<Batch | undefined>;
  /** Stops reading: `next` returns the messages that were already read, and then undefined. */
  cancel(): void;
  /** Whether `cancel` cut off an unfinished message. */
  readonly cut: boolean;
  /** Whether the input ends for certain: it has ended, or it is a file. */
  readonly ended: boolean;
  /** Reads to the end without waiting for the times of messages, and returns the number of messages. */
  countRest?(): Promise<number>;
  /** Called when `ended` becomes true while no call of `next` is waiting. */
  onEnd: () => void;
}

/**
 * Reads messages from a descriptor. There are two buffers: while the messages of one are sent, the next read already
 * fills the other, which starts with the beginning of an unfinished message.
 */
export class Input implements Source {
  readonly #fd: number;
  readonly #splitter: Splitter;
  readonly #prefix: Uint8Array;
  readonly #batch = new Batch();
  #buffer: Uint8Array;
  #spare: Uint8Array;
  /** The unfinished message is at `#buffer[#start, #end)`, and has no end before `#searched`. */
  #start: number;
  #end: number;
  #searched: number;
  #reading: Promise<number> | undefined;
  #wake: ((count: number) => void) | undefined;
  #finished = false;
  #cancelled = false;
  #failure: Error | undefined;
  ended: boolean;
  cut = false;
  onEnd: () => void = () => {};

  /** @param prefix bytes at the start of every buffer, for frames that all messages share */
  constructor(fd: number, splitter: Splitter, prefix: Uint8Array = new Uint8Array(0)) {
    this.#fd = fd;
    this.ended = isFile(fd);
    this.#splitter = splitter;
    this.#prefix = prefix;
    this.#buffer = this.#allocate(READ);
    this.#spare = this.#allocate(READ);
    this.#start = this.#end = this.#searched = prefix.length;
  }

  cancel(): void {
    this.#cancelled = this.ended = true;
    this.#wake?.(0);
  }

  async next(): Promise<Batch | undefined> {
    const batch = this.#batch;
    if (this.#failure !== undefined) throw this.#failure;
    while (!this.#finished) {
      const count = await (this.#reading ?? (this.#cancelled ? 0 : this.#read()));
      this.#reading = undefined;
      batch.clear();
      batch.bytes = this.#buffer;
      batch.stable = false;
      if (count === 0) {
        this.#finished = true;
        if (this.#cancelled) {
          this.cut = this.#start < this.#end;
          break;
        }
        this.#splitter.finish(this.#buffer, this.#start, this.#end, batch);
        batch.stable = batch.bytes === this.#buffer;
      } else {
        this.#end += count;
        const rest = this.#split(batch);
        this.#searched = this.#end;
        if (this.#failure !== undefined) return batch;
        if (batch.frames === 0) {
          this.#start = rest;
          this.#makeRoom();
          continue;
        }
        this.#swap(rest);
        if (!this.#cancelled) this.#reading = this.#read();
        // A failure is reported at the next call.
        this.#reading?.catch(() => {});
      }
      if (batch.frames > 0) return batch;
    }
    return undefined;
  }

  /** Messages before an error are returned first; the error is thrown at the next call. */
  #split(batch: Batch): number {
    try {
      return this.#splitter.split(this.#buffer, this.#start, this.#searched, this.#end, batch);
    } catch (error) {
      if (batch.frames === 0) throw error;
      this.#failure = error as Error;
      return this.#end;
    }
  }

  /** Continues in the other buffer, with the bytes from `rest`. */
  #swap(rest: number): void {
    const length = this.#end - rest;
    const from = this.#buffer;
    // A long beginning would be copied for every batch, so the other buffer must be large enough.
    if (this.#spare.length < this.#prefix.length + length + READ / 2) {
      this.#spare = this.#allocate(length + READ);
    }
    this.#buffer = this.#spare;
    // A buffer that a huge message has made large is left to the batch, which may refer to it.
    this.#batch.stable = from.length > KEEP && this.#batch.bytes === from;
    this.#spare = from.length > KEEP ? this.#allocate(READ) : from;
    this.#buffer.set(from.subarray(rest, this.#end), this.#prefix.length);
    this.#start = this.#prefix.length;
    this.#end = this.#searched = this.#start + length;
  }

  /** Makes room for a message that is longer than the buffer. */
  #makeRoom(): void {
    const length = this.#end - this.#start;
    if (length > MAX_MESSAGE_SIZE) {
      throw new LimitError(
        `A message in the input is over ${MAX_MESSAGE_SIZE} bytes: split it, or choose another --in framing`,
      );
    }
    if (this.#buffer.length - this.#end >= READ / 2) return;
    const grown = this.#allocate(length * 2 + READ);
    grown.set(this.#buffer.subarray(this.#start, this.#end), this.#prefix.length);
    this.#searched -= this.#start - this.#prefix.length;
    this.#start = this.#prefix.length;
    this.#end = this.#start + length;
    this.#buffer = grown;
  }

  #allocate(size: number): Uint8Array {
    const buffer = new Uint8Array(this.#prefix.length + size);
    buffer.set(this.#prefix);
    return buffer;
  }

  #read(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      const attempt = () =>
        fs.read(this.#fd, this.#buffer, this.#end, this.#buffer.length - this.#end, null, (error, count) => {
          if (error?.code === "EAGAIN") return void setTimeout(attempt, RETRY_MS);
          if (error && error.code !== "EOF") return reject(error);
          if (error || count === 0) {
            this.ended = true;
            this.onEnd();
          }
          resolve(error ? 0 : count);
        });
      attempt();
    });
  }
}

function isFile(fd: number): boolean {
  try {
    return fs.fstatSync(fd).isFile();
  } catch {
    return false;
  }
}
