/** The settings of a virtual host and what they report, and the list of queues for a message. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import { encodeProperties } from "../../../../../lib/amqp/properties.ts";
import { PropertyScan } from "../../../../../lib/amqp/property_scan.ts";
import type { FieldTable } from "../../../../../lib/amqp/types/field_value.ts";
import { RouteCache } from "../../../../../lib/broker/core/exchange/route_cache.ts";
import type { DefinitionChange } from "../../../../../lib/broker/core/topology/definition_change.ts";
import { RouteResult, VirtualHost } from "../../../../../lib/broker/core/topology/vhost.ts";
import { makeQueue, namedQueue } from "../../../../support/queues.ts";

function host() {
  const changes: DefinitionChange[] = [];
  let ids = 0;
  const vhost = new VirtualHost("v", {
    createQueue: makeQueue,
    nextQueueId: () => ++ids,
    onChange: (change) => changes.push(change),
  });
  const declare = (queue: string) =>
    vhost.declareQueue({
      queue,
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      arguments: {},
    }, {});
  return { vhost, changes, declare };
}

const policy = (name: string, pattern = "") => ({
  vhost: "v",
  name,
  pattern,
  applyTo: "all",
  priority: 0,
  definition: { "max-length": 1 },
});

describe("virtual host, settings", () => {
  it("settings - each change is reported once, and recreates them", () => {
    const { vhost, changes, declare } = host();
    const queue = declare("q");
    changes.length = 0;
    assert.equal(vhost.defaultQueueType, undefined);
    assert.throws(
      () => vhost.setDefaultQueueType("stream"),
      { message: "the default queue type must be 'classic' or 'quorum': received 'stream'" },
    );
    vhost.setDefaultQueueType("quorum");
    vhost.setDefaultQueueType("quorum");
    vhost.setLimits({ "max-queues": 2 });
    vhost.putPolicy(false, policy("p"));
    vhost.putPolicy(true, policy("o"));
    vhost.putPolicy(true, policy("gone"));
    assert.deepEqual([
      vhost.removePolicy(true, "gone"),
      vhost.removePolicy(true, "gone"),
      vhost.removePolicy(false, "o"),
    ], [
      true,
      false,
      false,
    ]);
    assert.deepEqual(changes.map(({ type }) => type), [
      "default-queue-type-put",
      "vhost-limits-put",
      "policy-put",
      "policy-put",
      "policy-put",
      "policy-removed",
    ]);
    assert.equal(queue.settings.maxLength, 1);
    const kept = [...vhost.changes()].filter(({ type }) => type !== "queue-added");
    assert.deepEqual(kept, [
      { type: "vhost-limits-put", vhost: "v", limits: { "max-queues": 2 } },
      { type: "default-queue-type-put", vhost: "v", queueType: "quorum" },
      { type: "policy-put", operator: false, policy: policy("p") },
      { type: "policy-put", operator: true, policy: policy("o") },
    ]);
    const copy = host();
    const other = copy.declare("q");
    for (const change of kept) copy.vhost.apply(change);
    assert.equal(other.settings.maxLength, 1);
    for (const [operator, name] of [[false, "p"], [true, "o"]] as const) {
      copy.vhost.apply({ type: "policy-removed", operator, vhost: "v", name });
    }
    assert.equal(other.settings.maxLength, Infinity);
    assert.deepEqual([copy.vhost.limits, copy.vhost.defaultQueueType], [{ "max-queues": 2 }, "quorum"]);
    assert.deepEqual([...host().vhost.changes()], []);
  });

  it("settings - the limit of queues counts those that exist", () => {
    const { vhost, declare } = host();
    vhost.setLimits({ "max-queues": 2 });
    for (const name of ["a", "b", "a"]) declare(name);
    assert.throws(
      () => declare("c"),
      (error) =>
        error instanceof AmqpError && error.replyCode === 406 &&
        error.replyText ===
          "PRECONDITION_FAILED - cannot declare queue 'c': queue limit in vhost 'v' (2) is reached",
    );
    vhost.setLimits({ "max-queues": -1 });
    declare("c");
  });
});

describe("virtual host, routes", () => {
  it("routes - each queue once, few or many, and only those of this message", () => {
    const queues = Array.from({ length: 40 }, (_, i) => namedQueue(`q${i}`));
    const routes = new RouteResult();
    for (const count of [1, 15, 16, 17, 40, 3, 16]) {
      routes.blindCopies = true;
      routes.delay = 5;
      routes.clear();
      assert.deepEqual([routes.length, routes.blindCopies, routes.delay], [0, false, 0]);
      for (let round = 0; round < 2; round++) for (const queue of queues.slice(0, count)) routes.add(queue);
      assert.deepEqual(routes.toArray(), queues.slice(0, count));
      routes.retain((queue) => queue !== queues[0]);
      assert.deepEqual(routes.toArray(), queues.slice(1, count));
    }
    routes.take(queues.slice(0, 20));
    routes.add(queues[19]!);
    routes.add(queues[20]!);
    assert.deepEqual(routes.toArray(), queues.slice(0, 21));
  });

  it("routes - the cache is emptied when it would exceed 32,768 entries and queues", () => {
    const cache = new RouteCache();
    const queues = [namedQueue("q")];
    cache.reset(3, true);
    assert.deepEqual([cache.version, cache.usable], [3, true]);
    for (let i = 0; i < 16_384; i++) cache.set(`k${i}`, queues);
    assert.deepEqual([cache.get("k0"), cache.get("k16383")], [queues, queues]);
    cache.set("more", []);
    assert.deepEqual([cache.get("k0"), cache.get("more")], [undefined, []]);
    for (let i = 0; i < 16_383; i++) cache.set(`k${i}`, queues);
    assert.deepEqual(cache.get("more"), []);
    cache.set("k", queues);
    assert.equal(cache.get("more"), undefined);
    cache.reset(4, false);
    assert.deepEqual([cache.get("k"), cache.usable], [undefined, false]);
    for (let i = 0; i < 16_384; i++) cache.set(`k${i}`, queues);
    assert.deepEqual(cache.get("k0"), queues);
  });

  it("routes - the lists CC and BCC add keys; other values are refused", () => {
    const { vhost, declare } = host();
    for (const name of ["a", "b", "c"]) declare(name);
    const route = (headers: FieldTable) => {
      const bytes = encodeProperties({ headers });
      const scan = new PropertyScan();
      scan.read(bytes, 0, bytes.length);
      const routes = new RouteResult();
      try {
        vhost.route(vhost.exchanges.get("")!, "a", scan, routes);
      } catch (error) {
        assert.ok(error instanceof AmqpError);
        return `${error.replyCode} ${error.replyText}`;
      }
      return `${routes.toArray().map(({ name }) => name).sort().join("")}${
        routes.blindCopies ? " blind" : ""
      }`;
    };
    const rows: readonly [headers: FieldTable, expected: string][] = [
      [{}, "a"],
      [{ CC: [] }, "a"],
      [{ CC: ["b", "a", "missing", 5] }, "ab"],
      [{ BCC: ["c"] }, "ac blind"],
      [{ CC: ["b"], BCC: ["c"] }, "abc blind"],
      [{ CC: "b" }, '406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}'],
      [
        { BCC: 5 },
        '406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"BCC",signedint}',
      ],
      [{}, "a"],
    ];
    for (const [headers, expected] of rows) assert.equal(route(headers), expected);
  });
});
