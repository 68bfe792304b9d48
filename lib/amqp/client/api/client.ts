import { ClosedError, MqcatError } from "../../../errors.ts";
import { untilAborted } from "../../../link/abort.ts";
import { Sender, type SendErrors } from "../../../link/sender.ts";
import { AmqpError } from "../../amqp_error.ts";
import { encodeProperties } from "../../properties.ts";
import type { FieldTable } from "../../types/field_value.ts";
import type { AmqpConnection } from "../connection.ts";
import { type AmqpOptions, connectBroker } from "../link.ts";
import {
  declareQueue,
  explainStream,
  findQueue,
  purgeQueue,
  type QueueOptions,
  type QueueState,
  withChannel,
} from "../queues.ts";
import { type BrokerAddress, parseAmqpUrl } from "../url.ts";
import { Publisher } from "../publisher.ts";
import { QueueStream } from "./queue_stream.ts";
import { ReceivedMessage } from "./received_message.ts";
import type {
  AmqpClient,
  AmqpConsumer,
  AmqpMessage,
  AmqpRoute,
  AmqpWaitOptions,
  ConsumeOptions,
  ExchangeOptions,
  PublishOptions,
} from "./types.ts";

/**
 * Connects to an AMQP 0-9-1 broker: RabbitMQ, LavinMQ, mqcat's embedded broker and others.
 *
 * @param url `amqp://user:password@host:port/vhost`, or `amqps://…` for TLS. Several hosts are separated by commas and
 * tried in this order. Parts that are left out: user and password `guest`, host 127.0.0.1, port 5672 (5671 for TLS),
 * virtual host `/`. Parameters: `heartbeat` in seconds, `frame_max`, `channel_max`, `connection_timeout` in
 * milliseconds, `auth_mechanism` (`plain` or `external`), `name`; others have no effect. The schemes `pyamqp`, `rabbitmq`
 * and `amqp+ssl` are accepted
 * @param options TLS, timeouts, limits, events, and a signal that ends the attempt to connect
 * @returns the client, after the login
 * @throws {EndpointError} the URL is malformed
 * @throws {RefusedError} wrong credentials, or a virtual host that does not exist or that the user has no access to
 * @throws {IncompatiblePeerError | ProtocolError} the server does not speak AMQP 0-9-1
 * @throws {UnreachableError | HandshakeTimeoutError} no host answered
 *
 * @example Publish a message and consume messages
 * ```ts
 * import { connectAmqp } from "@mqcat/mqcat";
 *
 * await using client = await connectAmqp("amqp://localhost");
 * await client.declareQueue("jobs");
 * await client.publish("jobs", "hello"); // The broker has the message now.
 * for await (const message of await client.consume("jobs", { prefetch: 10 })) {
 *   console.log(message.text());
 *   message.ack();
 * }
 * ```
 *
 * @example Take the messages of a queue one by one
 * ```ts
 * import { connectAmqp } from "@mqcat/mqcat";
 *
 * await using client = await connectAmqp("amqp://localhost", { signal: AbortSignal.timeout(5000) });
 * for (let message; (message = await client.get("jobs")) !== undefined;) {
 *   console.log(message.routingKey, message.properties.headers, message.text());
 *   message.ack();
 * }
 * ```
 */
export async function connectAmqp(url: string, options: AmqpOptions = {}): Promise<AmqpClient> {
  const client = new LinkedClient(parseAmqpUrl(url), options);
  await client.start(options.signal);
  return client;
}

/** The client: a connection for commands, a sender made at the first publish, and a consumer for each `consume`. */
class LinkedClient implements AmqpClient {
  readonly #brokers: readonly BrokerAddress[];
  readonly #options: AmqpOptions;
  /** Aborted by `close`: ends all attempts to connect. */
  readonly #stop = new AbortController();
  readonly #consumers = new Set<QueueStream>();
  #server = "";
  #connecting: Promise<AmqpConnection> | undefined;
  #sender: Sender | undefined;
  #closing: Promise<void> | undefined;

  constructor(brokers: readonly BrokerAddress[], options: AmqpOptions) {
    this.#brokers = brokers;
    this.#options = { ...options, signal: this.#stop.signal };
  }

  get server(): string {
    return this.#server;
  }

