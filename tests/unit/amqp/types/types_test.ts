/** AMQP field types, their limits, and AMQP errors. */
import { writeShortString } from "../../../../lib/amqp/types/scalars.ts";
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError, amqpError, errorFromClose, frameError } from "../../../../lib/amqp/amqp_error.ts";
import { ContentHeader, DeliverFields, PublishFields } from "../../../../lib/amqp/basic_fields.ts";
import { decodeMethod, methodId, sizeofMethod } from "../../../../lib/amqp/method_codec.ts";
import { writeMethod } from "../../../../lib/amqp/method_codec.ts";
import { decodeProperties, encodeProperties, sizeofProperties } from "../../../../lib/amqp/properties.ts";
import { PROPERTY, PropertyScan } from "../../../../lib/amqp/property_scan.ts";
import { Decimal, type FieldTable, type FieldValue } from "../../../../lib/amqp/types/field_value.ts";
import { integerOf, Timestamp, TypedNumber } from "../../../../lib/amqp/types/field_value.ts";
import { decodeTable, decodeTableContent, encodeTable } from "../../../../lib/amqp/types/table.ts";
import { clipText, readText, textLength, writeText } from "../../../../lib/bytes/text.ts";
import { readName } from "../../../../lib/bytes/text_cache.ts";
import { MqcatError } from "../../../../lib/errors.ts";

function encodeText(text: string): Uint8Array {
  const bytes = new Uint8Array(textLength(text));
  assert.equal(writeText(text, bytes, 0), bytes.length);
  return bytes;
}

/** The bytes of one value in a table, starting with its type letter. */
function valueBytes(value: FieldValue): string {
  return Array.from(encodeTable({ "": value }).subarray(5), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function isFrameError(words: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof AmqpError && error.replyCode === 501 && words.test(error.message);
}

/** Formats a value for a test title. */
function describeValue(value: FieldValue): string {
  if (typeof value !== "object" || value === null) {
    return `${typeof value} ${Object.is(value, -0) ? "-0" : value}`;
  }
  return value instanceof TypedNumber ? `a number of type ${value.letter}` : `an ${value.constructor.name}`;
}

const nested = (depth: number, leaf: FieldTable = {}): FieldTable =>
  depth === 0 ? leaf : { a: nested(depth - 1, leaf) };

describe("amqp text", () => {
  it("text - is UTF-8, short or long", () => {
    for (const text of ["", "a", "é", "日本語", "🐇", "\0", "\ufeffBOM", "a".repeat(100), "é".repeat(100)]) {
      const bytes = new TextEncoder().encode(text);
      assert.deepEqual(encodeText(text), bytes);
      assert.equal(readText(bytes, 0, bytes.length), text);
      assert.equal(readName(bytes, 0, bytes.length), text);
    }
  });

  it("text - bytes that are not UTF-8 are decoded and encoded without change", () => {
    const samples = [
      "ff",
      "c3",
      "c3a9ff",
      "eda080",
      "f4908080",
      "c080",
      "e280",
      "61f09f9062",
      "80".repeat(70),
      "f0908d",
    ];
    for (const sample of samples) {
      const bytes = Uint8Array.from(sample.match(/../g)!, (pair) => parseInt(pair, 16));
      const text = readText(bytes, 0, bytes.length);
      assert.equal(text.isWellFormed(), false);
      assert.deepEqual(encodeText(text), bytes, sample);
    }
    assert.equal(readText(Uint8Array.of(0x61, 0xff, 0xc3, 0xa9), 0, 4), "a\udcffé");
  });

  it("text - surrogates that represent no byte become U+FFFD", () => {
    assert.deepEqual(encodeText("a\ud800b"), new TextEncoder().encode("a\ufffdb"));
    assert.deepEqual(encodeText("\udc00\udfff"), new TextEncoder().encode("\ufffd\ufffd"));
  });

  it("text - has the length that it is encoded with", () => {
    const codes = [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff];
    for (const code of codes) {
      const text = `a${String.fromCodePoint(code)}b`;
      assert.equal(textLength(text), new TextEncoder().encode(text).length, code.toString(16));
    }
    // Lone surrogates: some are bytes.
    const lone: [code: number, length: number][] = [[0xd800, 3], [0xdbff, 3], [0xdc00, 3], [0xdc7f, 3], [
      0xdc80,
      1,
    ]];
    for (const [code, length] of [...lone, [0xdcff, 1], [0xdd00, 3], [0xdfff, 3]] as const) {
      assert.equal(textLength(`a${String.fromCharCode(code)}b`), 2 + length, code.toString(16));
    }
  });

  it("text - has at most 255 bytes in a short string, whose error has the length", () => {
    const target = new Uint8Array(2000);
    for (const text of ["", "a".repeat(255), "é".repeat(127)]) {
      const end = writeShortString(text, target, 3);
      assert.deepEqual([end, target[3]], [4 + textLength(text), textLength(text)]);
    }
    assert.throws(() => writeShortString("a".repeat(256), target, 3), /received 256$/);
    assert.throws(() => writeShortString("é".repeat(130), target, 3), /received 260$/);
  });

  it("text - is clipped between characters", () => {
    assert.equal(clipText("abc", 3), "abc");
    assert.equal(clipText("aéé", 4), "aé");
    assert.equal(clipText("🐇🐇", 7), "🐇");
  });

  it("names - the cache distinguishes names with equal hashes", () => {
    const encoder = new TextEncoder();
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 5000; i++) {
        const bytes = encoder.encode(`queue.${i}`);
        assert.equal(readName(bytes, 0, bytes.length), `queue.${i}`);
      }
    }
    // Names of the same length with another first byte, of which some share an entry.
    for (let i = 0; i < 200; i++) {
      for (let first = 127; first >= 0; first--) {
        const text = `${String.fromCharCode(first)}q${i}`;
        const bytes = encoder.encode(`.${text}.`);
        assert.equal(readName(bytes, 1, bytes.length - 1), text);
      }
    }
    const long = encoder.encode("x".repeat(255));
    assert.equal(readName(long, 0, 255), "x".repeat(255));
  });
});

