/** The server side of mqcat's extension for dumps: see `lib/amqp/dump.ts`. */
import { amqpError } from "../../../amqp/amqp_error.ts";
import {
  decodeRestored,
  placeOf,
  positionOf,
  PROGRESS,
  type QueueSnapshot,
  SNAPSHOT,
  type Snapshot,
} from "../../../amqp/dump.ts";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import { PROPERTY, PropertyScan } from "../../../amqp/property_scan.ts";
import { type FieldTable, type FieldValue, integerOf } from "../../../amqp/types/field_value.ts";
import { MqcatError } from "../../../errors.ts";
import type { Filter } from "../../../filter/filter.ts";
import { checkTable } from "../../../amqp/types/table_check.ts";
import { definitionsOf } from "../../core/definitions/definitions.ts";
import { encodeMessage } from "../../core/message.ts";
import { hasMqttRecords } from "../../core/policies/own_queues.ts";
import { TURN_MS } from "../../core/queue/matches.ts";
import { StoredMessage } from "../../core/stored_message.ts";
import { UNACKED } from "../../core/queue/lane.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { Access } from "../../core/users/user_store.ts";
import type { ChannelContext } from "./contract.ts";
import type { ShownMessage } from "./peek.ts";

/** Makes one message of JSON with the queues that the user may read, and their definitions. */
export function* snapshotOf({ connection, host }: ChannelContext): Generator<ShownMessage, void> {
  const { vhost, access, user } = connection;
  const queues: QueueSnapshot[] = [];
  for (const { definition: { name, id, exclusive, direct }, lanes } of vhost.queues.values()) {
    if (exclusive || direct === true || hasMqttRecords(name) || !allows(access, name)) continue;
    queues.push({ name, id, to: lanes.map(({ nextSeq }) => nextSeq) });
  }
  const names = new Set(queues.map(({ name }) => name).filter((name) => !name.startsWith(PROGRESS)));
  const all = definitionsOf([vhost]);
  const tags = host.users.get(user)?.tags ?? [];
  const isPolicymaker = tags.includes("administrator") || tags.includes("policymaker");
  const definitions = {
    ...(isPolicymaker ? { parameters: all.parameters, policies: all.policies } : {}),
    queues: all.queues.filter(({ name }) => names.has(name)),
    exchanges: all.exchanges,
    bindings: all.bindings.filter((one) => one.destination_type === "exchange" || names.has(one.destination)),
  };
  const snapshot: Snapshot = { instance: host.instance, definitions, queues };
  const body = new TextEncoder().encode(JSON.stringify(snapshot));
  const address = { exchange: "", routingKey: SNAPSHOT };
  yield { message: encodeMessage(address, { contentType: "application/json" }, body), redelivered: false };
}

function allows(access: Access, name: string): boolean {
  try {
    access.check("read", "queue", name);
    return true;
  } catch {
    return false;
  }
}

/**
 * Reads the messages of a queue that match a filter, also unacknowledged ones, in the order of delivery. Messages that
 * cannot be tested, because their bodies are too large, are among them. Yields undefined at the end of a turn.
 *
 * @param range the argument `DUMP`
 * @throws {AmqpError} 406: the argument is invalid
 */
export function messagesIn(
  queue: Queue,
  range: FieldValue,
  filter: Filter | undefined,
  now: () => number,
): Iterator<ShownMessage | undefined> {
  const { id, from, to } = (range ?? {}) as FieldTable;
  const start = integerOf(from);
  const ends = Array.isArray(to) ? to.map(integerOf) : [];
  if (start === undefined || start < 0 || ends.includes(undefined)) {
    throw amqpError(406, "the argument for a dump needs 'id', 'from' and 'to'");
  }
  // Another queue of this name has none of the messages.
  if (integerOf(id) !== queue.definition.id) return [][Symbol.iterator]();
  return liveMessages(queue, start, ends as number[], filter, now);
}

function* liveMessages(
  queue: Queue,
  start: number,
  ends: readonly number[],
  filter: Filter | undefined,
  now: () => number,
): Generator<ShownMessage | undefined, void> {
  const { lanes } = queue;
  const stored = new StoredMessage();
  let turnEnd = performance.now() + TURN_MS;
  const first = placeOf(lanes.length, start);
  for (let at = first.lane; at >= 0; at--) {
    const lane = lanes[at]!;
    const end = ends[at] ?? 0;
    let seq = lane.nextLive(at === first.lane ? first.seq : 0);
    for (; seq >= 0 && seq < end && !queue.deleted; seq = lane.nextLive(seq + 1)) {
      const expiry = lane.expiryAt(seq);
      if (expiry > 0 && expiry <= now()) continue;
      const message = queue.messageAt(at, seq);
      if (message === undefined) continue;
      const redelivered = lane.isRedelivered(seq) || lane.stateAt(seq) === UNACKED;
      if (filter !== undefined && !isMatch(filter, stored.of(message, redelivered), now())) {
        if (performance.now() < turnEnd) continue;
        yield undefined;
        turnEnd = performance.now() + TURN_MS;
        continue;
      }
      yield { message, redelivered, tag: positionOf(lanes.length, at, seq) + 1 };
    }
  }
}

function isMatch(filter: Filter, message: StoredMessage, now: number): boolean {
  try {
    return filter.matches(message, now);
  } catch (error) {
    if (error instanceof MqcatError) return true;
    throw error;
  }
}

/**
 * Puts a message back into a queue, with its own exchange and routing key. The user needs the permissions to publish to
 * the exchange and to bind the queue to it.
 *
 * @param name of the queue
 * @param body contains the message
 * @returns the position of the journal that must be safe before the message is confirmed
 * @throws {AmqpError} 403: the user lacks a permission; 404: there is no such queue; 406: the queue is full
 */
export function restore(
  { connection, host, transaction }: ChannelContext,
  name: string,
  { body, bodyStart, bodyEnd }: EncodedMessage,
): number {
  if (transaction !== undefined) throw amqpError(540, "messages cannot be restored in a transaction");
  const { vhost, access, user } = connection;
  const { progress, exchange, routingKey, redelivered, message } = decodeRestored(body, bodyStart, bodyEnd);
  access.check("write", "exchange", exchange);
  access.checkTopic("write", vhost.exchanges, exchange, routingKey);
  access.check("write", "queue", name);
  const queue = vhost.queueFor(name, connection);
  const scan = new PropertyScan();
  scan.read(message.head, message.propertiesStart, message.propertiesEnd);
  if (scan.has(PROPERTY.headers)) {
    checkTable(message.head, scan.starts[PROPERTY.headers]!, scan.ends[PROPERTY.headers]!);
  }
  const author = scan.text(PROPERTY.userId);
  if (author !== undefined && author !== user && !mayImpersonate(host.users.get(user)?.tags)) {
    throw amqpError(403, `user_id is '${author}': user '${user}' needs the tag 'impersonator' to restore it`);
  }
  if (progress !== "") access.check("write", "queue", progress);
  const other = progress === "" ? undefined : vhost.queueFor(progress, connection);
  if (!host.intake.restore(queue, message, scan, redelivered, other)) {
    throw amqpError(406, `queue '${name}' in vhost '${vhost.name}' is full`);
  }
  return host.intake.position;
}

/** RabbitMQ's tag for users who may publish with the name of another user. */
function mayImpersonate(tags: readonly string[] = []): boolean {
  return tags.includes("impersonator") || tags.includes("administrator");
}
