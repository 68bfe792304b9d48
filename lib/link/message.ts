/**
 * The message that all clients share. Its properties are AMQP's: the encoded flags and values of a content header,
 * headers included. Other protocols map theirs to and from them.
 */

/** Bodies in one buffer: body number `i` is `bytes[starts[i], ends[i])`. */
export interface Bodies {
  readonly bytes: Uint8Array;
  readonly starts: ArrayLike<number>;
  readonly ends: ArrayLike<number>;
}

/** The destination and the properties of a message. */
export interface Envelope {
  /** The exchange; empty outside of AMQP. */
  readonly exchange: string;
  /** The routing key, the topic of MQTT or the destination of STOMP. */
  readonly routingKey: string;
  /** The encoded properties: from `encodeProperties`, or from a received message. */
  readonly properties: Uint8Array;
}

/** Views of the properties and the body of a received message. */
export interface DeliveredContent {
  /** Flags and properties are at `[0, propertiesEnd)`. */
  readonly properties: Uint8Array;
  readonly propertiesEnd: number;
  /** The body is at `[bodyStart, bodyEnd)`. */
  readonly body: Uint8Array;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

/** A delivered message. It is valid during the call only: the client reuses the object. */
export interface Delivery {
  /** The number of the delivery on its channel or connection, from 1. */
  readonly deliveryTag: number;
  readonly redelivered: boolean;
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: DeliveredContent;
}

/** Identifies a message and its connection: messages of a lost connection cannot be acknowledged on the next one. */
export interface Receipt {
  readonly generation: number;
  readonly tag: number;
}
