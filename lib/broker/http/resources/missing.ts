import { badRequest } from "../errors.ts";
import type { Handler } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** What RabbitMQ has and this broker has not: lists of it are empty, and changing it is refused in words. */
export const MISSING: Handlers = {
  ...lists("policies", "operator-policies", "parameters", "vhost-limits"),
  "GET /api/global-parameters": () => [],
  "GET /api/topic-permissions": () => [],
  "GET /api/user-limits": () => [],
  "GET /api/feature-flags": () => [],
  "PUT /api/policies/:vhost/:name": refuse(
    "policies; give the queues arguments in place of them (x-message-ttl, …)",
  ),
  "PUT /api/operator-policies/:vhost/:name": refuse("policies"),
  "PUT /api/parameters/:component/:vhost/:name": refuse("shovels, federation or such"),
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
    throw badRequest(`this broker has no ${what}`);
  };
}
