import { amqpError } from "../../../amqp/amqp_error.ts";
import type { Method, MethodArgs } from "../../../amqp/method_args.ts";
import { methodId } from "../../../amqp/method_codec.ts";
import { type FieldTable, integerOf } from "../../../amqp/types/field_value.ts";
import type { Access } from "../../core/users/permissions.ts";
import { QueueConsumer } from "../../core/queue/consumer.ts";
import * as operations from "../../core/clients/operations.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { countedRow } from "../../core/queue/queue_row.ts";
import { Sweep, type SweepAction } from "../../core/queue/sweep.ts";
import { randomName } from "../../core/clients/names.ts";
import { Confirms } from "./confirms.ts";
import { type Consuming, filterOf } from "./consuming.ts";
import type { ChannelContext } from "./contract.ts";
import { REPLY_TO } from "../../core/clients/direct_reply.ts";
import { DUMP, SNAPSHOT } from "../../../amqp/dump.ts";
import {
  COUNTED,
  PEEK,
  PEEK_EXCHANGES,
  PEEK_NODE,
  PEEK_QUEUES,
  SWEEP,
  SWEEP_LIMIT,
  SWEEP_TO,
} from "../../../amqp/peek.ts";
import { messagesIn, snapshotOf } from "./dump.ts";
import { countsOf, descriptionsOf, messagesOf, Peek, type ShownMessage } from "./peek.ts";
import { SweepJob } from "./sweep.ts";
import type { Publishing } from "./publishing.ts";
import { Transaction } from "./transaction.ts";

/** What the methods of a channel work on. */
export interface MethodChannel extends ChannelContext {
  readonly publishing: Publishing;
  readonly consuming: Consuming;
  /** The transaction, once `tx.select` was called. */
  transaction: Transaction | undefined;
  /** The queue that was last declared; an empty name stands for it (AMQP 0-9-1 reference, queue.declare). */
  lastQueue: string | undefined;
  /** The name of the queue that a method refers to. @throws {AmqpError} 404: the name is empty, and no queue was declared */
  queueName(given: string): string;
  /** `channel.close`. */
  close(): void;
}

/**
 * Handles all methods of a channel but publishes and acknowledgements, and answers them unless `noWait` is set.
 *
 * @throws {AmqpError} the method failed; the client gets the error
 */
export function handle(channel: MethodChannel, method: Method): void {
  switch (method.name) {
    case "channel.close":
      return channel.close();
    case "channel.open":
      throw amqpError(504, "second 'channel.open' seen");
    case "channel.flow":
      if (!method.args.active) throw amqpError(540, "active=false");
      return channel.send("channel.flow-ok", { active: true });
    case "access.request":
      return channel.send("access.request-ok", { ticket: 1 });
    case "exchange.declare":
      return declareExchange(channel, { ...method.args, exchange: withoutLineBreaks(method.args.exchange) });
    case "exchange.delete":
      return deleteExchange(channel, { ...method.args, exchange: withoutLineBreaks(method.args.exchange) });
    case "exchange.bind":
    case "exchange.unbind":
      return bindExchange(channel, method.name, {
        ...method.args,
        source: withoutLineBreaks(method.args.source),
        destination: withoutLineBreaks(method.args.destination),
      });
    case "queue.declare":
      return declareQueue(channel, { ...method.args, queue: withoutLineBreaks(method.args.queue) });
    case "queue.bind":
    case "queue.unbind":
      return bindQueue(channel, method);
    case "queue.purge":
      return purge(channel, method.args);
    case "queue.delete":
      return deleteQueue(channel, { ...method.args, queue: withoutLineBreaks(method.args.queue) });
    case "basic.qos":
      return qos(channel, method.args);
    case "basic.consume":
      return consume(channel, method.args);
    case "basic.cancel":
      return cancel(channel, method.args);
    case "basic.get":
      return get(channel, method.args);
    case "basic.recover":
    case "basic.recover-async":
      return recover(channel, method.args.requeue, method.name === "basic.recover");
    case "confirm.select":
      return selectConfirms(channel, method.args);
    case "tx.select":
      return selectTransactions(channel);
    case "tx.commit":
      return commit(channel);
    case "tx.rollback":
      transactionOf(channel).rollback();
      return channel.send("tx.rollback-ok", {});
    default:
      throw amqpError(503, "unimplemented method", { method: methodId(method.name) });
  }
}

