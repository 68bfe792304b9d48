import { amqpError } from "../../amqp/amqp_error.ts";
import type { EncodedMessage } from "../../amqp/frames/frame_encoder.ts";
import { PROPERTY, PropertyScan } from "../../amqp/property_scan.ts";
import type { FieldTable } from "../../amqp/types/field_value.ts";
import type { Cycle } from "./cycle.ts";
import { deadLetter } from "./dead_letter.ts";
import { delayOf } from "./exchange/delayed.ts";
import { Targets } from "./journal/format/record.ts";
import type { Journal } from "./journal/journal.ts";
import { clientHeaders, positionText, TRACE, traceCopy, type TracedClient } from "./firehose.ts";
import { addressOf, encodeMessage, type OwnMessage, propertiesOf, withoutHeader } from "./message.ts";
import type { DeathReason, Queue } from "./queue/queue.ts";
import { MAX_EXPIRY } from "./queue/settings.ts";
import { SizeHistogram } from "./size_histogram.ts";
import { RouteResult, type VirtualHost } from "./topology/vhost.ts";

/** What the intake needs of the broker. */
export interface IntakeHost {
  readonly journal: Journal;
  readonly cycle: Pick<Cycle, "now">;
  /** Why the broker takes no messages; undefined while it does. */
  readonly blocked: string | undefined;
  /** Whether the reason is the disk, which cannot store another message. */
  readonly diskFull: boolean;
  /** A message was refused for this reason. */
  onRefused(): void;
  readonly vhosts: ReadonlyMap<string, VirtualHost>;
}

/**
 * Takes messages into queues: routes them, appends them to the journal and adds them to the lanes of their queues.
 *
 * `publish` leaves its outcome in fields, so that a publish allocates nothing. They are valid until the next call.
 */
export class MessageIntake {
  /** Whether at least one queue matched. */
  routed = false;
  /** Whether no queue refused the message. True for a message that was not routed. */
  taken = false;
  /** Position of the journal that must be safe before the message is confirmed; 0 when it was not written to disk. */
  position = 0;
  /** Whether the message has a `BCC` header, which must be removed before the message is returned to its publisher. */
  blindCopies = false;
  /** Why the broker took no messages when this one was published; set for routed messages only. */
  blocked: string | undefined;
  /** The sizes of the messages that clients published. */
  readonly sizes: SizeHistogram = new SizeHistogram();

  readonly #host: IntakeHost;
  readonly #routes = new RouteResult();
  readonly #targets = new Targets();
  /** The lists of `replace`, which does not nest. */
  readonly #replacing = { routes: new RouteResult(), targets: new Targets(), scan: new PropertyScan() };
  #number = 0;

  constructor(host: IntakeHost) {
    this.#host = host;
  }

