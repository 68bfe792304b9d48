/** Policies, limits and topic permissions of RabbitMQ and of our broker: the same requests, answers and effects. */
import assert from "node:assert/strict";
import type { Json } from "../../../lib/broker/core/definitions/table.ts";
import { waitFor } from "../../support/helpers.ts";
import { Peer } from "./peer.ts";

/** A broker to compare. */
export interface PolicyTarget {
  /** The base URL of the HTTP API. */
  readonly http: string;
  /** `amqp://host:port`. */
  readonly url: string;
}

type Request = readonly [route: string, body?: Json];

const ALL = { configure: ".*", write: ".*", read: ".*" };
const LENGTH = { "max-length": 1 };

/** Requests whose status and body must be equal. */
const REQUESTS: readonly Request[] = [
  ["PUT policies/pol/p", {
    pattern: "^none",
    definition: { "max-length": 5, "message-ttl": 1000 },
    priority: 1,
  }],
  ["PUT policies/pol/p", {
    pattern: "^none",
    definition: { "max-length": 5, "message-ttl": 1000 },
    priority: 1,
  }],
  ["PUT operator-policies/pol/o", { pattern: "^none", "apply-to": "queues", definition: { expires: 9 } }],
  ["GET policies/pol"],
  ["GET policies/pol/p"],
  ["GET policies/pol/missing"],
  ["GET policies/missing"],
  ["GET operator-policies/pol"],
  ["GET operator-policies/pol/o"],
  ["GET definitions/pol"],
  ["DELETE policies/pol/missing"],
  ["PUT policies/missing/p", { pattern: "", definition: LENGTH }],
  ["PUT policies/pol/x", {}],
  ["PUT policies/pol/x", { pattern: "" }],
  ["PUT policies/pol/x", { pattern: "", definition: {} }],
  ["PUT policies/pol/x", { pattern: 1, definition: LENGTH }],
  ["PUT policies/pol/x", { pattern: "", definition: LENGTH, priority: "x" }],
  ...[
    { "max-length": -1 },
    { "max-length": "5" },
    { "max-length-bytes": -1 },
    { "max-in-memory-length": -1 },
    { "max-in-memory-bytes": -1 },
    { "message-ttl": 1.5 },
    { "message-ttl": -1 },
    { expires: 0 },
    { overflow: "up" },
    { "dead-letter-exchange": 3 },
    { "dead-letter-routing-key": 3 },
    { "dead-letter-strategy": "x" },
    { "alternate-exchange": 3 },
    { "delivery-limit": -1 },
    { "queue-mode": "x" },
    { "queue-version": 3 },
    { "queue-leader-locator": "x" },
    { "ha-mode": "x" },
    { "max-priority": 1 },
    { "max-length": 1, odd: 2 },
  ].map((definition): Request => ["PUT policies/pol/x", { pattern: "", definition } as Json]),
  ...[{ overflow: "drop-head" }, { "ha-mode": "all" }, { "max-length": -1 }].map((
    definition,
  ): Request => ["PUT operator-policies/pol/x", { pattern: "", definition } as Json]),
  ["PUT vhost-limits/pol/max-queues", { value: 60 }],
  ["GET parameters"],
  ["GET parameters/policy"],
  ["GET parameters/policy/pol"],
  ["GET parameters/operator_policy"],
  ["GET parameters/operator_policy/pol/o"],
  ["GET parameters/vhost-limits"],
  ["GET parameters/vhost-limits/pol"],
  ["GET parameters/vhost-limits/pol/limits"],
  ["GET parameters/vhost-limits/pol/missing"],
  ["GET parameters/odd"],
  ["GET parameters/odd/pol"],
  ["PUT parameters/policy/pol/x", { value: { pattern: "", definition: LENGTH } }],
  ["PUT parameters/vhost-limits/pol/limits", { value: { "max-queues": 70 } }],
  ["PUT parameters/vhost-limits/pol/limits", { value: { "max-cats": 7 } }],
  ["GET vhost-limits/pol"],
  ["DELETE parameters/vhost-limits/pol/limits"],
  ["DELETE parameters/vhost-limits/pol/limits"],
  ["GET vhost-limits/pol"],
  ["PUT policies/pol/big", { pattern: "^none", definition: { "message-ttl": 4294967296 }, priority: -1.5 }],
  ["GET policies/pol/big"],
  ["DELETE policies/pol/big"],
  ["DELETE policies/pol/p"],
  ["DELETE operator-policies/pol/o"],
  ["GET vhost-limits/pol"],
  ["PUT vhost-limits/pol/max-queues", { value: 50 }],
  ["PUT vhost-limits/pol/max-connections", { value: -1 }],
  ["PUT vhost-limits/pol/max-cats", { value: 1 }],
  ["PUT vhost-limits/missing/max-queues", { value: 1 }],
  ["PUT vhost-limits/pol/max-queues", { value: "x" }],
  ["PUT vhost-limits/pol/max-queues", {}],
  ["GET vhost-limits/pol"],
  ["GET vhost-limits/missing"],
  ["DELETE vhost-limits/pol/max-queues"],
  ["DELETE vhost-limits/pol/max-queues"],
  ["PUT users/polly", { password: "p", tags: "" }],
  ["PUT permissions/pol/polly", ALL],
  ["PUT user-limits/polly/max-channels", { value: 50 }],
  ["PUT user-limits/polly/max-cats", { value: 50 }],
  ["PUT user-limits/polly/max-channels", { value: "x" }],
  ["GET user-limits/polly"],
  ["GET user-limits/missing"],
  ["DELETE user-limits/polly/max-channels"],
  ["GET user-limits/polly"],
  ["PUT topic-permissions/pol/polly", { exchange: "amq.topic", write: "^{username}", read: "^{vhost}" }],
  ["PUT topic-permissions/pol/polly", { exchange: "other", write: "", read: "" }],
  ["PUT topic-permissions/pol/missing", { exchange: "other", write: "", read: "" }],
  ["PUT topic-permissions/missing/polly", { exchange: "other", write: "", read: "" }],
  ["PUT topic-permissions/pol/polly", { write: "", read: "" }],
  ["GET topic-permissions/pol/polly"],
  ["GET topic-permissions/pol/missing"],
  ["GET vhosts/pol/topic-permissions"],
  ["GET users/polly/topic-permissions"],
  ["DELETE topic-permissions/pol/polly/other"],
  ["GET topic-permissions/pol/polly"],
];

