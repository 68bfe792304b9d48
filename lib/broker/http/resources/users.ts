import { userFromJson, userToJson } from "../../core/definitions/user_json.ts";
import type { Json } from "../../core/definitions/table.ts";
import type { StoredUser } from "../../core/topology/definition_change.ts";
import type { UserPermission } from "../../core/users/user_store.ts";
import { badRequest, notFound } from "../errors.ts";
import { listOf } from "../list.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import type { Row } from "../views.ts";

/** Users and their permissions, for administrators. */
export const USERS: Handlers = {
  "GET /api/whoami": ({ user }) => ({ name: user.name, tags: [...user.tags] }),
  "GET /api/users": list,
  "GET /api/users/without-permissions": withoutPermissions,
  "POST /api/users/bulk-delete": removeAll,
  "GET /api/users/:user": (request) => userToJson(inPath(request)),
  "PUT /api/users/:user": put,
  "DELETE /api/users/:user": remove,
  "GET /api/users/:user/permissions": (request) =>
    permissionsOf(request, ({ user }) => user === inPath(request).name),
  "GET /api/permissions": (request) => permissionsOf(request, () => true),
  "GET /api/vhosts/:vhost/permissions": (request) =>
    permissionsOf(request, ({ vhost }) => vhost === request.vhost().name),
  "GET /api/permissions/:vhost/:user": (request) => rowOf(permissionInPath(request)),
  "PUT /api/permissions/:vhost/:user": permit,
  "DELETE /api/permissions/:vhost/:user": forbid,
};

function list(request: ApiRequest): Json {
  request.require();
  return listOf([...request.core.users].map(userToJson), request.query);
}

function withoutPermissions(request: ApiRequest): Json {
  request.require();
  const { users } = request.core;
  const permitted = new Set([...users.permissions()].map(({ user }) => user));
  return listOf([...users].filter(({ name }) => !permitted.has(name)).map(userToJson), request.query);
}

/** Removes the users in the list, or none if one of them does not exist. */
function removeAll(request: ApiRequest): undefined {
  request.require();
  const names = request.jsonObject().value("users");
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    throw badRequest("users must be a list of names");
  }
  const { users } = request.core;
  const missing = names.find((name) => users.get(name) === undefined);
  if (missing !== undefined) throw badRequest(`there is no user '${missing}'`);
  request.change(() => {
    for (const name of new Set(names)) request.broker.removeUser(name as string);
  });
}

function put(request: ApiRequest): Reply {
  request.require();
  const name = request.param("user");
  const { users } = request.core;
  const isNew = users.get(name) === undefined;
  const user = userFromJson(request.jsonObject(), name);
  request.change(() => users.putHashed(user));
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest): undefined {
  const { name } = inPath(request);
  request.change(() => request.broker.removeUser(name));
}

function permit(request: ApiRequest): Reply {
  request.require();
  const { name } = inPath(request);
  const object = request.jsonObject();
  const permission = {
    configure: object.text("configure"),
    write: object.text("write"),
    read: object.text("read"),
  };
  const vhost = request.vhost().name;
  const isNew = request.core.users.accessTo(name, vhost) === undefined;
  request.change(() => request.core.users.permit(name, vhost, permission));
  return new Reply(isNew ? 201 : 204);
}

function forbid(request: ApiRequest): undefined {
  const { user, vhost } = permissionInPath(request);
  request.change(() => request.core.users.forbid(user, vhost));
}

function permissionsOf(request: ApiRequest, test: (permission: UserPermission) => boolean): Json {
  request.require();
  return listOf([...request.core.users.permissions()].filter(test).map(rowOf), request.query);
}

function rowOf({ user, vhost, configure, write, read }: UserPermission): Row {
  return { user, vhost, configure, write, read };
}

function permissionInPath(request: ApiRequest): UserPermission {
  const { name } = inPath(request);
  const vhost = request.vhost().name;
  const found = [...request.core.users.permissions()].find((one) => one.user === name && one.vhost === vhost);
  if (found === undefined) throw notFound();
  return found;
}

function inPath(request: ApiRequest): StoredUser {
  request.require();
  const user = request.core.users.get(request.param("user"));
  if (user === undefined) throw notFound();
  return user;
}