  /**
   * Publishes a client's message. The outcome is in `routed`, `taken`, `position`, `blindCopies` and `blocked`.
   *
   * @param user name of the client's user
   * @param message valid during the call
   * @param scan of the message's properties
   * @param refuseIfDiskFull whether the message is refused while the disk is full. Otherwise, and while the memory is
   *   full, the message is taken nevertheless, and the caller must stop reading from the client
   * @param extra another queue that gets the message; it does not count for `routed`
   * @param client who publishes, for the trace
   * @throws {AmqpError} see `check`
   */
  publish(
    vhost: VirtualHost,
    user: string,
    exchange: string,
    routingKey: string,
    message: EncodedMessage,
    scan: PropertyScan,
    refuseIfDiskFull: boolean,
    extra?: Queue,
    client?: TracedClient,
  ): void {
    const source = vhost.exchangeToPublish(exchange);
    const ttl = checkProperties(user, scan);
    const routes = this.#routes;
    vhost.route(source, routingKey, scan, routes);
    source.stats.published++;
    source.stats.routed += routes.length;
    vhost.stats.routed += routes.length;
    this.sizes.add(message.bodyEnd - message.bodyStart);
    this.blindCopies = routes.blindCopies;
    this.routed = routes.length > 0;
    this.blocked = this.routed ? this.#host.blocked : undefined;
    this.position = 0;
    const queues = vhost.isTraced ? routes.queues.slice(0, routes.length).map(({ name }) => name) : undefined;
    if (extra !== undefined) routes.add(extra);
    if (routes.length === 0) this.taken = true;
    else if (this.routed && refuseIfDiskFull && this.#host.diskFull) {
      this.taken = false;
      this.#host.onRefused();
    } else this.taken = this.#enqueue(routes, message, scan, ttl);
    if (queues !== undefined) {
      const headers = { vhost: vhost.name, user, ...clientHeaders(client), routed_queues: queues };
      const taken: FieldTable = this.taken && queues.length > 0
        ? { mqcat_positions: this.#positions(routes) }
        : {};
      this.trace(vhost, `publish.${exchange}`, message, { ...headers, ...taken });
    }
  }

  /** Copies a message to the trace exchange. The outcome of `publish` stays as it is. */
  trace(vhost: VirtualHost, key: string, message: EncodedMessage, headers: FieldTable): void {
    const { position } = this;
    this.report(vhost, traceCopy(message, key, headers));
    this.position = position;
  }

  /** Publishes a message to the trace exchange. */
  report(vhost: VirtualHost, message: OwnMessage): void {
    this.publishInternally(vhost, TRACE, addressOf(message).routingKey, message, new Targets());
  }

  /** The positions of the last message in its queues, by the names of the queues. */
  #positions({ queues }: RouteResult): FieldTable {
    const { count, queueIds, lanes, seqs } = this.#targets;
    const positions: FieldTable = {};
    for (let i = 0; i < count; i++) {
      const queue = queues.find(({ definition }) => definition.id === queueIds[i]);
      if (queue !== undefined) positions[queue.name] = positionText(lanes[i]!, seqs[i]!);
    }
    return positions;
  }

  /**
   * Checks a client's message without publishing it.
   *
   * @throws {AmqpError} 404: the exchange does not exist; 403: the exchange is internal; 406: the property `user_id`
   *   names another user, or `expiration` or `delivery_mode` is invalid
   */
  check(vhost: VirtualHost, user: string, exchange: string, scan: PropertyScan): void {
    vhost.exchangeToPublish(exchange);
    checkProperties(user, scan);
  }

