/** mqcat's extension for dumps: what a client may see and restore. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { dumpQueue, readSnapshot } from "../../../lib/amqp/client/dump.ts";
import { connectBroker } from "../../../lib/amqp/client/link.ts";
import { declareQueue, withChannel } from "../../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../../lib/amqp/client/url.ts";
import { DUMP, encodeRestored, RESTORE, type Restored } from "../../../lib/amqp/dump.ts";
import { decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { Broker } from "../../../lib/broker/server.ts";
import { TestClock } from "../../../lib/broker/testing/test_clock.ts";
import { tempDir } from "../../support/helpers.ts";

const NONE = encodeProperties({});
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (from: Uint8Array, start: number, end: number) =>
  new TextDecoder().decode(from.subarray(start, end));

async function withBroker(
  work: (broker: Broker, connect: (user?: string) => Promise<AmqpConnection>) => Promise<void>,
  data?: string,
): Promise<void> {
  const broker = await Broker.open(data === undefined ? {} : { data });
  const { host } = new URL(await broker.listen("amqp://127.0.0.1:0"));
  try {
    await work(broker, (user = "guest") => connectBroker(parseAmqpUrl(`amqp://${user}:${user}@${host}`)));
  } finally {
    await broker.close();
  }
}

/** Restores a message. @returns the text of the error that closed the channel */
async function restore(
  connection: AmqpConnection,
  queue: string,
  message: Partial<Restored>,
  progress = "",
): Promise<string> {
  const whole = {
    exchange: "",
    routingKey: queue,
    properties: NONE,
    body: bytes("x"),
    redelivered: false,
    ...message,
  };
  let confirm!: () => void;
  const confirmed = new Promise<void>((resolve) => confirm = resolve);
  const channel = await connection.open({ onConfirm: confirm });
  await channel.call("confirm.select", {}, "confirm.select-ok");
  connection.encoder.publish(channel.id, RESTORE, queue, false, NONE, encodeRestored(whole, progress));
  connection.flush();
  const error = await Promise.race([confirmed, channel.closed]);
  await channel.close();
  return error?.message ?? "";
}

/** All messages of a queue: exchange, routing key, body, and whether they are marked as redelivered. */
async function dump(connection: AmqpConnection, queue: string): Promise<string[]> {
  const { id, to } = (await readSnapshot(connection)).queues.find(({ name }) => name === queue)!;
  const found: string[] = [];
  await dumpQueue(connection, queue, { id, from: 0, to }, {
    onDelivery({ exchange, routingKey, redelivered, content: { body, bodyStart, bodyEnd } }) {
      found.push(`${exchange}|${routingKey}|${text(body, bodyStart, bodyEnd)}${redelivered ? "|again" : ""}`);
    },
  });
  return found;
}

