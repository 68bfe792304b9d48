import { isFinal } from "../../errors.ts";
import { StompError } from "../stomp_error.ts";

/** The summaries of temporary errors: closed by an operator, out of resources, internal error (AMQP 320, 506, 541). */
const TEMPORARY: readonly string[] = ["connection_forced", "resource_error", "internal_error"];

/** A queue refused a message, and the broker closed the connection: other messages can follow on the next one. */
export const REFUSED_MESSAGE = "Message refused";

/** Whether an error is permanent: the server would report it again after a reconnect. */
export function isPermanent(error: unknown): boolean {
  if (!(error instanceof StompError)) return isFinal(error);
  const { summary, details } = error;
  if (summary === REFUSED_MESSAGE || TEMPORARY.includes(summary)) return false;
  // RabbitMQ, when an operator or its end closes the connection; the details are an Erlang term.
  return !/^AMQP (?:channel|connection) died/.test(summary) ||
    /server_initiated_close,(?!320|506|541)\d/.test(details);
}
