/** What a queue does with its messages as time passes and as it fills: expiry, limits, priorities, dead letters, deletion. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { FieldTable } from "../../../../../lib/amqp/types/field_value.ts";
import { type Scene, Stage } from "../../stage.ts";

const DEAD = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" };

describe("broker, queues", () => {
  const stage = new Stage();
  before(() => stage.open());
  after(() => stage.close());
  const { clock } = stage;

  /** Runs a script; the queue q has these arguments. */
  const play = (queue: FieldTable, work: (scene: Scene) => Promise<void>) => stage.play(work, { queue });

  /** The bodies and deaths of all dead letters: `a: 2 expired q (e k 1000)`. */
  async function deadLetters({ drain }: Scene): Promise<string[]> {
    const found: string[] = [];
    for (const { text, properties } of await drain("dead")) {
      const deaths = ((properties!.headers?.["x-death"] ?? []) as FieldTable[]).map((death) => {
        const { count, reason, queue, exchange, "routing-keys": keys, "original-expiration": expiration } =
          death;
        const rest = [exchange, ...(keys as string[]), expiration ?? ""].filter((word) => word !== "");
        return `${count} ${reason} ${queue} (${rest.join(" ")})`;
      });
      found.push(`${text}: ${deaths.join(", ")}${properties!.expiration === undefined ? "" : " expires"}`);
    }
    return found;
  }

  /** The bodies of the ready messages. */
  const bodies = async ({ drain, queue }: Scene) => (await drain(queue)).map(({ text }) => text);

  it("time to live - of a message or of the queue, the shorter one, to the millisecond", () =>
    play({ ...DEAD, "x-message-ttl": 1000 }, async (scene) => {
      const { channel, queue, vhost, told } = scene;
      channel.publish("", queue, "a");
      channel.publish("", queue, "b", { expiration: "500" });
      channel.publish("", queue, "c", { expiration: "2000" });
      channel.publish("", queue, "d", { expiration: "1" });
      await told();
      const ready = () => vhost.queues.get(queue)!.ready;
      const seen: number[][] = [];
      for (const step of [999, 1, 0, 1000]) {
        clock.advance(step);
        seen.push([step, ready(), vhost.queues.get("dead")!.ready]);
      }
      assert.deepEqual(seen, [[999, 4, 0], [1, 0, 4], [0, 0, 4], [1000, 0, 4]]);
      assert.deepEqual(await deadLetters(scene), [
        "a: 1 expired q (q)",
        "b: 1 expired q (q 500)",
        "c: 1 expired q (q 2000)",
        "d: 1 expired q (q 1)",
      ]);
      assert.equal(vhost.queues.get(queue)!.stats.expired, 4);
    }));

  it("time to live - a get at the moment of the end gets nothing, and one before gets the message", () =>
    play({ ...DEAD, "x-max-priority": 1 }, async (scene) => {
      const { channel, queue, told } = scene;
      channel.publish("", queue, "low");
      channel.publish("", queue, "a", { expiration: "100", priority: 1 });
      channel.publish("", queue, "b", { expiration: "200", priority: 1 });
      channel.publish("", queue, "c", { priority: 1 });
      channel.publish("", queue, "d", { expiration: "150", priority: 1 });
      await told();
      clock.advance(99);
      channel.send("basic.get", { queue });
      channel.reject(1, true);
      assert.deepEqual(await told(), ['get-ok 1 4 "a"']);
      clock.advance(1);
      channel.send("basic.get", { queue });
      channel.reject(2, true);
      assert.deepEqual(await told(), ['get-ok 2 3 "b"']);
      // d comes after c, which never expires, so it stays until it is its turn.
      clock.advance(200);
      channel.send("basic.get", { queue });
      channel.send("basic.get", { queue });
      channel.send("basic.get", { queue });
      assert.deepEqual(await told(), ['get-ok 3 1 "c"', 'get-ok 4 0 "low"', "get-empty"]);
      assert.deepEqual(await deadLetters(scene), [
        "a: 1 expired q (q 100)",
        "b: 1 expired q (q 200)",
        "d: 1 expired q (q 150)",
      ]);
    }));

  it("time to live of 0 - a consumer that waits gets the message, or nobody", () =>
    play({ ...DEAD }, async (scene) => {
      const { channel, queue, told } = scene;
      channel.publish("", queue, "nobody", { expiration: "0" });
      await told();
      await channel.consume(queue, { consumerTag: "t", noAck: true });
      channel.publish("", queue, "somebody", { expiration: "0" });
      assert.deepEqual(await told(), ["consume-ok t", 'deliver t 1 "somebody"']);
      assert.deepEqual(await deadLetters(scene), ["nobody: 1 expired q (q 0)"]);
    }));

  it("time to live - a message that was given back expires, too", () =>
    play({ ...DEAD, "x-message-ttl": 100 }, async (scene) => {
      const { channel, queue, told, publish, vhost } = scene;
      publish("ab");
      channel.send("basic.get", { queue });
      await told();
      clock.advance(100);
      assert.deepEqual([vhost.queues.get(queue)!.unacked, vhost.queues.get(queue)!.ready], [1, 0]);
      channel.reject(1, true);
      await told();
      assert.deepEqual([vhost.queues.get(queue)!.unacked, vhost.queues.get(queue)!.ready], [0, 0]);
      assert.deepEqual(await deadLetters(scene), ["b: 1 expired q (q)", "a: 1 expired q (q)"]);
    }));

  it("expires - the queue goes when it was not used for the time, and each use counts", () =>
    play({}, async ({ channel, vhost }) => {
      await channel.queue("brief", { "x-expires": 1000 });
      const uses = [
        () => channel.get("brief"),
        () => channel.queue("brief", { "x-expires": 1000 }),
        async () => {
          await channel.consume("brief", { consumerTag: "t" });
          clock.advance(5000);
          await channel.call("basic.cancel", { consumerTag: "t" });
        },
      ];
      for (const use of uses) {
        clock.advance(999);
        await use();
      }
      clock.advance(999);
      channel.publish("", "brief", "is no use");
      await channel.barrier("q");
      assert.equal(vhost.queues.has("brief"), true);
      clock.advance(1);
      assert.equal(vhost.queues.has("brief"), false);
    }));

  it("limits - the oldest messages go, the lowest number that makes room", () =>
    play({ ...DEAD, "x-max-length": 3 }, async (scene) => {
      const { channel, queue, vhost, publish, told } = scene;
      publish("abc");
      await told();
      assert.equal(vhost.queues.get(queue)!.ready, 3);
      publish("de");
      await told();
      assert.deepEqual(await deadLetters(scene), ["a: 1 maxlen q (q)", "b: 1 maxlen q (q)"]);
      channel.send("basic.get", { queue });
      publish("f");
      assert.deepEqual(await told(), [
        'get-ok 1 2 "c"',
      ]);
      channel.reject(1, true);
      await told();
      assert.deepEqual(await deadLetters(scene), ["c: 1 maxlen q (q)"]);
      assert.deepEqual(await bodies(scene), ["d", "e", "f"]);
      assert.equal(vhost.queues.get(queue)!.stats.overflowed, 3);
    }));

  it("limits - in bytes", () =>
    play({ ...DEAD, "x-max-length-bytes": 10 }, async (scene) => {
      const { channel, queue, vhost } = scene;
      const bytes: number[] = [];
      for (const size of [4, 6, 1, 10, 11, 3]) {
        channel.publish("", queue, "x".repeat(size));
        await channel.barrier(queue);
        bytes.push(vhost.queues.get(queue)!.readyBytes);
      }
      assert.deepEqual(bytes, [4, 10, 7, 10, 0, 3]);
      assert.deepEqual((await deadLetters(scene)).map((line) => line.indexOf(":")), [4, 6, 1, 10, 11]);
    }));

  it("limits - a full queue can refuse a message and dead-letter it", () =>
    play({ ...DEAD, "x-max-length": 1, "x-overflow": "reject-publish-dlx" }, async (scene) => {
      const { channel, told, publish } = scene;
      await channel.call("confirm.select");
      publish("abc");
      assert.deepEqual(await told(), ["confirm.select-ok", "ack 1", "nack 2", "nack 3"]);
      assert.deepEqual(await deadLetters(scene), ["b: 1 maxlen q (q)", "c: 1 maxlen q (q)"]);
    }));

  it("priorities - the highest first, above the maximum as the maximum, none as 0", () =>
    play({ "x-max-priority": 2 }, async (scene) => {
      const { channel, queue, vhost } = scene;
      for (
        const [body, priority] of [["a", undefined], ["b", 1], ["c", 0], ["d", 2], ["e", 9], [
          "f",
          1,
        ]] as const
      ) {
        channel.publish("", queue, body, priority === undefined ? {} : { priority });
      }
      await channel.barrier(queue);
      assert.deepEqual(vhost.queues.get(queue)!.lanes.map(({ ready }) => ready), [2, 2, 2]);
      assert.deepEqual(await bodies(scene), ["d", "e", "b", "f", "a", "c"]);
    }));

  it("priorities - a full queue drops the highest first, as RabbitMQ does", () =>
    play({ ...DEAD, "x-max-priority": 1, "x-max-length": 2 }, async (scene) => {
      const { channel, queue } = scene;
      for (const [body, priority] of [["a", 0], ["b", 1], ["c", 0], ["d", 1]] as const) {
        channel.publish("", queue, body, { priority });
      }
      await channel.barrier(queue);
      assert.deepEqual(await deadLetters(scene), ["b: 1 maxlen q (q)", "d: 1 maxlen q (q)"]);
      assert.deepEqual(await bodies(scene), ["a", "c"]);
    }));

  it("dead letters - count each reason and queue, the latest first, and do not go in a circle", () =>
    play({ "x-dead-letter-exchange": "dlx" }, async (scene) => {
      const { channel, queue, told } = scene;
      await channel.exchange("dlx", "fanout");
      await channel.bind("dead", "dlx");
      const headers = { CC: ["dead", 7], BCC: ["hidden"], keep: "1" };
      channel.publish("", queue, "a", { headers, expiration: "60000" });
      channel.send("basic.get", { queue });
      channel.send("basic.get", { queue: "dead", noAck: true });
      channel.reject(1);
      assert.deepEqual(await told(), [
        "exchange.declare-ok",
        "queue.bind-ok",
        'get-ok 1 0 "a" CC keep=1',
        'get-ok 2 0 "a" CC keep=1',
      ]);
      assert.deepEqual(await deadLetters(scene), ["a: 1 rejected q (q dead 60000)"]);
      // Back to the queue where it died, twice.
      await channel.bind(queue, "dlx");
      channel.publish("dlx", "k", "b");
      await channel.barrier(queue);
      const other = await scene.peer.channel();
      for (let round = 0; round < 3; round++) other.reject((await other.got(queue)).deliveryTag);
      await told();
      assert.deepEqual(await deadLetters(scene), [
        "b: ",
        "b: 1 rejected q (dlx k)",
        "b: 2 rejected q (dlx k)",
        "b: 3 rejected q (dlx k)",
      ]);
    }));

  it("dead letters - continue deaths that the publisher wrote, of which one may lack its count", () =>
    play({ "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" }, async (scene) => {
      const { channel, queue, told } = scene;
      const written = [
        { queue: "else", reason: "expired", count: 5n },
        "text",
        { queue, reason: "rejected", count: "many" },
      ];
      channel.publish("", queue, "a", { headers: { "x-death": written } });
      channel.send("basic.get", { queue });
      channel.reject(1);
      await told();
      const [letter] = await scene.drain("dead");
      const deaths = letter!.properties!.headers!["x-death"] as FieldTable[];
      assert.deepEqual(deaths.map((death) => `${death["count"]} ${death["reason"]} ${death["queue"]}`), [
        "1 rejected q",
        "5 expired else",
      ]);
    }));

  it("dead letters - a message that expires does not come back to its queue", () =>
    play({ "x-dead-letter-exchange": "dlx", "x-message-ttl": 10 }, async (scene) => {
      const { channel, queue, told, vhost } = scene;
      await channel.exchange("dlx", "fanout");
      for (const name of [queue, "dead"]) await channel.bind(name, "dlx");
      channel.publish("", queue, "a");
      await told();
      clock.advance(10);
      await told();
      assert.equal(vhost.queues.get(queue)!.ready, 0);
      assert.deepEqual(await deadLetters(scene), ["a: 1 expired q (q)"]);
      // An exchange that is missing takes nothing.
      await channel.call("exchange.delete", { exchange: "dlx" });
      channel.publish("", queue, "b");
      await told();
      clock.advance(10);
      await told();
      assert.deepEqual(await deadLetters(scene), []);
    }));

  it("purge - removes what is ready, and tells how many", () =>
    play({ "x-max-priority": 1 }, async ({ channel, queue, told, publish, vhost }) => {
      publish("abc");
      channel.publish("", queue, "high", { priority: 1 });
      channel.send("basic.get", { queue });
      channel.send("basic.get", { queue });
      channel.send("queue.purge", { queue });
      channel.reject(1, true);
      channel.send("queue.purge", { queue });
      assert.deepEqual(await told(), [
        'get-ok 1 3 "high"',
        'get-ok 2 2 "a"',
        "queue.purge-ok 2",
        "queue.purge-ok 1",
      ]);
      const { ready, unacked, readyBytes, unackedBytes } = vhost.queues.get(queue)!;
      assert.deepEqual([ready, unacked, readyBytes, unackedBytes], [0, 1, 0, 1]);
    }));

  it("auto-delete - with the last consumer, and not before the first", () =>
    play({}, async ({ channel, vhost }) => {
      await channel.queue("auto", {}, { autoDelete: true });
      assert.equal(vhost.queues.has("auto"), true);
      await channel.consume("auto", { consumerTag: "a" });
      await channel.consume("auto", { consumerTag: "b" });
      await channel.call("basic.cancel", { consumerTag: "a" });
      assert.equal(vhost.queues.has("auto"), true);
      await channel.call("basic.cancel", { consumerTag: "b" });
      assert.equal(vhost.queues.has("auto"), false);
    }));

  it("one active consumer - the next one follows when it ends", () =>
    play({ "x-single-active-consumer": true }, async ({ channel, queue, told, publish }) => {
      await channel.call("basic.qos", { prefetchCount: 1 });
      for (const consumerTag of ["a", "b", "c"]) await channel.consume(queue, { consumerTag });
      publish("1234");
      assert.deepEqual(await told(), [
        "qos-ok",
        "consume-ok a",
        "consume-ok b",
        "consume-ok c",
        'deliver a 1 "1"',
      ]);
      channel.send("basic.cancel", { consumerTag: "a" });
      assert.deepEqual(await told(), ["cancel-ok a", 'deliver b 2 "2"']);
      channel.send("basic.cancel", { consumerTag: "c" });
      channel.ack(2);
      assert.deepEqual(await told(), ["cancel-ok c", 'deliver b 3 "3"']);
    }));

  it("counts - the oldest message and the state of the queue follow the time", () =>
    play({ "x-max-priority": 1 }, async ({ channel, queue, vhost }) => {
      const found = vhost.queues.get(queue)!;
      const start = clock.now();
      assert.equal(found.oldest, undefined);
      for (const priority of [1, 0]) {
        channel.publish("", queue, "x", { priority });
        await channel.barrier(queue);
        clock.advance(5000);
      }
      assert.deepEqual([found.oldest!.time - start, found.oldest!.isExact], [0, true]);
      await channel.get(queue);
      assert.deepEqual([found.oldest!.time - start, found.oldest!.isExact], [5000, true]);
      assert.equal(found.stats.activeAt - start, 10_000);
    }));
});
