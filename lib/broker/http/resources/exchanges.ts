import { type Json, tableFromJson } from "../../core/definitions/table.ts";
import { notFound } from "../errors.ts";
import { columnsOf, listObjects, listOf } from "../list.ts";
import { type ApiRequest, Reply } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { bindingRow, bindingsOf, exchangeRow } from "../views.ts";

/** Exchanges. */
export const EXCHANGES: Handlers = {
  "GET /api/exchanges": list,
  "GET /api/exchanges/:vhost": list,
  "GET /api/exchanges/:vhost/:name": show,
  "PUT /api/exchanges/:vhost/:name": declare,
  "DELETE /api/exchanges/:vhost/:name": remove,
  "GET /api/exchanges/:vhost/:name/bindings/source": outgoing,
  "GET /api/exchanges/:vhost/:name/bindings/destination": incoming,
};

function list(request: ApiRequest): Json {
  return listObjects({
    objects: request.vhostsInPath().flatMap(({ exchanges }) => [...exchanges.values()]),
    name: (exchange) => exchange.name,
    row: (exchange) => exchangeRow(exchange, request),
  }, request.query);
}

function show(request: ApiRequest): Json {
  const exchange = request.vhost().exchanges.get(request.exchangeName());
  if (exchange === undefined) throw notFound();
  return columnsOf({ ...exchangeRow(exchange, request), incoming: [], outgoing: [] }, request.query);
}

/** Declares an exchange. Status 201 for a new exchange, 204 for an existing equal one. */
function declare(request: ApiRequest): Reply {
  const exchange = request.exchangeName();
  const vhost = request.vhost();
  const object = request.jsonObject();
  const access = request.access();
  const args = tableFromJson(object.object("arguments"));
  access.check("configure", "exchange", exchange);
  const alternate = args["alternate-exchange"];
  if (typeof alternate === "string") {
    access.check("read", "exchange", exchange);
    access.check("write", "exchange", alternate);
  }
  const isNew = !vhost.exchanges.has(exchange);
  const declared = {
    exchange,
    type: object.text("type", "direct"),
    passive: false,
    durable: object.flag("durable", false),
    autoDelete: object.flag("auto_delete", false),
    internal: object.flag("internal", false),
    arguments: args,
  };
  request.change(() => vhost.declareExchange(declared));
  return new Reply(isNew ? 201 : 204);
}

function remove(request: ApiRequest): undefined {
  const exchange = request.exchangeName();
  const vhost = request.vhost();
  if (!vhost.exchanges.has(exchange)) throw notFound();
  request.access().check("configure", "exchange", exchange);
  const ifUnused = request.query.get("if-unused") === "true";
  request.change(() => vhost.deleteExchange({ exchange, ifUnused }));
}

function outgoing(request: ApiRequest): Json {
  const name = request.exchangeName();
  const found = [...bindingsOf(request.vhost())].filter(({ source }) => source === name);
  return listOf(found.map(bindingRow), request.query);
}

function incoming(request: ApiRequest): Json {
  const name = request.exchangeName();
  const found = [...bindingsOf(request.vhost())].filter((binding) =>
    binding.destinationType === "exchange" && binding.destination === name
  );
  return listOf(found.map(bindingRow), request.query);
}
