import { LimitError, ProtocolError } from "../../errors.ts";
import { type Batch, COMMAND, LONG, MORE } from "../batch.ts";
import { EMPTY } from "../bytes.ts";
import { parseCommand, parseError } from "../command.ts";
import { readLength } from "../frame_decoder.ts";
import { MAX_HEADER, writeHeader, writeUint32 } from "../frame_encoder.ts";
import type { Cipher } from "./mechanism.ts";
import { TAG_LENGTH, type Workspace } from "./nacl.ts";

/** Flags of a frame inside its box (RFC 26). */
const INNER_MORE = 1;
const INNER_COMMAND = 2;

/** The layout of a MESSAGE: `07 "MESSAGE"`, 8 bytes of the nonce, the tag, the flags, the body. */
const NAME_BEGIN = 0x074d4553;
const NAME_END = 0x53414745;
const NONCE_AT = 8;
const BOX_AT = NONCE_AT + 8;
const FLAGS_AT = BOX_AT + TAG_LENGTH;
const BODY_AT = FLAGS_AT + 1;

/** The limit for a frame, in bytes: it must fit into libsodium's memory, which has at most 2 GiB. */
const MAX_FRAME = 512 * 1024 * 1024;
/** Buffers up to this size are kept for the next block, in bytes. */
const KEEP = 512 * 1024;
const TWO_32 = 2 ** 32;

/** The key and the counters of a connection after its handshake. */
export interface CurveState {
  /** The stream key for the messages that we send: of the two transient key pairs and the first 16 bytes of our nonces. */
  readonly sendKey: Uint8Array;
  /** The stream key for the messages that the peer sends. */
  readonly receiveKey: Uint8Array;
  /** The last counter that we sent. */
  readonly sent: number;
  /** The last counter that the peer sent, 8 bytes in big-endian order. */
  readonly received: Uint8Array;
}

/** Encrypts and decrypts the MESSAGE commands of CURVE (RFC 26): one box per frame, with an increasing nonce. */
export class CurveCipher implements Cipher {
  readonly overhead = MAX_HEADER - 2 + BODY_AT;

  readonly #workspace: Workspace;
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  #sent: number;
  /** The last counter of the peer, in two halves. */
  #receivedHigh: number;
  #receivedLow: number;
  #sealed: Uint8Array = EMPTY;

  constructor(workspace: Workspace, { sendKey, receiveKey, sent, received }: CurveState) {
    this.#workspace = workspace;
    this.#sendKey = sendKey;
    this.#receiveKey = receiveKey;
    this.#sent = sent;
    const view = new DataView(received.buffer, received.byteOffset, received.length);
    this.#receivedHigh = view.getUint32(0);
    this.#receivedLow = view.getUint32(4);
  }

