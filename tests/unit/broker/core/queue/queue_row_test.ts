/** What the HTTP API says about a queue. */
import assert from "node:assert/strict";
import os from "node:os";
import { describe, it } from "node:test";
import { nodeName } from "../../../../../lib/broker/core/queue/queue_row.ts";

describe("queue row", () => {
  it("node - has the short name of the machine in a broker that presents itself as RabbitMQ", () => {
    const name = nodeName("RabbitMQ");
    assert.match(name, /^rabbit@[^.]+$/);
    assert.ok(`${os.hostname()}.`.startsWith(`${name.slice(7)}.`));
    assert.equal(nodeName("mqcat"), "mqcat@localhost");
  });
});
