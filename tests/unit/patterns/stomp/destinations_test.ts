import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EndpointError } from "../../../../lib/errors.ts";
import { publishedTo, queueOf, subscribedTo } from "../../../../lib/patterns/stomp/destinations.ts";

describe("patterns on STOMP", () => {
  it("publish - a name is a topic, and other destinations are what they say", () => {
    const cases: [destination: string, exchange: string, key: string][] = [
      ["", "amq.topic", ""],
      ["/orders.new", "amq.topic", "orders.new"],
      ["orders.new", "amq.topic", "orders.new"],
      ["/topic/a%2Fb", "amq.topic", "a/b"],
      ["/exchange/x", "x", ""],
      ["/exchange/x/k", "x", "k"],
      ["/queue/jobs", "", "jobs"],
      ["/amq/queue/jobs", "", "jobs"],
      ["/reply-queue/r", "", "/reply-queue/r"],
      ["/foo/bar/baz", "", "/foo/bar/baz"],
    ];
    for (const [destination, exchange, routingKey] of cases) {
      assert.deepEqual(publishedTo(destination), { exchange, routingKey }, destination);
    }
  });

  it("push and pull - a name is a queue; a topic is refused", () => {
    const names = ["/jobs", "jobs", "/queue/jobs", "/amq/queue/jobs", "/a%2Fb", "/foo/bar"].map(queueOf);
    assert.deepEqual(names, ["jobs", "jobs", "jobs", "jobs", "a/b", "/foo/bar"]);
    for (const wrong of ["", "/topic/a", "/exchange/x"]) assert.throws(() => queueOf(wrong), EndpointError);
  });

  it("subscribe - the topics of the address, or those that are given", () => {
    const cases: [destination: string, topics: string[], expected: string[]][] = [
      ["", [], ["/topic/#"]],
      ["", ["a.*", "b/c"], ["/topic/a.*", "/topic/b%2Fc"]],
      ["/orders.#", [], ["/topic/orders.#"]],
      ["/exchange/x", [], ["/exchange/x/#"]],
      ["/exchange/x%2Fy", ["a", "b"], ["/exchange/x%2Fy/a", "/exchange/x%2Fy/b"]],
      ["/exchange/x/k", [], ["/exchange/x/k"]],
      ["/foo/bar", [], ["/foo/bar"]],
    ];
    for (const [destination, topics, expected] of cases) {
      assert.deepEqual(subscribedTo(destination, topics), expected, destination);
    }
    assert.throws(() => subscribedTo("/queue/jobs", []), /one receiver each/);
    for (const one of ["/orders", "/topic/a", "/exchange/x/k", "/foo/bar"]) {
      assert.throws(() => subscribedTo(one, ["b"]), /names a topic already/, one);
    }
  });
});
