import { AmqpError } from "../../amqp/amqp_error.ts";
import { replyName } from "../../amqp/reply_codes.ts";
import type { Destination } from "../../crossing/stomp/destination.ts";
import { LimitError, messageOf, ProtocolError } from "../../errors.ts";
import { StompError } from "../../stomp/stomp_error.ts";

/** Maps any error to the content of an ERROR frame. All errors of the broker core become replies of STOMP here. */
export function replyFor(error: unknown): StompError {
  if (error instanceof StompError) return error;
  if (error instanceof AmqpError) {
    const name = replyName(error.replyCode).toLowerCase();
    return new StompError(name, error.replyText, { cause: error });
  }
  if (error instanceof LimitError) {
    return new StompError("Limit exceeded", `${error.message}\n`, { cause: error });
  }
  if (error instanceof ProtocolError) {
    return new StompError("Malformed frame", `${error.message}\n`, { cause: error });
  }
  return new StompError("internal_error", `The broker failed: ${messageOf(error)}\n`, { cause: error });
}

/** Quotes a text as RabbitMQ does in some errors. */
export function quote(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** The error for a destination that the command does not accept. */
export function notFor({ text }: Destination, command: string): StompError {
  return new StompError("Invalid destination", `'${text}' is not a valid destination for '${command}'\n`);
}
