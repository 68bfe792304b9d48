/** The HTTP API and the metrics of a broker, requested with fetch. */
import assert from "node:assert/strict";
import net from "node:net";
import os from "node:os";
import { after, before, describe, it } from "node:test";
import { type AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { Broker } from "../../../../lib/broker/server.ts";
import { isOwnHost } from "../../../../lib/page/host_header.ts";
import { HttpServer } from "../../../../lib/broker/http/server.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";

interface Answer {
  readonly status: number;
  readonly json: unknown;
  readonly text: string;
  readonly headers: Headers;
}

let broker: Broker;
let server: HttpServer;
let amqp: string;

before(async () => {
  broker = await Broker.open();
  amqp = await broker.listen("amqp://127.0.0.1:0");
  server = await HttpServer.listen(broker, ":0");
});

after(async () => {
  await server.close();
  await broker.close();
});

async function ask(
  route: string,
  body?: unknown,
  { login = "guest:guest", headers = {} }: { login?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const [method, path] = route.split(" ") as [string, string];
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { ...(login === "" ? {} : { authorization: `Basic ${btoa(login)}` }), ...headers },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = text !== "" && response.headers.get("content-type") === "application/json";
  return {
    status: response.status,
    text,
    json: isJson ? JSON.parse(text) : undefined,
    headers: response.headers,
  };
}

async function ok(route: string, body?: unknown, login?: string): Promise<unknown> {
  const { status, text, json } = await ask(route, body, login === undefined ? {} : { login });
  assert.ok(status < 300, `${route}: ${status} ${text}`);
  return json;
}

async function refused(
  status: number,
  reason: RegExp,
  route: string,
  body?: unknown,
  login?: string,
): Promise<void> {
  const answer = await ask(route, body, login === undefined ? {} : { login });
  assert.equal(answer.status, status, `${route}: ${answer.text}`);
  assert.match((answer.json as { reason: string }).reason, reason);
}

const rows = (json: unknown) => json as Record<string, unknown>[];
const names = (json: unknown) => rows(json).map(({ name }) => name);

/** Sends bytes, and resolves to the response when the server has closed the connection. */
function rawAnswer(bytes: string, url: string = server.url): Promise<string> {
  const { hostname, port } = new URL(url);
  return deadline(
    new Promise((resolve) => {
      let heard = "";
      const socket = net.connect(Number(port), hostname, () => void socket.write(bytes));
      socket.on("data", (chunk) => heard += String(chunk));
      socket.on("error", () => {});
      socket.on("close", () => resolve(heard));
    }),
    undefined,
    "the server to end the connection",
  );
}

/** Connects a client that is closed at the end of the test. */
async function client(url = amqp.replace("//", "//guest:guest@")): Promise<AmqpConnection & AsyncDisposable> {
  const connection = await connectBroker(parseAmqpUrl(url));
  return Object.assign(connection, { [Symbol.asyncDispose]: () => connection.close() });
}

describe("http, authentication", () => {
  it("http - refuses a missing or wrong password, and users without a tag", async () => {
    broker.users.put("plain", "s3cret");
    for (const login of ["", "guest:wrong", "nobody:guest", "guest", "plain:s3cret"]) {
      const { status, json, headers } = await ask("GET /api/overview", undefined, { login });
      assert.equal(status, 401, login);
      assert.equal((json as { error: string }).error, "not_authorised");
      assert.match(headers.get("www-authenticate")!, /^Basic /);
    }
    assert.equal((await ask("GET /metrics", undefined, { login: "" })).status, 401);
    assert.deepEqual(await ok("GET /api/whoami"), { name: "guest", tags: ["administrator"] });
  });

  it("http - accepts a password with colons and non-ASCII bytes", async () => {
    broker.users.put("odd", "a:b:ü", ["management"]);
    const login = String.fromCharCode(...new TextEncoder().encode("odd:a:b:ü"));
    assert.deepEqual(await ok("GET /api/whoami", undefined, login), { name: "odd", tags: ["management"] });
  });

  it("http - refuses requests of web pages from other origins", async () => {
    const { status } = await ask("PUT /api/queues/%2F/evil", {}, {
      headers: { origin: "https://evil.example" },
    });
    assert.equal(status, 403);
    await refused(404, /Not Found/, "GET /api/queues/%2F/evil");
  });

  it("http - refuses requests from this machine with the Host of another site", async () => {
    const { port } = new URL(server.url);
    const login = `authorization: Basic ${btoa("guest:guest")}\r\n`;
    const get = (host: string) =>
      rawAnswer(`GET /api/whoami HTTP/1.1\r\n${host}${login}connection: close\r\n\r\n`);
    for (
      const host of [
        "evil.example",
        `evil.example:${port}`,
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "1.2.3",
        "[::1",
        "",
      ]
    ) {
      assert.match(
        await get(`host: ${host}\r\n`),
        /^HTTP\/1\.1 403 [\s\S]*use localhost or an IP address/,
        host,
      );
    }
    const own = [
      "localhost",
      "LOCALHOST:1",
      "broker.localhost",
      "127.0.0.1:5",
      "[::1]:80",
      "192.0.2.7",
      os.hostname(),
    ];
    for (const host of own) assert.match(await get(`host: ${host}\r\n`), /^HTTP\/1\.1 200 /, host);
    assert.match(await rawAnswer(`GET /api/whoami HTTP/1.0\r\n${login}\r\n`), /^HTTP\/1\.\d 200 /);
  });

  it("http - accepts the name that it listens on as Host, and no other name", () => {
    assert.equal(isOwnHost("Broker.example:15672", "broker.example"), true);
    assert.equal(isOwnHost("broker.example.", "broker.example"), true);
    assert.equal(isOwnHost("www.broker.example", "broker.example"), false);
    assert.equal(isOwnHost("*", "*"), false);
  });

  it("http - the tag management shows own virtual hosts and no users", async () => {
    await ok("PUT /api/vhosts/theirs");
    await ok("PUT /api/vhosts/others");
    await ok("PUT /api/users/jane", { password: "x", tags: "management" });
    await ok("PUT /api/permissions/theirs/jane", { configure: "^j", write: "^j", read: "^j" });
    const jane = "jane:x";
    await ok("PUT /api/queues/others/hidden", {});
    await ok("PUT /api/queues/theirs/j1", {}, jane);
    assert.deepEqual(names(await ok("GET /api/vhosts", undefined, jane)), ["theirs"]);
    assert.deepEqual(names(await ok("GET /api/queues", undefined, jane)), ["j1"]);
    await refused(404, /Not Found/, "GET /api/queues/others/hidden", undefined, jane);
    await refused(401, /access to queue 'k' in vhost 'theirs' refused/, "PUT /api/queues/theirs/k", {}, jane);
    await refused(
      401,
      /access to exchange 'amq\.default'/,
      "POST /api/exchanges/theirs/amq.default/publish",
      { routing_key: "j1", payload: "x" },
      jane,
    );
    for (
      const route of ["GET /api/users", "GET /api/definitions", "GET /api/permissions", "PUT /api/vhosts/new"]
    ) {
      await refused(401, /administrator/, route, undefined, jane);
    }
    await refused(401, /monitoring/, "GET /metrics", undefined, jane);
    await ok("DELETE /api/permissions/theirs/jane");
    assert.deepEqual(await ok("GET /api/vhosts", undefined, jane), []);
    await ok("DELETE /api/users/jane");
    await ok("DELETE /api/vhosts/theirs");
    await ok("DELETE /api/vhosts/others");
    assert.deepEqual(names(await ok("GET /api/vhosts")), ["/"]);
  });
});

describe("http, errors", () => {
  it("http - refuses unknown paths and methods", async () => {
    await refused(404, /Not Found/, "GET /none");
    await refused(404, /Not Found/, "GET /api/none");
    await refused(404, /Not Found/, "GET /api/queues/none");
    await refused(404, /Not Found/, "GET /api/queues/%2F/none");
    await refused(404, /Not Found/, "DELETE /api/queues/%2F/none");
    await refused(405, /Use GET/, "POST /api/overview", {});
    await refused(400, /malformed %/, "GET /api/queues/%zz");
  });

  it("http - refuses malformed bodies", async () => {
    await refused(400, /JSON/, "PUT /api/queues/%2F/q", "{");
    await refused(400, /must be a JSON object/, "PUT /api/queues/%2F/q", []);
    await refused(400, /durable must be true or false: received "perhaps"/, "PUT /api/queues/%2F/q", {
      durable: "perhaps",
    });
    await refused(400, /unknown exchange type 'odd'/, "PUT /api/exchanges/%2F/x", { type: "odd" });
    await refused(401, /reserved prefix/, "PUT /api/queues/%2F/amq.q", {});
    await refused(413, /over 16777216 bytes/, "PUT /api/queues/%2F/q", `"${"x".repeat(2 ** 24)}"`);
  });
});

describe("http, queues, exchanges and bindings", () => {
  it("queue - is declared, shown, purged and deleted", async () => {
    const args = { "x-max-length": 10, "x-overflow": "drop-head" };
    const declared = { durable: true, arguments: args };
    assert.equal((await ask("PUT /api/queues/%2F/q%2F1", declared)).status, 201);
    assert.equal((await ask("PUT /api/queues/%2F/q%2F1", declared)).status, 204);
    await refused(
      400,
      /^inequivalent arg 'durable' for queue 'q\/1' in vhost '\/': received 'false' but current is 'true'$/,
      "PUT /api/queues/%2F/q%2F1",
      { ...declared, durable: false },
    );
    await ok("POST /api/exchanges/%2F/amq.default/publish", { routing_key: "q/1", payload: "hello" });
    const queue = await ok("GET /api/queues/%2F/q%2F1") as Record<string, unknown>;
    assert.deepEqual(queue["arguments"], args);
    assert.deepEqual([queue["messages"], queue["messages_ready"], queue["message_bytes"]], [1, 1, 5]);
    await refused(400, /not empty/, "DELETE /api/queues/%2F/q%2F1?if-empty=true");
    assert.equal((await ask("DELETE /api/queues/%2F/q%2F1/contents")).status, 204);
    assert.equal((await ask("DELETE /api/queues/%2F/q%2F1?if-empty=true")).status, 204);
  });

  it("queue - an exclusive queue is locked", async () => {
    await using connection = await client();
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "mine", exclusive: true }, "queue.declare-ok");
    assert.equal((await ok("GET /api/queues/%2F/mine") as Record<string, unknown>)["exclusive"], true);
    for (const route of ["DELETE /api/queues/%2F/mine", "DELETE /api/queues/%2F/mine/contents"]) {
      await refused(400, /cannot obtain exclusive access/, route);
    }
    await refused(400, /cannot obtain exclusive access/, "POST /api/queues/%2F/mine/peek", {});
  });

  it("exchange - is declared, bound, shown and deleted", async () => {
    await ok("PUT /api/queues/%2F/q", {});
    assert.equal((await ask("PUT /api/exchanges/%2F/x", { type: "topic", durable: "true" })).status, 201);
    await ok("PUT /api/exchanges/%2F/y", { type: "fanout", auto_delete: true });
    await ok("POST /api/bindings/%2F/e/x/q/q", { routing_key: "a.~.#" });
    await ok("POST /api/bindings/%2F/e/x/q/q", { routing_key: "a.~.#", arguments: { k: 1 } });
    await ok("POST /api/bindings/%2F/e/x/e/y", {});
    const keys = rows(await ok("GET /api/bindings/%2F/e/x/q/q")).map((row) =>
      row["properties_key"] as string
    );
    assert.deepEqual(keys[0], "a.%7E.%23");
    assert.match(keys[1]!, /^a\.%7E\.%23~[\w-]{6}$/);
    assert.equal(rows(await ok("GET /api/exchanges/%2F/x/bindings/source")).length, 3);
    assert.equal(rows(await ok("GET /api/exchanges/%2F/y/bindings/destination")).length, 1);
    assert.equal(rows(await ok("GET /api/queues/%2F/q/bindings")).length, 3);
    assert.ok(rows(await ok("GET /api/exchanges/%2F/amq.default/bindings/source")).length > 0);
    await ok(`DELETE /api/bindings/%2F/e/x/q/q/${encodeURIComponent(keys[1]!)}`);
    await ok(`DELETE /api/bindings/%2F/e/x/e/y/~`);
    assert.deepEqual(
      rows(await ok("GET /api/bindings/%2F")).filter(({ source }) => source === "x").length,
      1,
    );
    await refused(404, /Not Found/, "DELETE /api/bindings/%2F/e/x/q/q/none");
    await refused(400, /in use/, "DELETE /api/exchanges/%2F/x?if-unused=true");
    await ok("DELETE /api/exchanges/%2F/x");
    await refused(404, /Not Found/, "DELETE /api/exchanges/%2F/x");
    await refused(401, /not permitted on the default exchange/, "DELETE /api/exchanges/%2F/amq.default");
    await ok("DELETE /api/exchanges/%2F/y");
    await ok("DELETE /api/queues/%2F/q");
  });

  it("lists - are filtered by name, sorted, and reduced to columns and pages", async () => {
    for (const name of ["b1", "a1", "c1", "a2"]) await ok(`PUT /api/queues/%2F/list-${name}`, {});
    const query = "?name=list-&sort=name&columns=name,messages";
    assert.deepEqual(
      await ok(`GET /api/queues/%2F${query}`),
      ["a1", "a2", "b1", "c1"].map((name) => {
        return { name: `list-${name}`, messages: 0 };
      }),
    );
    assert.deepEqual(names(await ok("GET /api/queues?name=list-a%5Cd&use_regex=true&sort=name")), [
      "list-a1",
      "list-a2",
    ]);
    const page = await ok(`GET /api/queues${query}&sort_reverse=true&page=2&page_size=3`) as Record<
      string,
      unknown
    >;
    assert.deepEqual(names(page["items"]), ["list-a1"]);
    assert.deepEqual([page["filtered_count"], page["item_count"], page["page_count"]], [4, 1, 2]);
    await refused(400, /page must be a whole number: received '-1'/, "GET /api/queues?page=-1");
    await refused(400, /lookahead.* not supported/, "GET /api/queues?name=(%3F%3Da)&use_regex=true");
    assert.deepEqual(await ok("GET /api/overview?columns=object_totals.queues"), {
      object_totals: { queues: broker.vhosts.get("/")!.queues.size },
    });
    for (const name of ["b1", "a1", "c1", "a2"]) await ok(`DELETE /api/queues/%2F/list-${name}`);
  });
});

