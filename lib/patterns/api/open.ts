/** The patterns on the address of any system. */
import { untilAborted } from "../../link/abort.ts";
import { Questions } from "./asking.ts";
import { Pulled, Subscription } from "./incoming.ts";
import { Publication, Pushed } from "./outgoing.ts";
import { HandledService } from "./service.ts";
import { patternsOf } from "./systems.ts";
import type {
  Asking,
  Incoming,
  PatternMessage,
  PatternPullOptions,
  PatternReplyOptions,
  PatternRequestOptions,
  PatternSendOptions,
  PatternSubscribeOptions,
  Publishing,
  PulledMessage,
  Pushing,
  RequestHandler,
  Service,
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

/**
 * Opens a sender of requests.
 *
 * @param address `amqp://host//QUEUE` (by direct reply-to), `mqtt://host/TOPIC` (MQTT 5.0, by a response topic) or
 * `stomp://host/queue/QUEUE` (by a temporary queue)
 * @param options how many requests may be without a reply, and how long each waits; TLS, timeouts, events, and a signal that
 * ends the attempt to connect
 * @returns the requester, once it is connected
 * @throws the errors of `pull`
 *
 * @example Ask a service
 * ```ts
 * import { requestTo } from "@mqcat/mqcat";
 *
 * await using fibonacci = await requestTo("amqp://localhost//rpc_queue", { timeout: 2000 });
 * console.log((await fibonacci.ask("30")).text());
 * ```
 */
export async function requestTo(address: string, options: PatternRequestOptions = {}): Promise<Asking> {
  const patterns = await patternsOf(address);
  const jobs = jobsOf("request", options.jobs ?? 100);
  const questions = new Questions(patterns.request(address, { ...options, jobs }), options.timeout);
  await questions.start();
  return questions;
}

/**
 * Answers the requests of a queue or topic. A request is acknowledged when its reply is confirmed, so each request is
 * answered at least once.
 *
 * @param address as for `requestTo`
 * @param handler returns the reply to a request; an error of it ends the service, and the request returns to its source
 * @param options how many requests are handled at a time; TLS, timeouts, events, and a signal that ends the attempt to
 * connect
 * @returns the service, once it receives
 * @throws the errors of `pull`
 *
 * @example Offer a service
 * ```ts
 * import { reply } from "@mqcat/mqcat";
 *
 * await using service = await reply("amqp://localhost//upper", (request) => request.text().toUpperCase());
 * await service.done;
 * ```
 */
export async function reply(
  address: string,
  handler: RequestHandler,
  options: PatternReplyOptions = {},
): Promise<Service> {
  const patterns = await patternsOf(address);
  const jobs = jobsOf("reply", options.jobs ?? 1);
  const replier = patterns.reply(address, { ...options, prefetch: jobs });
  try {
    await untilAborted(replier.start(), options.signal);
  } catch (error) {
    replier.close().catch(() => {});
    throw error;
  }
  return new HandledService(replier, handler, jobs);
}

function jobsOf(what: string, jobs: number): number {
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= 65535) return jobs;
  throw new RangeError(`Cannot ${what} as 'jobs' must be an integer from 1 to 65535: received ${jobs}`);
}
