/** The watch over deliveries, with a timer that the test drives. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Channel } from "../../../../lib/amqp/client/channel.ts";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { watchDeliveries } from "../../../../lib/amqp/client/delivery_watch.ts";
import { AwayError } from "../../../../lib/link/away.ts";
import { captureIntervals } from "../../../support/captured_interval.ts";

/** A watched consumer of a queue with these counts. */
class Watched {
  readonly deliveries = { delivered: 2, settled: 2 };
  failure: Error | undefined;
  /** The number of questions. */
  asked = 0;
  /** Called with the number of each question before its reply. */
  onQuestion: (question: number) => void = () => {};
  readonly #check: () => void;

  constructor(messageCount: number, consumerCount: number, deliveries = {}) {
    Object.assign(this.deliveries, deliveries);
    const channel = {
      call: (name: string, args: object) => {
        assert.deepEqual([name, args], ["queue.declare", { queue: "q", passive: true }]);
        this.onQuestion(++this.asked);
        return Promise.resolve({ queue: "q", messageCount, consumerCount });
      },
      closed: new Promise(() => {}),
    };
    const connection = { abort: (error: Error) => void (this.failure ??= error) };
    const { ticks } = captureIntervals(() =>
      watchDeliveries(
        connection as unknown as AmqpConnection,
        channel as unknown as Channel,
        "q",
        this.deliveries,
      )
    );
    this.#check = ticks[0]!;
  }

  /** Checks, and waits for the questions. */
  async check(times = 1): Promise<void> {
    for (; times > 0; times--) {
      this.#check();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
}

describe("watch over deliveries", () => {
  it("ends a connection whose queue has messages, when all that it delivered is acknowledged", async () => {
    const watched = new Watched(3, 1);
    await watched.check();
    assert.ok(watched.failure instanceof AwayError);
    assert.match(watched.failure.message, /queue 'q' is unavailable: the broker delivers none of its 3/);
    assert.equal(watched.asked, 2);
  });

  const explained = [
    ["a message is not acknowledged", [3, 1], { settled: 1 }],
    ["none was delivered before: another consumer may have its turn", [3, 1], { delivered: 0, settled: 0 }],
    ["a stream counts all its messages, and no consumers", [5, 0], {}],
    ["the queue is empty", [0, 1], {}],
  ] as const;
  for (const [what, [messages, consumers], deliveries] of explained) {
    it(`keeps the connection: ${what}`, async () => {
      const watched = new Watched(messages, consumers, deliveries);
      await watched.check(3);
      assert.equal(watched.failure, undefined);
    });
  }

  it("keeps the connection while messages arrive between the checks", async () => {
    const watched = new Watched(3, 1);
    for (let i = 0; i < 5; i++) {
      watched.deliveries.settled = ++watched.deliveries.delivered;
      await watched.check();
    }
    assert.deepEqual([watched.failure, watched.asked], [undefined, 0]);
  });

  it("keeps the connection when a message arrives before the second reply, which nothing overtakes", async () => {
    const watched = new Watched(3, 1);
    watched.onQuestion = (question) => {
      if (question === 2) watched.deliveries.settled = ++watched.deliveries.delivered;
    };
    await watched.check();
    assert.deepEqual([watched.failure, watched.asked], [undefined, 2]);
    // It asks again when deliveries stop once more.
    await watched.check();
    assert.equal(watched.failure, undefined);
    await watched.check();
    assert.ok(watched.failure as unknown instanceof AwayError);
    assert.equal(watched.asked, 4);
  });
});
