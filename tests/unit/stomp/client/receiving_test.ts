/** What the STOMP client makes of received messages, how it acknowledges them, and its prefetch. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeProperties } from "../../../../lib/amqp/properties.ts";
import { StompConnection } from "../../../../lib/stomp/client/connection.ts";
import { DeliveryReader } from "../../../../lib/stomp/client/delivery_reader.ts";
import { StompSubscriber } from "../../../../lib/stomp/client/subscriber.ts";
import { Unsettled } from "../../../../lib/stomp/client/unsettled.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompEncoder } from "../../../../lib/stomp/frame_encoder.ts";
import { StompFrame, type StompVersion } from "../../../../lib/stomp/frame.ts";
import { deadline } from "../../../support/helpers.ts";
import { serveStomp } from "../../../support/scripted_stomp.ts";

function frame(headers: Record<string, string>, body = ""): StompFrame {
  const frame = new StompFrame();
  frame.command = "MESSAGE";
  for (const [name, value] of Object.entries(headers)) frame.headers.set(name, value);
  frame.body = new TextEncoder().encode(body);
  frame.bodyEnd = frame.body.length;
  return frame;
}

describe("STOMP client: messages", () => {
  it("acknowledgements - the frames of each version, each message once", () => {
    const expected: Record<StompVersion, string> = {
      "1.0":
        "ACK message-id:m1 subscription:s1|ACK message-id:m2 subscription:s2|ACK message-id:m3 subscription:s3",
      "1.1": "ACK message-id:m1 subscription:s1|NACK message-id:m4 subscription: requeue:false|" +
        "NACK message-id:m5 subscription:s5|ACK message-id:m2 subscription:s2|ACK message-id:m3 subscription:s3",
      "1.2": "ACK id:a1|NACK id:m4 requeue:false|NACK id:a5|ACK id:a2|ACK id:a3",
    };
    for (const version of ["1.0", "1.1", "1.2"] as const) {
      const encoder = new StompEncoder();
      encoder.version = version;
      const unsettled = new Unsettled({ encoder, version } as StompConnection);
      for (let tag = 1; tag <= 6; tag++) {
        // The fourth one has neither an id of its own nor a subscription.
        const more = tag === 4 ? {} : { ack: `a${tag}`, subscription: `s${tag}` };
        unsettled.add(tag, frame({ "message-id": `m${tag}`, ...more }));
      }
      unsettled.ack(1);
      unsettled.ack(1);
      unsettled.ack(7);
      unsettled.nack(4, false);
      unsettled.nack(4, false);
      unsettled.nack(5, true);
      unsettled.ackAll(3);
      unsettled.ackAll(3);
      const sent = new TextDecoder().decode(encoder.out.take());
      assert.equal(
        sent.split("\0").map((text) => text.trim().replaceAll("\n", " ")).filter((text) => text !== "").join(
          "|",
        ),
        expected[version],
      );
    }
  });

  it("deliveries - have the address and the properties of each frame, whatever the one before had", () => {
    const reader = new DeliveryReader();
    const own = { destination: "/queue/a", "message-id": "1", subscription: "s" };
    const frames: [
      headers: Record<string, string>,
      exchange: string,
      key: string,
      headers: unknown,
      again: boolean,
    ][] = [
      [{ ...own }, "", "a", undefined, false],
      [{ ...own, x: "1", y: "2" }, "", "a", { x: "1", y: "2" }, false],
      [{ ...own, x: "1", y: "2", redelivered: "true" }, "", "a", { x: "1", y: "2" }, true],
      [{ ...own, x: "1", y: "3" }, "", "a", { x: "1", y: "3" }, false],
      [{ ...own, x: "1", z: "3" }, "", "a", { x: "1", z: "3" }, false],
      [{ ...own, x: "1" }, "", "a", { x: "1" }, false],
      [{ ...own, z: "1" }, "", "a", { z: "1" }, false],
      [{ ...own, z: "1", x: "1" }, "", "a", { z: "1", x: "1" }, false],
      [{ ...own, destination: "/topic/b" }, "amq.topic", "b", undefined, false],
      [{ ...own, redelivered: "false" }, "", "a", undefined, false],
      [{}, "", "", undefined, false],
    ];
    for (const [i, [headers, exchange, key, properties, again]] of frames.entries()) {
      const body = `body ${i}`;
      const delivery = reader.read(frame(headers, body), i + 1);
      assert.deepEqual(
        [delivery.deliveryTag, delivery.exchange, delivery.routingKey, delivery.redelivered],
        [i + 1, exchange, key, again],
      );
      const { content } = delivery;
      assert.equal(new TextDecoder().decode(content.body.subarray(content.bodyStart, content.bodyEnd)), body);
      const { headers: found } = decodeProperties(content.properties.subarray(0, content.propertiesEnd));
      assert.deepEqual(found && { ...found }, properties, `frame ${i}`);
    }
  });
});

describe("STOMP client: subscribing", () => {
  it("prefetch - is 1000 unless it is given, at most 65535, and none without acknowledgements", async () => {
    for (
      const [options, expected] of [
        [{ acknowledges: true }, ["client-individual", "1000"]],
        [{ acknowledges: true, prefetch: 7 }, ["client-individual", "7"]],
        [{ acknowledges: true, prefetch: 65_536 }, ["client-individual", "65535"]],
        [{ acknowledges: false, prefetch: 7 }, ["auto", undefined]],
      ] as const
    ) {
      await serveStomp({}, async (url, connections) => {
        const { servers } = parseStompAddress(url);
        const subscriber = new StompSubscriber(servers, ["/queue/q"], { ...options, onDelivery() {} });
        await deadline(subscriber.start(), 5000, "the start");
        const { ack, "prefetch-count": prefetch } = connections[0]!.frames[1]!.headers;
        assert.deepEqual([ack, prefetch], expected);
        await deadline(subscriber.close(), 5000, "the close");
      });
    }
  });
});
