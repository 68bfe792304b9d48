import { type Json, tableFromJson } from "../../core/definitions/table.ts";
import { badRequest } from "../errors.ts";
import { HTTP_QUEUE_OWNER } from "../queue_owner.ts";
import { queueColumn } from "../columns.ts";
import { columnsOf, listObjects, listOf } from "../list.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { bindingRow, bindingsOf, consumerRows, queueDetails, type Row } from "../views.ts";

/** Queues and consumers. */
export const QUEUES: Handlers = {
  "GET /api/queues": list,
  "GET /api/queues/:vhost": list,
  "GET /api/queues/:vhost/:name": show,
  "PUT /api/queues/:vhost/:name": declare,
  "DELETE /api/queues/:vhost/:name": remove,
  "DELETE /api/queues/:vhost/:name/contents": purge,
  "GET /api/queues/:vhost/:name/bindings": bindings,
  "GET /api/consumers": consumers,
  "GET /api/consumers/:vhost": consumers,
};

function list(request: ApiRequest): Json {
  return listObjects({
    objects: request.vhostsInPath().flatMap(({ queues }) => [...queues.values()]),
    name: (queue) => queue.name,
    row: (queue) => queueDetails(queue, request),
    column: (column) => queueColumn(column, request.rates),
  }, request.query);
}

function show(request: ApiRequest): Json {
  const queue = request.queue();
  const details = visibleConsumers(request).filter(({ queue: at }) => {
    const { name, vhost } = at as Row;
    return name === queue.name && vhost === queue.definition.vhost;
  });
  return columnsOf({
    ...queueDetails(queue, request),
    consumer_details: details,
    // Rates by channel and exchange are not counted, as in RabbitMQ with `rates_mode` basic.
    deliveries: [],
    incoming: [],
  }, request.query);
}

/** Declares a queue. Status 201 for a new queue, 204 for an existing equal one. */
function declare(request: ApiRequest): Reply {
  const name = request.param("name");
  const vhost = request.vhost();
  const { length } = new TextEncoder().encode(name);
  if (length > 255) throw badRequest(`queue should be less than 255 bytes, actually was ${length}`);
  const object = request.jsonObject();
  const access = request.access();
  const args = tableFromJson(object.object("arguments"));
  access.check("configure", "queue", name);
  const exchange = args["x-dead-letter-exchange"];
  if (typeof exchange === "string") {
    access.check("read", "queue", name);
    access.check("write", "exchange", exchange);
  }
  const isNew = !vhost.queues.has(name);
  const declared = {
    queue: name,
    passive: false,
    durable: object.flag("durable", false),
    exclusive: false,
    autoDelete: object.flag("auto_delete", false),
    arguments: args,
  };
  request.change(() => vhost.declareQueue(declared, HTTP_QUEUE_OWNER).touch());
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest): undefined {
  const { name } = request.queue();
  request.access().check("configure", "queue", name);
  const ifUnused = request.query.get("if-unused") === "true";
  const ifEmpty = request.query.get("if-empty") === "true";
  request.change(() => request.vhost().deleteQueue({ queue: name, ifUnused, ifEmpty }, HTTP_QUEUE_OWNER));
}

function purge(request: ApiRequest): undefined {
  const { name } = request.queue();
  request.access().check("read", "queue", name);
  request.change(() => request.vhost().queueFor(name, HTTP_QUEUE_OWNER).purge());
}

function bindings(request: ApiRequest): Json {
  const { name } = request.queue();
  const found = [...bindingsOf(request.vhost())].filter((binding) =>
    binding.destinationType === "queue" && binding.destination === name
  );
  return listOf(found.map(bindingRow), request.query);
}

function consumers(request: ApiRequest): Json {
  return listOf(visibleConsumers(request), request.query);
}

function visibleConsumers(request: ApiRequest): Row[] {
  const names = new Set(request.vhostsInPath().map(({ name }) => name));
  return [...request.broker.connections].filter(({ vhost }) => names.has(vhost.name)).flatMap((connection) =>
    consumerRows(connection, request.node)
  );
}
