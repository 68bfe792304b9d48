import { amqpError } from "../../../amqp/amqp_error.ts";
import type { Method, MethodArgs } from "../../../amqp/method_args.ts";
import { methodId } from "../../../amqp/method_codec.ts";
import { integerOf } from "../../../amqp/types/field_value.ts";
import type { Access } from "../../core/users/permissions.ts";
import { QueueConsumer } from "../../core/queue/consumer.ts";
import type { Queue } from "../../core/queue/queue.ts";
import type { ServerChannel } from "./channel.ts";
import { Confirms } from "./confirms.ts";
import { randomName } from "./consuming.ts";
import { REPLY_TO } from "./direct_reply.ts";
import { PEEK, PEEK_QUEUES } from "../../../amqp/peek.ts";
import { factsOf, messagesOf, Peek } from "./peek.ts";
import { Transaction } from "./transaction.ts";

/**
 * Handles a method of a channel that is not on a fast path, and answers it unless `noWait` is set.
 *
 * @throws {AmqpError} what the client is to be told
 */
export function handle(channel: ServerChannel, method: Method): void {
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
      return declareExchange(channel, method.args);
    case "exchange.delete":
      return deleteExchange(channel, method.args);
    case "exchange.bind":
    case "exchange.unbind":
      return bindExchange(channel, method.name, method.args);
    case "queue.declare":
      return declareQueue(channel, method.args);
    case "queue.bind":
    case "queue.unbind":
      return bindQueue(channel, method);
    case "queue.purge":
      return purge(channel, method.args);
    case "queue.delete":
      return deleteQueue(channel, method.args);
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

function declareExchange(channel: ServerChannel, args: MethodArgs<"exchange.declare">): void {
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

function deleteExchange(channel: ServerChannel, args: MethodArgs<"exchange.delete">): void {
  channel.connection.access.check("configure", "exchange", args.exchange);
  channel.connection.vhost.deleteExchange(args);
  if (!args.noWait) channel.send("exchange.delete-ok", {});
}

function bindExchange(
  channel: ServerChannel,
  name: "exchange.bind" | "exchange.unbind",
  args: MethodArgs<"exchange.bind">,
): void {
  const { vhost, access } = channel.connection;
  access.check("write", "exchange", args.destination);
  access.check("read", "exchange", args.source);
  if (name === "exchange.bind") vhost.bindExchange(args);
  else vhost.unbindExchange(args);
  if (!args.noWait) channel.send(`${name}-ok`, {});
}

function declareQueue(channel: ServerChannel, args: MethodArgs<"queue.declare">): void {
  const { connection } = channel;
  const { vhost, access } = connection;
  let queue: Queue;
  if (args.passive) {
    // A server that is asked can see so whether the client still waits for its reply.
    if (connection.broker.directReplies.isQueue(args.queue)) return declareReplies(channel, args);
    queue = vhost.declareQueue(args, connection);
  } else {
    const chosen = args.queue === "" ? `amq.gen-${randomName()}` : args.queue;
    access.check("configure", "queue", chosen);
    const exchange = args.arguments["x-dead-letter-exchange"];
    if (typeof exchange === "string" && !vhost.queues.has(chosen)) {
      access.check("read", "queue", chosen);
      access.check("write", "exchange", exchange);
    }
    queue = vhost.declareQueue(args, connection, chosen);
    if (queue.definition.exclusive) connection.exclusiveQueues.add(queue);
  }
  queue.touch();
  channel.lastQueue = queue.name;
  if (args.noWait) return;
  channel.send("queue.declare-ok", {
    queue: queue.name,
    messageCount: queue.ready,
    consumerCount: queue.consumers.size,
  });
}

function declareReplies(channel: ServerChannel, { queue, noWait }: MethodArgs<"queue.declare">): void {
  if (!noWait) channel.send("queue.declare-ok", { queue, messageCount: 0, consumerCount: 1 });
}

function bindQueue(
  channel: ServerChannel,
  { name, args }: Extract<Method, { name: "queue.bind" | "queue.unbind" }>,
): void {
  const { connection } = channel;
  const { vhost, access } = connection;
  const queue = channel.queueName(args.queue);
  // Both empty: the queue that was declared last, under its own name (AMQP 0-9-1 reference, queue.bind).
  const routingKey = args.queue === "" && args.routingKey === "" ? queue : args.routingKey;
  access.check("write", "queue", queue);
  access.check("read", "exchange", args.exchange);
  if (name === "queue.bind") vhost.bindQueue({ ...args, queue, routingKey }, connection);
  else vhost.unbindQueue({ ...args, queue, routingKey: args.routingKey }, connection);
  if (!("noWait" in args && args.noWait)) channel.send(`${name}-ok`, {});
}

function purge(channel: ServerChannel, args: MethodArgs<"queue.purge">): void {
  const name = channel.queueName(args.queue);
  channel.connection.access.check("read", "queue", name);
  const messageCount = channel.connection.vhost.queueFor(name, channel.connection).purge();
  if (!args.noWait) channel.send("queue.purge-ok", { messageCount });
}

function deleteQueue(channel: ServerChannel, args: MethodArgs<"queue.delete">): void {
  const { connection } = channel;
  const name = channel.queueName(args.queue);
  connection.access.check("configure", "queue", name);
  connection.vhost.deleteQueue({ ...args, queue: name }, connection, (messageCount) => {
    if (!args.noWait) channel.send("queue.delete-ok", { messageCount });
  });
}

function qos(channel: ServerChannel, { prefetchSize, prefetchCount, global }: MethodArgs<"basic.qos">): void {
  if (prefetchSize > 0) throw amqpError(540, `prefetch_size!=0 (${prefetchSize})`);
  const { consuming } = channel;
  // Asking for the one ends the other, as in RabbitMQ.
  consuming.globalPrefetch = global ? prefetchCount : 0;
  if (!global) consuming.prefetch = prefetchCount;
  channel.send("basic.qos-ok", {});
  consuming.wakeQueues();
}

function consume(channel: ServerChannel, args: MethodArgs<"basic.consume">): void {
  const { connection, consuming } = channel;
  if (args.queue === REPLY_TO) return consumeReplies(channel, args);
  consuming.checkTag(args.consumerTag);
  if (PEEK in args.arguments) return peek(channel, args);
  const name = channel.queueName(args.queue);
  connection.access.check("read", "queue", name);
  const queue = connection.vhost.queueFor(name, connection);
  const consumer: QueueConsumer = consuming.consume(queue, args);
  if (!args.noWait) channel.send("basic.consume-ok", { consumerTag: consumer.options.tag });
  queue.addConsumer(consumer);
}

/** A consumer that only looks. */
function peek(channel: ServerChannel, args: MethodArgs<"basic.consume">): void {
  const { access, vhost, broker } = channel.connection;
  const count = integerOf(args.arguments[PEEK]);
  if (count === undefined || count < 0) {
    throw amqpError(406, `invalid arg '${PEEK}': it must be a number of messages`);
  }
  const consumerTag = args.consumerTag || `amq.ctag-${randomName()}`;
  let shown;
  if (args.queue === PEEK_QUEUES) {
    shown = factsOf([...vhost.queues.values()].filter((queue) => mayRead(access, queue)));
  } else {
    const name = channel.queueName(args.queue);
    access.check("read", "queue", name);
    shown = messagesOf(vhost.queueFor(name, channel.connection), count, () => broker.now);
  }
  channel.send("basic.consume-ok", { consumerTag });
  channel.consuming.peek(new Peek(channel, consumerTag, shown));
}

function mayRead(access: Access, { name }: Queue): boolean {
  try {
    access.check("read", "queue", name);
    return true;
  } catch {
    return false;
  }
}

/** Direct reply-to: a consumer of a queue that is none. */
function consumeReplies(channel: ServerChannel, args: MethodArgs<"basic.consume">): void {
  const { directReplies } = channel.connection.broker;
  if (!args.noAck) throw amqpError(406, "reply consumer cannot acknowledge");
  if (directReplies.addressOf(channel) !== undefined) throw amqpError(406, "reply consumer already set");
  const consumerTag = args.consumerTag || `amq.ctag-${randomName()}`;
  directReplies.open(channel, consumerTag);
  if (!args.noWait) channel.send("basic.consume-ok", { consumerTag });
}

function cancel(channel: ServerChannel, { consumerTag, noWait }: MethodArgs<"basic.cancel">): void {
  const { directReplies } = channel.connection.broker;
  if (directReplies.consumerOf(channel) === consumerTag) directReplies.close(channel);
  else channel.consuming.cancel(consumerTag);
  if (!noWait) channel.send("basic.cancel-ok", { consumerTag });
}

function get(channel: ServerChannel, args: MethodArgs<"basic.get">): void {
  const name = channel.queueName(args.queue);
  channel.connection.access.check("read", "queue", name);
  channel.consuming.get(channel.connection.vhost.queueFor(name, channel.connection), args.noAck);
}

function recover(channel: ServerChannel, requeue: boolean, answer: boolean): void {
  // To the same consumer, without a place in the queue: no server has that (RabbitMQ, specification.html).
  if (!requeue) throw amqpError(540, "requeue=false");
  channel.consuming.recover();
  if (answer) channel.send("basic.recover-ok", {});
}

function selectConfirms(channel: ServerChannel, { noWait }: MethodArgs<"confirm.select">): void {
  if (channel.transaction !== undefined) throw amqpError(406, "cannot switch from tx to confirm mode");
  channel.publishing.confirms ??= new Confirms();
  if (!noWait) channel.send("confirm.select-ok", {});
}

function selectTransactions(channel: ServerChannel): void {
  if (channel.publishing.confirms !== undefined) {
    throw amqpError(406, "cannot switch from confirm to tx mode");
  }
  channel.transaction ??= new Transaction(channel);
  channel.send("tx.select-ok", {});
}

function commit(channel: ServerChannel): void {
  const complete = transactionOf(channel).commit();
  channel.connection.broker.syncThisTurn();
  if (!complete) throw amqpError(406, "partial tx completion");
  channel.publishing.committed();
}

function transactionOf({ transaction }: ServerChannel): Transaction {
  if (transaction === undefined) throw amqpError(406, "channel is not transactional");
  return transaction;
}
