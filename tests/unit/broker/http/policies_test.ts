/** Policies, limits and topic permissions: set over HTTP, and their effect on queues, exchanges and connections. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import type { Json } from "../../../../lib/broker/core/definitions/table.ts";
import { tempDir, waitFor } from "../../../support/helpers.ts";

type Row = { [name: string]: Json };

let broker: Broker;
let http: string;
let amqp: string;

before(async () => {
  broker = await Broker.open();
  http = await broker.listenHttp("127.0.0.1:0");
  amqp = await broker.listen("amqp://127.0.0.1:0");
});

after(() => broker.close());

async function ask(route: string, body?: Json, login = "guest:guest"): Promise<[status: number, json: Json]> {
  const [method, path] = route.split(" ") as [string, string];
  const answer = await fetch(`${http}/api/${path}`, {
    method,
    headers: { authorization: `Basic ${btoa(login)}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return [answer.status, text === "" ? null : JSON.parse(text)];
}

async function ok(route: string, body?: Json): Promise<Json> {
  const [status, json] = await ask(route, body);
  assert.ok(status < 300, `${route}: ${status} ${JSON.stringify(json)}`);
  return json;
}

async function policy(name: string, body: Json): Promise<void> {
  await ok(`PUT policies/%2F/${name}`, body);
}

async function operatorPolicy(name: string, body: Json): Promise<void> {
  await ok(`PUT operator-policies/%2F/${name}`, body);
}

/** Removes everything that a test made. */
async function clean(): Promise<void> {
  for (const kind of ["policies", "operator-policies"]) {
    for (const { name } of await ok(`GET ${kind}/%2F`) as Row[]) await ok(`DELETE ${kind}/%2F/${name}`);
  }
  for (const { name } of await ok("GET queues/%2F") as Row[]) await ok(`DELETE queues/%2F/${name}`);
}

async function publish(queue: string, ...payloads: string[]): Promise<void> {
  for (const payload of payloads) await publishTo("amq.default", queue, payload);
}

async function publishTo(exchange: string, routing_key: string, payload: string): Promise<Json> {
  const body = { properties: { delivery_mode: 2 }, routing_key, payload, payload_encoding: "string" };
  return await ok(`POST exchanges/%2F/${exchange}/publish`, body);
}

async function payloads(queue: string): Promise<Json[]> {
  const got = await ok(`POST queues/%2F/${queue}/get`, {
    count: 100,
    ackmode: "ack_requeue_false",
    encoding: "auto",
  });
  return (got as Row[]).map(({ payload }) => payload!);
}

function client(login: string, vhost = "%2F") {
  return connectBroker(parseAmqpUrl(`amqp://${login}@${amqp.replace("amqp://", "")}/${vhost}`));
}

