/**
 * What a failure of a queue means: it is gone for good, unavailable, or full. In a cluster a queue may be unavailable although the
 * broker answers: RabbitMQ reports that with the same codes as a mistake, so the text decides.
 */
import { AwayError } from "../../link/away.ts";
import { AmqpError } from "../amqp_error.ts";

/** Reply codes of temporary errors: closed by an operator, out of resources, internal error. */
const TEMPORARY: readonly number[] = [320, 506, 541];

/**
 * The texts with which RabbitMQ refuses the use of a queue that exists: the node of a classic queue is down, or a queue has
 * no leader or too few members, or its process is being restarted, or a stream can be read only at other nodes.
 */
const AWAY =
  /is down or inaccessible|stopped by supervisor|failed to perform operation on queue|not have a (running )?replica on/i;

/** Whether an error of the broker may be over after some time. */
export function isTemporary({ scope, replyCode, replyText }: AmqpError): boolean {
  return scope === "channel" ? AWAY.test(replyText) : TEMPORARY.includes(replyCode);
}

/** Whether an error means that a queue or an exchange does not exist: not that it is away. */
export function isGone(error: unknown): boolean {
  return error instanceof AmqpError && error.replyCode === 404 && !isTemporary(error);
}

/** The error of an attempt to use a queue: an `AwayError` if the queue is unavailable, else the given one. */
export function explainQueue(queue: string, error: unknown): unknown {
  // An operator who closes the connection, or a node that stops, says nothing about the queue.
  if (!(error instanceof AmqpError) || error.replyCode === 320 || !isTemporary(error)) return error;
  const node = /home node '([^']*)'/.exec(error.replyText)?.[1];
  if (node !== undefined) return awayError(queue, `its node '${node}' is down`, error);
  const meaning = error.replyCode === 541 ? " (if it is a quorum queue, most of its nodes may be down)" : "";
  return awayError(queue, error.replyText + meaning, error);
}

/** Says that a queue is unavailable. */
export function awayError(queue: string, reason: string, cause?: unknown): AwayError {
  return new AwayError(`queue '${queue}' is unavailable: ${reason}`, { cause });
}
