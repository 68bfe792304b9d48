/**
 * What a segment is made of. All numbers are little-endian. A segment begins with
 *
 *     magic "MQCATLOG" (8), version u32, salt u32
 *
 * and goes on with records:
 *
 *     length u32 of what follows the sum, CRC-32C u32 of it, type u8, flags u8, …
 *     message: … route length u16, targets u32, properties length u32, body length u32,
 *              targets (queue id u32, sequence number u48, lane u8, and an expiry f64 with flag 1),
 *              route, properties, body
 *     source:  … u16, segment u32: what comes from here on may be copies of messages of that segment
 *
 * The salt is what every sum of the segment starts from. It is random, so that no body can hold what passes for a
 * record when its own record is damaged.
 */
import type { EncodedMessage } from "../../../../amqp/frames/frame_encoder.ts";
import { copyBytes } from "../../../../amqp/frames/frame_buffer.ts";
import { crc32c } from "./crc32c.ts";

/** The bytes in front of the first record. */
export const SEGMENT_HEAD = 16;
/** Length and sum. */
export const RECORD_HEAD = 8;
/** What is in front of a message's targets. */
export const MESSAGE_HEAD = 24;

export const MESSAGE = 1;
export const SOURCE = 2;
/** The size of a source record. */
export const SOURCE_SIZE = 16;

const EXPIRING = 1;
const TARGET = 11;
const EXPIRING_TARGET = 19;
const MAGIC = "MQCATLOG";
const VERSION = 1;
const HIGH = 2 ** 32;

/** The queues that a message goes to. One object serves for all messages. */
export class Targets {
  count = 0;
  readonly queueIds: number[] = [];
  readonly lanes: number[] = [];
  readonly seqs: number[] = [];
  readonly expiries: number[] = [];
  #expiring = false;

  /** Whether any of them has an expiry. */
  get expiring(): boolean {
    return this.#expiring;
  }

  clear(): void {
    this.count = 0;
    this.#expiring = false;
  }

  /**
   * @param queueId at most 2^32-1; an id is never given to another queue
   * @param lane at most 255
   * @param seq the position that `Lane.push` will give it, `nextSeq`; below 2^48
   * @param expiry milliseconds since 1970, 0 for never
   */
  add(queueId: number, lane: number, seq: number, expiry: number): void {
    const at = this.count++;
    this.queueIds[at] = queueId;
    this.lanes[at] = lane;
    this.seqs[at] = seq;
    this.expiries[at] = expiry;
    if (expiry !== 0) this.#expiring = true;
  }
}

/** How many bytes the record of a message takes. */
export function sizeofMessage(message: EncodedMessage, targets: Targets): number {
  return MESSAGE_HEAD + targets.count * (targets.expiring ? EXPIRING_TARGET : TARGET) +
    message.propertiesEnd - message.routeStart + message.bodyEnd - message.bodyStart;
}

/**
 * Writes the record of a message, without its sum.
 *
 * @returns where it ends
 */
