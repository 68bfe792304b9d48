/** Filters in the broker: consumers that get only what matches, and messages that are moved and deleted in place. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Channel } from "../../../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { peekQueue, sweepQueue } from "../../../lib/amqp/client/peek.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { DRAIN, SWEEP, SWEEP_TO, WHERE } from "../../../lib/amqp/peek.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { tempDir, waitFor } from "../../support/helpers.ts";

const TIMEOUT = { timeout: 30_000 };
const MOST = 2 ** 31 - 1;

let broker: Broker;
let connection: AmqpConnection;
let url: string;

before(async () => {
  broker = await Broker.open();
  url = await broker.listen("amqp://127.0.0.1:0");
  connection = await connectBroker(parseAmqpUrl(url));
});

after(async () => {
  await connection.close();
  await broker.close();
});

async function declare(queue: string, args: FieldTable = {}): Promise<void> {
  const channel = await connection.open();
  await channel.call("queue.declare", { queue, durable: true, arguments: args }, "queue.declare-ok");
  await channel.close();
}

/** Publishes bodies with a header `n`: the number at their end. Waits until the broker has them. */
async function publish(
  queue: string,
  bodies: readonly string[],
  properties: BasicProperties = {},
): Promise<void> {
  const channel = await connection.open();
  for (const text of bodies) {
    const headers = { n: Number(/\d+$/.exec(text)?.[0] ?? 0), ...properties.headers };
    const body = Buffer.from(text);
    const encoded = encodeProperties({ ...properties, headers });
    connection.encoder.publish(channel.id, "", queue, false, encoded, body, 0, body.length);
  }
  await channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok");
  await channel.close();
}

/** The messages of a queue, with a star for those that are marked as redelivered. */
async function inside(queue: string, where?: string): Promise<string> {
  const found: string[] = [];
  await peekQueue(connection, queue, MOST, {
    onDelivery: ({ redelivered, content: { body, bodyStart, bodyEnd } }) =>
      void found.push(Buffer.from(body.subarray(bodyStart, bodyEnd)).toString() + (redelivered ? "*" : "")),
  }, where);
  return found.join(" ");
}

/** A consumer and what it got. */
interface Taker {
  readonly channel: Channel;
  readonly got: string[];
  readonly tags: number[];
  cancelled: boolean;
}

async function consume(queue: string, args: FieldTable, prefetch = 100): Promise<Taker> {
  const got: string[] = [];
  const tags: number[] = [];
  const channel = await connection.open({
    onDelivery({ deliveryTag, redelivered, content: { body, bodyStart, bodyEnd } }) {
      got.push(Buffer.from(body.subarray(bodyStart, bodyEnd)).toString() + (redelivered ? "*" : ""));
      tags.push(deliveryTag);
    },
    onCancel: () => taker.cancelled = true,
  });
  const taker: Taker = { channel, got, tags, cancelled: false };
  await channel.call("basic.qos", { prefetchCount: prefetch }, "basic.qos-ok");
  await channel.call("basic.consume", { queue, arguments: args }, "basic.consume-ok");
  return taker;
}

function names(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `m${from + i}`);
}

const ODD = "headers.n =~ 'x' or headers.n == 1 or headers.n == 3 or headers.n == 5 or headers.n == 7";

