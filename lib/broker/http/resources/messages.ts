import { Buffer } from "node:buffer";
import type { EncodedMessage } from "../../../amqp/frames/frame_encoder.ts";
import type { BasicProperties } from "../../../amqp/properties.ts";
import { PropertyScan } from "../../../amqp/property_scan.ts";
import { JsonObject } from "../../core/definitions/json_object.ts";
import { type Json, tableFromJson, tableToJson } from "../../core/definitions/table.ts";
import { addressOf, encodeMessage, propertiesOf } from "../../core/message.ts";
import type { Queue } from "../../core/queue/queue.ts";
import { badRequest } from "../errors.ts";
import { HTTP_QUEUE_OWNER } from "../queue_owner.ts";
import type { ApiRequest } from "../request.ts";
import type { Handlers } from "../path_table.ts";
import type { Row } from "../views.ts";

/** Messages: get, peek and publish. */
export const MESSAGES: Handlers = {
  "POST /api/queues/:vhost/:name/get": get,
  "POST /api/queues/:vhost/:name/peek": peek,
  "POST /api/exchanges/:vhost/:name/publish": publish,
};

/** The maximum number of messages and body bytes in one response. */
const MAX_COUNT = 10_000;
const MAX_BYTES = 64 * 2 ** 20;

/** The values of `ackmode`: what happens to the fetched messages. */
const MODES = ["ack_requeue_true", "reject_requeue_true", "ack_requeue_false", "reject_requeue_false"];

/** The properties with their names in JSON and their types. */
const PROPERTIES:
  readonly (readonly [name: keyof BasicProperties, json: string, type: "text" | "integer"])[] = [
    ["contentType", "content_type", "text"],
    ["contentEncoding", "content_encoding", "text"],
    ["deliveryMode", "delivery_mode", "integer"],
    ["priority", "priority", "integer"],
    ["correlationId", "correlation_id", "text"],
    ["replyTo", "reply_to", "text"],
    ["expiration", "expiration", "text"],
    ["messageId", "message_id", "text"],
    ["timestamp", "timestamp", "integer"],
    ["type", "type", "text"],
    ["userId", "user_id", "text"],
    ["appId", "app_id", "text"],
    ["clusterId", "cluster_id", "text"],
  ];

/** The parameters of a request that fetches messages. */
interface FetchOptions {
  /** Encodes all bodies as base64. Otherwise only bodies that are not UTF-8. */
  readonly base64: boolean;
  /** Bodies are truncated to this number of bytes. */
  readonly truncate: number;
  readonly count: number;
}

/**
 * Fetches messages from the front of the queue. `ackmode` decides whether they are removed, dead-lettered or requeued.
 */
function get(request: ApiRequest): Json {
  const object = request.jsonObject();
  const options = fetchOptionsOf(object);
  // The parameter `requeue` of RabbitMQ 3.6 preceded `ackmode`.
  const older = object.has("requeue") ? `ack_requeue_${object.flag("requeue", true)}` : undefined;
  const mode = object.text("ackmode", older);
  if (!MODES.includes(mode)) {
    throw badRequest(`ackmode must be one of ${MODES.join(", ")}: received '${mode}'`);
  }
  const queue = queueOf(request);
  const rows: Row[] = [];
  request.change(() => {
    const taken: (readonly [lane: number, seq: number])[] = [];
    let outcome = MODES[0]!;
    let bytes = 0;
    queue.touch();
    const counts = [queue.stats, request.vhost().stats];
    const count = (name: "got" | "gotNoAck" | "getEmpty" | "redelivered") => {
      for (const stats of counts) stats[name]++;
    };
    try {
      while (taken.length < options.count && bytes < MAX_BYTES) {
        if (!queue.take()) {
          count("getEmpty");
          break;
        }
        const { takenLane: lane, takenSeq: seq } = queue;
        taken.push([lane, seq]);
        const message = queue.messageAt(lane, seq);
        if (message === undefined) continue; // It is damaged on disk; the journal has reported this.
        bytes += message.bodyEnd - message.bodyStart;
        const redelivered = queue.lanes[lane]!.isRedelivered(seq);
        rows.push(rowOf(message, redelivered, queue.ready, options));
        // RabbitMQ fetches without acknowledgement here.
        count(mode === "ack_requeue_false" ? "gotNoAck" : "got");
        if (redelivered) count("redelivered");
      }
      outcome = mode;
    } finally {
      for (const [lane, seq] of taken) {
        if (outcome.endsWith("requeue_true")) queue.giveBack(lane, seq);
        else if (outcome.startsWith("ack")) queue.settle(lane, seq);
        else queue.reject(lane, seq);
      }
      queue.noteDelivered();
    }
  });
  return rows;
}

