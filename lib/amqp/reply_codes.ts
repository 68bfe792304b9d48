/**
 * The reply codes of `connection.close`, `channel.close` and `basic.return` (AMQP 0-9-1 reference, 1.2; 312 is
 * RabbitMQ's). `hard` codes close the connection, the others close the channel.
 */
export const REPLY_CODES = {
  200: { name: "REPLY_SUCCESS", hard: false },
  311: { name: "CONTENT_TOO_LARGE", hard: false },
  312: { name: "NO_ROUTE", hard: false },
  313: { name: "NO_CONSUMERS", hard: false },
  320: { name: "CONNECTION_FORCED", hard: true },
  402: { name: "INVALID_PATH", hard: true },
  403: { name: "ACCESS_REFUSED", hard: false },
  404: { name: "NOT_FOUND", hard: false },
  405: { name: "RESOURCE_LOCKED", hard: false },
  406: { name: "PRECONDITION_FAILED", hard: false },
  501: { name: "FRAME_ERROR", hard: true },
  502: { name: "SYNTAX_ERROR", hard: true },
  503: { name: "COMMAND_INVALID", hard: true },
  504: { name: "CHANNEL_ERROR", hard: true },
  505: { name: "UNEXPECTED_FRAME", hard: true },
  506: { name: "RESOURCE_ERROR", hard: true },
  530: { name: "NOT_ALLOWED", hard: true },
  540: { name: "NOT_IMPLEMENTED", hard: true },
  541: { name: "INTERNAL_ERROR", hard: true },
} as const;

/** A reply code of the protocol. */
export type ReplyCode = keyof typeof REPLY_CODES;

const BY_NUMBER: Readonly<Record<number, { readonly name: string; readonly hard: boolean } | undefined>> =
  REPLY_CODES;

/** Returns the name of a reply code, with which reply texts begin: `NOT_FOUND`. */
export function replyName(code: number): string {
  return BY_NUMBER[code]?.name ?? `REPLY_${code}`;
}

/** Whether the code closes the connection. Unknown codes do. */
export function isHard(code: number): boolean {
  return BY_NUMBER[code]?.hard ?? true;
}
