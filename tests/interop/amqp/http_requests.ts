/** Requests to RabbitMQ's HTTP API and ours that must return the same status, and the same members or fewer. */
import assert from "node:assert/strict";
import type { Json } from "../../../lib/broker/core/definitions/table.ts";

/** A request and its body as JSON. */
type Request = readonly [route: string, body?: Json];

const ALL = { configure: ".*", write: ".*", read: ".*" };
const QUEUE = { durable: true, arguments: { "x-max-length": 5 } };
const PUBLISH = { properties: {}, routing_key: "a.b", payload: "hi", payload_encoding: "string" };
const GET = { count: 5, ackmode: "ack_requeue_true", encoding: "auto" };

/** The requests in order; each depends on the state after the previous ones. */
const REQUESTS: readonly Request[] = [
  ["PUT /api/vhosts/http", {}],
  ["PUT /api/vhosts/http", {}],
  ["GET /api/vhosts/http"],
  ["GET /api/vhosts/missing"],
  ["PUT /api/permissions/http/guest", ALL],
  ["PUT /api/permissions/http/guest", ALL],
  ["PUT /api/permissions/http/guest", { configure: ".*" }],
  ["GET /api/permissions/http/guest"],
  ["GET /api/permissions/http/missing"],
  ["PUT /api/queues/http/q", QUEUE],
  ["PUT /api/queues/http/q", QUEUE],
  ["PUT /api/queues/http/q", { durable: true, arguments: { "x-max-length": 6 } }],
  ["PUT /api/queues/http/bad", { durable: true, arguments: { "x-message-ttl": "x" } }],
  ["PUT /api/queues/http/bad", { durable: "x" }],
  ["PUT /api/queues/http/bad", []],
  ["PUT /api/queues/http/amq.bad", {}],
  ["PUT /api/queues/missing/q", {}],
  ["GET /api/queues/http/q"],
  ["GET /api/queues/http"],
  ["GET /api/queues/http/missing"],
  ["PUT /api/exchanges/http/x", { type: "topic", durable: true }],
  ["PUT /api/exchanges/http/x", { type: "topic", durable: true }],
  ["PUT /api/exchanges/http/x", { type: "fanout", durable: true }],
  ["PUT /api/exchanges/http/odd", { type: "odd" }],
  ["PUT /api/exchanges/http/amq.odd", { type: "topic" }],
  ["PUT /api/exchanges/http/amq.default", { type: "direct" }],
  ["GET /api/exchanges/http/x"],
  ["GET /api/exchanges/http/amq.default"],
  ["GET /api/exchanges/http"],
  ["GET /api/exchanges/http/missing"],
  ["POST /api/bindings/http/e/x/q/q", { routing_key: "a.#", arguments: {} }],
  ["POST /api/bindings/http/e/x/q/missing", { routing_key: "a" }],
  ["POST /api/bindings/http/e/missing/q/q", { routing_key: "a" }],
  ["POST /api/bindings/http/e/amq.default/q/q", { routing_key: "a" }],
  ["POST /api/bindings/http/e/x/e/amq.fanout", { routing_key: "" }],
  ["POST /api/bindings/http/e/x/e/amq.direct", { routing_key: "a.#/~%é +b!'()*" }],
  ["GET /api/bindings/http/e/x/e/amq.direct"],
  ["GET /api/bindings/http?sort=routing_key"],
  ["GET /api/bindings/http/e/x/q/q"],
  ["GET /api/bindings/http/e/x/q/q/a.%2523"],
  ["GET /api/bindings/http/e/x/q/q/missing"],
  ["GET /api/bindings/http/e/x/e/amq.fanout/~"],
  ["GET /api/exchanges/http/x/bindings/source?sort=routing_key"],
  ["GET /api/exchanges/http/amq.fanout/bindings/destination"],
  ["GET /api/queues/http/q/bindings?sort=routing_key"],
  ["POST /api/exchanges/http/x/publish", { ...PUBLISH, properties: { delivery_mode: 2, headers: { a: 1 } } }],
  ["POST /api/exchanges/http/x/publish", { ...PUBLISH, routing_key: "nowhere" }],
  ["POST /api/exchanges/http/x/publish", {
    ...PUBLISH,
    properties: { type: "t" },
    payload: "AP8=",
    payload_encoding: "base64",
  }],
  ["POST /api/exchanges/http/x/publish", { ...PUBLISH, payload_encoding: "odd" }],
  ["POST /api/exchanges/http/x/publish", { routing_key: "a.b" }],
  ["POST /api/exchanges/http/x/publish", { ...PUBLISH, properties: { priority: "x" } }],
  ["POST /api/queues/http/q/get", GET],
  ["POST /api/queues/http/q/get", { ...GET, encoding: "base64", truncate: 1 }],
  ["POST /api/queues/http/q/get", { ...GET, encoding: "odd" }],
  ["POST /api/queues/http/q/get", { count: 1 }],
  ["POST /api/queues/http/missing/get", GET],
  ["POST /api/queues/http/q/get", { ...GET, count: 1, ackmode: "ack_requeue_false" }],
  ["DELETE /api/queues/http/q?if-empty=true"],
  ["DELETE /api/queues/http/q/contents"],
  ["DELETE /api/queues/http/missing/contents"],
  ["DELETE /api/queues/http/missing"],
  ["GET /api/definitions/http"],
  ["DELETE /api/exchanges/http/x?if-unused=true"],
  ["DELETE /api/exchanges/http/amq.topic"],
  ["DELETE /api/exchanges/http/missing"],
  ["DELETE /api/bindings/http/e/x/q/q/a.%2523"],
  ["DELETE /api/bindings/http/e/x/q/q/a.%2523"],
  ["DELETE /api/bindings/http/e/x/e/amq.fanout/~"],
  ["PUT /api/users/jane", { password: "x", tags: "management" }],
  ["PUT /api/users/jane", { password: "x", tags: ["management"] }],
  ["GET /api/users/missing"],
  ["GET /api/users/jane/permissions"],
  ["DELETE /api/users/jane"],
  ["DELETE /api/users/jane"],
  ["POST /api/definitions", {
    queues: [{ name: "d", vhost: "http", durable: true, auto_delete: false, arguments: {} }],
  }],
  ["POST /api/definitions/http", {
    queues: [{ name: "e", durable: true, auto_delete: false, arguments: {} }],
  }],
  ["POST /api/definitions", []],
  ["GET /api/queues/http?page=1&page_size=2&sort=name&columns=name"],
  ["GET /api/queues/http?sort=name&sort_reverse=true&columns=name,durable"],
  ["GET /api/queues?page=x"],
  ["GET /api/vhosts/http/permissions"],
  ["GET /api/vhosts/http/connections"],
  ["GET /api/vhosts/http/channels"],
  ["GET /api/consumers/http"],
  ["GET /api/queues?page=1&page_size=501"],
  ["GET /api/queues/http?page=2&page_size=500"],
  ["GET /api/queues/http?page=1&page_size=0"],
  ["GET /api/queues/http?page=1&page_size=5&name=missing"],
  ["GET /api/users/without-permissions"],
  ["PUT /api/users/without-permissions", {}],
  ["DELETE /api/users/without-permissions"],
  ["POST /api/users/bulk-delete", { users: ["missing"] }],
  ["GET /api/channels/missing"],
  ["GET /api/connections/missing"],
  ["GET /api/connections/username/missing"],
  ["GET /api/auth/attempts/missing"],
  ["GET /api/parameters/shovel/http"],
  ["GET /api/parameters/shovel/missing"],
  ["GET /api/parameters/shovel/http/missing"],
  ["DELETE /api/parameters/shovel/http/missing"],
  ["PUT /api/parameters/shovel/missing/x", {}],
  ["GET /api/global-parameters/missing"],
  ["DELETE /api/global-parameters/missing"],
  ["GET /api/policies/http"],
  ["GET /api/parameters/shovel"],
  ["GET /api/operator-policies/http"],
  ["GET /api/vhost-limits/http"],
  ["GET /api/topic-permissions"],
  ["GET /api/aliveness-test/http"],
  ["GET /api/health/checks/alarms"],
  ["GET /api/healthchecks/node"],
  ["GET /api/whoami"],
  ["POST /api/overview", {}],
  ["DELETE /api/permissions/http/guest"],
  ["DELETE /api/permissions/http/guest"],
  ["DELETE /api/vhosts/http"],
  ["DELETE /api/vhosts/http"],
  ["DELETE /api/connections/missing"],
];

