import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeProperties, NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import type { Bodies, Envelope } from "../../../../lib/link/message.ts";
import { StompPublisher, type StompPublisherOptions } from "../../../../lib/stomp/client/publisher.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { waitFor } from "../../../support/helpers.ts";
import { serveStomp, type StompScript } from "../../../support/scripted_stomp.ts";

const JOBS: Envelope = { exchange: "", routingKey: "jobs", properties: NO_PROPERTIES };
const DEADLINE = 10_000;

function bodies(...texts: string[]): Bodies {
  const ends: number[] = [];
  let length = 0;
  for (const text of texts) ends.push(length += text.length);
  return { bytes: new TextEncoder().encode(texts.join("")), starts: [0, ...ends], ends };
}

/** Runs `work` with a started publisher of a scripted server. */
async function publishing(
  script: StompScript,
  options: StompPublisherOptions,
  work: (publisher: StompPublisher, ...rest: Parameters<Parameters<typeof serveStomp>[1]>) => Promise<void>,
): Promise<void> {
  await serveStomp(script, async (url, connections) => {
    const publisher = new StompPublisher(parseStompAddress(url).servers, {
      reconnect: { first: 1, longest: 20 },
      ...options,
    });
    await publisher.start();
    try {
      await work(publisher, url, connections);
    } finally {
      await publisher.close();
    }
  });
}