describe("http, messages", () => {
  const publish = "POST /api/exchanges/%2F/amq.default/publish";
  const payloads = (json: unknown) => rows(json).map(({ payload }) => payload);

  it("messages - are published and fetched with the same properties", async () => {
    await ok("PUT /api/queues/%2F/m", {});
    const properties = {
      content_type: "text/plain",
      delivery_mode: 2,
      priority: 3,
      timestamp: 1700000000,
      message_id: "m1",
      user_id: "guest",
      headers: { a: 1, b: [true, null, "x"], c: { d: 0.5 } },
    };
    assert.deepEqual(await ok(publish, { routing_key: "m", payload: "hé", properties }), { routed: true });
    assert.deepEqual(
      await ok(publish, { routing_key: "m", payload: "/wA=", payload_encoding: "base64" }),
      { routed: true },
    );
    assert.deepEqual(await ok(publish, { routing_key: "nowhere", payload: "x" }), { routed: false });
    const taken = rows(
      await ok("POST /api/queues/%2F/m/get", { count: 5, ackmode: "ack_requeue_false", encoding: "auto" }),
    );
    assert.deepEqual(taken, [
      {
        payload_bytes: 3,
        redelivered: false,
        exchange: "",
        routing_key: "m",
        message_count: 1,
        properties,
        payload: "hé",
        payload_encoding: "string",
      },
      {
        payload_bytes: 2,
        redelivered: false,
        exchange: "",
        routing_key: "m",
        message_count: 0,
        properties: {},
        payload: "/wA=",
        payload_encoding: "base64",
      },
    ]);
    await refused(400, /user_id property set to 'joe'/, publish, {
      routing_key: "m",
      payload: "",
      properties: { user_id: "joe" },
    });
    await refused(404, /no exchange 'none' in vhost/, "POST /api/exchanges/%2F/none/publish", {
      routing_key: "",
      payload: "",
    });
    await refused(400, /properties\.priority must be a whole number/, publish, {
      routing_key: "m",
      payload: "",
      properties: { priority: -1 },
    });
    await ok("DELETE /api/queues/%2F/m");
  });

  it("messages - ackmode decides what happens to fetched messages", async () => {
    await ok("PUT /api/queues/%2F/dead", {});
    await ok("PUT /api/queues/%2F/m", {
      arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" },
    });
    for (const payload of ["1", "2", "3", "4"]) await ok(publish, { routing_key: "m", payload });
    const get = (ackmode: string, count: number) =>
      ok("POST /api/queues/%2F/m/get", { ackmode, count, encoding: "auto" });
    assert.deepEqual(payloads(await get("ack_requeue_true", 3)), ["1", "2", "3"]);
    const again = rows(await get("reject_requeue_true", 4));
    assert.deepEqual(payloads(again), ["1", "2", "3", "4"]);
    assert.deepEqual(again.map(({ redelivered }) => redelivered), [true, true, true, false]);
    assert.deepEqual(payloads(await get("ack_requeue_false", 1)), ["1"]);
    assert.deepEqual(payloads(await get("reject_requeue_false", 1)), ["2"]);
    const dead = await ok("POST /api/queues/%2F/dead/peek", {});
    assert.deepEqual(payloads(dead), ["2"]);
    assert.equal(JSON.stringify(dead).includes('"reason":"rejected"'), true);
    await refused(400, /ackmode must be one of/, "POST /api/queues/%2F/m/get", { ackmode: "perhaps" });
    await refused(400, /ackmode must be a string/, "POST /api/queues/%2F/m/get", { count: 1 });
    await refused(400, /count must be a whole number: received -1/, "POST /api/queues/%2F/m/get", {
      ackmode: "ack_requeue_true",
      count: -1,
    });
    await ok("DELETE /api/queues/%2F/m");
    await ok("DELETE /api/queues/%2F/dead");
  });

  it("peek - shows some messages and changes nothing", async () => {
    await ok("PUT /api/queues/%2F/m", { arguments: { "x-max-priority": 5 } });
    for (const [payload, priority] of [["low1", 0], ["high", 4], ["low2", 0]] as const) {
      await ok(publish, { routing_key: "m", payload, properties: { priority } });
    }
    const peek = (body: unknown) => ok("POST /api/queues/%2F/m/peek", body);
    for (let i = 0; i < 2; i++) {
      const shown = rows(await peek({ count: 10 }));
      assert.deepEqual(payloads(shown), ["high", "low1", "low2"]);
      assert.deepEqual(shown.map((row) => [row["redelivered"], row["message_count"]]), [[false, 2], [
        false,
        1,
      ], [false, 0]]);
    }
    assert.deepEqual(payloads(await peek({ count: 1, offset: 1, truncate: 3 })), ["low"]);
    assert.deepEqual(payloads(await peek({ encoding: "base64" })), [btoa("high")]);
    await ok("DELETE /api/queues/%2F/m");
  });
});

