import type { Json } from "../../core/definitions/table.ts";
import { type Limits, readLimits } from "../../core/policies/limits.ts";
import type { StoredUser } from "../../core/topology/definition_change.ts";
import { badRequest, notFound, vhostNotFound } from "../errors.ts";
import { listOf } from "../list.ts";
import type { Handlers } from "../path_table.ts";
import type { ApiRequest } from "../request.ts";

/** Limits of virtual hosts and users, set by administrators. */
export const LIMITS: Handlers = {
  "GET /api/vhost-limits": vhostLimits,
  "GET /api/vhost-limits/:vhost": vhostLimits,
  "PUT /api/vhost-limits/:vhost/:name": (request) => {
    request.require();
    if (!request.core.vhosts.has(request.param("vhost"))) throw vhostNotFound();
    const vhost = request.vhost();
    const limits = { ...vhost.limits, ...readLimits(limitInBody(request), "vhost") };
    request.change(() => vhost.setLimits(limits));
    return undefined;
  },
  "DELETE /api/vhost-limits/:vhost/:name": (request) => {
    request.require();
    const vhost = request.vhost();
    const limits = without(vhost.limits, request.param("name"));
    request.change(() => vhost.setLimits(limits));
    return undefined;
  },
  "GET /api/user-limits": (request) => {
    request.require();
    return userLimits(request, [...request.core.users]);
  },
  "GET /api/user-limits/:user": (request) => userLimits(request, [userInPath(request)]),
  "PUT /api/user-limits/:user/:name": (request) => {
    const user = userInPath(request);
    return setUserLimits(request, user, { ...user.limits, ...readLimits(limitInBody(request), "user") });
  },
  "DELETE /api/user-limits/:user/:name": (request) => {
    const user = userInPath(request);
    return setUserLimits(request, user, without(user.limits ?? {}, request.param("name")));
  },
};

function vhostLimits(request: ApiRequest): Json {
  const limited = request.vhostsInPath().filter(({ limits }) => Object.keys(limits).length > 0);
  return listOf(limited.map(({ name, limits }) => ({ vhost: name, value: { ...limits } })), request.query);
}

function userLimits(request: ApiRequest, users: readonly StoredUser[]): Json {
  const limited = users.filter(({ limits }) => Object.keys(limits ?? {}).length > 0);
  return listOf(limited.map(({ name, limits }) => ({ user: name, value: { ...limits } })), request.query);
}

function setUserLimits(request: ApiRequest, user: StoredUser, limits: Limits): undefined {
  request.change(() => request.core.users.putHashed({ ...user, limits }));
}

function limitInBody(request: ApiRequest): { [name: string]: Json } {
  const value = request.jsonObject().value("value");
  if (value === undefined) throw badRequest("[{key_missing,value}]");
  return { [request.param("name")]: value };
}

function without(limits: Limits, name: string): Limits {
  return Object.fromEntries(Object.entries(limits).filter(([key]) => key !== name));
}

function userInPath(request: ApiRequest): StoredUser {
  request.require();
  const user = request.core.users.get(request.param("user"));
  if (user === undefined) throw notFound();
  return user;
}
