/** Frames: the protocol header, limits, hostile input, and how messages are split and written. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { BODY, HEADER, HEARTBEAT, METHOD, PROTOCOL_HEADER } from "../../../../lib/amqp/frames/frame.ts";
import { FrameDecoder, type Role } from "../../../../lib/amqp/frames/frame_decoder.ts";
import { type EncodedMessage, FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { decodeMethod } from "../../../../lib/amqp/method_codec.ts";
import { decodeProperties, encodeProperties, NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import { FrameBuffer } from "../../../../lib/bytes/frame_buffer.ts";
import { IncompatiblePeerError, LimitError, ProtocolError } from "../../../../lib/errors.ts";

interface Seen {
  type: number;
  channel: number;
  payload: Uint8Array;
}

function decoderFor(role: Role): { decoder: FrameDecoder; seen: (Seen | "header")[] } {
  const seen: (Seen | "header")[] = [];
  const decoder = new FrameDecoder(role, {
    onProtocolHeader: () => seen.push("header"),
    onFrame: (type, channel, bytes, start, end) =>
      seen.push({ type, channel, payload: bytes.slice(start, end) }),
  });
  return { decoder, seen };
}

/** A decoder that has seen the protocol header. */
function started(): { decoder: FrameDecoder; seen: (Seen | "header")[] } {
  const both = decoderFor("server");
  both.decoder.push(PROTOCOL_HEADER);
  both.seen.length = 0;
  return both;
}

function frame(type: number, channel: number, payload: Uint8Array, end = 0xce): Uint8Array {
  const bytes = new Uint8Array(payload.length + 8);
  bytes.set([type, channel >> 8, channel & 255]);
  new DataView(bytes.buffer).setUint32(3, payload.length);
  bytes.set(payload, 7);
  bytes[bytes.length - 1] = end;
  return bytes;
}

function framesOf(encoder: FrameEncoder): Seen[] {
  const { decoder, seen } = started();
  decoder.frameMax = Math.max(4096, encoder.frameMax);
  decoder.push(encoder.out.take());
  assert.ok(decoder.idle);
  return seen as Seen[];
}

function isAmqp(replyCode: number, words: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof AmqpError && error.replyCode === replyCode && words.test(error.message);
}

const utf8 = (text: string) => new TextEncoder().encode(text);
const HEARTBEAT_FRAME = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0xce);

describe("amqp decoder - the protocol header", () => {
  it("header - is accepted byte by byte, and with frames in the same chunk", () => {
    const { decoder, seen } = decoderFor("server");
    for (const byte of PROTOCOL_HEADER.subarray(0, 7)) decoder.push(Uint8Array.of(byte));
    assert.deepEqual([seen.length, decoder.started, decoder.idle], [0, false, false]);
    decoder.push(new Uint8Array([PROTOCOL_HEADER[7]!, ...HEARTBEAT_FRAME]));
    assert.deepEqual(seen, ["header", { type: HEARTBEAT, channel: 0, payload: new Uint8Array(0) }]);
    assert.ok(decoder.started && decoder.idle);
  });

  const others: [
    name: string,
    bytes: Uint8Array,
    error: typeof ProtocolError | typeof IncompatiblePeerError,
    words: RegExp,
  ][] = [
    [
      "HTTP",
      utf8("GET / HTTP/1.1\r\n"),
      ProtocolError,
      /does not speak AMQP \(it sent 'GET \/ HTTP\/1\.1'\)/,
    ],
    ["a single wrong byte", Uint8Array.of(0x16), ProtocolError, /it sent bytes 16\)/],
    ["AMQX", utf8("AMQX"), ProtocolError, /'AMQX'/],
    ["a frame", HEARTBEAT_FRAME, ProtocolError, /does not speak AMQP/],
    ["TLS", Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1), ProtocolError, /speaks TLS: use amqps:/],
    [
      "AMQP 1.0",
      Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0),
      IncompatiblePeerError,
      /speaks AMQP 1\.0:/,
    ],
    [
      "AMQP 1.0 with SASL",
      Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0),
      IncompatiblePeerError,
      /1\.0 with SASL:/,
    ],
    [
      "AMQP 0-10",
      Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 10),
      IncompatiblePeerError,
      /speaks AMQP 0-10:/,
    ],
    [
      "AMQP 0-9-2",
      Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 2),
      IncompatiblePeerError,
      /speaks AMQP 0-9-2:/,
    ],
  ];
  for (const [name, bytes, kind, words] of others) {
    it(`header - a server refuses ${name}, and is not started`, () => {
      const { decoder } = decoderFor("server");
      assert.throws(
        () => decoder.push(bytes),
        (error: unknown) => error instanceof kind && words.test(error.message),
      );
      assert.equal(decoder.started, false);
    });
  }

  it("header - a client treats one as a refusal", () => {
    const { decoder } = decoderFor("client");
    decoder.push(utf8("AM"));
    assert.throws(
      () => decoder.push(Uint8Array.of(0x51, 0x50, 0, 0, 9, 1)),
      (error: unknown) =>
        error instanceof IncompatiblePeerError &&
        /refused AMQP 0-9-1 and offers AMQP 0-9-1/.test(error.message),
    );
    assert.throws(() => decoderFor("client").decoder.push(utf8("HTTP/1.1 400")), /speaks HTTP, not AMQP/);
    const alert = Uint8Array.of(0x15, 3, 3, 0, 2, 2, 40);
    assert.throws(() => decoderFor("client").decoder.push(alert), /speaks TLS: use amqps:/);
    const zmtp = Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f);
    assert.throws(() => decoderFor("client").decoder.push(zmtp), /a ZeroMQ socket, not an AMQP broker/);
    assert.throws(() => decoderFor("client").decoder.push(HEARTBEAT_FRAME), ProtocolError);
  });

  it("header - a second one is refused as a frame of an unknown type", () => {
    const { decoder } = started();
    assert.throws(() => decoder.push(PROTOCOL_HEADER), isAmqp(501, /unknown type 65/));
  });
});

