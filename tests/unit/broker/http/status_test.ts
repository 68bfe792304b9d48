/** The status of a broker over the HTTP API: connections, metrics, definitions, users. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { waitFor } from "../../../support/helpers.ts";
import { Api, names, rows } from "./api.ts";

const api = new Api();
before(() => api.open());
after(() => api.close());

describe("http, status", () => {
  it("connections - lists connections, channels and consumers of a client", async () => {
    await using connection = await api.client();
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "c" }, "queue.declare-ok");
    await channel.call("basic.qos", { prefetchCount: 7 }, "basic.qos-ok");
    await channel.call("basic.consume", { queue: "c", consumerTag: "tag" }, "basic.consume-ok");
    const [one] = rows(await api.ok("GET /api/connections"));
    assert.deepEqual([one!["user"], one!["vhost"], one!["channels"], one!["state"]], [
      "guest",
      "/",
      1,
      "running",
    ]);
    assert.match(one!["name"] as string, /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/);
    const name = encodeURIComponent(one!["name"] as string);
    assert.deepEqual(
      await api.ok(`GET /api/connections/${name}`),
      (rows(await api.ok("GET /api/connections")))[0],
    );
    const [opened] = rows(await api.ok(`GET /api/connections/${name}/channels`));
    assert.deepEqual([opened!["number"], opened!["consumer_count"], opened!["prefetch_count"]], [
      channel.id,
      1,
      7,
    ]);
    assert.equal(rows(await api.ok("GET /api/channels")).length, 1);
    const [consumer] = rows(await api.ok("GET /api/consumers/%2F"));
    assert.deepEqual([consumer!["consumer_tag"], consumer!["queue"]], ["tag", { name: "c", vhost: "/" }]);
    const queue = await api.ok("GET /api/queues/%2F/c") as Record<string, unknown>;
    assert.deepEqual([queue["consumers"], rows(queue["consumer_details"]).length], [1, 1]);
    await api.ok(`DELETE /api/connections/${name}`);
    assert.match(String(await channel.closed), /CONNECTION_FORCED/);
    await waitFor(
      async () => rows(await api.ok("GET /api/connections")).length === 0,
      undefined,
      "the connection to go",
    );
    await api.ok("DELETE /api/queues/%2F/c");
  });

  it("overview - answers overview, nodes, health checks and the other requests of tools", async () => {
    const overview = await api.ok("GET /api/overview") as Record<string, Record<string, unknown>>;
    assert.equal(overview["object_totals"]!["connections"], 0);
    assert.deepEqual(names(await api.ok("GET /api/nodes")), ["mqcat@localhost"]);
    for (const check of ["health/checks/alarms", "health/checks/local-alarms", "aliveness-test/%2F"]) {
      assert.deepEqual(await api.ok(`GET /api/${check}`), { status: "ok" });
    }
    const port = Number(new URL(api.amqp).port);
    assert.deepEqual(await api.ok(`GET /api/health/checks/port-listener/${port}`), { status: "ok", port });
    assert.equal((await api.ask("GET /api/health/checks/port-listener/1")).status, 503);
    assert.equal((await api.ask("GET /api/health/checks/protocol-listener/amqp091")).status, 200);
    assert.equal((await api.ask("GET /api/health/checks/protocol-listener/mqtt")).status, 503);
    await api.refused(404, /Not Found/, "GET /api/nodes/other");
    for (const list of ["policies", "policies/%2F", "parameters", "extensions"]) {
      assert.deepEqual(await api.ok(`GET /api/${list}`), []);
    }
  });

  it("aliveness-test - leaves nothing, and takes no message of a queue with its name", async () => {
    const before = names(await api.ok("GET /api/queues"));
    for (const method of ["GET", "HEAD"]) {
      assert.equal((await api.ask(`${method} /api/aliveness-test/%2F`)).status, 200);
    }
    assert.deepEqual(names(await api.ok("GET /api/queues")), before);
    await api.ok("PUT /api/queues/%2F/aliveness-test", {});
    await api.ok("POST /api/exchanges/%2F/amq.default/publish", {
      routing_key: "aliveness-test",
      payload: "mine",
    });
    assert.deepEqual(await api.ok("GET /api/aliveness-test/%2F"), { status: "ok" });
    const queue = await api.ok("GET /api/queues/%2F/aliveness-test") as Record<string, unknown>;
    assert.equal(queue["messages"], 1);
    await api.ok("DELETE /api/queues/%2F/aliveness-test");
  });

  it("metrics - have RabbitMQ's names, for all queues or for each queue", async () => {
    await using connection = await api.client();
    const channel = await connection.open();
    const name = 'odd"q\\';
    await channel.call("queue.declare", { queue: name }, "queue.declare-ok");
    await api.ok("POST /api/exchanges/%2F/amq.default/publish", { routing_key: name, payload: "12345" });
    await channel.get(name);
    const { text, headers } = await api.ask("GET /metrics");
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
    const each = (await api.ask("GET /metrics/per-object")).text;
    assert.ok(each.includes('rabbitmq_queue_messages{vhost="/",queue="odd\\"q\\\\"} 1\n'), each);
    await channel.call("queue.delete", { queue: name }, "queue.delete-ok");
  });

  it("definitions - are exported and imported", async () => {
    await api.ok("PUT /api/queues/%2F/d", { durable: true, arguments: { "x-max-length": 3 } });
    const written = await api.ok("GET /api/definitions") as Record<string, unknown>;
    await api.ok("DELETE /api/queues/%2F/d");
    assert.equal(await api.ok("POST /api/definitions", written), undefined);
    const policies = [{ name: "p", vhost: "/", pattern: "^ha$", definition: { "ha-mode": "all" } }];
    assert.match(
      JSON.stringify(await api.ok("POST /api/definitions", { policies })),
      /"policies\[0\] \('p'\) has no effect/,
    );
    await api.ok("DELETE /api/policies/%2F/p");
    assert.deepEqual(await api.ok("GET /api/definitions"), written);
    const own = await api.ok("GET /api/definitions/%2F") as Record<string, unknown>;
    assert.equal("users" in own, false);
    await api.ok("DELETE /api/queues/%2F/d");
    await api.ok("POST /api/definitions/%2F", own);
    await api.refused(400, /queues\[0\]\.vhost must be a string/, "POST /api/definitions", {
      vhosts: [{ name: "/" }],
      queues: [{ name: "q" }],
    });
    await api.ok("DELETE /api/queues/%2F/d");
  });

  it("users - are changed, and names of JavaScript's built-in properties are ordinary names", async () => {
    assert.equal(
      (await api.ask("PUT /api/users/__proto__", { password: "x", tags: ["monitoring"] })).status,
      201,
    );
    assert.equal((await api.ask("PUT /api/users/__proto__", { password: "y", tags: [] })).status, 204);
    assert.deepEqual((await api.ok("GET /api/users/__proto__") as Record<string, unknown>)["tags"], []);
    await api.refused(404, /Not Found/, "GET /api/permissions/%2F/__proto__");
    await api.ok("DELETE /api/users/__proto__");
    await api.refused(404, /Not Found/, "DELETE /api/users/__proto__");
  });
});
