import { isFinal, MqcatError } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";

/** The server does not let us in: wrong credentials, or a virtual host that is missing or closed to us. Never retried. */
export class RefusedError extends MqcatError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AUTH", message, options);
  }
}

/** Reply codes of a connection that another try may not get again: closed by an operator, out of resources, a bug. */
const PASSING: readonly number[] = [320, 506, 541];

/** Whether a link that failed with this is not worth another try: the server would answer the same again. */
export function endsLink(error: unknown): boolean {
  if (error instanceof AmqpError) return error.scope === "channel" || !PASSING.includes(error.replyCode);
  return isFinal(error);
}