/** Policies that overlap in every way. */
const POLICIES: readonly (readonly [kind: string, name: string, body: Json])[] = [
  ["policies", "low", { pattern: ".", definition: { "max-length": 6 }, priority: -1 }],
  ["policies", "all", { pattern: "^all", definition: { "max-length": 3, overflow: "drop-head" } }],
  ["policies", "queues", { pattern: "^queues", "apply-to": "queues", definition: { "message-ttl": 99999 } }],
  ["policies", "exchanges", {
    pattern: ".",
    "apply-to": "exchanges",
    definition: { "alternate-exchange": "amq.fanout" },
    priority: 10,
  }],
  ["policies", "limit", {
    pattern: "limit",
    definition: { "delivery-limit": 2, "max-length": 4 },
    priority: 2,
  }],
  ["policies", "lazy", {
    pattern: "lazy",
    definition: { "queue-mode": "lazy", "max-length": 5 },
    priority: 3,
  }],
  ["policies", "dead", {
    pattern: "dead$",
    definition: { "dead-letter-exchange": "", "dead-letter-routing-key": "target", "max-length": 1 },
    priority: 4,
  }],
  ["policies", "full", {
    pattern: "full$",
    definition: { overflow: "reject-publish", "max-length": 2 },
    priority: 5,
  }],
  ["operator-policies", "op", {
    pattern: "op",
    "apply-to": "queues",
    definition: { "max-length": 2, expires: 1000000 },
  }],
  ["operator-policies", "op-high", {
    pattern: "op-limit",
    "apply-to": "queues",
    definition: { "delivery-limit": 1, "max-length": 3 },
    priority: 1,
  }],
];