describe("a consumer with a filter", TIMEOUT, () => {
  it("gets what matches, old and new; the rest keeps its order and its flags", async () => {
    await declare("some");
    await publish("some", names(1, 4));
    const { got, channel } = await consume("some", { [WHERE]: ODD });
    await waitFor(() => got.length === 2);
    await publish("some", names(5, 8));
    await waitFor(() => got.length === 4);
    assert.deepEqual(got, ["m1", "m3", "m5", "m7"]);
    assert.equal(await inside("some"), "m2 m4 m6 m8");
    await channel.close();
    assert.equal(await inside("some"), "m1* m2 m3* m4 m5* m6 m7* m8");
  });

  it("gets a message again that was given back, also by another consumer", async () => {
    await declare("again");
    await publish("again", names(1, 3));
    const other = await consume("again", {}, 2);
    await waitFor(() => other.got.length === 2);
    const { got, tags, channel } = await consume("again", { [WHERE]: "headers.n < 3" });
    await other.channel.close();
    await waitFor(() => got.length === 2);
    assert.deepEqual(got, ["m1*", "m2*"]);
    channel.nack(tags[1]!, false, true);
    connection.flush();
    await waitFor(() => got.length === 3);
    assert.equal(got[2], "m2*");
    await channel.close();
  });

  it("comes before consumers without a filter for what matches, and these get the rest", async () => {
    await declare("shared");
    const all = await consume("shared", {});
    const some = await consume("shared", { [WHERE]: "headers.n > 2" });
    await publish("shared", names(1, 5));
    await waitFor(() => all.got.length + some.got.length === 5);
    assert.deepEqual([all.got, some.got], [["m1", "m2"], ["m3", "m4", "m5"]]);
    await all.channel.close();
    await some.channel.close();
  });

  it("shares the messages in turn with others that want them, within its prefetch limit", async () => {
    await declare("turns");
    const takers = [await consume("turns", { [WHERE]: ODD }, 2), await consume("turns", { [WHERE]: ODD }, 2)];
    await publish("turns", names(1, 8));
    await waitFor(() => takers.every(({ got }) => got.length === 2));
    assert.equal(await inside("turns"), "m2 m4 m6 m8");
    for (const { channel } of takers) await channel.close();
  });

  it("gets higher priorities first", async () => {
    await declare("ranked", { "x-max-priority": 5 });
    for (const [priority, ...bodies] of [[1, "m1", "m2"], [5, "m3", "m4"], [3, "m5"]] as const) {
      await publish("ranked", bodies, { priority });
    }
    const { got, channel } = await consume("ranked", { [WHERE]: ODD });
    await waitFor(() => got.length === 3);
    assert.deepEqual(got, ["m3", "m5", "m1"]);
    await channel.close();
  });

  it("waits while another one is the single active consumer", async () => {
    await declare("single", { "x-single-active-consumer": true });
    const first = await consume("single", { [WHERE]: "headers.n == 1" });
    const second = await consume("single", {});
    const third = await consume("single", { [WHERE]: "headers.n == 2" });
    await publish("single", names(1, 3));
    await waitFor(() => first.got.length === 1);
    await first.channel.close();
    await waitFor(() => second.got.length === 3);
    assert.deepEqual([first.got, second.got, third.got], [["m1"], ["m1*", "m2", "m3"], []]);
    await second.channel.close();
    await waitFor(() => third.got.length === 1);
    await third.channel.close();
  });

  it("with drain - is cancelled after the messages that were there, when it has room", async () => {
    await declare("drained");
    await publish("drained", names(1, 4));
    const taker = await consume("drained", { [WHERE]: ODD, [DRAIN]: true }, 1);
    await waitFor(() => taker.got.length === 1);
    await publish("drained", ["m5"]);
    assert.equal(taker.cancelled, false);
    taker.channel.ack(taker.tags[0]!, false);
    connection.flush();
    await waitFor(() => taker.got.length === 2);
    taker.channel.ack(taker.tags[1]!, false);
    connection.flush();
    await waitFor(() => taker.cancelled);
    assert.deepEqual(taker.got, ["m1", "m3"]);
    assert.equal(await inside("drained"), "m2 m4 m5");
    await taker.channel.close();
  });

  it("leaves expired messages to the queue, and messages that are too large to test where they are", async () => {
    await declare("large");
    await publish("large", ["m1"], { expiration: "1" });
    await publish("large", [`${"x".repeat(2 ** 20)} m1`, "y m1"]);
    const { got, channel } = await consume("large", { [WHERE]: "body =~ 'm1$'" });
    await waitFor(() => got.length === 1);
    assert.deepEqual(got, ["y m1"]);
    await channel.close();
  });

  it("marks only delivered messages as redelivered, also after a restart", async () => {
    using dir = tempDir();
    const open = async () => {
      const reopened = await Broker.open({ data: dir.file("data") });
      const endpoint = await reopened.listen("amqp://127.0.0.1:0");
      return { reopened, link: await connectBroker(parseAmqpUrl(endpoint)) };
    };
    const [outer] = [connection];
    try {
      const first = await open();
      connection = first.link;
      await declare("durable");
      await publish("durable", names(1, 8), { deliveryMode: 2 });
      const { got, tags, channel } = await consume("durable", { [WHERE]: ODD });
      await waitFor(() => got.length === 4);
      channel.ack(tags[1]!, false);
      channel.nack(tags[2]!, false, true);
      connection.flush();
      await waitFor(() => got.length === 5);
      await connection.close();
      await first.reopened.close();
      for (let restart = 0; restart < 2; restart++) {
        const second = await open();
        connection = second.link;
        assert.equal(await inside("durable"), "m1* m2 m4 m5* m6 m7* m8");
        await connection.close();
        await second.reopened.close();
      }
      const third = await open();
      connection = third.link;
      const all = await consume("durable", {}, 3);
      await waitFor(() => all.got.length === 3);
      await connection.close();
      await third.reopened.close();
      const fourth = await open();
      connection = fourth.link;
      assert.equal(await inside("durable"), "m1* m2* m4* m5* m6 m7* m8");
      await connection.close();
      await fourth.reopened.close();
    } finally {
      connection = outer;
    }
  });

  it("a malformed filter is an error of the channel, with the reason", async () => {
    await declare("wrong");
    for (const [where, reason] of [["size >", /expected a value/], [7, /must be a text/]] as const) {
      await assert.rejects(consume("wrong", { [WHERE]: where }), (error) => {
        assert.match(String(error), reason);
        assert.equal((error as { replyCode?: number }).replyCode, 406);
        return true;
      });
    }
  });
});

