import type { Envelope } from "../../link/message.ts";
import type { Port } from "../../link/port.ts";
import { isList, type Run } from "../../link/run.ts";
import type { FrameEncoder } from "../frames/frame_encoder.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";
import type { Content } from "./content.ts";

/** Whether messages are mandatory: all, none, or some of them. */
export type Mandatory = boolean | ((envelope: Envelope) => boolean);

/** Publishes messages on a channel with confirms: their delivery tags are the tags of the publisher. */
export class ChannelPort implements Port {
  readonly #connection: AmqpConnection;
  readonly #encoder: FrameEncoder;
  readonly #channel: Channel;
  readonly #mandatory: Mandatory;

  /** @param mandatory whether the broker returns messages that it routes to no queue */
  constructor(connection: AmqpConnection, channel: Channel, mandatory: Mandatory) {
    this.#connection = connection;
    this.#encoder = connection.encoder;
    this.#channel = channel;
    this.#mandatory = mandatory;
  }

  get full(): boolean {
    return this.#connection.full || this.#channel.over;
  }

  publish(_tag: number, envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    const { exchange, routingKey, properties } = envelope;
    const { id } = this.#channel;
    const mandatory = typeof this.#mandatory === "boolean" ? this.#mandatory : this.#mandatory(envelope);
    this.#encoder.publish(id, exchange, routingKey, mandatory, properties, bytes, start, end);
  }

  flush(): void {
    this.#connection.flush();
  }

  close(): Promise<void> {
    return this.#channel.close();
  }
}

/**
 * Whether a returned message is the one of this run. `basic.return` has no delivery tag; equal messages with the same
 * destination are returned in the order of publishing.
 */
export function isReturned(run: Run, exchange: string, routingKey: string, content: Content): boolean {
  const { outcome, envelopes, bytes } = run;
  if (outcome === undefined || outcome.isReturned || run.left === 0 || isList(envelopes)) return false;
  const { body, bodyStart, bodyEnd } = content;
  return envelopes.exchange === exchange && envelopes.routingKey === routingKey &&
    bytes.length === bodyEnd - bodyStart && bytes.every((byte, i) => byte === body[bodyStart + i]);
}
