import { amqpError } from "../../../amqp/amqp_error.ts";
import type { ClientConnection } from "../../protocol.ts";
import type { Json } from "../../core/definitions/table.ts";
import { notFound } from "../errors.ts";
import { columnsOf, listOf } from "../list.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import { channelRows, connectionName, connectionRow } from "../views.ts";

/** Connections and their channels. */
export const CONNECTIONS: Handlers = {
  "GET /api/connections": list,
  "GET /api/connections/:name": show,
  "DELETE /api/connections/:name": close,
  "GET /api/connections/:name/channels": channels,
  "GET /api/vhosts/:vhost/connections": list,
  "GET /api/channels": allChannels,
  "GET /api/vhosts/:vhost/channels": allChannels,
};

function list(request: ApiRequest): Json {
  return listOf(visible(request).map(connectionRow), request.query);
}

function show(request: ApiRequest): Json {
  return columnsOf(connectionRow(inPath(request)), request.query);
}

function close(request: ApiRequest): undefined {
  const connection = inPath(request);
  request.change(() => connection.fail(amqpError(320, "Closed via management plugin")));
}

function channels(request: ApiRequest): Json {
  return listOf(channelRows(inPath(request)), request.query);
}

function allChannels(request: ApiRequest): Json {
  return listOf(visible(request).flatMap(channelRows), request.query);
}

/** Returns the visible connections: all for users with the tag `monitoring`, otherwise the user's own. */
function visible(request: ApiRequest): ClientConnection[] {
  const names = new Set(request.vhostsInPath().map(({ name }) => name));
  return [...request.broker.connections].filter(({ user, vhost }) =>
    names.has(vhost.name) && (request.is("monitoring") || user === request.user.name)
  );
}

function inPath(request: ApiRequest): ClientConnection {
  const name = request.param("name");
  const found = visible(request).find((connection) => connectionName(connection) === name);
  if (found === undefined) throw notFound();
  return found;
}
