import { UnreachableError } from "../../errors.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";

/** The interval of the checks, in milliseconds. */
const CHECK_MS = 5000;

/** The numbers of messages of a publisher. */
export interface Confirms {
  readonly pending: number;
  readonly acknowledged: number;
  readonly refused: number;
}

/**
 * Closes the connection of a publisher when the broker has read messages and confirms none of them, so that they are published
 * again. RabbitMQ's streams may forget messages while they have no leader, and its mirrored queues when their node changes.
 */
export function watchConfirms(connection: AmqpConnection, channel: Channel, confirms: Confirms): void {
  let before = -1;
  let isRead = false;
  /** A reply on the channel follows when everything before it is read. */
  const ask = async (settled: number) => {
    try {
      await channel.call("basic.qos", { prefetchCount: 0 }, "basic.qos-ok");
      isRead = before === settled;
    } catch {
      // The channel is closed.
    }
  };
  const check = () => {
    const settled = confirms.acknowledged + confirms.refused;
    const isStalled = confirms.pending > 0 && settled === before && connection.blocked === undefined;
    before = settled;
    if (!isStalled) isRead = false;
    else if (!isRead) ask(settled);
    else {
      const reason = `the broker has read ${confirms.pending} messages and does not confirm them`;
      connection.abort(new UnreachableError(reason));
    }
  };
  const timer = setInterval(check, CHECK_MS);
  channel.closed.then(() => clearInterval(timer));
}
