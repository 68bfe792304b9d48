/** Kills `queue dump`, `queue restore` and the broker with SIGKILL in the middle: nothing is missing, nothing comes twice. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { describe } from "node:test";
import { encodeProperties } from "../../lib/amqp/properties.ts";
import { Publisher } from "../../lib/amqp/client/publisher.ts";
import { connectBroker } from "../../lib/amqp/client/link.ts";
import { declareQueue } from "../../lib/amqp/client/queues.ts";
import { parseAmqpUrl } from "../../lib/amqp/client/url.ts";
import { tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, run, start, test } from "../support/mqcat.ts";

const COUNT = 60_000;
/** The size of a body in bytes: a dump has several blocks. */
const SIZE = 100;

/** Fills a queue with messages that have all properties. Some are transient, and have a priority. */
async function fill(url: string, queue: string): Promise<void> {
  const brokers = parseAmqpUrl(url);
  const connection = await connectBroker(brokers);
  await declareQueue(connection, queue, { arguments: { "x-max-priority": 2 } });
  await connection.close();
  const publisher = new Publisher(brokers);
  await publisher.start();
  const bytes = new Uint8Array(COUNT * SIZE).fill(0x61);
  const starts = Int32Array.from({ length: COUNT }, (_, i) => i * SIZE);
  const ends = starts.map((start) => start + SIZE);
  const envelopes = Array.from({ length: COUNT }, (_, i) => ({
    exchange: "",
    routingKey: queue,
    properties: encodeProperties({
      deliveryMode: i % 5 === 0 ? 1 : 2,
      priority: i % 3,
      messageId: `id-${i}`,
      headers: { n: i, wide: 2n ** 60n },
    }),
  }));
  for (let at = 0; at < COUNT;) {
    at = publisher.publish({ bytes, starts, ends }, at, COUNT, envelopes);
    await publisher.changed.wait(1000);
  }
  await waitFor(() => publisher.pending === 0, PATIENCE);
  await publisher.close();
}

describe("kill -9 of queue dump and queue restore", () => {
  test("the same command continues: the dump is the same, and so is the dump of the restored queue", async () => {
    using dir = tempDir();
    const serve = ["queue", "serve", "amqp://127.0.0.1:0", "--data", dir.file("data")];
    let broker = start(serve);
    let url = await broker.readyEndpoint();
    await fill(url, "jobs");
    const whole = await run(["queue", "dump", dir.file("whole.jsonl"), "jobs", "--url", url]);
    assert.equal(whole.code, 0, whole.stderr);

    const path = dir.file("cut.jsonl");
    const dump = ["queue", "dump", path, "jobs", "--url", url];
    for (let blocks = 1; blocks <= 3; blocks += 2) {
      using cut = start(dump);
      await waitFor(
        () => fs.existsSync(`${path}.part`) && fs.statSync(`${path}.part`).size >= blocks * 2 ** 20,
        PATIENCE,
      );
      cut.kill("SIGKILL");
      await cut.exit();
      assert.equal(fs.existsSync(path), false);
      // Messages that arrive later are not in the dump.
      await run(["queue", "put", "jobs", "-D", "late", "--url", url]);
    }
    const last = await run(dump);
    assert.match(last.stderr, /continues after \d+ messages\n.*dumped 60000 messages/);
    assert.ok(fs.readFileSync(path).equals(fs.readFileSync(dir.file("whole.jsonl"))));
    assert.deepEqual(fs.readdirSync(dir.path).sort(), ["cut.jsonl", "data", "whole.jsonl"]);

    await run(["queue", "delete", "jobs", "--url", url]);
    for (const victim of ["restore", "broker"]) {
      // A restore takes less than a second: one connection asks again and again for its progress.
      const connection = await connectBroker(parseAmqpUrl(url));
      const restored = async () =>
        (await declareQueue(connection, "jobs", { arguments: { "x-max-priority": 2 } })).messageCount;
      const before = await restored();
      using cut = start(["queue", "restore", path, "--url", url]);
      const end = performance.now() + PATIENCE;
      while (await restored() <= before + 1000) {
        assert.ok(performance.now() < end, `stays at ${before} messages`);
      }
      (victim === "broker" ? broker : cut).kill("SIGKILL");
      await cut.exit();
      await connection.close();
      if (victim === "restore") continue;
      await broker.exit();
      broker = start(serve);
      url = await broker.readyEndpoint();
    }
    const rest = await run(["queue", "restore", path, "--url", url]);
    assert.match(rest.stderr, /continues after \d+ messages\n/);
    assert.equal((await run(["queue", "dump", dir.file("again.jsonl"), "jobs", "--url", url])).code, 0);
    assert.ok(fs.readFileSync(dir.file("again.jsonl")).equals(fs.readFileSync(path)));
    assert.doesNotMatch((await run(["queue", "list", "--url", url])).stdout.toString(), /mqcat.restore/);
    broker.kill();
    await broker.exit();
  });
});
