/** The changes of a virtual host, from which a start recreates it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TypedNumber } from "../../../../../lib/amqp/types/field_value.ts";
import type { DefinitionChange } from "../../../../../lib/broker/core/topology/definition_change.ts";
import { Host, ME } from "./vhost_host.ts";

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
