import { MqcatError } from "../errors.ts";
import { isHard, type ReplyCode, replyName } from "./reply_codes.ts";
import { clipText, textLength } from "../bytes/text.ts";

/** The size limit of a short string, in bytes. */
const MAX_TEXT = 255;

/** What an error closes: the channel on which it occurred, or the whole connection. */
export type AmqpErrorScope = "channel" | "connection";

/** Options of an `AmqpError`. */
export interface AmqpErrorOptions extends ErrorOptions {
  /** The id of the refused method, with its class in the upper 16 bits. Default: 0, no method */
  readonly method?: number;
  /** What the error closes. Default: decided by the reply code */
  readonly scope?: AmqpErrorScope;
}

/**
 * An error with an AMQP reply code, which one peer reports to the other. Its properties are named like the arguments of
 * `connection.close` and `channel.close`, so that it can be encoded as either.
 *
 * @example Consume a queue that may not exist
 * ```ts
 * import { AmqpError, connectAmqp } from "@mqcat/mqcat";
 *
 * await using client = await connectAmqp("amqp://localhost");
 * try {
 *   await client.consume("jobs");
 * } catch (error) {
 *   if (!(error instanceof AmqpError && error.replyCode === 404)) throw error;
 *   console.error(error.replyText); // NOT_FOUND - no queue 'jobs' in vhost '/'
 * }
 * ```
 */
export class AmqpError extends MqcatError {
  /** What the error closed. */
  readonly scope: AmqpErrorScope;
  /** The reply code, for example 404. */
  readonly replyCode: number;
  /** The text on the wire, at most 255 bytes: `NOT_FOUND - no queue 'x' in vhost '/'`. */
  readonly replyText: string;
  /** The class id of the refused method, or 0. */
  readonly classId: number;
  /** The id of the refused method in its class, or 0. */
  readonly methodId: number;

  /**
   * Makes an error. Text over 255 bytes is shortened in `replyText`.
   *
   * @param replyCode a reply code of AMQP 0-9-1
   * @param replyText the text, which begins with the name of the code
   * @param options the refused method, the scope and the cause
   */
  constructor(replyCode: number, replyText: string, options: AmqpErrorOptions = {}) {
    const scope = options.scope ?? (isHard(replyCode) ? "connection" : "channel");
    super(scope === "channel" ? "ERR_AMQP_CHANNEL" : "ERR_AMQP_CONNECTION", replyText, options);
    this.scope = scope;
    this.replyCode = replyCode;
    this.replyText = textLength(replyText) <= MAX_TEXT
      ? replyText
      : `${clipText(replyText, MAX_TEXT - 3)}...`;
    this.classId = (options.method ?? 0) >>> 16;
    this.methodId = (options.method ?? 0) & 0xffff;
  }
}

/**
 * Makes the error for a reply code; the text is the name of the code and the explanation.
 *
 * @example A queue that does not exist
 * ```ts
 * import { amqpError } from "./amqp_error.ts";
 * const error = amqpError(404, "no queue 'x' in vhost '/'");
 * console.log(error.scope, error.replyText); // channel NOT_FOUND - no queue 'x' in vhost '/'
 * ```
 */
export function amqpError(code: ReplyCode, explanation: string, options?: AmqpErrorOptions): AmqpError {
  return new AmqpError(code, `${replyName(code)} - ${explanation}`, options);
}

/** Makes the error that the peer reported with `connection.close` or `channel.close`. */
export function errorFromClose(
  scope: AmqpErrorScope,
  args: { replyCode: number; replyText: string; classId: number; methodId: number },
): AmqpError {
  const text = args.replyText || replyName(args.replyCode);
  return new AmqpError(args.replyCode, text, { scope, method: args.classId << 16 | args.methodId });
}

/** Makes the error for malformed bytes of the peer: code 501, as in RabbitMQ. */
export function frameError(explanation: string): AmqpError {
  return amqpError(501, explanation);
}
