import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readText } from "../../../../lib/bytes/text.ts";
import { formatDestination, parseDestination } from "../../../../lib/crossing/stomp/destination.ts";
import { durableName } from "../../../../lib/broker/stomp/queue_params.ts";

describe("STOMP destinations", () => {
  it("format - slashes, percent signs and bytes that are not printable ASCII are escaped", () => {
    assert.equal(formatDestination("", "a/b%c é"), "/queue/a%2Fb%25c %C3%A9");
    assert.equal(formatDestination("", readText(Uint8Array.of(97, 0xff), 0, 2)), "/queue/a%FF");
    assert.equal(formatDestination("amq.topic", "a.b"), "/topic/a.b");
    assert.equal(formatDestination("x", ""), "/exchange/x");
    assert.equal(formatDestination("x", "k"), "/exchange/x/k");
  });

  it("parse - a slash in a name is escaped", () => {
    const { kind, exchange, key } = parseDestination("/exchange/a%2Fb/c%2Fd");
    assert.deepEqual([kind, exchange, key], ["exchange", "a/b", "c/d"]);
    assert.equal(parseDestination("/reply-queue/a/b").key, "a/b");
  });

  it("durable subscriptions - have RabbitMQ's names of queues", () => {
    // As RabbitMQ 3.10.8 names the queue of the topic a.b with the id d.
    assert.equal(durableName("a.b", "d"), "XSyW_WNsWrvY5rqPX2vHGA");
  });
});
