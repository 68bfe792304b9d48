import type { BrokerCore } from "../../core/broker_core.ts";
import type { Json } from "../../core/definitions/table.ts";
import { encodeMessage, propertiesOf } from "../../core/message.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { badRequest } from "../errors.ts";
import { HTTP_QUEUE_OWNER } from "../queue_owner.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";

/** Moves messages between queues; RabbitMQ's API has no such request. */
export const MOVE: Handlers = { "POST /api/queues/:vhost/:name/move": move };

/** The broker serves its clients again after this time, in milliseconds. */
const TURN_MS = 10;

/**
 * Moves the first `count` ready messages to the queue `destination`, all by default. Later messages are not moved. Each
 * message is in one of the queues, also after a crash.
 */
async function move(request: ApiRequest): Promise<Json> {
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
  from.catchUp();
  const wanted = Math.min(object.integer("count", from.ready), from.ready);
  let moved = 0;
  while (moved < wanted) {
    const before = moved;
    moved += request.change(() => turn(request.core, from, to, wanted - moved));
    if (moved === before || from.deleted || to.deleted) break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { full } = request.core.journal;
  if (full !== undefined) throw badRequest(`the messages are not on disk yet: ${full.message}`);
  return { moved };
}

/** Moves messages for a moment. @returns their number */
function turn(core: BrokerCore, from: Queue, to: Queue, most: number): number {
  const end = performance.now() + TURN_MS;
  let moved = 0;
  for (let lane = from.lanes.length - 1; lane >= 0; lane--) {
    for (let seq = 0; (seq = from.lanes[lane]!.nextReady(seq)) >= 0; seq++) {
      if (moved === most || performance.now() > end) return moved;
      if (core.blocked !== undefined) throw badRequest(`the broker accepts no messages: ${core.blocked}`);
      if (moveOne(core, from, to, lane, seq)) moved++;
    }
  }
  return moved;
}

function moveOne(core: BrokerCore, from: Queue, to: Queue, lane: number, seq: number): boolean {
  const message = from.messageAt(lane, seq);
  if (message === undefined) {
    from.settle(lane, seq); // It is damaged on disk; the journal has reported this.
    return false;
  }
  const { body, bodyStart, bodyEnd } = message;
  if (!to.hasRoomFor(bodyEnd - bodyStart)) throw badRequest(`queue '${to.name}' is full`);
  const address = { exchange: "", routingKey: to.name };
  const copy = encodeMessage(address, propertiesOf(message), body.slice(bodyStart, bodyEnd));
  core.intake.put(to, copy, { queue: from, lane, seq });
  from.settle(lane, seq, core.intake.position > 0);
  return true;
}
