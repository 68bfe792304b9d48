import { AmqpError, amqpError, type AmqpErrorScope } from "../../amqp/amqp_error.ts";
import { LimitError, messageOf } from "../../errors.ts";

/**
 * Maps any error to a reply: the contents of `connection.close` or `channel.close` after a method failed. All errors of
 * the broker core become replies of AMQP here.
 *
 * @param method id of the failed method, with the class in the upper 16 bits; 0 when there is none
 * @param scope what an error that is not an `AmqpError` closes
 */
export function replyFor(error: unknown, method: number, scope: AmqpErrorScope = "connection"): AmqpError {
  if (error instanceof AmqpError) {
    if (error.methodId !== 0 || method === 0) return error;
    return new AmqpError(error.replyCode, error.replyText, { method, scope: error.scope, cause: error });
  }
  // A reply does not fit the frames of the client, or a name is too long.
  if (error instanceof LimitError || error instanceof RangeError) {
    return amqpError(501, messageOf(error), { method, cause: error });
  }
  return amqpError(541, `the broker failed: ${messageOf(error)}`, { method, scope, cause: error });
}