  /** Publishes a message for the broker itself, without the checks for clients. */
  publishInternally(
    vhost: VirtualHost,
    exchange: string,
    routingKey: string,
    message: EncodedMessage,
    targets = this.#targets,
  ): { readonly routed: boolean; readonly taken: boolean; readonly copies: number } {
    const scan = new PropertyScan();
    scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    const routes = new RouteResult();
    const source = vhost.exchanges.get(exchange);
    if (source !== undefined) vhost.route(source, routingKey, scan, routes);
    const copies = routes.length;
    if (copies === 0) return { routed: false, taken: false, copies };
    return { routed: true, taken: this.#enqueue(routes, message, scan, timeToLive(scan), targets), copies };
  }

  /**
   * Puts a message into one queue, without an exchange. The outcome is in `position`.
   *
   * @param origin a message that this one replaces, with its queue: after a crash either both or none of the two changes
   *   are made. The caller settles it.
   * @returns the sequence number of the message in its lane
   */
  put(
    queue: Queue,
    message: EncodedMessage,
    origin?: { readonly queue: Queue; readonly seq: number },
  ): number {
    const scan = new PropertyScan();
    scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    const routes = new RouteResult();
    routes.add(queue);
    const seq = queue.lanes[queue.laneOf(scan.priority)]!.nextSeq;
    const targets = origin === undefined ? new Targets() : replacing(origin.queue, 0, origin.seq);
    this.#enqueue(routes, message, scan, timeToLive(scan), targets);
    return seq;
  }

  /**
   * Puts a message of a dump back into a queue, and into a second queue that counts such messages: after a crash both
   * or none have it. Sets `position` and `blocked`.
   *
   * @param scan of the message's properties
   * @param progress the second queue, which must be durable
   * @returns false when the queue is full
   * @throws {AmqpError} 406: the property `expiration` is invalid
   */
  restore(
    queue: Queue,
    message: EncodedMessage,
    scan: PropertyScan,
    redelivered: boolean,
    progress: Queue | undefined,
  ): boolean {
    const { journal } = this.#host;
    const expiry = queue.expiryOf(timeToLive(scan), 0);
    const size = message.bodyEnd - message.bodyStart;
    if (!queue.hasRoomFor(size)) return false;
    const number = queue.laneOf(scan.priority);
    const lane = queue.lanes[number]!;
    const seq = lane.nextSeq;
    const counted = progress?.lanes[0];
    const targets = this.#targets;
    targets.clear();
    targets.add(queue.definition.id, number, seq, expiry);
    if (counted !== undefined) targets.add(progress!.definition.id, 0, counted.nextSeq, 0);
    this.position = 0;
    // A transient message, too, if it is counted: its number must survive a crash.
    if (counted !== undefined || scan.persistent && queue.definition.durable) {
      journal.append(message, targets);
      this.position = journal.position;
    } else journal.appendTransient(message, targets);
    const { segment, offset } = journal;
    lane.push(segment, offset, size, expiry);
    counted?.push(segment, offset, size, 0);
    if (redelivered) queue.markRedelivered(number, seq);
    const { position } = this;
    queue.arrived(expiry, number);
    progress?.arrived(0, 0);
    // Room that was made may have led to dead letters.
    this.position = position;
    this.blocked = this.#host.blocked;
    return true;
  }

  /**
   * Puts a message into one queue in place of a message of another queue, which it settles. After a crash either both
   * or none of the two changes are made.
   *
   * @param message must stay valid during the call, in which queues may use the journal
   * @returns whether the queue had room; if not, nothing has changed
   */
  replace(from: Queue, lane: number, seq: number, to: Queue, message: EncodedMessage): boolean {
    // First: a queue that rejects messages may dead-letter the ones that it refuses.
    if (!to.hasRoomFor(message.bodyEnd - message.bodyStart)) return false;
    const { routes, targets, scan } = this.#replacing;
    scan.read(message.head, message.propertiesStart, message.propertiesEnd);
    routes.clear();
    routes.add(to);
    if (from.definition.durable) targets.setOrigin(from.definition.id, lane, seq);
    else targets.originQueueId = -1;
    this.#enqueue(routes, message, scan, timeToLive(scan), targets);
    from.settle(lane, seq, this.position > 0);
    return true;
  }

  /**
   * Publishes a message that died in a queue to the queue's dead-letter exchange, if it has one.
   *
   * @param lane with `seq`: the place in the queue that the message leaves; -1 when it was refused
   * @returns whether a message that survives a restart replaces it
   */
  deadLetter(queue: Queue, message: EncodedMessage, reason: DeathReason, lane = -1, seq = -1): boolean {
    const { deadLetterExchange } = queue.settings;
    const vhost = this.#host.vhosts.get(queue.definition.vhost)!;
    const exchange = deadLetterExchange === undefined ? undefined : vhost.exchanges.get(deadLetterExchange);
    if (exchange === undefined) return false;
    const dead = deadLetter(queue, message, reason, Math.floor(this.#host.cycle.now / 1000));
    const scan = new PropertyScan();
    scan.read(dead.head, dead.propertiesStart, dead.propertiesEnd);
    // Lists of its own: this may happen while another message is being published.
    const routes = new RouteResult();
    vhost.route(exchange, dead.address.routingKey, scan, routes);
    if (dead.cycles.size > 0) routes.retain((one) => !dead.cycles.has(one.name));
    if (routes.length === 0) return false;
    this.#enqueue(routes, dead, scan, Infinity, replacing(queue, lane, seq));
    return this.position > 0;
  }

  /**
   * Publishes a message after its delay in an `x-delayed-message` exchange, to the queues that its type selects.
   *
   * @returns whether a message that survives a restart replaces it
   */
  forward(queue: Queue, message: EncodedMessage, seq: number): boolean {
    const { name, vhost } = queue.definition;
    const address = addressOf(message);
    const properties = propertiesOf(message);
    const headers = { ...properties.headers, "x-delay": -delayOf(properties.headers ?? {}) };
    const body = message.body.slice(message.bodyStart, message.bodyEnd);
    const due = encodeMessage(address, { ...properties, headers }, body);
    const targets = replacing(queue, 0, seq);
    this.position = 0;
    this.publishInternally(this.#host.vhosts.get(vhost)!, name, address.routingKey, due, targets);
    return this.position > 0;
  }

  /** Puts a message into the queues that have room, and sets `position`. @returns false when a queue refused it */
  #enqueue(
    routes: RouteResult,
    message: EncodedMessage,
    scan: PropertyScan,
    ttl: number,
    targets: Targets = this.#targets,
  ): boolean {
    const { journal } = this.#host;
    const number = ++this.#number;
    // Receivers must not see the keys of blind copies (RabbitMQ, sender-selected.html); a delayed message still needs them.
    const onlyWaits = routes.delay > 0 && routes.length === 1;
    if (routes.blindCopies && !onlyWaits) message = withoutHeader(message, "BCC");
    const size = message.bodyEnd - message.bodyStart;
    const { priority, persistent } = scan;
    let durable = false;
    let count = 0;
    let direct = 0;
    let dead: Queue[] | undefined;
    // Making room comes first: it may put dead letters into the queues that follow in the list.
    for (let i = 0; i < routes.length; i++) {
      const queue = routes.queues[i]!;
      if (queue.definition.direct === true) {
        direct++;
        queue.stats.published++;
        queue.receiver?.receive(message, number);
      } else if (queue.hasRoomFor(size)) {
        durable ||= queue.definition.durable;
        routes.queues[count++] = queue;
      } else if (queue.settings.overflow === "reject-publish-dlx") (dead ??= []).push(queue);
    }
    const refused = count + direct < routes.length;
    if (count === 0) {
      this.#deadLetterAll(dead, message);
      this.position = 0;
      return !refused;
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
    // Only now: a queue may use the journal and this intake when a message arrives.
    for (let i = 0; i < count; i++) routes.queues[i]!.arrived(targets.expiries[i]!, targets.lanes[i]!);
    this.#deadLetterAll(dead, message);
    this.position = position;
    return !refused;
  }

  /** Dead-letters a message for the queues that refused it, after it has reached the others. */
  #deadLetterAll(queues: readonly Queue[] | undefined, message: EncodedMessage): void {
    if (queues === undefined) return;
    for (const queue of queues) this.deadLetter(queue, message, "maxlen");
  }
}

/** Makes targets for a message that replaces another one, so that a crash does not leave both. */
function replacing(queue: Queue, lane: number, seq: number): Targets {
  const targets = new Targets();
  if (seq >= 0 && queue.definition.durable) targets.setOrigin(queue.definition.id, lane, seq);
  return targets;
}

/**
 * Checks the properties of a client's message.
 *
 * @returns the time to live of the message, in milliseconds; Infinity for none
 * @throws {AmqpError} see `MessageIntake.check`
 */
function checkProperties(user: string, scan: PropertyScan): number {
  if (scan.has(PROPERTY.userId) && scan.text(PROPERTY.userId) !== user) {
    throw amqpError(
      406,
      `user_id property set to '${scan.text(PROPERTY.userId)}' but authenticated user was '${user}'`,
    );
  }
  const ttl = timeToLive(scan);
  const mode = scan.deliveryMode;
  if (mode !== 1 && mode !== 2) throw amqpError(406, `invalid message: {delivery_mode_unknown,${mode}}`);
  return ttl;
}

/** Reads the property `expiration`, in milliseconds; Infinity when it is missing. */
function timeToLive(scan: PropertyScan): number {
  if (!scan.has(PROPERTY.expiration)) return Infinity;
  const text = scan.text(PROPERTY.expiration)!;
  const ttl = Number(text);
  if (!/^\d{1,16}$/.test(text) || ttl > MAX_EXPIRY) {
    throw amqpError(406, `invalid expiration '${text}': it must be a whole number of milliseconds`);
  }
  return ttl;
}
