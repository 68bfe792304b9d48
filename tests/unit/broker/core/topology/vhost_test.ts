import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import { type BasicProperties, encodeProperties } from "../../../../../lib/amqp/properties.ts";
import { PropertyScan } from "../../../../../lib/amqp/property_scan.ts";
import { TypedNumber } from "../../../../../lib/amqp/types/field_value.ts";
import { QueueConsumer } from "../../../../../lib/broker/core/queue/consumer.ts";
import type { Queue } from "../../../../../lib/broker/core/queue/queue.ts";
import type { DefinitionChange } from "../../../../../lib/broker/core/topology/definition_change.ts";
import { RouteResult, VirtualHost } from "../../../../../lib/broker/core/topology/vhost.ts";
import { makeQueue } from "../../../../support/queues.ts";

const ME = {};
const OTHER = {};

class Host {
  readonly changes: DefinitionChange[] = [];
  #ids = 0;
  readonly vhost = new VirtualHost("/", {
    createQueue: makeQueue,
    nextQueueId: () => ++this.#ids,
    onChange: (change) => this.changes.push(change),
  });

  queue(
    queue: string,
    more: Partial<Parameters<VirtualHost["declareQueue"]>[0]> = {},
    owner = ME,
  ): Queue {
    const args = { passive: false, durable: false, exclusive: false, autoDelete: false, arguments: {} };
    return this.vhost.declareQueue({ ...args, queue, ...more }, owner);
  }

  exchange(
    exchange: string,
    type: string,
    more: Partial<Parameters<VirtualHost["declareExchange"]>[0]> = {},
  ): void {
    const args = { passive: false, durable: false, internal: false, autoDelete: false, arguments: {} };
    this.vhost.declareExchange({ ...args, exchange, type, ...more });
  }

  bind(exchange: string, queue: string, routingKey = "", args = {}): void {
    this.vhost.bindQueue({ exchange, queue, routingKey, arguments: args }, ME);
  }

  unbind(exchange: string, queue: string, routingKey = "", args = {}): void {
    this.vhost.unbindQueue({ exchange, queue, routingKey, arguments: args }, ME);
  }

  link(source: string, destination: string, routingKey = ""): void {
    this.vhost.bindExchange({ source, destination, routingKey, arguments: {} });
  }

  route(exchange: string, routingKey: string, properties: BasicProperties = {}): string[] {
    const bytes = encodeProperties(properties);
    const scan = new PropertyScan();
    scan.read(bytes, 0, bytes.length);
    const routes = new RouteResult();
    this.vhost.route(this.vhost.exchanges.get(exchange)!, routingKey, scan, routes);
    return routes.toArray().map((queue) => queue.definition.name).sort();
  }
}

function refuses(code: number, text: string, work: () => void): void {
  assert.throws(work, (error) => {
    assert.ok(error instanceof AmqpError, String(error));
    assert.deepEqual([error.replyCode, error.replyText], [code, text]);
    return true;
  });
}

