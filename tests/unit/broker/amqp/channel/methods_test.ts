/** What the broker answers on a channel, frame by frame: consumers, publishing, declarations, errors. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { counted, Stage } from "../../stage.ts";

const REPLIES = "amq.rabbitmq.reply-to";

describe("broker, methods of a channel", () => {
  const stage = new Stage({ maxMessageSize: 200_000 });
  before(() => stage.open());
  after(() => stage.close());

  it("consume - a priority, an exclusive one, and a cancel by the broker", () =>
    stage.play(async ({ peer, channel, queue, told, publish, served }) => {
      await channel.call("basic.qos", { prefetchCount: 1 });
      await channel.consume(queue, { consumerTag: "low" }, { "x-priority": -1 });
      await channel.consume(queue, { consumerTag: "high" }, { "x-priority": 5 });
      await channel.consume(queue, { consumerTag: "none" });
      publish("abcd");
      assert.deepEqual(await told(), [
        "qos-ok",
        "consume-ok low",
        "consume-ok high",
        "consume-ok none",
        'deliver high 1 "a"',
        'deliver none 2 "b"',
        'deliver low 3 "c"',
      ]);
      await (await peer.channel()).call("queue.delete", { queue });
      const other = await peer.channel();
      await other.queue(queue, {}, { exclusive: true });
      assert.deepEqual(await told(), [
        "queue.delete-ok 1",
        "cancel high noWait",
        "cancel none noWait",
        "cancel low noWait",
        "queue.declare-ok q 0 0",
      ]);
      assert.equal(served.consumers.size, 0);
      await channel.consume(queue, { exclusive: true, consumerTag: "only" });
      await channel.call("basic.cancel", { consumerTag: "only" });
      await channel.consume(queue, { consumerTag: "next" });
      assert.deepEqual(await told(), ["consume-ok only", "cancel-ok only", "consume-ok next"]);
    }));

  it("consume - a client that does not understand a cancel gets none", () =>
    stage.play(async ({ peer, channel, queue, told }) => {
      await channel.consume(queue, { consumerTag: "t" });
      await (await peer.channel()).call("queue.delete", { queue });
      await (await peer.channel()).queue(queue, {}, { exclusive: true });
      assert.deepEqual(await told(), ["consume-ok t", "queue.delete-ok 0", "queue.declare-ok q 0 0"]);
    }, { clientProperties: {} }));

  it("publish - confirms, returns and what is dropped", () =>
    stage.play(async ({ channel, told, publish, served, vhost }) => {
      channel.publish("", "nobody", "dropped");
      channel.publish("", "nobody", "returned", { headers: { BCC: ["x"], keep: "1" } }, true);
      channel.publish("amq.topic", "nobody", "returned too", {}, true);
      await channel.call("confirm.select");
      await channel.call("confirm.select");
      publish("ab");
      channel.publish("", "nobody", "c");
      assert.deepEqual(await told(), [
        'return 312 NO_ROUTE "returned" keep=1',
        'return 312 NO_ROUTE "returned too"',
        "confirm.select-ok",
        "confirm.select-ok",
        "ack 1",
        "ack 2",
        "ack 3",
      ]);
      assert.deepEqual([served.confirms, served.unconfirmed, served.transactional], [
        true,
        0,
        false,
      ]);
      assert.deepEqual(counted(served.stats), {
        published: 6,
        returned: 2,
        unroutable: 2,
        confirmed: 3,
      });
      assert.deepEqual(counted(vhost.stats), {
        published: 6,
        returned: 2,
        unroutable: 2,
        confirmable: 3,
        confirmed: 3,
        routed: 2,
        channelsOpened: 2,
        queuesDeclared: 2,
        queuesCreated: 2,
      });
      assert.deepEqual(counted(vhost.exchanges.get("")!.stats), { published: 5, routed: 2 });
    }));

  it("publish - bodies of any size in frames of any size, up to the limit", () =>
    stage.play(async ({ peer, channel, queue }) => {
      for (const size of [0, 1, 4087, 4088, 4089, 8176, 65_535, 65_536, 65_537, 131_073, 200_000]) {
        for (const frameMax of [4096, 10_000, 131_072]) {
          peer.frameMax = frameMax;
          const body = Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8));
          channel.publish("", queue, body, { headers: { size } });
          const got = await channel.got(queue);
          channel.ack(got.deliveryTag);
          assert.ok(got.body!.length === size && got.body!.every((byte, i) => byte === body[i]), `${size}`);
          assert.equal(got.properties!.headers!["size"], size);
        }
      }
    }));

  it("exchanges and queues - declare, bind, unbind and delete, also without an answer", () =>
    stage.play(async ({ channel, queue, told }) => {
      await channel.exchange("e\r\n", "fanout");
      channel.send("exchange.declare", { exchange: "f", type: "direct", noWait: true });
      channel.send("exchange.bind", { source: "e", destination: "f\n", routingKey: "k" });
      channel.send("queue.bind", { queue: "q\n", exchange: "f", routingKey: "k", noWait: true });
      channel.publish("e", "k", "through both");
      channel.send("basic.get", { queue, noAck: true });
      channel.send("exchange.unbind", { source: "e\r", destination: "f", routingKey: "k" });
      channel.publish("e", "k", "to nobody", {}, true);
      channel.publish("f", "k", "through one");
      channel.send("basic.get", { queue, noAck: true });
      channel.send("queue.unbind", { queue, exchange: "f", routingKey: "k" });
      channel.publish("f", "k", "to nobody", {}, true);
      channel.send("exchange.bind", { source: "e", destination: "f", noWait: true });
      channel.send("exchange.unbind", { source: "e", destination: "f", noWait: true });
      channel.send("exchange.delete", { exchange: "e\n", ifUnused: true });
      channel.send("exchange.delete", { exchange: "f", noWait: true });
      channel.send("exchange.delete", { exchange: "f" });
      channel.send("queue.delete", { queue: "missing" });
      channel.send("exchange.unbind", { source: "missing", destination: "amq.fanout" });
      channel.send("queue.unbind", { queue: "missing", exchange: "amq.fanout" });
      assert.deepEqual(await told(), [
        "exchange.declare-ok",
        "exchange.bind-ok",
        'get-ok 1 0 "through both"',
        "exchange.unbind-ok",
        'return 312 NO_ROUTE "to nobody"',
        'get-ok 2 0 "through one"',
        "queue.unbind-ok",
        'return 312 NO_ROUTE "to nobody"',
        "exchange.delete-ok",
        "exchange.delete-ok",
        "queue.delete-ok 0",
        "exchange.unbind-ok",
        "queue.unbind-ok",
      ]);
    }));

  it("queues - the one that was declared last has no name", () =>
    stage.play(async ({ channel, queue, told }) => {
      channel.send("queue.declare", { queue: "last\n", exclusive: true, noWait: true });
      channel.send("queue.bind", { exchange: "amq.direct" });
      channel.publish("amq.direct", "last", "a");
      channel.send("basic.get", { noAck: true });
      channel.send("queue.bind", { exchange: "amq.direct", routingKey: "k" });
      channel.send("queue.bind", { queue: "last", exchange: "amq.direct" });
      channel.publish("amq.direct", "k", "b");
      channel.publish("amq.direct", "", "c");
      channel.send("queue.unbind", { exchange: "amq.direct", routingKey: "last" });
      channel.send("queue.unbind", { exchange: "amq.direct" });
      channel.publish("amq.direct", "", "returned", {}, true);
      channel.send("queue.purge", {});
      channel.send("queue.purge", { noWait: true });
      channel.send("queue.declare", { queue, passive: true, noWait: true });
      channel.publish("", queue, "d");
      channel.send("queue.delete", { queue: "last", ifEmpty: true });
      channel.send("queue.declare", { queue, passive: true });
      channel.send("queue.delete", { ifUnused: true });
      channel.send("queue.delete", { queue: "dead\n", noWait: true });
      channel.send("queue.declare", { queue, exclusive: true });
      assert.deepEqual(await told(), [
        "queue.bind-ok",
        'get-ok 1 0 "a"',
        "queue.bind-ok",
        "queue.bind-ok",
        "queue.unbind-ok",
        "queue.unbind-ok",
        'return 312 NO_ROUTE "returned"',
        "queue.purge-ok 2",
        "queue.delete-ok 0",
        "queue.declare-ok q 1 0",
        "queue.delete-ok 1",
        "queue.declare-ok q 0 0",
      ]);
    }));

  it("replies - go to the channel that asked, until it cancels", () =>
    stage.play(async ({ peer, channel, queue, told, vhost }) => {
      await channel.consume(REPLIES, { noAck: true, consumerTag: "r" });
      channel.publish("", queue, "request", { replyTo: REPLIES });
      const { properties } = (await channel.get(queue))!;
      const address = properties!.replyTo!;
      assert.match(address, /^amq\.rabbitmq\.reply-to\.[\w-]{22}$/);
      const server = await peer.channel();
      server.publish("", address, "reply 1", { correlationId: "1" });
      server.publish("", address, "reply 2", {}, true);
      server.send("queue.declare", { queue: address, passive: true });
      server.send("queue.declare", { queue: REPLIES, passive: true, noWait: true });
      assert.deepEqual((await told()).map((line) => line.replace(address, "ADDRESS")), [
        "consume-ok r",
        'get-ok 1 0 "request"',
        'deliver r 2 "reply 1"',
        'deliver r 2 "reply 2"',
        "queue.declare-ok ADDRESS 0 1",
      ]);
      await server.call("confirm.select");
      await server.put("", address, "reply 4");
      assert.deepEqual(await told(), ["confirm.select-ok", 'deliver r 2 "reply 4"', "ack 1"]);
      channel.send("basic.cancel", { consumerTag: "other" });
      channel.send("basic.cancel", { consumerTag: "r" });
      await server.put("", address, "reply 3", {}, true);
      await channel.consume(REPLIES, { noAck: true });
      assert.deepEqual((await told()).map((line) => line.replace(/amq\.ctag\S+/, "TAG")), [
        "cancel-ok other",
        "cancel-ok r",
        'return 312 NO_ROUTE "reply 3"',
        "ack 2",
        "consume-ok TAG",
      ]);
      server.send("queue.declare", { queue: address, passive: true });
      await server.closed(404);
      assert.deepEqual(counted(vhost.stats), {
        gotNoAck: 1,
        published: 5,
        returned: 1,
        confirmable: 2,
        confirmed: 2,
        routed: 1,
        channelsOpened: 3,
        queuesDeclared: 2,
        queuesCreated: 2,
      });
    }));

  it("small methods - have an answer", () =>
    stage.play(async ({ peer, channel, told }) => {
      channel.send("channel.flow", { active: true });
      channel.send("access.request", {});
      peer.method(0, "connection.update-secret", { newSecret: new Uint8Array(1), reason: "r" });
      channel.send("basic.cancel", { consumerTag: "unknown" });
      channel.send("basic.cancel", { consumerTag: "unknown", noWait: true });
      channel.send("confirm.select", { noWait: true });
      assert.deepEqual(await told(), [
        "flow-ok active",
        "access.request-ok 1",
        "update-secret-ok",
        "cancel-ok unknown",
      ]);
    }));

  it("a channel - that is closed by an error ignores all until the client has closed it", () =>
    stage.play(async ({ peer, channel, queue, told, vhost }) => {
      peer.method(50, "channel.open", {});
      peer.method(50, "queue.purge", { queue: "missing" });
      // The answer of the peer to the close comes after these.
      peer.method(50, "queue.declare", { queue: "ignored" });
      peer.method(50, "basic.publish", { routingKey: queue });
      peer.header(50, 1);
      peer.body(50, "x");
      await peer.until(() => peer.received.some(({ name }) => name === "channel.close"), "the close");
      peer.method(50, "channel.open", {});
      peer.method(50, "basic.publish", { routingKey: queue });
      peer.header(50, 1);
      // It closes the channel in the middle of a message.
      peer.method(51, "channel.open", {});
      assert.equal(vhost.queues.has("ignored"), false);
      channel.send("basic.get", { queue });
      assert.deepEqual(await told(), [
        "open-ok",
        "close 404 NOT_FOUND - no queue 'missing' in vhost '/'",
        "open-ok",
        "open-ok",
        "get-empty",
      ]);
      assert.deepEqual([vhost.stats.channelsOpened, vhost.stats.channelsClosed], [5, 1]);
    }));
});
