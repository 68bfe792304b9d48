/** The types of the patterns on the address of any system. */
import type { BasicProperties } from "../../amqp/properties.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import type { ClusterOptions } from "../../amqp/client/near_leader.ts";
import type { ClientOptions } from "../../link/options.ts";

/** A received message. The receiver owns it: its bytes are not reused. */
export interface PatternMessage {
  /** The routing key of AMQP, the topic of MQTT, the destination of STOMP, or the first of two frames of ZeroMQ. */
  readonly topic: string;
  /** The body of the message. */
  readonly body: Uint8Array;
  /** Whether the message was delivered before. */
  readonly redelivered: boolean;
  /** Headers and properties, which are decoded at the first access. ZeroMQ has none. */
  readonly properties: BasicProperties;
  /**
   * Decodes the body as UTF-8.
   *
   * @returns the body as text; malformed bytes become U+FFFD
   */
  text(): string;
}

/** A message that is kept by its source until it is acknowledged. ZeroMQ has no acknowledgements. */
export interface PulledMessage extends PatternMessage {
  /** Acknowledges the message: its source deletes it. Later calls of `ack` and `nack` have no effect. */
  ack(): void;
  /**
   * Rejects the message. Later calls of `ack` and `nack` have no effect.
   *
   * @param requeue true: it is delivered again; false: it is dead-lettered or dropped. Default: true
   */
  nack(requeue?: boolean): void;
}

/** Options for operations that wait. */
export interface PatternWaitOptions {
  /** Ends the wait. The operation then rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of `subscribe`. */
export interface PatternSubscribeOptions extends ClientOptions {
  /**
   * What to receive: binding keys or patterns of AMQP (`order.#`), filters of MQTT (`sensors/+/t`), topics of STOMP, or
   * prefixes of ZeroMQ. Default: all messages
   */
  readonly topics?: readonly string[] | undefined;
  /** For a headers exchange of AMQP: the headers of the messages to receive; one of the tables must match. */
  readonly matches?: readonly FieldTable[] | undefined;
  /** MQTT: the highest QoS of the messages. Default: 1 */
  readonly qos?: 0 | 1 | 2 | undefined;
}

/** Options of `pull`. */
export interface PatternPullOptions extends ClientOptions, ClusterOptions {
  /** AMQP and STOMP: whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** The maximum number of unacknowledged messages, 1 to 65535. Default: 100 */
  readonly prefetch?: number | undefined;
  /** MQTT: the group that shares the messages. Default: `mqcat` */
  readonly group?: string | undefined;
}

/** Options of `publishTo` and `pushTo`. */
export interface PatternSendOptions extends ClientOptions, ClusterOptions {
  /** AMQP and STOMP, `pushTo` only: whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** AMQP, `publishTo` only: whether a message that reaches no queue is an error. Default: false */
  readonly mandatory?: boolean | undefined;
  /** MQTT, `publishTo` only: the quality of service. Default: 1 */
  readonly qos?: 0 | 1 | 2 | undefined;
  /** MQTT, `publishTo` only: whether the server keeps the latest message of each topic. Default: false */
  readonly retain?: boolean | undefined;
}

/** What accompanies a message that is sent. */
export interface PatternMessageOptions extends PatternWaitOptions {
  /** Headers and properties. ZeroMQ has none. Default: `{ deliveryMode: 2 }`, a persistent message */
  readonly properties?: BasicProperties;
}

/** Messages as an async iterable. It reconnects until it is closed or fails permanently. */
export interface Incoming<M extends PatternMessage> extends AsyncDisposable {
  /**
   * Waits for the next message.
   *
   * @param options may hold a signal that ends the wait
   * @returns the message; undefined when it is closed
   * @throws {MqcatError} a permanent failure, for example a queue that was deleted
   */
  receive(options?: PatternWaitOptions): Promise<M | undefined>;
  /** Receives messages until it is closed: for `for await`. */
  [Symbol.asyncIterator](): AsyncIterator<M>;
  /** Closes the connection. Unacknowledged messages return to their source. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Sends messages with a topic. It reconnects, and sends unconfirmed messages again. */
export interface Publishing extends AsyncDisposable {
  /**
   * Sends a message, and waits until the other side has confirmed it; for ZeroMQ, until the operating system has it. Many
   * calls may be in progress; messages are sent in the order of the calls.
   *
   * @param topic the routing key of AMQP, the topic of MQTT and STOMP, or the first frame of ZeroMQ
   * @param body the message; text is encoded as UTF-8
   * @param options properties of the message, and a signal that ends the wait: the message may still be delivered
   * @throws {MqcatError} the message was refused or returned, or the connection failed permanently
   */
  send(topic: string, body: string | Uint8Array, options?: PatternMessageOptions): Promise<void>;
  /** Closes the connection; calls in progress reject with a `ClosedError`. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Sends messages to a queue. It reconnects, and sends unconfirmed messages again. */
export interface Pushing extends AsyncDisposable {
  /**
   * Sends a message, and waits until the other side has confirmed it: see `Publishing`.
   *
   * @param body the message; text is encoded as UTF-8
   * @param options properties of the message, and a signal that ends the wait: the message may still be delivered
   * @throws {MqcatError} the message was refused or returned, or the connection failed permanently
   */
  send(body: string | Uint8Array, options?: PatternMessageOptions): Promise<void>;
  /** Closes the connection; calls in progress reject with a `ClosedError`. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of `requestTo`. */
export interface PatternRequestOptions extends ClientOptions, ClusterOptions {
  /** The maximum number of requests without a reply; further ones wait. Default: 100 */
  readonly jobs?: number | undefined;
  /** How long each request waits for its reply, in milliseconds. Default: without a limit */
  readonly timeout?: number | undefined;
}

/** Sends requests, and receives their replies. It reconnects, and sends requests without a reply again. */
export interface Asking extends AsyncDisposable {
  /**
   * Sends a request, and waits for its reply. Many calls may be in progress; replies arrive in the order of the requests.
   *
   * @param body the request; text is encoded as UTF-8
   * @param options properties of the request, and a signal that ends the wait: the request may still be processed
   * @returns the reply
   * @throws {DOMException} `TimeoutError`: the reply did not arrive in time
   * @throws {MqcatError} nothing receives the request, or the connection failed permanently
   */
  ask(body: string | Uint8Array, options?: PatternMessageOptions): Promise<PatternMessage>;
  /** Closes the connection; calls in progress reject with a `ClosedError`. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of `reply`. */
export interface PatternReplyOptions extends ClientOptions, ClusterOptions {
  /** How many requests are handled at a time, 1 to 65535. Default: 1 */
  readonly jobs?: number | undefined;
  /** AMQP and STOMP: whether a missing queue is created, durable. Default: false */
  readonly declare?: boolean | undefined;
  /** MQTT: the group of services that share the requests. Default: `mqcat` */
  readonly group?: string | undefined;
  /** Called for a reply that no client receives, because the requester is gone. */
  readonly onUndeliverable?: (reason: string) => void;
}

/** A service that answers requests. */
export interface Service extends AsyncDisposable {
  /** Resolves when the service is closed. Rejects when a handler throws or the connection fails permanently. */
  readonly done: Promise<void>;
  /** Waits for the last replies, and closes the connection. Other requests return to their source. */
  close(): Promise<void>;
  /** Calls `close`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Answers a request: returns the reply, or undefined for none. Text is encoded as UTF-8. */
export type RequestHandler = (
  request: PatternMessage,
) => string | Uint8Array | undefined | Promise<string | Uint8Array | undefined>;
