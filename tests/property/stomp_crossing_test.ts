/** A message from client to server to client over STOMP keeps its address and its properties, in any version. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { destinationFor, formatDestination, parseDestination } from "../../lib/crossing/stomp/destination.ts";
import { propertiesOfSend, writeMessageHeaders, writeSendHeaders } from "../../lib/crossing/stomp/headers.ts";
import { DeliveryReader } from "../../lib/stomp/client/delivery_reader.ts";
import { StompDecoder } from "../../lib/stomp/frame_decoder.ts";
import { StompEncoder } from "../../lib/stomp/frame_encoder.ts";
import type { StompFrame, StompVersion } from "../../lib/stomp/frame.ts";

const TIMEOUT = { timeout: 60_000 };

// A NUL cannot be in a header.
const text = fc.string({ unit: "grapheme", maxLength: 20, size: "max" }).map((value) =>
  value.replaceAll("\0", "")
);
const name = text.filter((value) => value !== "").map((value) => `x${value}`);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const properties = fc.record({
  contentType: maybe(text),
  contentEncoding: maybe(text),
  headers: maybe(fc.dictionary(name, text, { minKeys: 1, maxKeys: 5 })),
  deliveryMode: fc.constantFrom(undefined, 2),
  priority: maybe(fc.nat(255)),
  correlationId: maybe(text),
  replyTo: maybe(text),
  expiration: maybe(text),
  messageId: maybe(text),
  timestamp: maybe(fc.maxSafeNat()),
  type: maybe(text),
  userId: maybe(text),
  appId: maybe(text),
}).map((all) =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as BasicProperties
);

/** Decodes the frame that an encoder holds, and passes it to `use`. */
function through<T>(encoder: StompEncoder, use: (frame: StompFrame) => T): T {
  let result: T | undefined;
  const decoder = new StompDecoder({ onFrame: (frame) => void (result = use(frame)) }, { maxBody: 2 ** 20 });
  decoder.version = encoder.version;
  decoder.push(encoder.out.take().slice());
  return result!;
}

describe("messages over STOMP", () => {
  it("client, server, client - properties and addresses are the same", TIMEOUT, () => {
    const versions = fc.constantFrom<StompVersion>("1.1", "1.2");
    fc.assert(fc.property(versions, properties, text, text, (version, given, exchange, key) => {
      // The server's unescape takes %2F for a slash, and a routing key with a slash first is a destination.
      fc.pre(!/%2F/i.test(exchange + key) && !(exchange === "" && (key === "" || key.startsWith("/"))));
      const encoder = new StompEncoder();
      encoder.version = version;
      encoder.begin("SEND");
      encoder.header("destination", destinationFor(exchange, key, false));
      writeSendHeaders(encoder, given, false);
      encoder.end();
      const [destination, stored] = through(encoder, (frame) => [
        parseDestination(frame.get("destination")!),
        encodeProperties(propertiesOfSend(frame)),
      ]);
      encoder.begin("MESSAGE");
      encoder.header("destination", formatDestination(destination.exchange, destination.key));
      encoder.header("message-id", "1");
      writeMessageHeaders(encoder, decodeProperties(stored));
      encoder.end();
      const reader = new DeliveryReader();
      through(encoder, (frame) => {
        const delivery = reader.read(frame, 1);
        const { properties, propertiesEnd } = delivery.content;
        assert.deepEqual([delivery.exchange, delivery.routingKey], [exchange, key]);
        assert.deepEqual(normal(decodeProperties(properties, 0, propertiesEnd)), normal(given));
      });
    }));
  });
});

/** Objects without a prototype are equal to others. */
function normal({ headers, ...rest }: BasicProperties): unknown {
  return { ...rest, headers: headers === undefined ? undefined : { ...headers } };
}