export function writeMessage(
  message: EncodedMessage,
  targets: Targets,
  bytes: Uint8Array,
  view: DataView,
  start: number,
): number {
  const { head, routeStart, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = message;
  const { count, expiring } = targets;
  view.setUint16(start + 8, expiring ? MESSAGE | EXPIRING << 8 : MESSAGE, true);
  view.setUint16(start + 10, propertiesStart - routeStart, true);
  view.setUint32(start + 12, count, true);
  view.setUint32(start + 16, propertiesEnd - propertiesStart, true);
  view.setUint32(start + 20, bodyEnd - bodyStart, true);
  let at = start + MESSAGE_HEAD;
  for (let i = 0; i < count; i++) {
    const seq = targets.seqs[i]!;
    view.setUint32(at, targets.queueIds[i]!, true);
    view.setUint32(at + 4, seq, true);
    view.setUint16(at + 8, seq < HIGH ? 0 : seq / HIGH, true);
    bytes[at + 10] = targets.lanes[i]!;
    at += TARGET;
    if (expiring) {
      view.setFloat64(at, targets.expiries[i]!, true);
      at += EXPIRING_TARGET - TARGET;
    }
  }
  at = copyBytes(head, routeStart, propertiesEnd, bytes, at);
  at = copyBytes(body, bodyStart, bodyEnd, bytes, at);
  view.setUint32(start, at - start - RECORD_HEAD, true);
  return at;
}

/** Writes that copies of another segment's messages may follow. @returns where it ends */
export function writeSource(source: number, view: DataView, start: number): number {
  view.setUint32(start, SOURCE_SIZE - RECORD_HEAD, true);
  view.setUint32(start + 8, SOURCE, true);
  view.setUint32(start + 12, source, true);
  return start + SOURCE_SIZE;
}

/** The sum of a record that is written whole. */
export function writeSum(view: DataView, start: number, end: number, salt: number): void {
  view.setUint32(start + 4, crc32c(view, start + RECORD_HEAD, end, salt), true);
}

/** Whether a record's sum is right. */
export function checkSum(view: DataView, start: number, end: number, salt: number): boolean {
  return view.getUint32(start + 4, true) === crc32c(view, start + RECORD_HEAD, end, salt);
}

/**
 * A record of a segment, where it lies: its message, and its targets. One object is set to many records, one after the
 * other.
 */
export class RecordView implements EncodedMessage {
  head: Uint8Array = NO_BYTES;
  routeStart = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  body: Uint8Array = NO_BYTES;
  bodyStart = 0;
  bodyEnd = 0;
  /** Where the record begins and ends. */
  start = 0;
  end = 0;
  /** `MESSAGE` or `SOURCE`. */
  type = 0;
  /** The segment that a `SOURCE` names. */
  source = 0;
  /** How many targets the message has. */
  targets = 0;
  #view: DataView = NO_VIEW;
  #targetsAt = 0;
  #expiring = false;

  /**
   * Sets it to the record at `start`.
   *
   * @param limit where the bytes end
   * @returns false when there is none, by its lengths; its sum is not looked at
   */
  set(bytes: Uint8Array, view: DataView, start: number, limit: number): boolean {
    if (start + SOURCE_SIZE > limit) return false;
    const end = start + RECORD_HEAD + view.getUint32(start, true);
    if (end > limit) return false;
    this.#view = view;
    this.start = start;
    this.end = end;
    const type = view.getUint16(start + 8, true);
    if (type === SOURCE) {
      this.type = SOURCE;
      this.targets = 0;
      this.source = view.getUint32(start + 12, true);
      return end === start + SOURCE_SIZE;
    }
    const expiring = type >> 8 === EXPIRING;
    if ((type & 255) !== MESSAGE || type >> 8 > EXPIRING || end - start < MESSAGE_HEAD) return false;
    const targets = view.getUint32(start + 12, true);
    const routeStart = start + MESSAGE_HEAD + targets * (expiring ? EXPIRING_TARGET : TARGET);
    const propertiesStart = routeStart + view.getUint16(start + 10, true);
    const propertiesEnd = propertiesStart + view.getUint32(start + 16, true);
    const bodyEnd = propertiesEnd + view.getUint32(start + 20, true);
    if (bodyEnd !== end) return false;
    this.type = MESSAGE;
    this.targets = targets;
    this.#targetsAt = start + MESSAGE_HEAD;
    this.#expiring = expiring;
    this.head = this.body = bytes;
    this.routeStart = routeStart;
    this.propertiesStart = propertiesStart;
    this.propertiesEnd = this.bodyStart = propertiesEnd;
    this.bodyEnd = bodyEnd;
    return true;
  }

  /** The size of the body, in bytes. */
  get size(): number {
    return this.bodyEnd - this.bodyStart;
  }

  queueId(target: number): number {
    return this.#view.getUint32(this.#at(target), true);
  }

  seq(target: number): number {
    const at = this.#at(target) + 4;
    return this.#view.getUint32(at, true) + HIGH * this.#view.getUint16(at + 4, true);
  }

  lane(target: number): number {
    return this.#view.getUint8(this.#at(target) + 10);
  }

  /** Milliseconds since 1970, 0 for never. */
  expiry(target: number): number {
    return this.#expiring ? this.#view.getFloat64(this.#at(target) + TARGET, true) : 0;
  }

  #at(target: number): number {
    return this.#targetsAt + target * (this.#expiring ? EXPIRING_TARGET : TARGET);
  }
}

/** The beginning of a segment. */
export function writeSegmentHead(bytes: Uint8Array, view: DataView, salt: number): void {
  for (let i = 0; i < MAGIC.length; i++) bytes[i] = MAGIC.charCodeAt(i);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, salt, true);
}

/** @returns the salt, or undefined when this is not the beginning of a segment */
export function readSegmentHead(bytes: Uint8Array, view: DataView, length: number): number | undefined {
  if (length < SEGMENT_HEAD || view.getUint32(8, true) !== VERSION) return undefined;
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC.charCodeAt(i)) return undefined;
  return view.getUint32(12, true);
}

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);
