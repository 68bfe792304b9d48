/** Queues, exchanges, bindings and lists over the HTTP API. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Api, names, rows } from "./api.ts";

const api = new Api();
before(() => api.open());
after(() => api.close());

describe("http, queues, exchanges and bindings", () => {
  it("queue - is declared, shown, purged and deleted", async () => {
    const args = { "x-max-length": 10, "x-overflow": "drop-head" };
    const declared = { durable: true, arguments: args };
    assert.equal((await api.ask("PUT /api/queues/%2F/q%2F1", declared)).status, 201);
    assert.equal((await api.ask("PUT /api/queues/%2F/q%2F1", declared)).status, 204);
    await api.refused(
      400,
      /^inequivalent arg 'durable' for queue 'q\/1' in vhost '\/': received 'false' but current is 'true'$/,
      "PUT /api/queues/%2F/q%2F1",
      { ...declared, durable: false },
    );
    await api.ok("POST /api/exchanges/%2F/amq.default/publish", { routing_key: "q/1", payload: "hello" });
    const queue = await api.ok("GET /api/queues/%2F/q%2F1") as Record<string, unknown>;
    assert.deepEqual(queue["arguments"], args);
    assert.deepEqual([queue["messages"], queue["messages_ready"], queue["message_bytes"]], [1, 1, 5]);
    await api.refused(400, /not empty/, "DELETE /api/queues/%2F/q%2F1?if-empty=true");
    assert.equal((await api.ask("DELETE /api/queues/%2F/q%2F1/contents")).status, 204);
    assert.equal((await api.ask("DELETE /api/queues/%2F/q%2F1?if-empty=true")).status, 204);
  });

  it("queue - an exclusive queue is locked", async () => {
    await using connection = await api.client();
    const channel = await connection.open();
    await channel.call("queue.declare", { queue: "mine", exclusive: true }, "queue.declare-ok");
    assert.equal((await api.ok("GET /api/queues/%2F/mine") as Record<string, unknown>)["exclusive"], true);
    for (const route of ["DELETE /api/queues/%2F/mine", "DELETE /api/queues/%2F/mine/contents"]) {
      await api.refused(400, /cannot obtain exclusive access/, route);
    }
    await api.refused(400, /cannot obtain exclusive access/, "POST /api/queues/%2F/mine/peek", {});
  });

  it("exchange - is declared, bound, shown and deleted", async () => {
    await api.ok("PUT /api/queues/%2F/q", {});
    assert.equal((await api.ask("PUT /api/exchanges/%2F/x", { type: "topic", durable: "true" })).status, 201);
    await api.ok("PUT /api/exchanges/%2F/y", { type: "fanout", auto_delete: true });
    await api.ok("POST /api/bindings/%2F/e/x/q/q", { routing_key: "a.~.#" });
    await api.ok("POST /api/bindings/%2F/e/x/q/q", { routing_key: "a.~.#", arguments: { k: 1 } });
    await api.ok("POST /api/bindings/%2F/e/x/e/y", {});
    const keys = rows(await api.ok("GET /api/bindings/%2F/e/x/q/q")).map((row) =>
      row["properties_key"] as string
    );
    assert.deepEqual(keys[0], "a.%7E.%23");
    assert.match(keys[1]!, /^a\.%7E\.%23~[\w-]{6}$/);
    assert.equal(rows(await api.ok("GET /api/exchanges/%2F/x/bindings/source")).length, 3);
    assert.equal(rows(await api.ok("GET /api/exchanges/%2F/y/bindings/destination")).length, 1);
    assert.equal(rows(await api.ok("GET /api/queues/%2F/q/bindings")).length, 3);
    assert.ok(rows(await api.ok("GET /api/exchanges/%2F/amq.default/bindings/source")).length > 0);
    await api.ok(`DELETE /api/bindings/%2F/e/x/q/q/${encodeURIComponent(keys[1]!)}`);
    await api.ok(`DELETE /api/bindings/%2F/e/x/e/y/~`);
    assert.deepEqual(
      rows(await api.ok("GET /api/bindings/%2F")).filter(({ source }) => source === "x").length,
      1,
    );
    await api.refused(404, /Not Found/, "DELETE /api/bindings/%2F/e/x/q/q/none");
    await api.refused(400, /in use/, "DELETE /api/exchanges/%2F/x?if-unused=true");
    await api.ok("DELETE /api/exchanges/%2F/x");
    await api.refused(404, /Not Found/, "DELETE /api/exchanges/%2F/x");
    await api.refused(401, /not permitted on the default exchange/, "DELETE /api/exchanges/%2F/amq.default");
    await api.ok("DELETE /api/exchanges/%2F/y");
    await api.ok("DELETE /api/queues/%2F/q");
  });

  it("lists - are filtered by name, sorted, and reduced to columns and pages", async () => {
    for (const name of ["b1", "a1", "c1", "a2"]) await api.ok(`PUT /api/queues/%2F/list-${name}`, {});
    const query = "?name=list-&sort=name&columns=name,messages";
    assert.deepEqual(
      await api.ok(`GET /api/queues/%2F${query}`),
      ["a1", "a2", "b1", "c1"].map((name) => {
        return { name: `list-${name}`, messages: 0 };
      }),
    );
    assert.deepEqual(names(await api.ok("GET /api/queues?name=list-a%5Cd&use_regex=true&sort=name")), [
      "list-a1",
      "list-a2",
    ]);
    const page = await api.ok(`GET /api/queues${query}&sort_reverse=true&page=2&page_size=3`) as Record<
      string,
      unknown
    >;
    assert.deepEqual(names(page["items"]), ["list-a1"]);
    assert.deepEqual([page["filtered_count"], page["item_count"], page["page_count"]], [4, 1, 2]);
    await api.refused(400, /page must be a whole number: received '-1'/, "GET /api/queues?page=-1");
    await api.refused(400, /lookahead.* not supported/, "GET /api/queues?name=(%3F%3Da)&use_regex=true");
    assert.deepEqual(await api.ok("GET /api/overview?columns=object_totals.queues"), {
      object_totals: { queues: api.broker.vhosts.get("/")!.queues.size },
    });
    for (const name of ["b1", "a1", "c1", "a2"]) await api.ok(`DELETE /api/queues/%2F/list-${name}`);
  });
});
