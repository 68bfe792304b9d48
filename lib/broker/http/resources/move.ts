import type { Json } from "../../core/definitions/table.ts";
import { Sweep } from "../../core/queue/sweep.ts";
import { badRequest } from "../errors.ts";
import { HTTP_QUEUE_OWNER } from "../queue_owner.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** Moves messages between queues; RabbitMQ's API has no such request. */
export const MOVE: Handlers = { "POST /api/queues/:vhost/:name/move": move };

/** Moves the first `count` messages that are ready now to the queue `destination`; all by default. */
async function move(request: ApiRequest): Promise<Json> {
  const { core } = request;
  const object = request.jsonObject();
  const destination = object.text("destination");
  const vhost = request.vhost();
  const { name } = request.queue();
  const access = request.access();
  access.check("read", "queue", name);
  access.check("write", "exchange", "");
  const from = vhost.queueFor(name, HTTP_QUEUE_OWNER);
  const to = vhost.queueFor(destination, HTTP_QUEUE_OWNER);
  if (from === to) throw badRequest("a queue cannot be moved to itself");
  const count = object.integer("count", Number.MAX_SAFE_INTEGER);
  const sweep = new Sweep(core, from, { type: "move", to }, undefined, count);
  // Other clients are served between two turns.
  while (request.change(() => sweep.turn())) await new Promise((resolve) => setImmediate(resolve));
  request.change(() => core.cycle.syncThisCycle());
  const { full } = core.journal;
  if (full !== undefined) throw badRequest(`the messages are not on disk yet: ${full.message}`);
  const { matched: moved, failure } = sweep.report;
  if (failure !== undefined) throw badRequest(`${failure} (moved ${moved} messages)`);
  return { moved };
}