  /** Connects for the first time. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    try {
      this.#server = (await untilAborted(this.#connection(), signal)).server;
    } catch (error) {
      this.close().catch(() => {});
      throw error;
    }
  }

  async declareQueue(queue: string, options: QueueOptions = {}): Promise<QueueState> {
    return await declareQueue(await this.#connection(), queue, options);
  }

  async findQueue(queue: string): Promise<QueueState | undefined> {
    return await findQueue(await this.#connection(), queue);
  }

  async deleteQueue(queue: string): Promise<number> {
    return await withChannel(
      await this.#connection(),
      async (channel) => (await channel.call("queue.delete", { queue }, "queue.delete-ok")).messageCount,
    );
  }

  async purgeQueue(queue: string): Promise<number> {
    return await purgeQueue(await this.#connection(), queue);
  }

  async declareExchange(exchange: string, options: ExchangeOptions): Promise<void> {
    const args = { durable: true, ...options, exchange };
    await withChannel(
      await this.#connection(),
      (channel) => channel.call("exchange.declare", args, "exchange.declare-ok"),
    );
  }

  async bindQueue(queue: string, exchange: string, routingKey = "", args: FieldTable = {}): Promise<void> {
    await withChannel(
      await this.#connection(),
      (channel) =>
        channel.call("queue.bind", { queue, exchange, routingKey, arguments: args }, "queue.bind-ok"),
    );
  }

  async publish(
    to: string | AmqpRoute,
    body: string | Uint8Array,
    { properties = { deliveryMode: 2 }, signal }: PublishOptions = {},
  ): Promise<void> {
    signal?.throwIfAborted();
    const { exchange, routingKey = "" } = typeof to === "string" ? { exchange: "", routingKey: to } : to;
    const envelope = { exchange, routingKey, properties: encodeProperties(properties) };
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    await this.#openSender().send(envelope, bytes, signal);
  }

  async get(queue: string, { signal }: AmqpWaitOptions = {}): Promise<AmqpMessage | undefined> {
    signal?.throwIfAborted();
    const connection = await untilAborted(this.#connection(), signal);
    // A channel of its own: an error of one call must not return the unacknowledged messages of the others.
    const channel = await connection.open();
    const leave = () => {
      channel.close().catch(() => {});
    };
    try {
      const got = await untilAborted(channel.get(queue), signal);
      if (got === undefined) {
        leave();
        return undefined;
      }
      const settler = {
        settle(_generation: number, tag: number, outcome: "ack" | "requeue" | "reject") {
          if (outcome === "ack") channel.ack(tag, false);
          else channel.nack(tag, false, outcome === "requeue");
          leave();
        },
      };
      return new ReceivedMessage(got, settler, 0);
    } catch (error) {
      leave();
      const remedy = "consume it, with the argument x-stream-offset";
      throw explainStream(error, `Cannot get single messages from '${queue}'`, remedy);
    }
  }

  async consume(queue: string, options: ConsumeOptions = {}): Promise<AmqpConsumer> {
    this.#checkOpen();
    options.signal?.throwIfAborted();
    const stream = new QueueStream(
      this.#brokers,
      queue,
      this.#options,
      options,
      (closed) => this.#consumers.delete(closed),
    );
    this.#consumers.add(stream);
    await stream.start();
    return stream;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#stop.abort(closedError());
    const connection = await this.#connecting?.catch(() => undefined);
    const parts = [...this.#consumers, this.#sender, connection];
    await Promise.all(parts.map((part) => part?.close()));
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  /** The connection for commands; a lost one is replaced at the next command. */
  #connection(): Promise<AmqpConnection> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    if (this.#connecting !== undefined) return this.#connecting;
    const connecting = connectBroker(this.#brokers, this.#options);
    this.#connecting = connecting;
    const forget = () => {
      if (this.#connecting === connecting) this.#connecting = undefined;
    };
    connecting.then((connection) => connection.closed.then(forget), forget);
    return connecting;
  }

  /** The sender; one that failed is replaced at the next publish. */
  #openSender(): Sender {
    this.#checkOpen();
    if (this.#sender?.failure !== undefined) this.#sender = undefined;
    return this.#sender ??= new Sender(new Publisher(this.#brokers, this.#options), ERRORS);
  }
}

function closedError(): ClosedError {
  return new ClosedError("The AMQP client is closed");
}

const ERRORS: SendErrors = {
  returned: (replyCode, reason) =>
    new AmqpError(replyCode, `Cannot deliver the message as ${reason}`, { scope: "channel" }),
  refused: () =>
    new MqcatError(
      "ERR_AMQP_CHANNEL",
      "The broker refused the message (basic.nack): a queue may be full, or the broker is out of resources",
    ),
  closed: closedError,
};