describe("http, status", () => {
  it("connections - lists connections, channels and consumers of a client", async () => {
    await using connection = await client();
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "c" }, "queue.declare-ok");
    await channel.call("basic.qos", { prefetchCount: 7 }, "basic.qos-ok");
    await channel.call("basic.consume", { queue: "c", consumerTag: "tag" }, "basic.consume-ok");
    const [one] = rows(await ok("GET /api/connections"));
    assert.deepEqual([one!["user"], one!["vhost"], one!["channels"], one!["state"]], [
      "guest",
      "/",
      1,
      "running",
    ]);
    assert.match(one!["name"] as string, /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/);
    const name = encodeURIComponent(one!["name"] as string);
    assert.deepEqual(await ok(`GET /api/connections/${name}`), (rows(await ok("GET /api/connections")))[0]);
    const [opened] = rows(await ok(`GET /api/connections/${name}/channels`));
    assert.deepEqual([opened!["number"], opened!["consumer_count"], opened!["prefetch_count"]], [
      channel.id,
      1,
      7,
    ]);
    assert.equal(rows(await ok("GET /api/channels")).length, 1);
    const [consumer] = rows(await ok("GET /api/consumers/%2F"));
    assert.deepEqual([consumer!["consumer_tag"], consumer!["queue"]], ["tag", { name: "c", vhost: "/" }]);
    const queue = await ok("GET /api/queues/%2F/c") as Record<string, unknown>;
    assert.deepEqual([queue["consumers"], rows(queue["consumer_details"]).length], [1, 1]);
    await ok(`DELETE /api/connections/${name}`);
    assert.match(String(await channel.closed), /CONNECTION_FORCED/);
    await waitFor(
      async () => rows(await ok("GET /api/connections")).length === 0,
      undefined,
      "the connection to go",
    );
    await ok("DELETE /api/queues/%2F/c");
  });

  it("overview - answers overview, nodes, health checks and the other requests of tools", async () => {
    const overview = await ok("GET /api/overview") as Record<string, Record<string, unknown>>;
    assert.equal(overview["object_totals"]!["connections"], 0);
    assert.deepEqual(names(await ok("GET /api/nodes")), ["mqcat@localhost"]);
    for (const check of ["health/checks/alarms", "health/checks/local-alarms", "aliveness-test/%2F"]) {
      assert.deepEqual(await ok(`GET /api/${check}`), { status: "ok" });
    }
    const port = Number(new URL(amqp).port);
    assert.deepEqual(await ok(`GET /api/health/checks/port-listener/${port}`), { status: "ok", port });
    assert.equal((await ask("GET /api/health/checks/port-listener/1")).status, 503);
    assert.equal((await ask("GET /api/health/checks/protocol-listener/amqp091")).status, 200);
    assert.equal((await ask("GET /api/health/checks/protocol-listener/mqtt")).status, 503);
    await refused(404, /Not Found/, "GET /api/nodes/other");
    for (const list of ["policies", "policies/%2F", "parameters", "extensions"]) {
      assert.deepEqual(await ok(`GET /api/${list}`), []);
    }
  });

  it("aliveness-test - leaves nothing, and takes no message of a queue with its name", async () => {
    const before = names(await ok("GET /api/queues"));
    for (const method of ["GET", "HEAD"]) {
      assert.equal((await ask(`${method} /api/aliveness-test/%2F`)).status, 200);
    }
    assert.deepEqual(names(await ok("GET /api/queues")), before);
    await ok("PUT /api/queues/%2F/aliveness-test", {});
    await ok("POST /api/exchanges/%2F/amq.default/publish", {
      routing_key: "aliveness-test",
      payload: "mine",
    });
    assert.deepEqual(await ok("GET /api/aliveness-test/%2F"), { status: "ok" });
    const queue = await ok("GET /api/queues/%2F/aliveness-test") as Record<string, unknown>;
    assert.equal(queue["messages"], 1);
    await ok("DELETE /api/queues/%2F/aliveness-test");
  });

  it("metrics - have RabbitMQ's names, for all queues or for each queue", async () => {
    await using connection = await client();
    const channel = await connection.open();
    const name = 'odd"q\\';
    await channel.call("queue.declare", { queue: name }, "queue.declare-ok");
    await ok("POST /api/exchanges/%2F/amq.default/publish", { routing_key: name, payload: "12345" });
    await channel.get(name);
    const { text, headers } = await ask("GET /metrics");
    assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    for (
      const line of [
        "rabbitmq_connections 1",
        "rabbitmq_channels 1",
        "rabbitmq_queue_messages_ready 0",
        "rabbitmq_queue_messages_unacked 1",
        "rabbitmq_queue_messages_unacked_bytes 5",
      ]
    ) assert.ok(text.split("\n").includes(line), `${line} is not in\n${text}`);
    const each = (await ask("GET /metrics/per-object")).text;
    assert.ok(each.includes('rabbitmq_queue_messages{vhost="/",queue="odd\\"q\\\\"} 1\n'), each);
    await channel.call("queue.delete", { queue: name }, "queue.delete-ok");
  });

  it("definitions - are exported and imported", async () => {
    await ok("PUT /api/queues/%2F/d", { durable: true, arguments: { "x-max-length": 3 } });
    const written = await ok("GET /api/definitions") as Record<string, unknown>;
    await ok("DELETE /api/queues/%2F/d");
    assert.equal(await ok("POST /api/definitions", written), undefined);
    const policies = [{ name: "p", vhost: "/", pattern: "^ha$", definition: { "ha-mode": "all" } }];
    assert.match(
      JSON.stringify(await ok("POST /api/definitions", { policies })),
      /"policies\[0\] \('p'\) has no effect/,
    );
    await ok("DELETE /api/policies/%2F/p");
    assert.deepEqual(await ok("GET /api/definitions"), written);
    const own = await ok("GET /api/definitions/%2F") as Record<string, unknown>;
    assert.equal("users" in own, false);
    await ok("DELETE /api/queues/%2F/d");
    await ok("POST /api/definitions/%2F", own);
    await refused(400, /queues\[0\]\.vhost must be a string/, "POST /api/definitions", {
      vhosts: [{ name: "/" }],
      queues: [{ name: "q" }],
    });
    await ok("DELETE /api/queues/%2F/d");
  });

  it("users - are changed, and names of JavaScript's built-in properties are ordinary names", async () => {
    assert.equal(
      (await ask("PUT /api/users/__proto__", { password: "x", tags: ["monitoring"] })).status,
      201,
    );
    assert.equal((await ask("PUT /api/users/__proto__", { password: "y", tags: [] })).status, 204);
    assert.deepEqual((await ok("GET /api/users/__proto__") as Record<string, unknown>)["tags"], []);
    await refused(404, /Not Found/, "GET /api/permissions/%2F/__proto__");
    await ok("DELETE /api/users/__proto__");
    await refused(404, /Not Found/, "DELETE /api/users/__proto__");
  });
});

