import { isFinal, MqcatError } from "../../errors.ts";
import { AmqpError } from "../amqp_error.ts";

/**
 * The broker refused the login: wrong credentials, or a virtual host that does not exist or that the user has no access
 * to. The client does not retry.
 *
 * @example Report wrong credentials
 * ```ts
 * import { connectAmqp, RefusedError } from "@mqcat/mqcat";
 *
 * try {
 *   await using client = await connectAmqp("amqp://me:wrong@localhost");
 *   console.log(client.server);
 * } catch (error) {
 *   if (!(error instanceof RefusedError)) throw error;
 *   console.error(error.message);
 * }
 * ```
 */
export class RefusedError extends MqcatError {
  /**
   * Makes an error with the code `ERR_AUTH`.
   *
   * @param message the reason, and a remedy
   * @param options may hold the underlying error as `cause`
   */
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AUTH", message, options);
  }
}

/** Reply codes of temporary errors: closed by an operator, out of resources, internal error. */
const TEMPORARY: readonly number[] = [320, 506, 541];

/** Whether an error is permanent: the server would report it again after a reconnect. */
export function endsLink(error: unknown): boolean {
  if (error instanceof AmqpError) return error.scope === "channel" || !TEMPORARY.includes(error.replyCode);
  return isFinal(error);
}
