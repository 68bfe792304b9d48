/** The names of mqcat's own extensions to AMQP: clients can look at the messages of a queue, select some, and move them. */

/** The capability of a server that has the extension, and the argument of `basic.consume`: how many messages to show. */
export const PEEK = "x-mqcat-peek";
/** A reserved queue name: its messages are JSON objects, one for each queue of the virtual host. */
export const PEEK_QUEUES = "amq.mqcat.queues";
/** The same for exchanges. */
export const PEEK_EXCHANGES = "amq.mqcat.exchanges";
/** A reserved queue name: its only message is a JSON object that describes the broker's node. */
export const PEEK_NODE = "amq.mqcat.node";

/**
 * The capability of a server that has filters and sweeps, and an argument of `basic.consume`: a filter. A consumer, a
 * peek or a sweep with it concerns only the messages that match; the others stay as they are.
 */
export const WHERE = "x-mqcat-where";
/**
 * An argument of `basic.consume`: `count`, `delete` or `move` the messages of a queue in place. The server delivers a
 * report as JSON from time to time and at the end, and then cancels the consumer.
 */
export const SWEEP = "x-mqcat-sweep";
/** The target queue of a sweep that moves. */
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
}
