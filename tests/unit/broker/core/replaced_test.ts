/** A message that dies or becomes due, and that nobody gets, is gone: also after a restart. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tempDir } from "../../../support/helpers.ts";
import { Stage } from "../stage.ts";

describe("broker, messages that nobody gets", () => {
  it("a dead letter without a route, and a delayed message, do not come back", async () => {
    using folder = tempDir();
    const stage = new Stage({ data: folder.path, sync: "flush" });
    await stage.open();
    await stage.play(async ({ channel }) => {
      await channel.exchange("dlx", "fanout", {}, { durable: true });
      await channel.exchange("later", "x-delayed-message", { "x-delayed-type": "fanout" }, { durable: true });
      await channel.queue("jobs", { "x-dead-letter-exchange": "dlx" }, { durable: true });
      channel.publish("", "jobs", "dies", { deliveryMode: 2 });
      channel.publish("", "jobs", "stays", { deliveryMode: 2 });
      channel.publish("later", "k", "due", { deliveryMode: 2, headers: { "x-delay": 1000 } });
      channel.reject((await channel.got("jobs")).deliveryTag);
      await channel.barrier("jobs");
      stage.clock.advance(1000);
      await channel.barrier("jobs");
    });
    await stage.close();
    const again = new Stage({ data: folder.path, sync: "flush" });
    await again.open();
    const counts = [...again.broker.core.catalog.queues.values()].map(({ name, ready }) => [name, ready]);
    assert.deepEqual(counts.sort(), [["jobs", 1], ["later", 0]]);
    await again.close();
  });
});
