import { amqpError } from "../../../amqp/amqp_error.ts";
import { type FieldTable, integerOf } from "../../../amqp/types/field_value.ts";

/**
 * The exchange type `x-delayed-message` (https://github.com/rabbitmq/rabbitmq-delayed-message-exchange). A message with
 * the header `x-delay` waits for this number of milliseconds in an internal queue of the exchange. It is then routed by
 * the type in the argument `x-delayed-type`, and the value of its header `x-delay` is negated.
 */
export const DELAYED = "x-delayed-message";

/** The argument with the type that routes the messages. */
export const DELAYED_TYPE = "x-delayed-type";

/** Reads the routing type. @throws {AmqpError} 406: the argument is missing or not one of `types` */
export function delayedTypeOf(args: FieldTable, types: readonly string[]): string {
  const type = args[DELAYED_TYPE];
  if (typeof type === "string" && types.includes(type)) return type;
  throw amqpError(406, `Invalid argument, '${DELAYED_TYPE}' must be an existing exchange type`);
}

/** Returns the delay of a message in milliseconds; 0 for no delay. */
export function delayOf(headers: FieldTable): number {
  const delay = integerOf(headers["x-delay"]);
  return delay !== undefined && delay > 0 && Number.isSafeInteger(delay) ? delay : 0;
}