/** Removes CR and LF from a name that is declared, deleted or bound, as RabbitMQ does; other methods keep them. */
function withoutLineBreaks(name: string): string {
  return /[\r\n]/.test(name) ? name.replace(/[\r\n]/g, "") : name;
}

function declareExchange(channel: MethodChannel, args: MethodArgs<"exchange.declare">): void {
  const { vhost, access } = channel.connection;
  if (!args.passive) {
    access.check("configure", "exchange", args.exchange);
    const alternate = args.arguments["alternate-exchange"];
    if (typeof alternate === "string" && !vhost.exchanges.has(args.exchange)) {
      access.check("read", "exchange", args.exchange);
      access.check("write", "exchange", alternate);
    }
  }
  vhost.declareExchange(args);
  if (!args.noWait) channel.send("exchange.declare-ok", {});
}

function deleteExchange(channel: MethodChannel, args: MethodArgs<"exchange.delete">): void {
  channel.connection.access.check("configure", "exchange", args.exchange);
  channel.connection.vhost.deleteExchange(args);
  if (!args.noWait) channel.send("exchange.delete-ok", {});
}

function bindExchange(
  channel: MethodChannel,
  name: "exchange.bind" | "exchange.unbind",
  args: MethodArgs<"exchange.bind">,
): void {
  const { vhost, access } = channel.connection;
  access.check("write", "exchange", args.destination);
  access.check("read", "exchange", args.source);
  access.checkTopic("read", vhost.exchanges, args.source, args.routingKey);
  if (name === "exchange.bind") vhost.bindExchange(args);
  else vhost.unbindExchange(args);
  if (!args.noWait) channel.send(`${name}-ok`, {});
}

function declareQueue(channel: MethodChannel, args: MethodArgs<"queue.declare">): void {
  const { connection } = channel;
  const { vhost } = connection;
  let queue: Queue;
  if (args.passive) {
    // A server can find out in this way whether a client still waits for its reply.
    if (channel.host.directReplies.isQueue(args.queue, vhost)) return declareReplies(channel, args);
    queue = vhost.declareQueue(args, connection);
  } else {
    queue = operations.declareQueue(connection, args);
  }
  queue.touch();
  queue.catchUp();
  channel.lastQueue = queue.name;
  if (args.noWait) return;
  channel.send("queue.declare-ok", {
    queue: queue.name,
    messageCount: queue.ready,
    consumerCount: queue.consumers.size,
  });
}

function declareReplies(channel: MethodChannel, { queue, noWait }: MethodArgs<"queue.declare">): void {
  if (!noWait) channel.send("queue.declare-ok", { queue, messageCount: 0, consumerCount: 1 });
}

function bindQueue(
  channel: MethodChannel,
  { name, args }: Extract<Method, { name: "queue.bind" | "queue.unbind" }>,
): void {
  const { connection } = channel;
  const { vhost } = connection;
  const queue = channel.queueName(withoutLineBreaks(args.queue));
  const exchange = withoutLineBreaks(args.exchange);
  // Both empty: the queue that was last declared, with its name as the key (AMQP 0-9-1 reference, queue.bind).
  const routingKey = args.queue === "" && args.routingKey === "" ? queue : args.routingKey;
  if (name === "queue.bind") operations.bindQueue(connection, { ...args, queue, exchange, routingKey });
  else {
    operations.checkBinding(connection, { queue, exchange, routingKey });
    vhost.unbindQueue({ ...args, queue, exchange, routingKey: args.routingKey }, connection);
  }
  if (!("noWait" in args && args.noWait)) channel.send(`${name}-ok`, {});
}

function purge(channel: MethodChannel, args: MethodArgs<"queue.purge">): void {
  const name = channel.queueName(args.queue);
  channel.connection.access.check("read", "queue", name);
  const messageCount = channel.connection.vhost.queueFor(name, channel.connection).purge();
  if (!args.noWait) channel.send("queue.purge-ok", { messageCount });
}

function deleteQueue(channel: MethodChannel, args: MethodArgs<"queue.delete">): void {
  const { connection } = channel;
  const name = channel.queueName(args.queue);
  connection.access.check("configure", "queue", name);
  connection.vhost.deleteQueue({ ...args, queue: name }, connection, (messageCount) => {
    if (!args.noWait) channel.send("queue.delete-ok", { messageCount });
  });
}

