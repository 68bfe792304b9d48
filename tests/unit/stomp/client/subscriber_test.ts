import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeProperties } from "../../../../lib/amqp/properties.ts";
import type { StompVersion } from "../../../../lib/stomp/frame.ts";
import { StompSubscriber, type StompSubscriberOptions } from "../../../../lib/stomp/client/subscriber.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompError } from "../../../../lib/stomp/stomp_error.ts";
import { waitFor } from "../../../support/helpers.ts";
import { type ServedStomp, serveStomp, type StompScript } from "../../../support/scripted_stomp.ts";
import type { Headers } from "../../../support/stomp_peer.ts";

const DEADLINE = 10_000;

/** A received message. */
interface Got {
  readonly tag: number;
  readonly generation: number;
  readonly from: string;
  readonly properties: unknown;
  readonly text: string;
}

/** Sends a message to the first subscription. */
function message(served: ServedStomp, id: number, headers: Headers = {}, body = `m${id}`): void {
  served.say("MESSAGE", {
    subscription: "mqcat-0",
    "message-id": `id:${id}`,
    ack: `ack:${id}`,
    destination: "/queue/jobs",
    redelivered: "false",
    ...headers,
  }, body);
}

/** Runs `work` with a started subscriber of a scripted server. */
async function subscribing(
  script: StompScript,
  options: Partial<StompSubscriberOptions>,
  work: (subscriber: StompSubscriber, got: Got[], connections: readonly ServedStomp[]) => Promise<void>,
): Promise<void> {
  await serveStomp(script, async (url, connections) => {
    const got: Got[] = [];
    const subscriber: StompSubscriber = new StompSubscriber(parseStompAddress(url).servers, [
      "/amq/queue/jobs",
    ], {
      acknowledges: true,
      reconnect: { first: 1, longest: 20 },
      onDelivery({ deliveryTag, exchange, routingKey, content }) {
        const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
        got.push({
          tag: deliveryTag,
          generation: subscriber.generation,
          from: `${exchange} ${routingKey}`,
          properties: decodeProperties(properties, 0, propertiesEnd),
          text: new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)),
        });
      },
      ...options,
    });
    await subscriber.start();
    try {
      await work(subscriber, got, connections);
    } finally {
      await subscriber.close();
    }
  });
}

/** The headers of the frames with these commands. */
function frames(served: ServedStomp, ...commands: string[]): Headers[] {
  return served.frames.filter(({ command }) => commands.includes(command)).map(({ headers }) => headers);
}

