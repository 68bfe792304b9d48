/** The patterns on the address of any system. */
import { Pulled, Subscription } from "./incoming.ts";
import { Publication, Pushed } from "./outgoing.ts";
import { patternsOf } from "./systems.ts";
import type {
  Incoming,
  PatternMessage,
  PatternPullOptions,
  PatternSendOptions,
  PatternSubscribeOptions,
  Publishing,
  PulledMessage,
  Pushing,
} from "./types.ts";

/** The default maximum number of unacknowledged messages: enough for a busy receiver, few enough to share a queue. */
const PREFETCH = 100;

/**
 * Receives copies of the messages of an exchange, of topics, or of a publisher; no other receiver is affected. It connects
 * again after a lost connection; messages that are published meanwhile are lost.
 *
 * @param address `amqp://host//EXCHANGE` (default: `amq.topic`), `mqtt://host/FILTER`, `stomp://host/topic/KEY`, or the
 * endpoint of a ZeroMQ publisher to connect to, such as `tcp://127.0.0.1:5556`
 * @param options what to receive; TLS, timeouts, events, and a signal that closes the subscription
 * @returns the messages, once the subscription exists
 * @throws {EndpointError} the address is malformed, or does not fit the pattern
 * @throws {AmqpError} the exchange does not exist (404)
 * @throws {RefusedError | IncompatiblePeerError | ProtocolError} the other side refused the connection or the subscription
 * @throws {UnreachableError | HandshakeTimeoutError} no host answered
 *
 * @example Receive the orders of an exchange
 * ```ts
 * import { subscribe } from "@mqcat/mqcat";
 *
 * await using orders = await subscribe("amqp://localhost//orders", { topics: ["order.#"] });
 * for await (const { topic, body } of orders) console.log(topic, body.length);
 * ```
 *
 * @example Receive the temperatures of an MQTT server
 * ```ts
 * import { subscribe } from "@mqcat/mqcat";
 *
 * await using sensors = await subscribe("mqtt://localhost/sensors/+/temperature");
 * console.log((await sensors.receive())?.text());
 * ```
 */
export async function subscribe(
  address: string,
  options: PatternSubscribeOptions = {},
): Promise<Incoming<PatternMessage>> {
  const patterns = await patternsOf(address);
  const subscription = new Subscription(
    (events) => patterns.subscribe(address, { ...options, ...events }),
    options.signal,
  );
  await subscription.start();
  return subscription;
}

/**
 * Receives the messages of a queue. Each message goes to one receiver, and returns to the queue unless it is acknowledged.
 *
 * @param address `amqp://host//QUEUE`, `mqtt://host/FILTER` (a shared subscription), `stomp://host/queue/QUEUE`, or the
 * endpoint of a ZeroMQ PUSH socket to connect to
 * @param options the maximum number of unacknowledged messages; TLS, timeouts, events, and a signal that closes it
 * @returns the messages, once it receives
 * @throws {EndpointError} the address is malformed, or names no queue
 * @throws {AmqpError} the queue does not exist (404)
 * @throws {RefusedError | IncompatiblePeerError | ProtocolError} the other side refused the connection or the queue
 * @throws {UnreachableError | HandshakeTimeoutError} no host answered
 *
 * @example Work on the jobs of a queue
 * ```ts
 * import { pull } from "@mqcat/mqcat";
 *
 * await using jobs = await pull("amqp://localhost//jobs", { prefetch: 10 });
 * for await (const job of jobs) {
 *   console.log(job.text(), job.properties.headers);
 *   job.ack();
 * }
 * ```
 */
export async function pull(
  address: string,
  options: PatternPullOptions = {},
): Promise<Incoming<PulledMessage>> {
  const { prefetch = PREFETCH } = options;
  if (!Number.isInteger(prefetch) || prefetch < 1 || prefetch > 65535) {
    throw new RangeError(
      `Cannot pull as 'prefetch' must be an integer from 1 to 65535: received ${prefetch}`,
    );
  }
  const patterns = await patternsOf(address);
  const pulled = new Pulled(
    (events) => patterns.pull(address, { ...options, ...events, prefetch }),
    options.signal,
  );
  await pulled.start();
  return pulled;
}

/**
 * Opens a sender of messages with topics.
 *
 * @param address `amqp://host//EXCHANGE` (default: `amq.topic`), `mqtt://host`, `stomp://host`, or the endpoint of a ZeroMQ
 * subscriber to connect to
 * @param options TLS, timeouts, events, and a signal that ends the attempt to connect
 * @returns the sender, once it is connected
 * @throws the errors of `subscribe`
 *
 * @example Publish an order
 * ```ts
 * import { publishTo } from "@mqcat/mqcat";
 *
 * await using orders = await publishTo("amqp://localhost//orders");
 * await orders.send("order.new", "two of them"); // The broker has the message now.
 * ```
 */
export async function publishTo(address: string, options: PatternSendOptions = {}): Promise<Publishing> {
  const patterns = await patternsOf(address);
  const publication = new Publication(patterns.publish(address, options));
  await publication.start();
  return publication;
}

/**
 * Opens a sender of messages to a queue.
 *
 * @param address `amqp://host//QUEUE`, `mqtt://host/TOPIC`, `stomp://host/queue/QUEUE`, or the endpoint of a ZeroMQ PULL
 * socket to connect to
 * @param options TLS, timeouts, events, and a signal that ends the attempt to connect
 * @returns the sender, once it is connected
 * @throws the errors of `pull`
 *
 * @example Send a job
 * ```ts
 * import { pushTo } from "@mqcat/mqcat";
 *
 * await using jobs = await pushTo("amqp://localhost//jobs", { declare: true });
 * await jobs.send("resize 42.png", { properties: { deliveryMode: 2, headers: { attempt: 1 } } });
 * ```
 */
export async function pushTo(address: string, options: PatternSendOptions = {}): Promise<Pushing> {
  const patterns = await patternsOf(address);
  const pushed = new Pushed(patterns.push(address, options));
  await pushed.start();
  return pushed;
}
