import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PEEK_QUEUES } from "../../../amqp/peek.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Filter } from "../../../filter/filter.ts";
import { END, Matches, PAUSED, TURN_MS } from "../../core/queue/matches.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { countedQueue } from "../../core/queue/queue_row.ts";
import type { ChannelContext, ChannelJob, JobState } from "./contract.ts";
import type { Deliveries } from "../../core/clients/deliveries.ts";

/** A message to show; valid until the next one is read. */
export interface ShownMessage {
  readonly message: EncodedMessage;
  readonly redelivered: boolean;
  /** The delivery tag. Default: the next one of the channel */
  readonly tag?: number | undefined;
}

/**
 * Shows messages to a client: sends them as deliveries that are not acknowledged, and then `basic.cancel`. Neither the
 * messages nor the counters change.
 */
export class Peek implements ChannelJob {
  readonly tag: string;
  readonly #channel: ChannelContext;
  readonly #deliveries: Deliveries;
  readonly #messages: Iterator<ShownMessage | undefined>;

  constructor(
    channel: ChannelContext,
    deliveries: Deliveries,
    tag: string,
    messages: Iterator<ShownMessage | undefined>,
  ) {
    this.#channel = channel;
    this.#deliveries = deliveries;
    this.tag = tag;
    this.#messages = messages;
  }

  /** Sends messages while the connection has room. */
  run(): JobState {
    const { connection, number } = this.#channel;
    const deliveries = this.#deliveries;
    while (connection.writable) {
      const { done, value } = this.#messages.next();
      if (done) {
        this.#channel.send("basic.cancel", { consumerTag: this.tag, noWait: true });
        return "done";
      }
      if (value === undefined) {
        connection.touch();
        return "paused";
      }
      const { message, redelivered, tag = deliveries.last + 1 } = value;
      connection.encoder.deliver(number, this.tag, tag, redelivered, message);
      deliveries.skip();
    }
    connection.touch();
    return "blocked";
  }
}

/**
 * Reads the first `count` ready messages of a queue that match a filter, in the order of delivery. Yields undefined at
 * the end of a turn without another message.
 */
export function* messagesOf(
  queue: Queue,
  count: number,
  filter: Filter | undefined,
  now: () => number,
): Generator<ShownMessage | undefined, void> {
  const matches = new Matches(queue, filter, false);
  for (let left = count; left > 0;) {
    const found = matches.next(now(), performance.now() + TURN_MS);
    if (found === END || queue.deleted) return;
    if (found === PAUSED) yield undefined;
    else {
      left--;
      const { message, lane, seq } = matches;
      yield { message: message!, redelivered: queue.lanes[lane]!.isRedelivered(seq) };
    }
  }
}

/** How many queues a message of `countsOf` has: they are counted in one turn. */
const COUNTED_AT_ONCE = 500;

/** Makes messages of JSON with the figures of several queues each. Yields undefined at the end of each turn. */
export function* countsOf(queues: readonly Queue[]): Generator<ShownMessage | undefined, void> {
  for (let at = 0; at < queues.length; at += COUNTED_AT_ONCE) {
    if (at > 0) yield undefined;
    const counted = queues.slice(at, at + COUNTED_AT_ONCE).filter(({ deleted }) => !deleted);
    yield* descriptionsOf([counted.map(countedQueue)]);
  }
}

/** Makes a message of JSON for each row, which describes it as RabbitMQ's HTTP API does. */
export function* descriptionsOf(rows: readonly unknown[]): Generator<ShownMessage, void> {
  for (const row of rows) {
    const body = new TextEncoder().encode(JSON.stringify(row));
    const address = { exchange: "", routingKey: PEEK_QUEUES };
    yield { message: encodeMessage(address, { contentType: "application/json" }, body), redelivered: false };
  }
}
