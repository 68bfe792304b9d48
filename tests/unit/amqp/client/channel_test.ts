/** One channel of the client, whose connection is the test. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { Channel, type ChannelEvents } from "../../../../lib/amqp/client/channel.ts";
import { BODY, HEADER, METHOD } from "../../../../lib/amqp/frames/frame.ts";
import { FrameDecoder } from "../../../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { decodeMethod } from "../../../../lib/amqp/method_codec.ts";
import { deadline } from "../../../support/helpers.ts";

const CHANNEL = 7;
const utf8 = (text: string) => new TextEncoder().encode(text);

/** A channel, and the frames in both directions. */
class Scripted {
  readonly encoder = new FrameEncoder();
  readonly channel: Channel;
  flushes = 0;
  readonly #server = new FrameEncoder();
  readonly #decoder: FrameDecoder;

  constructor(events: ChannelEvents = {}) {
    this.channel = new Channel({ encoder: this.encoder, flush: () => this.flushes++ }, CHANNEL, events, 1000);
    this.#decoder = new FrameDecoder("client", {
      onProtocolHeader() {},
      onFrame: (type, channel, bytes, start, end) => {
        if (channel === CHANNEL) this.channel.onFrame(type, bytes, start, end);
      },
    });
    // Every connection begins with this method.
    this.say((encoder) => encoder.method(0, "connection.start", {}));
  }

  /** The server sends frames in one chunk. */
  say(write: (encoder: FrameEncoder) => void): void {
    write(this.#server);
    this.#decoder.push(this.#server.out.take());
    this.channel.afterData();
  }

  /** The methods that the client has sent since the last call, with their arguments. */
  get sent(): unknown[] {
    const sent: unknown[] = [];
    const bytes = this.encoder.out.take();
    for (let at = 0; at < bytes.length;) {
      const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 3);
      const { name, args } = decodeMethod(bytes, at + 7, at + 7 + size);
      sent.push([name, { ...args }]);
      at += 8 + size;
    }
    return sent;
  }
}

/** Sends a content: its header, and its body in one frame. */
function content(encoder: FrameEncoder, body: string): void {
  encoder.contentHeader(CHANNEL, utf8(body).length, { messageId: `id of ${body}` });
  encoder.body(CHANNEL, utf8(body));
}

