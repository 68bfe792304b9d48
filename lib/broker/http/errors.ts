import { AmqpError } from "../../amqp/amqp_error.ts";
import { messageOf } from "../../errors.ts";
import { DefinitionsError } from "../core/definitions/import.ts";
import { JsonError } from "../core/definitions/json_object.ts";

/** An answer that is an error, in the form that RabbitMQ's management gives it. */
export class HttpError extends Error {
  readonly status: number;
  /** `bad_request`, `Object Not Found`, … */
  readonly kind: string;

  constructor(status: number, kind: string, reason: string) {
    super(reason);
    this.status = status;
    this.kind = kind;
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

/** The one place where errors become answers. */
export function httpErrorFor(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
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
