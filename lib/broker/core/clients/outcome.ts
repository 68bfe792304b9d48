import { amqpError } from "../../../amqp/amqp_error.ts";

/** What happens to a delivered message when the client settles it. */
export const ACK = 0;
export const REQUEUE = 1;
export const REJECT = 2;
/** The names of the outcomes in the trace. */
export const TRACED = ["ack", "requeue", "reject"] as const;
export type Outcome = typeof ACK | typeof REQUEUE | typeof REJECT;

/** The error for a delivery tag that is unknown or already settled. */
export function unknownTag(tag: number): Error {
  return amqpError(406, `unknown delivery tag ${tag}`);
}
