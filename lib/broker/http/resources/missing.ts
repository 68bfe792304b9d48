import { badRequest } from "../errors.ts";
import type { Handler } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** Features of RabbitMQ that this broker does not have: lists are empty, and changes are refused with a reason. */
export const MISSING: Handlers = {
  ...lists("parameters"),
  "GET /api/global-parameters": () => [],
  "GET /api/feature-flags": () => [],
  "PUT /api/parameters/:component/:vhost/:name": refuse("shovels, federation or other parameters"),
};

function lists(...names: readonly string[]): Handlers {
  const empty: Handler = () => [];
  return Object.fromEntries(
    names.flatMap((name) => [[`GET /api/${name}`, empty], [`GET /api/${name}/:of`, empty]]),
  );
}

function refuse(what: string): Handler {
  return () => {
    throw badRequest(`this broker does not support ${what}`);
  };
}
