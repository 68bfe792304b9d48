/** The names of mqcat's own extensions to AMQP: clients can look at the messages of a queue, select some, and move them. */

/** The capability of a server that has the extension, and the argument of `basic.consume`: how many messages to show. */
export const PEEK = "x-mqcat-peek";
/** A reserved queue name: its messages are JSON objects, one for each queue of the virtual host. */
export const PEEK_QUEUES = "amq.mqcat.queues";
/** An argument for `PEEK_QUEUES`: the messages are arrays of `CountedQueue` instead. */
export const COUNTED = "x-mqcat-counted";
/**
 * The figures of a queue for a live view. The counts of messages since the start of the broker are those that were published
 * into it, that clients got, and that they acknowledged.
 */
export type CountedQueue = readonly [
  name: string,
  type: string,
  ready: number,
  unacked: number,
  consumers: number,
  memory: number | null,
  /** When the oldest ready message arrived, in milliseconds since 1970. */
  receivedAt: number | null,
  published: number,
  delivered: number,
  acknowledged: number,
];
/** As `PEEK_QUEUES`, for exchanges. */
export const PEEK_EXCHANGES = "amq.mqcat.exchanges";
/** A reserved queue name: its only message is a JSON object that describes the broker's node. */
export const PEEK_NODE = "amq.mqcat.node";

/**
 * The capability of a server that has filters and sweeps, and an argument of `basic.consume`: a filter. A consumer, a
 * peek or a sweep with it concerns only the messages that match; the others stay as they are.
 */
export const WHERE = "x-mqcat-where";
/**
 * An argument of `basic.consume`: `count`, `delete` or `move` the messages of a queue in place, or `redrive` them: to where they
 * died, as they were before. The server delivers a
 * report as JSON from time to time and at the end, and then cancels the consumer.
 */
export const SWEEP = "x-mqcat-sweep";
/** The target queue of a sweep that moves; a redrive does not need one. */
export const SWEEP_TO = "x-mqcat-to";
/** The maximum number of messages of a sweep. */
export const SWEEP_LIMIT = "x-mqcat-limit";
/** A consumer with a filter and this argument is cancelled once all messages that were there have been tested. */
export const DRAIN = "x-mqcat-drain";

/** The report of a sweep, which is sent as JSON. */
export interface SweepReport {
  /** The number of messages that were looked at, and of those that matched. */
  readonly tested: number;
  readonly matched: number;
  /** The size of the bodies that matched, in bytes. */
  readonly bytes: number;
  /** The number of messages that could not be tested, because the filter is about a body that is too large. */
  readonly untestable: number;
  /** Why the sweep ended before the last message; undefined if it did not. */
  readonly failure?: string;
  /** Of a redrive: the numbers of messages by their new queue, and of those that stay by the reason. */
  readonly targets?: Readonly<Record<string, number>>;
  readonly kept?: Readonly<Record<string, number>>;
}

/** Why a dead letter stays where it is. */
export const NO_ORIGIN = "without an original queue in their headers";
