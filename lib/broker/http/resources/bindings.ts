import { type Json, tableFromJson } from "../../core/definitions/table.ts";
import type { BindingDefinition } from "../../core/topology/definition_change.ts";
import { badRequest, notFound } from "../errors.ts";
import { listOf } from "../list.ts";
import { HTTP_QUEUE_OWNER } from "../queue_owner.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { bindingLocation, bindingRow, bindingsOf, propertiesKey } from "../views.ts";

/** Bindings; `:kind` is `q` (queue) or `e` (exchange). */
export const BINDINGS: Handlers = {
  "GET /api/bindings": list,
  "GET /api/bindings/:vhost": list,
  "GET /api/bindings/:vhost/e/:source/:kind/:destination": between,
  "POST /api/bindings/:vhost/e/:source/:kind/:destination": bind,
  "GET /api/bindings/:vhost/e/:source/:kind/:destination/:key": show,
  "DELETE /api/bindings/:vhost/e/:source/:kind/:destination/:key": unbind,
};

function list(request: ApiRequest): Json {
  const bindings = request.vhostsInPath().flatMap((vhost) => [...bindingsOf(vhost)]);
  return listOf(bindings.map(bindingRow), request.query);
}

function between(request: ApiRequest): Json {
  return listOf(inPath(request).map(bindingRow), request.query);
}

function show(request: ApiRequest): Json {
  return bindingRow(oneInPath(request));
}

function bind(request: ApiRequest): Reply {
  const object = request.jsonObject();
  const { source, destination, kind } = ends(request);
  const binding: BindingDefinition = {
    vhost: request.vhost().name,
    source,
    destinationType: kind,
    destination,
    routingKey: object.text("routing_key", ""),
    arguments: tableFromJson(object.object("arguments")),
  };
  change(request, binding, "bind");
  return new Reply(201, "", undefined, { location: bindingLocation(binding) });
}

function unbind(request: ApiRequest): undefined {
  change(request, oneInPath(request), "unbind");
}

function change(request: ApiRequest, binding: BindingDefinition, what: "bind" | "unbind"): void {
  const vhost = request.vhost();
  const access = request.access();
  const { source, destination, destinationType: kind, routingKey, arguments: args } = binding;
  access.check("write", kind, destination);
  access.check("read", "exchange", source);
  access.checkTopic("read", vhost.exchanges, source, routingKey);
  request.change(() => {
    if (kind === "queue") {
      const queue = { queue: destination, exchange: source, routingKey, arguments: args };
      if (what === "bind") vhost.bindQueue(queue, HTTP_QUEUE_OWNER);
      else vhost.unbindQueue(queue, HTTP_QUEUE_OWNER);
    } else {
      const exchange = { source, destination, routingKey, arguments: args };
      if (what === "bind") vhost.bindExchange(exchange);
      else vhost.unbindExchange(exchange);
    }
  });
}

function ends(request: ApiRequest): { source: string; destination: string; kind: "queue" | "exchange" } {
  const kind = request.param("kind");
  if (kind !== "q" && kind !== "e") throw notFound();
  const source = request.exchangeName("source");
  if (kind === "q") return { source, destination: request.param("destination"), kind: "queue" };
  return { source, destination: request.exchangeName("destination"), kind: "exchange" };
}

function inPath(request: ApiRequest): BindingDefinition[] {
  const { source, destination, kind } = ends(request);
  return [...bindingsOf(request.vhost())].filter((binding) =>
    binding.source === source && binding.destination === destination && binding.destinationType === kind
  );
}

function oneInPath(request: ApiRequest): BindingDefinition {
  const key = request.param("key");
  const [found, another] = inPath(request).filter((one) =>
    propertiesKey(one.routingKey, one.arguments) === key
  );
  if (found === undefined) throw notFound();
  if (another !== undefined) throw badRequest(`several bindings have the properties key '${key}'`);
  return found;
}
