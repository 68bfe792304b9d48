import { amqpError } from "../../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import type { VirtualHost } from "../topology/vhost.ts";
import { addressOf, encodeMessage, propertiesOf } from "../message.ts";
import { randomName } from "./names.ts";

/** The pseudo-queue that replies are consumed from (https://www.rabbitmq.com/direct-reply-to.html). */
export const REPLY_TO = "amq.rabbitmq.reply-to";

/** The part of a channel that receives direct replies. */
export interface ReplyReceiver {
  /** Delivers a reply to the client; drops it when the client does not read. `message` is valid during the call. */
  deliverReply(consumerTag: string, message: EncodedMessage): void;
}

/** A consumer of replies. */
interface Target {
  readonly receiver: ReplyReceiver;
  readonly consumerTag: string;
  readonly vhost: VirtualHost;
}

/**
 * Direct reply-to: replies are delivered to the channel that sent the request, without a queue. An address is known only
 * in the virtual host of its receiver.
 */
export class DirectReplies {
  readonly #targets = new Map<string, Target>();
  readonly #addresses = new Map<ReplyReceiver, string>();

  /** Starts a consumer of replies. */
  open(receiver: ReplyReceiver, consumerTag: string, vhost: VirtualHost): void {
    const address = `${REPLY_TO}.${randomName()}`;
    this.#targets.set(address, { receiver, consumerTag, vhost });
    this.#addresses.set(receiver, address);
  }

  /** Ends the consumer of replies, if there is one. */
  close(receiver: ReplyReceiver): void {
    const address = this.#addresses.get(receiver);
    if (address === undefined) return;
    this.#addresses.delete(receiver);
    this.#targets.delete(address);
  }

  /** The consumer tag of a receiver; undefined when it does not consume replies. */
  consumerOf(receiver: ReplyReceiver): string | undefined {
    const address = this.#addresses.get(receiver);
    return address === undefined ? undefined : this.#targets.get(address)?.consumerTag;
  }

  /** The address of a receiver in the property `reply_to`; undefined when it does not consume replies. */
  addressOf(receiver: ReplyReceiver): string | undefined {
    return this.#addresses.get(receiver);
  }

  /** Whether a passive declaration of a queue with this name succeeds. */
  isQueue(name: string, vhost: VirtualHost): boolean {
    return name === REPLY_TO || this.has(name, vhost);
  }

  /** Whether replies can be delivered to an address. */
  has(address: string, vhost: VirtualHost): boolean {
    return this.#targets.get(address)?.vhost === vhost;
  }

  /** Delivers a reply. It is dropped, as in RabbitMQ, when its receiver is gone or does not read. */
  deliver(address: string, message: EncodedMessage): void {
    const target = this.#targets.get(address);
    target?.receiver.deliverReply(target.consumerTag, message);
  }
}

/**
 * Replaces the name of the pseudo-queue in the property `reply_to` of a request.
 *
 * @param replyTo the address for replies; undefined: there is no consumer of replies
 * @throws {AmqpError} 406: there is no consumer of replies
 */
export function withReplyAddress(message: EncodedMessage, replyTo: string | undefined): EncodedMessage {
  if (replyTo === undefined) throw amqpError(406, "fast reply consumer does not exist");
  const body = message.body.subarray(message.bodyStart, message.bodyEnd);
  return encodeMessage(addressOf(message), { ...propertiesOf(message), replyTo }, body);
}
