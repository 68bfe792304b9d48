import { AmqpError } from "../../amqp/amqp_error.ts";
import { messageOf } from "../../errors.ts";
import { PageError } from "../../page/page_error.ts";
import { DefinitionsError } from "../core/definitions/import.ts";
import { JsonError } from "../core/definitions/json_object.ts";

/** An error response, in the format of RabbitMQ's management. */
export class HttpError extends Error {
  readonly status: number;
  /** `bad_request`, `Object Not Found`, … */
  readonly kind: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, kind: string, reason: string, headers: Readonly<Record<string, string>> = {}) {
    super(reason);
    this.status = status;
    this.kind = kind;
    this.headers = headers;
  }
}

export function notFound(): HttpError {
  return new HttpError(404, "Object Not Found", "Not Found");
}

/** The virtual host of a policy or a limit does not exist. */
export function vhostNotFound(): HttpError {
  return new HttpError(404, "not_found", "vhost_not_found");
}

export function notAuthorised(reason: string): HttpError {
  return new HttpError(401, "not_authorised", reason);
}

export function badRequest(reason: string): HttpError {
  return new HttpError(400, "bad_request", reason);
}

/** Converts every error that a handler throws to an error response. */
export function httpErrorFor(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof PageError) return new HttpError(error.status, error.kind, error.message);
  if (error instanceof AmqpError) {
    const reason = error.replyText.replace(/^[A-Z_]+ - /, "");
    if (error.replyCode === 403) return notAuthorised(reason);
    return error.replyCode === 404 ? new HttpError(404, "not_found", reason) : badRequest(reason);
  }
  const isMistake = error instanceof JsonError || error instanceof SyntaxError ||
    error instanceof RangeError ||
    error instanceof TypeError || error instanceof DefinitionsError;
  return isMistake ? badRequest(messageOf(error)) : new HttpError(500, "internal_error", messageOf(error));
}
