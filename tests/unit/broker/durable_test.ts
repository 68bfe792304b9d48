/** Which messages survive a restart: persistent ones in durable queues. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../../lib/amqp/properties.ts";
import { GONE } from "../../../lib/broker/core/queue/lane.ts";
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

  it("restart - what was delivered is marked as redelivered, in each lane of a priority queue", async () => {
    using dir = tempDir();
    const data = dir.file("data");
    const broker = await Broker.open({ data });
    const connection = await connectBroker(parseAmqpUrl(await broker.listen("amqp://127.0.0.1:0")));
    const channel = await connection.open();
    const queue = { queue: "q", durable: true, arguments: { "x-max-priority": 2 } };
    await channel.call("queue.declare", queue, "queue.declare-ok");
    for (const [priority, body] of [[1, "a"], [1, "b"], [0, "c"], [2, "d"]] as const) {
      const bytes = new TextEncoder().encode(body);
      const properties = encodeProperties({ deliveryMode: 2, priority });
      connection.encoder.publish(channel.id, "", "q", false, properties, bytes, 0, 1);
    }
    connection.flush();
    await channel.get("q");
    await channel.get("q");
    await connection.close();
    await broker.close();
    const again = await Broker.open({ data });
    const { lanes } = again.vhosts.get("/")!.queues.get("q")!;
    assert.deepEqual(
      lanes.map((lane) => [0, 1].map((seq) => lane.stateAt(seq) === GONE ? "-" : lane.isRedelivered(seq))),
      [[false, "-"], [true, false], [true, "-"]],
    );
    await again.close();
  });
});
