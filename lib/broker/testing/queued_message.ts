import { type BasicProperties, decodeProperties } from "../../amqp/properties.ts";
import type { BrokerCore } from "../core/broker_core.ts";
import { amqpError } from "../../amqp/amqp_error.ts";
import { addressOf } from "../core/message.ts";
import { UNACKED } from "../core/queue/lane.ts";

/** A message in a queue. */
export interface QueuedMessage {
  /** The exchange that it was published to; empty for the default exchange. */
  readonly exchange: string;
  /** The routing key that it was published with. */
  readonly routingKey: string;
  /** The properties, with the headers. */
  readonly properties: BasicProperties;
  /** The body. */
  readonly body: Uint8Array;
  /** The body as text. */
  readonly text: string;
  /** Whether it was delivered before. */
  readonly redelivered: boolean;
  /** Whether a consumer has it, and has not acknowledged it. */
  readonly unacknowledged: boolean;
}

const decoder = new TextDecoder();

/**
 * Reads all messages of a queue in the order of delivery, without a change to them.
 *
 * @throws {AmqpError} 404: the queue does not exist
 */
export function queuedMessages(core: BrokerCore, name: string, vhost: string): QueuedMessage[] {
  const queue = core.vhosts.get(vhost)?.queues.get(name);
  if (queue === undefined) throw amqpError(404, `no queue '${name}' in vhost '${vhost}'`);
  const now = core.cycle.clock.now();
  const found: QueuedMessage[] = [];
  for (let at = queue.lanes.length - 1; at >= 0; at--) {
    const lane = queue.lanes[at]!;
    for (let seq = lane.nextLive(0); seq >= 0; seq = lane.nextLive(seq + 1)) {
      const expiry = lane.expiryAt(seq);
      const message = expiry > 0 && expiry <= now ? undefined : queue.messageAt(at, seq);
      if (message === undefined) continue;
      const { head, propertiesStart, propertiesEnd } = message;
      const body = message.body.slice(message.bodyStart, message.bodyEnd);
      found.push({
        ...addressOf(message),
        // A copy: binary values are views.
        properties: decodeProperties(head.slice(propertiesStart, propertiesEnd)),
        body,
        text: decoder.decode(body),
        redelivered: lane.isRedelivered(seq),
        unacknowledged: lane.stateAt(seq) === UNACKED,
      });
    }
  }
  return found;
}
