import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { groupOf } from "../group.ts";
import type { SocketOptions } from "../options.ts";
import { Receiver } from "../receiver.ts";
import { Subscriptions } from "../outgoing/subscriptions.ts";
import { TopicFilter } from "../incoming/topic_filter.ts";

/** DISH (RFC 48): receives what RADIO peers send to the groups that it joined. A message is the group and the body. */
export class Dish extends Receiver {
  readonly #groups = new Subscriptions();
  readonly #filter = new TopicFilter(true);

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
    this.#filter.add(bytes);
    for (const connection of this.connections) connection.sendGroups([bytes], true);
  }

  /** Leaves a group; one that was not joined is none to leave. */
  leave(group: string | Uint8Array): void {
    const bytes = groupOf(group);
    if (!this.#groups.remove(bytes)) return;
    this.#filter.remove(bytes);
    for (const connection of this.connections) connection.sendGroups([bytes], false);
  }

  protected override onAttach(connection: ZmtpConnection): void {
    connection.sendGroups(this.#groups.topics, true);
  }

  /** Filters again, as SUB does. */
  override onBatch(from: ZmtpConnection, batch: Batch): void {
    this.#filter.apply(batch);
    keepPairs(batch);
    if (batch.messages > 0) super.onBatch(from, batch);
  }
}

/** Drops what is not a group and a body. */
function keepPairs(batch: Batch): void {
  const { frames, starts, ends, flags } = batch;
  batch.clear();
  for (let at = 0; at < frames;) {
    let end = at + 1;
    while (flags[end - 1] !== 0) end++;
    if (end === at + 2) {
      batch.add(starts[at]!, ends[at]!, flags[at]!);
      batch.add(starts[at + 1]!, ends[at + 1]!, flags[at + 1]!);
    }
    at = end;
  }
}
