/** Messages over the HTTP API. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Api, rows } from "./api.ts";

const api = new Api();
before(() => api.open());
after(() => api.close());

describe("http, messages", () => {
  const publish = "POST /api/exchanges/%2F/amq.default/publish";
  const payloads = (json: unknown) => rows(json).map(({ payload }) => payload);

  it("messages - are published and fetched with the same properties", async () => {
    await api.ok("PUT /api/queues/%2F/m", {});
    const properties = {
      content_type: "text/plain",
      delivery_mode: 2,
      priority: 3,
      timestamp: 1700000000,
      message_id: "m1",
      user_id: "guest",
      headers: { a: 1, b: [true, null, "x"], c: { d: 0.5 } },
    };
    assert.deepEqual(await api.ok(publish, { routing_key: "m", payload: "hé", properties }), {
      routed: true,
    });
    assert.deepEqual(
      await api.ok(publish, { routing_key: "m", payload: "/wA=", payload_encoding: "base64" }),
      { routed: true },
    );
    assert.deepEqual(await api.ok(publish, { routing_key: "nowhere", payload: "x" }), { routed: false });
    const taken = rows(
      await api.ok("POST /api/queues/%2F/m/get", {
        count: 5,
        ackmode: "ack_requeue_false",
        encoding: "auto",
      }),
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
    await api.refused(400, /user_id property set to 'joe'/, publish, {
      routing_key: "m",
      payload: "",
      properties: { user_id: "joe" },
    });
    await api.refused(404, /no exchange 'none' in vhost/, "POST /api/exchanges/%2F/none/publish", {
      routing_key: "",
      payload: "",
    });
    await api.refused(400, /properties\.priority must be a whole number/, publish, {
      routing_key: "m",
      payload: "",
      properties: { priority: -1 },
    });
    await api.ok("DELETE /api/queues/%2F/m");
  });

  it("messages - ackmode decides what happens to fetched messages", async () => {
    await api.ok("PUT /api/queues/%2F/dead", {});
    await api.ok("PUT /api/queues/%2F/m", {
      arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" },
    });
    for (const payload of ["1", "2", "3", "4"]) await api.ok(publish, { routing_key: "m", payload });
    const get = (ackmode: string, count: number) =>
      api.ok("POST /api/queues/%2F/m/get", { ackmode, count, encoding: "auto" });
    assert.deepEqual(payloads(await get("ack_requeue_true", 3)), ["1", "2", "3"]);
    const again = rows(await get("reject_requeue_true", 4));
    assert.deepEqual(payloads(again), ["1", "2", "3", "4"]);
    assert.deepEqual(again.map(({ redelivered }) => redelivered), [true, true, true, false]);
    assert.deepEqual(payloads(await get("ack_requeue_false", 1)), ["1"]);
    assert.deepEqual(payloads(await get("reject_requeue_false", 1)), ["2"]);
    const dead = await api.ok("POST /api/queues/%2F/dead/peek", {});
    assert.deepEqual(payloads(dead), ["2"]);
    assert.equal(JSON.stringify(dead).includes('"reason":"rejected"'), true);
    await api.refused(400, /ackmode must be one of/, "POST /api/queues/%2F/m/get", { ackmode: "perhaps" });
    await api.refused(400, /ackmode must be a string/, "POST /api/queues/%2F/m/get", { count: 1 });
    await api.refused(400, /count must be a whole number: received -1/, "POST /api/queues/%2F/m/get", {
      ackmode: "ack_requeue_true",
      count: -1,
    });
    await api.ok("DELETE /api/queues/%2F/m");
    await api.ok("DELETE /api/queues/%2F/dead");
  });

  it("peek - shows some messages and changes nothing", async () => {
    await api.ok("PUT /api/queues/%2F/m", { arguments: { "x-max-priority": 5 } });
    for (const [payload, priority] of [["low1", 0], ["high", 4], ["low2", 0]] as const) {
      await api.ok(publish, { routing_key: "m", payload, properties: { priority } });
    }
    const peek = (body: unknown) => api.ok("POST /api/queues/%2F/m/peek", body);
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
    await api.ok("DELETE /api/queues/%2F/m");
  });
});
