/**
 * Kills the broker with SIGKILL while MQTT clients publish and receive. `MQCAT_SEED` repeats the moments of a run;
 * `MQCAT_MESSAGES` and `MQCAT_KILLS` make it longer.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { deadline, tempDir, waitFor } from "../support/helpers.ts";
import { PATIENCE, start } from "../support/mqcat.ts";
import { Ledger, Publisher, Subscriber } from "./mqtt_ledger.ts";
import { seeded } from "./queue_ledger.ts";

const MESSAGES = Number(process.env["MQCAT_MESSAGES"] ?? 10_000);
const KILLS = Number(process.env["MQCAT_KILLS"] ?? 3);
const SEED = Number(process.env["MQCAT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** The time without progress after which a run has failed, in milliseconds. */
const STALLED = PATIENCE;
const TIMEOUT = { timeout: 3 * PATIENCE + MESSAGES };

/** Runs one broker until the counts reach a goal. */
async function life(
  args: readonly string[],
  ledger: Ledger,
  publisher: Publisher,
  subscriber: Subscriber,
  isEnough: () => boolean,
): Promise<void> {
  using broker = start(args);
  const url = await broker.readyEndpoint();
  const receiving = await subscriber.run(url);
  await deadline(subscriber.subscribed, PATIENCE, "a SUBACK");
  const publishing = await publisher.run(url);
  let events = 0;
  ledger.onProgress = () => events++;
  while (!isEnough()) {
    const before = events;
    await waitFor(() => events > before || isEnough(), STALLED, "progress");
    publisher.fill();
    publisher.flush();
  }
  broker.kill("SIGKILL");
  await broker.exit();
  subscriber.close();
  publisher.close();
  await deadline(Promise.all([receiving.over, publishing.over]), PATIENCE, "the connections to end");
}

describe("kill -9, MQTT", () => {
  for (const qos of [1, 2] as const) {
    it(
      `QoS ${qos} - ${qos === 1 ? "nothing acknowledged is lost" : "each message comes once"}`,
      TIMEOUT,
      async () => {
        using dir = tempDir();
        console.log(`QoS ${qos}: MQCAT_SEED=${SEED}`);
        const random = seeded(SEED);
        const count = qos === 1 ? MESSAGES : Math.ceil(MESSAGES / 5);
        const ledger = new Ledger(count);
        const publisher = new Publisher(ledger, qos);
        const subscriber = new Subscriber(ledger, qos);
        const args = ["queue", "serve", "mqtt://127.0.0.1:0", "--data", dir.file("data")];
        for (let kill = 0; kill < KILLS; kill++) {
          const goal = Math.floor((kill + random()) * count / KILLS);
          await life(args, ledger, publisher, subscriber, () => ledger.completions >= goal);
        }
        await life(args, ledger, publisher, subscriber, () => ledger.isComplete);
        // Once more, for what would come twice.
        const { settled } = subscriber;
        await life(args, ledger, publisher, subscriber, () => subscriber.settled > settled);
        const twice = ledger.arrivals.filter((times) => times > 1).length;
        console.log(`${count} messages, ${twice} came more than once`);
        assert.deepEqual(ledger.violations.slice(0, 5), []);
        assert.deepEqual(ledger.wrong(qos === 2).slice(0, 5), []);
        assert.equal(ledger.completions, count);
      },
    );
  }
});
