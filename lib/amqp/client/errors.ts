import { isFinal, MqcatError } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";
import { isTemporary } from "./availability.ts";

/** Whether an error is permanent: the server would report it again after a reconnect. */
export function endsLink(error: unknown): boolean {
  if (error instanceof AmqpError) return !isTemporary(error);
  // The explanation of an `AmqpError`, such as that a queue exists with other arguments.
  return isFinal(error) || error instanceof MqcatError && error.code === "ERR_AMQP_CHANNEL";
}
