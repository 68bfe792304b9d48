import { QUEUE_TYPES, type VirtualHost } from "../../core/topology/vhost.ts";
import { badRequest } from "../errors.ts";
import { columnsOf, listOf } from "../list.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { measureVhost, VHOST } from "../rates/meters.ts";
import { type Row, statistics } from "../views.ts";

/** Virtual hosts. */
export const VHOSTS: Handlers = {
  "GET /api/vhosts": (request) =>
    listOf(request.vhosts().map((vhost) => rowOf(vhost, request)), request.query),
  "GET /api/vhosts/:vhost": (request) => columnsOf(rowOf(request.vhost(), request), request.query),
  "PUT /api/vhosts/:vhost": add,
  "DELETE /api/vhosts/:vhost": remove,
};

/** Adds a virtual host and gives the user full permissions. Status 201 for a new one, otherwise 204. */
function add(request: ApiRequest): Reply {
  request.require();
  const { core, user } = request;
  const name = request.param("vhost");
  const isNew = !core.vhosts.has(name);
  const object = request.jsonObject();
  // RabbitMQ 3.10 reads the second name, later versions the first.
  const type = object.value("default_queue_type") ?? object.value("defaultqueuetype") ?? "undefined";
  if (type !== "undefined" && !QUEUE_TYPES.includes(type as string)) {
    throw badRequest(`default_queue_type must be 'classic' or 'quorum': received '${type}'`);
  }
  request.change(() => {
    const vhost = core.addVirtualHost(name);
    if (isNew && type !== "undefined") vhost.setDefaultQueueType(type as string);
    if (isNew) core.users.permit(user.name, name, { configure: ".*", write: ".*", read: ".*" });
  });
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest): undefined {
  request.require();
  const { name } = request.vhost();
  request.change(() => request.broker.removeVirtualHost(name));
}

function rowOf(vhost: VirtualHost, { broker, node, rates }: ApiRequest): Row {
  const measured = measureVhost(vhost, broker.connections);
  return {
    name: vhost.name,
    description: "",
    tags: [],
    metadata: { description: "", tags: [] },
    default_queue_type: vhost.defaultQueueType ?? "undefined",
    cluster_state: { [node]: "running" },
    tracing: vhost.isTraced,
    ...rates.of(VHOST, measured, ["lengths", "data"], vhost),
    ...statistics(rates.used(VHOST, measured, ["published", "delivered"], vhost)),
  };
}
