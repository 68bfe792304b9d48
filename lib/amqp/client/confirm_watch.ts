import { UnreachableError } from "../../errors.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";

/** The interval of the checks, in milliseconds. */
const CHECK_MS = 5000;

/** The numbers of messages of a publisher. */
export interface Confirms {
  readonly pending: number;
  /** The size of the pending messages, at most, in bytes. */
  readonly pendingBytes: number;
  readonly acknowledged: number;
  readonly refused: number;
}

/** The number of checks without a reply after which a broker that does not read is given up. */
const MAX_CHECKS = 3;
/**
 * Messages that the system has taken are on their way for longer on a slow link: the speed of the slowest link, in bytes per
 * second, and the size of the buffers of both systems, in bytes.
 */
const SLOWEST = 50_000;
const BUFFERED = 8 * 2 ** 20;

/**
 * Closes the connection of a publisher when the broker confirms nothing, although it has read the messages, or when it has stopped
 * to read without a reason. They are published again on the next connection. RabbitMQ's streams may forget messages and stop to read
 * while they have no leader, and mirrored queues may forget them when their node changes.
 */
export function watchConfirms(connection: AmqpConnection, channel: Channel, confirms: Confirms): void {
  let before = -1;
  let progress = -1;
  let isRead = false;
  /** The number of checks since a question without a reply; 0 if there is none. */
  let waiting = 0;
  /** A reply on the channel follows when everything before it is read. */
  const ask = async (settled: number) => {
    waiting = 1;
    try {
      await channel.call("basic.qos", { prefetchCount: 0 }, "basic.qos-ok");
      isRead = before === settled;
    } catch {
      // The channel is closed.
    }
    waiting = 0;
  };
  /** The number of checks in which a slow link may be busy with what the system has taken. */
  const onTheWay = () => Math.ceil(Math.min(confirms.pendingBytes, BUFFERED) / SLOWEST * 1000 / CHECK_MS);
  const check = () => {
    const settled = confirms.acknowledged + confirms.refused;
    // A long message on a slow link moves.
    const last = progress;
    progress = connection.progress;
    const isMoving = progress >= 0 && progress !== last;
    const isStalled = confirms.pending > 0 && settled === before && !isMoving &&
      connection.blocked === undefined;
    before = settled;
    if (!isStalled) {
      isRead = false;
      waiting = Math.min(waiting, 1);
    } else if (isRead || waiting > MAX_CHECKS + onTheWay()) {
      const what = isRead ? "has read" : "does not read";
      connection.abort(
        new UnreachableError(`the broker ${what} ${confirms.pending} messages, and confirms none`),
      );
    } else if (waiting > 0) waiting++;
    else ask(settled);
  };
  const timer = setInterval(check, CHECK_MS);
  channel.closed.then(() => clearInterval(timer));
}
