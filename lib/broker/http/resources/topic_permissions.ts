import type { Json } from "../../core/definitions/table.ts";
import type { UserTopicPermission } from "../../core/users/user_store.ts";
import { badRequest, notFound } from "../errors.ts";
import { listOf } from "../list.ts";
import type { Handlers } from "../path_table.ts";
import { type ApiRequest, Reply } from "../request.ts";

/** Topic permissions: the routing keys that a user can use in topic exchanges. For administrators. */
export const TOPIC_PERMISSIONS: Handlers = {
  "GET /api/topic-permissions": (request) => show(request, () => true),
  "GET /api/vhosts/:vhost/topic-permissions": (request) => show(request, isInVhost(request)),
  "GET /api/users/:user/topic-permissions": (request) => {
    const { name } = userInPath(request);
    return show(request, ({ user }) => user === name);
  },
  "GET /api/topic-permissions/:vhost/:user": (request) => show(request, () => true, inPath(request)),
  "GET /api/topic-permissions/:vhost/:user/:exchange": (request) =>
    show(request, () => true, inPath(request)),
  "PUT /api/topic-permissions/:vhost/:user": put,
  "DELETE /api/topic-permissions/:vhost/:user": remove,
  "DELETE /api/topic-permissions/:vhost/:user/:exchange": remove,
};

function show(
  request: ApiRequest,
  test: (permission: UserTopicPermission) => boolean,
  permissions: Iterable<UserTopicPermission> = request.core.users.topicPermissions(),
): Json {
  request.require();
  return listOf([...permissions].filter(test).map((permission) => ({ ...permission })), request.query);
}

/** Status 201 for the first topic permission of the user in the virtual host, otherwise 204, as in RabbitMQ. */
function put(request: ApiRequest): Reply {
  request.require();
  const { users, vhosts } = request.core;
  const user = request.param("user");
  const vhost = request.param("vhost");
  if (users.get(user) === undefined || !vhosts.has(vhost)) throw badRequest("vhost_or_user_not_found");
  const object = request.jsonObject();
  const missing = ["exchange", "write", "read"].filter((key) => object.value(key) === undefined);
  if (missing.length > 0) throw badRequest(`[${missing.map((key) => `{key_missing,${key}}`).join(",")}]`);
  const permission = { write: object.text("write"), read: object.text("read") };
  const exchange = object.text("exchange");
  const isNew = of(request).length === 0;
  request.change(() => users.permitTopics(user, vhost, exchange, permission));
  return new Reply(isNew ? 201 : 204);
}

/** Removes the topic permission for one exchange, or all of the user in the virtual host. */
function remove(request: ApiRequest): undefined {
  request.require();
  const only = request.optional("exchange");
  const found = inPath(request).filter(({ exchange }) => only === undefined || exchange === only);
  request.change(() => {
    for (const { user, vhost, exchange } of found) request.core.users.forbidTopics(user, vhost, exchange);
  });
}

/** The topic permissions of the user in the virtual host. @throws {HttpError} 404: there are none */
function inPath(request: ApiRequest): UserTopicPermission[] {
  request.require();
  const found = of(request);
  if (found.length === 0) throw notFound();
  return found;
}

function of(request: ApiRequest): UserTopicPermission[] {
  const user = request.param("user");
  const vhost = request.param("vhost");
  return [...request.core.users.topicPermissions()].filter((one) => one.user === user && one.vhost === vhost);
}

function isInVhost(request: ApiRequest): (permission: UserTopicPermission) => boolean {
  request.require();
  const { name } = request.vhost();
  return ({ vhost }) => vhost === name;
}

function userInPath(request: ApiRequest): { readonly name: string } {
  request.require();
  const user = request.core.users.get(request.param("user"));
  if (user === undefined) throw notFound();
  return user;
}