function qos(channel: MethodChannel, { prefetchSize, prefetchCount, global }: MethodArgs<"basic.qos">): void {
  if (prefetchSize > 0) throw amqpError(540, `prefetch_size!=0 (${prefetchSize})`);
  const { consuming } = channel;
  // Each of the two limits replaces the other, as in RabbitMQ.
  consuming.globalPrefetch = global ? prefetchCount : 0;
  if (!global) consuming.prefetch = prefetchCount;
  channel.send("basic.qos-ok", {});
  consuming.wakeQueues();
}

function consume(channel: MethodChannel, args: MethodArgs<"basic.consume">): void {
  const { connection, consuming } = channel;
  if (args.queue === REPLY_TO) return consumeReplies(channel, args);
  consuming.checkTag(args.consumerTag);
  if (PEEK in args.arguments) return peek(channel, args);
  if (DUMP in args.arguments) return dump(channel, args);
  if (SWEEP in args.arguments) return sweep(channel, args);
  const name = channel.queueName(args.queue);
  connection.access.check("read", "queue", name);
  const queue = connection.vhost.queueFor(name, connection);
  const consumer: QueueConsumer = consuming.consume(queue, args);
  if (!args.noWait) channel.send("basic.consume-ok", { consumerTag: consumer.options.tag });
  queue.addConsumer(consumer);
}

/** `basic.consume` with the argument of the peek extension. */
function peek(channel: MethodChannel, args: MethodArgs<"basic.consume">): void {
  const { access, vhost } = channel.connection;
  const { cycle } = channel.host;
  const count = integerOf(args.arguments[PEEK]);
  if (count === undefined || count < 0) {
    throw amqpError(406, `invalid arg '${PEEK}': it must be a number of messages`);
  }
  const consumerTag = args.consumerTag || `amq.ctag-${randomName()}`;
  let shown;
  if (args.queue === PEEK_QUEUES) {
    const queues = [...vhost.queues.values()].filter(({ name }) => may(access, "read", "queue", name));
    shown = args.arguments[COUNTED] === true
      ? countsOf(queues)
      : descriptionsOf(queues.map((queue) => countedRow(queue, channel.host.node)));
  } else if (args.queue === PEEK_EXCHANGES) {
    const exchanges = [...vhost.exchanges.values()].filter(({ name }) =>
      may(access, "write", "exchange", name)
    );
    shown = descriptionsOf(exchanges.map(({ name, definition: { type } }) => ({ name, type })));
  } else if (args.queue === PEEK_NODE) {
    const { node, blocked = null } = channel.host;
    shown = descriptionsOf([{ name: node, running: true, blocked }]);
  } else {
    const name = channel.queueName(args.queue);
    access.check("read", "queue", name);
    const queue = vhost.queueFor(name, channel.connection);
    shown = messagesOf(queue, count, filterOf(args.arguments), () => cycle.now);
  }
  show(channel, consumerTag, shown);
}

/** `basic.consume` with the argument of the extension for dumps. */
function dump(channel: MethodChannel, args: MethodArgs<"basic.consume">): void {
  const { connection, host: { cycle } } = channel;
  const consumerTag = args.consumerTag || `amq.ctag-${randomName()}`;
  if (args.queue === SNAPSHOT) return show(channel, consumerTag, snapshotOf(channel));
  connection.access.check("read", "queue", args.queue);
  const queue = connection.vhost.queueFor(args.queue, connection);
  show(
    channel,
    consumerTag,
    messagesIn(queue, args.arguments[DUMP]!, filterOf(args.arguments), () => cycle.now),
  );
}

function show(
  channel: MethodChannel,
  consumerTag: string,
  messages: Iterator<ShownMessage | undefined>,
): void {
  channel.send("basic.consume-ok", { consumerTag });
  channel.consuming.start(new Peek(channel, channel.consuming.deliveries, consumerTag, messages));
}

/** `basic.consume` with the argument of the sweep extension. */
function sweep(channel: MethodChannel, args: MethodArgs<"basic.consume">): void {
  const { access, vhost } = channel.connection;
  const name = channel.queueName(args.queue);
  access.check("read", "queue", name);
  const queue = vhost.queueFor(name, channel.connection);
  const action = sweepAction(channel, queue, args.arguments);
  const limit = integerOf(args.arguments[SWEEP_LIMIT]) ?? Infinity;
  const work = new Sweep(channel.host, queue, action, filterOf(args.arguments), limit);
  const consumerTag = args.consumerTag || `amq.ctag-${randomName()}`;
  channel.send("basic.consume-ok", { consumerTag });
  channel.consuming.start(new SweepJob(channel, channel.consuming.deliveries, consumerTag, work));
}

