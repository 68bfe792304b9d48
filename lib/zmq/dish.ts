import type { Batch } from "../zmtp/batch.ts";
import type { Connection } from "../zmtp/connection.ts";
import { groupOf } from "./group.ts";
import type { SocketOptions } from "./options.ts";
import { Receiver } from "./receiver.ts";
import { Subscriptions } from "./subscriptions.ts";
import { TopicTree } from "./topic_tree.ts";

/** DISH (RFC 48): receives what RADIO peers send to the groups that it joined. A message is the group and the body. */
export class Dish extends Receiver {
  readonly #groups = new Subscriptions();
  readonly #tree = new TopicTree<true>();
  #matched = false;

  constructor(options: SocketOptions = {}) {
    super("DISH", options);
  }

  /**
   * Joins a group; joining it again does nothing.
   *
   * @throws {RangeError} its name is over 255 bytes
   */
  join(group: string | Uint8Array): void {
    const bytes = groupOf(group);
    if (this.#groups.has(bytes)) return;
    this.#groups.add(bytes);
    this.#tree.add(bytes, true);
    for (const connection of this.connections) connection.sendGroups([bytes], true);
  }

  /** Leaves a group; one that was not joined is none to leave. */
  leave(group: string | Uint8Array): void {
    const bytes = groupOf(group);
    if (!this.#groups.remove(bytes)) return;
    this.#tree.remove(bytes, true);
    for (const connection of this.connections) connection.sendGroups([bytes], false);
  }

  protected override onAttach(connection: Connection): void {
    connection.sendGroups(this.#groups.topics, true);
  }

  /** Filters again, as SUB does; what is no group and body is dropped. */
  override onBatch(from: Connection, batch: Batch): void {
    const { frames, starts, ends, flags, bytes } = batch;
    batch.clear();
    for (let at = 0; at < frames;) {
      let end = at;
      while (flags[end] !== 0) end++;
      if (end === at + 1 && this.#joined(bytes, starts[at]!, ends[at]!)) {
        batch.add(starts[at]!, ends[at]!, flags[at]!);
        batch.add(starts[end]!, ends[end]!, flags[end]!);
      }
      at = end + 1;
    }
    if (batch.messages > 0) super.onBatch(from, batch);
  }

  #joined(bytes: Uint8Array, start: number, end: number): boolean {
    this.#matched = false;
    this.#tree.match(bytes, start, end, this.#onMatch);
    return this.#matched;
  }

  readonly #onMatch = (_value: true, behind: number): void => {
    this.#matched ||= behind === 0;
  };
}
