/**
 * The format of a segment. All numbers are little-endian. A segment begins with
 *
 *     magic "MQCATLOG" (8), version u32, salt u32
 *
 * and continues with records:
 *
 *     length u32 of the bytes after the sum, CRC-32C u32 of these bytes, type u8, flags u8, …
 *     message: … route length u16, targets u32, properties length u32, body length u32,
 *              targets (queue id u32, sequence number u48, lane u8, expiry f64 if flag 1 is set),
 *              origin (queue id u32, sequence number u48, lane u8, if flag 2 is set), route, properties, body
 *     source:  … u16, segment u32: the following records may be copies of messages of that segment
 *     head:    … u16, magic (8), version u32, salt u32, segment u32: the header again, and the segment's number
 *
 * The head record is the first record. Version 1 (mqcat 0.1.0) has neither head records nor origins. The origin is the
 * message that this one replaces, for example a dead letter's original: the record acknowledges it.
 *
 * The salt is the seed of every sum in the segment. It is random, so that bytes in a message body cannot look like a
 * valid record when the record of that message is damaged.
 */
import type { EncodedMessage } from "../../../../amqp/frames/frame_encoder.ts";
import { copyBytes } from "../../../../bytes/frame_buffer.ts";
import { crc32c } from "./crc32c.ts";

/** The length of the segment header, which precedes the first record. */
export const SEGMENT_HEAD = 16;
/** The length of a record's header: length and sum. */
export const RECORD_HEAD = 8;
/** The length of the fields that precede a message's targets. */
export const MESSAGE_HEAD = 24;

export const MESSAGE = 1;
export const SOURCE = 2;
export const HEAD = 3;
/** The length of a source record. */
export const SOURCE_SIZE = 16;
/** The length of the header and the head record, with which a new segment begins. */
export const NEW_SEGMENT = SEGMENT_HEAD + 32;

const EXPIRING = 1;
const ORIGIN = 2;
const TARGET = 11;
const EXPIRING_TARGET = 19;
const MAGIC = "MQCATLOG";
/** The version of new segments, and the oldest one that can be read. */
const VERSION = 2;
const OLDEST_VERSION = 1;
const HIGH = 2 ** 32;

/** The targets of a message: queue, lane and sequence number. One object is reused for all messages. */
export class Targets {
  count = 0;
  readonly queueIds: number[] = [];
  readonly lanes: number[] = [];
  readonly seqs: number[] = [];
  readonly expiries: number[] = [];
  /** The message that the new one replaces: its queue, or -1 for none. */
  originQueueId = -1;
  originLane = 0;
  originSeq = 0;
  #expiring = false;

  /** Whether any target has an expiry. */
  get expiring(): boolean {
    return this.#expiring;
  }

  /** Removes the targets; the origin stays. */
  clear(): void {
    this.count = 0;
    this.#expiring = false;
  }

  /** Sets the message that the new one replaces. After a crash either both or none of the two changes are made. */
  setOrigin(queueId: number, lane: number, seq: number): void {
    this.originQueueId = queueId;
    this.originLane = lane;
    this.originSeq = seq;
  }

  /**
   * Adds a target.
   *
   * @param queueId at most 2^32-1; an id is never reused for another queue
   * @param lane at most 255
   * @param seq the sequence number that `Lane.push` will assign, `Lane.nextSeq`; below 2^48
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

/** Returns the length of a message's record, in bytes. */
export function sizeofMessage(message: EncodedMessage, targets: Targets): number {
  return MESSAGE_HEAD + targets.count * (targets.expiring ? EXPIRING_TARGET : TARGET) +
    (targets.originQueueId < 0 ? 0 : TARGET) +
    message.propertiesEnd - message.routeStart + message.bodyEnd - message.bodyStart;
}

/**
 * Writes the record of a message without its sum.
 *
 * @returns the end of the record
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
  const replaces = targets.originQueueId >= 0;
  view.setUint16(start + 8, MESSAGE | (expiring ? EXPIRING << 8 : 0) | (replaces ? ORIGIN << 8 : 0), true);
  view.setUint16(start + 10, propertiesStart - routeStart, true);
  view.setUint32(start + 12, count, true);
  view.setUint32(start + 16, propertiesEnd - propertiesStart, true);
  view.setUint32(start + 20, bodyEnd - bodyStart, true);
  let at = start + MESSAGE_HEAD;
  for (let i = 0; i < count; i++) {
    at = writeTarget(bytes, view, at, targets.queueIds[i]!, targets.lanes[i]!, targets.seqs[i]!);
    if (expiring) {
      view.setFloat64(at, targets.expiries[i]!, true);
      at += EXPIRING_TARGET - TARGET;
    }
  }
  if (replaces) {
    at = writeTarget(bytes, view, at, targets.originQueueId, targets.originLane, targets.originSeq);
  }
  at = copyBytes(head, routeStart, propertiesEnd, bytes, at);
  at = copyBytes(body, bodyStart, bodyEnd, bytes, at);
  view.setUint32(start, at - start - RECORD_HEAD, true);
  return at;
}

function writeTarget(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  queueId: number,
  lane: number,
  seq: number,
): number {
  view.setUint32(at, queueId, true);
  view.setUint32(at + 4, seq, true);
  view.setUint16(at + 8, seq < HIGH ? 0 : seq / HIGH, true);
  bytes[at + 10] = lane;
  return at + TARGET;
}

/** Writes a source record without its sum. @returns the end of the record */
export function writeSource(source: number, view: DataView, start: number): number {
  view.setUint32(start, SOURCE_SIZE - RECORD_HEAD, true);
  view.setUint32(start + 8, SOURCE, true);
  view.setUint32(start + 12, source, true);
  return start + SOURCE_SIZE;
}

/** Writes the sum of a complete record. */
export function writeSum(view: DataView, start: number, end: number, salt: number): void {
  view.setUint32(start + 4, crc32c(view, start + RECORD_HEAD, end, salt), true);
}

/** Whether the sum of a record is correct. */
export function checkSum(view: DataView, start: number, end: number, salt: number): boolean {
  return view.getUint32(start + 4, true) === crc32c(view, start + RECORD_HEAD, end, salt);
}

/**
 * A view of a record in a segment: its message and its targets. One object is reused for many records.
 */
export class RecordView implements EncodedMessage {
  head: Uint8Array = NO_BYTES;
  routeStart = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  body: Uint8Array = NO_BYTES;
  bodyStart = 0;
  bodyEnd = 0;
  /** The begin and the end of the record. */
  start = 0;
  end = 0;
  /** `MESSAGE`, `SOURCE` or `HEAD`. */
  type = 0;
  /** The segment number in a `SOURCE` record. */
  source = 0;
  /** The number of targets of the message. */
  targets = 0;
  /** Whether the message replaces another one: `queueId`, `lane` and `seq` with the index `targets`. */
  hasOrigin = false;
  #view: DataView = NO_VIEW;
  #targetsAt = 0;
  #expiring = false;

