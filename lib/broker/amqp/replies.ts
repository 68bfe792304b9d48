import { AmqpError, amqpError, type AmqpErrorScope } from "../../amqp/amqp_error.ts";
import { LimitError, messageOf } from "../../errors.ts";

/**
 * The one place where errors become replies: what to put into `connection.close` or `channel.close` for anything that
 * was thrown while a method was handled.
 *
 * @param method id of the method that was handled, class in the upper 16 bits; 0 when there was none
 * @param scope what the error ends, when it is no error of the protocol
 */
export function replyFor(error: unknown, method: number, scope: AmqpErrorScope = "connection"): AmqpError {
  if (error instanceof AmqpError) {
    if (error.methodId !== 0 || method === 0) return error;
    return new AmqpError(error.replyCode, error.replyText, { method, scope: error.scope, cause: error });
  }
  // What we would send does not fit the frames or the names that the client can take.
  if (error instanceof LimitError || error instanceof RangeError) {
    return amqpError(501, messageOf(error), { method, cause: error });
  }
  return amqpError(541, `the broker failed: ${messageOf(error)}`, { method, scope, cause: error });
}
