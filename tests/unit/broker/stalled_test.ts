/** A client that reads nothing while output waits is disconnected, and its messages return to their queue. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Broker } from "../../../lib/broker/server.ts";
import { Peer } from "../../interop/amqp/peer.ts";
import { DEADLINE, waitFor } from "../../support/helpers.ts";

const COUNT = 400;
const SIZE = 100_000;

describe("stalled clients", () => {
  it("stalled - a consumer that stops reading but sends heartbeats is disconnected, and its messages are requeued", async () => {
    const causes: string[] = [];
    await using broker = new AsyncDisposableStack();
    const server = await Broker.open({
      stallTimeout: 600,
      onEvent: (event) => event.type === "disconnected" && causes.push(`${event.cause?.message}`),
    });
    broker.defer(() => server.close());
    const url = await server.listen("amqp://127.0.0.1:0");
    const publisher = await Peer.open(url);
    const channel = await publisher.channel();
    await channel.queue("q");
    await channel.call("confirm.select");
    for (let i = 0; i < COUNT; i++) await channel.put("", "q", new Uint8Array(SIZE));
    const stuck = await Peer.open(url, { heartbeat: 1 });
    await (await stuck.channel()).consume("q");
    stuck.pause();
    const beat = setInterval(() => stuck.heartbeat(), 100);
    broker.defer(() => clearInterval(beat));
    const queue = server.vhosts.get("/")!.queues.get("q")!;
    await waitFor(() => causes.length > 0, DEADLINE, "the broker to close the connection");
    assert.match(causes[0]!, /read nothing for 0\.6 s/);
    await waitFor(() => queue.ready === COUNT, DEADLINE, "the messages to return");
    assert.equal(queue.consumers.size, 0);
    // Other clients are not disturbed.
    assert.equal(server.connections.size, 1);
    await publisher.close();
    stuck.cut();
  });

  it("stalled - a consumer that reads slowly stays connected", async () => {
    const causes: string[] = [];
    await using broker = new AsyncDisposableStack();
    const server = await Broker.open({
      stallTimeout: 2000,
      onEvent: (event) => event.type === "disconnected" && causes.push(`${event.cause?.message}`),
    });
    broker.defer(() => server.close());
    const url = await server.listen("amqp://127.0.0.1:0");
    const [publisher, slow] = [await Peer.open(url), await Peer.open(url)];
    const [channel, consumer] = [await publisher.channel(), await slow.channel()];
    await channel.queue("q");
    await channel.call("confirm.select");
    for (let i = 0; i < 30; i++) await channel.put("", "q", new Uint8Array(SIZE));
    await consumer.consume("q");
    for (let read = 0; read < 30; read++) {
      slow.pause();
      await new Promise((resolve) => setTimeout(resolve, 30));
      slow.resume();
      await consumer.delivery();
    }
    assert.deepEqual(causes, []);
    await Promise.all([publisher.close(), slow.close()]);
  });
});
