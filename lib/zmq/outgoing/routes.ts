import { type Batch, Batch as Frames, MORE } from "../../zmtp/batch.ts";
import { EMPTY } from "../../zmtp/bytes.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { TopicTree } from "./topic_tree.ts";

/** A buffer for ids and messages over this size is given back, in bytes. */
const KEEP = 2 ** 20;

/** A peer that is addressed by its routing id. */
export interface Route {
  readonly id: Uint8Array;
  readonly connection: ZmtpConnection;
  /** Whether something was appended that is not flushed. */
  touched: boolean;
  /** Whether the last message for it was dropped, since its queue was full. */
  dropping: boolean;
}

/** Peers by routing id. The id in a message is looked up byte by byte, so no key is made for it. */
export class Routes {
  readonly #tree = new TopicTree<Route>();
  readonly #byConnection = new Map<ZmtpConnection, Route>();
  #found: Route | undefined;
  readonly #touched: Route[] = [];
  #buffer = EMPTY;
  readonly #labelled = new Frames();

  add(id: Uint8Array, connection: ZmtpConnection): void {
    const route = { id, connection, touched: false, dropping: false };
    this.#tree.add(id, route);
    this.#byConnection.set(connection, route);
  }

  remove(connection: ZmtpConnection): void {
    const route = this.#byConnection.get(connection);
    if (route === undefined) return;
    this.#byConnection.delete(connection);
    this.#tree.remove(route.id, route);
  }

  /** The peer whose routing id is `bytes[start, end)`. */
  find(bytes: Uint8Array, start = 0, end: number = bytes.length): Route | undefined {
    this.#found = undefined;
    this.#tree.match(bytes, start, end, this.#onMatch);
    return this.#found;
  }

  of(connection: ZmtpConnection): Route | undefined {
    return this.#byConnection.get(connection);
  }

  /** Appends the frames `[from, to)` for a peer; `flush` starts writing. */
  append(route: Route, batch: Batch, from: number, to: number): void {
    route.dropping = false;
    route.connection.outbox.appendBatch(batch, from, to);
    if (route.touched) return;
    route.touched = true;
    this.#touched.push(route);
  }

  flush(): void {
    for (const route of this.#touched) {
      route.touched = false;
      route.connection.outbox.flush();
    }
    this.#touched.length = 0;
  }

  /** The messages of a batch, each behind a frame with the peer's routing id; valid until the next call. */
  label(route: Route, batch: Batch): Batch {
    const { id } = route;
    const { starts, ends, flags, frames } = batch;
    const first = starts[0]!;
    const length = ends[frames - 1]! - first;
    // All messages share one copy of the id, in front of them.
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
    // Nobody may write again to what is told to be stable.
    if (stable || size > KEEP) return new Uint8Array(size);
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(Math.min(KEEP, size * 2));
    return this.#buffer;
  }

  readonly #onMatch = (route: Route, behind: number): void => {
    if (behind === 0) this.#found = route;
  };
}