describe("broker, dump and restore", () => {
  it("a dump has unacknowledged messages too, marked as redelivered, and changes nothing", async () => {
    await withBroker(async (broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q", { arguments: { "x-max-priority": 1 } });
      const channel = await connection.open();
      for (const [at, body] of ["a", "b", "c"].entries()) {
        connection.encoder.publish(channel.id, "", "q", false, { priority: at === 2 ? 1 : 0 }, bytes(body));
      }
      const got = await channel.get("q");
      assert.equal(text(got!.body, 0, 1), "c");
      assert.deepEqual(await dump(connection, "q"), ["|q|c|again", "|q|a", "|q|b"]);
      const queue = broker.core.vhosts.get("/")!.queues.get("q")!;
      assert.deepEqual([queue.ready, queue.unacked], [2, 1]);
      channel.nack(got!.deliveryTag, false, true);
      assert.deepEqual(await dump(connection, "q"), ["|q|c|again", "|q|a", "|q|b"]);
      await connection.close();
    });
  });

  it("a dump continues at a position, and has nothing of a later queue of the same name", async () => {
    await withBroker(async (_broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q");
      for (const body of ["a", "b", "c"]) {
        assert.equal(await restore(connection, "q", { body: bytes(body) }), "");
      }
      const { id, to } = (await readSnapshot(connection)).queues[0]!;
      const positions: number[] = [];
      await dumpQueue(connection, "q", { id, from: 0, to }, {
        onDelivery: ({ deliveryTag }) => void positions.push(deliveryTag),
      });
      await restore(connection, "q", { body: bytes("late") });
      let rest = 0;
      await dumpQueue(connection, "q", { id, from: positions[0]!, to }, { onDelivery: () => void rest++ });
      assert.equal(rest, 2);
      await withChannel(
        connection,
        (channel) => channel.call("queue.delete", { queue: "q" }, "queue.delete-ok"),
      );
      await declareQueue(connection, "q");
      await restore(connection, "q", {});
      await dumpQueue(connection, "q", { id, from: 0, to }, {
        onDelivery: () => assert.fail("another queue"),
      });
      await connection.close();
    });
  });

  it("a restored message keeps its exchange, routing key, properties and mark; a restart keeps it too", async () => {
    using dir = tempDir();
    const message = {
      exchange: "gone",
      routingKey: "k",
      properties: encodeProperties({ deliveryMode: 2, userId: "other", headers: { n: 2n ** 60n } }),
    };
    await withBroker(async (_broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q");
      assert.equal(await restore(connection, "q", { ...message, redelivered: true }), "");
      assert.equal(await restore(connection, "q", message), "");
      assert.equal(await restore(connection, "q", { ...message, redelivered: true }), "");
      assert.deepEqual(await dump(connection, "q"), ["gone|k|x|again", "gone|k|x", "gone|k|x|again"]);
      const channel = await connection.open();
      const got = await channel.get("q");
      assert.deepEqual(decodeProperties(got!.properties), decodeProperties(message.properties));
      assert.deepEqual([got!.exchange, got!.routingKey, got!.redelivered], ["gone", "k", true]);
      await connection.close();
    }, dir.path);
    await withBroker(async (_broker, connect) => {
      const connection = await connect();
      assert.deepEqual(await dump(connection, "q"), ["gone|k|x|again", "gone|k|x", "gone|k|x|again"]);
      await connection.close();
    }, dir.path);
  });

  it("a full queue refuses a message, and the queue of the progress does not get it", async () => {
    await withBroker(async (broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q", {
        arguments: { "x-max-length": 1, "x-overflow": "reject-publish" },
      });
      await declareQueue(connection, "mqcat.restore.1", { arguments: { "x-max-length": 1 } });
      broker.core.vhosts.get("/")!.putPolicy(false, {
        vhost: "/",
        name: "short",
        pattern: "^mqcat",
        applyTo: "all",
        priority: 0,
        definition: { "message-ttl": 0 },
      });
      const progress = "mqcat.restore.1";
      const expiring = { properties: encodeProperties({ expiration: "1000000" }) };
      assert.equal(await restore(connection, "q", expiring, progress), "");
      assert.match(await restore(connection, "q", expiring, progress), /queue 'q' in vhost '\/' is full/);
      const { queues } = await readSnapshot(connection);
      assert.deepEqual(queues.find(({ name }) => name === progress)?.to, [1]);
      assert.equal(broker.core.vhosts.get("/")!.queues.get(progress)!.ready, 1);
      await connection.close();
    });
  });

  it("a restored message counts with the size of its body", async () => {
    await withBroker(async (broker, connect) => {
      const connection = await connect();
      const limits = { "x-max-length-bytes": 10, "x-overflow": "reject-publish" };
      await declareQueue(connection, "q", { arguments: limits });
      for (const body of ["12345", "67890"]) {
        assert.equal(await restore(connection, "q", { body: bytes(body) }), "");
      }
      assert.equal(broker.core.vhosts.get("/")!.queues.get("q")!.lanes[0]!.sizeAt(1), 5);
      assert.match(await restore(connection, "q", { body: bytes("1") }), /is full/);
      await connection.close();
    });
  });

  it("permissions - a user can restore only what the user could route there", async () => {
    await withBroker(async (broker, connect) => {
      const guest = await connect();
      await declareQueue(guest, "mine");
      await declareQueue(guest, "theirs");
      await withChannel(
        guest,
        (channel) =>
          channel.call("exchange.declare", { exchange: "events", type: "topic" }, "exchange.declare-ok"),
      );
      broker.users.put("jane", "jane");
      broker.users.permit("jane", "/", { configure: "", write: "^(mine|events)$", read: "^mine$" });
      broker.users.permitTopics("jane", "/", "events", { write: "^order\\.", read: "" });
      const jane = await connect("jane");
      const refused = async (queue: string, message: Partial<Restored>) =>
        /access to (\w+ '.*?'|topic '.*?')|user_id is '\w+'/.exec(await restore(jane, queue, message))?.[0];
      assert.equal(await refused("mine", { exchange: "events", routingKey: "order.new" }), undefined);
      assert.equal(
        await refused("mine", { exchange: "events", routingKey: "bill" }),
        "access to topic 'bill'",
      );
      assert.equal(await refused("mine", {}), "access to exchange 'amq.default'");
      assert.equal(
        await refused("theirs", { exchange: "events", routingKey: "order.new" }),
        "access to queue 'theirs'",
      );
      const forged = {
        exchange: "events",
        routingKey: "order.new",
        properties: encodeProperties({ userId: "guest" }),
      };
      assert.equal(await refused("mine", forged), "user_id is 'guest'");
      broker.users.put("jane", "jane", ["impersonator"]);
      assert.equal(await refused("mine", forged), undefined);

      const seen = await readSnapshot(jane);
      assert.deepEqual(seen.queues.map(({ name }) => name), ["mine"]);
      assert.deepEqual((seen.definitions["queues"] as { name: string }[]).map(({ name }) => name), ["mine"]);
      assert.equal(seen.definitions["policies"], undefined);
      await assert.rejects(
        dumpQueue(jane, "theirs", { id: 1, from: 0, to: [1] }, {}),
        /access to queue 'theirs'/,
      );
      await jane.close();
      await guest.close();
    });
  });

  it("malformed - closes with the code of a frame error, and the broker serves on", async () => {
    await withBroker(async (_broker, connect) => {
      for (const body of ["", "\0", "\0\0\0\0\xff", "\0\xff\xff\xff\xff\0\0\0"]) {
        const connection = await connect();
        await declareQueue(connection, "q");
        const channel = await connection.open();
        const raw = Uint8Array.from(body, (one) => one.charCodeAt(0));
        connection.encoder.publish(channel.id, RESTORE, "q", false, NONE, raw);
        connection.flush();
        assert.match((await connection.closed)!.message, /FRAME_ERROR/);
      }
      const connection = await connect();
      assert.match(await restore(connection, "none", {}), /NOT_FOUND/);
      assert.deepEqual(await dump(connection, "q"), []);
      await connection.close();
    });
  });

  it("a dump of a queue with priorities continues at any position, and leaves out what came later", async () => {
    await withBroker(async (_broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q", { arguments: { "x-max-priority": 2 } });
      const put = async (body: string, priority: number) => {
        const properties = encodeProperties({ priority });
        assert.equal(await restore(connection, "q", { body: bytes(body), properties }), "");
      };
      for (const body of ["a0", "b0", "c1", "d1", "e2", "f2"]) await put(body, Number(body[1]));
      const { id, to } = (await readSnapshot(connection)).queues[0]!;
      for (const priority of [0, 1, 2]) await put("later", priority);
      const from = async (position: number) => {
        const bodies: string[] = [];
        const positions: number[] = [];
        await dumpQueue(connection, "q", { id, from: position, to }, {
          onDelivery({ deliveryTag, content: { body, bodyStart, bodyEnd } }) {
            bodies.push(text(body, bodyStart, bodyEnd));
            positions.push(deliveryTag);
          },
        });
        return { bodies, positions };
      };
      const all = ["e2", "f2", "c1", "d1", "a0", "b0"];
      const { bodies, positions } = await from(0);
      assert.deepEqual(bodies, all);
      for (const [at, position] of positions.entries()) {
        assert.deepEqual((await from(position)).bodies, all.slice(at + 1), `from ${position}`);
      }
      await connection.close();
    });
  });

  it("a dump leaves out expired messages between others, and those that do not match a filter", async () => {
    const clock = new TestClock();
    const broker = await Broker.open({ clock });
    const { host } = new URL(await broker.listen("amqp://127.0.0.1:0"));
    const connection = await connectBroker(parseAmqpUrl(`amqp://guest:guest@${host}`));
    await declareQueue(connection, "q");
    // The first one does not expire, so the expired ones after it are still in the queue.
    const ttls = { a: undefined, b: "1000", c: "1001", d: "999", e: undefined, f: "1000" };
    for (const [name, expiration] of Object.entries(ttls)) {
      const properties = encodeProperties(expiration === undefined ? {} : { expiration });
      assert.equal(await restore(connection, "q", { body: bytes(name), properties }), "");
    }
    clock.advance(1000);
    assert.equal(broker.vhosts.get("/")!.queues.get("q")!.ready, 6);
    assert.deepEqual(await dump(connection, "q"), ["|q|a", "|q|c", "|q|e"]);
    const { id, to } = (await readSnapshot(connection)).queues[0]!;
    const matching: string[] = [];
    await dumpQueue(connection, "q", { id, from: 0, to }, {
      onDelivery: ({ content: { body, bodyStart, bodyEnd } }) =>
        void matching.push(text(body, bodyStart, bodyEnd)),
    }, "body != 'c'");
    assert.deepEqual(matching, ["a", "e"]);
    await connection.close();
    await broker.close();
  });

  it("a malformed range is refused", async () => {
    await withBroker(async (broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q");
      await restore(connection, "q", {});
      const { id } = broker.core.vhosts.get("/")!.queues.get("q")!.definition;
      const ranges: [range: FieldTable, refused: boolean][] = [
        [{ id, from: 0, to: [1] }, false],
        [{ id, to: [1] }, true],
        [{ id, from: -1, to: [1] }, true],
        [{ id, from: "0", to: [1] }, true],
        [{ id, from: 0, to: ["1"] }, true],
        [{ id, from: 0, to: [1, "2"] }, true],
      ];
      for (const [range, refused] of ranges) {
        const channel = await connection.open();
        const error = await channel.call(
          "basic.consume",
          { queue: "q", arguments: { [DUMP]: range } },
          "basic.consume-ok",
        ).then(() => undefined, (error: Error) => error.message);
        assert.equal(
          /PRECONDITION_FAILED.*needs 'id', 'from' and 'to'/.test(error ?? ""),
          refused,
          `${error}`,
        );
        await channel.close();
      }
      // Without an end, a lane has nothing.
      await dumpQueue(connection, "q", { id, from: 0, to: [] }, { onDelivery: () => assert.fail("no end") });
      await connection.close();
    });
  });

  it("a snapshot has policies for those who may make them, and no queue of one connection or without messages", async () => {
    await withBroker(async (broker, connect) => {
      const guest = await connect();
      await withChannel(
        guest,
        (channel) => channel.call("queue.declare", { queue: "own", exclusive: true }, "queue.declare-ok"),
      );
      // A queue that stores nothing, as for a subscriber of MQTT with QoS 0.
      const flags = { passive: false, durable: false, autoDelete: false, exclusive: false, arguments: {} };
      broker.core.vhosts.get("/")!.declareQueue({ ...flags, queue: "direct" }, broker, "direct", true);
      await declareQueue(guest, "q");
      await declareQueue(guest, "mqcat.restore.1");
      await withChannel(guest, async (channel) => {
        for (const exchange of ["one", "two"]) {
          await channel.call("exchange.declare", { exchange, type: "fanout" }, "exchange.declare-ok");
        }
        await channel.call("exchange.bind", { source: "one", destination: "two" }, "exchange.bind-ok");
        for (const queue of ["q", "own", "mqcat.restore.1"]) {
          await channel.call("queue.bind", { exchange: "two", queue }, "queue.bind-ok");
        }
      });
      broker.core.vhosts.get("/")!.putPolicy(false, {
        vhost: "/",
        name: "short",
        pattern: "^q",
        applyTo: "all",
        priority: 0,
        definition: { "max-length": 5 },
      });
      const users: [tags: string[], policies: string[] | undefined][] = [
        [["administrator"], ["short"]],
        [["policymaker"], ["short"]],
        [["management", "policymaker"], ["short"]],
        [["monitoring"], undefined],
        [[], undefined],
      ];
      for (const [tags, policies] of users) {
        broker.users.put("jane", "jane", tags);
        broker.users.permit("jane", "/", { configure: "", write: "", read: ".*" });
        const jane = await connect("jane");
        const { queues, definitions } = await readSnapshot(jane);
        const names = (key: string) =>
          (definitions[key] as { name: string }[] | undefined)?.map(({ name }) => name).sort();
        assert.deepEqual(queues.map(({ name }) => name).sort(), ["mqcat.restore.1", "q"]);
        assert.deepEqual(names("queues"), ["q"]);
        assert.deepEqual(names("policies"), policies, `${tags}`);
        assert.equal("parameters" in definitions, policies !== undefined);
        const bindings = definitions["bindings"] as { source: string; destination: string }[];
        assert.deepEqual(
          bindings.map(({ source, destination }) => `${source} to ${destination}`).sort(),
          ["one to two", "two to q"],
        );
        await jane.close();
      }
      await guest.close();
    });
  });

  it("the progress of a restore survives a restart with all of its messages, also transient ones", async () => {
    using dir = tempDir();
    const progress = "mqcat.restore.7";
    const all = [{}, { deliveryMode: 1, expiration: "100000000" }, { deliveryMode: 2 }];
    await withBroker(async (_broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q", { arguments: { "x-max-priority": 1 } });
      await declareQueue(connection, progress);
      for (const [at, properties] of all.entries()) {
        const message = {
          body: bytes(String(at)),
          properties: encodeProperties({ ...properties, priority: 1 }),
        };
        assert.equal(await restore(connection, "q", message, progress), "");
      }
      assert.deepEqual(await dump(connection, progress), ["|q|0", "|q|1", "|q|2"]);
      // Without progress, a transient message does not survive.
      assert.equal(await restore(connection, "q", { properties: encodeProperties({ deliveryMode: 1 }) }), "");
      await connection.close();
    }, dir.path);
    await withBroker(async (broker, connect) => {
      const connection = await connect();
      assert.deepEqual(await dump(connection, "q"), ["|q|0", "|q|1", "|q|2"]);
      assert.deepEqual(await dump(connection, progress), ["|q|0", "|q|1", "|q|2"]);
      const { lanes } = broker.core.vhosts.get("/")!.queues.get(progress)!;
      assert.deepEqual([0, 1, 2].map((seq) => lanes[0]!.expiryAt(seq)), [0, 0, 0]);
      const { queues } = await readSnapshot(connection);
      assert.deepEqual(queues.map(({ name, to }) => [name, to]).sort(), [[progress, [3]], ["q", [0, 3]]]);
      await connection.close();
    }, dir.path);
  });

  it("permissions - the author of a restored message, and the queue of its progress", async () => {
    await withBroker(async (broker, connect) => {
      const guest = await connect();
      for (const queue of ["mine", "mqcat.restore.1", "mqcat.restore.2"]) await declareQueue(guest, queue);
      const permit = (tags: string[]) => {
        broker.users.put("jane", "jane", tags);
        broker.users.permit("jane", "/", {
          configure: "",
          write: "^(mine|amq\\.default|mqcat\\.restore\\.1)$",
          read: "",
        });
      };
      permit([]);
      const jane = await connect("jane");
      const by = (userId: string) => ({ properties: encodeProperties({ userId }) });
      assert.equal(await restore(jane, "mine", by("jane")), "");
      assert.equal(await restore(jane, "mine", {}, "mqcat.restore.1"), "");
      assert.match(await restore(jane, "mine", {}, "mqcat.restore.2"), /access to queue 'mqcat.restore.2'/);
      const users: [tags: string[], allowed: boolean][] = [
        [["administrator"], true],
        [["management", "impersonator"], true],
        [["monitoring"], false],
      ];
      for (const [tags, allowed] of users) {
        permit(tags);
        const error = await restore(jane, "mine", by("john"));
        assert.equal(error === "", allowed, `${tags}: ${error}`);
      }
      await jane.close();
      await guest.close();
    });
  });

  it("a message is not restored in a transaction", async () => {
    await withBroker(async (_broker, connect) => {
      const connection = await connect();
      await declareQueue(connection, "q");
      const channel = await connection.open();
      await channel.call("tx.select", {}, "tx.select-ok");
      const whole = { exchange: "", routingKey: "q", properties: NONE, body: bytes("x"), redelivered: false };
      connection.encoder.publish(channel.id, RESTORE, "q", false, NONE, encodeRestored(whole, ""));
      connection.flush();
      // It closes the connection.
      assert.match((await connection.closed)!.message, /cannot be restored in a transaction/);
    });
  });
});
