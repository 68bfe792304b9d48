/** What a deleted queue leaves: nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeMessage } from "../../../lib/broker/core/message.ts";
import { Broker } from "../../../lib/broker/server.ts";

describe("broker, a deleted queue", () => {
  it("delete - frees the memory of all its messages, from the first one to the last", async () => {
    const broker = await Broker.open({});
    const vhost = broker.vhosts.get("/")!;
    const { core } = broker;
    const declaration = {
      passive: false,
      autoDelete: false,
      exclusive: false,
      durable: false,
      arguments: {},
    };
    const body = new Uint8Array(200_000);
    const cycle = (work: () => void) => {
      core.cycle.begin();
      work();
      core.cycle.end();
    };
    cycle(() => {
      vhost.declareQueue({ queue: "q", ...declaration }, broker);
    });
    // Each message has a segment of its own, or would be kept by its neighbours.
    for (let n = 0; n < 50; n++) {
      cycle(() => {
        const message = encodeMessage({ exchange: "", routingKey: "q" }, {}, body);
        assert.ok(core.intake.publishInternally(vhost, "", "q", message).taken);
      });
    }
    assert.ok(core.journal.memorySize > 50 * body.length);
    cycle(() => vhost.deleteQueue({ queue: "q", ifUnused: false, ifEmpty: false }, broker));
    // The segment for the next messages stays.
    assert.equal(core.journal.memorySize, 2 ** 20);
    await broker.close();
  });
});