describe("policies", () => {
  it("parameters - are the limits of virtual hosts and the policies", async () => {
    await ok("PUT vhost-limits/%2F/max-queues", { value: 50 });
    await policy("p1", { pattern: "^q", definition: { "max-length": 5 } });
    await operatorPolicy("o1", { pattern: "^q", "apply-to": "queues", definition: { "max-length": 3 } });
    const limits = { value: { "max-queues": 50 }, vhost: "/", component: "vhost-limits", name: "limits" };
    const one = {
      value: { pattern: "^q", "apply-to": "all", definition: { "max-length": 5 }, priority: 0 },
      vhost: "/",
      component: "policy",
      name: "p1",
    };
    const operator = {
      value: { pattern: "^q", "apply-to": "queues", definition: { "max-length": 3 }, priority: 0 },
      vhost: "/",
      component: "operator_policy",
      name: "o1",
    };
    for (
      const [path, expected] of [
        ["", [limits, operator]],
        ["/vhost-limits", [limits]],
        ["/vhost-limits/%2F", [limits]],
        ["/vhost-limits/%2F/limits", limits],
        ["/policy/%2F", [one]],
        ["/policy/%2F/p1", one],
        ["/operator_policy", [operator]],
        ["/shovel", []],
      ] as const
    ) assert.deepEqual(await ok(`GET parameters${path}`), expected, path);
    assert.equal((await ask("GET parameters/policy/%2F/missing"))[0], 404);
    const path = "parameters/vhost-limits/%2F/limits";
    assert.equal((await ask(`PUT ${path}`, { value: { "max-queues": 60 } }))[0], 204);
    assert.deepEqual(broker.vhosts.get("/")!.limits, { "max-queues": 60 });
    assert.equal((await ask(`PUT ${path}`, { value: { "max-cats": 60 } }))[0], 400);
    assert.equal((await ask("PUT parameters/policy/%2F/p2", { value: {} }))[0], 400);
    assert.equal((await ask(`DELETE ${path}`))[0], 204);
    assert.equal((await ask(`DELETE ${path}`))[0], 404);
    assert.deepEqual(broker.vhosts.get("/")!.limits, {});
    assert.equal((await ask(`PUT ${path}`, { value: { "max-queues": 60 } }))[0], 201);
    assert.equal((await ask(`DELETE ${path}`))[0], 204);
    await ok("PUT users/pat", { password: "p", tags: "management" });
    assert.equal((await ask("GET parameters", undefined, "pat:p"))[0], 401);
    await ok("DELETE users/pat");
    await clean();
  });

  it("policy - is shown by queues and exchanges, with the effective definition", async () => {
    await ok("PUT queues/%2F/q1", { durable: true, arguments: { "x-max-length": 4 } });
    await policy("p1", { pattern: "^q", definition: { "max-length": 5, "message-ttl": 60000 }, priority: 1 });
    await operatorPolicy("o1", {
      pattern: "^q",
      "apply-to": "queues",
      definition: { "max-length": 3, expires: 100000 },
      priority: 1,
    });
    const row = await ok("GET queues/%2F/q1") as Row;
    assert.deepEqual([row["policy"], row["operator_policy"], row["effective_policy_definition"]], [
      "p1",
      "o1",
      { expires: 100000, "max-length": 3, "message-ttl": 60000 },
    ]);
    await ok("PUT exchanges/%2F/qx", { type: "direct" });
    assert.equal((await ok("GET exchanges/%2F/qx") as Row)["policy"], "p1");
    await ok("DELETE exchanges/%2F/qx");
    await clean();
    await ok("PUT queues/%2F/q1", {});
    const without = await ok("GET queues/%2F/q1") as Row;
    assert.deepEqual(
      [without["policy"], without["operator_policy"], without["effective_policy_definition"]],
      [null, null, {}],
    );
    await clean();
  });

  it("policy - the highest priority that applies wins", async () => {
    await ok("PUT queues/%2F/c", {});
    await ok("PUT queues/%2F/n", { durable: true, arguments: { "x-queue-type": "quorum" } });
    const names = async () => {
      const rows = await ok("GET queues/%2F?sort=name") as Row[];
      return rows.map(({ policy }) => policy);
    };
    await policy("low", { pattern: ".", definition: { "max-length": 1 }, priority: -1 });
    await policy("queues", { pattern: ".", definition: { "max-length": 2 }, "apply-to": "queues" });
    assert.deepEqual(await names(), ["queues", "queues"]);
    await policy("exchanges", {
      pattern: ".",
      definition: { "alternate-exchange": "amq.fanout" },
      "apply-to": "exchanges",
      priority: 9,
    });
    assert.deepEqual(await names(), ["queues", "queues"]);
    // A key that classic queues do not have makes the policy inapplicable to them, and the other way round.
    await policy("limit", { pattern: ".", definition: { "delivery-limit": 2 }, priority: 5 });
    assert.deepEqual(await names(), ["queues", "limit"]);
    await policy("lazy", { pattern: ".", definition: { "queue-mode": "lazy" }, priority: 7 });
    assert.deepEqual(await names(), ["lazy", "limit"]);
    await policy("classic", {
      pattern: ".",
      definition: { "max-length": 3 },
      "apply-to": "classic_queues",
      priority: 8,
    });
    await policy("quorum", {
      pattern: ".",
      definition: { "max-length": 3 },
      "apply-to": "quorum_queues",
      priority: 8,
    });
    assert.deepEqual(await names(), ["classic", "quorum"]);
    await ok("DELETE policies/%2F/classic");
    assert.deepEqual(await names(), ["lazy", "quorum"]);
    await clean();
  });

  it("policy - takes effect at once on messages in a queue, and its end too", async () => {
    await ok("PUT queues/%2F/a", {});
    await publish("a", "1", "2", "3", "4", "5");
    await policy("short", { pattern: "^a$", definition: { "max-length": 2 } });
    await publish("a", "6");
    assert.deepEqual(await payloads("a"), ["5", "6"]);
    await ok("DELETE policies/%2F/short");
    await publish("a", "1", "2", "3");
    await policy("short", { pattern: "^a$", definition: { "max-length": 3 } });
    await policy("short", { pattern: "^a$", definition: { "max-length": 2 } });
    assert.deepEqual(await payloads("a"), ["2", "3"]);
    await ok("DELETE policies/%2F/short");
    await publish("a", "1", "2", "3");
    await policy("short", { pattern: "^a$", definition: { "max-length-bytes": 3 } });
    await policy("short", { pattern: "^a$", definition: { "max-length-bytes": 4 } });
    assert.deepEqual(await payloads("a"), ["1", "2", "3"]);
    await ok("DELETE policies/%2F/short");
    await publish("a", "1", "2", "3");
    assert.deepEqual(await payloads("a"), ["1", "2", "3"]);
    await clean();
  });

  it("policy - dead-letters, rejects and expires", async () => {
    await ok("PUT queues/%2F/dead", {});
    await ok("PUT queues/%2F/b", {});
    await policy("dlx", {
      pattern: "^b$",
      definition: { "dead-letter-exchange": "", "dead-letter-routing-key": "dead", "max-length": 1 },
    });
    await publish("b", "1", "2");
    assert.deepEqual([await payloads("dead"), await payloads("b")], [["1"], ["2"]]);
    await policy("dlx", { pattern: "^b$", definition: { overflow: "reject-publish", "max-length": 1 } });
    await publish("b", "1");
    const [status, json] = await ask("POST exchanges/%2F/amq.default/publish", {
      properties: {},
      routing_key: "b",
      payload: "2",
      payload_encoding: "string",
    });
    assert.deepEqual([status, (json as Row)["reason"]], [400, "a full queue rejected the message"]);
    await policy("dlx", { pattern: "^b$", definition: { "message-ttl": 0 } });
    assert.deepEqual(await payloads("b"), ["1"]);
    await publish("b", "3");
    assert.deepEqual(await payloads("b"), []);
    await policy("dlx", { pattern: "^b$", definition: { expires: 10 } });
    await waitFor(() => !broker.vhosts.get("/")!.queues.has("b"), 20_000, "the queue to expire");
    await clean();
  });

  it("policy - an argument of a quorum queue yields to overflow and expires of a policy only", async () => {
    const args = {
      "x-queue-type": "quorum",
      "x-expires": 100000,
      "x-overflow": "drop-head",
      "x-delivery-limit": 5,
      "x-dead-letter-exchange": "own",
    };
    await ok("PUT queues/%2F/n", { durable: true, arguments: args });
    await policy("p", {
      pattern: "^n$",
      definition: {
        expires: 200000,
        overflow: "reject-publish",
        "delivery-limit": 7,
        "dead-letter-exchange": "other",
        "dead-letter-routing-key": "key",
      },
    });
    const { settings } = broker.vhosts.get("/")!.queues.get("n")!;
    assert.deepEqual(
      [settings.expires, settings.overflow, settings.deliveryLimit, settings.deadLetterExchange],
      [200000, "reject-publish", 5, "own"],
    );
    assert.equal(settings.deadLetterRoutingKey, "key");
    await clean();
  });

  it("policy - an alternate exchange gets what no binding matches", async () => {
    await ok("PUT queues/%2F/rest", {});
    await ok("PUT exchanges/%2F/alt", { type: "direct" });
    await ok("POST bindings/%2F/e/amq.fanout/q/rest", {});
    assert.deepEqual(await publishTo("alt", "k", "lost"), { routed: false });
    await policy("ae", { pattern: "^alt$", definition: { "alternate-exchange": "amq.fanout" } });
    assert.deepEqual(await publishTo("alt", "k", "kept"), { routed: true });
    await ok("DELETE policies/%2F/ae");
    assert.deepEqual(await publishTo("alt", "k", "lost"), { routed: false });
    assert.deepEqual(await payloads("rest"), ["kept"]);
    await ok("DELETE exchanges/%2F/alt");
    await clean();
  });

  it("policy - needs the tag policymaker, an operator policy administrator", async () => {
    broker.users.put("maker", "m", ["policymaker"]);
    broker.users.put("viewer", "v", ["management"]);
    for (const user of ["maker", "viewer"]) {
      broker.users.permit(user, "/", { configure: ".*", write: ".*", read: ".*" });
    }
    const body = { pattern: "^none$", definition: { "max-length": 1 } };
    const statuses = [];
    for (const login of ["maker:m", "viewer:v"]) {
      for (const kind of ["policies", "operator-policies"]) {
        statuses.push((await ask(`PUT ${kind}/%2F/p`, body, login))[0]);
      }
    }
    assert.deepEqual(statuses, [201, 401, 401, 401]);
    await clean();
  });

  it("policy - everything survives a restart and an export", async () => {
    using dir = tempDir();
    const first = await Broker.open({ data: dir.path });
    const definitions = {
      users: [{ name: "ann", password: "a", tags: [], limits: { "max-channels": 3 } }],
      vhosts: [{ name: "/" }, { name: "v", metadata: { default_queue_type: "quorum" } }],
      permissions: [{ user: "ann", vhost: "v", configure: ".*", write: ".*", read: ".*" }],
      topic_permissions: [{ user: "ann", vhost: "v", exchange: "amq.topic", write: "^{vhost}", read: "" }],
      parameters: [
        { component: "vhost-limits", vhost: "v", name: "limits", value: { "max-queues": 1 } },
        {
          component: "operator_policy",
          vhost: "v",
          name: "o",
          value: { pattern: "", "apply-to": "queues", definition: { "max-length": 1 }, priority: 0 },
        },
      ],
      policies: [{
        vhost: "v",
        name: "p",
        pattern: "^q",
        "apply-to": "all",
        definition: { "max-length": 9, "dead-letter-exchange": "d" },
        priority: 3,
      }],
      queues: [{ name: "q", vhost: "v", durable: true }],
    } satisfies Json;
    first.loadDefinitions(definitions);
    await first.close();
    for (const round of [1, 2]) {
      const again = await Broker.open({ data: dir.path });
      const { queues, limits, defaultQueueType } = again.vhosts.get("v")!;
      const { maxLength, deadLetterExchange, type } = queues.get("q")!.settings;
      assert.deepEqual([maxLength, deadLetterExchange, type], [1, "d", "quorum"], `round ${round}`);
      assert.deepEqual([limits, defaultQueueType], [{ "max-queues": 1 }, "quorum"]);
      assert.deepEqual(again.users.get("ann")!.limits, { "max-channels": 3 });
      assert.deepEqual([...again.users.topicPermissions()], definitions.topic_permissions);
      await again.close();
    }
  });
});

