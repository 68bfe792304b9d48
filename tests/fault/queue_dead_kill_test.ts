/**
 * Brokers that are killed with SIGKILL during dead-lettering, expiry, transactions and declarations. `MQCAT_SEED` repeats
 * a run's choices, `MQCAT_ROUNDS` makes it longer.
 */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import process from "node:process";
import { describe } from "node:test";
import type { Channel } from "../../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { ClosedError, UnreachableError } from "../../lib/errors.ts";
import { tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, start, test } from "../support/mqcat.ts";
import { seeded } from "./queue_ledger.ts";

const ROUNDS = Number(process.env["MQCAT_ROUNDS"] ?? 4);
const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Messages without a confirm. */
const WINDOW = 100;
const PERSISTENT = encodeProperties({ deliveryMode: 2 });
const EXPIRING = encodeProperties({ deliveryMode: 2, expiration: "15" });
const DEAD = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead" };

/** What became of the messages, over all lives of the broker. */
class Books {
  readonly confirmed = new Set<string>();
  /** Ids that came out of the queue of dead letters, and those that came as new. */
  readonly dead = new Set<string>();
  readonly deadAsNew = new Set<string>();
  readonly committed = new Set<string>();
  readonly declared = new Set<string>();
  readonly violations: string[] = [];
  next = 0;

  /** Works until the broker dies. */
  async live(url: string): Promise<void> {
    let connection: AmqpConnection | undefined;
    try {
      connection = await connectBroker(parseAmqpUrl(url));
      await Promise.all([this.#publish(connection), this.consume(connection), this.#commit(connection)]);
    } catch (error) {
      if (!(error instanceof UnreachableError) && !(error instanceof ClosedError)) throw error;
    }
  }

  /** Rejects all messages of one queue, and acknowledges all dead letters. */
  async consume(connection: AmqpConnection): Promise<Channel> {
    const working: Channel = await connection.open({
      onConfirm: () => {},
      onDelivery: ({ deliveryTag }) => working.nack(deliveryTag, false, false),
      onBatchEnd: () => connection.flush(),
    });
    const burying: Channel = await connection.open({
      onConfirm: () => {},
      onDelivery: ({ deliveryTag, redelivered, content: { body, bodyStart, bodyEnd } }) => {
        const id = Buffer.from(body.subarray(bodyStart, bodyEnd)).toString();
        this.dead.add(id);
        if (!redelivered && this.deadAsNew.has(id)) this.violations.push(`${id} died twice`);
        if (!redelivered) this.deadAsNew.add(id);
        burying.ack(deliveryTag, false);
      },
      onBatchEnd: () => connection.flush(),
    });
    for (const [channel, queue] of [[working, "work"], [burying, "dead"]] as const) {
      await channel.call("basic.qos", { prefetchCount: 50 }, "basic.qos-ok");
      await channel.call("basic.consume", { queue }, "basic.consume-ok");
    }
    return burying;
  }

  async declare(channel: Channel): Promise<void> {
    const declare = (queue: string, args: Record<string, string>) =>
      channel.call("queue.declare", { queue, durable: true, arguments: args }, "queue.declare-ok");
    await declare("dead", {});
    await declare("work", DEAD);
    await declare("expiring", DEAD);
    await declare("committed", {});
  }

  async #publish(connection: AmqpConnection): Promise<void> {
    const ids: string[] = [];
    let confirmed = 0;
    const channel = await connection.open({
      onConfirm: (tag, multiple) => {
        const from = multiple ? confirmed : tag - 1;
        for (const id of ids.slice(from, tag)) this.confirmed.add(id);
        if (multiple) confirmed = tag;
      },
      onDelivery: () => {},
    });
    await channel.call("confirm.select", {}, "confirm.select-ok");
    await this.declare(channel);
    for (;;) {
      while (ids.length - confirmed < WINDOW) {
        const id = `m${this.next++}`;
        ids.push(id);
        const expires = this.next % 3 === 0;
        const body = Buffer.from(id);
        const [queue, properties] = expires ? ["expiring", EXPIRING] : ["work", PERSISTENT];
        connection.encoder.publish(channel.id, "", queue, false, properties, body, 0, body.length);
      }
      const name = `declared.${this.next}`;
      await channel.call("queue.declare", { queue: name, durable: true }, "queue.declare-ok");
      this.declared.add(name);
    }
  }

  async #commit(connection: AmqpConnection): Promise<void> {
    const channel = await connection.open({ onConfirm: () => {}, onDelivery: () => {} });
    await channel.call("tx.select", {}, "tx.select-ok");
    await this.declare(channel);
    for (;;) {
      const pair = [`t${this.next++}`, `t${this.next++}`];
      for (const id of pair) {
        const body = Buffer.from(id);
        connection.encoder.publish(channel.id, "", "committed", false, PERSISTENT, body, 0, body.length);
      }
      await channel.call("tx.commit", {}, "tx.commit-ok");
      for (const id of pair) this.committed.add(id);
    }
  }
}

describe("kill -9", () => {
  for (const sync of ["confirm", "flush"]) {
    test(`queue serve --sync ${sync} - dead letters, transactions and declarations survive, and nothing dies twice`, async () => {
      using dir = tempDir();
      console.log(`--sync ${sync}: MQCAT_SEED=${SEED}`);
      const random = seeded(SEED);
      const books = new Books();
      const args = ["queue", "serve", "amqp://127.0.0.1:0", "--data", dir.file("data"), "--sync", sync];
      for (let round = 0; round < ROUNDS; round++) {
        using broker = start(args);
        const life = books.live(await broker.readyEndpoint());
        const goal = books.dead.size + random() * 1500;
        await waitFor(() => books.dead.size >= goal, PATIENCE, "dead letters");
        broker.kill("SIGKILL");
        await life;
        await broker.exit();
      }
      using last = start(args);
      const connection = await connectBroker(parseAmqpUrl(await last.readyEndpoint()));
      const channel = await books.consume(connection);
      const lost = () => [...books.confirmed].filter((id) => !books.dead.has(id));
      await waitFor(() => lost().length === 0, PATIENCE, "all confirmed messages to die").catch(() => {});
      assert.deepEqual(lost().slice(0, 5), []);
      for (const queue of books.declared) {
        await channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok");
      }
      const committed = new Set<string>();
      const reading = await connection.open({
        onConfirm: () => {},
        onDelivery: ({ content: { body, bodyStart, bodyEnd } }) =>
          committed.add(Buffer.from(body.subarray(bodyStart, bodyEnd)).toString()),
      });
      await reading.call("basic.consume", { queue: "committed", noAck: true }, "basic.consume-ok");
      await waitFor(
        () => [...books.committed].every((id) => committed.has(id)),
        PATIENCE,
        "all committed messages",
      );
      console.log(
        `${books.confirmed.size} confirmed, ${books.dead.size} died, ${books.committed.size} committed, ${books.declared.size} declared`,
      );
      assert.deepEqual(books.violations.slice(0, 5), []);
      assert.ok(books.dead.size > 0 && books.committed.size > 0 && books.declared.size > 0);
      await connection.close();
      last.kill("SIGTERM");
      await last.exit();
    });
  }
});