/** Queues by name, with their arguments. Each gets nine messages. */
const QUEUES: Readonly<Record<string, Json>> = {
  "plain": {},
  "all": {},
  "all-argument": { "x-max-length": 2 },
  "all-larger": { "x-max-length": 5 },
  "all-op": {},
  "queues": {},
  "queues-op": { "x-max-length": 1 },
  "limit": {},
  "limit-q": { "x-queue-type": "quorum" },
  "limit-q-argument": { "x-queue-type": "quorum", "x-delivery-limit": 1, "x-max-length": 8 },
  "lazy": {},
  "lazy-q": { "x-queue-type": "quorum" },
  "op-limit": {},
  "op-limit-q": { "x-queue-type": "quorum" },
  "dead": {},
  "argument-dead": { "x-dead-letter-exchange": "amq.fanout" },
  "target": { "x-max-length": 100 },
  "full": {},
  "argument-full": { "x-overflow": "drop-head" },
  "op-full": {},
};

/** Compares both brokers. */
export async function comparePolicies(theirs: PolicyTarget, ours: PolicyTarget): Promise<void> {
  const both = (work: (target: PolicyTarget) => Promise<unknown>) => Promise.all([theirs, ours].map(work));
  await both(async (target) => {
    await ask(target, ["PUT vhosts/pol", {}]);
    await ask(target, ["PUT permissions/pol/guest", ALL]);
  });
  const differences = [];
  for (const request of REQUESTS) {
    const [rabbit, own] = await both((target) => ask(target, request));
    if (!same(rabbit, own)) differences.push({ request, rabbit, own });
  }
  assert.deepEqual(differences, []);
  await compareEffects(theirs, ours);
  await compareRefusals(theirs, ours);
  await both((target) => ask(target, ["DELETE vhosts/pol"]));
}

/** Compares which policies apply, the effective definitions, and what remains of nine messages in each queue. */
async function compareEffects(theirs: PolicyTarget, ours: PolicyTarget): Promise<void> {
  for (const target of [theirs, ours]) {
    for (const [name, args] of Object.entries(QUEUES)) {
      await ask(target, [`PUT queues/pol/${name}`, { durable: true, arguments: args }]);
    }
    // The policies come after the queues: they apply to what exists.
    for (const [kind, name, body] of POLICIES) await ask(target, [`PUT ${kind}/pol/${name}`, body]);
    await ask(target, ["PUT exchanges/pol/all", { type: "direct", durable: true }]);
    await ask(target, ["POST bindings/pol/e/amq.fanout/q/plain", {}]);
    for (const name of Object.keys(QUEUES).filter((name) => name !== "plain")) {
      for (let i = 1; i <= 9; i++) {
        await ask(target, ["POST exchanges/pol/amq.default/publish", {
          properties: { delivery_mode: 2 },
          routing_key: name,
          payload: `${name} ${i}`,
          payload_encoding: "string",
        }]);
      }
    }
    await ask(target, ["POST exchanges/pol/all/publish", {
      properties: {},
      routing_key: "nowhere",
      payload: "alternate",
      payload_encoding: "string",
    }]);
  }
  const columns = "name,policy,operator_policy,effective_policy_definition";
  const rows = (target: PolicyTarget) => ask(target, [`GET queues/pol?sort=name&columns=${columns}`]);
  const exchange = (target: PolicyTarget) => ask(target, ["GET exchanges/pol/all?columns=name,policy"]);
  const contents = async (target: PolicyTarget) => {
    const found: { [name: string]: Json } = {};
    for (const name of Object.keys(QUEUES)) {
      const [, got] = await ask(target, [`POST queues/pol/${name}/get`, {
        count: 100,
        ackmode: "ack_requeue_true",
        encoding: "auto",
      }]);
      found[name] = (got as { payload: string }[]).map(({ payload }) => payload);
    }
    return found;
  };
  // RabbitMQ refreshes the rows every 5 s.
  for (const [look, what] of [[contents, "messages"], [rows, "queues"], [exchange, "exchange"]] as const) {
    const our = await look(ours);
    let their: unknown;
    await waitFor(async () => same(their = await look(theirs), our), 20_000, what).catch(() => {
      assert.deepEqual(our, their, what);
    });
  }
}