describe("limits", () => {
  it("limits - of a virtual host bound its queues and connections", async () => {
    await ok("PUT vhosts/small", {});
    broker.users.put("ann", "a");
    broker.users.permit("ann", "small", { configure: ".*", write: ".*", read: ".*" });
    await ok("PUT vhost-limits/small/max-queues", { value: 1 });
    await ok("PUT vhost-limits/small/max-connections", { value: 2 });
    assert.deepEqual(await ok("GET vhost-limits/small"), [
      { vhost: "small", value: { "max-queues": 1, "max-connections": 2 } },
    ]);
    await ok("PUT queues/small/q", {});
    await ok("PUT queues/small/q", {});
    const [status, json] = await ask("PUT queues/small/r", {});
    assert.deepEqual([status, (json as Row)["reason"]], [
      400,
      "cannot declare queue 'r': queue limit in vhost 'small' (1) is reached",
    ]);
    // All at once: the limit holds for those that are logging in, too.
    const attempts = await Promise.allSettled(Array.from({ length: 6 }, () => client("ann:a", "small")));
    const open = attempts.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
    const refusals = attempts.flatMap((one) => one.status === "rejected" ? [String(one.reason)] : []);
    assert.equal(open.length, 2);
    for (const reason of refusals) {
      assert.match(
        reason,
        /access to vhost 'small' refused for user 'ann': connection limit \(2\) is reached/,
      );
    }
    for (const connection of open) await connection.close();
    await waitFor(() => broker.connections.size === 0, 20_000, "the connections to end");
    await ok("DELETE vhost-limits/small/max-queues");
    await ok("PUT queues/small/r", {});
    await ok("DELETE vhosts/small");
    assert.deepEqual(await ok("GET vhost-limits"), []);
  });

  it("limits - of a user bound its connections and channels", async () => {
    broker.users.put("bob", "b");
    broker.users.permit("bob", "/", { configure: ".*", write: ".*", read: ".*" });
    await ok("PUT user-limits/bob/max-connections", { value: 1 });
    await ok("PUT user-limits/bob/max-channels", { value: 2 });
    const connection = await client("bob:b");
    await assert.rejects(
      client("bob:b"),
      /connection refused for user 'bob': user connection limit \(1\) is reached/,
    );
    await connection.open();
    await connection.open();
    await assert.rejects(
      connection.open(),
      /number of channels opened for user 'bob' has reached the maximum allowed user limit of \(2\)/,
    );
    await connection.close();
    // A new password does not change the limits.
    await ok("PUT users/bob", { password: "c", tags: "" });
    assert.deepEqual(await ok("GET user-limits/bob"), [
      { user: "bob", value: { "max-connections": 1, "max-channels": 2 } },
    ]);
    for (const limit of ["max-connections", "max-channels"]) await ok(`DELETE user-limits/bob/${limit}`);
    assert.deepEqual(await ok("GET user-limits"), []);
    await ok("DELETE users/bob");
  });
});

