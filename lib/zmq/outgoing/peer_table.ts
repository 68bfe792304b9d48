import { type Batch, Batch as Frames, MORE } from "../../zmtp/batch.ts";
import { EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { TopicTree } from "./topic_tree.ts";

/** The largest buffer for labelled messages that is kept for the next call, in bytes. */
const KEEP = 2 ** 20;

/** A peer and its routing id. */
export interface PeerEntry {
  readonly id: Uint8Array;
  readonly connection: ZmtpConnection;
  /** Whether appended messages are not flushed yet. */
  touched: boolean;
  /** Whether the last message for it was dropped because its queue was full. */
  dropping: boolean;
}

/** Finds peers by their routing ids. The lookup walks the bytes of the message, so it makes no key. */
export class PeerTable {
  readonly #tree = new TopicTree<PeerEntry>();
  readonly #byConnection = new Map<ZmtpConnection, PeerEntry>();
  #found: PeerEntry | undefined;
  readonly #touched: PeerEntry[] = [];
  #buffer = EMPTY;
  readonly #labelled = new Frames();

  /** Adds a peer. */
  add(id: Uint8Array, connection: ZmtpConnection): void {
    const entry = { id, connection, touched: false, dropping: false };
    this.#tree.add(id, entry);
    this.#byConnection.set(connection, entry);
  }

  /** Removes a peer. */
  remove(connection: ZmtpConnection): void {
    const entry = this.#byConnection.get(connection);
    if (entry === undefined) return;
    this.#byConnection.delete(connection);
    this.#tree.remove(entry.id, entry);
  }

  /** The peer whose routing id is `bytes[start, end)`. */
  find(bytes: Uint8Array, start = 0, end: number = bytes.length): PeerEntry | undefined {
    this.#found = undefined;
    this.#tree.match(bytes, start, end, this.#onMatch);
    return this.#found;
  }

  /** The entry of a connection. */
  of(connection: ZmtpConnection): PeerEntry | undefined {
    return this.#byConnection.get(connection);
  }

  /** Appends the frames `[from, to)` for a peer; `flush` starts to write them. */
  append(entry: PeerEntry, batch: Batch, from: number, to: number): void {
    entry.dropping = false;
    entry.connection.outbox.appendBatch(batch, from, to);
    if (entry.touched) return;
    entry.touched = true;
    this.#touched.push(entry);
  }

  /** Starts to write the appended messages. */
  flush(): void {
    for (const entry of this.#touched) {
      entry.touched = false;
      entry.connection.outbox.flush();
    }
    this.#touched.length = 0;
  }

  /** Puts the routing id of the peer in front of each message of a batch. The result is valid until the next call. */
  label(entry: PeerEntry, batch: Batch): Batch {
    const { id } = entry;
    const { starts, ends, flags, frames } = batch;
    const first = starts[0]!;
    const length = ends[frames - 1]! - first;
    // All messages share one copy of the id, at the beginning of the buffer.
    const shift = id.length - first;
    const buffer = this.#allocate(id.length + length, batch.stable);
    buffer.set(id);
    buffer.set(batch.bytes.subarray(first, first + length), id.length);
    const labelled = this.#labelled;
    labelled.clear();
    labelled.bytes = buffer;
    labelled.stable = batch.stable;
    for (let i = 0, begins = true; i < frames; i++) {
      if (begins) labelled.add(0, id.length, MORE);
      labelled.add(starts[i]! + shift, ends[i]! + shift, flags[i]!);
      begins = flags[i] === 0;
    }
    return labelled;
  }

  #allocate(size: number, stable: boolean): Uint8Array {
    // A stable buffer must not be written to again.
    if (stable || size > KEEP) return new Uint8Array(size);
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(Math.min(KEEP, size * 2));
    return this.#buffer;
  }

  readonly #onMatch = (entry: PeerEntry, rest: number): void => {
    if (rest === 0) this.#found = entry;
  };
}
