import type { Json } from "../../core/definitions/table.ts";
import { type Policy, policyToJson, readPolicy } from "../../core/policies/policy.ts";
import { badRequest, notFound, vhostNotFound } from "../errors.ts";
import { listOf } from "../list.ts";
import type { Handlers } from "../path_table.ts";
import { type ApiRequest, Reply } from "../request.ts";

/** Policies, for policymakers, and operator policies, for administrators. */
export const POLICIES: Handlers = { ...resource("policies", false), ...resource("operator-policies", true) };

function resource(name: string, operator: boolean): Handlers {
  return {
    [`GET /api/${name}`]: (request) => list(request, operator),
    [`GET /api/${name}/:vhost`]: (request) => list(request, operator),
    [`GET /api/${name}/:vhost/:name`]: (request) => policyToJson(inPath(request, operator)),
    [`PUT /api/${name}/:vhost/:name`]: (request) => put(request, operator),
    [`DELETE /api/${name}/:vhost/:name`]: (request) => remove(request, operator),
  };
}

function list(request: ApiRequest, operator: boolean): Json {
  const policies = request.vhostsInPath().flatMap(({ policies }) => [...policies.list(operator)]);
  return listOf(policies.map(policyToJson), request.query);
}

function put(request: ApiRequest, operator: boolean): Reply {
  authorise(request, operator);
  if (!request.core.vhosts.has(request.param("vhost"))) throw vhostNotFound();
  const vhost = request.vhost();
  const name = request.param("name");
  const object = request.jsonObject();
  const missing = ["pattern", "definition"].filter((key) => object.value(key) === undefined);
  if (missing.length > 0) throw badRequest(`[${missing.map((key) => `{key_missing,${key}}`).join(",")}]`);
  const isNew = vhost.policies.get(operator, name) === undefined;
  const policy = readPolicy(object, vhost.name, name, operator);
  request.change(() => vhost.putPolicy(operator, policy));
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest, operator: boolean): undefined {
  authorise(request, operator);
  const { name } = inPath(request, operator);
  request.change(() => request.vhost().removePolicy(operator, name));
}

function inPath(request: ApiRequest, operator: boolean): Policy {
  const policy = request.vhost().policies.get(operator, request.param("name"));
  if (policy === undefined) throw notFound();
  return policy;
}

function authorise(request: ApiRequest, operator: boolean): void {
  if (operator) request.require();
  else request.require("policymaker");
}
