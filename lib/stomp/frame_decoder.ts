import { LimitError, ProtocolError } from "../errors.ts";
import { copyBytes } from "../bytes/frame_buffer.ts";
import { readText } from "../bytes/text.ts";
import { readName } from "../bytes/text_cache.ts";
import { type Escapes, escapesOf, unescape } from "./escapes.ts";
import { hasBody, StompFrame, type StompLimits, type StompVersion } from "./frame.ts";
import { notStomp } from "./not_stomp.ts";

const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;

/** The longest command, in bytes. All known commands have at most 11. */
const MAX_COMMAND = 32;
const MAX_LINE = 64 * 1024;
const MAX_HEADERS = 1000;
/** The default of `StompLimits.maxHead`. */
export const MAX_HEAD = 256 * 1024;
/** A buffer over this size is released after its frame, in bytes. */
const KEEP = 64 * 1024;

/** The part of a frame that comes next. */
const BETWEEN = 0;
const COMMAND = 1;
const HEADER = 2;
/** A body of known size; a body that ends at a NUL; the NUL after a body of known size. */
const SIZED = 3;
const TEXT = 4;
const END = 5;

/** Receives frames from a decoder. An error thrown by a callback ends the decoder: see `StompDecoder.push`. */
export interface StompSink {
  /** A frame arrived. It is valid during the call. */
  onFrame(frame: StompFrame): void;
  /**
   * A body is larger than the received chunk, and memory is about to be allocated for it. The sink may then be over its
   * backlog until it has reserved the memory.
   *
   * @param size the size of the whole body, or the next size of the buffer if the size of the body is unknown
   */
  onBody?(size: number, isKnown: boolean): void;
  /** Read after each frame and after `onBody`: true makes the decoder keep further bytes until `resume`. */
  readonly overBacklog?: boolean;
}

/**
 * Decodes frames under any chunking. A body within one chunk is not copied; one that spans chunks is copied into a
 * buffer that grows with the received bytes, not with the size that a frame claims. All limits are checked first.
 *
 * Lines may end in CRLF in every version, as in RabbitMQ.
 */
export class StompDecoder {
  /** The version that decides how headers are escaped. Set it after CONNECT. */
  version: StompVersion = "1.0";
  /** The largest body, and the largest size of all headers of a frame, in bytes. */
  maxBody: number;
  maxHead: number;

  #sink: StompSink;
  readonly #frame = new StompFrame();
  readonly #maxLine: number;
  readonly #maxHeaders: number;
  #state = BETWEEN;
  /** The first bytes of an incomplete line, or of an incomplete body. */
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;
  #escapes: Escapes = "none";
  /** Number of header lines of the frame, and their size. */
  #headers = 0;
  #headSize = 0;
  /** The size of a body of known size. */
  #size = 0;
  /** Whether the sink knows about the body of known size. */
  #announced = false;
  /** Bytes after the frame at which the sink was over its backlog. */
  #held: Uint8Array | undefined;
  #stopped = false;

  constructor(sink: StompSink, limits: StompLimits) {
    this.#sink = sink;
    this.maxBody = limits.maxBody;
    this.#maxLine = limits.maxLine ?? MAX_LINE;
    this.#maxHeaders = limits.maxHeaders ?? MAX_HEADERS;
    this.maxHead = limits.maxHead ?? MAX_HEAD;
  }

  /** Replaces the sink, from the next frame on. */
  set sink(sink: StompSink) {
    this.#sink = sink;
  }

  /** Whether the received bytes end between two frames. */
  get idle(): boolean {
    return this.#state === BETWEEN && this.#held === undefined;
  }

  /** Whether the decoder keeps bytes because the sink was over its backlog. */
  get holding(): boolean {
    return this.#held !== undefined;
  }

  /**
   * Processes the next bytes of the peer. After an error the position in the stream is lost: do not call `push` again.
   *
   * @throws {ProtocolError} malformed
   * @throws {LimitError} a line, the headers or the body are over the limit; nothing is allocated for them
   */
  push(chunk: Uint8Array): void {
    if (this.#held !== undefined || this.#sink.overBacklog === true) return this.#hold(chunk);
    let at = 0;
    while (at < chunk.length && !this.#stopped) at = this.#step(chunk, at);
    this.#stopped = false;
    if (at < chunk.length) this.#hold(chunk.subarray(at));
  }

  /**
   * Processes the kept bytes, when the sink has room again.
   *
   * @throws the errors of `push`
   */
  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.push(held);
  }

  /** Processes the next part of a frame, and returns the position after it. */
  #step(bytes: Uint8Array, at: number): number {
    switch (this.#state) {
      case BETWEEN:
        return this.#between(bytes, at);
      case COMMAND:
        return this.#command(bytes, at);
      case HEADER:
        return this.#line(bytes, at);
      case SIZED:
        return this.#sized(bytes, at);
      case TEXT:
        return this.#text(bytes, at);
      default:
        if (bytes[at] !== 0) {
          throw new ProtocolError(
            `A ${this.#frame.command} frame has no NUL after the ${this.#size} bytes of its body`,
          );
        }
        this.#emit(this.#carry, 0, this.#carried);
        return at + 1;
    }
  }

