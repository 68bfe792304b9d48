/** A virtual host compared with a model of lists, under any order of declarations, bindings and deletions. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AmqpError } from "../../lib/amqp/amqp_error.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { PropertyScan } from "../../lib/amqp/property_scan.ts";
import type { DefinitionChange } from "../../lib/broker/core/topology/definition_change.ts";
import { RouteResult, VirtualHost } from "../../lib/broker/core/topology/vhost.ts";
import { makeQueue } from "../support/queues.ts";

const TIMEOUT = { timeout: 60_000 };
const TYPES = ["direct", "fanout", "topic", "headers"] as const;
const KEYS = ["a", "b", "#", "*"];
const HEADERS = [undefined, { h: 1 }, { h: 2 }];

const queue = fc.constantFrom("q1", "q2", "q3");
const exchange = fc.constantFrom("x1", "x2", "x3", "amq.topic");
const binding = fc.record({
  source: exchange,
  kind: fc.constantFrom("queue", "exchange"),
  queue,
  exchange,
  key: fc.constantFrom(...KEYS),
  header: fc.boolean(),
});
const operation = fc.oneof(
  fc.record({ do: fc.constant("queue"), queue, durable: fc.boolean() }),
  fc.record({
    do: fc.constant("exchange"),
    exchange,
    type: fc.constantFrom(...TYPES),
    durable: fc.boolean(),
    autoDelete: fc.boolean(),
    alternate: fc.option(fc.constantFrom("x1", "x2", "x3", "amq.topic", ""), { nil: undefined }),
  }),
  fc.record({ do: fc.constant("bind"), binding }),
  fc.record({ do: fc.constant("bind"), binding }),
  fc.record({ do: fc.constant("unbind"), binding }),
  fc.record({ do: fc.constant("delete queue"), queue }),
  fc.record({ do: fc.constant("delete exchange"), exchange }),
);

type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;
type AnyBinding = typeof binding extends fc.Arbitrary<infer T> ? T : never;

interface ModelExchange {
  readonly type: string;
  readonly autoDelete: boolean;
  readonly alternate: string | undefined;
}

interface ModelBinding {
  readonly source: string;
  readonly to: string;
  readonly key: string;
  readonly header: boolean;
}

/** The model; a destination is `queue q1` or `exchange x1`. */
class Model {
  readonly queues = new Set<string>();
  readonly exchanges = new Map<string, ModelExchange>([
    ["amq.topic", { type: "topic", autoDelete: false, alternate: undefined }],
  ]);
  bindings: ModelBinding[] = [];

  do(operation: Operation): void {
    switch (operation.do) {
      case "queue":
        this.queues.add(operation.queue);
        return;
      case "exchange":
        if (!this.exchanges.has(operation.exchange)) this.exchanges.set(operation.exchange, operation);
        return;
      case "bind": {
        const made = modelOf(operation.binding);
        if (!this.bindings.some((one) => isSame(one, made))) this.bindings.push(made);
        return;
      }
      case "unbind": {
        const gone = modelOf(operation.binding);
        return this.#remove((one) => isSame(one, gone));
      }
      case "delete queue":
        this.queues.delete(operation.queue);
        return this.#remove((one) => one.to === `queue ${operation.queue}`);
      case "delete exchange":
        return this.#removeExchange(operation.exchange);
    }
  }

  route(exchange: string, key: string, header: number | undefined): string[] {
    const found = new Set<string>();
    const seen = new Set<string>([exchange]);
    for (const name of seen) {
      const one = this.exchanges.get(name);
      if (one === undefined) continue;
      const ways = this.bindings.filter((way) => way.source === name && matches(one.type, way, key, header));
      if (ways.length === 0 && one.alternate === "" && this.queues.has(key)) found.add(key);
      else if (ways.length === 0 && one.alternate !== undefined) seen.add(one.alternate);
      for (const { to } of ways) {
        if (to.startsWith("queue ")) found.add(to.slice(6));
        else seen.add(to.slice(9));
      }
    }
    return [...found].sort();
  }

  /** Deletes auto-delete exchanges that have lost their last binding. */
  #remove(test: (one: ModelBinding) => boolean): void {
    const gone = this.bindings.filter(test);
    this.bindings = this.bindings.filter((one) => !test(one));
    for (const { source } of gone) {
      const isEmpty = !this.bindings.some((one) => one.source === source);
      if (this.exchanges.get(source)?.autoDelete === true && isEmpty) this.#removeExchange(source);
    }
  }

  #removeExchange(name: string): void {
    if (!this.exchanges.delete(name)) return;
    this.bindings = this.bindings.filter(({ source }) => source !== name);
    this.#remove((one) => one.to === `exchange ${name}`);
  }
}