/**
 * Members that are not compared: those of the node, the product and errors, and those that RabbitMQ updates every 5 s.
 */
const OWN = new Set([
  ...["node", "cluster_state", "metadata", "description", "total_count", "error", "reason"],
  ...["rabbit_version", "rabbitmq_version", "product_name", "product_version"],
  // Only ours knows when messages arrived.
  ...["oldest_message_received_timestamp", "oldest_message_received_before"],
  ...["recv_oct", "send_oct", "recv_oct_details", "send_oct_details"],
  ...["state", "consumers", "consumer_details", "single_active_consumer_tag"],
  ...["policy", "operator_policy", "effective_policy_definition"],
  ...["messages", "messages_ready", "messages_unacknowledged"],
  ...["messages_details", "messages_ready_details", "messages_unacknowledged_details"],
  ...["message_stats", "memory", "idle_since"],
  ...["message_bytes", "message_bytes_ready", "message_bytes_unacknowledged"],
]);

/** Asserts that each value in our response is in RabbitMQ's and equal. */
function compare(ours: Json, theirs: Json, path: string): void {
  if (Array.isArray(ours) && Array.isArray(theirs)) {
    assert.equal(ours.length, theirs.length, path);
    const others = theirs.toSorted(byName);
    ours.toSorted(byName).forEach((one, i) => compare(one, others[i]!, `${path}[${i}]`));
  } else if (isObject(ours) && isObject(theirs)) {
    for (const [name, value] of Object.entries(ours)) {
      if (OWN.has(name)) continue;
      assert.ok(name in theirs, `${path}.${name} is only in our response`);
      compare(value, theirs[name]!, `${path}.${name}`);
    }
  } else if (!isNothing(ours) || !isNothing(theirs)) assert.deepEqual(ours, theirs, path);
}

