import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { addAck } from "./format/acks.ts";
import { Compaction } from "./compaction.ts";
import { Disk } from "./disk.ts";
import { MemoryLog } from "./memory_log.ts";
import type { Directory, JournalOptions } from "./options.ts";
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
export type { Directory, JournalOptions, SyncMode } from "./options.ts";

const MIB = 1024 * 1024;
/** The size of a segment without a log, in bytes: small, for one message pins all of it until it is compacted. */
const MEMORY_SEGMENT = MIB;

/**
 * The messages of all queues, each once. A message is appended for its targets, read as long as one of them has it, and
 * gone when each of them is settled; where it lies is for the lanes to keep.
 *
 * Everything here is synchronous and single-threaded, and nothing is written before `flush`: the caller appends,
 * settles and marks for as long as it has work, calls `flush` once, and only then lets the outside know of it (confirms,
 * deliveries, replies). Messages may be moved between two turns of the event loop, never during one.
 *
 * Publishing, for each queue that a message goes to, then once, then for each queue again:
 *
 *     targets.add(queueId, 0, lane.nextSeq, expiry)
 *     journal.append(message, targets)
 *     lane.push(journal.segment, journal.offset, bodySize, expiry)
 *
 * A confirm may go out when `syncedPosition` has reached what `position` was behind that `append`.
 */
export class Journal {
  /** Where the message that was appended last lies. */
  segment = 0;
  offset = 0;
  readonly #options: JournalOptions;
  readonly #directory: Directory;
  readonly #memorySize: number;
  readonly #garbageSize: number;
  readonly #segmentSize: number;
  readonly #segments: Map<number, Segment>;
  /** The segment that was looked for last. */
  #found: Segment = new Segment(0);
  readonly #memory: MemoryLog;
  /** Undefined without a data directory. */
  readonly #disk: Disk | undefined;
  readonly #record = new RecordView();
  readonly #compaction: Compaction;
  /** How much garbage there was when no segment was found to compact: it must grow before the next look. */
  #fruitless = 0;
  #memoryFruitless = 0;
  /** What is left in sealed segments without a log, and what was in them, as weights. */
  #liveWeight = 0;
  #weight = 0;
  #spillFailed = false;

