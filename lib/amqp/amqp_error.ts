import { MqcatError } from "../errors.ts";
import { isHard, type ReplyCode, replyName } from "./reply_codes.ts";
import { clipText, textLength } from "./types/text.ts";

/** What a short string holds, in bytes. */
const MAX_TEXT = 255;

/** What an error ends: the channel that it happened on, or the whole connection. */
export type Scope = "channel" | "connection";

/** Where an error happened, and what was underneath. */
export interface AmqpErrorOptions extends ErrorOptions {
  /** Id of the method that was refused, class in the upper 16 bits; 0 unless told. */
  readonly method?: number;
  /** What it ends; the reply code decides unless told. */
  readonly scope?: Scope;
}

/**
 * An error with a reply code: one that we report to the peer, or one that the peer reported to us. It has the names
 * of the arguments of `connection.close` and `channel.close`, so it can be encoded as these.
 */
export class AmqpError extends MqcatError {
  readonly scope: Scope;
  readonly replyCode: number;
  /** The text for the wire, at most 255 bytes: `NOT_FOUND - no queue 'x' in vhost '/'`. */
  readonly replyText: string;
  /** Class of the method that was refused, or 0. */
  readonly classId: number;
  readonly methodId: number;

  /** @param replyText whole, with the name of the code in front */
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
 * The error for a reply code; its name is put in front of the explanation.
 *
 * @example A queue that is not there
 * ```ts
 * import { amqpError } from "./amqp_error.ts";
 * const error = amqpError(404, "no queue 'x' in vhost '/'");
 * console.log(error.scope, error.replyText); // channel NOT_FOUND - no queue 'x' in vhost '/'
 * ```
 */
export function amqpError(code: ReplyCode, explanation: string, options?: AmqpErrorOptions): AmqpError {
  return new AmqpError(code, `${replyName(code)} - ${explanation}`, options);
}

/** The error that the peer put into its `connection.close` or `channel.close`. */
export function errorFromClose(
  scope: Scope,
  args: { replyCode: number; replyText: string; classId: number; methodId: number },
): AmqpError {
  const text = args.replyText || replyName(args.replyCode);
  return new AmqpError(args.replyCode, text, { scope, method: args.classId << 16 | args.methodId });
}

/** The peer sent bytes that are no AMQP: 501, as RabbitMQ answers it. */
export function frameError(explanation: string): AmqpError {
  return amqpError(501, explanation);
}
