/** Counters of events since the broker was opened. */
export class Counters {
  /** Messages published by clients; of these, the unroutable ones: returned (mandatory), and dropped. */
  published = 0;
  returned = 0;
  unroutable = 0;
  /** Messages published on channels in confirm mode. */
  confirmable = 0;
  /** Messages delivered to consumers, and those of them that were redelivered. */
  delivered = 0;
  redelivered = 0;
  /** Messages fetched with `basic.get`. */
  got = 0;
  acknowledged = 0;
  connectionsOpened = 0;
  connectionsClosed = 0;
  /** Logins by protocol. */
  readonly logins: Map<string, LoginCounter> = new Map();

  /** @param protocol its name in RabbitMQ: `amqp091`, `http` */
  countLogin(protocol: string, succeeded: boolean): void {
    let logins = this.logins.get(protocol);
    if (logins === undefined) this.logins.set(protocol, logins = { failed: 0, succeeded: 0 });
    if (succeeded) logins.succeeded++;
    else logins.failed++;
  }
}

/** Counts the checks of names and passwords. */
export interface LoginCounter {
  failed: number;
  succeeded: number;
}