describe("STOMP subscriber", () => {
  it("subscribe - with manual acknowledgements and a prefetch count, or with neither", async () => {
    await subscribing(
      {},
      { prefetch: 7, headers: () => ({ selector: "x" }) },
      async (_subscriber, _got, [served]) => {
        assert.deepEqual(frames(served!, "SUBSCRIBE"), [{
          id: "mqcat-0",
          destination: "/amq/queue/jobs",
          ack: "client-individual",
          "prefetch-count": "7",
          selector: "x",
          receipt: "call-1",
        }]);
        await Promise.resolve();
      },
    );
    await subscribing({}, { acknowledges: false }, async (_subscriber, _got, [served]) => {
      const [{ ack, "prefetch-count": prefetch }] = frames(served!, "SUBSCRIBE") as [Headers];
      assert.deepEqual([ack, prefetch], ["auto", undefined]);
      await Promise.resolve();
    });
  });

  it("messages - have the properties and the address of AMQP, and those of the frame are left out", async () => {
    await subscribing({}, {}, async (_subscriber, got, [served]) => {
      const headers = {
        "content-type": "text/plain",
        persistent: "true",
        priority: "300",
        "reply-to": "/reply-queue/amq.gen-x",
        receipt: "5",
        colour: "red",
      };
      message(served!, 1, headers, "a\0b");
      message(served!, 2, { ...headers, destination: "/topic/a%2Fb" });
      message(served!, 3, { destination: "/exchange/x%C3%A9/k" });
      message(served!, 4, { destination: "orders/new", redelivered: "true" });
      message(served!, 5, {}, "");
      await waitFor(() => got.length === 5, DEADLINE, "the messages");
      const properties = {
        contentType: "text/plain",
        deliveryMode: 2,
        replyTo: "amq.gen-x",
        // A priority has 8 bits in AMQP.
        headers: { priority: "300", colour: "red" },
      };
      assert.deepEqual(got.map(({ from, text }) => [from, text]), [
        [" jobs", "a\0b"],
        ["amq.topic a/b", "m2"],
        ["xé k", "m3"],
        [" orders/new", "m4"],
        [" jobs", ""],
      ]);
      const plain = got.map((one) => JSON.parse(JSON.stringify(one.properties)) as unknown);
      assert.deepEqual(plain, [properties, properties, {}, {}, {}]);
    });
  });

  it("settling - each message once; multiple settles all before it", async () => {
    await subscribing({}, {}, async (subscriber, got, [served]) => {
      for (let id = 1; id <= 6; id++) message(served!, id);
      await waitFor(() => got.length === 6, DEADLINE, "the messages");
      const receipt = (tag: number) => ({ generation: 1, tag });
      subscriber.ack(receipt(2), false);
      subscriber.nack(receipt(3), true);
      subscriber.nack(receipt(4), false);
      subscriber.ack(receipt(5), true);
      subscriber.ack(receipt(5), false);
      subscriber.flush();
      await subscriber.close();
      assert.deepEqual(frames(served!, "ACK", "NACK"), [
        { id: "ack:2" },
        { id: "ack:3" },
        { id: "ack:4", requeue: "false" },
        { id: "ack:1" },
        { id: "ack:5" },
      ]);
    });
  });

  const OLDER: StompVersion[] = ["1.0", "1.1"];
  for (const version of OLDER) {
    it(`settling - STOMP ${version} names message and subscription`, async () => {
      await subscribing({ version }, {}, async (subscriber, got, [served]) => {
        message(served!, 1);
        message(served!, 2);
        await waitFor(() => got.length === 2, DEADLINE, "the messages");
        subscriber.ack({ generation: 1, tag: 1 }, false);
        subscriber.nack({ generation: 1, tag: 2 }, true);
        await subscriber.close();
        const both = ["id:1", "id:2"].map((id) => ({ "message-id": id, subscription: "mqcat-0" }));
        // STOMP 1.0 has no NACK.
        assert.deepEqual(frames(served!, "ACK", "NACK"), version === "1.0" ? both.slice(0, 1) : both);
      });
    });
  }

  it("reconnect - subscribes again, and ignores acknowledgements of the lost connection", async () => {
    await subscribing({}, {}, async (subscriber, got, connections) => {
      message(connections[0]!, 1);
      await waitFor(() => got.length === 1, DEADLINE, "the message");
      connections[0]!.socket.destroy();
      await waitFor(
        () => connections[1]?.frames.some(({ command }) => command === "SUBSCRIBE"),
        DEADLINE,
        "another",
      );
      message(connections[1]!, 2, { redelivered: "true" });
      await waitFor(() => got.length === 2, DEADLINE, "the message again");
      assert.deepEqual(got.map(({ generation, tag }) => [generation, tag]), [[1, 1], [2, 1]]);
      subscriber.ack({ generation: 1, tag: 1 }, false);
      subscriber.flush();
      subscriber.ack({ generation: 2, tag: 1 }, false);
      await subscriber.close();
      assert.deepEqual(frames(connections[1]!, "ACK"), [{ id: "ack:2" }]);
    });
  });

  it("pause - nothing is read until resume", async () => {
    await subscribing({}, {}, async (subscriber, got, [served]) => {
      subscriber.pause();
      message(served!, 1);
      let written = 0;
      const block = "x".repeat(1024 * 1024);
      // The buffers of the system take some of it, but not all.
      for (let i = 0; i < 64; i++) {
        message(served!, i + 2, {}, block);
        written++;
      }
      await waitFor(() => served!.socket.writableLength > 0, DEADLINE, "full buffers");
      assert.deepEqual(got, []);
      subscriber.resume();
      await waitFor(() => got.length === written + 1, DEADLINE, "all messages");
    });
  });

  it("cancel - drops later messages, and acknowledgements of earlier ones still count", async () => {
    await subscribing({}, {}, async (subscriber, got, [served]) => {
      message(served!, 1);
      await waitFor(() => got.length === 1, DEADLINE, "the message");
      await subscriber.cancel();
      message(served!, 2);
      subscriber.ack({ generation: 1, tag: 1 }, false);
      await subscriber.close();
      assert.deepEqual(frames(served!, "ACK", "UNSUBSCRIBE"), [{ id: "ack:1" }]);
      assert.equal(got.length, 1);
    });
  });

  it("refused - the error names the destination, at the start and later", async () => {
    const refuse: StompScript = {
      on(served, { command }) {
        if (command !== "SUBSCRIBE") return false;
        served.say("ERROR", { message: "not_found" }, "NOT_FOUND - no queue");
        return true;
      },
    };
    await assert.rejects(subscribing(refuse, {}, () => Promise.resolve()), (error: Error) => {
      assert.ok(error instanceof StompError);
      assert.equal(error.message, "not_found: destination '/amq/queue/jobs': NOT_FOUND - no queue");
      return true;
    });
    await subscribing({}, {}, async (subscriber, _got, [served]) => {
      served!.say("ERROR", { message: "Server cancelled subscription", subscription: "mqcat-0" }, "deleted");
      await waitFor(() => subscriber.failure !== undefined, DEADLINE, "the failure");
      assert.match(subscriber.failure!.message, /cancelled subscription: destination '\/amq\/queue\/jobs'/);
    });
  });
});
