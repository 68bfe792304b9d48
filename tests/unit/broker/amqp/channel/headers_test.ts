/** Messages with headers of any size, as the first message of a channel: exchange, key and properties stay the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../../../lib/broker/server.ts";
import { Peer } from "../../../../interop/amqp/peer.ts";

/** Sizes around the first buffers of a message's head: 256 and 512 bytes. */
const SIZES = [0, 100, 200, 240, 256, 300, 480, 500, 512, 600, 3000, 30_000, 100_000];

describe("publish", () => {
  it("publish - large headers as the first message of a channel keep the exchange and the key", async () => {
    const broker = await Broker.open();
    const peer = await Peer.open(await broker.listen("amqp://127.0.0.1:0"));
    const reader = await peer.channel();
    const [exchange, key] = ["an.exchange", "a.key"];
    await reader.exchange(exchange, "direct");
    await reader.queue("q");
    await reader.bind("q", exchange, key);
    for (const size of SIZES) {
      const channel = await peer.channel();
      const headers = { long: "x".repeat(size) };
      channel.publish(exchange, key, `${size}`, { headers, correlationId: "id" });
      await reader.ready("q", 1);
      const got = (await reader.get("q"))!;
      assert.deepEqual([got.args["exchange"], got.args["routingKey"]], [exchange, key], `${size} bytes`);
      assert.equal(got.text, `${size}`);
      assert.equal(got.properties!.headers!["long"], headers.long);
      assert.equal(got.properties!.correlationId, "id");
    }
    await peer.close();
    await broker.close();
  });
});
