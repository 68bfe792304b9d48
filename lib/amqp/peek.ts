/** The names of mqcat's own extension to AMQP: clients can look at the messages of a queue without taking them. */

/** The capability of a server that has the extension, and the argument of `basic.consume`: how many messages to show. */
export const PEEK = "x-mqcat-peek";
/** A reserved queue name: its messages are JSON objects, one for each queue of the virtual host. */
export const PEEK_QUEUES = "amq.mqcat.queues";
/** A reserved queue name: its only message is a JSON object that describes the broker's node. */
export const PEEK_NODE = "amq.mqcat.node";