  /**
   * Sets the view to the record at `start`.
   *
   * @param limit the end of the valid bytes
   * @returns false when the lengths do not fit a record; the sum is not checked
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
    if (type === HEAD) {
      this.type = HEAD;
      this.targets = 0;
      return end === start + NEW_SEGMENT - SEGMENT_HEAD;
    }
    const expiring = (type >> 8 & EXPIRING) !== 0;
    const hasOrigin = (type >> 8 & ORIGIN) !== 0;
    if ((type & 255) !== MESSAGE || type >> 8 > (EXPIRING | ORIGIN) || end - start < MESSAGE_HEAD) {
      return false;
    }
    const targets = view.getUint32(start + 12, true);
    const routeStart = start + MESSAGE_HEAD + targets * (expiring ? EXPIRING_TARGET : TARGET) +
      (hasOrigin ? TARGET : 0);
    const propertiesStart = routeStart + view.getUint16(start + 10, true);
    const propertiesEnd = propertiesStart + view.getUint32(start + 16, true);
    const bodyEnd = propertiesEnd + view.getUint32(start + 20, true);
    if (bodyEnd !== end) return false;
    this.type = MESSAGE;
    this.targets = targets;
    this.#targetsAt = start + MESSAGE_HEAD;
    this.#expiring = expiring;
    this.hasOrigin = hasOrigin;
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

/** Writes the header and the head record of a segment. @returns their length */
export function writeSegmentHead(bytes: Uint8Array, view: DataView, salt: number, number: number): number {
  const record = SEGMENT_HEAD;
  view.setUint32(record, NEW_SEGMENT - SEGMENT_HEAD - RECORD_HEAD, true);
  view.setUint32(record + 8, HEAD, true);
  for (const at of [0, record + 12]) {
    for (let i = 0; i < MAGIC.length; i++) bytes[at + i] = MAGIC.charCodeAt(i);
    view.setUint32(at + 8, VERSION, true);
    view.setUint32(at + 12, salt, true);
  }
  view.setUint32(record + 28, number, true);
  writeSum(view, record, NEW_SEGMENT, salt);
  return NEW_SEGMENT;
}

/** The header of a segment. */
export interface SegmentHead {
  readonly version: number;
  readonly salt: number;
  /** The number of the segment; undefined in version 1, and when the head record is damaged. */
  readonly number: number | undefined;
  /** Whether the header and the head record are valid and equal. */
  readonly intact: boolean;
}

/** Reads the header of a segment, or its repetition. @returns undefined when both are damaged */
export function readSegmentHead(bytes: Uint8Array, view: DataView, length: number): SegmentHead | undefined {
  const first = length >= SEGMENT_HEAD && hasMagic(bytes, 0);
  const version = first ? view.getUint32(8, true) : 0;
  const salt = first ? view.getUint32(12, true) : 0;
  if (length >= NEW_SEGMENT && hasMagic(bytes, SEGMENT_HEAD + 12)) {
    const again = view.getUint32(SEGMENT_HEAD + 24, true);
    const lengthFits = view.getUint32(SEGMENT_HEAD, true) === NEW_SEGMENT - SEGMENT_HEAD - RECORD_HEAD;
    if (checkSum(view, SEGMENT_HEAD, NEW_SEGMENT, again) && view.getUint32(SEGMENT_HEAD + 8, true) === HEAD) {
      const intact = version === VERSION && salt === again && lengthFits;
      return { version: VERSION, salt: again, number: view.getUint32(SEGMENT_HEAD + 28, true), intact };
    }
  }
  if (version < OLDEST_VERSION || version > VERSION) return undefined;
  return { version, salt, number: undefined, intact: version === OLDEST_VERSION };
}

function hasMagic(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < MAGIC.length; i++) if (bytes[at + i] !== MAGIC.charCodeAt(i)) return false;
  return true;
}

const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);