describe("amqp decoder - limits", () => {
  it("limits - types, frame ends and heartbeats are checked as soon as they arrive", () => {
    for (const type of [0, 4, 5, 7, 9, 255]) {
      assert.throws(() => started().decoder.push(Uint8Array.of(type)), isAmqp(501, /unknown type/));
    }
    for (const end of [0, 0xcd, 0xff]) {
      assert.throws(
        () => started().decoder.push(frame(METHOD, 1, utf8("abcd"), end)),
        isAmqp(501, /ends in/),
      );
    }
    assert.throws(
      () => started().decoder.push(frame(HEARTBEAT, 0, utf8("x"))),
      isAmqp(501, /heartbeat has 1 bytes/),
    );
    assert.throws(() => started().decoder.push(frame(HEARTBEAT, 3, utf8(""))), isAmqp(505, /on channel 3/));
  });

  it("limits - frame_max is 4096 until it is set, and clients may mistake it for the payload", () => {
    const { decoder, seen } = started();
    decoder.push(frame(BODY, 1, new Uint8Array(4096)));
    assert.equal(seen.length, 1);
    const tooLarge = frame(BODY, 1, new Uint8Array(4097));
    assert.throws(
      () => decoder.push(tooLarge.subarray(0, 7)),
      isAmqp(501, /4097 bytes of payload: the limit is 4088/),
    );
    const larger = started();
    larger.decoder.frameMax = 131072;
    larger.decoder.push(tooLarge);
    assert.equal(larger.seen.length, 1);
  });

  it("limits - a frame size below 4096 is refused", () => {
    for (const frameMax of [0, 4095, 5000.5, NaN, Infinity]) {
      assert.throws(() => started().decoder.frameMax = frameMax, RangeError);
      assert.throws(() => new FrameEncoder().frameMax = frameMax, RangeError);
    }
  });

  it("limits - memory depends on received bytes, not on announced lengths", () => {
    const { decoder, seen } = started();
    decoder.frameMax = 2 ** 31;
    const claimed = Uint8Array.of(BODY, 0, 1, 0x7f, 0xff, 0xff, 0xff);
    const lengths: number[] = [];
    const Original = globalThis.Uint8Array;
    globalThis.Uint8Array = new Proxy(Original, {
      construct(target, args, newTarget) {
        if (typeof args[0] === "number") lengths.push(args[0]);
        return Reflect.construct(target, args, newTarget === globalThis.Uint8Array ? target : newTarget);
      },
    });
    try {
      decoder.push(claimed);
      for (let i = 0; i < 100; i++) decoder.push(claimed);
    } finally {
      globalThis.Uint8Array = Original;
    }
    assert.ok(lengths.length > 0 && Math.max(...lengths) <= 2048, `allocated ${lengths}`);
    assert.deepEqual([seen.length, decoder.idle], [0, false]);
  });

  it("limits - a frame_max that is set during a call applies to the next frame", () => {
    let count = 0;
    const decoder = new FrameDecoder("server", {
      onProtocolHeader: () => {},
      onFrame: () => {
        count++;
        decoder.frameMax = 131072;
      },
    });
    decoder.push(
      new Uint8Array([
        ...PROTOCOL_HEADER,
        ...frame(METHOD, 0, utf8("tune")),
        ...frame(BODY, 1, new Uint8Array(9000)),
      ]),
    );
    assert.equal(count, 2);
  });
});

