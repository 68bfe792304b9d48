import { badRequest, notFound } from "../errors.ts";
import type { Handlers } from "../path_table.ts";

/** Features of RabbitMQ that this broker does not have: lists are empty, and changes are refused with a reason. */
export const MISSING: Handlers = {
  "GET /api/feature-flags": () => [],
  "GET /api/global-parameters": () => [],
  "GET /api/global-parameters/:name": missing,
  "DELETE /api/global-parameters/:name": missing,
  "PUT /api/global-parameters/:name": () => {
    throw badRequest("this broker does not support global parameters");
  },
};

function missing(): never {
  throw notFound();
}
