import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import { groupOf } from "../group.ts";
import type { SocketOptions } from "../options.ts";
import { Receiver } from "../receiver.ts";
import { Subscriptions } from "../outgoing/subscriptions.ts";
import { TopicFilter } from "../incoming/topic_filter.ts";

/**
 * DISH (RFC 48): receives the messages that RADIO peers send to the groups that it joined. A message has two frames, the
 * group and the body.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `receive`,
 * `consume` and `for await` from {@link Receiver}.
 *
 * @example Join a group
 * ```ts
 * import { Dish, Radio } from "@mqcat/mqcat";
 *
 * await using radio = new Radio();
 * await using dish = new Dish();
 * dish.join("news");
 * dish.connect(await radio.bind("tcp://127.0.0.1:0"));
 * while (radio.subscribers === 0) await radio.change();
 * await radio.send(["news", "rain"]);
 * const [group] = await dish.receive() ?? [];
 * console.assert(new TextDecoder().decode(group) === "news");
 * ```
 */
export class Dish extends Receiver {
  readonly #groups = new Subscriptions();
  readonly #filter = new TopicFilter(true);

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("DISH", options);
  }

  /**
   * Joins a group. Joining a group twice has no further effect.
   *
   * @param group the name of the group, at most 255 bytes
   * @throws {RangeError} the name is longer than 255 bytes
   */
  join(group: string | Uint8Array): void {
    const bytes = groupOf(group);
    if (this.#groups.has(bytes)) return;
    this.#groups.add(bytes);
    this.#filter.add(bytes);
    for (const connection of this.connections) connection.sendGroups([bytes], true);
  }

  /**
   * Leaves a group. It does nothing if the group was not joined.
   *
   * @param group the name of the group, at most 255 bytes
   * @throws {RangeError} the name is longer than 255 bytes
   */
  leave(group: string | Uint8Array): void {
    const bytes = groupOf(group);
    if (!this.#groups.remove(bytes)) return;
    this.#filter.remove(bytes);
    for (const connection of this.connections) connection.sendGroups([bytes], false);
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    connection.sendGroups(this.#groups.topics, true);
  }

  /**
   * Filters again, as SUB does.
   *
   * @ignore
   */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    this.#filter.apply(batch);
    keepPairs(batch);
    if (batch.messages > 0) super.onBatch(from, batch);
  }
}

/** Drops the messages that do not have exactly two frames. */
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
