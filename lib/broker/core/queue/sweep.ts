import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { NO_ORIGIN, type SweepReport } from "../../../amqp/peek.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { revive } from "../../../amqp/revival.ts";
import type { Filter } from "../../../filter/filter.ts";
import type { MessageIntake } from "../intake.ts";
import { inQueue, movedTo } from "../message.ts";
import { FOUND, Matches, PAUSED, TURN_MS } from "./matches.ts";
import type { Queue } from "./queue.ts";

/**
 * What a sweep does with the messages that match: counts, deletes or moves them. A redrive moves each dead letter to the
 * queue where it died, or all to one.
 */
export type SweepAction = { readonly type: "count" | "delete" } | {
  readonly type: "move";
  readonly to: Queue;
} | {
  readonly type: "redrive";
  readonly to: string | undefined;
  readonly find: (queue: string) => Queue | undefined;
};

/** What a sweep needs of the broker. */
export interface SweepHost {
  readonly cycle: { readonly now: number };
  readonly intake: Pick<MessageIntake, "replace">;
  /** Why the broker takes no messages; undefined while it does. */
  readonly blocked: string | undefined;
}

/**
 * Counts, deletes or moves messages of a queue in place: those that were ready when it began and match a filter. All
 * others stay as they are. It works in short turns, so the broker serves its clients meanwhile.
 *
 * A moved message is one record in the journal that also settles its original: after a crash it is in one of the two
 * queues, never in both and never in none.
 */
export class Sweep {
  #matched = 0;
  #bytes = 0;
  #failure: string | undefined;
  readonly #host: SweepHost;
  readonly #queue: Queue;
  readonly #action: SweepAction;
  readonly #limit: number;
  readonly #matches: Matches;
  readonly #scan = new PropertyScan();
  readonly #targets = new Map<string, number>();
  readonly #kept = new Map<string, number>();

  /** @param limit the maximum number of messages that match */
  constructor(host: SweepHost, queue: Queue, action: SweepAction, filter: Filter | undefined, limit: number) {
    this.#host = host;
    this.#queue = queue;
    this.#action = action;
    this.#limit = limit;
    this.#matches = new Matches(queue, filter, false);
  }

  get report(): SweepReport {
    const { tested, untestable } = this.#matches;
    return {
      tested,
      matched: this.#matched,
      bytes: this.#bytes,
      untestable,
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
      ...(this.#action.type !== "redrive" ? {} : {
        targets: Object.fromEntries(this.#targets),
        kept: Object.fromEntries(this.#kept),
      }),
    };
  }

  /** Works for one turn, within a cycle. @returns whether there is more to do */
  turn(): boolean {
    const { cycle } = this.#host;
    const deadline = performance.now() + TURN_MS;
    for (;;) {
      if (this.#matched >= this.#limit || this.#queue.deleted) return false;
      const found = this.#matches.next(cycle.now, deadline);
      if (found === FOUND && !this.#apply(this.#matches.message!)) return false;
      if (found !== FOUND) return found === PAUSED;
      if (performance.now() >= deadline) return true;
    }
  }

  /** @returns false when the sweep must end */
  #apply(message: EncodedMessage): boolean {
    const { lane, seq } = this.#matches;
    const size = message.bodyEnd - message.bodyStart;
    if (this.#action.type === "redrive") {
      const stays = this.#redrive(message, this.#action, lane, seq);
      if (this.#failure !== undefined) return false;
      if (stays !== undefined) {
        count(this.#kept, stays);
        return true;
      }
    }
    if (this.#action.type === "move" && !this.#move(message, this.#action.to, lane, seq)) return false;
    if (this.#action.type === "delete") this.#queue.settle(lane, seq);
    this.#matched++;
    this.#bytes += size;
    return true;
  }

  /** @returns why the message stays; undefined if it does not, or if the sweep must end */
  #redrive(
    message: EncodedMessage,
    { to, find }: SweepAction & { readonly type: "redrive" },
    lane: number,
    seq: number,
  ): string | undefined {
    const { blocked, intake } = this.#host;
    if (blocked !== undefined) {
      this.#failure = `the broker takes no messages: ${blocked}`;
      return undefined;
    }
    const { head, propertiesStart, propertiesEnd } = message;
    const revived = revive(head.subarray(propertiesStart, propertiesEnd), this.#queue.name, to);
    if (revived === undefined) return NO_ORIGIN;
    const { queue, properties } = revived;
    const target = find(queue);
    const isThere = target !== undefined;
    if (isThere && intake.replace(this.#queue, lane, seq, target, inQueue(queue, properties, message))) {
      count(this.#targets, queue);
      return undefined;
    }
    if (to === undefined) return `from '${queue}', which ${isThere ? "is full" : "does not exist"}`;
    this.#failure = `the queue '${to}' ${isThere ? "is full" : "was deleted"}`;
    return undefined;
  }

  #move(message: EncodedMessage, to: Queue, lane: number, seq: number): boolean {
    const { blocked, intake } = this.#host;
    if (blocked !== undefined) this.#failure = `the broker takes no messages: ${blocked}`;
    else if (to.deleted) this.#failure = `the queue '${to.name}' was deleted`;
    else if (!intake.replace(this.#queue, lane, seq, to, movedTo(to.name, message, this.#scan))) {
      this.#failure = `the queue '${to.name}' is full`;
    }
    return this.#failure === undefined;
  }
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
