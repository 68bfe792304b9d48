/** The types of the public AMQP client. */
import type { ClusterOptions } from "../near_leader.ts";
import type { BasicProperties } from "../../properties.ts";
import type { FieldTable } from "../../types/field_value.ts";
import type { QueueOptions, QueueState } from "../queues.ts";

/** The destination of a message: a routing key of an exchange. */
export interface AmqpRoute {
  /** The name of the exchange; an empty string for the default exchange, which routes by queue name. */
  readonly exchange: string;
  /** The routing key, at most 255 bytes. Default: an empty string */
  readonly routingKey?: string;
}

/** Options for operations that wait for the broker. */
export interface AmqpWaitOptions {
  /** Ends the wait. The operation then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `AmqpClient.publish`. */
export interface PublishOptions extends AmqpWaitOptions {
  /** The properties of the message. Default: `{ deliveryMode: 2 }`, a persistent message without other properties */
  readonly properties?: BasicProperties;
}

/** Options of `AmqpClient.consume`. */
export interface ConsumeOptions extends AmqpWaitOptions, ClusterOptions {
  /** The maximum number of unacknowledged messages, 1 to 65535. Default: 100 */
  readonly prefetch?: number | undefined;
  /** Arguments of the consumer, for example `x-priority`. */
  readonly arguments?: FieldTable;
  /**
   * Closes the consumer. Until the broker confirms the consumer, `consume` rejects with the reason of the signal;
   * later `receive` and the iteration do.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `AmqpClient.declareExchange`. */
export interface ExchangeOptions {
  /** The type of the exchange: `direct`, `fanout`, `topic`, `headers` or another one that the broker has. */
  readonly type: string;
  /** Whether the exchange survives a restart of the broker. Default: true */
  readonly durable?: boolean;
  /** Whether the broker deletes the exchange after its last binding. Default: false */
  readonly autoDelete?: boolean;
  /** Arguments of the exchange, for example `alternate-exchange`. */
  readonly arguments?: FieldTable;
}

/** A message from a queue. The client owns it: its bytes are not reused. */
export interface AmqpMessage {
  /** The exchange that the message was published to. */
  readonly exchange: string;
  /** The routing key that the message was published with. */
  readonly routingKey: string;
  /** Whether the broker delivered the message before. */
  readonly redelivered: boolean;
  /** The body of the message. */
  readonly body: Uint8Array;
  /** The properties of the message; they are decoded at the first access. */
  readonly properties: BasicProperties;
  /**
   * Decodes the body as UTF-8.
   *
   * @returns the body as text; malformed bytes become U+FFFD
   */
  text(): string;
  /** Acknowledges the message: the broker deletes it. Later calls of `ack` and `nack` have no effect. */
  ack(): void;
  /**
   * Rejects the message. Later calls of `ack` and `nack` have no effect.
   *
   * @param requeue true returns the message to its queue; false dead-letters or discards it. Default: true
   */
  nack(requeue?: boolean): void;
}

/**
 * A consumer of one queue, with manual acknowledgements. It reconnects after a lost connection; the broker then
 * delivers the unacknowledged messages again, and acknowledgements of the earlier deliveries have no effect.
 */
export interface AmqpConsumer extends AsyncDisposable {
  /** The name of the queue. */
  readonly queue: string;
  /**
   * Waits for the next message.
   *
   * @param options may hold a signal that ends the wait
   * @returns the message; undefined when the consumer is closed
   * @throws {AmqpError} the queue was deleted, or the broker ended the consumer
   * @throws {RefusedError | IncompatiblePeerError | ProtocolError} reconnecting failed with a permanent error
   */
  receive(options?: AmqpWaitOptions): Promise<AmqpMessage | undefined>;
  /**
   * Iterates over the messages until the consumer is closed. Leaving the loop does not close the consumer.
   *
   * @returns an iterator that throws the same errors as `receive`
   */
  [Symbol.asyncIterator](): AsyncIterator<AmqpMessage>;
  /** Closes the consumer and its connection. Unacknowledged messages return to the queue. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A client of an AMQP 0-9-1 broker. It uses one connection for commands, one for publishing and one for each consumer,
 * so that a blocked publisher does not delay acknowledgements. Lost connections are established again.
 */
export interface AmqpClient extends AsyncDisposable {
  /** Product and version of the broker, for example `RabbitMQ 4.0.5`. */
  readonly server: string;
  /**
   * Declares a queue: creates it if it does not exist.
   *
   * @param queue the name; an empty string lets the broker choose one
   * @param options properties of the queue
   * @returns the name and the state of the queue
   * @throws {MqcatError} the queue exists with other properties; the message names the difference
   * @throws {AmqpError} the broker refused the declaration
   */
  declareQueue(queue: string, options?: QueueOptions): Promise<QueueState>;
  /**
   * Looks up a queue.
   *
   * @param queue the name
   * @returns the state of the queue; undefined when it does not exist
   * @throws {AmqpError} the user has no access to the queue
   */
  findQueue(queue: string): Promise<QueueState | undefined>;
  /**
   * Deletes a queue and its messages.
   *
   * @param queue the name; a queue that does not exist is not an error
   * @returns the number of messages deleted
   * @throws {AmqpError} the user has no access to the queue
   */
  deleteQueue(queue: string): Promise<number>;
  /**
   * Deletes the messages of a queue that are not delivered.
   *
   * @param queue the name
   * @returns the number of messages deleted
   * @throws {AmqpError} the queue does not exist (404), or the user has no access to it
   * @throws {MqcatError} the queue is a stream, which keeps its messages
   */
  purgeQueue(queue: string): Promise<number>;
  /**
   * Declares an exchange: creates it if it does not exist.
   *
   * @param exchange the name
   * @param options type and properties of the exchange
   * @throws {AmqpError} the exchange exists with other properties (406), or the broker refused the declaration
   */
  declareExchange(exchange: string, options: ExchangeOptions): Promise<void>;
  /**
   * Binds a queue to an exchange.
   *
   * @param queue the name of the queue
   * @param exchange the name of the exchange
   * @param routingKey the binding key, for example `orders.*` for a topic exchange. Default: an empty string
   * @param args arguments of the binding, for a headers exchange
   * @throws {AmqpError} the queue or the exchange does not exist (404), or the user has no access to it
   */
  bindQueue(queue: string, exchange: string, routingKey?: string, args?: FieldTable): Promise<void>;
  /**
   * Publishes a message and waits until the broker confirms it. Many calls may be in progress; messages are sent in the
   * order of the calls. A message that is unconfirmed when a connection is lost is published again, so that it may
   * arrive twice.
   *
   * @param to the name of a queue, or an exchange with a routing key
   * @param body the message; text is encoded as UTF-8
   * @param options properties of the message, and a signal that ends the wait: the message may still be delivered
   * @throws {AmqpError} no queue exists for the message (312), or the exchange does not exist (404)
   * @throws {MqcatError} the broker refused the message, for example because a queue is full
   * @throws {RangeError | TypeError} a name or a property does not fit its type
   * @throws {LimitError} the properties are larger than a frame
   * @throws {ClosedError} the client is closed
   */
  publish(to: string | AmqpRoute, body: string | Uint8Array, options?: PublishOptions): Promise<void>;
  /**
   * Takes one message from a queue (`basic.get`). Acknowledge it: otherwise it stays unacknowledged until the client is
   * closed, and keeps one of the channels of the connection. For many messages use `consume`.
   *
   * @param queue the name of the queue
   * @param options may hold a signal that ends the wait; a message that arrives later returns to the queue
   * @returns the message; undefined when the queue is empty
   * @throws {AmqpError} the queue does not exist (404), or the user has no access to it
   * @throws {MqcatError} the queue is a stream, which can only be consumed
   */
  get(queue: string, options?: AmqpWaitOptions): Promise<AmqpMessage | undefined>;
  /**
   * Starts a consumer.
   *
   * @param queue the name of the queue
   * @param options prefetch and arguments of the consumer, and a signal that closes it
   * @returns the consumer, which is an async iterable of messages
   * @throws {AmqpError} the queue does not exist (404), or the broker refused the consumer
   */
  consume(queue: string, options?: ConsumeOptions): Promise<AmqpConsumer>;
  /** Closes all connections and consumers. Calls of `publish` in progress reject with a `ClosedError`. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}
