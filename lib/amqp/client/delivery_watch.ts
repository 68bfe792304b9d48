import { awayError } from "./availability.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";

/** The interval of the checks, in milliseconds. */
const CHECK_MS = 5000;

/** The numbers of messages of a consumer on one connection. */
export interface Deliveries {
  delivered: number;
  /** Acknowledged or rejected. It may be too low after acknowledgements out of order. */
  settled: number;
}

/**
 * Closes the connection of a consumer that has room for messages when its queue has some, and the broker has delivered none of them
 * for one or two intervals. RabbitMQ's mirrored and quorum queues may lose acknowledgements when their node changes, and then wait
 * for them forever. A consumer that has never had a message may be one that waits for its turn (`x-single-active-consumer`).
 */
export function watchDeliveries(
  connection: AmqpConnection,
  channel: Channel,
  queue: string,
  deliveries: Readonly<Deliveries>,
): void {
  let before = deliveries.delivered;
  let isAsking = false;
  const isQuiet = () => before > 0 && deliveries.delivered === before && deliveries.settled === before;
  const ask = async () => {
    // RabbitMQ's first reply may overtake deliveries that were sent before it, the second one does not.
    for (let i = 0; i < 2; i++) {
      const reply = await channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok");
      // Streams count all their messages, and no consumers.
      if (!isQuiet() || reply.messageCount === 0 || reply.consumerCount === 0) return;
      if (i > 0) {
        const reason = `the broker delivers none of its ${reply.messageCount} messages`;
        connection.abort(awayError(queue, reason));
      }
    }
  };
  const check = async () => {
    const hasStopped = isQuiet();
    before = deliveries.delivered;
    if (!hasStopped || isAsking) return;
    isAsking = true;
    await ask().catch(() => {}); // The channel is closed.
    isAsking = false;
  };
  const timer = setInterval(check, CHECK_MS);
  channel.closed.then(() => clearInterval(timer));
}
