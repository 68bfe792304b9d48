import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { addAck } from "./format/acks.ts";
import { Compaction } from "./compaction.ts";
import { Disk } from "./disk.ts";
import { MemoryLog } from "./memory_log.ts";
import type { JournalOptions, LaneLookup } from "./options.ts";
import {
  RecordView,
  sizeofMessage,
  SOURCE_SIZE,
  Targets,
  writeMessage,
  writeSource,
  writeSum,
} from "./format/record.ts";
import { FIRST_TRANSIENT, Segment, weigh } from "./segment.ts";

export { Targets } from "./format/record.ts";
export type { JournalOptions, LaneLookup, SyncMode } from "./options.ts";

const MIB = 1024 * 1024;
/**
 * The size of a segment in memory, in bytes. It is small because one live message keeps a whole segment until
 * compaction.
 */
const MEMORY_SEGMENT = MIB;

/**
 * Stores the messages of all queues, each message once. A message is appended for its targets (queue, lane and sequence
 * number). It can be read until every target is settled. The lanes keep the location (segment and offset).
 *
 * Every method is synchronous, and nothing is written before `flush`. The caller appends, settles and marks as long as
 * it has work, then calls `flush` once, and only then sends the results to clients (confirms, deliveries, replies).
 * Compaction moves messages between two turns of the event loop, never during one.
 *
 * To publish a message, call `targets.add` for each queue, `append` once, and `lane.push` for each queue:
 *
 *     targets.add(queueId, 0, lane.nextSeq, expiry)
 *     journal.append(message, targets)
 *     lane.push(journal.segment, journal.offset, bodySize, expiry)
 *
 * A confirm can be sent when `syncedPosition` has reached the value of `position` after that `append`.
 */
export class Journal {
  /** Number of messages that were appended to the disk, and read from it. */
  written = 0;
  diskReads = 0;
  /** The location of the last appended message. */
  segment = 0;
  offset = 0;
  readonly #options: JournalOptions;
  readonly #lookup: LaneLookup;
  readonly #memorySize: number;
  readonly #garbageSize: number;
  readonly #segmentSize: number;
  readonly #segments: Map<number, Segment>;
  /** The result of the last `#find`. */
  #found: Segment = new Segment(0);
  readonly #memory: MemoryLog;
  /** Undefined without a data directory. */
  readonly #disk: Disk | undefined;
  readonly #record = new RecordView();
  readonly #compaction: Compaction;
  /** The amount of garbage that must be exceeded before the next search, after a search found no segment to compact. */
  #fruitless = 0;
  #memoryFruitless = 0;
  /** The weight of the live targets and of all targets in the sealed memory segments. */
  #liveWeight = 0;
  #weight = 0;
  #spillFailed = false;