describe("http, clients that misbehave", () => {
  it("http - closes connections that are slow, silent, send too much, or do not send HTTP", async () => {
    const strict = await HttpServer.listen(broker, ":0", { head: 1024, headTime: 100, time: 200, body: 100 });
    const login = `authorization: Basic ${btoa("guest:guest")}\r\nhost: localhost\r\n`;
    const put = `PUT /api/queues/%2F/slow HTTP/1.1\r\n${login}`;
    const talks = [
      "",
      "GET /api/overview HTTP/1.1\r\nhost: localhost\r\n",
      `${put}content-length: 50\r\n\r\n{`,
      `GET / HTTP/1.1\r\nx: ${"x".repeat(3000)}\r\n\r\n`,
      "AMQP\x00\x00\x09\x01",
    ];
    for (const heard of await Promise.all(talks.map((bytes) => rawAnswer(bytes, strict.url)))) {
      assert.ok(heard === "" || /^HTTP\/1\.1 4/.test(heard), heard);
    }
    const announced = await rawAnswer(`${put}content-length: 1000\r\n\r\n`, strict.url);
    assert.match(announced, /^HTTP\/1\.1 413 [\s\S]*over 100 bytes/);
    const chunks = `transfer-encoding: chunked\r\n\r\n${`40\r\n${"x".repeat(64)}\r\n`.repeat(4)}`;
    assert.match(await rawAnswer(`${put}${chunks}`, strict.url), /^HTTP\/1\.1 413 /);
    assert.equal(broker.vhosts.get("/")!.queues.has("slow"), false);
    await strict.close();
  });
});

describe("http, listening", () => {
  it("http - reports a port in use and an invalid address", async () => {
    await assert.rejects(
      HttpServer.listen(broker, server.url),
      /Cannot listen for HTTP on .*EADDRINUSE|in use/,
    );
    await assert.rejects(HttpServer.listen(broker, "nonsense"), /nonsense/);
  });
});
