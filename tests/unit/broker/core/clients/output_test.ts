/** The limits of what a client may have unread and unsettled, and when it counts as stalled. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameBuffer } from "../../../../../lib/bytes/frame_buffer.ts";
import { ClientOutput } from "../../../../../lib/broker/core/clients/client_output.ts";
import { Deliveries } from "../../../../../lib/broker/core/clients/deliveries.ts";
import { DirectReplies } from "../../../../../lib/broker/core/clients/direct_reply.ts";
import { StallWatch } from "../../../../../lib/broker/core/clients/stall_watch.ts";
import { connectionName, randomName } from "../../../../../lib/broker/core/clients/names.ts";
import { Counters } from "../../../../../lib/broker/core/counters.ts";
import { QueueStats } from "../../../../../lib/broker/core/queue/queue_stats.ts";
import { SIZE_BOUNDS, SizeHistogram } from "../../../../../lib/broker/core/size_histogram.ts";
import type { VirtualHost } from "../../../../../lib/broker/core/topology/vhost.ts";
import type { ByteStream } from "../../../../../lib/transport/stream.ts";

describe("output of a client", () => {
  it("output - one block is written while the next one fills", () => {
    const written: number[] = [];
    const stream = { taken: 0, write: (block: Uint8Array) => void written.push(block.length) };
    const buffer = new FrameBuffer();
    const output = new ClientOutput(stream as unknown as ByteStream, buffer, { outputDelay: 0 });
    const state = () => [output.writing, output.idle, output.sent, output.taken];
    assert.equal(output.flush(), false);
    assert.deepEqual(state(), [false, true, 0, 0]);
    buffer.append(new Uint8Array(3));
    assert.deepEqual(state(), [false, false, 0, 0]);
    assert.equal(output.flush(), true);
    assert.deepEqual(state(), [true, false, 3, 0]);
    stream.taken = 2;
    assert.equal(output.taken, 2);
    buffer.append(new Uint8Array(5));
    assert.equal(output.flush(), false);
    assert.deepEqual(written, [3]);
    stream.taken = 0;
    output.onDrain();
    assert.deepEqual(state(), [false, false, 3, 3]);
    assert.equal(output.flush(), true);
    stream.taken = 4;
    assert.deepEqual(state(), [true, false, 8, 7]);
    assert.deepEqual(written, [3, 5]);
  });

  it("output - has room below 256 KiB, and input is read up to 4 MiB", () => {
    const buffer = { length: 0 };
    const output = new ClientOutput({} as ByteStream, buffer as FrameBuffer, { outputDelay: 0 });
    const rows = [262_143, 262_144, 4_194_304, 4_194_305].map((length) => {
      buffer.length = length;
      return [output.hasRoom, output.overBacklog];
    });
    assert.deepEqual(rows, [[true, false], [false, false], [false, false], [false, true]]);
  });

  it("deliveries - up to 4,194,304 that are not settled", () => {
    const deliveries = new Deliveries();
    deliveries.count = 4_194_303;
    assert.equal(deliveries.hasRoom, true);
    deliveries.count = 4_194_304;
    assert.equal(deliveries.hasRoom, false);
  });

  it("stall - a client that reads nothing for the time while output waits", () => {
    const watch = new StallWatch(30_000);
    const check = (now: number, waits: boolean, taken: number) =>
      watch.checkReading(now, waits, taken)?.message;
    const stalled = "The client has read nothing for 30 s while output waited for it";
    assert.equal(check(100, false, 0), undefined);
    assert.equal(check(30_099, true, 0), undefined);
    assert.equal(check(30_100, true, 0), stalled);
    assert.equal(check(30_101, true, 1), undefined);
    assert.equal(check(60_100, true, 1), undefined);
    assert.equal(check(60_101, true, 1), stalled);
    assert.equal(check(60_102, false, 1), undefined);
    assert.equal(check(60_103, true, 1), undefined);
  });

  it("stall - the time counts from the first check, however long the machine is up", () => {
    const watch = new StallWatch(2_000);
    assert.equal(watch.checkReading(50_000, true, 0), undefined);
    assert.equal(watch.checkSending(50_000, true, 0), undefined);
    assert.equal(watch.checkReading(51_999, true, 0), undefined);
    assert.equal(watch.checkSending(51_999, true, 0), undefined);
    assert.ok(watch.checkReading(52_000, true, 0));
    assert.ok(watch.checkSending(52_000, true, 0));
  });

  it("stall - a client that does not continue its message for the time", () => {
    const watch = new StallWatch(2_000);
    const check = (now: number, waits: boolean, received: number) =>
      watch.checkSending(now, waits, received)?.message;
    const stalled = "The client has sent nothing for 2 s in the middle of a message";
    assert.equal(check(100, true, 5), undefined);
    assert.equal(check(2_099, true, 5), undefined);
    assert.equal(check(2_100, true, 5), stalled);
    assert.equal(check(2_200, true, 6), undefined);
    assert.equal(check(4_199, true, 6), undefined);
    assert.equal(check(4_200, false, 6), undefined);
    assert.equal(check(6_199, true, 6), undefined);
    assert.equal(check(6_200, true, 6), stalled);
  });

  it("direct replies - an address is known in the virtual host of its receiver, until it ends", () => {
    const replies = new DirectReplies();
    const [here, there] = [{}, {}] as [VirtualHost, VirtualHost];
    const got: string[] = [];
    const receiver = { deliverReply: (tag: string) => void got.push(tag) };
    assert.deepEqual([replies.addressOf(receiver), replies.consumerOf(receiver)], [undefined, undefined]);
    replies.close(receiver);
    replies.open(receiver, "tag", here);
    const address = replies.addressOf(receiver)!;
    assert.equal(replies.consumerOf(receiver), "tag");
    assert.deepEqual([replies.has(address, here), replies.has(address, there), replies.has("x", here)], [
      true,
      false,
      false,
    ]);
    assert.deepEqual([address, "amq.rabbitmq.reply-to", "x"].map((name) => replies.isQueue(name, here)), [
      true,
      true,
      false,
    ]);
    replies.deliver(address, {} as never);
    replies.deliver("x", {} as never);
    replies.close(receiver);
    replies.deliver(address, {} as never);
    assert.deepEqual([got, replies.has(address, here), replies.addressOf(receiver)], [
      ["tag"],
      false,
      undefined,
    ]);
  });

  it("names - of connections, and random ones", () => {
    assert.equal(connectionName({ local: "tcp://a:1", remote: "tls://b:2" }), "b:2 -> a:1");
    assert.equal(
      connectionName({ local: "inproc://x", remote: "http://tcp://y" }),
      "http://tcp://y -> inproc://x",
    );
    const names = Array.from({ length: 100 }, () => randomName());
    assert.equal(new Set(names).size, 100);
    for (const name of names) assert.match(name, /^[\w-]{22}$/);
  });

  it("sizes - each class ends with its bound", () => {
    const sizes = new SizeHistogram();
    for (const bound of SIZE_BOUNDS.slice(0, -1)) for (const more of [0, 1]) sizes.add(bound + more);
    sizes.add(0);
    assert.deepEqual([...sizes.counts], [2, 2, 2, 2, 2, 2, 2, 2, 1]);
    assert.equal(sizes.sum, 2 * 161_111_100 + 8);
  });

  it("counters - of logins by protocol, and of deleted queues by type", () => {
    const counters = new Counters();
    assert.deepEqual([counters.connectionsOpened, counters.connectionsClosed], [0, 0]);
    counters.countLogin("amqp091", true);
    counters.countLogin("http", false);
    counters.countLogin("http", false);
    assert.deepEqual([...counters.logins], [["amqp091", { failed: 0, succeeded: 1 }], ["http", {
      failed: 2,
      succeeded: 0,
    }]]);
    for (const count of [2, 3]) {
      counters.countDeleted("classic", Object.assign(new QueueStats(), { published: count }));
    }
    assert.deepEqual([...counters.deletedQueues].map(([type, { published }]) => [type, published]), [[
      "classic",
      5,
    ]]);
  });
});