  /** Skips ends of lines, which are heart-beats, and NULs, as RabbitMQ does. */
  #between(bytes: Uint8Array, at: number): number {
    for (; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (byte === LF || byte === CR || byte === 0) continue;
      this.#state = COMMAND;
      break;
    }
    return at;
  }

  /** Checks each byte of a command as it arrives, so that other protocols are refused at once. */
  #command(bytes: Uint8Array, at: number): number {
    const start = at;
    for (; at < bytes.length && bytes[at] !== LF; at++) {
      const byte = bytes[at]!;
      const isLast = byte === CR && (at + 1 === bytes.length || bytes[at + 1] === LF);
      const afterCr = at > start
        ? bytes[at - 1] === CR
        : this.#carried > 0 && this.#carry[this.#carried - 1] === CR;
      if ((byte <= SPACE || byte > 126) && !isLast || afterCr || this.#carried + at - start >= MAX_COMMAND) {
        this.#append(bytes, start, Math.min(bytes.length, at + MAX_COMMAND));
        throw notStomp(this.#carry.subarray(0, this.#carried));
      }
    }
    if (at === bytes.length) return this.#append(bytes, start, at);
    this.#takeLine(bytes, start, at);
    return at + 1;
  }

  /** Reads a header line. */
  #line(bytes: Uint8Array, at: number): number {
    const found = bytes.indexOf(LF, at);
    const end = found < 0 ? bytes.length : found;
    const length = this.#carried + end - at;
    if (length > this.#maxLine) {
      throw new LimitError(`A header line has more than ${this.#maxLine} bytes`);
    }
    if (this.#headSize + length > this.maxHead) {
      throw new LimitError(
        `The headers of a ${this.#frame.command} frame have more than ${this.maxHead} bytes`,
      );
    }
    if (found >= 0) {
      this.#headSize += length + 1;
      this.#takeLine(bytes, at, end);
      return end + 1;
    }
    if (bytes.indexOf(0, at) >= 0) throw nulInHeaders();
    return this.#append(bytes, at, end);
  }

  /** Processes a complete line, without its LF; its first bytes may be in the carry buffer. */
  #takeLine(bytes: Uint8Array, start: number, end: number): void {
    if (this.#carried > 0) {
      this.#append(bytes, start, end);
      bytes = this.#carry;
      start = 0;
      end = this.#carried;
      this.#carried = 0;
    }
    if (end > start && bytes[end - 1] === CR) end--;
    if (this.#state === COMMAND) {
      const frame = this.#frame;
      frame.command = readName(bytes, start, end);
      this.#escapes = escapesOf(frame.command, this.version);
      this.#headers = this.#headSize = 0;
      this.#state = HEADER;
    } else if (start === end) this.#beginBody();
    else this.#header(bytes, start, end);
  }

  #header(bytes: Uint8Array, start: number, end: number): void {
    if (++this.#headers > this.#maxHeaders) {
      throw new LimitError(`A ${this.#frame.command} frame has more than ${this.#maxHeaders} headers`);
    }
    let colon = -1;
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!;
      if (byte === 0) throw nulInHeaders();
      if (byte === CR) throw new ProtocolError("A header has a carriage return that is not escaped");
      if (byte === COLON && colon < 0) colon = i;
    }
    if (colon < 0) {
      const { command } = this.#frame;
      const text = readText(bytes, start, Math.min(end, start + 60));
      throw new ProtocolError(
        // It may be the password.
        `A header of a ${command} frame has no colon${
          /^(CONNECT|STOMP)$/.test(command) ? "" : `: '${text}'`
        }`,
      );
    }
    const escapes = this.#escapes;
    const name = unescape(readName(bytes, start, colon), escapes);
    const { headers, command } = this.#frame;
    if (headers.has(name)) {
      // The value is ignored, but an error in it is not.
      if (escapes === "strict") unescape(readText(bytes, colon + 1, end), escapes);
      return;
    }
    let value = unescape(readText(bytes, colon + 1, end), escapes);
    // In STOMP 1.0, a space may follow the colon. The version of a CONNECT frame is not known yet.
    if (this.version === "1.0" && command !== "CONNECT" && command !== "STOMP") value = trimLeft(value);
    headers.set(name, value);
  }

  #beginBody(): void {
    const { command } = this.#frame;
    const length = hasBody(command) ? this.#frame.get("content-length") : undefined;
    if (length === undefined) {
      this.#state = TEXT;
      return;
    }
    const size = /^ *(\d{1,16}) *$/.exec(length)?.[1];
    if (size === undefined && !/^ *\d+ *$/.test(length)) {
      throw new ProtocolError(`The header content-length is not a number of bytes: '${length.slice(0, 60)}'`);
    }
    if (size === undefined || Number(size) > this.maxBody) throw this.#tooLarge(length.trim());
    this.#size = Number(size);
    this.#state = SIZED;
  }

  #sized(bytes: Uint8Array, at: number): number {
    const left = bytes.length - at;
    const size = this.#size;
    if (this.#carried === 0 && left > size) {
      if (bytes[at + size] !== 0) {
        throw new ProtocolError(
          `A ${this.#frame.command} frame has no NUL after the ${size} bytes of its body`,
        );
      }
      this.#emit(bytes, at, at + size);
      return at + size + 1;
    }
    if (this.#carry.length < size && this.#carried === 0 && this.#announce(size, true)) return at;
    const end = at + Math.min(left, size - this.#carried);
    this.#append(bytes, at, end, size);
    if (this.#carried === size) this.#state = END;
    return end;
  }

  #text(bytes: Uint8Array, at: number): number {
    const found = bytes.indexOf(0, at);
    const end = found < 0 ? bytes.length : found;
    const total = this.#carried + end - at;
    const { command } = this.#frame;
    const limit = hasBody(command) ? this.maxBody : Math.min(this.maxBody, this.#maxLine);
    if (total > limit) throw this.#tooLarge(`more than ${limit}`, limit);
    if (this.#carried === 0 && found >= 0) {
      this.#emit(bytes, at, end);
      return end + 1;
    }
    if (total > this.#carry.length) {
      const size = Math.min(limit, Math.max(total, this.#carry.length * 2));
      if (size > KEEP) this.#sink.onBody?.(size, false);
    }
    this.#append(bytes, at, end, limit);
    if (found < 0) return end;
    this.#emit(this.#carry, 0, this.#carried);
    return end + 1;
  }

  /** Reports a body of known size once. @returns whether the sink must reserve memory first */
  #announce(size: number, isKnown: boolean): boolean {
    if (size <= KEEP || this.#sink.onBody === undefined || this.#announced) return false;
    this.#announced = true;
    this.#sink.onBody(size, isKnown);
    if (this.#sink.overBacklog === true) this.#stopped = true;
    return this.#stopped;
  }

  #emit(body: Uint8Array, start: number, end: number): void {
    const frame = this.#frame;
    frame.body = body;
    frame.bodyStart = start;
    frame.bodyEnd = end;
    this.#state = BETWEEN;
    this.#carried = 0;
    this.#announced = false;
    this.#sink.onFrame(frame);
    frame.clear();
    if (this.#carry.length > KEEP) this.#carry = new Uint8Array(0);
    if (this.#sink.overBacklog === true) this.#stopped = true;
  }

  /** Adds bytes to the carry buffer, which grows up to `limit`, and returns their end. */
  #append(bytes: Uint8Array, start: number, end: number, limit = Infinity): number {
    const needed = this.#carried + end - start;
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(limit, Math.max(256, this.#carry.length * 2))));
      copyBytes(this.#carry, 0, this.#carried, grown, 0);
      this.#carry = grown;
    }
    this.#carried = copyBytes(bytes, start, end, this.#carry, this.#carried);
    return end;
  }

  /** Keeps bytes that arrive although the stream is paused. */
  #hold(chunk: Uint8Array): void {
    const held = this.#held ?? new Uint8Array(0);
    this.#held = new Uint8Array(held.length + chunk.length);
    this.#held.set(held);
    this.#held.set(chunk, held.length);
  }

  #tooLarge(size: string, limit: number = this.maxBody): LimitError {
    return new LimitError(
      `The body of a ${this.#frame.command} frame has ${size} bytes: the limit is ${limit}`,
    );
  }
}

function nulInHeaders(): ProtocolError {
  return new ProtocolError(
    "A NUL is in the headers: an empty line must come before it, even if there is no body",
  );
}

function trimLeft(value: string): string {
  let at = 0;
  while (value.charCodeAt(at) === SPACE) at++;
  return at === 0 ? value : value.slice(at);
}