describe("amqp encoder", () => {
  const properties = encodeProperties({ contentType: "text/plain", deliveryMode: 2 });
  const route = utf8("\x02ex\x03key");

  function message(body: Uint8Array, pad = 0): EncodedMessage {
    const head = new Uint8Array([...new Uint8Array(pad), ...route, ...properties, 9, 9]);
    return {
      head,
      routeStart: pad,
      propertiesStart: pad + route.length,
      propertiesEnd: head.length - 2,
      body: new Uint8Array([...new Uint8Array(pad), ...body, 7]),
      bodyStart: pad,
      bodyEnd: pad + body.length,
    };
  }

  for (const size of [0, 1, 47, 48, 49, 4087, 4088, 4089, 8176, 8177, 20_000]) {
    it(`content - a body of ${size} bytes is split by frame_max`, () => {
      const encoder = new FrameEncoder();
      const body = Uint8Array.from({ length: size }, (_, i) => i * 7);
      encoder.publish(5, "ex", "key", true, properties, body);
      encoder.publish(
        5,
        "ex",
        "key",
        true,
        { contentType: "text/plain", deliveryMode: 2 },
        new Uint8Array([1, ...body, 2]),
        1,
        1 + size,
      );
      encoder.deliver(5, "tag", 77, true, message(body, 3));
      const seen = framesOf(encoder);
      const each = 2 + Math.ceil(size / 4088);
      assert.equal(seen.length, 3 * each);
      for (let i = 0; i < 3; i++) {
        const [method, header, ...bodies] = seen.slice(i * each, (i + 1) * each);
        const names = { exchange: "ex", routingKey: "key" };
        assert.deepEqual(
          decodeMethod(method!.payload, 0, method!.payload.length).args,
          i < 2
            ? { ...names, mandatory: true, immediate: false }
            : { consumerTag: "tag", deliveryTag: 77, redelivered: true, ...names },
        );
        assert.deepEqual([header!.type, Number(new DataView(header!.payload.buffer).getBigUint64(4))], [
          HEADER,
          size,
        ]);
        assert.deepEqual(decodeProperties(header!.payload, 12), {
          contentType: "text/plain",
          deliveryMode: 2,
        });
        assert.ok([method, header, ...bodies].every((frame) => frame!.channel === 5));
        assert.ok(bodies.every((frame) => frame.type === BODY && frame.payload.length <= 4088));
        assert.deepEqual(bodies.flatMap((frame) => [...frame.payload]), [...body]);
      }
    });
  }

  it("content - return and get-ok carry the message unchanged", () => {
    const encoder = new FrameEncoder();
    encoder.return(2, 312, "NO_ROUTE", message(utf8("body")));
    encoder.getOk(2, 2 ** 40, false, 3, message(utf8("body")));
    const seen = framesOf(encoder);
    assert.deepEqual(decodeMethod(seen[0]!.payload, 0, seen[0]!.payload.length), {
      name: "basic.return",
      args: { replyCode: 312, replyText: "NO_ROUTE", exchange: "ex", routingKey: "key" },
    });
    assert.deepEqual(decodeMethod(seen[3]!.payload, 0, seen[3]!.payload.length), {
      name: "basic.get-ok",
      args: { deliveryTag: 2 ** 40, redelivered: false, exchange: "ex", routingKey: "key", messageCount: 3 },
    });
    assert.deepEqual(seen[1]!.payload.subarray(12), properties);
    assert.deepEqual(seen[4]!.payload, seen[1]!.payload);
  });

  it("content - can be encoded in pieces", () => {
    const encoder = new FrameEncoder();
    encoder.contentHeader(1, 2 ** 33, NO_PROPERTIES);
    encoder.contentHeader(1, 3, { appId: "x" });
    encoder.body(1, utf8("abc"), 1);
    encoder.body(1, utf8(""));
    const seen = framesOf(encoder);
    assert.deepEqual([...seen[0]!.payload], [0, 60, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(decodeProperties(seen[1]!.payload, 12), { appId: "x" });
    assert.deepEqual(seen[2], { type: BODY, channel: 1, payload: utf8("bc") });
    assert.equal(seen.length, 3);
  });

  it("acks and heartbeats - are encoded byte for byte", () => {
    const encoder = new FrameEncoder();
    encoder.heartbeat();
    encoder.ack(258, 1, true);
    encoder.nack(1, 2 ** 32 + 1, true, true);
    encoder.method(1, "basic.reject", { deliveryTag: 3, requeue: true });
    assert.deepEqual(
      Array.from(encoder.out.take(), (byte) => byte.toString(16).padStart(2, "0")).join(""),
      "08000000000000ce" + "0101020000000d003c0050000000000000000101ce" +
        "0100010000000d003c0078000000010000000103ce" + "0100010000000d003c005a000000000000000301ce",
    );
    assert.throws(() => encoder.ack(1, -1, false), RangeError);
    assert.throws(() => encoder.ack(1, NaN, false), RangeError);
  });

  it("limits - a call that throws has written nothing", () => {
    const encoder = new FrameEncoder();
    encoder.heartbeat();
    const long = "x".repeat(256);
    assert.throws(
      () => encoder.publish(1, long, "", false, NO_PROPERTIES, route),
      /short string may have 255 bytes/,
    );
    assert.throws(() => encoder.publish(1, "", long, false, NO_PROPERTIES, route), RangeError);
    assert.throws(() => encoder.publish(1, "", "", false, { priority: -1 }, route), RangeError);
    assert.throws(() => encoder.deliver(1, long, 1, false, message(route)), RangeError);
    assert.throws(
      () => encoder.publish(1, "", "", false, { headers: { big: "x".repeat(4096) } }, route),
      (error: unknown) =>
        error instanceof LimitError &&
        /Cannot encode the properties of \d+ bytes: the limit of a frame is 4088/.test(error.message),
    );
    assert.throws(() => encoder.contentHeader(1, 1, new Uint8Array(4088)), LimitError);
    assert.throws(
      () => encoder.method(1, "queue.declare", { arguments: { big: new Uint8Array(4096) } }),
      /Cannot encode queue\.declare of/,
    );
    assert.deepEqual(encoder.out.take(), HEARTBEAT_FRAME);
  });

  it("write buffer - every write makes room for itself, wherever the buffer ends", () => {
    const writes: ((encoder: FrameEncoder) => void)[] = [
      (encoder) => encoder.heartbeat(),
      (encoder) => encoder.ack(1, 2, true),
      (encoder) => encoder.method(1, "channel.open", {}),
      (encoder) => encoder.publish(1, "é", "日本", false, { type: "é" }, route),
      (encoder) => encoder.deliver(1, "日本", 1, false, message(route)),
      (encoder) => encoder.getOk(1, 1, false, 1, message(route)),
      (encoder) => encoder.return(1, 312, "日本", message(route)),
      (encoder) => encoder.contentHeader(1, 1, properties),
      (encoder) => encoder.body(1, route),
    ];
    for (const write of writes) {
      const alone = new FrameEncoder();
      write(alone);
      const expected = alone.out.take();
      for (let filled = 4096 - expected.length - 20; filled <= 4096; filled++) {
        const encoder = new FrameEncoder();
        encoder.out.append(new Uint8Array(filled));
        // The first buffer always has 4096 bytes.
        if (filled < 4096) encoder.out.reserve(4096 - filled);
        write(encoder);
        assert.deepEqual(encoder.out.take().subarray(filled), expected);
      }
    }
  });

  it("write buffer - blocks are used in turn, and large ones are not kept", () => {
    const out = new FrameBuffer();
    out.append(utf8("first"));
    const first = out.take();
    out.append(utf8("second"));
    assert.equal(new TextDecoder().decode(first), "first");
    out.recycle(first);
    const second = out.take();
    assert.equal(new TextDecoder().decode(second), "second");
    out.append(utf8("third"));
    assert.equal(out.bytes.buffer, first.buffer);
    assert.equal(out.length, 5);
    out.append(new Uint8Array(600_000));
    const large = out.take();
    assert.equal(large.length, 600_005);
    out.recycle(large);
    out.append(utf8("x"));
    assert.notEqual(out.bytes.buffer, large.buffer);
  });
});
