/** The checks of declared queues and exchanges, with RabbitMQ's errors. */
import { amqpError } from "../../../amqp/amqp_error.ts";
import type { MethodArgs } from "../../../amqp/method_args.ts";
import type { FieldTable } from "../../../amqp/types/field_value.ts";
import { checkSame, checkSameArguments, typeName } from "../arguments.ts";
import { DELAYED_TYPE } from "../exchange/delayed.ts";
import type { ExchangeDefinition, QueueDefinition } from "./definition_change.ts";

/** The arguments of `queue.declare`. */
export type QueueDeclaration = Omit<MethodArgs<"queue.declare">, "noWait">;
/** The arguments of `exchange.declare`. */
export type ExchangeDeclaration = Omit<MethodArgs<"exchange.declare">, "noWait">;

/** The arguments that a second declaration of a queue must repeat, by queue type. */
const COMMON_ARGUMENTS = [
  "x-expires",
  "x-message-ttl",
  "x-dead-letter-exchange",
  "x-dead-letter-routing-key",
  "x-max-length",
  "x-max-length-bytes",
  "x-overflow",
  "x-single-active-consumer",
  "x-queue-type",
];
const CLASSIC_ARGUMENTS = [...COMMON_ARGUMENTS, "x-max-priority", "x-queue-mode", "x-queue-version"];
const QUORUM_ARGUMENTS = [...COMMON_ARGUMENTS, "x-dead-letter-strategy", "x-delivery-limit"];

/**
 * Adds the default type to a declaration without a type, if the properties are possible for that type.
 *
 * @param type the default queue type of the virtual host
 */
export function withDefaultType(declared: QueueDeclaration, type: string | undefined): QueueDeclaration {
  if (type === undefined || declared.arguments["x-queue-type"] !== undefined) return declared;
  const { queue, durable, exclusive, autoDelete } = declared;
  if (type === "quorum" && (queue === "" || !durable || exclusive || autoDelete)) return declared;
  return { ...declared, arguments: { ...declared.arguments, "x-queue-type": type } };
}

/** Checks the name of a declared queue. @throws {AmqpError} 403: it is reserved; 406: the type needs a name */
export function checkQueueName(declared: QueueDeclaration, name: string): void {
  if (declared.queue !== "") return refuseReserved("queue", name);
  if (isQuorum(declared)) {
    throw amqpError(406, "Cannot declare a server-named queue for type rabbit_quorum_queue");
  }
}

/**
 * Checks the second declaration of a queue.
 *
 * @param durable whether the declared queue is durable in effect
 * @param what the name of the queue in errors
 * @throws {AmqpError} 406: it differs from the first
 */
export function checkSameQueue(
  known: QueueDefinition,
  declared: QueueDeclaration,
  durable: boolean,
  what: string,
): void {
  checkSame(known.durable, durable, what, "durable");
  checkSame(known.autoDelete, declared.autoDelete, what, "auto_delete");
  const names = isQuorum(known) ? QUORUM_ARGUMENTS : CLASSIC_ARGUMENTS;
  checkSameArguments(known.arguments, declared.arguments, what, names);
}

/**
 * Checks the first declaration of a queue.
 *
 * @param durable whether the declared queue is durable in effect
 * @param what the name of the queue in errors
 * @throws {AmqpError} 406: an argument has the wrong type, or a property is not possible for the type of the queue
 */
export function checkNewQueue(declared: QueueDeclaration, durable: boolean, what: string): void {
  checkExchangeArgument(declared.arguments, "x-dead-letter-exchange", what);
  const { autoDelete, exclusive } = declared;
  if (isQuorum(declared) && (autoDelete || exclusive || !durable)) {
    const property = autoDelete ? "auto-delete" : exclusive ? "exclusive-owner" : "non-durable";
    throw amqpError(406, `invalid property '${property}' for ${what}`);
  }
}

/** Checks the second declaration of an exchange. @throws {AmqpError} 406: it differs from the first */
export function checkSameExchange(
  known: ExchangeDefinition,
  declared: ExchangeDeclaration,
  what: string,
): void {
  checkSame(known.type, declared.type, what, "type");
  checkSame(known.durable, declared.durable, what, "durable");
  checkSame(known.autoDelete, declared.autoDelete, what, "auto_delete");
  checkSame(known.internal, declared.internal, what, "internal");
  checkSameArguments(known.arguments, declared.arguments, what, [DELAYED_TYPE, "alternate-exchange"]);
}

/**
 * Checks the first declaration of an exchange.
 *
 * @throws {AmqpError} 403: the name is reserved; 406: an argument has the wrong type
 */
export function checkNewExchange(declared: ExchangeDeclaration, what: string): void {
  refuseReserved("exchange", declared.exchange);
  checkExchangeArgument(declared.arguments, "alternate-exchange", what);
}

/** Refuses an operation on the default exchange. @throws {AmqpError} 403 */
export function refuseDefault(exchange: string): void {
  if (exchange === "") throw amqpError(403, "operation not permitted on the default exchange");
}

/** Returns the error for a queue that belongs to another connection. */
export function lockedError(what: string): Error {
  return amqpError(
    405,
    `cannot obtain exclusive access to locked ${what}. It could be originally declared on another connection or ` +
      "the exclusive property value does not match that of the original declaration.",
  );
}

function isQuorum(declared: { readonly arguments: FieldTable }): boolean {
  return declared.arguments["x-queue-type"] === "quorum";
}

function refuseReserved(kind: "queue" | "exchange", name: string): void {
  if (name.startsWith("amq.")) {
    throw amqpError(403, `${kind} name '${name}' contains reserved prefix 'amq.*'`);
  }
}

/** Checks an argument that is the name of an exchange. */
function checkExchangeArgument(args: FieldTable, name: string, what: string): void {
  const value = args[name];
  if (value === undefined || typeof value === "string") return;
  throw amqpError(406, `invalid type '${typeName(value)}' for arg '${name}' in ${what}`);
}
