import type { VirtualHost } from "../../core/topology/vhost.ts";
import { columnsOf, listOf } from "../list.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { NODE, type Row } from "../views.ts";

/** Virtual hosts. */
export const VHOSTS: Handlers = {
  "GET /api/vhosts": (request) => listOf(request.vhosts().map(rowOf), request.query),
  "GET /api/vhosts/:vhost": (request) => columnsOf(rowOf(request.vhost()), request.query),
  "PUT /api/vhosts/:vhost": add,
  "DELETE /api/vhosts/:vhost": remove,
};

/** Adds a virtual host and gives the user full permissions. Status 201 for a new one, otherwise 204. */
function add(request: ApiRequest): Reply {
  request.require();
  const { core, user } = request;
  const name = request.param("vhost");
  const isNew = !core.vhosts.has(name);
  request.change(() => {
    core.addVirtualHost(name);
    if (isNew) core.users.permit(user.name, name, { configure: ".*", write: ".*", read: ".*" });
  });
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest): undefined {
  request.require();
  const { name } = request.vhost();
  request.change(() => request.broker.removeVirtualHost(name));
}

function rowOf(vhost: VirtualHost): Row {
  let ready = 0;
  let unacked = 0;
  for (const queue of vhost.queues.values()) {
    ready += queue.ready;
    unacked += queue.unacked;
  }
  return {
    name: vhost.name,
    description: "",
    tags: [],
    metadata: { description: "", tags: [] },
    default_queue_type: "undefined",
    cluster_state: { [NODE]: "running" },
    tracing: false,
    messages: ready + unacked,
    messages_ready: ready,
    messages_unacknowledged: unacked,
  };
}
