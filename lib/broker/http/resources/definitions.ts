import { exportDefinitions } from "../../core/definitions/definitions.ts";
import { importDefinitions } from "../../core/definitions/import.ts";
import type { Json } from "../../core/definitions/table.ts";
import type { Answer, ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** RabbitMQ's definitions, for administrators. */
export const DEFINITIONS: Handlers = {
  "GET /api/definitions": write,
  "GET /api/definitions/:vhost": (request) => write(request, request.vhost().name),
  "POST /api/definitions": read,
  "POST /api/definitions/:vhost": (request) => read(request, request.vhost().name),
};

function write(request: ApiRequest, vhost?: string): Json {
  request.require();
  return exportDefinitions(request.core, request.broker.options, vhost);
}

/** Imports definitions. The response lists the ignored definitions, if there are any. */
function read(request: ApiRequest, vhost?: string): Answer {
  request.require();
  const warnings = request.change(() => importDefinitions(request.core, request.json(), vhost));
  return warnings.length > 0 ? { warnings } : undefined;
}
