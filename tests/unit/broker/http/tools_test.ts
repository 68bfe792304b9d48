/** Parts of the HTTP API that Terraform, rabbitmqadmin, Prometheus and client suites rely on. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { waitFor } from "../../../support/helpers.ts";

type Row = Record<string, unknown>;

let broker: Broker;
let url: string;
let amqp: string;

before(async () => {
  broker = await Broker.open();
  amqp = await broker.listen("amqp://127.0.0.1:0");
  url = await broker.listenHttp(":0");
});

after(() => broker.close());

function send(route: string, body?: unknown, { base = url, login = "guest:guest" } = {}): Promise<Response> {
  const [method, path] = route.split(" ") as [string, string];
  return fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Basic ${btoa(login)}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function statusOf(route: string, body?: unknown): Promise<number> {
  const response = await send(route, body);
  await response.body?.cancel();
  return response.status;
}

async function get(path: string, base = url): Promise<unknown> {
  const response = await send(`GET ${path}`, undefined, { base });
  const text = await response.text();
  assert.equal(response.status, 200, `${path}: ${text}`);
  return JSON.parse(text);
}

async function refusal(route: string, body?: unknown): Promise<Row> {
  const response = await send(route, body);
  return { status: response.status, ...await response.json() };
}

async function client(): Promise<AmqpConnection & AsyncDisposable> {
  const connection = await connectBroker(parseAmqpUrl(amqp.replace("//", "//guest:guest@")));
  return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
}

describe("http, requests that RabbitMQ refuses", () => {
  it("messages - a payload that is not base64, or an unknown delivery mode, is refused", async () => {
    const route = "POST /api/exchanges/%2F/amq.fanout/publish";
    const message = { routing_key: "", properties: {}, payload_encoding: "base64" };
    for (const payload of ["!!!", "aGk", "a", "====", "-_8=", "aGk=aGk="]) {
      const { status, reason } = await refusal(route, { ...message, payload });
      assert.deepEqual([status, reason], [400, `payload must be base64: received '${payload}'`]);
    }
    for (const payload of ["", "aGk=", "aGk=\n", "aG\nk=", "A".repeat(4_000_000)]) {
      assert.equal(await statusOf(route, { ...message, payload }), 200);
    }
    for (const mode of [0, 3]) {
      const properties = { delivery_mode: mode };
      const { status, reason } = await refusal(route, { ...message, payload: "", properties });
      assert.deepEqual([status, reason], [400, `invalid message: {delivery_mode_unknown,${mode}}`]);
    }
  });

  it("queues - a name of more than 255 bytes is refused", async () => {
    assert.equal(await statusOf(`PUT /api/queues/%2F/${"é".repeat(127)}a`, {}), 201);
    const { status, reason } = await refusal(`PUT /api/queues/%2F/${"é".repeat(128)}`, {});
    assert.deepEqual([status, reason], [400, "queue should be less than 255 bytes, actually was 256"]);
  });

  it("health checks - malformed parameters are refused", async () => {
    const checks = "GET /api/health/checks";
    assert.equal((await refusal(`${checks}/port-listener/abc`))["reason"], "Invalid port");
    assert.equal(
      (await refusal(`${checks}/certificate-expiration/x/days`))["reason"],
      "Invalid expiration value.",
    );
    assert.equal((await refusal(`${checks}/certificate-expiration/1/fortnights`))["status"], 400);
    assert.equal(await statusOf(`${checks}/certificate-expiration/1/weeks`), 200);
  });
});

describe("http, bindings", () => {
  it("bindings - the Location of a new binding leads to it, and its last part is the properties key", async () => {
    await statusOf("PUT /api/queues/%2F/q%20%2F1", {});
    await statusOf("PUT /api/exchanges/%2F/x", { type: "topic" });
    const bodies: Row[] = [
      {},
      { routing_key: "a" },
      { routing_key: "a.#/~%é +b!'()*" },
      { routing_key: "", arguments: { k: "v" } },
      { routing_key: "a", arguments: { k: 1, l: [1, "x"] } },
    ];
    const ends: [string, string][] = [["q/q%20%2F1", "queue"], ["e/amq.fanout", "exchange"]];
    for (const [end, kind] of ends) {
      for (const body of bodies) {
        const path = `/api/bindings/%2F/e/x/${end}`;
        const response = await send(`POST ${path}`, body);
        await response.body?.cancel();
        assert.equal(response.status, 201);
        const location = response.headers.get("location")!;
        const shown = await get(new URL(location, `${url}${path}`).pathname) as Row;
        assert.deepEqual([shown["destination_type"], shown["routing_key"]], [
          kind,
          body["routing_key"] ?? "",
        ]);
        assert.deepEqual(shown["arguments"], body["arguments"] ?? {});
        assert.equal(decodeURIComponent(location.split("/").at(-1)!), shown["properties_key"]);
      }
    }
    const keys = (await get("/api/bindings/%2F/e/x/e/amq.fanout") as Row[]).map((row) =>
      row["properties_key"] as string
    );
    assert.deepEqual(keys.slice(0, 3), ["~", "a", "a.%23%2F%7E%25%C3%A9+%2Bb%21%27%28%29%2A"]);
    // RabbitMQ's hashes have six characters.
    assert.match(keys[3]!, /^~[\w-]{6}$/);
    assert.match(keys[4]!, /^a~[\w-]{6}$/);
    await statusOf("DELETE /api/exchanges/%2F/x");
    await statusOf("DELETE /api/queues/%2F/q%20%2F1");
  });
});

describe("http, statuses of RabbitMQ", () => {
  const statuses: [status: number, route: string, body?: unknown][] = [
    [200, "GET /api/users/without-permissions"],
    [405, "PUT /api/users/without-permissions", {}],
    [405, "DELETE /api/users/without-permissions"],
    [200, "GET /api/parameters/shovel"],
    [200, "GET /api/parameters/shovel/%2F"],
    [404, "GET /api/parameters/shovel/missing"],
    [404, "GET /api/parameters/shovel/%2F/missing"],
    [404, "DELETE /api/parameters/shovel/%2F/missing"],
    [400, "PUT /api/parameters/shovel/%2F/x", {}],
    [404, "PUT /api/parameters/shovel/missing/x", {}],
    [404, "GET /api/global-parameters/missing"],
    [404, "DELETE /api/global-parameters/missing"],
    [404, "GET /api/channels/missing"],
    [404, "GET /api/connections/missing"],
    [200, "GET /api/connections/username/missing"],
    [204, "DELETE /api/connections/username/missing"],
    [404, "GET /api/auth/attempts/missing"],
    [405, "POST /api/overview", {}],
    [405, "DELETE /api/whoami"],
    [400, "GET /api/queues?page=1&page_size=501"],
    [200, "GET /api/queues?page=1&page_size=500"],
    [200, "GET /api/queues?page_size=501"],
    [400, "GET /api/queues?page=1&page_size=0"],
    [400, "GET /api/queues?page=2&page_size=500"],
  ];
  for (const [status, route, body] of statuses) {
    it(`http - ${route} has the status ${status}`, async () =>
      assert.equal(await statusOf(route, body), status));
  }

  it("http - a refused method names the allowed ones", async () => {
    const response = await send("POST /api/overview", {});
    await response.body?.cancel();
    assert.equal(response.headers.get("allow"), "HEAD, GET");
  });

  it("lists - refused pages have RabbitMQ's reasons, and an empty list has no pages", async () => {
    assert.deepEqual(await refusal("GET /api/vhosts?page=1&page_size=501"), {
      status: 400,
      error: "invalid_pagination_parameters",
      reason: "Invalid pagination parameters: page number 1, page size 501",
    });
    assert.deepEqual(await refusal("GET /api/vhosts?page=2&page_size=5"), {
      status: 400,
      error: "page_out_of_range",
      reason: "Page out of range, page: 2 page size: 5, len: 1",
    });
    const page = await get("/api/vhosts?page=1&name=missing") as Row;
    assert.deepEqual([page["page_count"], page["items"]], [0, []]);
  });

  it("users - lists users without permissions, and deletes several", async () => {
    for (const user of ["u1", "u2"]) await statusOf(`PUT /api/users/${user}`, { password: "x", tags: "" });
    await statusOf("PUT /api/permissions/%2F/u1", { configure: "", write: "", read: "" });
    const listed = await get("/api/users/without-permissions") as Row[];
    assert.deepEqual(listed.map(({ name }) => name), ["u2"]);
    assert.equal(await statusOf("POST /api/users/bulk-delete", { users: ["u1", "missing"] }), 400);
    assert.equal(await statusOf("POST /api/users/bulk-delete", { users: ["u1", "u2"] }), 204);
    assert.deepEqual((await get("/api/users") as Row[]).map(({ name }) => name), ["guest"]);
    assert.equal(await statusOf("POST /api/users/bulk-delete", { users: "u1" }), 400);
  });
});

describe("http, the node", () => {
  it("channels - are shown by the names in the list, with their consumers", async () => {
    await using connection = await client();
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "c" }, "queue.declare-ok");
    await channel.call("basic.consume", { queue: "c", consumerTag: "tag" }, "basic.consume-ok");
    const [listed] = await get("/api/channels") as Row[];
    const shown = await get(`/api/channels/${encodeURIComponent(listed!["name"] as string)}`) as Row;
    assert.equal(shown["name"], listed!["name"]);
    assert.deepEqual((shown["consumer_details"] as Row[]).map((row) => row["consumer_tag"]), ["tag"]);
    const [mine] = await get("/api/connections/username/guest") as Row[];
    assert.deepEqual([mine!["user"], mine!["vhost"]], ["guest", "/"]);
    assert.equal(await statusOf("DELETE /api/connections/username/guest"), 204);
    assert.match(String(await channel.closed), /CONNECTION_FORCED/);
    await statusOf("DELETE /api/queues/%2F/c");
  });

  it("overview - has the version of Erlang, and the node's name follows the product", async () => {
    const overview = await get("/api/overview") as Row;
    assert.match(overview["erlang_version"] as string, /^\d+(\.\d+)*$/);
    assert.match(overview["erlang_full_version"] as string, /^Erlang\/OTP \d+/);
    assert.equal(overview["node"], "mqcat@localhost");
    const other = await Broker.open({ product: "RabbitMQ", productVersion: "3.10.8" });
    try {
      const base = await other.listenHttp(":0");
      await send("PUT /api/queues/%2F/q", {}, { base }).then((response) => response.body?.cancel());
      const node = (await get("/api/overview", base) as Row)["node"] as string;
      assert.match(node, /^rabbit@[^.]+$/);
      const [queue] = await get("/api/queues", base) as Row[];
      const [vhost] = await get("/api/vhosts", base) as Row[];
      const [listed] = await get("/api/nodes", base) as Row[];
      assert.deepEqual([queue!["node"], listed!["name"]], [node, node]);
      assert.deepEqual(vhost!["cluster_state"], { [node]: "running" });
      assert.equal((await get(`/api/nodes/${node}`, base) as Row)["name"], node);
      assert.deepEqual(await get("/api/cluster-name", base), { name: node });
    } finally {
      await other.close();
    }
  });

  it("auth/attempts - counts logins by protocol, until they are reset", async () => {
    const path = "/api/auth/attempts/mqcat@localhost";
    assert.equal(await statusOf(`DELETE ${path}`), 204);
    await (await client()).close();
    await assert.rejects(connectBroker(parseAmqpUrl(amqp.replace("//", "//guest:wrong@"))));
    await send("GET /api/whoami", undefined, { login: "guest:wrong" }).then((response) =>
      response.body?.cancel()
    );
    const attempts = (protocol: string, failed: number, succeeded: number) => ({
      protocol,
      auth_attempts: failed + succeeded,
      auth_attempts_failed: failed,
      auth_attempts_succeeded: succeeded,
    });
    await waitFor(
      async () =>
        (await get(path) as Row[]).some((row) => row["protocol"] === "amqp091" && row["auth_attempts"] === 2),
      undefined,
      "both logins to be counted",
    );
    const rows = await get(path) as Row[];
    assert.deepEqual(rows.find(({ protocol }) => protocol === "amqp091"), attempts("amqp091", 1, 1));
    assert.equal(rows.find(({ protocol }) => protocol === "http")!["auth_attempts_failed"], 1);
    assert.deepEqual(await get(`${path}/source`), []);
  });
});

describe("http, statistics", () => {
  it("queues - have message_stats, memory and idle_since", async () => {
    await using connection = await client();
    const channel = await connection.open();
    const start = Date.now();
    await channel.call("queue.declare", { queue: "s" }, "queue.declare-ok");
    assert.equal("message_stats" in (await get("/api/queues/%2F/s") as Row), false);
    const unused = await get("/api/queues/%2F/s") as Row;
    await channel.get("s");
    for (let i = 0; i < 3; i++) {
      const body = { routing_key: "s", payload: "x", payload_encoding: "string", properties: {} };
      assert.equal(await statusOf("POST /api/exchanges/%2F/amq.default/publish", body), 200);
    }
    await channel.get("s");
    const queue = await get("/api/queues/%2F/s") as Row;
    const stats = queue["message_stats"] as Row;
    const counts = Object.fromEntries(Object.entries(stats).filter(([name]) => !name.endsWith("_details")));
    assert.deepEqual(counts, {
      publish: 3,
      deliver: 0,
      deliver_no_ack: 0,
      get: 1,
      get_no_ack: 0,
      get_empty: 1,
      deliver_get: 1,
      redeliver: 0,
      ack: 0,
    });
    for (const name of Object.keys(counts)) {
      assert.equal(typeof (stats[`${name}_details`] as Row)["rate"], "number");
    }
    assert.equal(typeof (queue["messages_details"] as Row)["rate"], "number");
    assert.ok((queue["memory"] as number) > (unused["memory"] as number));
    const idle = queue["idle_since"] as string;
    assert.match(idle, /^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/);
    assert.ok(Date.parse(idle) >= start && Date.parse(idle) <= Date.now(), idle);
    await channel.call("basic.consume", { queue: "s", noAck: true }, "basic.consume-ok");
    await waitFor(
      async () => ((await get("/api/queues/%2F/s") as Row)["message_stats"] as Row)["deliver_no_ack"] === 2,
      undefined,
      "two deliveries",
    );
    await channel.call("queue.delete", { queue: "s" }, "queue.delete-ok");
  });

  it("queues - count what is fetched and published over HTTP", async () => {
    const counts = async (queue: string) => {
      const stats = (await get(`/api/queues/%2F/${queue}`) as Row)["message_stats"] as Row;
      return Object.entries(stats).filter(([, value]) => typeof value === "number" && value > 0);
    };
    const before = broker.core.stats;
    for (
      const mode of ["ack_requeue_true", "reject_requeue_true", "ack_requeue_false", "reject_requeue_false"]
    ) {
      assert.equal(await statusOf(`PUT /api/queues/%2F/${mode}`, {}), 201);
      for (let i = 0; i < 3; i++) {
        const body = { routing_key: mode, payload: "x", payload_encoding: "string", properties: {} };
        assert.equal(await statusOf("POST /api/exchanges/%2F/amq.default/publish", body), 200);
      }
      for (const count of [2, 5]) {
        const body = { count, ackmode: mode, encoding: "auto" };
        assert.equal(await statusOf(`POST /api/queues/%2F/${mode}/get`, body), 200);
      }
      // These are RabbitMQ's counts.
      const requeues = mode.endsWith("true");
      const fetched = requeues ? 5 : 3;
      assert.deepEqual(
        new Map(await counts(mode)),
        new Map(Object.entries({
          publish: 3,
          [mode === "ack_requeue_false" ? "get_no_ack" : "get"]: fetched,
          get_empty: 1,
          deliver_get: fetched,
          ...(requeues ? { redeliver: 2 } : {}),
        })),
        mode,
      );
      assert.equal(await statusOf(`DELETE /api/queues/%2F/${mode}`), 204);
    }
    const { stats } = broker.core;
    assert.equal(stats.got + stats.gotNoAck - before.got - before.gotNoAck, 16);
    assert.equal(stats.published - before.published, 12);
    assert.equal(stats.confirmed - before.confirmed, 12);
  });
});

describe("metrics, detailed", () => {
  async function detailed(query: string): Promise<string[]> {
    const response = await send(`GET /metrics/detailed${query}`);
    assert.equal(response.status, 200);
    return (await response.text()).split("\n");
  }

  it("metrics - /metrics/detailed has the families and the virtual hosts that are asked for", async () => {
    await using connection = await client();
    const channel = await connection.open();
    await channel.call("basic.qos", { prefetchCount: 7 }, "basic.qos-ok");
    await statusOf("PUT /api/vhosts/other");
    for (const vhost of ["%2F", "other"]) await statusOf(`PUT /api/queues/${vhost}/q`, {});
    const none = await detailed("");
    assert.ok(none.some((line) => line.startsWith('rabbitmq_identity_info{rabbitmq_node="mqcat@localhost"')));
    assert.ok(!none.some((line) => line.includes("queue_messages")));
    const both = await detailed("?family=queue_coarse_metrics&family=queue_consumer_count&family=unknown");
    for (const name of ["messages_ready", "messages_unacked", "messages", "consumers"]) {
      for (const vhost of ["/", "other"]) {
        assert.ok(both.includes(`rabbitmq_detailed_queue_${name}{vhost="${vhost}",queue="q"} 0`), name);
      }
    }
    const one = await detailed("?vhost=other&family=queue_metrics");
    assert.ok(one.includes('rabbitmq_detailed_queue_messages_bytes{vhost="other",queue="q"} 0'));
    assert.ok(!one.some((line) => line.includes('vhost="/"')));
    const twice = await detailed("?family=queue_metrics&family=queue_consumer_count");
    assert.equal(twice.filter((line) => line === "# TYPE rabbitmq_detailed_queue_consumers gauge").length, 1);
    const clients =
      (await detailed("?family=connection_coarse_metrics&family=connection_metrics&family=channel_metrics"))
        .join("\n");
    assert.match(
      clients,
      /^rabbitmq_detailed_connection_incoming_bytes_total\{connection="127\..*"\} [1-9]\d*$/m,
    );
    assert.match(clients, /^rabbitmq_detailed_connection_channels\{connection="127\..*"\} 1$/m);
    assert.match(clients, /^rabbitmq_detailed_consumer_prefetch\{channel="127\..* \(1\)"\} 7$/m);
    await statusOf("DELETE /api/vhosts/other");
    await statusOf("DELETE /api/queues/%2F/q");
  });
});
