/** The publisher of RabbitMQ's stream protocol. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMMAND, StreamError } from "../../../../../lib/amqp/client/stream/commands.ts";
import { FRAME_MAX } from "../../../../../lib/amqp/client/stream/connection.ts";
import {
  StreamPublisher,
  type StreamPublisherOptions,
} from "../../../../../lib/amqp/client/stream/publisher.ts";
import type { Bodies } from "../../../../../lib/link/message.ts";
import { deadline, waitFor } from "../../../../support/helpers.ts";
import { BROKERS, failsWith, Server } from "./server.ts";

const ENVELOPE = { exchange: "", routingKey: "", properties: new Uint8Array(0) };

/** Bodies of the words of a text. */
function bodies(text: string): Bodies {
  const words = text.split(" ");
  const bytes = new TextEncoder().encode(words.join(""));
  let at = 0;
  const starts = words.map((word) => (at += word.length) - word.length);
  return { bytes, starts, ends: words.map((word, i) => starts[i]! + word.length) };
}

/** Runs `work` with a publisher and its servers, one for each connection. */
async function publishing(
  options: Partial<StreamPublisherOptions>,
  work: (publisher: StreamPublisher, server: (number: number) => Promise<Server>) => Promise<void>,
): Promise<void> {
  const servers: Server[] = [];
  const publisher = new StreamPublisher(BROKERS, "log", {
    publisherId: "import",
    reconnect: { first: 1, longest: 1 },
    ...options,
    dial: () => {
      servers.push(new Server(true));
      return Promise.resolve(servers.at(-1)!.stream);
    },
  });
  try {
    await work(publisher, async (number) => {
      await waitFor(() => servers[number] !== undefined, 5000, `connection ${number}`);
      return servers[number]!;
    });
  } finally {
    await publisher.close(1);
  }
}

describe("stream protocol: publisher", () => {
  it("messages that the stream has are confirmed without being sent, also on the next connection", async () => {
    const known: number[] = [];
    await publishing({ onKnown: (count) => known.push(count) }, async (publisher, server) => {
      const starting = publisher.start();
      const first = await server(0);
      await first.accept();
      await first.declare(2);
      await deadline(starting, 5000, "the start");
      assert.deepEqual(first.sent.slice(5), [
        ["declarePublisher", 5, 1, "import", "log"],
        ["queryPublisherSequence", 6, "import", "log"],
      ]);
      assert.equal(publisher.publish(bodies("a b c d e"), 0, 5, ENVELOPE), 5);
      await waitFor(() => publisher.acknowledged === 2);
      assert.deepEqual((await first.until(8)).at(-1), ["publish", 1, 3, 4, 5]);
      first.confirm(3, 4);
      await waitFor(() => publisher.acknowledged === 4);
      first.stream.feedEnd();

      const second = await server(1);
      await second.accept();
      await second.declare(5);
      await waitFor(() => publisher.acknowledged === 5);
      assert.equal(publisher.publish(bodies("f"), 0, 1, ENVELOPE), 1);
      assert.deepEqual((await second.until(8)).at(-1), ["publish", 1, 6]);
      second.confirm(6);
      await waitFor(() => publisher.acknowledged === 6);
    });
    assert.deepEqual(known, [2, 5]);
  });

  it("a stream that accepts no messages, or changes its leader, is away", async () => {
    const events: string[] = [];
    const onEvent: StreamPublisherOptions["onEvent"] = (event) => {
      if (event.type === "lost") events.push(event.error.message);
      if (event.type === "away") events.push(`away ${event.error.message}`);
    };
    await publishing({ onEvent }, async (publisher, server) => {
      const starting = publisher.start();
      await (await server(0)).accept();
      await (await server(0)).declare(0);
      await deadline(starting, 5000, "the start");
      (await server(0)).say(COMMAND.publishError);
      await (await server(1)).accept();
      await (await server(1)).declare(0);
      (await server(1)).say(0x7fff); // Means nothing.
      (await server(1)).say(COMMAND.metadataUpdate);
      const third = await server(2);
      await third.accept();
      await third.until(6);
      third.answer(COMMAND.declarePublisher, 5, 6);
      const fourth = await server(3);
      await fourth.accept();
      await fourth.until(6);
      fourth.answer(COMMAND.declarePublisher, 5, 2);
      await waitFor(() => publisher.failure !== undefined);
      failsWith("ERR_STREAM", "stream 'log': the stream does not exist")(publisher.failure);
    });
    assert.deepEqual(events, [
      "queue 'log' is unavailable: it accepts no messages",
      "queue 'log' is unavailable: its leader has changed",
      "away queue 'log' is unavailable: stream 'log': the stream is not available",
    ]);
  });

  it("the size of a message is limited by the first connection, and no later one may have a lower limit", async () => {
    await publishing({}, async (publisher, server) => {
      const big = { bytes: new Uint8Array(FRAME_MAX), starts: [0], ends: [FRAME_MAX - 32] };
      const tooLarge =
        /^Cannot publish a message of 1048544 bytes: the limit of this connection is 1048543 bytes$/;
      assert.throws(() => publisher.publish(big, 0, 1, ENVELOPE), { message: tooLarge });
      const starting = publisher.start();
      await (await server(0)).accept({ frameMax: 100 });
      await (await server(0)).declare(0);
      await deadline(starting, 5000, "the start");
      const most = { bytes: new Uint8Array(100), starts: [0, 0], ends: [67, 68] };
      assert.equal(publisher.publish(most, 0, 2, ENVELOPE), 1);
      assert.throws(() => publisher.publish(most, 1, 2, ENVELOPE), /of 68 bytes: .* is 67 bytes$/);
      (await server(0)).stream.feedEnd();
      await (await server(1)).accept({ frameMax: 101 });
      await (await server(1)).declare(0);
      (await server(1)).stream.feedEnd();
      await (await server(2)).accept({ frameMax: 99 });
      await waitFor(() => publisher.failure !== undefined);
      const changed = "The limit of frames has changed from 100 to 99 bytes";
      failsWith("ERR_PROTOCOL", changed)(publisher.failure);
    });
  });

  it("a login ends after the time limit", async () => {
    await publishing({ handshakeTimeout: 50 }, async (publisher) => {
      const late = "The server did not answer in time: is its stream plug-in enabled?";
      await assert.rejects(
        deadline(publisher.start(), 5000, "the failure"),
        failsWith("ERR_UNREACHABLE", late),
      );
    });
  });

  it("temporary - two codes only", () => {
    const codes = Array.from({ length: 20 }, (_, code) => code);
    assert.deepEqual(codes.filter((code) => new StreamError(code, "x").isTemporary), [6, 15]);
  });
});
