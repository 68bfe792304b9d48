import type { Envelope } from "../../link/message.ts";
import type { Port } from "../../link/port.ts";
import { envelopeOf, type Run } from "../../link/run.ts";
import type { FrameEncoder } from "../frames/frame_encoder.ts";
import type { Channel } from "./channel.ts";
import type { AmqpConnection } from "./connection.ts";
import type { Content } from "./content.ts";

/** Whether messages are mandatory: all, none, or some of them. */
export type Mandatory = boolean | ((envelope: Envelope) => boolean);

/** Publishes messages on a channel with confirms: their delivery tags are the tags of the publisher. */
export class ChannelPort implements Port {
  /** The tag of the last message. */
  lastTag = 0;
  /** The size of all bodies, in bytes. Its user may set it to 0. */
  bytes = 0;

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

  publish(tag: number, envelope: Envelope, bytes: Uint8Array, start: number, end: number): void {
    const { exchange, routingKey, properties } = envelope;
    this.lastTag = tag;
    this.bytes += end - start;
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
 * Whether a returned message equals a message of a run. `basic.return` has no delivery tag; equal messages are returned in
 * the order of publishing.
 */
export function isReturned(
  run: Run,
  index: number,
  exchange: string,
  routingKey: string,
  { properties, propertiesEnd, body, bodyStart, bodyEnd }: Content,
  exact: boolean,
): boolean {
  const envelope = envelopeOf(run, index);
  return envelope.exchange === exchange && envelope.routingKey === routingKey &&
    isEqual(run.bytes, run.starts[index]!, run.ends[index]!, body, bodyStart, bodyEnd) &&
    (!exact || isEqual(envelope.properties, 0, envelope.properties.length, properties, 0, propertiesEnd));
}

function isEqual(
  a: Uint8Array,
  start: number,
  end: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  if (end - start !== bEnd - bStart) return false;
  for (let i = start, j = bStart; i < end; i++, j++) if (a[i] !== b[j]) return false;
  return true;
}
