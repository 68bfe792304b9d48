import { LimitError, ProtocolError } from "../../errors.ts";
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  FIN,
  MASKED,
  MAX_CONTROL,
  MAX_HEADER,
  PONG,
  readLength,
  SHORT,
  TEXT,
  wordsOf,
  writeUint32,
  xor,
  ZMTP_COMMAND,
  ZMTP_LONG,
  ZMTP_MORE,
  ZWS_COMMAND,
  ZWS_MORE,
} from "./frame.ts";

/** An output buffer larger than this, after a message in fragments, is released, in bytes. */
const KEEP = 1024 * 1024;
const NOTHING = new Uint8Array(0);

/** Receives the control frames; `payload` is valid during the call. */
export type ControlSink = (opcode: number, payload: Uint8Array) => void;

/**
 * Turns a stream of WebSocket frames back into one of ZMTP frames (RFC 45), however it is cut. The bytes of a message in
 * one frame, the usual case, are passed on as they arrive. A message in fragments is collected first, as its length is
 * not known before the last fragment.
 */
export class ZwsDecoder {
  /** The result of the last `push`, ZMTP's bytes: the first `length` bytes, valid until the next call. */
  output: Uint8Array = new Uint8Array(4096);
  length = 0;

  /** The output as words. */
  #words: Uint32Array = wordsOf(this.output);
  readonly #masked: boolean;
  readonly #maxMessage: number;
  readonly #bytes: boolean;
  /** For a stream of bytes: whether a fragment of the current message has arrived. */
  #inMessage = false;
  readonly #onControl: ControlSink;
  readonly #header = new Uint8Array(MAX_HEADER);
  #headerLength = 0;
  readonly #control = new Uint8Array(MAX_CONTROL);
  #controlLength = 0;
  #final = true;
  #opcode = 0;
  #mask = 0;
  /** How many bytes of the frame's payload are missing, and how many have arrived. */
  #left = 0;
  #phase = 0;
  #inPayload = false;
  /** The flags of the current message; -1 before they arrive. */
  #flags = -1;
  /** The body of the current message in fragments; undefined when there is none. */
  #pieces: Uint8Array | undefined;
  #collected = 0;

  /**
   * @param masked whether the peer must mask its frames, as a client
   * @param maxMessage the limit for a message in fragments, in bytes; other messages are not collected here
   * @param bytes whether messages carry a stream of bytes: the result is their payloads, and fragments are not collected
   */
  constructor(masked: boolean, maxMessage: number, onControl: ControlSink, bytes = false) {
    this.#bytes = bytes;
    this.#masked = masked;
    this.#maxMessage = maxMessage;
    this.#onControl = onControl;
  }

