import type { Json } from "../../core/definitions/table.ts";
import { readLimits } from "../../core/policies/limits.ts";
import { policyToJson } from "../../core/policies/policy.ts";
import type { VirtualHost } from "../../core/topology/vhost.ts";
import { badRequest, notFound } from "../errors.ts";
import { listOf } from "../list.ts";
import type { Handlers } from "../path_table.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Row } from "../views.ts";

const VHOST_LIMITS = "vhost-limits";
const POLICY = "policy";
const OPERATOR_POLICY = "operator_policy";
/** The name of the parameter that has the limits of a virtual host. */
const LIMITS_NAME = "limits";

/**
 * Parameters of virtual hosts by component: their limits and policies, which also have paths of their own. Components
 * that this broker does not have, such as shovels, are empty, and changes of them are refused.
 */
export const PARAMETERS: Handlers = {
  "GET /api/parameters": (request) => list(request, [VHOST_LIMITS, OPERATOR_POLICY]),
  "GET /api/parameters/:component": (request) => list(request, [request.param("component")]),
  "GET /api/parameters/:component/:vhost": (request) => list(request, [request.param("component")]),
  "GET /api/parameters/:component/:vhost/:name": inPath,
  "PUT /api/parameters/:component/:vhost/:name": put,
  "DELETE /api/parameters/:component/:vhost/:name": remove,
};

function list(request: ApiRequest, components: readonly string[]): Json {
  request.require("policymaker");
  const rows = request.vhostsInPath().flatMap((vhost) =>
    components.flatMap((component) => [...rowsOf(vhost, component)])
  );
  return listOf(rows, request.query);
}

function* rowsOf(vhost: VirtualHost, component: string): Iterable<Row> {
  if (component === VHOST_LIMITS && Object.keys(vhost.limits).length > 0) {
    yield { value: { ...vhost.limits }, vhost: vhost.name, component, name: LIMITS_NAME };
  }
  if (component !== POLICY && component !== OPERATOR_POLICY) return;
  for (const policy of vhost.policies.list(component === OPERATOR_POLICY)) {
    const { name, vhost, ...value } = policyToJson(policy) as Row;
    yield { value, vhost: vhost!, component, name: name! };
  }
}

function inPath(request: ApiRequest): Row {
  request.require("policymaker");
  const name = request.param("name");
  for (const row of rowsOf(request.vhost(), request.param("component"))) if (row["name"] === name) return row;
  throw notFound();
}

function put(request: ApiRequest): Reply {
  const vhost = limited(request);
  const { name } = vhost;
  if (request.param("name") !== LIMITS_NAME) {
    throw badRequest(`the limits of virtual host '${name}' have the name '${LIMITS_NAME}'`);
  }
  const isNew = Object.keys(vhost.limits).length === 0;
  const limits = readLimits(request.jsonObject().object("value"), "vhost");
  request.change(() => vhost.setLimits(limits));
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest): undefined {
  request.require("policymaker");
  inPath(request);
  const vhost = limited(request);
  request.change(() => vhost.setLimits({}));
}

/** The virtual host in the path, whose limits are changed. @throws {HttpError} 400: it is another component */
function limited(request: ApiRequest): VirtualHost {
  request.require("policymaker");
  const vhost = request.vhost();
  const component = request.param("component");
  if (component === VHOST_LIMITS) {
    request.require();
    return vhost;
  }
  throw badRequest(
    component === POLICY || component === OPERATOR_POLICY
      ? "policies may not be set using this method"
      : `component ${component} not found: this broker has no shovels, federation or other parameters`,
  );
}