/** Orders list items by name, because the order of most lists has no meaning. Messages have no name and keep theirs. */
function byName(a: Json, b: Json): number {
  const nameOf = (json: Json) =>
    isObject(json) ? JSON.stringify([json["name"], json["source"], json["destination"]]) : "";
  return nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0;
}

function isObject(json: Json): json is { [name: string]: Json } {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Whether a value is empty. Erlang encodes every empty value as a list. */
function isNothing(json: Json): boolean {
  return typeof json === "object" && json !== null && Object.keys(json).length === 0;
}

/**
 * Sends all requests to both servers.
 *
 * @param theirs with `ours`: the base URLs of both APIs, without a path
 */
export async function compareHttp(theirs: string, ours: string): Promise<void> {
  for (const [route, body] of REQUESTS) {
    const [their, our] = await Promise.all([ask(theirs, route, body), ask(ours, route, body)]);
    const what = `${route} ${JSON.stringify(body) ?? ""}`;
    assert.equal(our.status, their.status, `${what}: RabbitMQ sent ${their.text}, ours ${our.text}`);
    assert.equal(our.location, their.location, what);
    if (our.status === 200) compare(JSON.parse(our.text), JSON.parse(their.text), what);
  }
}

async function ask(
  base: string,
  route: string,
  body?: Json,
): Promise<{ readonly status: number; readonly text: string; readonly location: string | null }> {
  const [method, path] = route.split(" ") as [string, string];
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const location = response.headers.get("location");
  return { status: response.status, text: await response.text(), location };
}
