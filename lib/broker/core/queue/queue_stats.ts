/** Counts the messages of a queue since it exists in this process. */
export class QueueStats {
  /** Messages that arrived, dead-lettered ones included. */
  published = 0;
  /** Messages delivered to consumers that acknowledge, and to consumers that do not. */
  delivered = 0;
  deliveredNoAck = 0;
  redelivered = 0;
  /** Messages fetched with `basic.get`, to be acknowledged or not, and requests that found no message. */
  got = 0;
  gotNoAck = 0;
  getEmpty = 0;
  acknowledged = 0;
  /** Messages dropped because the queue was full, with or without dead-lettering. */
  overflowed = 0;
  /** When the queue last had work, in milliseconds since 1970. */
  activeAt: number = Date.now();
}
