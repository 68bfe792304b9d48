import fs from "node:fs";
import { isTerminal, openStdout, type Stdout } from "../../lib/transport/runtime/stdout.ts";
import type { Lease } from "../../lib/zmtp/buffers.ts";
import { signalCode } from "../app/errors.ts";
import type { Reporter } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";

/** The high-water mark: above this amount of unwritten output the source should stop, in bytes. */
const HIGH_WATER = 1024 * 1024;
const FIRST = 64 * 1024;
/** A buffer that a huge message has made larger than this is released, in bytes. */
const KEEP = 4 * 1024 * 1024;
/** Bytes of at least this length are written from where they are, if they can be. */
export const LARGE = 64 * 1024;
const NEWLINE = 10;
/** The wait after a write to a full nonblocking descriptor, in milliseconds. */
const RETRY_MS = 5;

/**
 * Buffered output to stdout. Few bytes are written at once if the reader has room. Otherwise one buffer is written in
 * another thread while the next one fills: a message is written as soon as no other write is in progress, and a busy
 * stream is written in large blocks.
 */
export class Output {
  /** The buffer for the next bytes: write at `length`, after `reserve`. */
  bytes: Uint8Array = new Uint8Array(FIRST);
  length = 0;
  /** The failure that ended the output; EPIPE when the reader has exited. */
  failure: NodeJS.ErrnoException | undefined;
  /** Called when the output fails, or falls below the high-water mark. */
  onChange: () => void = () => {};

  readonly #stdout: Stdout;
  readonly #isTerminal = isTerminal(1);
  readonly #reporter: Reporter;
  #spare: Uint8Array | undefined = new Uint8Array(FIRST);
  #flight: Uint8Array | undefined;
  #flightLength = 0;
  /** Set if the current write is from a leased buffer. */
  #lease: Lease | undefined;
  #written = 0;
  #idle: (() => void)[] = [];

  /** @param session reports that its end waits for the reader, if the reader stands still */
  constructor(session: Session) {
    this.#stdout = openStdout();
    this.#reporter = session.reporter;
    session.explainWait(() => {
      const left = this.length + (this.#flight === undefined ? 0 : this.#flightLength - this.#written);
      return left === 0 || this.failure !== undefined
        ? undefined
        : `for the reader of stdout to take ${left} bytes`;
    });
  }

  /** Whether the source should pause until `onChange`. */
  get full(): boolean {
    return this.length >= HIGH_WATER;
  }

  /** Whether everything is written. */
  get idle(): boolean {
    return this.length === 0 && this.#flight === undefined;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  /** Appends a copy of `bytes`; call `flush` when done. */
  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /**
   * Appends bytes of at least `LARGE`. They are not copied if no other write is in progress, and they can be written
   * before the call returns or have a lease.
   */
  appendLarge(bytes: Uint8Array, lease: Lease | undefined): void {
    this.flush();
    if (!this.idle || this.failure !== undefined) return this.append(bytes);
    const written = this.#writeNow(bytes, bytes.length);
    if (written < 0 || written === bytes.length) return;
    if (lease === undefined) return this.append(bytes.subarray(written));
    lease.retain();
    this.#lease = lease;
    this.#start(bytes, bytes.length, written);
  }

  /** Starts writing, unless a write is in progress; then the appended bytes are written after it. */
  flush(): void {
    if (this.#flight !== undefined || this.length === 0 || this.failure !== undefined) return;
    const { bytes, length } = this;
    const written = this.#writeNow(bytes, length);
    if (written === length) {
      this.length = 0;
      if (bytes.length > KEEP) this.bytes = new Uint8Array(FIRST);
      return;
    }
    if (written < 0) return;
    this.bytes = this.#spare ?? new Uint8Array(FIRST);
    this.#spare = undefined;
    this.length = 0;
    this.#start(bytes, length, written);
  }

  #start(bytes: Uint8Array, length: number, written: number): void {
    this.#flight = bytes;
    this.#flightLength = length;
    this.#written = written;
    // A terminal is always written in another thread.
    if (this.#isTerminal) this.#reporter.footer?.hide();
    this.#wait();
  }

  /** Resolves when all is written, or the output has failed. */
  drained(): Promise<void> {
    this.flush();
    if (this.idle || this.failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Writes what it can without waiting. @returns the number of bytes written; -1 if the output has failed */
  #writeNow(bytes: Uint8Array, length: number): number {
    const { fd, limit } = this.#stdout;
    if (length > limit) return 0;
    try {
      return fs.writeSync(fd, bytes, 0, length);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
      this.#fail(error as NodeJS.ErrnoException);
      return -1;
    }
  }

  /** Writes in another thread, which may stand still until the reader goes on. */
  #wait(): void {
    this.#stdout.wait(this.#flight!.subarray(this.#written, this.#flightLength), this.#onWritten);
  }

  readonly #onWritten = (error: NodeJS.ErrnoException | null, count: number): void => {
    if (error?.code === "EAGAIN") {
      // The descriptor itself does not block: its reader is not waited for, so it is asked again and again.
      setTimeout(() => this.#wait(), RETRY_MS);
      return;
    }
    if (error !== null && error !== undefined) return this.#fail(error);
    this.#written += count;
    if (this.#written < this.#flightLength) return this.#wait();
    const wasFull = this.full;
    const done = this.#flight!;
    this.#flight = undefined;
    if (this.#lease !== undefined) {
      this.#lease.release();
      this.#lease = undefined;
    } else if (done.length <= KEEP) this.#spare = done;
    this.flush();
    if (wasFull) this.onChange();
    if (this.idle) {
      if (this.#isTerminal) this.#reporter.footer?.show(done[this.#flightLength - 1] !== NEWLINE);
      this.#settle();
    }
  };

  #fail(error: NodeJS.ErrnoException): void {
    this.failure = error;
    this.#settle();
    this.onChange();
  }

  #settle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

/**
 * The error of a failed output. A closed pipe is not an error: it ends the command with the exit code of SIGPIPE.
 */
export function outputFailure(session: Session, output: Output): Error | undefined {
  if (output.failure?.code !== "EPIPE") {
    return output.failure &&
      new Error(`cannot write to stdout: ${output.failure.message}`, { cause: output.failure });
  }
  session.exitCode = signalCode("SIGPIPE");
  return undefined;
}

/** Waits until all bytes are written. @throws {Error} the output failed, other than by a closed pipe */
export async function finishOutput(session: Session, output: Output): Promise<void> {
  await output.drained();
  const failure = outputFailure(session, output);
  if (failure !== undefined) throw failure;
}
