import type { FrameBuffer } from "../../../bytes/frame_buffer.ts";
import type { Cycle } from "../cycle.ts";
import type { ByteStream } from "../../../transport/stream.ts";

/** Above the first size of waiting output no messages are delivered, above the second no input is read; in bytes. */
const HIGH_WATER = 256 * 1024;
const BACKLOG = 4 * 2 ** 20;

/** The output of a connection: one block is written while the next one fills. */
export class ClientOutput {
  /** Bytes of all writes, the one in progress included. */
  sent = 0;

  readonly #stream: ByteStream;
  readonly #buffer: FrameBuffer;
  readonly #cycle: Pick<Cycle, "outputDelay">;
  /** The block that is being written. */
  #flight: Uint8Array | undefined;

  /** @param buffer the encoded output that waits */
  constructor(stream: ByteStream, buffer: FrameBuffer, cycle: Pick<Cycle, "outputDelay">) {
    this.#stream = stream;
    this.#cycle = cycle;
    this.#buffer = buffer;
  }

  /** Whether a write is in progress. */
  get writing(): boolean {
    return this.#flight !== undefined;
  }

  /** Whether nothing waits and no write is in progress. */
  get idle(): boolean {
    return this.#flight === undefined && this.#buffer.length === 0;
  }

  /** Whether there is room for further messages, and for the replies to further input. */
  get hasRoom(): boolean {
    return this.#buffer.length < HIGH_WATER;
  }

  /** Whether so much output waits that no more input may be read. */
  get overBacklog(): boolean {
    return this.#buffer.length > BACKLOG;
  }

  /** Bytes that the system has certainly taken. */
  get taken(): number {
    return this.#flight === undefined ? this.sent : this.sent - this.#flight.length + this.#stream.taken;
  }

  /** Writes what waits, unless a write is in progress: then it is written after it. @returns whether a write was started */
  flush(): boolean {
    if (this.#flight !== undefined || this.#buffer.length === 0) return false;
    this.#flight = this.#buffer.take();
    this.sent += this.#flight.length;
    if (this.#cycle.outputDelay > 0) this.#writeLater(this.#flight);
    else this.#stream.write(this.#flight);
    return true;
  }

  #writeLater(block: Uint8Array): void {
    setTimeout(() => this.#stream.write(block), this.#cycle.outputDelay);
  }

  /** The write in progress is complete: for `onDrain` of the stream. */
  onDrain(): void {
    this.#buffer.recycle(this.#flight!);
    this.#flight = undefined;
  }
}