/** @throws {AmqpError} 403, 404: the target queue cannot be used; 406: the arguments are invalid */
function sweepAction({ connection }: MethodChannel, queue: Queue, args: FieldTable): SweepAction {
  const type = args[SWEEP];
  if (type === "count" || type === "delete") return { type };
  const to = args[SWEEP_TO];
  const isRedrive = type === "redrive";
  if (!isRedrive && type !== "move" || typeof to !== "string" && (!isRedrive || to !== undefined)) {
    throw amqpError(
      406,
      `invalid arg '${SWEEP}': it must be count, delete, redrive, or move with '${SWEEP_TO}'`,
    );
  }
  // As for a publish to the queue.
  connection.access.check("write", "exchange", "");
  if (to === undefined) {
    const { queues } = connection.vhost;
    const find = (name: string) => {
      const found = queues.get(name);
      return found === queue || found?.definition.direct ? undefined : found;
    };
    return { type: "redrive", to, find };
  }
  const target = connection.vhost.queueFor(to, connection);
  if (target.definition.direct) {
    throw amqpError(406, `invalid arg '${SWEEP_TO}': '${to}' passes messages on and holds none`);
  }
  if (target === queue) throw amqpError(406, `invalid arg '${SWEEP_TO}': it is the queue itself`);
  return isRedrive ? { type, to, find: () => target.deleted ? undefined : target } : { type, to: target };
}

function may(access: Access, ...asked: Parameters<Access["check"]>): boolean {
  try {
    access.check(...asked);
    return true;
  } catch {
    return false;
  }
}

/** Direct reply-to: a consumer of the pseudo-queue. */
function consumeReplies(channel: MethodChannel, args: MethodArgs<"basic.consume">): void {
  const { directReplies } = channel.host;
  if (!args.noAck) throw amqpError(406, "reply consumer cannot acknowledge");
  if (directReplies.addressOf(channel.consuming) !== undefined) {
    throw amqpError(406, "reply consumer already set");
  }
  const consumerTag = args.consumerTag || `amq.ctag-${randomName()}`;
  directReplies.open(channel.consuming, consumerTag, channel.connection.vhost);
  if (!args.noWait) channel.send("basic.consume-ok", { consumerTag });
}

function cancel(channel: MethodChannel, { consumerTag, noWait }: MethodArgs<"basic.cancel">): void {
  const { directReplies } = channel.host;
  if (directReplies.consumerOf(channel.consuming) === consumerTag) directReplies.close(channel.consuming);
  else channel.consuming.cancel(consumerTag);
  if (!noWait) channel.send("basic.cancel-ok", { consumerTag });
}

function get(channel: MethodChannel, args: MethodArgs<"basic.get">): void {
  const name = channel.queueName(args.queue);
  channel.connection.access.check("read", "queue", name);
  channel.consuming.get(channel.connection.vhost.queueFor(name, channel.connection), args.noAck);
}

function recover(channel: MethodChannel, requeue: boolean, answer: boolean): void {
  // Redelivery to the same consumer: RabbitMQ does not support it, either (RabbitMQ, specification.html).
  if (!requeue) throw amqpError(540, "requeue=false");
  channel.consuming.recover();
  if (answer) channel.send("basic.recover-ok", {});
}

function selectConfirms(channel: MethodChannel, { noWait }: MethodArgs<"confirm.select">): void {
  if (channel.transaction !== undefined) throw amqpError(406, "cannot switch from tx to confirm mode");
  channel.publishing.confirms ??= new Confirms();
  if (!noWait) channel.send("confirm.select-ok", {});
}

function selectTransactions(channel: MethodChannel): void {
  if (channel.publishing.confirms !== undefined) {
    throw amqpError(406, "cannot switch from confirm to tx mode");
  }
  channel.transaction ??= new Transaction(channel);
  channel.send("tx.select-ok", {});
}

function commit(channel: MethodChannel): void {
  const complete = transactionOf(channel).commit();
  channel.host.cycle.syncThisCycle();
  if (!complete) throw amqpError(406, "partial tx completion");
  channel.publishing.committed();
}

function transactionOf({ transaction }: MethodChannel): Transaction {
  if (transaction === undefined) throw amqpError(406, "channel is not transactional");
  return transaction;
}
