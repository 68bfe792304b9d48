/** Counts the messages that clients got. Its members are plain numbers. */
export class DeliveryStats {
  /** Messages delivered to consumers that acknowledge, and to consumers that do not. */
  delivered = 0;
  deliveredNoAck = 0;
  redelivered = 0;
  /** Messages fetched with `basic.get`, to be acknowledged or not, and requests that found no message. */
  got = 0;
  gotNoAck = 0;
  getEmpty = 0;
  acknowledged = 0;
}

/** Counts a message that was delivered to a consumer. */
export function countDelivery(stats: DeliveryStats, noAck: boolean, redelivered: boolean): void {
  if (noAck) stats.deliveredNoAck++;
  else stats.delivered++;
  if (redelivered) stats.redelivered++;
}

/** Counts a message that was fetched. */
export function countGet(stats: DeliveryStats, noAck: boolean, redelivered: boolean): void {
  if (noAck) stats.gotNoAck++;
  else stats.got++;
  if (redelivered) stats.redelivered++;
}

/** The number of messages that clients got in any way. */
export function deliverGet({ delivered, deliveredNoAck, got, gotNoAck }: DeliveryStats): number {
  return delivered + deliveredNoAck + got + gotNoAck;
}

/** Counts the messages of one scope: a channel, or a virtual host. Its members are plain numbers. */
export class MessageStats extends DeliveryStats {
  /** Messages published by clients; of these, the unroutable ones: returned (mandatory), and dropped. */
  published = 0;
  returned = 0;
  unroutable = 0;
  /** Messages published on channels in confirm mode, and those of them that were confirmed. */
  confirmable = 0;
  confirmed = 0;
}

/** Counts the events in a virtual host, since the broker was opened. */
export class VirtualHostStats extends MessageStats {
  /** Messages put into queues by exchanges. */
  routed = 0;
  /** Bytes received and sent by connections that are closed. */
  received = 0;
  sent = 0;
  channelsOpened = 0;
  channelsClosed = 0;
  /** Declarations of queues, also of existing ones. */
  queuesDeclared = 0;
  queuesCreated = 0;
  queuesDeleted = 0;

  /** Adds the counts of another virtual host. */
  add(other: VirtualHostStats): void {
    for (const [name, count] of Object.entries(other)) this[name as keyof Counts] += count as number;
  }
}

type Counts = { [Name in keyof VirtualHostStats as VirtualHostStats[Name] extends number ? Name : never]: 0 };

/** Counts the messages of an exchange that clients published, and the copies of them that it put into queues. */
export class ExchangeStats {
  published = 0;
  routed = 0;
}