describe("amqp fields", () => {
  const letters: [value: FieldValue, bytes: string][] = [
    [0, "4900000000"],
    [-1, "49ffffffff"],
    [2 ** 31 - 1, "497fffffff"],
    [2 ** 31, "6c0000000080000000"],
    [-(2 ** 31) - 1, "6cffffffff7fffffff"],
    [Number.MAX_SAFE_INTEGER, "6c001fffffffffffff"],
    [2 ** 53, "644340000000000000"],
    [5n, "6c0000000000000005"],
    [-(2n ** 63n), "6c8000000000000000"],
    [-0, "648000000000000000"],
    [0.5, "643fe0000000000000"],
    [Infinity, "647ff0000000000000"],
    [new TypedNumber("d", 1), "643ff0000000000000"],
    [new TypedNumber("U", -2), "55fffe"],
    [new TypedNumber("L", -2), "4cfffffffffffffffe"],
    [new Timestamp(2n ** 64n - 1n), "54ffffffffffffffff"],
    [new Decimal(255, -1), "44ffffffffff"],
    [[], "4100000000"],
    [{}, "4600000000"],
  ];
  for (const [value, bytes] of letters) {
    it(`fields - ${describeValue(value)} is ${bytes}`, () => assert.equal(valueBytes(value), bytes));
  }

  it("fields - integers of all types are found by integerOf", () => {
    assert.equal(integerOf(5), 5);
    assert.equal(integerOf(5n), 5);
    assert.equal(integerOf(new TypedNumber("B", 5)), 5);
    assert.equal(integerOf(new TypedNumber("L", 5)), 5);
    for (const other of [0.5, "5", null, undefined, true, new TypedNumber("d", 5), new Timestamp(5)]) {
      assert.equal(integerOf(other), undefined);
    }
  });

  it("fields - wrappers compare by their values, and refuse values out of range", () => {
    assert.ok(
      Number(new TypedNumber("u", 7)) === 7 && +new Timestamp(9) === 9 && +new Decimal(2, 314) === 3.14,
    );
    assert.equal(new TypedNumber("f", 0.1).value, Math.fround(0.1));
    for (
      const [letter, value] of [["b", 128], ["B", -1], ["s", 40000], ["u", 65536], ["i", 0.5], [
        "U",
        NaN,
      ]] as const
    ) {
      assert.throws(() => new TypedNumber(letter, value), RangeError, letter);
    }
    assert.throws(() => new TypedNumber("L", 2n ** 63n), RangeError);
    for (const seconds of [-1, 0.5, 2n ** 64n, -1n]) assert.throws(() => new Timestamp(seconds), RangeError);
    assert.throws(() => new Decimal(256, 0), RangeError);
    assert.throws(() => new Decimal(0, 2 ** 31), RangeError);
  });

  it("fields - a value without a matching type is refused with its name", () => {
    for (const value of [undefined, () => 1, Symbol("x"), new Date(), new Map()]) {
      assert.throws(
        () => encodeTable({ "x-odd": value as unknown as FieldValue }),
        (error: unknown) => error instanceof TypeError && /'x-odd'/.test(error.message),
      );
    }
    assert.throws(() => encodeTable({ "x-big": 2n ** 63n }), /'x-big' as it must have 64 bits/);
    assert.throws(
      () => encodeTable({ ["k".repeat(256)]: 1 }),
      /short string may have 255 bytes: received 256/,
    );
  });

  it("tables - may be nested 256 deep, both ways", () => {
    const deep = encodeTable(nested(255));
    assert.deepEqual(encodeTable(decodeTable(deep)), deep);
    assert.throws(() => encodeTable(nested(256)), /'a' as tables may be nested 256 deep/);
    const wrapped = new Uint8Array([...encodeTable({ a: null }).subarray(0, 6), 0x46, ...deep]);
    wrapped[3] = wrapped.length - 4 & 255;
    wrapped[2] = wrapped.length - 4 >> 8;
    assert.throws(() => decodeTable(wrapped), isFrameError(/nested more than 256 deep/));
    const list = (depth: number): FieldValue => depth === 0 ? 1 : [list(depth - 1)];
    const deepList = encodeTable({ list: list(255) });
    assert.deepEqual(encodeTable(decodeTable(deepList)), deepList);
    assert.throws(() => encodeTable({ list: list(256) }), /'list' as tables may be nested 256 deep/);
    const endless: FieldTable = {};
    endless["self"] = endless;
    assert.throws(() => encodeTable(endless), RangeError);
  });

  it("tables - any number of tables may be at the same level", () => {
    const wide = encodeTable(
      Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`t${i}`, { a: [i, {}] }])),
    );
    assert.deepEqual(encodeTable(decodeTable(wide)), wide);
  });

  it("tables - an invalid table is refused with the cause", () => {
    const junk: [bytes: number[], words: RegExp][] = [
      [[], /a field needs 4 bytes, but 0 are left/],
      [[0xff, 0xff, 0xff, 0xff], /a field needs 4294967295 bytes, but 0 are left/],
      [[0, 0, 0, 1, 5], /a field needs 5 bytes, but 0 are left/],
      [[0, 0, 0, 2, 0, 0x7a], /unknown type 0x7a/],
      [[0, 0, 0, 6, 0, 0x53, 0xff, 0xff, 0xff, 0xff], /a field needs 4294967295 bytes/],
      [[0, 0, 0, 6, 0, 0x41, 0, 0, 0, 9], /a field needs 9 bytes, but 0 are left/],
      [[0, 0, 0, 6, 0, 0x46, 0, 0, 0, 9], /a field needs 9 bytes, but 0 are left/],
    ];
    for (const [bytes, words] of junk) {
      assert.throws(() => decodeTable(Uint8Array.from(bytes)), isFrameError(words));
    }
  });

  it("tables - names such as __proto__ are ordinary names, and the first of two equal names wins", () => {
    const bytes = encodeTable(JSON.parse('{"__proto__":1,"constructor":2}'));
    const fields = decodeTable(bytes);
    assert.deepEqual(Object.entries(fields), [["__proto__", 1], ["constructor", 2]]);
    assert.equal(fields["toString"], undefined);
    assert.deepEqual(encodeTable(fields), bytes);
    const twice = Uint8Array.of(0, 0, 0, 8, 1, 0x61, 0x74, 1, 1, 0x61, 0x74, 0);
    assert.equal(decodeTable(twice)["a"], true);
  });

  it("tables - can be decoded without their length, as AMQPLAIN sends them", () => {
    const bytes = encodeTable({ LOGIN: "guest", PASSWORD: "guest" });
    assert.deepEqual({ ...decodeTableContent(bytes, 4) }, { LOGIN: "guest", PASSWORD: "guest" });
  });
});

