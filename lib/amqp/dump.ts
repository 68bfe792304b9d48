/**
 * mqcat's extension to AMQP for dumps: it shows all messages of a queue with their positions, and puts messages back
 * with their exchange and routing key.
 */
import { copyBytes } from "../bytes/frame_buffer.ts";
import { readText, textLength, writeText } from "../bytes/text.ts";
import { frameError } from "./amqp_error.ts";
import type { EncodedMessage } from "./frames/frame_encoder.ts";
import { readUint32, writeUint32 } from "./types/uint.ts";

/**
 * The capability of a server that has the extension, and the argument of `basic.consume`: a table with `id` of the
 * queue, the position `from`, and `to`, the end of each lane. The delivery tag of a shown message is its position plus 1.
 */
export const DUMP = "x-mqcat-dump";
/** A reserved queue name: its only message is a `Snapshot` in JSON. */
export const SNAPSHOT = "amq.mqcat.snapshot";
/**
 * A reserved exchange: it puts the message in a body (see `encodeRestored`) into the queue that the routing key names.
 * The user needs the permissions to bind that queue to the message's exchange and to publish there.
 */
export const RESTORE = "amq.mqcat.restore";
/** The names of the queues that hold the progress of a restore begin with this. No policy applies to them. */
export const PROGRESS = "mqcat.restore.";

/** The queues and definitions of a virtual host at one moment. */
export interface Snapshot {
  /** Changes when the ids and the positions lose their meaning. */
  readonly instance: string;
  /** In the format of RabbitMQ, for one virtual host. */
  readonly definitions: { readonly [name: string]: unknown };
  readonly queues: readonly QueueSnapshot[];
}

/** A queue in a snapshot. */
export interface QueueSnapshot {
  readonly name: string;
  readonly id: number;
  /** The end of each lane: the next sequence number. */
  readonly to: readonly number[];
}

/** The number of positions of a lane. */
const LANE = 2 ** 44;

/** The position of a message in a queue. Positions ascend in the order of delivery. */
export function positionOf(lanes: number, lane: number, seq: number): number {
  return (lanes - 1 - lane) * LANE + seq;
}

/** The lane and the sequence number of a position. */
export function placeOf(lanes: number, position: number): { readonly lane: number; readonly seq: number } {
  return { lane: lanes - 1 - Math.floor(position / LANE), seq: position % LANE };
}

/** A message to put back. */
export interface Restored {
  readonly exchange: string;
  readonly routingKey: string;
  /** Encoded properties. */
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
  readonly redelivered: boolean;
}

const REDELIVERED = 1;

/**
 * Encodes a message for the exchange `RESTORE`: flags (1 byte), progress queue, exchange, routing key (short strings),
 * length of the properties (4 bytes), exchange and routing key again with the properties, as they are stored, body.
 *
 * @param progress a queue that gets the message, too, in one step; empty for none
 */
export function encodeRestored(message: Restored, progress: string): Uint8Array {
  const { exchange, routingKey, properties, body, redelivered } = message;
  const names = [progress, exchange, routingKey];
  const size = names.reduce((sum, name) => sum + 1 + textLength(name), 5) + properties.length + body.length;
  const bytes = new Uint8Array(size);
  bytes[0] = redelivered ? REDELIVERED : 0;
  let at = writeUint32(bytes, 1, properties.length);
  for (const name of names) {
    const end = writeText(name, bytes, at + 1);
    if (end - at > 256) {
      throw new RangeError(`Cannot restore into a queue as '${name}' is over 255 bytes long`);
    }
    bytes[at] = end - at - 1;
    at = end;
  }
  at = copyBytes(properties, 0, properties.length, bytes, at);
  copyBytes(body, 0, body.length, bytes, at);
  return bytes;
}

/** A decoded message; `message` refers to the given bytes. */
export interface DecodedRestored {
  readonly progress: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly message: EncodedMessage;
}

/** @throws {AmqpError} 501: malformed */
export function decodeRestored(bytes: Uint8Array, start: number, end: number): DecodedRestored {
  if (end - start < 5) throw malformed();
  const propertiesSize = readUint32(bytes, start + 1);
  let at = start + 5;
  const text = () => {
    const from = at + 1;
    if (at >= end || from + bytes[at]! > end) throw malformed();
    at = from + bytes[at]!;
    return readText(bytes, from, at);
  };
  const progress = text();
  const routeStart = at;
  const exchange = text();
  const routingKey = text();
  const propertiesEnd = at + propertiesSize;
  if (propertiesEnd > end) throw malformed();
  return {
    progress,
    exchange,
    routingKey,
    redelivered: (bytes[start]! & REDELIVERED) !== 0,
    message: {
      head: bytes,
      routeStart,
      propertiesStart: at,
      propertiesEnd,
      body: bytes,
      bodyStart: propertiesEnd,
      bodyEnd: end,
    },
  };
}

function malformed(): Error {
  return frameError("a message to restore is truncated");
}