/** Returns messages after the first `offset` ones, without changing the queue. */
function peek(request: ApiRequest): Json {
  const object = request.jsonObject();
  const options = fetchOptionsOf(object);
  const queue = queueOf(request);
  const now = request.core.cycle.clock.now();
  const rows: Row[] = [];
  let offset = object.integer("offset", 0);
  let left = queue.ready;
  let bytes = 0;
  for (let at = queue.lanes.length - 1; at >= 0; at--) {
    const lane = queue.lanes[at]!;
    for (let seq = 0; (seq = lane.nextReady(seq)) >= 0; seq++) {
      if (rows.length === options.count || bytes >= MAX_BYTES) return rows;
      left--;
      const expiry = lane.expiryAt(seq);
      if (expiry > 0 && expiry <= now || offset-- > 0) continue;
      const message = queue.messageAt(at, seq);
      if (message === undefined) continue;
      bytes += message.bodyEnd - message.bodyStart;
      rows.push(rowOf(message, lane.isRedelivered(seq), left, options));
    }
  }
  return rows;
}

/** Publishes one message. The response is sent when a publisher confirm could be sent. */
function publish(request: ApiRequest): Json {
  const exchange = request.exchangeName();
  const vhost = request.vhost();
  const object = request.jsonObject();
  const routingKey = object.text("routing_key");
  const encoding = object.text("payload_encoding", "string");
  if (encoding !== "string" && encoding !== "base64") {
    throw badRequest(`payload_encoding must be 'string' or 'base64': received '${encoding}'`);
  }
  const payload = object.text("payload");
  // The decoder would leave out what is not base64.
  if (encoding === "base64" && !isBase64(payload)) {
    throw badRequest(`payload must be base64: received '${payload.slice(0, 80)}'`);
  }
  const body = Buffer.from(payload, encoding === "base64" ? "base64" : "utf8");
  const properties = propertiesFromJson(new JsonObject("properties", object.object("properties")));
  const message = encodeMessage({ exchange, routingKey }, properties, body);
  const scan = new PropertyScan();
  scan.read(message.head, message.propertiesStart, message.propertiesEnd);
  const { core } = request;
  const access = request.access();
  access.check("write", "exchange", exchange);
  core.intake.check(vhost, request.user.name, exchange, scan);
  access.checkTopic("write", vhost.exchanges, exchange, routingKey);
  if (core.blocked !== undefined) throw badRequest(`the broker accepts no messages: ${core.blocked}`);
  const answer = request.change(() => {
    const { routed, taken, copies } = core.intake.publishInternally(vhost, exchange, routingKey, message);
    const { stats } = vhost;
    stats.published++;
    core.intake.sizes.add(body.length);
    stats.confirmable++;
    stats.routed += copies;
    const source = vhost.exchanges.get(exchange)!.stats;
    source.published++;
    source.routed += copies;
    if (!routed) stats.returned++;
    if (routed && !taken) throw badRequest("a full queue rejected the message");
    stats.confirmed++;
    core.cycle.syncThisCycle();
    return { routed };
  });
  const { full } = core.journal;
  if (full !== undefined) throw badRequest(`the message is not on disk yet: ${full.message}`);
  return answer;
}

function isBase64(text: string): boolean {
  const compact = text.replace(/\s/g, "");
  return compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
}

function queueOf(request: ApiRequest): Queue {
  const { name } = request.queue();
  request.access().check("read", "queue", name);
  return request.vhost().queueFor(name, HTTP_QUEUE_OWNER);
}

function fetchOptionsOf(object: JsonObject): FetchOptions {
  const encoding = object.text("encoding", "auto");
  if (encoding !== "auto" && encoding !== "base64") {
    throw badRequest(`encoding must be 'auto' or 'base64': received '${encoding}'`);
  }
  return {
    base64: encoding === "base64",
    truncate: object.integer("truncate", Number.MAX_SAFE_INTEGER),
    count: Math.min(object.integer("count", 1), MAX_COUNT),
  };
}

function rowOf(message: EncodedMessage, redelivered: boolean, left: number, options: FetchOptions): Row {
  const { exchange, routingKey } = addressOf(message);
  const { body, bodyStart, bodyEnd } = message;
  const size = bodyEnd - bodyStart;
  const shown = body.subarray(bodyStart, bodyStart + Math.min(size, options.truncate));
  const text = options.base64 ? undefined : textOf(shown);
  return {
    payload_bytes: size,
    redelivered,
    exchange,
    routing_key: routingKey,
    message_count: left,
    properties: propertiesToJson(propertiesOf(message)),
    payload: text ?? Buffer.from(shown).toString("base64"),
    payload_encoding: text === undefined ? "base64" : "string",
  };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes a body; undefined if it is not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

export function propertiesToJson(properties: BasicProperties): Row {
  const row: Row = {};
  for (const [name, json] of PROPERTIES) {
    const value = properties[name];
    if (value !== undefined) row[json] = typeof value === "bigint" ? Number(value) : value as string | number;
  }
  if (properties.headers !== undefined) row["headers"] = tableToJson(properties.headers);
  return row;
}

function propertiesFromJson(object: JsonObject): BasicProperties {
  const properties: Record<string, unknown> = {};
  for (const [name, json, type] of PROPERTIES) {
    if (object.has(json)) properties[name] = type === "text" ? object.text(json) : object.integer(json);
  }
  if (object.has("headers")) properties["headers"] = tableFromJson(object.object("headers"));
  return properties as BasicProperties;
}