describe("amqp methods - limits", () => {
  const encode = (name: "queue.declare", args: Parameters<typeof sizeofMethod<"queue.declare">>[1]) => {
    const bytes = new Uint8Array(sizeofMethod(name, args));
    writeMethod(name, args, bytes, 0);
    return bytes;
  };

  it("methods - an argument out of range is refused with its name", () => {
    assert.throws(
      () => sizeofMethod("queue.declare", { queue: "é".repeat(128) }),
      /Cannot encode 'queue' as a short string may have 255 bytes: received 256/,
    );
    assert.equal(encode("queue.declare", { queue: "é".repeat(127) }).length, 4 + 2 + 255 + 1 + 4);
    for (const prefetchCount of [-1, 65536, 1.5, NaN]) {
      assert.throws(
        () => sizeofMethod("basic.qos", { prefetchCount }),
        /'prefetchCount' as it must be an integer/,
      );
    }
    assert.throws(() => sizeofMethod("basic.ack", { deliveryTag: 2 ** 64 }), RangeError);
    assert.equal(sizeofMethod("basic.ack", { deliveryTag: 2 ** 63 }), 13);
  });

  it("methods - junk is refused: unknown, truncated, too long, not UTF-8", () => {
    const bytes = encode("queue.declare", { queue: "work", arguments: { "x-max-length": 1 } });
    for (let end = 0; end < bytes.length; end++) {
      assert.throws(() => decodeMethod(bytes, 0, end), isFrameError(/./));
    }
    assert.throws(
      () => decodeMethod(new Uint8Array([...bytes, 0]), 0, bytes.length + 1),
      isFrameError(/1 extra bytes after queue\.declare/),
    );
    assert.throws(
      () => decodeMethod(Uint8Array.of(0, 60, 0, 41), 0, 4),
      (error: unknown) => error instanceof AmqpError && error.replyCode === 540 && error.methodId === 41,
    );
    bytes[7] = 0xff;
    assert.throws(() => decodeMethod(bytes, 0, bytes.length), isFrameError(/malformed UTF-8 in 'queue'/));
  });

  it("methods - names in messages may be any bytes, as in RabbitMQ", () => {
    const bytes = Uint8Array.of(0, 60, 0, 40, 0, 0, 0, 2, 0xff, 0x61, 0);
    const method = decodeMethod(bytes, 0, bytes.length);
    assert.ok(method.name === "basic.publish");
    const fields = new PublishFields();
    fields.read(bytes, 0, bytes.length);
    assert.equal(method.args.routingKey, fields.routingKey);
    const again = new Uint8Array(bytes.length);
    writeMethod("basic.publish", method.args, again, 0);
    assert.deepEqual(again, bytes);
  });

  it("methods - delivery tags beyond 2^53 are rounded and not refused", () => {
    const bytes = Uint8Array.of(0, 60, 0, 80, 255, 255, 255, 255, 255, 255, 255, 255, 0);
    const method = decodeMethod(bytes, 0, bytes.length);
    assert.ok(method.name === "basic.ack");
    assert.equal(method.args.deliveryTag, 2 ** 64);
  });

  it("fast readers - refuse every truncation and every extra byte", () => {
    const publish = new Uint8Array(sizeofMethod("basic.publish", { exchange: "ex", routingKey: "key" }));
    writeMethod("basic.publish", { exchange: "ex", routingKey: "key" }, publish, 0);
    const deliver = new Uint8Array(sizeofMethod("basic.deliver", { consumerTag: "c", exchange: "e" }));
    writeMethod("basic.deliver", { consumerTag: "c", exchange: "e" }, deliver, 0);
    const header = new Uint8Array([0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0]);
    const readers = [[new PublishFields(), publish], [new DeliverFields(), deliver], [
      new ContentHeader(),
      header,
    ]] as const;
    for (const [reader, bytes] of readers) {
      reader.read(bytes, 0, bytes.length);
      for (let end = 0; end < bytes.length; end++) {
        assert.throws(() => reader.read(bytes, 0, end), isFrameError(/./));
      }
      if (reader instanceof ContentHeader) continue;
      assert.throws(() => reader.read(new Uint8Array([...bytes, 0]), 0, bytes.length + 1), isFrameError(/./));
    }
    assert.equal(readers[2][0].bodySize, 9);
    header[1] = 50;
    assert.throws(
      () => readers[2][0].read(header, 0, 14),
      (error: unknown) => error instanceof AmqpError && error.replyCode === 505,
    );
  });
});

