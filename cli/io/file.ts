/** Files as input, also compressed ones. */
import { Buffer } from "node:buffer";
import fs from "node:fs";
import zlib from "node:zlib";
import { isRegularFile } from "../../lib/transport/runtime/stdout.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import { type ByteReader, DescriptorReader } from "./descriptor.ts";

/** The size of one read, in bytes. */
const READ = 256 * 1024;
/** The first bytes of a gzip file (RFC 1952, 2.3.1). */
const GZIP = [0x1f, 0x8b];

/**
 * Opens a file for `Input`. A file compressed by gzip is recognized by its content.
 *
 * @param path `-` is stdin, which is read as it is
 * @throws {UsageError} the file cannot be read
 */
export function openFile(path: string): ByteReader {
  if (path === "-") return new DescriptorReader(0);
  try {
    const fd = fs.openSync(path, "r");
    if (fs.fstatSync(fd).isDirectory()) throw new Error("it is a directory, not a file");
    const head = Buffer.alloc(GZIP.length);
    const isZipped = isRegularFile(fd) && fs.readSync(fd, head, 0, head.length, 0) === head.length &&
      GZIP.every((byte, at) => head[at] === byte);
    return isZipped ? new GzipReader(path, fd) : new DescriptorReader(fd, `'${path}'`);
  } catch (error) {
    throw new UsageError(`'${path}' cannot be read: ${phrase(error)}`);
  }
}

/** Reads a file that gzip has compressed. */
class GzipReader implements ByteReader {
  readonly isFile = true;
  readonly #path: string;
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #cancelled = false;

  constructor(path: string, fd: number) {
    this.#path = path;
    const gunzip = zlib.createGunzip({ chunkSize: READ });
    const file = fs.createReadStream(path, { fd, highWaterMark: READ, start: 0 });
    file.on("error", (error) => gunzip.destroy(error));
    this.#chunks = file.pipe(gunzip)[Symbol.asyncIterator]();
  }

  read(buffer: Uint8Array, from: number, to: number): number | Promise<number> {
    if (this.#cancelled) return 0;
    if (this.#at < this.#chunk.length) return this.#take(buffer, from, to);
    return this.#next().then((more) => more ? this.#take(buffer, from, to) : 0);
  }

  cancel(): void {
    this.#cancelled = true;
    this.#chunks.return?.();
  }

  async #next(): Promise<boolean> {
    try {
      const { done, value } = await this.#chunks.next();
      if (done) return false;
      this.#chunk = value;
      this.#at = 0;
      return true;
    } catch (error) {
      if (this.#cancelled) return false;
      throw new Error(`'${this.#path}' is damaged or incomplete: ${phrase(error)}`, { cause: error });
    }
  }

  #take(buffer: Uint8Array, from: number, to: number): number {
    const bytes = this.#chunk.subarray(this.#at, this.#at + to - from);
    buffer.set(bytes, from);
    this.#at += bytes.length;
    return bytes.length;
  }
}
