/** Replies out of order: a queue.declare-ok of RabbitMQ may overtake a basic.consume-ok. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Consumer } from "../../../../lib/amqp/client/consumer.ts";
import { connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { ANSWERS, serve as serveScript } from "../../../support/scripted_broker.ts";

/** A server that does not answer basic.consume, and the methods that it received. */
function serve(work: (url: string, asked: () => readonly string[]) => Promise<void>): Promise<void> {
  const { "basic.consume": _, ...answers } = ANSWERS;
  return serveScript(
    { answers: () => answers },
    (url, connections) => work(url, () => connections[0]?.asked ?? []),
  );
}

describe("AMQP client, replies out of order", () => {
  it("consumer - sends no other method before basic.consume-ok", () =>
    serve(async (url, asked) => {
      const consumer = new Consumer(parseAmqpUrl(url), "q", { onDelivery: () => {} });
      const started = consumer.start();
      started.catch(() => {});
      await waitFor(() => asked().includes("basic.consume"));
      assert.equal(await consumer.isDrained(), false);
      const cancelled = consumer.cancel();
      consumer.abort(new Error("over"));
      await deadline(cancelled, 5000, "the end of the cancel");
      assert.equal(asked().at(-1), "basic.consume");
      await assert.rejects(deadline(started, 5000, "the end of the start"));
    }));

  it("channel - rejects all calls when a reply is out of order", () =>
    serve(async (url) => {
      const connection = await connectBroker(parseAmqpUrl(url));
      const channel = await connection.open();
      const calls = [
        channel.call("basic.consume", { queue: "q" }, "basic.consume-ok"),
        channel.call("queue.declare", { queue: "q" }, "queue.declare-ok"),
      ];
      const ends = await deadline(Promise.allSettled(calls), 5000, "the ends of both calls");
      assert.deepEqual(ends.map(({ status }) => status), ["rejected", "rejected"]);
      assert.match(`${(ends[0] as PromiseRejectedResult).reason}`, /unexpected reply queue.declare-ok/);
      await connection.close();
    }));
});