describe("amqp properties", () => {
  const bytes = encodeProperties({
    contentType: "a/b",
    headers: { n: 1 },
    deliveryMode: 1,
    timestamp: 5,
    appId: "x",
  });

  it("properties - junk is refused, by the decoder and by the scan", () => {
    const scan = new PropertyScan();
    for (let end = 0; end < bytes.length; end++) {
      assert.throws(() => decodeProperties(bytes, 0, end), isFrameError(/./));
      assert.throws(() => scan.read(bytes, 0, end), isFrameError(/./));
    }
    const longer = new Uint8Array([...bytes, 0]);
    const more = bytes.slice();
    more[1]! |= 1;
    for (const wrong of [longer, more, Uint8Array.of(0, 1), Uint8Array.of(0, 0, 0)]) {
      assert.throws(() => decodeProperties(wrong), isFrameError(/./));
      assert.throws(() => scan.read(wrong, 0, wrong.length), isFrameError(/./));
    }
  });

  it("properties - headers at the end must be complete, and a flag without meaning is ignored", () => {
    const scan = new PropertyScan();
    const cut = Uint8Array.of(0x20, 0, 0, 0, 0, 5);
    assert.throws(() => scan.read(cut, 0, cut.length), isFrameError(/truncated/));
    assert.throws(() => decodeProperties(cut), isFrameError(/./));
    const empty = encodeProperties({ headers: {} });
    scan.read(empty, 0, empty.length);
    assert.deepEqual({ ...scan.headers() }, {});
    scan.read(Uint8Array.of(0, 2), 0, 2);
    assert.throws(
      () => decodeProperties(Uint8Array.of(9, 0, 0, 9, 8), 1, 4),
      isFrameError(/ 1 extra bytes after the prop/),
    );
    assert.deepEqual(decodeProperties(Uint8Array.of(0, 2)), {});
  });

  it("properties - the scan reports which properties are present", () => {
    const scan = new PropertyScan();
    scan.read(bytes, 0, bytes.length);
    assert.deepEqual([scan.persistent, scan.priority, scan.has(PROPERTY.timestamp)], [false, 0, true]);
    assert.deepEqual(
      [scan.text(PROPERTY.contentType), scan.text(PROPERTY.appId), scan.text(PROPERTY.userId)],
      [
        "a/b",
        "x",
        undefined,
      ],
    );
    scan.read(Uint8Array.of(0, 0), 0, 2);
    assert.deepEqual([scan.has(PROPERTY.headers), scan.headers(), scan.text(PROPERTY.appId)], [
      false,
      undefined,
      undefined,
    ]);
  });

  it("properties - a value out of range is refused with its name", () => {
    assert.throws(() => sizeofProperties({ priority: 256 }), /'priority'/);
    assert.throws(() => sizeofProperties({ timestamp: -1 }), /'timestamp'/);
    assert.throws(() => sizeofProperties({ messageId: "m".repeat(256) }), /'messageId' as a short string/);
    assert.equal(encodeProperties({ timestamp: 2n ** 64n - 1n }).at(-1), 0xff);
    assert.equal(decodeProperties(encodeProperties({ timestamp: 2n ** 60n })).timestamp, 2n ** 60n);
  });
});

