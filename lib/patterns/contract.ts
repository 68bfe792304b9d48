/** What the commands and bridges know of a messaging system: how to send messages, and how to receive and settle them. */
import type { Signal } from "../transport/waiting.ts";

/** Bodies in one buffer: body number `i` is `bytes[starts[i], ends[i])`. */
export interface Bodies {
  readonly bytes: Uint8Array;
  readonly starts: ArrayLike<number>;
  readonly ends: ArrayLike<number>;
}

/** The destination and the properties of a message. */
export interface Envelope {
  /** The exchange; empty in systems without exchanges. */
  readonly exchange: string;
  /** The topic: the routing key in AMQP, the topic in MQTT, the destination in STOMP. */
  readonly routingKey: string;
  /** The properties and headers, encoded as in an AMQP content header. */
  readonly properties: Uint8Array;
}

/** A received message. It is valid during the call only. */
export interface Delivery {
  /** The number of the message on its connection, from 1; it goes into a `Receipt`. */
  readonly deliveryTag: number;
  /** Whether the message was delivered before. */
  readonly redelivered: boolean;
  /** The exchange; empty in systems without exchanges. */
  readonly exchange: string;
  /** The topic: the routing key in AMQP, the topic in MQTT, the destination in STOMP. */
  readonly routingKey: string;
  /** Views of the properties and the body. */
  readonly content: DeliveredContent;
}

/** The properties and the body of a received message, as views of larger buffers. */
export interface DeliveredContent {
  /** The properties and headers are `properties[0, propertiesEnd)`, encoded as in an AMQP content header. */
  readonly properties: Uint8Array;
  readonly propertiesEnd: number;
  /** The body is `body[bodyStart, bodyEnd)`. */
  readonly body: Uint8Array;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

/** Identifies a message and its connection: messages of a lost connection cannot be settled on the next one. */
export interface Receipt {
  readonly generation: number;
  readonly tag: number;
}

/** Receives the outcome of the messages of one call of `publish`. */
export interface Outcome {
  /** Whether `onReturn` was called. */
  readonly isReturned: boolean;
  /** A message was returned, because nothing receives it. `onSettled` follows. */
  onReturn(replyCode: number, reason: string): void;
  /** A message does not fit the limits of a new connection. `onSettled` follows. */
  onRefused?(error: Error): void;
  /** All messages of the call are settled. @param acknowledged whether the other side accepted all of them */
  onSettled(acknowledged: boolean): void;
}

/** Sends messages, and knows which of them the other side has accepted. It reconnects until it is closed or fails. */
export interface Outlet {
  /** Connects for the first time. */
  start(): Promise<void>;
  /**
   * Copies and sends as many of the bodies `[from, to)` as there is room for.
   *
   * @param envelopes one envelope for all bodies, or a list with the envelope of body number `i` at index `i`
   * @param outcome receives the outcome of the accepted bodies
   * @returns the index of the first body that was not accepted, or `to`; `changed` fires when there may be room
   */
  publish(
    bodies: Bodies,
    from: number,
    to: number,
    envelopes: Envelope | readonly Envelope[],
    outcome?: Outcome,
  ): number;
  /** The number of messages that the other side accepted, those in `returned` included. */
  readonly acknowledged: number;
  /** The number of messages that the other side refused. */
  readonly refused: number;
  /** The reason of the first refusal; empty when it is not known. */
  readonly refusalReason: string;
  /** The number of accepted messages that nothing receives. */
  readonly returned: number;
  /** Why the first message was returned. */
  readonly returnReason: string;
  /** The number of messages that are neither accepted nor refused. */
  readonly pending: number;
  /** The number of messages that were accepted before the first one that is not accepted yet. */
  readonly takenInOrder: number;
  /** Called after messages are settled. */
  onSettled: () => void;
  /** Fires when messages are settled, when the connection changes, and at a permanent failure. */
  readonly changed: Signal;
  /** The permanent failure. */
  readonly failure: Error | undefined;
  /** Closes the connection. @param limit the time limit for the reply of the other side, in milliseconds */
  close(limit?: number): Promise<void>;
}

/** The callbacks of an inlet. They must not throw. */
export interface InletEvents {
  /** Called for each message, which is valid during the call only. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called after all messages of one received chunk. */
  readonly onBatchEnd?: () => void;
}

/** Receives messages, and settles them. It reconnects until it is closed or fails. */
export interface Inlet {
  /** Connects for the first time, and subscribes. */
  start(): Promise<void>;
  /** Fires when the connection changes, and at a permanent failure. */
  readonly changed: Signal;
  /** The permanent failure. */
  readonly failure: Error | undefined;
  /** The number of connections so far. */
  readonly generation: number;
  /** Acknowledges a message, or all up to it. Ignores messages of a lost connection. Call `flush` afterwards. */
  ack(receipt: Receipt, multiple: boolean): void;
  /** Rejects a message; with `requeue` it is delivered again. Call `flush` afterwards. */
  nack(receipt: Receipt, requeue: boolean): void;
  /** Sends the acknowledgements. */
  flush(): void;
  /** Stops reading, so that the other side has to wait. */
  pause(): void;
  /** Continues reading. */
  resume(): void;
  /** Whether no message is left at the source. Absent where the system cannot know it. */
  isDrained?(): Promise<boolean>;
  /** Ends the deliveries; delivered messages can still be settled. @param limit the time limit in milliseconds */
  cancel(limit?: number): Promise<void>;
  /** Closes the connection. Unsettled messages return to their source. @param limit as for `Outlet.close` */
  close(limit?: number): Promise<void>;
}