  seal(frames: Uint8Array): Uint8Array {
    const workspace = this.#workspace;
    const total = sealedLength(frames, MAX_FRAME);
    workspace.prepare(total, this.#sendKey);
    const { heap, at: start } = workspace;
    // The frames are copied to the end of the memory. Each moves down to its place, which is at or below its copy.
    let from = start + total - frames.length;
    heap.set(frames, from);
    let at = start;
    while (at < start + total) {
      const flags = heap[from]!;
      const long = (flags & LONG) !== 0;
      const length = long ? readLength(heap, from + 1) : heap[from + 1]!;
      from += long ? MAX_HEADER : 2;
      at = writeHeader(heap, at, 0, BODY_AT + length);
      heap.copyWithin(at + BODY_AT, from, from + length);
      writeUint32(heap, at, NAME_BEGIN);
      writeUint32(heap, at + 4, NAME_END);
      writeCounter(heap, at + NONCE_AT, ++this.#sent);
      heap[at + FLAGS_AT] = (flags & MORE ? INNER_MORE : 0) | (flags & COMMAND ? INNER_COMMAND : 0);
      workspace.seal(at + BOX_AT, 1 + length, at + NONCE_AT);
      at += BODY_AT + length;
      from += length;
    }
    return this.#take(heap.subarray(start, start + total));
  }

  sealedWithin(frames: Uint8Array, taken: number): number {
    let at = 0;
    while (at < frames.length) {
      const end = frameEnd(frames, at);
      taken -= sealedLength(frames.subarray(at, end));
      if (taken < 0) break;
      at = end;
    }
    return at;
  }

  open(batch: Batch, take: (frames: Uint8Array) => void): void {
    const { starts, ends, frames, bytes } = batch;
    const first = starts[0]!;
    const last = ends[frames - 1]!;
    this.#check(batch);
    const workspace = this.#workspace;
    workspace.prepare(last - first, this.#receiveKey);
    const { heap, at: start } = workspace;
    heap.set(bytes.subarray(first, last), start);
    const shift = start - first;
    let to = start;
    for (let i = 0; i < frames; i++) {
      const at = starts[i]! + shift;
      const end = ends[i]! + shift;
      this.#advance(heap, at + NONCE_AT);
      if (!workspace.open(at + BOX_AT, end - at - FLAGS_AT, at + NONCE_AT)) {
        throw new ProtocolError("The peer sent a message that cannot be decrypted (CURVE)");
      }
      const inner = heap[at + FLAGS_AT]!;
      if (inner > (INNER_MORE | INNER_COMMAND)) {
        throw new ProtocolError(`The peer sent a message with reserved flags (CURVE, ${inner})`);
      }
      const plain = (inner & INNER_MORE ? MORE : 0) | (inner & INNER_COMMAND ? COMMAND : 0);
      to = writeHeader(heap, to, plain, end - at - BODY_AT);
      heap.copyWithin(to, at + BODY_AT, end);
      to += end - at - BODY_AT;
    }
    deliver(heap.subarray(start, to), take);
  }

  /** Checks the unencrypted part of every frame before decryption. */
  #check({ starts, ends, flags, frames, bytes }: Batch): void {
    for (let i = 0; i < frames; i++) {
      const at = starts[i]!;
      const length = ends[i]! - at;
      if (!isMessage(bytes, at, length)) throw notAMessage(bytes.subarray(at, ends[i]));
      if ((flags[i]! & MORE) !== 0) {
        throw new ProtocolError(
          "The peer sent a MESSAGE command with MORE outside of the encrypted part (CURVE)",
        );
      }
      if (length > MAX_FRAME) throw tooLarge(length);
    }
  }

  /** Requires an increasing counter, which prevents replayed messages. Gaps are legal. */
  #advance(heap: Uint8Array, at: number): void {
    const high = readUint32(heap, at);
    const low = readUint32(heap, at + 4);
    if (high < this.#receivedHigh || (high === this.#receivedHigh && low <= this.#receivedLow)) {
      throw new ProtocolError("The peer sent a nonce that does not increase: a message was repeated (CURVE)");
    }
    this.#receivedHigh = high;
    this.#receivedLow = low;
  }

  /** Copies the sealed frames. The copy is valid until the next call. */
  #take(sealed: Uint8Array): Uint8Array {
    if (sealed.length > KEEP) return sealed.slice();
    if (this.#sealed.length < sealed.length) {
      this.#sealed = new Uint8Array(Math.min(KEEP, Math.max(sealed.length, this.#sealed.length * 2)));
    }
    this.#sealed.set(sealed);
    return this.#sealed.subarray(0, sealed.length);
  }
}

/** Unused buffers for plain frames. One is enough, unless a consumer causes another connection to decrypt. */
const plainBuffers: Uint8Array[] = [];

/** Passes a copy of the frames to `take`, because decrypting again overwrites them. */
function deliver(frames: Uint8Array, take: (frames: Uint8Array) => void): void {
  if (frames.length > KEEP) return take(frames.slice());
  const buffer = plainBuffers.pop() ?? new Uint8Array(KEEP);
  buffer.set(frames);
  try {
    take(buffer.subarray(0, frames.length));
  } finally {
    plainBuffers.push(buffer);
  }
}

/**
 * The length of frames after encryption, in bytes.
 *
 * @throws {LimitError} an encrypted frame is longer than `limit`
 */
function sealedLength(frames: Uint8Array, limit = Infinity): number {
  let total = 0;
  for (let at = 0; at < frames.length;) {
    const end = frameEnd(frames, at);
    const length = end - at - (frames[at]! & LONG ? MAX_HEADER : 2) + BODY_AT;
    if (length > limit) throw tooLarge(length);
    total += (length < 256 ? 2 : MAX_HEADER) + length;
    at = end;
  }
  return total;
}

/** The end of the frame that begins at `at`. */
function frameEnd(frames: Uint8Array, at: number): number {
  return frames[at]! & LONG ? at + MAX_HEADER + readLength(frames, at + 1) : at + 2 + frames[at + 1]!;
}

function isMessage(bytes: Uint8Array, at: number, length: number): boolean {
  return length >= BODY_AT && readUint32(bytes, at) === NAME_BEGIN && readUint32(bytes, at + 4) === NAME_END;
}

function notAMessage(body: Uint8Array): ProtocolError {
  const { name, data } = parseCommand(body);
  if (name === "ERROR") return new ProtocolError(`The peer ended the connection: ${parseError(data)}`);
  const what = name === "MESSAGE" ? "a MESSAGE that is too short" : "a command that is not encrypted";
  return new ProtocolError(`The peer sent ${what} (CURVE)`);
}

function tooLarge(length: number): LimitError {
  return new LimitError(`A frame of ${length} bytes is too large for CURVE: the limit is ${MAX_FRAME}`);
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!) >>> 0;
}

function writeCounter(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  writeUint32(bytes, at, high);
  writeUint32(bytes, at + 4, value - high * TWO_32);
}
