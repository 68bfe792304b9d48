/** Which messages survive a restart: persistent ones in durable queues. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeMessage } from "../../../lib/broker/core/message.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { tempDir } from "../../support/helpers.ts";

describe("broker, restart", () => {
  it("restart - keeps a persistent message in a durable queue, and no other one", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    const broker = await Broker.open({ data });
    const vhost = broker.vhosts.get("/")!;
    const { core } = broker;
    const positions: number[] = [];
    core.cycle.begin();
    for (const durable of [true, false]) {
      const queue = durable ? "durable" : "transient";
      vhost.declareQueue({
        queue,
        passive: false,
        durable,
        autoDelete: false,
        exclusive: false,
        arguments: {},
      }, broker);
      for (const deliveryMode of [1, 2]) {
        const body = new TextEncoder().encode(`mode ${deliveryMode}`);
        const message = encodeMessage({ exchange: "", routingKey: queue }, { deliveryMode }, body);
        assert.ok(core.intake.publishInternally(vhost, "", queue, message).taken);
        positions.push(core.journal.position);
      }
    }
    core.cycle.end();
    // Only one of the four is written to the log.
    assert.equal(positions[0], 0);
    assert.ok(positions[1]! > 0);
    assert.deepEqual(positions.slice(2), [positions[1], positions[1]]);
    await broker.close();
    const again = await Broker.open({ data });
    const found = [...again.vhosts.get("/")!.queues.values()].map((queue) => {
      const bodies: string[] = [];
      for (let seq = 0; (seq = queue.lanes[0]!.nextReady(seq)) >= 0; seq++) {
        const { body, bodyStart, bodyEnd } = queue.messageAt(0, seq)!;
        bodies.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)));
      }
      return [queue.name, bodies];
    });
    assert.deepEqual(found, [["durable", ["mode 2"]]]);
    await again.close();
  });
});
