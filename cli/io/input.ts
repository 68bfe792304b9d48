import { LimitError } from "../../lib/errors.ts";
import { MAX_MESSAGE_SIZE } from "../../lib/zmq/options.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { BufferPool, Lease } from "../../lib/zmtp/buffers.ts";
import type { Splitter } from "../records/splitter.ts";
import type { ByteReader } from "./descriptor.ts";

/** The size of one read in bytes; a pipe returns at most 64 KiB. */
const READ = 256 * 1024;
/** A buffer that a huge message has made larger than this is not reused, in bytes. */
const KEEP = 4 * 1024 * 1024;

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
  /** Which part of the input was read, from 0 to 1; undefined if the end is not known. */
  readonly part?: number | undefined;
  /** Called when `ended` becomes true while no call of `next` is waiting. */
  onEnd: () => void;
}

/** Reads a source to its end. @returns the number of messages, with one that `cancel` cut off */
export async function countMessages(source: Source): Promise<number> {
  let count = 0;
  for (let batch = await source.next(); batch !== undefined; batch = await source.next()) {
    count += batch.messages;
  }
  return source.cut ? count + 1 : count;
}

/**
 * Reads messages from bytes. While the messages of one buffer are sent, the next read already fills another one,
 * which starts with the beginning of an unfinished message.
 */
export class Input implements Source {
  readonly #reader: ByteReader;
  readonly #splitter: Splitter;
  readonly #prefix: Uint8Array;
  readonly #batch = new Batch();
  /** The buffers that are not in use. They are longer than at first if a message did not fit. */
  #pool: BufferPool;
  /** Its buffer is filled again when neither the input nor the outbox of a socket uses it any more. */
  #lease: Lease;
  /** The lease of the current batch. */
  #lent: Lease | undefined;
  /** The unfinished message is at `#bytes[#start, #end)`, and has no end before `#searched`. */
  #start: number;
  #end: number;
  #searched: number;
  #reading: Promise<number> | number | undefined;
  #finished = false;
  #cancelled = false;
  #failure: Error | undefined;
  ended: boolean;
  cut = false;
  onEnd: () => void = () => {};

  /** @param prefix bytes at the start of every buffer, for frames that all messages share */
  constructor(reader: ByteReader, splitter: Splitter, prefix: Uint8Array = new Uint8Array(0)) {
    this.#reader = reader;
    this.ended = this.#reader.isFile;
    this.#splitter = splitter;
    this.#prefix = prefix;
    this.#pool = new BufferPool(prefix.length + READ, Infinity);
    this.#lease = this.#take();
    this.#start = this.#end = this.#searched = prefix.length;
  }

  get part(): number | undefined {
    return this.#reader.part;
  }

  cancel(): void {
    this.#cancelled = this.ended = true;
    this.#reader.cancel();
  }

  async next(): Promise<Batch | undefined> {
    const batch = this.#batch;
    this.#lent?.release();
    this.#lent = undefined;
    if (this.#failure !== undefined) throw this.#failure;
    while (!this.#finished) {
      const reading = this.#reading ?? (this.#cancelled ? 0 : this.#read());
      this.#reading = undefined;
      const count = typeof reading === "number" ? reading : await reading;
      const bytes = this.#bytes;
      batch.clear();
      batch.bytes = bytes;
      batch.stable = false;
      batch.lease = undefined;
      if (count === 0) {
        this.#finished = true;
        if (this.#cancelled) {
          this.cut = this.#start < this.#end;
          break;
        }
        this.#splitter.finish(bytes, this.#start, this.#end, batch);
        batch.stable = batch.bytes === bytes;
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
        if (!this.#cancelled) this.#prefetch();
      }
      if (batch.frames > 0) return batch;
    }
    return undefined;
  }

  /** Messages before an error are returned first; the error is thrown at the next call. */
  #split(batch: Batch): number {
    try {
      return this.#splitter.split(this.#bytes, this.#start, this.#searched, this.#end, batch);
    } catch (error) {
      if (batch.frames === 0) throw error;
      this.#failure = error as Error;
      return this.#end;
    }
  }

  /** Continues in another buffer, with the bytes from `rest`. */
  #swap(rest: number): void {
    const length = this.#end - rest;
    const lease = this.#lease;
    const bytes = lease.buffer;
    // A buffer that a huge message has made large is left to the batch. The next one may be small again.
    const reused = bytes.length <= KEEP;
    const needed = this.#prefix.length + length;
    this.#resize(reused && bytes.length - needed >= READ / 2 ? bytes.length : needed + READ);
    const batch = this.#batch;
    if (batch.bytes === bytes) {
      batch.stable = !reused;
      if (reused) batch.lease = lease;
    }
    if (reused) this.#lent = lease;
    this.#lease = this.#take();
    this.#bytes.set(bytes.subarray(rest, this.#end), this.#prefix.length);
    this.#start = this.#prefix.length;
    this.#end = this.#searched = this.#start + length;
  }

  /** Makes room for a message that is longer than the buffer. */
  #makeRoom(): void {
    const bytes = this.#bytes;
    const length = this.#end - this.#start;
    if (length > MAX_MESSAGE_SIZE) {
      throw new LimitError(
        `A message in the input is over ${MAX_MESSAGE_SIZE} bytes: split it, or choose another --in framing`,
      );
    }
    if (bytes.length - this.#end >= READ / 2) return;
    this.#resize(this.#prefix.length + length * 2 + READ);
    this.#lease = this.#take();
    this.#bytes.set(bytes.subarray(this.#start, this.#end), this.#prefix.length);
    this.#searched -= this.#start - this.#prefix.length;
    this.#start = this.#prefix.length;
    this.#end = this.#start + length;
  }

  /** Sets the length of the buffers that are taken from now on. */
  #resize(size: number): void {
    if (size !== this.#pool.size) this.#pool = new BufferPool(size, Infinity);
  }

  #take(): Lease {
    const bytes = this.#pool.take();
    bytes.set(this.#prefix);
    return new Lease(bytes, this.#pool);
  }

  get #bytes(): Uint8Array {
    return this.#lease.buffer;
  }

  /** Starts the next read. An error is reported at the next call. */
  #prefetch(): void {
    try {
      this.#reading = this.#read();
    } catch (error) {
      this.#reading = Promise.reject(error);
    }
    if (typeof this.#reading !== "number") this.#reading.catch(() => {});
  }

  #read(): number | Promise<number> {
    const bytes = this.#bytes;
    const end = this.#end;
    const count = this.#reader.read(bytes, end, Math.min(end + READ, bytes.length));
    if (typeof count === "number") return this.#noteEnd(count);
    return count.then((count) => this.#noteEnd(count));
  }

  #noteEnd(count: number): number {
    if (count === 0 && !this.#cancelled) {
      this.ended = true;
      this.onEnd();
    }
    return count;
  }
}