describe("amqp errors", () => {
  it("errors - have the scope of their code, and the arguments of a close", () => {
    const error = amqpError(404, "no queue 'x' in vhost '/'", { method: methodId("queue.declare") });
    assert.ok(error instanceof MqcatError);
    assert.deepEqual([error.code, error.scope, error.name], ["ERR_AMQP_CHANNEL", "channel", "AmqpError"]);
    assert.equal(error.message, "NOT_FOUND - no queue 'x' in vhost '/'");
    const bytes = new Uint8Array(sizeofMethod("channel.close", error));
    writeMethod("channel.close", error, bytes, 0);
    const method = decodeMethod(bytes, 0, bytes.length);
    assert.deepEqual(method, {
      name: "channel.close",
      args: { replyCode: 404, replyText: error.message, classId: 50, methodId: 10 },
    });
    assert.ok(method.name === "channel.close");
    const back = errorFromClose("channel", method.args);
    assert.deepEqual(
      [back.message, back.replyCode, back.classId, back.methodId],
      [error.message, 404, 50, 10],
    );
  });

  it("errors - a hard code ends the connection, and the scope can be given", () => {
    assert.equal(frameError("junk").code, "ERR_AMQP_CONNECTION");
    assert.equal(amqpError(403, "login refused", { scope: "connection" }).code, "ERR_AMQP_CONNECTION");
    assert.equal(
      errorFromClose("connection", { replyCode: 320, replyText: "", classId: 0, methodId: 0 }).message,
      "CONNECTION_FORCED",
    );
  });

  it("errors - a text for the wire has at most 255 bytes", () => {
    const error = amqpError(406, "é".repeat(200));
    assert.equal(error.message.length, "PRECONDITION_FAILED - ".length + 200);
    assert.equal(textLength(error.replyText), 255);
    assert.ok(error.replyText.endsWith("é..."));
  });
});
