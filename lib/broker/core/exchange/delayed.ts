import { amqpError } from "../../../amqp/amqp_error.ts";
import { type FieldTable, integerOf } from "../../../amqp/types/field_value.ts";

/**
 * Type `x-delayed-message` (https://github.com/rabbitmq/rabbitmq-delayed-message-exchange): a message with the header
 * `x-delay` waits for that many milliseconds in a queue of the exchange's own, and is then routed as by the type in the
 * argument `x-delayed-type`. What has waited has the header with its sign turned.
 */
export const DELAYED = "x-delayed-message";

/** The argument with the type that routes. */
export const DELAYED_TYPE = "x-delayed-type";

/** @throws {AmqpError} 406: the argument is missing, or is none of the types */
export function delayedTypeOf(args: FieldTable, types: readonly string[]): string {
  const type = args[DELAYED_TYPE];
  if (typeof type === "string" && types.includes(type)) return type;
  throw amqpError(406, `Invalid argument, '${DELAYED_TYPE}' must be an existing exchange type`);
}

/** How long a message is to wait, in milliseconds; 0 when it is not. */
export function delayOf(headers: FieldTable): number {
  const delay = integerOf(headers["x-delay"]);
  return delay !== undefined && delay > 0 && Number.isSafeInteger(delay) ? delay : 0;
}