describe("virtual host, declaring", () => {
  it("queue - an equal redeclaration returns the queue, and a different one is refused", () => {
    const host = new Host();
    const args = { "x-max-length": 5, "x-unknown": 1 };
    const queue = host.queue("q", { durable: true, arguments: args });
    assert.equal(
      host.queue("q", { durable: true, arguments: { "x-max-length": new TypedNumber("B", 5) } }),
      queue,
    );
    const what = "for queue 'q' in vhost '/'";
    refuses(
      406,
      `PRECONDITION_FAILED - inequivalent arg 'durable' ${what}: received 'false' but current is 'true'`,
      () => host.queue("q", { arguments: args }),
    );
    refuses(
      406,
      `PRECONDITION_FAILED - inequivalent arg 'auto_delete' ${what}: received 'true' but current is 'false'`,
      () => host.queue("q", { durable: true, autoDelete: true, arguments: args }),
    );
    refuses(
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-max-length' ${what}: received '6' but current is '5'`,
      () => host.queue("q", { durable: true, arguments: { "x-max-length": 6 } }),
    );
    refuses(
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-max-length' ${what}: received none but current is the value '5' of type 'signedint'`,
      () => host.queue("q", { durable: true }),
    );
    refuses(
      406,
      `PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' ${what}: received the value '9' of type 'signedint' but current is none`,
      () => host.queue("q", { durable: true, arguments: { ...args, "x-message-ttl": 9 } }),
    );
  });

  it("queue - x-queue-type classic is the default", () => {
    const host = new Host();
    const queue = host.queue("q");
    assert.equal(host.queue("q", { arguments: { "x-queue-type": "classic" } }), queue);
  });

  it("queue - an exclusive queue is locked to its connection and never durable", () => {
    const host = new Host();
    const queue = host.queue("q", { exclusive: true, durable: true });
    assert.equal(queue.definition.durable, false);
    assert.equal(host.queue("q", { exclusive: true, durable: true }), queue);
    assert.equal(host.vhost.queueFor("q", ME), queue);
    const text =
      "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be " +
      "originally declared on another connection or the exclusive property value does not match that of the " +
      "original declaration.";
    refuses(405, text, () => host.queue("q", { exclusive: true }, OTHER));
    refuses(405, text, () => host.queue("q", {}, ME));
    refuses(405, text, () => host.queue("q", { passive: true }, OTHER));
    refuses(405, text, () => host.vhost.queueFor("q", OTHER));
    refuses(405, text, () => host.vhost.deleteQueue({ queue: "q", ifUnused: false, ifEmpty: false }, OTHER));
    const binding = { queue: "q", exchange: "amq.direct", routingKey: "", arguments: {} };
    refuses(405, text, () => host.vhost.bindQueue(binding, OTHER));
    host.vhost.bindQueue(binding, ME);
    refuses(405, text, () => host.vhost.unbindQueue(binding, OTHER));
    assert.deepEqual(host.changes, []);
  });

  it("queue - refuses a missing queue, a reserved name, and an argument of the wrong type", () => {
    const host = new Host();
    refuses(404, "NOT_FOUND - no queue 'q' in vhost '/'", () => host.queue("q", { passive: true }));
    refuses(404, "NOT_FOUND - no queue 'q' in vhost '/'", () => host.vhost.queueFor("q", ME));
    refuses(
      403,
      "ACCESS_REFUSED - queue name 'amq.q' contains reserved prefix 'amq.*'",
      () => host.queue("amq.q"),
    );
    refuses(
      406,
      "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
      () => host.queue("q", { arguments: { "x-dead-letter-exchange": 1 } }),
    );
    const quorum = { arguments: { "x-queue-type": "quorum" } };
    refuses(
      406,
      "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'",
      () => host.queue("q", quorum),
    );
    refuses(
      406,
      "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue",
      () => host.queue("", quorum),
    );
    assert.equal(host.vhost.queues.size, 0);
  });

  it("queue - a name generated by the server can have the reserved prefix", () => {
    const host = new Host();
    const args = {
      queue: "",
      passive: false,
      durable: false,
      exclusive: false,
      autoDelete: false,
      arguments: {},
    };
    assert.equal(host.vhost.declareQueue(args, ME, "amq.gen-1").definition.name, "amq.gen-1");
  });

  it("queue - is deleted if unused, if empty, or always", () => {
    const host = new Host();
    const queue = host.queue("q");
    const remove = (ifUnused: boolean, ifEmpty: boolean) =>
      host.vhost.deleteQueue({ queue: "q", ifUnused, ifEmpty }, ME);
    for (let i = 0; i < 3; i++) queue.lanes[0]!.push(0, 0, 1, 0);
    queue.addConsumer(
      new QueueConsumer(queue, {
        client: undefined,
        writable: false,
        hasRoom: false,
        deliver() {},
        onCancelled() {},
      }, {
        tag: "t",
        noAck: false,
        exclusive: false,
        priority: 0,
        prefetch: 0,
        arguments: {},
      }),
    );
    refuses(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use", () => remove(true, false));
    refuses(406, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty", () => remove(true, true));
    assert.equal(remove(false, false), 3);
    assert.equal(queue.deleted, true);
    assert.equal(remove(true, true), 0);
  });

  it("exchange - accepts an equal redeclaration, refuses others, reserved names and unknown types", () => {
    const host = new Host();
    host.exchange("x", "direct", { durable: true, arguments: { "alternate-exchange": "a" } });
    host.exchange("x", "direct", { durable: true, arguments: { "alternate-exchange": "a", other: 1 } });
    host.exchange("x", "", { passive: true });
    const differs = (arg: string, received: string, current: string) =>
      `PRECONDITION_FAILED - inequivalent arg '${arg}' for exchange 'x' in vhost '/': ` +
      `received ${received} but current is ${current}`;
    const like = { durable: true, arguments: { "alternate-exchange": "a" } };
    refuses(406, differs("type", "'fanout'", "'direct'"), () => host.exchange("x", "fanout", like));
    refuses(
      406,
      differs("durable", "'false'", "'true'"),
      () => host.exchange("x", "direct", { ...like, durable: false }),
    );
    refuses(
      406,
      differs("auto_delete", "'true'", "'false'"),
      () => host.exchange("x", "direct", { ...like, autoDelete: true }),
    );
    refuses(
      406,
      differs("internal", "'true'", "'false'"),
      () => host.exchange("x", "direct", { ...like, internal: true }),
    );
    refuses(
      406,
      differs("alternate-exchange", "'b'", "'a'"),
      () => host.exchange("x", "direct", { ...like, arguments: { "alternate-exchange": "b" } }),
    );
    refuses(404, "NOT_FOUND - no exchange 'y' in vhost '/'", () => host.exchange("y", "", { passive: true }));
    refuses(503, "COMMAND_INVALID - unknown exchange type 'strange'", () => host.exchange("y", "strange"));
    refuses(
      503,
      "COMMAND_INVALID - unknown exchange type 'constructor'",
      () => host.exchange("y", "constructor"),
    );
    refuses(
      403,
      "ACCESS_REFUSED - exchange name 'amq.y' contains reserved prefix 'amq.*'",
      () => host.exchange("amq.y", "topic"),
    );
    host.exchange("amq.topic", "topic", { durable: true });
    refuses(
      403,
      "ACCESS_REFUSED - operation not permitted on the default exchange",
      () => host.exchange("", "direct", { durable: true }),
    );
    refuses(
      406,
      "PRECONDITION_FAILED - invalid type 'bool' for arg 'alternate-exchange' in exchange 'y' in vhost '/'",
      () => host.exchange("y", "topic", { arguments: { "alternate-exchange": true } }),
    );
  });

  it("exchange - is deleted if unused or always, except predeclared ones", () => {
    const host = new Host();
    host.exchange("x", "fanout");
    host.queue("q");
    host.bind("x", "q");
    const remove = (exchange: string, ifUnused = false) => host.vhost.deleteExchange({ exchange, ifUnused });
    refuses(406, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use", () => remove("x", true));
    remove("x");
    assert.equal(host.vhost.exchanges.has("x"), false);
    remove("x");
    refuses(403, "ACCESS_REFUSED - operation not permitted on the default exchange", () => remove(""));
    refuses(
      403,
      "ACCESS_REFUSED - deletion of system exchange 'amq.fanout' in vhost '/' not allowed",
      () => remove("amq.fanout"),
    );
  });

  it("exchange - clients can publish to existing exchanges that are not internal", () => {
    const host = new Host();
    host.exchange("x", "fanout", { internal: true });
    host.vhost.exchangeToPublish("");
    host.vhost.exchangeToPublish("amq.topic");
    refuses(404, "NOT_FOUND - no exchange 'y' in vhost '/'", () => host.vhost.exchangeToPublish("y"));
    refuses(
      403,
      "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
      () => host.vhost.exchangeToPublish("x"),
    );
    refuses(
      403,
      "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'",
      () => host.vhost.exchangeToPublish("amq.rabbitmq.trace"),
    );
  });

  it("binding - both ends must exist, and the default exchange is refused", () => {
    const host = new Host();
    host.queue("q");
    refuses(404, "NOT_FOUND - no exchange 'x' in vhost '/'", () => host.bind("x", "q"));
    refuses(404, "NOT_FOUND - no queue 'r' in vhost '/'", () => host.bind("amq.direct", "r"));
    refuses(404, "NOT_FOUND - no exchange 'x' in vhost '/'", () => host.link("amq.direct", "x"));
    const refused = "ACCESS_REFUSED - operation not permitted on the default exchange";
    refuses(403, refused, () => host.bind("", "q", "q"));
    refuses(403, refused, () => host.unbind("", "q", "q"));
    refuses(403, refused, () => host.link("amq.direct", ""));
    refuses(
      406,
      'PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x',
      () => host.bind("amq.headers", "q", "", { "x-match": "some" }),
    );
    refuses(
      406,
      "PRECONDITION_FAILED - Invalid x-match field type signedint (value 1); expected longstr",
      () => host.bind("amq.match", "q", "", { "x-match": 1 }),
    );
    // Unbinding a missing binding is not an error.
    host.unbind("x", "q");
    host.unbind("amq.direct", "r");
    host.unbind("amq.direct", "q");
  });
});

describe("virtual host, routing", () => {
  it("default exchange - routes to the queue with this name", () => {
    const host = new Host();
    host.queue("q");
    assert.deepEqual(host.route("", "q"), ["q"]);
    assert.deepEqual(host.route("", "q", { headers: { a: 1 } }), ["q"]);
    assert.deepEqual(host.route("", "r"), []);
  });

  it("routing - has a queue once for several matching bindings", () => {
    const host = new Host();
    host.exchange("x", "topic");
    host.exchange("y", "fanout");
    for (let i = 0; i < 40; i++) {
      host.queue(`q${i}`);
      host.bind("x", `q${i}`, "#");
      host.bind("x", `q${i}`, "a.*");
      host.bind("y", `q${i}`);
    }
    host.link("x", "y", "a.b");
    const all = Array.from({ length: 40 }, (_, i) => `q${i}`).sort();
    assert.deepEqual(host.route("x", "a.b"), all);
    assert.deepEqual(host.route("x", "a.b", { headers: { CC: ["a.c"] } }), all);
  });

  it("routing - caches the result until the topology changes", () => {
    const host = new Host();
    host.exchange("x", "direct");
    host.exchange("y", "fanout");
    host.queue("q");
    host.queue("r");
    host.bind("x", "q", "k");
    const found = () => host.route("x", "k");
    assert.deepEqual([found(), found()], [["q"], ["q"]]);
    host.bind("x", "r", "k");
    assert.deepEqual(found(), ["q", "r"]);
    host.unbind("x", "q", "k");
    assert.deepEqual(found(), ["r"]);
    host.vhost.deleteQueue({ queue: "r", ifUnused: false, ifEmpty: false }, ME);
    assert.deepEqual(found(), []);
    host.link("x", "y", "k");
    host.bind("y", "q");
    assert.deepEqual(found(), ["q"]);
    host.vhost.deleteExchange({ exchange: "y", ifUnused: false });
    assert.deepEqual(found(), []);
  });

  it("routing - stops in a cycle of exchanges", () => {
    const host = new Host();
    for (const name of ["x", "y", "z"]) host.exchange(name, "fanout");
    host.link("x", "y");
    host.link("y", "z");
    host.link("z", "x");
    host.link("x", "x");
    host.queue("q");
    host.bind("z", "q");
    assert.deepEqual(host.route("x", ""), ["q"]);
    assert.deepEqual(host.route("y", ""), ["q"]);
  });

  it("alternate exchange - gets messages that no binding matches, and a missing one is ignored", () => {
    const host = new Host();
    host.exchange("x", "direct", { arguments: { "alternate-exchange": "other" } });
    host.queue("q");
    host.queue("rest");
    host.bind("x", "q", "k");
    assert.deepEqual(host.route("x", "unknown"), []);
    host.exchange("other", "fanout", { arguments: { "alternate-exchange": "x" } });
    assert.deepEqual(host.route("x", "unknown"), []);
    host.bind("other", "rest");
    assert.deepEqual(host.route("x", "unknown"), ["rest"]);
    assert.deepEqual(host.route("x", "k"), ["q"]);
  });

  it("alternate exchange - the default exchange finds queues that are declared later", () => {
    const host = new Host();
    host.exchange("x", "direct", { arguments: { "alternate-exchange": "" } });
    assert.deepEqual(host.route("x", "q"), []);
    host.queue("q");
    assert.deepEqual(host.route("x", "q"), ["q"]);
  });

  it("routing - headers are compared after an exchange that routes by key", () => {
    const host = new Host();
    host.exchange("x", "direct");
    host.exchange("h", "headers");
    host.queue("q");
    host.link("x", "h", "k");
    host.bind("h", "q", "", { a: 1 });
    assert.deepEqual(host.route("x", "k"), []);
    assert.deepEqual(host.route("x", "k", { headers: { a: 1 } }), ["q"]);
    assert.deepEqual(host.route("x", "k", { headers: { a: 2 } }), []);
  });

  it("routing - is cached again when the last binding to an exchange for headers is gone, and not before", () => {
    const host = new Host();
    host.exchange("x", "topic");
    host.exchange("h", "headers");
    host.queue("q");
    host.bind("h", "q", "", { a: 1 });
    for (const key of ["k", "#"]) host.link("x", "h", key);
    const { vhost } = host;
    const unlink = (routingKey: string) =>
      vhost.unbindExchange({ source: "x", destination: "h", routingKey, arguments: {} });
    const exits = () => [...vhost.exchanges.get("x")!.exits].map(({ name }) => name);
    const found = () => [host.route("x", "k"), host.route("x", "k", { headers: { a: 1 } })];
    assert.deepEqual([exits(), found()], [["h"], [[], ["q"]]]);
    unlink("missing");
    unlink("k");
    assert.deepEqual([exits(), found()], [["h"], [[], ["q"]]]);
    assert.equal(vhost.exchanges.get("x")!.routes.usable, false);
    unlink("#");
    unlink("#");
    assert.deepEqual([exits(), found()], [[], [[], []]]);
    assert.equal(vhost.exchanges.get("x")!.routes.usable, true);
  });

  it("trace - is on while its exchange has a binding; one that begins with ack. asks for outcomes", () => {
    const host = new Host();
    const { vhost } = host;
    const trace = "amq.rabbitmq.trace";
    const q = host.queue("q");
    const r = host.queue("r");
    host.exchange("x", "fanout");
    const state = () => [vhost.isTraced, vhost.reportsOutcomes, vhost.isTraceQueue(q), vhost.isTraceQueue(r)];
    assert.deepEqual(state(), [false, false, false, false]);
    host.bind(trace, "q", "publish.#");
    assert.deepEqual(state(), [true, false, true, false]);
    host.bind(trace, "r", "ack.*");
    assert.deepEqual(state(), [true, true, true, true]);
    host.unbind(trace, "q", "publish.#");
    assert.deepEqual(state(), [true, true, false, true]);
    host.unbind(trace, "r", "ack.*");
    assert.deepEqual(state(), [false, false, false, false]);
    host.link(trace, "x", "#");
    assert.deepEqual(state(), [true, false, false, false]);
  });

  it("statistics - declarations of queues, and those that were created and deleted", () => {
    const host = new Host();
    const { stats } = host.vhost;
    const counts = () => [stats.queuesDeclared, stats.queuesCreated, stats.queuesDeleted];
    assert.deepEqual(counts(), [0, 0, 0]);
    const q = host.queue("q");
    host.queue("q");
    host.queue("q", { passive: true });
    assert.throws(() => host.queue("q", { durable: true }), AmqpError);
    host.queue("r");
    assert.deepEqual(counts(), [4, 2, 0]);
    host.vhost.removeQueue(q);
    host.vhost.removeQueue(q);
    // A queue of the same name is another one.
    host.queue("q");
    host.vhost.removeQueue(q);
    assert.deepEqual([counts(), host.vhost.queues.has("q")], [[5, 3, 1], true]);
  });

  it("CC and BCC - add routing keys, and values that are not lists are refused", () => {
    const host = new Host();
    for (const name of ["a", "b", "c"]) host.queue(name);
    assert.deepEqual(host.route("", "a", { headers: { CC: ["b", 1], BCC: ["c", "none"] } }), ["a", "b", "c"]);
    assert.deepEqual(host.route("", "none", { headers: { CC: [] } }), []);
    // The texts occur as the name of another header, and as a value.
    assert.deepEqual(host.route("", "a", { headers: { ACC: "b", d: "BCC" } }), ["a"]);
    refuses(
      406,
      'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
      () => host.route("", "a", { headers: { CC: "b" } }),
    );
    host.bind("amq.topic", "a", "x.*");
    assert.deepEqual(host.route("amq.topic", "none", { headers: { BCC: ["x.y"] } }), ["a"]);
    assert.deepEqual(host.route("amq.topic", "none"), []);
  });

  it("auto-delete - an exchange is deleted with its last outgoing binding", () => {
    const host = new Host();
    host.exchange("x", "fanout", { autoDelete: true });
    host.exchange("y", "fanout", { autoDelete: true });
    host.queue("q");
    host.queue("r");
    host.link("x", "y");
    host.bind("y", "q");
    host.bind("y", "r");
    host.unbind("y", "q");
    assert.ok(host.vhost.exchanges.has("y"));
    host.vhost.deleteQueue({ queue: "r", ifUnused: false, ifEmpty: false }, ME);
    assert.equal(host.vhost.exchanges.has("y"), false);
    assert.equal(host.vhost.exchanges.has("x"), false);
  });
});

describe("virtual host, changes", () => {
  function build(): Host {
    const host = new Host();
    host.exchange("x", "topic", { durable: true, arguments: { "alternate-exchange": "y" } });
    host.exchange("y", "fanout", { durable: true, autoDelete: true });
    host.exchange("passing", "fanout");
    host.queue("q", {
      durable: true,
      arguments: { "x-max-length": new TypedNumber("u", 7), big: 1n << 60n },
    });
    host.queue("r", { durable: true });
    host.queue("transient");
    host.bind("x", "q", "a.#", { since: new Uint8Array([0, 255]) });
    host.bind("x", "r", "b");
    host.bind("x", "transient", "#");
    host.bind("passing", "q");
    host.bind("y", "r");
    host.link("x", "y", "c");
    return host;
  }

  /** Recreates a virtual host from its changes. */
  function again(changes: Iterable<DefinitionChange>): Host {
    const host = new Host();
    for (const change of changes) host.vhost.apply(JSON.parse(JSON.stringify(change)));
    assert.deepEqual(host.changes, []);
    return host;
  }

  const sorted = (host: Host) => [...host.vhost.changes()].map((change) => JSON.stringify(change)).sort();

  it("changes - recreate the virtual host when they are applied in order", () => {
    const host = build();
    const copy = again(host.changes);
    assert.deepEqual(sorted(copy), sorted(host));
    const definition = (host: Host) => {
      const { arguments: args, ...others } = host.vhost.queues.get("q")!.definition;
      return { ...others, ...args };
    };
    assert.deepEqual(definition(copy), definition(host));
    assert.deepEqual(copy.route("x", "a.b"), ["q"]);
    assert.deepEqual(copy.route("x", "c"), ["r"]);
    assert.equal(copy.vhost.exchanges.has("passing"), false);
    assert.deepEqual(sorted(again(host.vhost.changes())), sorted(host));
  });

  it("changes - removed objects are not restored", () => {
    const host = build();
    host.unbind("x", "r", "b");
    host.vhost.deleteQueue({ queue: "r", ifUnused: false, ifEmpty: false }, ME);
    host.vhost.deleteExchange({ exchange: "passing", ifUnused: false });
    assert.equal(host.vhost.exchanges.has("y"), false);
    const copy = again(host.changes);
    assert.deepEqual(sorted(copy), sorted(host));
    assert.deepEqual([...copy.vhost.queues.keys()], ["q"]);
    host.vhost.deleteExchange({ exchange: "x", ifUnused: false });
    assert.deepEqual(sorted(again(host.changes)), sorted(host));
  });
});
