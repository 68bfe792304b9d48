/** What has happened since the broker was opened. */
export class Counters {
  /** Messages that clients published; those of them that had no queue: given back as mandatory, and dropped. */
  published = 0;
  returned = 0;
  unroutable = 0;
  /** Messages that were published on channels with confirms. */
  confirmable = 0;
  /** Messages that consumers were sent, and those of them that were not sent for the first time. */
  delivered = 0;
  redelivered = 0;
  /** Messages that clients asked for one by one. */
  got = 0;
  acknowledged = 0;
  connectionsOpened = 0;
  connectionsClosed = 0;
}