/** Compares the errors of limits and topic permissions. */
async function compareRefusals(theirs: PolicyTarget, ours: PolicyTarget): Promise<void> {
  const [their, our] = await Promise.all([theirs, ours].map(refusals));
  assert.deepEqual(our, their);
}

async function refusals(target: PolicyTarget): Promise<string[]> {
  const login = { user: "polly", password: "p", vhost: "pol" };
  const found: string[] = [];
  const last = (peer: Peer) => {
    const { name, args } = peer.received.at(-1)! as unknown as {
      name: string;
      args: { replyCode: number; replyText: string };
    };
    found.push(`${name} ${args.replyCode} ${args.replyText}`);
  };
  const peer = await Peer.open(target.url, login);
  const refuse = async (work: (channel: Awaited<ReturnType<Peer["channel"]>>) => unknown) => {
    const channel = await peer.channel();
    await work(channel);
    await peer.until(() => /close$/.test(peer.received.at(-1)!.name), "a close");
    last(peer);
  };
  const setup = await peer.channel();
  await setup.queue("bound");
  await setup.bind("bound", "amq.topic", "pol.x");
  setup.publish("amq.topic", "polly.x", "allowed");
  await refuse((channel) => channel.publish("amq.topic", "other", "refused"));
  await refuse((channel) =>
    channel.send("queue.bind", { queue: "bound", exchange: "amq.topic", routingKey: "other" })
  );
  await refuse((channel) =>
    channel.send("queue.unbind", { queue: "bound", exchange: "amq.topic", routingKey: "other" })
  );
  await refuse((channel) =>
    channel.send("exchange.bind", { source: "amq.topic", destination: "amq.fanout", routingKey: "other" })
  );
  await ask(target, ["PUT vhost-limits/pol/max-queues", { value: 1 }]);
  await refuse((channel) => channel.send("queue.declare", { queue: "more" }));
  await ask(target, ["DELETE vhost-limits/pol/max-queues"]);
  await ask(target, ["PUT user-limits/polly/max-channels", { value: 0 }]);
  peer.use(900).send("channel.open", {});
  await peer.until(() => peer.received.at(-1)!.name === "connection.close", "a close");
  last(peer);
  await peer.close().catch(() => {});
  for (const limit of ["user-limits/polly/max-connections", "vhost-limits/pol/max-connections"]) {
    await ask(target, [`PUT ${limit}`, { value: 0 }]);
    const refused = await Peer.dial(target.url);
    await refused.login(login);
    refused.zero.send("connection.open", { virtualHost: "pol" });
    await refused.until(() => refused.received.at(-1)!.name === "connection.close", "a close");
    last(refused);
    await refused.close().catch(() => {});
    await ask(target, [`DELETE ${limit}`]);
  }
  const open = await Peer.open(target.url, login);
  await ask(target, ["DELETE users/polly"]);
  await open.until(() => open.received.at(-1)!.name === "connection.close", "a close");
  last(open);
  await open.close().catch(() => {});
  return found;
}

/** Sends a request. @returns status and body, in the form that is compared */
async function ask({ http }: PolicyTarget, [route, body]: Request): Promise<[status: number, json: Json]> {
  const [method, path] = route.split(" ") as [string, string];
  const answer = await fetch(`${http}/api/${path}`, {
    method,
    headers: { authorization: `Basic ${btoa("guest:guest")}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = (await answer.text()).replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  const json = text === "" ? null : sorted(JSON.parse(text));
  return [answer.status, route.startsWith("GET definitions") ? withoutVersion(json) : json];
}

/** The products differ, and RabbitMQ's export of one virtual host has no product. */
function withoutVersion(json: Json): Json {
  const { parameters, policies } = json as { [name: string]: Json };
  return { parameters: parameters!, policies: policies! };
}

/** Orders the lists, whose order has no meaning in RabbitMQ. */
function sorted(json: Json): Json {
  if (!Array.isArray(json)) return json;
  const key = (one: Json) => {
    const { name, component, exchange } = one as { [name: string]: Json };
    return JSON.stringify([name, component, exchange]);
  };
  return json.toSorted((a, b) => key(a) < key(b) ? -1 : 1);
}

function same(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
