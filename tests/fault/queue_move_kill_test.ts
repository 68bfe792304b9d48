/**
 * Brokers that are killed with SIGKILL while they move or redrive messages of a queue in place: each message is in one of the two
 * queues, never in both and never in none. `MQCAT_SEED` repeats a run's choices, `MQCAT_ROUNDS` makes it longer.
 */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import process from "node:process";
import { describe } from "node:test";
import type { Channel } from "../../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../../lib/amqp/client/connection.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { peekQueue, sweepQueue } from "../../lib/amqp/client/peek.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { tempDir } from "../support/helpers.ts";
import { start, test } from "../support/mqcat.ts";
import { seeded } from "./queue_ledger.ts";

const ROUNDS = Number(process.env["MQCAT_ROUNDS"] ?? 3);
const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** More than one segment of the journal. */
const MESSAGES = 25_000;
const MATCHING = MESSAGES * 2 / 5;
const PADDING = ".".repeat(800);
/** Messages without a confirm. */
const WINDOW = 2000;
const MOST = 2 ** 31 - 1;
const WHERE = "headers.x-death[0].count > 3";

/** The number of times that a message died: 40 % of them match. */
function deathsOf(id: number): number {
  return id % 5 + 1;
}

async function fill(connection: AmqpConnection): Promise<void> {
  let confirmed = 0;
  let wake = () => {};
  const channel = await connection.open({
    onConfirm(tag) {
      confirmed = tag;
      wake();
    },
  });
  for (const queue of ["from", "to"]) {
    await channel.call("queue.declare", { queue, durable: true }, "queue.declare-ok");
  }
  await channel.call("confirm.select", {}, "confirm.select-ok");
  const properties = [1, 2, 3, 4, 5].map((count) =>
    encodeProperties({ deliveryMode: 2, headers: { "x-death": [{ count: BigInt(count), queue: "to" }] } })
  );
  for (let id = 0; id < MESSAGES; id++) {
    const body = Buffer.from(`${id} ${PADDING}`);
    connection.encoder.publish(channel.id, "", "from", false, properties[id % 5]!, body, 0, body.length);
    if (id % 1000 < 999) continue;
    connection.flush();
    while (id - confirmed > WINDOW) await new Promise<void>((resolve) => wake = resolve);
  }
  while (confirmed < MESSAGES) await new Promise<void>((resolve) => wake = resolve);
  await channel.close();
}

/** The ids in a queue, in order; those that are marked as redelivered are an error. */
async function idsIn(connection: AmqpConnection, queue: string): Promise<number[]> {
  const ids: number[] = [];
  await peekQueue(connection, queue, MOST, {
    onDelivery({ redelivered, content: { body, bodyStart, bodyEnd } }) {
      assert.equal(redelivered, false);
      ids.push(parseInt(Buffer.from(body.subarray(bodyStart, Math.min(bodyEnd, bodyStart + 10))).toString()));
    },
  });
  return ids;
}

async function countOf(channel: Channel, queue: string): Promise<number> {
  return (await channel.call("queue.declare", { queue, passive: true }, "queue.declare-ok")).messageCount;
}

function ascends(ids: readonly number[]): boolean {
  return ids.every((id, at) => at === 0 || ids[at - 1]! < id);
}

describe("kill -9", () => {
  for (
    const [sync, task] of [["confirm", { action: "move", to: "to" }], ["flush", {
      action: "redrive",
    }]] as const
  ) {
    test(`queue serve --sync ${sync}, ${task.action} - a moved message is in one of the two queues`, async () => {
      using dir = tempDir();
      console.log(`--sync ${sync}: MQCAT_SEED=${SEED}`);
      const random = seeded(SEED);
      const args = ["queue", "serve", "amqp://127.0.0.1:0", "--data", dir.file("data"), "--sync", sync];
      const partly: number[] = [];
      let moved = 0;
      for (let round = 0; round <= ROUNDS; round++) {
        using broker = start(args);
        const connection = await connectBroker(parseAmqpUrl(await broker.readyEndpoint()));
        if (round === 0) await fill(connection);
        const [from, to] = [await idsIn(connection, "from"), await idsIn(connection, "to")];
        assert.equal(new Set([...from, ...to]).size, MESSAGES, "no message is lost");
        assert.equal(from.length + to.length, MESSAGES, "no message is in both queues");
        assert.ok(ascends(from) && ascends(to), "the order is kept");
        assert.ok(to.every((id) => deathsOf(id) > 3), "only messages that match are moved");
        assert.ok(to.length >= moved, "a reported move has happened");
        if (to.length > 0 && to.length < MATCHING) partly.push(to.length);
        let isDone = false;
        const done = sweepQueue(connection, "from", { ...task, where: WHERE })
          .then(({ matched }) => moved = to.length + matched)
          .catch(() => {})
          .finally(() => isDone = true);
        if (round < ROUNDS) {
          const goal = to.length + random() * (MATCHING - to.length) / (ROUNDS - round) * 2;
          const channel = await connection.open();
          while (!isDone && await countOf(channel, "to") < goal);
        } else {
          await done;
          assert.equal(moved, MATCHING);
        }
        broker.kill("SIGKILL");
        await done;
        await broker.exit();
      }
      using last = start(args);
      const connection = await connectBroker(parseAmqpUrl(await last.readyEndpoint()));
      assert.deepEqual(
        (await idsIn(connection, "to")).length + (await idsIn(connection, "from")).length,
        MESSAGES,
      );
      assert.equal((await idsIn(connection, "to")).length, MATCHING);
      console.log(`moved when killed: ${partly.join(", ")} of ${MATCHING}`);
      await connection.close();
      last.kill("SIGTERM");
      await last.exit();
    });
  }
});