  /**
   * Decodes the next bytes from the peer.
   *
   * @throws {ProtocolError} the bytes violate RFC 6455 or RFC 45
   * @throws {LimitError} a message in fragments is over the limit; nothing was allocated for it
   */
  push(chunk: Uint8Array): void {
    this.length = 0;
    if (this.output.length > KEEP) this.output = NOTHING;
    // A header of ZMTP can be four bytes longer than that of its WebSocket frame, which then has at least 260 bytes.
    this.#reserve(chunk.length + (chunk.length >>> 6) + 2 * MAX_HEADER);
    for (let at = 0; at < chunk.length;) {
      if (this.#inPayload) at = this.#takePayload(chunk, at);
      else {
        if (this.#headerLength === 0 && this.#pieces === undefined && !this.#bytes) {
          at = this.#takeWhole(chunk, at);
          if (at === chunk.length) return;
        }
        at = this.#takeHeader(chunk, at);
      }
    }
  }

  /**
   * Decodes the short messages that are complete in the chunk, each in one frame, from `at` on, up to the first other
   * frame. One call copies them all into the output, and nothing after them, which may be copied by a later call. Then
   * each body moves down to its place, and is unmasked there.
   *
   * @returns the position after them
   */
  #takeWhole(chunk: Uint8Array, at: number): number {
    let stop = at;
    for (let end; (end = this.#wholeEnd(chunk, stop)) >= 0;) stop = end;
    if (stop === at) return at;
    const start = this.length + (stop - at >>> 6) + MAX_HEADER;
    const last = start + stop - at;
    this.#reserve(last);
    const { output } = this;
    output.set(stop - at === chunk.length ? chunk : chunk.subarray(at, stop), start);
    let to = this.length;
    const masked = this.#masked;
    for (let from = start; from < last;) {
      const code = output[from + 1]! & 127;
      const size = lengthSize(code);
      const length = (size === 0 ? code : readLength(output, from + 2, size)) - 1;
      let payload = from + 2 + size;
      let mask = 0;
      if (masked) {
        mask = output[payload]! << 24 | output[payload + 1]! << 16 | output[payload + 2]! << 8 |
          output[payload + 3]!;
        payload += 4;
      }
      this.#flags = zmtpFlags(output[payload]! ^ mask >>> 24);
      to = this.#writeZmtpHeader(to, length);
      from = payload + 1 + length;
      output.copyWithin(to, payload + 1, from);
      if (masked) xor(output, to, to + length, mask, 1, this.#words);
      to += length;
    }
    this.#flags = -1;
    this.length = to;
    return stop;
  }

  /** The end of the frame at `at` if it is a complete, short and valid message; -1 otherwise. */
  #wholeEnd(bytes: Uint8Array, at: number): number {
    const to = bytes.length;
    if (at + 2 > to || bytes[at] !== (FIN | BINARY)) return -1;
    const second = bytes[at + 1]!;
    if (((second & MASKED) !== 0) !== this.#masked) return -1;
    const code = second & 127;
    const size = lengthSize(code);
    const payload = at + 2 + size + (this.#masked ? 4 : 0);
    if (payload >= to) return -1;
    const length = size === 0 ? code : readLength(bytes, at + 2, size);
    return length === 0 || length > SHORT || payload + length > to ? -1 : payload + length;
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const header = this.#header;
    while (at < chunk.length && this.#headerLength < this.#wanted) {
      header[this.#headerLength++] = chunk[at++]!;
    }
    if (this.#headerLength < this.#wanted) return at;
    this.#begin();
    this.#headerLength = 0;
    // A frame without a payload is complete here.
    if (this.#left === 0) this.#endFrame();
    else this.#inPayload = true;
    return at;
  }

  get #wanted(): number {
    if (this.#headerLength < 2) return 2;
    const second = this.#header[1]!;
    return 2 + lengthSize(second & 127) + ((second & MASKED) === 0 ? 0 : 4);
  }

  #begin(): void {
    const [first, second] = this.#header as unknown as [number, number];
    if ((first & 0x70) !== 0) throw new ProtocolError("The peer sent a WebSocket frame with reserved bits");
    if (((second & MASKED) !== 0) !== this.#masked) {
      throw new ProtocolError(`The peer sent a WebSocket frame that is ${this.#masked ? "not " : ""}masked`);
    }
    const size = lengthSize(second & 127);
    this.#final = (first & FIN) !== 0;
    this.#opcode = first & 15;
    this.#left = size === 0 ? second & 127 : readLength(this.#header, 2, size);
    this.#mask = this.#masked ? readLength(this.#header, 2 + size, 4) : 0;
    this.#phase = 0;
    if (this.#opcode >= CLOSE) return this.#checkControl();
    this.#checkData();
  }

  #checkControl(): void {
    if (this.#opcode > PONG || !this.#final || this.#left > MAX_CONTROL) {
      throw new ProtocolError("The peer sent a control frame that WebSocket does not define");
    }
    this.#controlLength = 0;
  }

  #checkData(): void {
    if (this.#bytes) return this.#checkBytes();
    if (this.#opcode === TEXT) throw new ProtocolError("The peer sent a text message, but ZWS is binary");
    const expected = this.#pieces === undefined ? BINARY : CONTINUATION;
    if (this.#opcode !== expected) {
      throw new ProtocolError(`The peer sent a WebSocket frame of kind ${this.#opcode} out of place`);
    }
    if (this.#final && this.#pieces === undefined) {
      if (this.#left === 0) throw new ProtocolError("The peer sent an empty message, without ZWS's flags");
      return;
    }
    if (this.#collected + this.#left > this.#maxMessage) {
      throw new LimitError(`The peer sent a message in fragments that is over ${this.#maxMessage} bytes`);
    }
    this.#pieces ??= NOTHING;
  }

  /** For a stream of bytes, text and binary messages are the same. */
  #checkBytes(): void {
    const fits = this.#inMessage
      ? this.#opcode === CONTINUATION
      : this.#opcode === TEXT || this.#opcode === BINARY;
    if (!fits) {
      throw new ProtocolError(`The peer sent a WebSocket frame of kind ${this.#opcode} out of place`);
    }
    this.#inMessage = !this.#final;
  }

  #takePayload(chunk: Uint8Array, at: number): number {
    const count = Math.min(this.#left, chunk.length - at);
    if (this.#opcode >= CLOSE) {
      this.#control.set(chunk.subarray(at, at + count), this.#controlLength);
      if (this.#masked) {
        xor(this.#control, this.#controlLength, this.#controlLength + count, this.#mask, this.#phase);
      }
      this.#controlLength += count;
    } else if (this.#pieces === undefined) this.#passOn(chunk, at, count);
    else this.#collect(chunk, at, count);
    this.#left -= count;
    this.#phase += count;
    if (this.#left === 0) this.#endFrame();
    return at + count;
  }

  /** Passes on a piece of the payload of a message in one frame. */
  #passOn(chunk: Uint8Array, at: number, count: number): void {
    let { length } = this;
    let from = at;
    if (this.#flags < 0 && !this.#bytes) {
      this.#flags = zmtpFlags(chunk[from++]! ^ this.#mask >>> 24);
      length = this.#writeZmtpHeader(length, this.#left - 1);
    }
    const end = at + count;
    this.output.set(chunk.subarray(from, end), length);
    if (this.#masked) {
      xor(this.output, length, length + end - from, this.#mask, this.#phase + from - at, this.#words);
    }
    this.length = length + end - from;
  }

  #collect(chunk: Uint8Array, at: number, count: number): void {
    const needed = this.#collected + count;
    if (needed > this.#pieces!.length) {
      const grown = new Uint8Array(Math.max(needed, this.#pieces!.length * 2, 1024));
      grown.set(this.#pieces!.subarray(0, this.#collected));
      this.#pieces = grown;
    }
    const pieces = this.#pieces!;
    pieces.set(chunk.subarray(at, at + count), this.#collected);
    if (this.#masked) xor(pieces, this.#collected, needed, this.#mask, this.#phase);
    this.#collected = needed;
  }

  #endFrame(): void {
    this.#inPayload = false;
    if (this.#opcode >= CLOSE) {
      return this.#onControl(this.#opcode, this.#control.subarray(0, this.#controlLength));
    }
    if (!this.#final) return;
    if (this.#pieces !== undefined) this.#endFragments(this.#pieces);
    this.#flags = -1;
  }

  #endFragments(pieces: Uint8Array): void {
    if (this.#collected === 0) throw new ProtocolError("The peer sent an empty message, without ZWS's flags");
    this.#flags = zmtpFlags(pieces[0]!);
    this.#reserve(this.length + this.#collected + this.output.length);
    const at = this.#writeZmtpHeader(this.length, this.#collected - 1);
    this.output.set(pieces.subarray(1, this.#collected), at);
    this.length = at + this.#collected - 1;
    this.#pieces = undefined;
    this.#collected = 0;
  }

  #writeZmtpHeader(at: number, length: number): number {
    const { output } = this;
    if (length < 256) {
      output[at] = this.#flags;
      output[at + 1] = length;
      return at + 2;
    }
    output[at] = this.#flags | ZMTP_LONG;
    writeUint32(output, at + 1, Math.floor(length / 0x100000000));
    return writeUint32(output, at + 5, length % 0x100000000);
  }

  #reserve(length: number): void {
    if (length <= this.output.length) return;
    const grown = new Uint8Array(length);
    grown.set(this.output.subarray(0, this.length));
    this.output = grown;
    this.#words = wordsOf(grown);
  }
}

/** @throws {ProtocolError} RFC 45 does not define the flags */
function zmtpFlags(zws: number): number {
  if (zws > ZWS_COMMAND) {
    throw new ProtocolError("The peer sent a message with flags that ZWS does not define");
  }
  return zws === ZWS_COMMAND ? ZMTP_COMMAND : zws === ZWS_MORE ? ZMTP_MORE : 0;
}

/** How many bytes of the length follow a header's second byte. */
function lengthSize(code: number): number {
  return code < 126 ? 0 : code === 126 ? 2 : 8;
}
