/** Which queues a message is routed to. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../../lib/amqp/amqp_error.ts";
import { Host, ME, refuses } from "./vhost_host.ts";

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