describe("STOMP publisher", () => {
  it("publish - a message is confirmed by its receipt, and keeps its bytes and properties", async () => {
    await publishing({}, {}, async (publisher, _url, connections) => {
      const properties = encodeProperties({
        contentType: "text/plain",
        deliveryMode: 2,
        correlationId: "c",
        replyTo: "r",
        // Headers that have another meaning in SEND frames are left out.
        headers: { colour: "a:b", count: 5, receipt: "x", "content-length": "9", type: "t", list: [1] },
      });
      publisher.publish(bodies("a\0b", ""), 0, 2, { exchange: "amq.topic", routingKey: "x/y", properties });
      await waitFor(() => publisher.pending === 0, DEADLINE, "the receipts");
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder], [2, 2]);
      const [, first, second] = connections[0]!.frames;
      assert.deepEqual(first!.headers, {
        destination: "/topic/x%2Fy",
        "reply-to": "r",
        "correlation-id": "c",
        persistent: "true",
        "content-type": "text/plain",
        colour: "a:b",
        count: "5",
        receipt: "1",
        "content-length": "3",
      });
      assert.deepEqual([first!.text, second!.text, second!.headers["receipt"]], ["a\0b", "", "2"]);
    });
  });

  it("destinations - follow the exchange, and a destination stays one", async () => {
    await publishing({}, {}, async (publisher, _url, connections) => {
      const to = (exchange: string, routingKey: string) => ({
        exchange,
        routingKey,
        properties: NO_PROPERTIES,
      });
      const envelopes = [
        to("", "a/b"),
        to("x", ""),
        to("x", "k"),
        to("", "/reply-queue/r"),
        to("amq.topic", ""),
      ];
      publisher.publish(bodies("1", "2", "3", "4", "5"), 0, 5, envelopes);
      await waitFor(() => publisher.pending === 0, DEADLINE, "the receipts");
      assert.deepEqual(connections[0]!.frames.slice(1).map(({ headers }) => headers["destination"]), [
        "/amq/queue/a%2Fb",
        "/exchange/x",
        "/exchange/x/k",
        "/reply-queue/r",
        "/exchange/amq.topic",
      ]);
    });
  });

  it("declares - queues are made by SEND only if the publisher may, and headers are not their arguments", async () => {
    await publishing({}, { declares: true }, async (publisher, _url, connections) => {
      const properties = encodeProperties({ headers: { "x-expires": "1", durable: "false", a: "b" } });
      publisher.publish(bodies("1"), 0, 1, { ...JOBS, properties });
      await waitFor(() => publisher.pending === 0, DEADLINE, "the receipt");
      const { headers } = connections[0]!.frames[1]!;
      assert.deepEqual(headers, { destination: "/queue/jobs", a: "b", receipt: "1", "content-length": "1" });
    });
  });

  it("reconnect - unconfirmed messages are sent again, confirmed ones are not", async () => {
    const script: StompScript = {
      on(served, { command, text }) {
        if (command !== "SEND" || served.number > 0 || text === "1") return false;
        if (text === "3") served.socket.destroy();
        return true;
      },
    };
    await publishing(script, {}, async (publisher, _url, connections) => {
      publisher.publish(bodies("1", "2", "3"), 0, 3, JOBS);
      await waitFor(() => publisher.pending === 0, DEADLINE, "the receipts");
      const again = connections[1]!.frames.filter(({ command }) => command === "SEND");
      assert.deepEqual(again.map(({ text, headers }) => [text, headers["receipt"]]), [["2", "1"], [
        "3",
        "2",
      ]]);
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder], [3, 3]);
    });
  });

  it("refusals - a message that a queue refuses is counted, and the others follow", async () => {
    const script: StompScript = {
      on(served, { command, text, headers }) {
        if (command !== "SEND" || text !== "full") return false;
        served.say(
          "ERROR",
          { message: "Message refused", "receipt-id": headers["receipt"]! },
          "A queue is full\n",
        );
        served.socket.end();
        return true;
      },
    };
    await publishing(script, {}, async (publisher, _url, connections) => {
      publisher.publish(bodies("1", "full", "3"), 0, 3, JOBS);
      await waitFor(() => publisher.pending === 0, DEADLINE, "the receipts");
      assert.deepEqual(
        [publisher.acknowledged, publisher.refused, publisher.refusalReason, publisher.failure],
        [2, 1, "A queue is full", undefined],
      );
      assert.equal(connections.length, 2);
    });
  });

  it("failure - an ERROR frame is permanent, and other errors of the server are not", async () => {
    const script: StompScript = {
      on(served, { command }) {
        if (command !== "SEND") return false;
        const summary = ["connection_forced", "AMQP channel died", "not_found"][served.number]!;
        const details = ["", 'Reason: {shutdown,{server_initiated_close,320,"x"}}', "no exchange 'x'"];
        served.say("ERROR", { message: summary }, details[served.number]);
        return true;
      },
    };
    await publishing(script, {}, async (publisher, _url, connections) => {
      publisher.publish(bodies("1"), 0, 1, { ...JOBS, exchange: "x" });
      await waitFor(() => publisher.failure !== undefined, DEADLINE, "the failure");
      assert.match(publisher.failure!.message, /not_found: no exchange 'x'/);
      assert.equal(connections.length, 3);
    });
  });

  it("failure - a server that ends each connection after the same message without a reason", async () => {
    const script: StompScript = {
      on(served, { command }) {
        if (command !== "SEND") return false;
        served.socket.end();
        return true;
      },
    };
    await publishing(script, {}, async (publisher, _url, connections) => {
      publisher.publish(bodies("1"), 0, 1, JOBS);
      await waitFor(() => publisher.failure !== undefined, DEADLINE, "the failure");
      assert.match(publisher.failure!.message, /closed 5 connections after the same message/);
      assert.equal(connections.length, 5);
    });
  });

  it("replies - messages of a temporary queue arrive with their properties", async () => {
    const script: StompScript = {
      on(served, { command, headers }) {
        if (command !== "SEND") return false;
        assert.equal(headers["reply-to"], "/temp-queue/r");
        served.say("MESSAGE", {
          subscription: "/temp-queue/r",
          "message-id": "1",
          destination: "/queue/amq.gen-x",
          "correlation-id": headers["correlation-id"]!,
        }, "answer");
        return false;
      },
    };
    const replies: unknown[] = [];
    const onReply: StompPublisherOptions["onReply"] = ({ routingKey, content }) => {
      const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
      replies.push([
        routingKey,
        properties.slice(0, propertiesEnd),
        new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)),
      ]);
    };
    await publishing(script, { onReply }, async (publisher) => {
      const properties = encodeProperties({ replyTo: "/temp-queue/r", correlationId: "7" });
      publisher.publish(bodies("question"), 0, 1, { ...JOBS, properties });
      await waitFor(() => replies.length > 0, DEADLINE, "the reply");
      assert.deepEqual(replies, [["amq.gen-x", encodeProperties({ correlationId: "7" }), "answer"]]);
    });
  });
});
