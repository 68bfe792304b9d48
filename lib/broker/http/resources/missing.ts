import { badRequest, notFound } from "../errors.ts";
import type { Json } from "../../core/definitions/table.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** Features of RabbitMQ that this broker does not have: lists are empty, and changes are refused with a reason. */
export const MISSING: Handlers = {
  "GET /api/feature-flags": () => [],
  "GET /api/parameters": () => [],
  "GET /api/parameters/:component": () => [],
  "GET /api/parameters/:component/:vhost": emptyList,
  "GET /api/parameters/:component/:vhost/:name": missing,
  "DELETE /api/parameters/:component/:vhost/:name": missing,
  "PUT /api/parameters/:component/:vhost/:name": (request) => {
    request.vhost();
    throw badRequest("this broker does not support shovels, federation or other parameters");
  },
  "GET /api/global-parameters": () => [],
  "GET /api/global-parameters/:name": missing,
  "DELETE /api/global-parameters/:name": missing,
  "PUT /api/global-parameters/:name": () => {
    throw badRequest("this broker does not support global parameters");
  },
};

/** The list of a virtual host. @throws {HttpError} 404: there is no such virtual host */
function emptyList(request: ApiRequest): Json {
  request.vhost();
  return [];
}

function missing(): never {
  throw notFound();
}
