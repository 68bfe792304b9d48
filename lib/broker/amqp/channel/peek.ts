import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { BASIC_DELIVER } from "../../../amqp/methods.ts";
import { PEEK_QUEUES } from "../../../amqp/peek.ts";
import { replyFor } from "../replies.ts";
import { queueRow } from "../../http/views.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { ServerChannel } from "./channel.ts";

/** A message that is shown; it is valid until the next one is asked for. */
interface Shown {
  readonly message: EncodedMessage;
  readonly redelivered: boolean;
}

/**
 * A look at messages, sent as deliveries that nobody acknowledges. The messages stay as they are, and so do the counts;
 * `basic.cancel` tells the client that this was all.
 */
export class Peek {
  readonly tag: string;
  readonly #channel: ServerChannel;
  readonly #shown: Iterator<Shown>;

  constructor(channel: ServerChannel, tag: string, shown: Iterator<Shown>) {
    this.#channel = channel;
    this.tag = tag;
    this.#shown = shown;
  }

  /** Sends as many as the connection has room for. @returns whether there are more */
  send(): boolean {
    const { connection, consuming, number } = this.#channel;
    while (connection.writable) {
      const { done, value } = this.#shown.next();
      if (done) {
        this.#channel.send("basic.cancel", { consumerTag: this.tag, noWait: true });
        return false;
      }
      const { message, redelivered } = value;
      try {
        connection.encoder.deliver(number, this.tag, consuming.deliveries.last + 1, redelivered, message);
      } catch (error) {
        // Its properties do not fit the client's frames.
        connection.fail(replyFor(error, BASIC_DELIVER));
        return false;
      }
      consuming.deliveries.skip();
    }
    connection.touch();
    return true;
  }
}

/** The first messages of a queue that are ready, in the order in which they would be delivered. */
export function* messagesOf(queue: Queue, count: number, now: () => number): Generator<Shown, void> {
  for (let at = queue.lanes.length - 1; at >= 0; at--) {
    const lane = queue.lanes[at]!;
    for (let seq = lane.nextReady(0); seq >= 0; seq = lane.nextReady(seq + 1)) {
      if (count-- === 0 || queue.deleted) return;
      const expiry = lane.expiryAt(seq);
      if (expiry > 0 && expiry <= now()) continue;
      const message = queue.messageAt(at, seq);
      if (message !== undefined) yield { message, redelivered: lane.isRedelivered(seq) };
    }
  }
}

/** What is known of queues, as RabbitMQ's HTTP API has it. */
export function* factsOf(queues: readonly Queue[]): Generator<Shown, void> {
  for (const queue of queues) {
    const body = new TextEncoder().encode(JSON.stringify(queueRow(queue)));
    const route = { exchange: "", routingKey: PEEK_QUEUES };
    yield { message: encodeMessage(route, { contentType: "application/json" }, body), redelivered: false };
  }
}
