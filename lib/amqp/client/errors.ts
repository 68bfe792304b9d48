import { isFinal } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";

/** Reply codes of temporary errors: closed by an operator, out of resources, internal error. */
const TEMPORARY: readonly number[] = [320, 506, 541];

/** Whether an error is permanent: the server would report it again after a reconnect. */
export function endsLink(error: unknown): boolean {
  if (error instanceof AmqpError) return error.scope === "channel" || !TEMPORARY.includes(error.replyCode);
  return isFinal(error);
}