  private constructor(options: JournalOptions, directory: Directory) {
    this.#options = options;
    this.#directory = directory;
    this.#memorySize = options.memorySize ?? 128 * MIB;
    this.#segmentSize = options.segmentSize ?? 16 * MIB;
    this.#garbageSize = options.garbageSize ?? 64 * MIB;
    this.#memory = new MemoryLog(Math.min(MEMORY_SEGMENT, this.#segmentSize));
    this.#compaction = new Compaction({
      lane: (queueId, lane) => directory.lane(queueId, lane),
      load: (segment, offset, record) => this.#load(segment, offset, record),
      copy: (source, record, targets) => this.#copy(source, record, targets),
      copied: (source, whole) => this.#copied(source, whole),
    }, this.#segmentSize / 16);
    if (options.directory === undefined) {
      this.#segments = new Map();
      return;
    }
    this.#disk = new Disk(options.directory, options, directory, () => this.#compaction.active);
    this.#segments = this.#disk.segments;
  }

  /**
   * Takes the data directory for this process, and fills the lanes with what is in it. Synchronous.
   *
   * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the directory
   * @throws {Error} of the file system
   */
  static open(options: JournalOptions, directory: Directory): Journal {
    return new Journal(options, directory);
  }

  /** How many bytes were ever appended. Goes up only. */
  get position(): number {
    return this.#disk?.log.position ?? 0;
  }

  /** Up to which position messages are safe, as the sync mode has it. Goes up only. */
  get syncedPosition(): number {
    return this.#disk?.syncedPosition ?? 0;
  }

  /**
   * Why nothing can be written now, in words, or undefined. What is appended all the same stays in memory and is tried
   * again by itself, so whoever brings messages should be told to stop; settling and deleting go on.
   */
  get full(): Error | undefined {
    return this.#disk?.full;
  }

  /** Whether messages that are in memory take what they may, so that `appendTransient` should not be called. */
  get memoryFull(): boolean {
    return this.#memory.size > this.#memorySize && (this.#disk === undefined || this.#spillFailed);
  }

  /** How much memory messages without a log take, in bytes. */
  get memorySize(): number {
    return this.#memory.size;
  }

  /**
   * Appends a message that outlives the process, for its targets; `segment` and `offset` say where it is. `message` may
   * be what `read` gave, as long as that is not settled.
   */
  append(message: EncodedMessage, targets: Targets): void {
    const disk = this.#disk;
    if (disk === undefined) return this.appendTransient(message, targets);
    const size = sizeofMessage(message, targets);
    const head = disk.log.isFull(size) ? this.#roll(disk, size) : disk.log.head!;
    const start = head.end;
    const end = writeMessage(message, targets, head.bytes!, head.view!, start);
    writeSum(head.view!, start, end, head.salt);
    disk.log.position += end - start;
    this.#placed(head, start, end, message, targets);
  }

  /** Appends a message that is gone with the process. Without a data directory all of them are. */
  appendTransient(message: EncodedMessage, targets: Targets): void {
    const memory = this.#memory;
    const size = sizeofMessage(message, targets);
    const head = memory.isFull(size) ? this.#rollMemory(size) : memory.head!;
    const start = head.end;
    const end = writeMessage(message, targets, head.bytes!, head.view!, start);
    this.#placed(head, start, end, message, targets);
  }

  /**
   * The message at a place.
   *
   * @returns one object for all, valid until the next call of the journal but for an `append` of it; or undefined when
   *   it is damaged, which was told to `onProblem`: take it for lost, and settle it
   */
  read(segment: number, offset: number): EncodedMessage | undefined {
    const found = this.#find(segment);
    return found !== undefined && this.#load(found, offset, this.#record) ? this.#record : undefined;
  }

  /**
   * A target is done with its message: acknowledged, dropped, moved elsewhere, its queue purged or deleted. Call it once
   * for each target.
   *
   * @param segment where it lies now, `lane.segmentAt(seq)`
   * @param size of its body, `lane.sizeAt(seq)`
   */
  settle(segment: number, queueId: number, lane: number, seq: number, size: number): void {
    const found = this.#find(segment);
    if (found === undefined || found.live === 0) return;
    found.live--;
    found.liveWeight -= weigh(size);
    if (segment < FIRST_TRANSIENT) {
      if (seq === found.ackTo + 1 && queueId === found.ackQueue && lane === found.ackLane && found.acking) {
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
    } else if (found.live === 0) found.clear();
  }

  /**
   * Messages of a lane up to `seq` are about to be delivered: after a crash they come as redelivered. Once for each
   * batch, before `flush`.
   */
  delivered(queueId: number, lane: number, seq: number): void {
    this.#disk?.marks.set(queueId, lane, seq);
  }

  /** A queue was deleted, and what was in it is settled. Its id is never used again. */
  forget(queueId: number): void {
    this.#disk?.marks.delete(queueId);
  }

  /** Hands all that is new to the system, and starts a sync if the mode wants one and none is under way. Never throws. */
  flush(): void {
    const disk = this.#disk;
    if (disk !== undefined) {
      disk.flush();
      if (this.#memory.size > this.#memorySize) this.#spill(disk);
    }
    this.#look();
  }

  /**
   * The same, and waits until it is on disk; in the mode `flush` that the system has it.
   *
   * @throws {Error} it is not
   */
  syncNow(): void {
    this.#disk?.syncNow();
  }

  /**
   * Writes, syncs and lets the directory go.
   *
   * @throws {Error} what was appended last could not be written; everything is closed all the same
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

  #placed(head: Segment, start: number, end: number, message: EncodedMessage, targets: Targets): void {
    head.end = end;
    head.add(targets.count, message.bodyEnd - message.bodyStart);
    this.segment = head.number;
    this.offset = start;
  }

  #load(segment: Segment, offset: number, record: RecordView): boolean {
    const { bytes, view } = segment;
    if (bytes !== undefined) return record.set(bytes, view!, offset, segment.end);
    return this.#disk !== undefined && this.#disk.read(segment, offset, record);
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

  /** A segment without a log is needed no longer. */
  #release(segment: Segment): void {
    if (!this.#segments.delete(segment.number)) return;
    if (segment.sealed) this.#weight -= segment.weight;
    if (segment.bytes !== undefined) this.#memory.release(segment);
    else this.#disk!.forget(segment);
  }

  #spill(disk: Disk): void {
    try {
      this.#memory.spill(disk.files, this.#memorySize);
      this.#spillFailed = false;
    } catch {
      // It is tried again at the next flush; until then `memoryFull` tells.
      this.#spillFailed = true;
    }
  }

  /** Looks for a segment to compact, when settled messages take too much room. */
  #look(): void {
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

  /** The sealed segment of which the least is left, if that is less than half. */
  #emptiest(transient: boolean): Segment | undefined {
    let least = 0.5;
    let emptiest: Segment | undefined;
    for (const segment of this.#segments.values()) {
      if (segment.transient !== transient || segment.live === 0 || segment.unreadable) continue;
      // One message is all that it has.
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
      const lane = this.#directory.lane(targets.queueIds[i]!, targets.lanes[i]!)!;
      lane.relocate(targets.seqs[i]!, this.segment, this.offset);
    }
    this.#lose(source, targets.count, targets.count * weigh(size));
  }

  /** Puts the source's name in front of its first copy in a segment: see `recovery.ts`. */
  #nameSource(disk: Disk, source: Segment, size: number): void {
    const head = disk.log.isFull(size + SOURCE_SIZE) ? this.#roll(disk, size + SOURCE_SIZE) : disk.log.head!;
    if (head.sources?.has(source.number)) return;
    (head.sources ??= new Set()).add(source.number);
    const end = writeSource(source.number, head.view!, head.end);
    writeSum(head.view!, head.end, end, head.salt);
    head.end = end;
    disk.log.position += SOURCE_SIZE;
  }

  /** Targets of a sealed segment are elsewhere now. */
  #lose(segment: Segment, count: number, weight: number): void {
    segment.live -= count;
    segment.liveWeight -= weight;
    if (segment.transient) this.#liveWeight -= weight;
    else this.#disk!.liveWeight -= weight;
  }

  #copied(source: Segment, whole: boolean): void {
    // What is left is for queues that are gone.
    if (whole) this.#lose(source, source.live, source.liveWeight);
    if (source.transient) {
      if (source.live === 0) this.#release(source);
    } else this.#disk!.copied(source);
    this.flush();
  }
}
