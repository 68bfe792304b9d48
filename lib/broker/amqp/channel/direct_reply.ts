import { amqpError } from "../../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { addressOf, encodeMessage, propertiesOf } from "../../core/message.ts";
import type { ServerChannel } from "./channel.ts";
import { randomName } from "./consuming.ts";

/** The pseudo-queue that replies are consumed from (https://www.rabbitmq.com/direct-reply-to.html). */
export const REPLY_TO = "amq.rabbitmq.reply-to";

/** Direct reply-to: a reply goes straight to the channel that asked, and is never queued. */
export class DirectReplies {
  readonly #channels = new Map<string, { readonly channel: ServerChannel; readonly consumerTag: string }>();
  readonly #addresses = new Map<ServerChannel, string>();

  /** Lets a channel consume replies. */
  open(channel: ServerChannel, consumerTag: string): void {
    const address = `${REPLY_TO}.${randomName()}`;
    this.#channels.set(address, { channel, consumerTag });
    this.#addresses.set(channel, address);
  }

  close(channel: ServerChannel): void {
    const address = this.#addresses.get(channel);
    if (address === undefined) return;
    this.#addresses.delete(channel);
    this.#channels.delete(address);
  }

  /** The consumer tag by which a channel consumes replies. */
  consumerOf(channel: ServerChannel): string | undefined {
    const address = this.#addresses.get(channel);
    return address === undefined ? undefined : this.#channels.get(address)?.consumerTag;
  }

  /** The address that stands for a channel in the property `reply_to`; undefined when it does not consume replies. */
  addressOf(channel: ServerChannel): string | undefined {
    return this.#addresses.get(channel);
  }

  /** Whether this name can be looked for as if it were a queue's. */
  isQueue(name: string): boolean {
    return name === REPLY_TO || this.#channels.has(name);
  }

  /** Whether somebody waits for replies at an address. */
  has(address: string): boolean {
    return this.#channels.has(address);
  }

  /** Hands a reply on, if somebody still waits for it and reads; otherwise it is dropped, as RabbitMQ does. */
  deliver(address: string, message: EncodedMessage): boolean {
    const target = this.#channels.get(address);
    if (target === undefined) return false;
    const { channel: { connection, consuming, number }, consumerTag } = target;
    if (!connection.writable) return true;
    // Nobody acknowledges it, so it uses up no tag.
    connection.encoder.deliver(number, consumerTag, consuming.deliveries.last + 1, false, message);
    connection.touch();
    return true;
  }
}

/** The message with the address of the channel's replies in place of the pseudo-queue's name. */
export function withReplyAddress(channel: ServerChannel, message: EncodedMessage): EncodedMessage {
  const replyTo = channel.connection.broker.directReplies.addressOf(channel);
  if (replyTo === undefined) {
    throw amqpError(406, "fast reply consumer does not exist");
  }
  const body = message.body.subarray(message.bodyStart, message.bodyEnd);
  return encodeMessage(addressOf(message), { ...propertiesOf(message), replyTo }, body);
}