describe("AMQP channel", () => {
  it("deliveries - have their fields, and the end of each chunk with some is reported", () => {
    const seen: unknown[] = [];
    const scripted = new Scripted({
      onDelivery: (
        { deliveryTag, redelivered, exchange, routingKey, content: { body, bodyStart, bodyEnd } },
      ) =>
        void seen.push([
          deliveryTag,
          redelivered,
          exchange,
          routingKey,
          new TextDecoder().decode(body.subarray(bodyStart, bodyEnd)),
        ]),
      onBatchEnd: () => void seen.push("end"),
      onCancel: () => void seen.push("cancel"),
    });
    scripted.channel.afterData();
    assert.deepEqual(seen, []);
    const deliver = (tag: number, redelivered: boolean) => (encoder: FrameEncoder) =>
      encoder.method(CHANNEL, "basic.deliver", {
        deliveryTag: tag,
        redelivered,
        exchange: "x",
        routingKey: "k",
      });
    scripted.say((encoder) => {
      deliver(1, true)(encoder);
      content(encoder, "one");
      deliver(2, false)(encoder);
      content(encoder, "two");
      deliver(3, false)(encoder);
    });
    assert.deepEqual(seen.splice(0), [[1, true, "x", "k", "one"], [2, false, "x", "k", "two"], "end"]);
    scripted.say((encoder) => encoder.contentHeader(CHANNEL, 0, {}));
    assert.deepEqual(seen.splice(0), [[3, false, "x", "k", ""], "end"]);
    scripted.say((encoder) => encoder.method(CHANNEL, "basic.cancel", { consumerTag: "t" }));
    assert.deepEqual(seen, ["cancel"]);
  });

  it("confirms and returns - are reported as they are", () => {
    const seen: unknown[] = [];
    const scripted = new Scripted({
      onConfirm: (...confirm) => void seen.push(confirm),
      onReturn: (code, text, exchange, routingKey, { bodyEnd, bodyStart }) =>
        void seen.push([code, text, exchange, routingKey, bodyEnd - bodyStart]),
      onBatchEnd: () => void seen.push("end"),
    });
    scripted.say((encoder) => encoder.ack(CHANNEL, 5, true));
    scripted.say((encoder) => encoder.nack(CHANNEL, 6, false, false));
    scripted.say((encoder) => {
      const returned = { replyCode: 312, replyText: "NO_ROUTE", exchange: "x", routingKey: "k" };
      encoder.method(CHANNEL, "basic.return", returned);
      content(encoder, "body");
    });
    assert.deepEqual(seen, [
      [5, true, true],
      "end",
      [6, false, false],
      "end",
      [312, "NO_ROUTE", "x", "k", 4],
      "end",
    ]);
  });

  it("get - one message with its bytes, or none", async () => {
    const scripted = new Scripted();
    const gets = [scripted.channel.get("q"), scripted.channel.get("q", true), scripted.channel.get("q")];
    assert.deepEqual(
      scripted.sent,
      [false, true, false].map((noAck) => ["basic.get", { queue: "q", noAck }]),
    );
    assert.equal(scripted.flushes, 3);
    scripted.say((encoder) => {
      const fields = { deliveryTag: 9, redelivered: true, exchange: "x", routingKey: "k", messageCount: 3 };
      encoder.method(CHANNEL, "basic.get-ok", fields);
      content(encoder, "body");
      encoder.method(CHANNEL, "basic.get-empty", {});
      encoder.method(CHANNEL, "basic.get-ok", fields);
      encoder.contentHeader(CHANNEL, 0, {});
    });
    const [first, second, third] = await deadline(Promise.all(gets));
    const { properties, body, ...fields } = first!;
    assert.deepEqual([{ ...fields }, new TextDecoder().decode(body), second, third!.body.length], [
      { deliveryTag: 9, redelivered: true, exchange: "x", routingKey: "k", messageCount: 3 },
      "body",
      undefined,
      0,
    ]);
    // The flags of the properties, and the only one.
    assert.deepEqual(properties, Uint8Array.of(0, 0x80, 10, ...new TextEncoder().encode("id of body")));
  });

  it("frames - another type than the one that must follow is an error", () => {
    const cases: [
      before: (encoder: FrameEncoder) => void,
      wanted: number,
      got: number,
      wrong: (encoder: FrameEncoder) => void,
    ][] = [
      [() => {}, METHOD, HEADER, (encoder) => encoder.contentHeader(CHANNEL, 0, {})],
      [() => {}, METHOD, BODY, (encoder) => encoder.body(CHANNEL, utf8("x"))],
      [
        (encoder) => encoder.method(CHANNEL, "basic.deliver", {}),
        HEADER,
        METHOD,
        (encoder) => encoder.ack(CHANNEL, 1, true),
      ],
      [
        (encoder) => encoder.method(CHANNEL, "basic.get-ok", {}),
        HEADER,
        BODY,
        (encoder) => encoder.body(CHANNEL, utf8("x")),
      ],
      [
        (encoder) => {
          encoder.method(CHANNEL, "basic.return", {});
          encoder.contentHeader(CHANNEL, 5, {});
        },
        BODY,
        METHOD,
        (encoder) => encoder.ack(CHANNEL, 1, true),
      ],
    ];
    for (const [before, wanted, got, wrong] of cases) {
      const scripted = new Scripted();
      scripted.say(before);
      assert.throws(() => scripted.say(wrong), (error) => {
        assert.ok(error instanceof AmqpError);
        assert.deepEqual([error.replyCode, error.message], [
          505,
          `UNEXPECTED_FRAME - expected a frame of type ${wanted}, got type ${got}`,
        ]);
        return true;
      });
    }
  });

  it("flow and close of the server - are answered; the calls that wait fail with the reason", async () => {
    const scripted = new Scripted();
    const { channel } = scripted;
    scripted.say((encoder) => encoder.method(CHANNEL, "channel.flow", { active: true }));
    assert.deepEqual([scripted.sent, scripted.flushes], [[["channel.flow-ok", { active: true }]], 1]);
    const calls = [1, 2, 3].map(() => channel.call("queue.purge", { queue: "q" }, "queue.purge-ok"));
    const failures = Promise.allSettled(calls);
    void scripted.sent;
    const close = { replyCode: 404, replyText: "NOT_FOUND - q", classId: 50, methodId: 30 };
    scripted.say((encoder) => encoder.method(CHANNEL, "channel.close", close));
    assert.deepEqual(scripted.sent, [["channel.close-ok", {}]]);
    const error = await deadline(channel.closed);
    assert.ok(error instanceof AmqpError);
    assert.deepEqual([error.replyCode, error.scope, error.classId, error.methodId], [404, "channel", 50, 30]);
    assert.deepEqual(
      (await deadline(failures)).map((end) => end.status === "rejected" && end.reason === error),
      [
        true,
        true,
        true,
      ],
    );
    channel.ack(1, false);
    channel.nack(1, false, true);
    channel.end(new Error("later"));
    await deadline(channel.close());
    assert.deepEqual([scripted.sent, channel.over, await channel.closed], [[], true, error]);
    await assert.rejects(channel.get("q"), error);
  });

  it("acknowledgements - are encoded, and written by the connection", () => {
    const scripted = new Scripted();
    scripted.channel.ack(5, true);
    scripted.channel.nack(6, false, true);
    assert.deepEqual([scripted.sent, scripted.flushes], [[
      ["basic.ack", { deliveryTag: 5, multiple: true }],
      ["basic.nack", { deliveryTag: 6, multiple: false, requeue: true }],
    ], 0]);
  });

  it("calls - at most a thousand wait for their replies", async () => {
    const { channel } = new Scripted();
    const calls = Array.from({ length: 1000 }, () => channel.get("q"));
    await assert.rejects(channel.get("q"), {
      name: "RangeError",
      message: "Cannot call basic.get as 1000 calls wait for a reply: await some of them first",
    });
    channel.end(undefined);
    const ends = await deadline(Promise.allSettled(calls));
    assert.ok(
      ends.every((end) =>
        end.status === "rejected" && /The AMQP channel was closed/.test(end.reason.message)
      ),
    );
    await assert.rejects(channel.get("q"), { code: "ERR_CLOSED", message: "The AMQP channel is closed" });
  });
});
