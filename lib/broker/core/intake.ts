import { amqpError } from "../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { PropertyScan } from "../../amqp/property_scan.ts";
import type { Broker } from "../server.ts";
import type { ServerChannel } from "../amqp/channel/channel.ts";
import { deadLetter } from "./dead_letter.ts";
import { Targets } from "./journal/format/record.ts";
import { addressOf, encodeMessage, propertiesOf, withoutHeader } from "./message.ts";
import { delayOf } from "./exchange/delayed.ts";
import type { DeathReason, Queue } from "./queue/queue.ts";
import { RouteResult, type VirtualHost } from "./topology/vhost.ts";

/** The way of a message from its exchange into queues: routed, written to the journal, noted in the lanes. */
export class MessageIntake {
  readonly #broker: Broker;
  readonly #routes = new RouteResult<Queue>();
  readonly #targets = new Targets();
  /** The position of the journal behind the last message; 0 when it was not written to disk. */
  #position = 0;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /**
   * Publishes for a client: returns a mandatory message that has no queue, and notes the outcome for its confirm.
   *
   * @param message valid during the call
   * @param scan of its properties
   * @returns whether no queue refused it
   * @throws {AmqpError} what `check` throws
   */
  publish(
    channel: ServerChannel,
    exchange: string,
    routingKey: string,
    mandatory: boolean,
    message: EncodedMessage,
    scan: PropertyScan,
  ): boolean {
    const broker = this.#broker;
    const { connection, publishing } = channel;
    const { counters } = broker;
    counters.published++;
    if (publishing.confirms !== undefined) counters.confirmable++;
    if (exchange === "" && broker.directReplies.has(routingKey)) {
      broker.directReplies.deliver(routingKey, message);
      publishing.confirm(true, 0);
      return true;
    }
    const ttl = this.check(channel, exchange, scan);
    const routes = this.#routes;
    connection.vhost.route(exchange, routingKey, scan, routes);
    if (routes.length === 0) {
      if (mandatory) {
        counters.returned++;
        const returned = routes.blindCopies ? withoutHeader(message, "BCC") : message;
        connection.encoder.return(channel.number, 312, "NO_ROUTE", returned);
        connection.touch();
      } else counters.unroutable++;
      publishing.confirm(true, 0);
      return true;
    }
    const { blocked } = broker;
    if (blocked !== undefined) {
      connection.hold(blocked);
      // Told at once; who does not ask for confirms has what came before the hold, kept in memory.
      if (publishing.confirms !== undefined) {
        publishing.confirm(false, 0);
        return false;
      }
    }
    const taken = this.#enqueue(routes, message, scan, ttl);
    publishing.confirm(taken, this.#position);
    return taken;
  }

  /**
   * What is wrong with a message whatever becomes of it.
   *
   * @returns how long it may live, in milliseconds
   * @throws {AmqpError} 404: there is no such exchange; 403: it is internal; 406: the user is another, the expiration
   * is no number, or the delivery mode is none
   */
  check(channel: ServerChannel, exchange: string, scan: PropertyScan): number {
    const { user, vhost } = channel.connection;
    vhost.checkPublish(exchange);
    if (scan.has("userId") && scan.text("userId") !== user) {
      throw amqpError(
        406,
        `user_id property set to '${scan.text("userId")}' but authenticated user was '${user}'`,
      );
    }
    const ttl = timeToLive(scan);
    const mode = scan.deliveryMode;
    if (mode !== 1 && mode !== 2) throw amqpError(406, `invalid message: {delivery_mode_unknown,${mode}}`);
    return ttl;
  }

  /** Publishes for the broker itself; the routing decides alone. */
  publishInternally(
    vhost: VirtualHost<Queue>,
    exchange: string,
    routingKey: string,
    message: EncodedMessage,
  ): { readonly routed: boolean; readonly taken: boolean } {
    const scan = new PropertyScan();
    scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    const routes = new RouteResult<Queue>();
    vhost.route(exchange, routingKey, scan, routes);
    if (routes.length === 0) return { routed: false, taken: false };
    return { routed: true, taken: this.#enqueue(routes, message, scan, timeToLive(scan)) };
  }

  /** Publishes a message that died in a queue to the queue's dead-letter exchange, if there is one. */
  deadLetter(queue: Queue, message: EncodedMessage, reason: DeathReason): void {
    const { deadLetterExchange } = queue.settings;
    const vhost = this.#broker.vhosts.get(queue.definition.vhost)!;
    if (deadLetterExchange === undefined || !vhost.exchanges.has(deadLetterExchange)) return;
    const dead = deadLetter(queue, message, reason, Math.floor(this.#broker.now / 1000));
    const scan = new PropertyScan();
    scan.read(dead.head, dead.propertiesStart, dead.propertiesEnd);
    // Lists of its own: this may happen while another message is being published.
    const routes = new RouteResult<Queue>();
    vhost.route(dead.address.exchange, dead.address.routingKey, scan, routes);
    if (dead.cycles.size > 0) routes.retain((one) => !dead.cycles.has(one.name));
    if (routes.length > 0) this.#enqueue(routes, dead, scan, Infinity, new Targets());
  }

  /** Publishes a message that has waited in an exchange that delays, as that exchange's type routes it. */
  forward(queue: Queue, message: EncodedMessage): void {
    const { name, vhost } = queue.definition;
    const address = addressOf(message);
    const properties = propertiesOf(message);
    const headers = { ...properties.headers, "x-delay": -delayOf(properties.headers ?? {}) };
    const body = message.body.slice(message.bodyStart, message.bodyEnd);
    const due = encodeMessage(address, { ...properties, headers }, body);
    this.publishInternally(this.#broker.vhosts.get(vhost)!, name, address.routingKey, due);
  }

  /** Puts a message into the queues that have room; false when one of them refused it. */
  #enqueue(
    routes: RouteResult<Queue>,
    message: EncodedMessage,
    scan: PropertyScan,
    ttl: number,
    targets: Targets = this.#targets,
  ): boolean {
    const { journal } = this.#broker;
    // Those who get a blind copy must not see who else did (RabbitMQ, sender-selected.html); what waits needs it still.
    const onlyWaits = routes.delay > 0 && routes.length === 1;
    if (routes.blindCopies && !onlyWaits) message = withoutHeader(message, "BCC");
    const size = message.bodyEnd - message.bodyStart;
    const { priority, persistent } = scan;
    let durable = false;
    let count = 0;
    let dead: Queue[] | undefined;
    // Making room comes first: it may put dead letters into the very queues that are next.
    for (let i = 0; i < routes.length; i++) {
      const queue = routes.queues[i]!;
      if (queue.hasRoomFor(size)) {
        durable ||= queue.definition.durable;
        routes.queues[count++] = queue;
      } else if (queue.settings.overflow === "reject-publish-dlx") (dead ??= []).push(queue);
    }
    const refused = count < routes.length;
    if (count === 0) {
      this.#deadLetterAll(dead, message);
      this.#position = 0;
      return false;
    }
    targets.clear();
    for (let i = 0; i < count; i++) {
      const queue = routes.queues[i]!;
      const lane = queue.laneOf(priority);
      targets.add(queue.definition.id, lane, queue.lanes[lane]!.nextSeq, queue.expiryOf(ttl, routes.delay));
    }
    let position = 0;
    if (persistent && durable) {
      journal.append(message, targets);
      position = journal.position;
    } else journal.appendTransient(message, targets);
    const { segment, offset } = journal;
    for (let i = 0; i < count; i++) {
      routes.queues[i]!.lanes[targets.lanes[i]!]!.push(segment, offset, size, targets.expiries[i]!);
    }
    // Only now: what a queue does on arrival may use the journal, and this publisher.
    for (let i = 0; i < count; i++) routes.queues[i]!.arrived(targets.expiries[i]!);
    this.#deadLetterAll(dead, message);
    this.#position = position;
    return !refused;
  }

  /** A message that queues refused is dead behind those that it was alive for. */
  #deadLetterAll(queues: readonly Queue[] | undefined, message: EncodedMessage): void {
    if (queues === undefined) return;
    for (const queue of queues) this.deadLetter(queue, message, "maxlen");
  }
}

/** The property `expiration`, in milliseconds; Infinity when there is none. */
function timeToLive(scan: PropertyScan): number {
  if (!scan.has("expiration")) return Infinity;
  const text = scan.text("expiration")!;
  const ttl = Number(text);
  if (!/^\d{1,16}$/.test(text) || ttl > 2 ** 32 - 1) {
    throw amqpError(406, `invalid expiration '${text}': it must be a whole number of milliseconds`);
  }
  return ttl;
}