describe("topic permissions", () => {
  it("topic permissions - restrict the routing keys of a user, with {username} and {vhost}", async () => {
    broker.users.put("eve.x", "e");
    broker.users.permit("eve.x", "/", { configure: ".*", write: ".*", read: ".*" });
    const access = broker.users.accessTo("eve.x", "/")!;
    const { exchanges } = broker.vhosts.get("/")!;
    const allowed = (operation: "read" | "write", key: string, exchange = "amq.topic"): boolean => {
      try {
        access.checkTopic(operation, exchanges, exchange, key);
        return true;
      } catch (error) {
        assert.match(
          String(error),
          /access to topic '.*' in exchange 'amq\.topic' in vhost '\/' refused for user 'eve\.x'/,
        );
        return false;
      }
    };
    assert.equal(allowed("write", "anything"), true);
    const body = { exchange: "amq.topic", write: "^{username}\\.", read: "^(public|{vhost})" };
    assert.equal((await ask("PUT topic-permissions/%2F/eve.x", body))[0], 201);
    assert.equal((await ask("PUT topic-permissions/%2F/eve.x", body))[0], 204);
    const keys = ["eve.x.a", "evexx.a", "public", "/"];
    assert.deepEqual(keys.map((key) => allowed("write", key)), [true, false, false, false]);
    assert.deepEqual(keys.map((key) => allowed("read", key)), [false, false, true, true]);
    assert.equal(allowed("write", "x", "amq.fanout"), true);

    const connection = await client("eve.x:e");
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "mine" }, "queue.declare-ok");
    const binding = { queue: "mine", exchange: "amq.topic" };
    await channel.call("queue.bind", { ...binding, routingKey: "public" }, "queue.bind-ok");
    await assert.rejects(
      channel.call("queue.bind", { ...binding, routingKey: "secret" }, "queue.bind-ok"),
      /access to topic 'secret'/,
    );
    await connection.close();

    await ok("DELETE topic-permissions/%2F/eve.x/amq.topic");
    assert.equal(allowed("write", "anything"), true);
    assert.equal((await ask("GET topic-permissions/%2F/eve.x"))[0], 404);
    await ok("DELETE users/eve.x");
    await clean();
  });
});