  private constructor(options: JournalOptions, lookup: LaneLookup) {
    this.#options = options;
    this.#lookup = lookup;
    this.#memorySize = options.memorySize ?? 128 * MIB;
    this.#segmentSize = options.segmentSize ?? 16 * MIB;
    this.#garbageSize = options.garbageSize ?? 64 * MIB;
    this.#memory = new MemoryLog(Math.min(MEMORY_SEGMENT, this.#segmentSize));
    this.#compaction = new Compaction({
      lane: (queueId, lane) => lookup.lane(queueId, lane),
      load: (segment, offset, record) => this.#load(segment, offset, record),
      copy: (source, record, targets) => this.#copy(source, record, targets),
      copied: (source, whole) => this.#copied(source, whole),
    }, this.#segmentSize / 16);
    if (options.directory === undefined) {
      this.#segments = new Map();
      return;
    }
    this.#disk = new Disk(options.directory, options, lookup, () => this.#compaction.active);
    this.#segments = this.#disk.segments;
  }

  /**
   * Locks the data directory for this process and fills the lanes with the stored messages. Synchronous.
   *
   * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the directory
   * @throws {Error} a file system error
   */
  static open(options: JournalOptions, lookup: LaneLookup): Journal {
    return new Journal(options, lookup);
  }

  /** The number of bytes appended so far. It never decreases. */
  get position(): number {
    return this.#disk?.log.position ?? 0;
  }

  /** Messages before this position are safe, as defined by the sync mode. It never decreases. */
  get syncedPosition(): number {
    return this.#disk?.syncedPosition ?? 0;
  }

  /**
   * The reason why writing fails at the moment, or undefined. Messages that are appended anyway stay in memory, and the
   * journal retries by itself. Publishers should be blocked meanwhile; settling and deleting still work.
   */
  get full(): Error | undefined {
    return this.#disk?.full;
  }

  /** Whether the messages in memory exceed `memorySize`. `appendTransient` should not be called then. */
  get memoryFull(): boolean {
    return this.#memoryExceeds(this.#memorySize);
  }

  /** Whether the messages in memory, once it was full, still leave less than an eighth of `memorySize` free. */
  get memoryScarce(): boolean {
    return this.#memoryExceeds(this.#memorySize * 7 / 8);
  }

  /** The memory used by transient messages, in bytes. */
  get memorySize(): number {
    return this.#memory.size;
  }

  /**
   * Appends a message that survives a restart, for its targets, and sets `segment` and `offset` to its location.
   * `message` can be the result of `read`, if that message is not settled.
   */
  append(message: EncodedMessage, targets: Targets): void {
    const disk = this.#disk;
    if (disk === undefined) return this.appendTransient(message, targets);
    this.written++;
    const size = sizeofMessage(message, targets);
    const head = disk.log.isFull(size) ? this.#roll(disk, size) : disk.log.head!;
    const start = head.end;
    const end = writeMessage(message, targets, head.bytes!, head.view!, start);
    writeSum(head.view!, start, end, head.salt);
    disk.log.position += end - start;
    this.#finishAppend(head, start, end, message, targets);
    if (targets.originQueueId >= 0) this.#holdOrigin(disk, head, targets);
  }

  /** Appends a message that does not survive a restart. Without a data directory, `append` does the same. */
  appendTransient(message: EncodedMessage, targets: Targets): void {
    const memory = this.#memory;
    const size = sizeofMessage(message, targets);
    const head = memory.isFull(size) ? this.#rollMemory(size) : memory.head!;
    const start = head.end;
    const end = writeMessage(message, targets, head.bytes!, head.view!, start);
    this.#finishAppend(head, start, end, message, targets);
  }

  /**
   * Reads the message at a location.
   *
   * @param queueId with `seq`: names the message in the report of a damage
   * @returns a shared object that is valid until the next call of the journal, except an `append` of this object.
   *   Undefined when the message is damaged; this is reported to `onProblem`, and the caller should settle the message
   */
  read(segment: number, offset: number, queueId = -1, seq = -1): EncodedMessage | undefined {
    const found = this.#find(segment);
    return found !== undefined && this.#load(found, offset, this.#record, queueId, seq)
      ? this.#record
      : undefined;
  }

  /**
   * Settles one target of a message, because the message was acknowledged, dropped or moved, or its queue was purged or
   * deleted. Must be called once for each target.
   *
   * @param segment the current segment of the message, `lane.segmentAt(seq)`
   * @param size the size of the body in bytes, `lane.sizeAt(seq)`
   * @param replaced whether it was the origin of an `append`: it is acknowledged when the other message is safe
   */
  settle(segment: number, queueId: number, lane: number, seq: number, size: number, replaced = false): void {
    const found = this.#find(segment);
    if (found === undefined || found.live === 0) return;
    found.live--;
    found.liveWeight -= weigh(size);
    if (segment < FIRST_TRANSIENT) {
      if (replaced) {
        // `append` has noted it.
      } else if (
        seq === found.ackTo + 1 && queueId === found.ackQueue && lane === found.ackLane && found.acking
      ) {
        found.ackTo = seq;
      } else {
        addAck(found, queueId, lane, seq);
        if (!found.acking) this.#disk!.addAcking(found);
      }
      if (found.sealed) {
        this.#disk!.liveWeight -= weigh(size);
        if (found.live === 0) this.#disk!.addDead(found);
      }
    } else if (found.sealed) {
      this.#liveWeight -= weigh(size);
      if (found.live === 0) this.#release(found);
    } else if (found.live === 0 && !this.#memory.clear(found)) this.#release(found);
  }

  /**
   * Records that messages of a lane up to `seq` are about to be delivered. After a crash these are marked as
   * redelivered. Called once for each batch, before `flush`.
   */
  delivered(queueId: number, lane: number, seq: number): void {
    this.#disk?.marks.set(queueId, lane, seq);
  }

  /**
   * Records that one message is about to be delivered, but not those before it. Call `settledOne` when it is settled, as
   * the mark has a place in memory until then.
   */
  deliveredOne(queueId: number, lane: number, seq: number): void {
    this.#disk?.marks.add(queueId, lane, seq);
  }

  /** A message for which `deliveredOne` was called is settled. */
  settledOne(queueId: number, lane: number, seq: number): void {
    this.#disk?.marks.remove(queueId, lane, seq);
  }

  /** Forgets a deleted queue whose messages are settled. Its id is never used again. */
  forget(queueId: number): void {
    this.#disk?.marks.delete(queueId);
  }

  /** Writes all new data to the files, and starts a sync if the mode requires one and none is running. Never throws. */
  flush(): void {
    const disk = this.#disk;
    if (disk !== undefined) {
      disk.flush();
      if (this.#memory.size > this.#memorySize) this.#spill(disk);
    }
    this.#startCompaction();
  }

  /**
   * Writes all new data and waits until it is on disk; in the mode `flush`, until the operating system has it.
   *
   * @throws {Error} the write or the sync failed
   */
  syncNow(): void {
    this.#disk?.syncNow();
  }

  /**
   * Writes and syncs all data, then releases the directory.
   *
   * @throws {Error} the last data could not be written; everything is closed nevertheless
   */
  close(): void {
    this.#compaction.stop();
    for (const segment of this.#segments.values()) if (segment.transient) this.#release(segment);
    const head = this.#disk?.log.head;
    if (head !== undefined) {
      this.#disk!.log.end();
      this.#disk!.sealed(head);
    }
    this.#disk?.close();
  }

  #find(number: number): Segment | undefined {
    if (this.#found.number === number) return this.#found;
    const found = this.#segments.get(number);
    if (found !== undefined) this.#found = found;
    return found;
  }

  #finishAppend(head: Segment, start: number, end: number, message: EncodedMessage, targets: Targets): void {
    head.end = end;
    head.add(targets.count, message.bodyEnd - message.bodyStart);
    this.segment = head.number;
    this.offset = start;
  }

  #holdOrigin(disk: Disk, successor: Segment, targets: Targets): void {
    const { originQueueId, originLane, originSeq } = targets;
    const number = this.#lookup.lane(originQueueId, originLane)?.segmentAt(originSeq) ?? FIRST_TRANSIENT;
    const origin = this.#segments.get(number);
    if (origin === undefined || origin.transient) return;
    disk.held.add(origin, successor, originQueueId, originLane, originSeq, disk.log.position);
  }

  #load(segment: Segment, offset: number, record: RecordView, queueId = -1, seq = -1): boolean {
    const { bytes, view } = segment;
    if (bytes !== undefined) return record.set(bytes, view!, offset, segment.end);
    this.diskReads++;
    return this.#disk !== undefined && this.#disk.read(segment, offset, record, queueId, seq);
  }

  #roll(disk: Disk, size: number): Segment {
    const before = disk.log.head;
    const head = disk.log.roll(size);
    this.#segments.set(head.number, head);
    if (before !== undefined) disk.sealed(before);
    return head;
  }

  #rollMemory(size: number): Segment {
    const before = this.#memory.head;
    const head = this.#memory.roll(size);
    this.#segments.set(head.number, head);
    if (before !== undefined) {
      this.#liveWeight += before.liveWeight;
      this.#weight += before.weight;
      if (before.live === 0) this.#release(before);
    }
    return head;
  }

  /** Releases a memory segment that is no longer needed. */
  #release(segment: Segment): void {
    if (!this.#segments.delete(segment.number)) return;
    if (segment.sealed) this.#weight -= segment.weight;
    if (segment.bytes !== undefined) this.#memory.release(segment);
    else this.#disk!.forget(segment);
  }

  /** Whether the messages in memory exceed `size`, and cannot go to files. */
  #memoryExceeds(size: number): boolean {
    return this.#memory.size > size && (this.#disk === undefined || this.#spillFailed);
  }

  #spill(disk: Disk): void {
    try {
      this.#memory.spill(disk.files, this.#memorySize);
      this.#spillFailed = false;
    } catch {
      // The next flush tries again; until then `memoryFull` is true.
      this.#spillFailed = true;
    }
  }

  /** Starts compaction of a segment when settled messages take too much space. */
  #startCompaction(): void {
    if (this.#compaction.active) return;
    const disk = this.#disk;
    const more = this.#segmentSize / 4;
    let source: Segment | undefined;
    if (disk !== undefined && disk.full === undefined) {
      const garbage = disk.weight - disk.liveWeight;
      if (garbage > Math.max(this.#garbageSize, disk.liveWeight, this.#fruitless)) {
        source = this.#emptiest(false);
        this.#fruitless = source === undefined ? garbage + more : 0;
      }
    }
    const garbage = this.#weight - this.#liveWeight;
    const limit = Math.min(this.#garbageSize, this.#memorySize / 4);
    if (source === undefined && garbage > Math.max(limit, this.#liveWeight, this.#memoryFruitless)) {
      source = this.#emptiest(true);
      this.#memoryFruitless = source === undefined ? garbage + more : 0;
    }
    if (source !== undefined) this.#compaction.begin(source);
  }

  /** Finds the sealed segment with the smallest share of live messages, if that share is less than half. */
  #emptiest(transient: boolean): Segment | undefined {
    let least = 0.5;
    let emptiest: Segment | undefined;
    for (const segment of this.#segments.values()) {
      if (segment.transient !== transient || segment.live === 0 || segment.unreadable) continue;
      // It holds a single large message.
      if (segment.end > this.#segmentSize) continue;
      const share = segment.liveWeight / segment.weight;
      if (share >= least || !(transient ? segment.sealed : segment.finished)) continue;
      least = share;
      emptiest = segment;
    }
    return emptiest;
  }

  #copy(source: Segment, record: RecordView, targets: Targets): void {
    const { size } = record;
    if (source.transient) this.appendTransient(record, targets);
    else {
      this.#nameSource(this.#disk!, source, sizeofMessage(record, targets));
      this.append(record, targets);
    }
    for (let i = 0; i < targets.count; i++) {
      const lane = this.#lookup.lane(targets.queueIds[i]!, targets.lanes[i]!)!;
      lane.relocate(targets.seqs[i]!, this.segment, this.offset);
    }
    this.#subtractLive(source, targets.count, targets.count * weigh(size));
  }

  /** Writes the source's number before its first copy in a segment; `recovery.ts` explains why. */
  #nameSource(disk: Disk, source: Segment, size: number): void {
    const head = disk.log.isFull(size + SOURCE_SIZE) ? this.#roll(disk, size + SOURCE_SIZE) : disk.log.head!;
    if (head.sources?.has(source.number)) return;
    (head.sources ??= new Set()).add(source.number);
    const end = writeSource(source.number, head.view!, head.end);
    writeSum(head.view!, head.end, end, head.salt);
    head.end = end;
    disk.log.position += SOURCE_SIZE;
  }

  /** Subtracts targets that were moved out of a sealed segment. */
  #subtractLive(segment: Segment, count: number, weight: number): void {
    segment.live -= count;
    segment.liveWeight -= weight;
    if (segment.transient) this.#liveWeight -= weight;
    else this.#disk!.liveWeight -= weight;
  }

  #copied(source: Segment, whole: boolean): void {
    // The remaining targets belong to deleted queues.
    if (whole) this.#subtractLive(source, source.live, source.liveWeight);
    if (source.transient) {
      if (source.live === 0) this.#release(source);
    } else this.#disk!.copied(source);
    this.flush();
  }
}
