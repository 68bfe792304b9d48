import { isFinal } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";
import { isTemporary } from "./availability.ts";

/** Whether an error is permanent: the server would report it again after a reconnect. */
export function endsLink(error: unknown): boolean {
  return error instanceof AmqpError ? !isTemporary(error) : isFinal(error);
}
