/** mqcat's extensions over AMQP, frame by frame: peeks, dumps and sweeps, and the trace of messages. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import {
  COUNTED,
  DRAIN,
  PEEK,
  PEEK_EXCHANGES,
  PEEK_NODE,
  PEEK_QUEUES,
  SWEEP,
  SWEEP_LIMIT,
  SWEEP_TO,
  WHERE,
} from "../../../../../lib/amqp/peek.ts";
import { DUMP } from "../../../../../lib/amqp/dump.ts";
import type { FieldTable } from "../../../../../lib/amqp/types/field_value.ts";
import { countsOf } from "../../../../../lib/broker/amqp/channel/peek.ts";
import { namedQueue } from "../../../../support/queues.ts";
import { type Scene, Stage } from "../../stage.ts";

const TRACE = "amq.rabbitmq.trace";

describe("broker, extensions of AMQP", () => {
  const stage = new Stage();
  before(() => stage.open());
  after(() => stage.close());

  /** Runs a job of the broker. @returns the messages that it sent, as `tag body` */
  async function job({ channel, peer }: Scene, queue: string, args: FieldTable): Promise<string[]> {
    const from = peer.received.length;
    const consumerTag = await channel.consume(queue, {}, args);
    const isEnd = ({ name, args }: { name: string; args: FieldTable }) =>
      name === "basic.cancel" && args["consumerTag"] === consumerTag;
    await peer.until(() => peer.received.slice(from).some(isEnd as never), "the end of the job");
    return peer.received.slice(from).filter(({ name }) => name === "basic.deliver").map(({ args, body }) =>
      `${args["deliveryTag"]}${args["redelivered"] ? " again" : ""} ${new TextDecoder().decode(body)}`
    );
  }

  /** A queue with these messages: letters, or a letter and its time to live. */
  async function fill(
    { channel, queue }: Scene,
    ...messages: (string | readonly [string, number])[]
  ): Promise<void> {
    for (const one of messages) {
      if (typeof one === "string") channel.publish("", queue, one, { headers: { n: one } });
      else channel.publish("", queue, one[0], { expiration: `${one[1]}`, headers: { n: one[0] } });
    }
    await channel.barrier(queue);
  }

  it("peek - the first messages that match and have not expired, without a change", () =>
    stage.play(async (scene) => {
      const { channel, queue, vhost } = scene;
      await fill(scene, "a", "b", ["c", 100], ["d", 101], "e");
      const got = await channel.get(queue, false);
      channel.reject(got!.deliveryTag, true);
      await channel.barrier(queue);
      stage.clock.advance(100);
      assert.deepEqual(await job(scene, queue, { [PEEK]: 10 }), ["2 again a", "3 b", "4 d", "5 e"]);
      assert.deepEqual(await job(scene, queue, { [PEEK]: 2 }), ["6 again a", "7 b"]);
      assert.deepEqual(await job(scene, queue, { [PEEK]: 0 }), []);
      assert.deepEqual(await job(scene, queue, { [PEEK]: 1, [WHERE]: "headers.n == 'e'" }), ["8 e"]);
      assert.equal(vhost.queues.get(queue)!.ready, 5);
      // The next delivery has the next tag.
      assert.equal((await channel.get(queue))!.deliveryTag, 9);
    }));

  it("peek - the exchanges, the node and the queues", () =>
    stage.play(async (scene) => {
      await fill(scene, "a", "b");
      await scene.channel.get("q");
      assert.deepEqual(await job(scene, PEEK_EXCHANGES, { [PEEK]: 0 }), [
        '2 {"name":"","type":"direct"}',
        '3 {"name":"amq.direct","type":"direct"}',
        '4 {"name":"amq.fanout","type":"fanout"}',
        '5 {"name":"amq.headers","type":"headers"}',
        '6 {"name":"amq.match","type":"headers"}',
        '7 {"name":"amq.rabbitmq.trace","type":"topic"}',
        '8 {"name":"amq.topic","type":"topic"}',
      ]);
      assert.deepEqual(await job(scene, PEEK_NODE, { [PEEK]: 0 }), [
        '9 {"name":"mqcat@localhost","running":true,"blocked":null}',
      ]);
      const [counted] = await job(scene, PEEK_QUEUES, { [PEEK]: 0, [COUNTED]: true });
      assert.equal(
        counted!.replace(/,2\d{3},/g, ",MEMORY,").replace(`${stage.clock.now()}`, "NOW"),
        '10 [["q","classic",1,0,0,MEMORY,NOW,2,1,0],["dead","classic",0,0,0,MEMORY,null,0,0,0]]',
      );
      const rows = (await job(scene, PEEK_QUEUES, { [PEEK]: 0 })).map((line) =>
        JSON.parse(line.replace(/^\d+ /, ""))
      );
      assert.deepEqual(
        rows.map(({ name, node, messages, message_stats }) => [name, node, messages, message_stats]),
        [["q", "mqcat@localhost", 1, { publish: 2, deliver_get: 1, ack: 0 }], ["dead", "mqcat@localhost", 0, {
          publish: 0,
          deliver_get: 0,
          ack: 0,
        }]],
      );
    }));

  it("peek - of many queues has 500 in a message, and a pause between two of them", () => {
    const queues = Array.from({ length: 1001 }, (_, i) => namedQueue(`q${i}`));
    const parts = [...countsOf(queues)].map((one) =>
      one && JSON.parse(new TextDecoder().decode(one.message.body)).length
    );
    assert.deepEqual(parts, [500, undefined, 500, undefined, 1]);
    Object.assign(queues[0]!, { deleted: true });
    assert.equal(JSON.parse(new TextDecoder().decode([...countsOf(queues)][0]!.message.body)).length, 499);
  });

  it("dump - from a position to the ends of the lanes, with what expires, and with a filter", () =>
    stage.play(async (scene) => {
      const { channel, queue, vhost } = scene;
      channel.publish("", queue, "high", { priority: 1, headers: { n: "h" } });
      await fill(scene, "a", ["b", 100], ["c", 101], "d");
      await channel.get(queue, false);
      stage.clock.advance(100);
      const { id } = vhost.queues.get(queue)!.definition;
      const dump = (range: FieldTable, where?: string) =>
        job(scene, queue, { [DUMP]: range, ...(where === undefined ? {} : { [WHERE]: where }) });
      assert.deepEqual(await dump({ id, from: 0, to: [4, 1] }), [
        "1 again high",
        "17592186044417 a",
        "17592186044419 c",
        "17592186044420 d",
      ]);
      assert.deepEqual(await dump({ id, from: 0, to: [3, 1] }), [
        "1 again high",
        "17592186044417 a",
        "17592186044419 c",
      ]);
      assert.deepEqual(await dump({ id, from: 0, to: [] }), []);
      assert.deepEqual(await dump({ id, from: 1, to: [4, 1] }), [
        "17592186044417 a",
        "17592186044419 c",
        "17592186044420 d",
      ]);
      assert.deepEqual(await dump({ id, from: 2 ** 44 + 2, to: [4, 1] }), [
        "17592186044419 c",
        "17592186044420 d",
      ]);
      assert.deepEqual(await dump({ id: id + 1, from: 0, to: [4, 1] }), []);
      assert.deepEqual(await dump({ id, from: 0, to: [4, 1] }, "headers.n == 'd'"), ["17592186044420 d"]);
    }, { queue: { "x-max-priority": 1 } }));

  it("sweeps - count, delete and move what matches, up to a limit", () =>
    stage.play(async (scene) => {
      const { queue, vhost } = scene;
      await fill(scene, "a", "b", "c", "b", "d", "b");
      const report = async (args: FieldTable) => {
        const reports = await job(scene, queue, args);
        return [
          reports.at(-1)!.replace(/^\d+ /, ""),
          vhost.queues.get(queue)!.ready,
          vhost.queues.get("dead")!.ready,
        ];
      };
      assert.deepEqual(await report({ [SWEEP]: "count" }), [
        '{"tested":6,"matched":6,"bytes":6,"untestable":0}',
        6,
        0,
      ]);
      assert.deepEqual(await report({ [SWEEP]: "count", [WHERE]: "headers.n == 'b'", [SWEEP_LIMIT]: 2 }), [
        '{"tested":4,"matched":2,"bytes":2,"untestable":0}',
        6,
        0,
      ]);
      assert.deepEqual(await report({ [SWEEP]: "delete", [WHERE]: "headers.n == 'b'", [SWEEP_LIMIT]: 1 }), [
        '{"tested":2,"matched":1,"bytes":1,"untestable":0}',
        5,
        0,
      ]);
      assert.deepEqual(await report({ [SWEEP]: "move", [SWEEP_TO]: "dead", [WHERE]: "headers.n == 'b'" }), [
        '{"tested":5,"matched":2,"bytes":2,"untestable":0}',
        3,
        2,
      ]);
      assert.deepEqual(await report({ [SWEEP]: "redrive" }), [
        '{"tested":3,"matched":0,"bytes":0,"untestable":0,"targets":{},"kept":{"without an original queue in their headers":3}}',
        3,
        2,
      ]);
      await scene.channel.queue("full", { "x-max-length": 1, "x-overflow": "reject-publish" }, {
        exclusive: true,
      });
      assert.deepEqual(await report({ [SWEEP]: "move", [SWEEP_TO]: "full" }), [
        `{"tested":2,"matched":1,"bytes":1,"untestable":0,"failure":"the queue 'full' is full"}`,
        2,
        2,
      ]);
      stage.broker.faults.block("a test");
      assert.deepEqual(await report({ [SWEEP]: "move", [SWEEP_TO]: "dead" }), [
        '{"tested":1,"matched":0,"bytes":0,"untestable":0,"failure":"the broker takes no messages: a test"}',
        2,
        2,
      ]);
      assert.deepEqual(await report({ [SWEEP]: "redrive", [SWEEP_TO]: "dead" }), [
        '{"tested":1,"matched":0,"bytes":0,"untestable":0,"failure":"the broker takes no messages: a test","targets":{},"kept":{}}',
        2,
        2,
      ]);
      stage.broker.faults.clear();
      assert.deepEqual(await scene.drain(queue).then((all) => all.map(({ text }) => text)), ["c", "d"]);
    }));

  it("sweeps - a redrive goes to where a message died, or to one queue", () =>
    stage.play(async (scene) => {
      const { channel, queue, vhost } = scene;
      await channel.queue("home", { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue }, {
        exclusive: true,
      });
      await channel.queue("small", { "x-max-length": 0, "x-overflow": "reject-publish" }, {
        exclusive: true,
      });
      const die = async (name: string) => {
        channel.publish("", name, name);
        channel.reject((await channel.got(name)).deliveryTag);
        await channel.barrier(queue);
      };
      for (let i = 0; i < 3; i++) await die("home");
      const report = async (args: FieldTable) => {
        const reports = await job(scene, queue, { [SWEEP]: "redrive", ...args });
        return [reports.at(-1)!.replace(/^\d+ /, ""), vhost.queues.get(queue)!.ready];
      };
      assert.deepEqual(await report({ [SWEEP_LIMIT]: 1 }), [
        '{"tested":1,"matched":1,"bytes":4,"untestable":0,"targets":{"home":1},"kept":{}}',
        2,
      ]);
      assert.deepEqual(await report({ [SWEEP_TO]: "small" }), [
        `{"tested":1,"matched":0,"bytes":0,"untestable":0,"failure":"the queue 'small' is full","targets":{},"kept":{}}`,
        2,
      ]);
      assert.deepEqual(await report({ [SWEEP_TO]: "dead", [SWEEP_LIMIT]: 1 }), [
        '{"tested":1,"matched":1,"bytes":4,"untestable":0,"targets":{"dead":1},"kept":{}}',
        1,
      ]);
      await channel.call("queue.delete", { queue: "home" });
      assert.deepEqual(await report({}), [
        `{"tested":1,"matched":0,"bytes":0,"untestable":0,"targets":{},"kept":{"from 'home', which does not exist":1}}`,
        1,
      ]);
      assert.deepEqual((await scene.drain("dead")).map(({ text }) => text), ["home"]);
    }));

  it("drain - a consumer with a filter ends when it has what was there", () =>
    stage.play(async (scene) => {
      await fill(scene, "a", "b", "a");
      assert.deepEqual(await job(scene, scene.queue, { [WHERE]: "headers.n == 'a'", [DRAIN]: true }), [
        "1 a",
        "2 a",
      ]);
    }));

  it("trace - publishes, deliveries and outcomes, with their positions", () =>
    stage.play(async (scene) => {
      const { channel, peer, queue, vhost } = scene;
      const watcher = await peer.channel();
      await watcher.queue("trace", {}, { exclusive: true });
      assert.equal(vhost.isTraced, false);
      for (const key of ["publish.#", "deliver.#"]) await watcher.bind("trace", TRACE, key);
      assert.deepEqual([vhost.isTraced, vhost.reportsOutcomes], [true, false]);
      const traced = async () =>
        (await watcher.drain("trace")).map(({ args, properties, text }) => {
          const { connection, properties: original, ...headers } = properties!.headers!;
          const shown = { ...headers, ...(original === undefined ? {} : { original }) };
          return `${args["routingKey"]} "${text}" ${
            JSON.stringify(shown, (_, one) => typeof one === "bigint" ? Number(one) : one)
          }${connection === undefined ? " nobody" : ""}`;
        });
      channel.publish("", queue, "a", { priority: 1, contentType: "text/plain" });
      channel.publish("amq.topic", "nobody", "lost");
      assert.deepEqual(await traced(), [
        'publish. "a" {"exchange_name":"","routing_keys":["q"],"vhost":"/","user":"guest","routed_queues":["q"],"mqcat_positions":{"q":"1.0"},"original":{"content_type":"text/plain","priority":1}}',
        'publish.amq.topic "lost" {"exchange_name":"amq.topic","routing_keys":["nobody"],"vhost":"/","user":"guest","routed_queues":[],"original":{}}',
      ]);
      const { deliveryTag } = (await channel.get(queue, false))!;
      channel.reject(deliveryTag, true);
      assert.deepEqual(await traced(), [
        'deliver.q "a" {"exchange_name":"","routing_keys":["q"],"vhost":"/","user":"guest","redelivered":0,"mqcat_position":"1.0","original":{"content_type":"text/plain","priority":1}}',
      ]);
      await watcher.bind("trace", TRACE, "ack.#");
      await watcher.bind("trace", TRACE, "requeue.#");
      await watcher.bind("trace", TRACE, "reject.#");
      assert.equal(vhost.reportsOutcomes, true);
      await channel.consume(queue, { consumerTag: "t" });
      const again = await channel.delivery();
      channel.reject(again.deliveryTag, true);
      const more = await channel.delivery();
      channel.ack(more.deliveryTag);
      channel.publish("", queue, "b");
      const last = await channel.delivery();
      channel.reject(last.deliveryTag);
      await channel.barrier(queue);
      assert.deepEqual(await traced(), [
        'deliver.q "a" {"exchange_name":"","routing_keys":["q"],"vhost":"/","user":"guest","redelivered":1,"mqcat_position":"1.0","original":{"content_type":"text/plain","priority":1}}',
        'requeue.q "" {"vhost":"/","user":"guest","mqcat_position":"1.0"}',
        'deliver.q "a" {"exchange_name":"","routing_keys":["q"],"vhost":"/","user":"guest","redelivered":1,"mqcat_position":"1.0","original":{"content_type":"text/plain","priority":1}}',
        'ack.q "" {"vhost":"/","user":"guest","mqcat_position":"1.0"}',
        'publish. "b" {"exchange_name":"","routing_keys":["q"],"vhost":"/","user":"guest","routed_queues":["q"],"mqcat_positions":{"q":"0"},"original":{}}',
        'deliver.q "b" {"exchange_name":"","routing_keys":["q"],"vhost":"/","user":"guest","redelivered":0,"mqcat_position":"0","original":{}}',
        'reject.q "" {"vhost":"/","user":"guest","mqcat_position":"0"}',
      ]);
      // The trace itself is not traced.
      const own = await watcher.get("trace", false);
      assert.equal(own, undefined);
      await watcher.call("queue.delete", { queue: "trace" });
      assert.deepEqual([vhost.isTraced, vhost.reportsOutcomes], [false, false]);
    }, { queue: { "x-max-priority": 1 } }));
});
