import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PEEK_QUEUES } from "../../../amqp/peek.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { memoryOf, queueRow, type Row } from "../../core/queue/queue_row.ts";
import type { ChannelContext } from "./contract.ts";
import type { Deliveries } from "../../core/clients/deliveries.ts";

/** A message to show; valid until the next one is read. */
interface ShownMessage {
  readonly message: EncodedMessage;
  readonly redelivered: boolean;
}

/**
 * Shows messages to a client: sends them as deliveries that are not acknowledged, and then `basic.cancel`. Neither the
 * messages nor the counters change.
 */
export class Peek {
  readonly tag: string;
  readonly #channel: ChannelContext;
  readonly #deliveries: Deliveries;
  readonly #messages: Iterator<ShownMessage>;

  constructor(
    channel: ChannelContext,
    deliveries: Deliveries,
    tag: string,
    messages: Iterator<ShownMessage>,
  ) {
    this.#channel = channel;
    this.#deliveries = deliveries;
    this.tag = tag;
    this.#messages = messages;
  }

  /** Sends messages while the connection has room. @returns whether there are more */
  send(): boolean {
    const { connection, number } = this.#channel;
    const deliveries = this.#deliveries;
    while (connection.writable) {
      const { done, value } = this.#messages.next();
      if (done) {
        this.#channel.send("basic.cancel", { consumerTag: this.tag, noWait: true });
        return false;
      }
      const { message, redelivered } = value;
      connection.encoder.deliver(number, this.tag, deliveries.last + 1, redelivered, message);
      deliveries.skip();
    }
    connection.touch();
    return true;
  }
}

/** Reads the first `count` ready messages of a queue, in the order of delivery. */
export function* messagesOf(queue: Queue, count: number, now: () => number): Generator<ShownMessage, void> {
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

/** Makes a message of JSON for each queue, which describes it as RabbitMQ's HTTP API does. */
export function* descriptionsOf(queues: readonly Queue[], node: string): Generator<ShownMessage, void> {
  for (const queue of queues) {
    const body = new TextEncoder().encode(JSON.stringify({ ...queueRow(queue, node), ...countersOf(queue) }));
    const address = { exchange: "", routingKey: PEEK_QUEUES };
    yield { message: encodeMessage(address, { contentType: "application/json" }, body), redelivered: false };
  }
}

/** The counters since the start, from which a client computes rates, and the memory in bytes. */
function countersOf(queue: Queue): Row {
  const { published, acknowledged, delivered, deliveredNoAck, got, gotNoAck } = queue.stats;
  const deliver_get = delivered + deliveredNoAck + got + gotNoAck;
  return { memory: memoryOf(queue), message_stats: { publish: published, deliver_get, ack: acknowledged } };
}