function modelOf({ source, kind, queue, exchange, key, header }: AnyBinding): ModelBinding {
  return { source, to: kind === "queue" ? `queue ${queue}` : `exchange ${exchange}`, key, header };
}

function isSame(a: ModelBinding, b: ModelBinding): boolean {
  return a.source === b.source && a.to === b.to && a.key === b.key && a.header === b.header;
}

/** Matches a topic pattern with a key of one word. */
function matches(type: string, way: ModelBinding, key: string, header: number | undefined): boolean {
  if (type === "fanout") return true;
  if (type === "headers") return !way.header || header === 1;
  return way.key === key || type === "topic" && (way.key === "#" || way.key === "*");
}

const OWNER = {};

function makeVhost(changes: DefinitionChange[]): VirtualHost {
  let id = 0;
  return new VirtualHost("/", {
    createQueue: makeQueue,
    nextQueueId: () => ++id,
    onChange: (change) => changes.push(change),
  });
}

/** Performs an operation. @returns whether the virtual host accepted it */
function apply(vhost: VirtualHost, operation: Operation): boolean {
  const flags = { passive: false, exclusive: false, internal: false, durable: false, autoDelete: false };
  try {
    switch (operation.do) {
      case "queue":
        vhost.declareQueue(
          { ...flags, queue: operation.queue, durable: operation.durable, arguments: {} },
          OWNER,
        );
        return true;
      case "exchange": {
        const { exchange, type, durable, autoDelete, alternate } = operation;
        const args = alternate === undefined ? {} : { "alternate-exchange": alternate };
        vhost.declareExchange({ ...flags, exchange, type, durable, autoDelete, arguments: args });
        return true;
      }
      case "bind":
      case "unbind": {
        const { source, kind, queue, exchange, key: routingKey, header } = operation.binding;
        const args = header ? { h: 1 } : {};
        if (kind === "queue") {
          const way = { exchange: source, queue, routingKey, arguments: args };
          if (operation.do === "bind") vhost.bindQueue(way, OWNER);
          else vhost.unbindQueue(way, OWNER);
        } else {
          const way = { source, destination: exchange, routingKey, arguments: args };
          if (operation.do === "bind") vhost.bindExchange(way);
          else vhost.unbindExchange(way);
        }
        return true;
      }
      case "delete queue":
        vhost.deleteQueue({ queue: operation.queue, ifUnused: false, ifEmpty: false }, OWNER);
        return true;
      case "delete exchange":
        vhost.deleteExchange({ exchange: operation.exchange, ifUnused: false });
        return true;
    }
  } catch (error) {
    assert.ok(error instanceof AmqpError, String(error));
    return false;
  }
}

function sorted(changes: Iterable<DefinitionChange>): string[] {
  return [...changes].map((change) => JSON.stringify(change)).sort();
}

describe("topology", () => {
  it("topology - routes like the model, and is recreated by its changes", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60, size: "max" }), (operations) => {
        const told: DefinitionChange[] = [];
        const vhost = makeVhost(told);
        const model = new Model();
        const routes = new RouteResult();
        const scan = new PropertyScan();
        for (const operation of operations) {
          if (apply(vhost, operation)) model.do(operation);
          for (const headers of HEADERS) {
            const bytes = encodeProperties(headers === undefined ? {} : { headers });
            scan.read(bytes, 0, bytes.length);
            for (const exchange of ["x1", "x2", "x3", "amq.topic"]) {
              for (const key of ["a", "b", "q1"]) {
                const source = vhost.exchanges.get(exchange);
                if (source === undefined) routes.clear();
                else vhost.route(source, key, scan, routes);
                const found = routes.toArray().map(({ definition }) => definition.name).sort();
                assert.deepEqual(found, model.route(exchange, key, headers?.h));
              }
            }
          }
        }
        const replayed = makeVhost([]);
        for (const change of told) replayed.apply(JSON.parse(JSON.stringify(change)));
        assert.deepEqual(sorted(replayed.changes()), sorted(vhost.changes()));
        const snapshot = makeVhost([]);
        for (const change of vhost.changes()) snapshot.apply(change);
        assert.deepEqual(sorted(snapshot.changes()), sorted(vhost.changes()));
      }),
      { numRuns: 150 },
    );
  });
});
