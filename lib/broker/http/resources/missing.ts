import { badRequest } from "../errors.ts";
import type { Handler } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** Features of RabbitMQ that this broker does not have: lists are empty, and changes are refused with a reason. */
export const MISSING: Handlers = {
  ...lists("policies", "operator-policies", "parameters", "vhost-limits"),
  "GET /api/global-parameters": () => [],
  "GET /api/topic-permissions": () => [],
  "GET /api/user-limits": () => [],
  "GET /api/feature-flags": () => [],
  "PUT /api/policies/:vhost/:name": refuse(
    "policies; use arguments of the queues instead (x-message-ttl, …)",
  ),
  "PUT /api/operator-policies/:vhost/:name": refuse("policies"),
  "PUT /api/parameters/:component/:vhost/:name": refuse("shovels, federation or other parameters"),
  "PUT /api/vhost-limits/:vhost/:name": refuse("limits of virtual hosts"),
  "PUT /api/user-limits/:user/:name": refuse("limits of users"),
  "PUT /api/topic-permissions/:vhost/:user": refuse("topic permissions; use permissions on exchanges"),
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
