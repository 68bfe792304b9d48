import { amqpError } from "../../../amqp/amqp_error.ts";
import type { ClientConnection } from "../../protocol.ts";
import type { Json } from "../../core/definitions/table.ts";
import { notAuthorised, notFound } from "../errors.ts";
import { channelColumn, connectionColumn } from "../columns.ts";
import { columnsOf, listObjects, listOf } from "../list.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import {
  channelName,
  channelRow,
  channelRows,
  channelsOf,
  connectionName,
  connectionRow,
  consumerRows,
  type Row,
} from "../views.ts";

/** Connections and their channels. */
export const CONNECTIONS: Handlers = {
  "GET /api/connections": list,
  "GET /api/connections/username/:user": ofUser,
  "DELETE /api/connections/username/:user": closeOfUser,
  "GET /api/connections/:name": show,
  "DELETE /api/connections/:name": close,
  "GET /api/connections/:name/channels": channels,
  "GET /api/vhosts/:vhost/connections": list,
  "GET /api/channels": allChannels,
  "GET /api/channels/:name": showChannel,
  "GET /api/vhosts/:vhost/channels": allChannels,
};

function list(request: ApiRequest): Json {
  const objects = visible(request);
  return listObjects({
    objects,
    name: connectionName,
    row: (connection) => connectionRow(connection, request),
    column: (column) => connectionColumn(column, request.rates),
  }, request.query);
}

function show(request: ApiRequest): Json {
  return columnsOf(connectionRow(inPath(request), request), request.query);
}

function close(request: ApiRequest): undefined {
  const connection = inPath(request);
  checkUser(request, connection.user);
  closeAll(request, [connection]);
}

function closeAll(request: ApiRequest, connections: readonly ClientConnection[]): void {
  request.change(() => {
    for (const connection of connections) connection.fail(amqpError(320, "Closed via management plugin"));
  });
}

/** Users with the tag `monitoring` see the connections of others, and must not close them. */
function checkUser(request: ApiRequest, user: string): void {
  if (!request.is() && user !== request.user.name) {
    throw notAuthorised("User not authorised to access object");
  }
}

function ofUser(request: ApiRequest): Json {
  const rows = visible(request, request.param("user")).map((connection) => {
    const { user, vhost } = connection;
    return { name: connectionName(connection), vhost: vhost.name, user, node: request.node };
  });
  return listOf(rows, request.query);
}

function closeOfUser(request: ApiRequest): undefined {
  checkUser(request, request.param("user"));
  closeAll(request, visible(request, request.param("user")));
}

function channels(request: ApiRequest): Json {
  return listOf(channelRows(inPath(request), request), request.query);
}

function allChannels(request: ApiRequest): Json {
  const objects = visible(request).flatMap((connection) =>
    channelsOf(connection).map((channel) => ({ connection, channel }))
  );
  return listObjects({
    objects,
    name: ({ connection, channel }) => channelName(connection, channel),
    row: ({ connection, channel }) => channelRow(connection, channel, request),
    column: (column) => channelColumn(column, request.rates),
  }, request.query);
}

/** Shows a channel by its name in the list, with its consumers. */
function showChannel(request: ApiRequest): Json {
  const name = request.param("name");
  for (const connection of visible(request)) {
    const row = channelRows(connection, request).find((one) => one["name"] === name);
    if (row === undefined) continue;
    const consumers = consumerRows(connection, request.node).filter((consumer) =>
      (consumer["channel_details"] as Row)["name"] === name
    );
    return columnsOf({ ...row, consumer_details: consumers, deliveries: [], publishes: [] }, request.query);
  }
  throw notFound();
}

/**
 * Returns the visible connections: all for users with the tag `monitoring`, otherwise the user's own.
 *
 * @param of only the connections of this user
 */
function visible(request: ApiRequest, of?: string): ClientConnection[] {
  const names = new Set(request.vhostsInPath().map(({ name }) => name));
  return [...request.broker.connections].filter(({ user, vhost }) =>
    names.has(vhost.name) && (of === undefined || user === of) &&
    (request.is("monitoring") || user === request.user.name)
  );
}

function inPath(request: ApiRequest): ClientConnection {
  const name = request.param("name");
  const found = visible(request).find((connection) => connectionName(connection) === name);
  if (found === undefined) throw notFound();
  return found;
}