describe("a sweep", TIMEOUT, () => {
  it("move - moves in place what matches, with its properties", async () => {
    await declare("q");
    await declare("r");
    await publish("q", names(1, 6), { type: "job", headers: { CC: ["q"] } });
    const report = await sweepQueue(connection, "q", { action: "move", to: "r", where: "headers.n > 3" });
    assert.deepEqual(report, { tested: 6, matched: 3, bytes: 6, untestable: 0 });
    assert.equal(await inside("q"), "m1 m2 m3");
    assert.equal(
      await inside("r", "properties.type == 'job' and topic == 'r' and exchange == ''"),
      "m4 m5 m6",
    );
    assert.equal(await inside("r", "headers.CC"), "");
  });

  it("redrive - returns dead letters in place, as they were; the others stay, with the reason", async () => {
    const origin = (queue: string): BasicProperties => ({
      contentType: "x/y",
      headers: {
        k: "v",
        CC: ["elsewhere"],
        "x-death": [{ queue, reason: "rejected" }],
        "x-first-death-queue": queue,
        "x-first-death-reason": "rejected",
      },
    });
    for (const name of ["graves", "born one", "born two", "elsewhere", "r1"]) await declare(name);
    await declare("small", { "x-max-length": 1, "x-overflow": "reject-publish" });
    for (
      const [queue, texts] of [
        ["born one", ["a1", "a2"]],
        ["born two", ["b3"]],
        ["gone", ["c4"]],
        ["small", ["d5", "d6"]],
      ] as const
    ) await publish("graves", texts, origin(queue));
    await publish("graves", ["e7"]);
    const copies = await inside("elsewhere");
    const report = await sweepQueue(connection, "graves", { action: "redrive", where: "headers.n > 1" });
    assert.deepEqual([report.tested, report.matched, report.targets, report.kept], [
      7,
      3,
      { "born one": 1, "born two": 1, small: 1 },
      {
        "from 'gone', which does not exist": 1,
        "from 'small', which is full": 1,
        "without an original queue in their headers": 1,
      },
    ]);
    assert.deepEqual(
      [await inside("graves"), await inside("born one"), await inside("born two"), await inside("small")],
      ["a1 c4 d6 e7", "a2", "b3", "d5"],
    );
    const revived: BasicProperties[] = [];
    await peekQueue(connection, "born two", 1, {
      onDelivery({ content: { properties, propertiesEnd } }) {
        revived.push(decodeProperties(properties.subarray(0, propertiesEnd)));
      },
    });
    assert.deepEqual(JSON.parse(JSON.stringify(revived)), [{
      contentType: "x/y",
      headers: { n: 3, k: "v" },
    }]);
    assert.equal(await inside("elsewhere"), copies, "the header CC was for the exchange");
    const rest = await sweepQueue(connection, "graves", { action: "redrive", to: "r1", limit: 3 });
    assert.deepEqual([rest.matched, rest.targets, rest.kept], [3, { r1: 3 }, {}]);
    assert.deepEqual([await inside("graves"), await inside("r1")], ["e7", "a1 c4 d6"]);
  });

  it("count, delete - with a limit, and without unacknowledged messages", async () => {
    await declare("deleting");
    await publish("deleting", names(1, 6));
    const taker = await consume("deleting", {}, 1);
    await waitFor(() => taker.got.length === 1);
    const where = ODD;
    assert.equal((await sweepQueue(connection, "deleting", { action: "count", where })).matched, 2);
    assert.equal(
      (await sweepQueue(connection, "deleting", { action: "delete", where, limit: 1 })).matched,
      1,
    );
    await taker.channel.close();
    assert.equal(await inside("deleting"), "m1* m2 m4 m5 m6");
    assert.equal((await sweepQueue(connection, "deleting", { action: "delete" })).matched, 5);
    assert.equal(await inside("deleting"), "");
  });

  it("move - ends when the target is full, and nothing is lost or doubled", async () => {
    await declare("source");
    await declare("tight", {
      "x-max-length": 2,
      "x-overflow": "reject-publish-dlx",
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": "refused",
    });
    await declare("refused");
    await publish("source", names(1, 5));
    const report = await sweepQueue(connection, "source", { action: "move", to: "tight" });
    assert.equal(report.matched, 2);
    assert.match(report.failure ?? "", /'tight' is full/);
    assert.deepEqual(
      [await inside("source"), await inside("tight"), await inside("refused")],
      ["m3 m4 m5", "m1 m2", ""],
    );
  });

  it("reports bodies that are too large for the filter", async () => {
    await declare("big");
    await publish("big", [`${"x".repeat(2 ** 20)} m1`, "m2"]);
    const report = await sweepQueue(connection, "big", { action: "delete", where: "not (body =~ 'y')" });
    assert.deepEqual([report.matched, report.untestable], [1, 1]);
    const small = "size <= 1M and body =~ 'y'";
    assert.equal((await sweepQueue(connection, "big", { action: "count", where: small })).untestable, 0);
  });

  it("works in turns: other clients are served meanwhile", async () => {
    await declare("long");
    const many = names(1, 2000);
    for (let i = 0; i < 25; i++) await publish("long", many);
    const other = await connectBroker(parseAmqpUrl(url));
    const channel = await other.open();
    let isDone = false;
    let replies = 0;
    const counting = sweepQueue(connection, "long", { action: "count", where: "json.a == 1" })
      .finally(() => isDone = true);
    while (!isDone) {
      await channel.call("queue.declare", { queue: "long", passive: true }, "queue.declare-ok");
      replies++;
    }
    assert.equal((await counting).tested, 50_000);
    assert.ok(replies > 5, `${replies} replies`);
    await other.close();
  });

  it("ends with its channel", async () => {
    await declare("stopped");
    await declare("stopped target");
    for (let i = 0; i < 10; i++) await publish("stopped", names(1, 2000));
    const other = await connectBroker(parseAmqpUrl(url));
    const channel = await other.open({});
    const args = { [SWEEP]: "move", [SWEEP_TO]: "stopped target", [WHERE]: "json.a == 1 or headers.n > 0" };
    await channel.call(
      "basic.consume",
      { queue: "stopped", noAck: true, arguments: args },
      "basic.consume-ok",
    );
    await channel.close();
    await other.close();
    const left = (await sweepQueue(connection, "stopped", { action: "count" })).matched;
    const moved = (await sweepQueue(connection, "stopped target", { action: "count" })).matched;
    assert.equal(left + moved, 20_000);
  });

  it("needs the permissions of a consumer and of a publisher, and an existing target", async () => {
    await declare("guarded");
    await declare("goal");
    await assert.rejects(sweepQueue(connection, "guarded", { action: "move", to: "nowhere" }), /NOT_FOUND/);
    await assert.rejects(
      sweepQueue(connection, "guarded", { action: "move", to: "guarded" }),
      /the queue itself/,
    );
    await assert.rejects(
      sweepQueue(connection, "guarded", { action: "move" }),
      /must be count, delete, redrive, or move/,
    );
    await broker.users.put("reader", "secret");
    broker.users.permit("reader", "/", { configure: "", write: "", read: ".*" });
    broker.users.put("writer", "secret");
    broker.users.permit("writer", "/", { configure: "", write: ".*", read: "" });
    for (const [user, action] of [["reader", "move"], ["writer", "count"], ["writer", "delete"]] as const) {
      const limited = await connectBroker(parseAmqpUrl(url.replace("://", `://${user}:secret@`)));
      await assert.rejects(sweepQueue(limited, "guarded", { action, to: "goal" }), /ACCESS_REFUSED/);
      await limited.close();
    }
  });
});
