import type { ByteStream } from "../transport/stream.ts";

/** The source should pause while this many bytes wait. */
const HIGH_WATER = 64 * 1024;
/** A buffer starts small, so that thousands of quiet connections need little memory, and doubles when it is too small. */
const FIRST_SIZE = 4 * 1024;

/**
 * Two buffers that take turns: chunks are copied into one of them while the stream writes the other. Small chunks are
 * combined into one large write, and a long conversation allocates nothing.
 */
export class EchoBuffer {
  readonly #stream: ByteStream;
  #filling = new Uint8Array(0);
  #filled = 0;
  /** The other buffer. The stream is writing its first `#lent` bytes; 0 means that no write is in progress. */
  #resting = new Uint8Array(0);
  #lent = 0;
  #written = 0;
  #ending = false;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** How many bytes the system has certainly taken. */
  get written(): number {
    return this.#lent === 0 ? this.#written : this.#written + this.#stream.taken;
  }

  /** Whether the system has taken all pushed bytes. */
  get empty(): boolean {
    return this.#lent === 0;
  }

  /**
   * Takes a copy of `chunk`.
   *
   * @returns whether there is room for more; if not, there is room after the next drain
   */
  push(chunk: Uint8Array): boolean {
    const length = this.#filled + chunk.length;
    if (length > this.#filling.length) this.#grow(length);
    this.#filling.set(chunk, this.#filled);
    this.#filled = length;
    if (this.#lent === 0) this.#write();
    return this.#filled < HIGH_WATER;
  }

  /** Ends our half of the stream once all bytes are taken. */
  end(): void {
    this.#ending = true;
    if (this.#lent === 0) this.#stream.end();
  }

  /** The stream has taken the current write; the bytes pushed since then follow. */
  onDrain(): void {
    this.#written += this.#lent;
    this.#lent = 0;
    this.#write();
    if (this.#lent === 0 && this.#ending) this.#stream.end();
  }

  #write(): void {
    if (this.#filled === 0) return;
    const full = this.#filling;
    this.#filling = this.#resting;
    this.#resting = full;
    this.#lent = this.#filled;
    this.#filled = 0;
    this.#stream.write(full.subarray(0, this.#lent));
  }

  #grow(length: number): void {
    const grown = new Uint8Array(Math.max(length, this.#filling.length * 2, FIRST_SIZE));
    grown.set(this.#filling.subarray(0, this.#filled));
    this.#filling = grown;
  }
}
