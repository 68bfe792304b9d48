/** AMQP values: decoding is the inverse of encoding, and junk is refused with an error. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AmqpError } from "../../lib/amqp/amqp_error.ts";
import { AckFields, ContentHeader, DeliverFields, PublishFields } from "../../lib/amqp/basic_fields.ts";
import type { MethodArgs, MethodName } from "../../lib/amqp/method_args.ts";
import { decodeMethod, methodId, sizeofMethod, writeMethod } from "../../lib/amqp/method_codec.ts";
import { type FieldType, METHODS, type MethodSpec } from "../../lib/amqp/methods.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../lib/amqp/properties.ts";
import { PROPERTY, PropertyScan } from "../../lib/amqp/property_scan.ts";
import { Decimal, type FieldTable, type FieldValue } from "../../lib/amqp/types/field_value.ts";
import { Timestamp, TypedNumber } from "../../lib/amqp/types/field_value.ts";
import { decodeTable, encodeTable } from "../../lib/amqp/types/table.ts";
import { readText, textLength, writeText } from "../../lib/bytes/text.ts";
import { readName } from "../../lib/bytes/text_cache.ts";

const TIMEOUT = { timeout: 60_000 };

const utf8Length = (text: string) => new TextEncoder().encode(text).length;

/** Text of at most 255 bytes, with all kinds of UTF-8 characters. */
const name = fc.oneof(
  { weight: 3, arbitrary: fc.string({ maxLength: 40, size: "max" }) },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 70, size: "max" }) },
  { weight: 1, arbitrary: fc.constantFrom("", "x".repeat(255), "é".repeat(127), "\ufeff", "__proto__", "7") },
).filter((text) => utf8Length(text) <= 255);

const uint = (bits: number) =>
  fc.oneof(fc.constantFrom(0, 1, 2 ** (bits - 1), 2 ** bits - 1), fc.integer({ min: 0, max: 2 ** bits - 1 }));
const int = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const seconds = fc.oneof(fc.maxSafeNat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }));

const scalar: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.boolean(),
  int(32),
  int64,
  fc.double().filter((value) => !Number.isSafeInteger(value) || Object.is(value, -0)),
  fc.string({ unit: "binary", maxLength: 90, size: "max" }),
  fc.constant(null),
  fc.uint8Array({ maxLength: 60, size: "max" }),
  seconds.map((value) => new Timestamp(value)),
  fc.tuple(uint(8), int(32)).map(([scale, value]) => new Decimal(scale, value)),
  int(8).map((value) => new TypedNumber("b", value)),
  uint(8).map((value) => new TypedNumber("B", value)),
  int(16).map((value) => new TypedNumber("s", value)),
  int(16).map((value) => new TypedNumber("U", value)),
  uint(16).map((value) => new TypedNumber("u", value)),
  uint(32).map((value) => new TypedNumber("i", value)),
  int64.map((value) => new TypedNumber("L", value)),
  fc.float().map((value) => new TypedNumber("f", value)),
  fc.maxSafeInteger().map((value) => new TypedNumber("d", value + 0)),
);

/** A table without a prototype, like decoded tables. */
function tableOf(entries: readonly (readonly [string, FieldValue])[]): FieldTable {
  const table: FieldTable = Object.create(null);
  for (const [name, value] of entries) table[name] = value;
  return table;
}

const { table } = fc.letrec<{ table: FieldTable; value: FieldValue; array: FieldValue[] }>((tie) => ({
  table: fc.array(fc.tuple(name, tie("value")), { maxLength: 6 }).map(tableOf),
  array: fc.array(tie("value"), { maxLength: 6 }),
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 6, arbitrary: scalar },
    { weight: 1, arbitrary: tie("table") },
    { weight: 1, arbitrary: tie("array") },
  ),
}));

const ARGUMENTS: Record<FieldType, fc.Arbitrary<unknown>> = {
  bit: fc.boolean(),
  octet: uint(8),
  short: uint(16),
  long: uint(32),
  longlong: fc.maxSafeNat(),
  shortstr: name,
  longstr: fc.uint8Array({ maxLength: 300, size: "max" }),
  table,
};

/** One of these methods with random arguments. */
function methodOf(...names: MethodName[]) {
  return fc.constantFrom(...names).chain((name) => {
    const { fields } = METHODS[name] as MethodSpec;
    const named = fields.filter(([field]) => !field.startsWith("reserved"));
    return fc.record(Object.fromEntries(named.map(([field, type]) => [field, ARGUMENTS[type]])))
      .map((args) => ({ name, args: args as unknown as MethodArgs<MethodName> }));
  });
}

const method = methodOf(...Object.keys(METHODS) as MethodName[]);
const fastMethod = methodOf("basic.publish", "basic.deliver", "basic.ack", "basic.nack", "basic.reject");

const properties: fc.Arbitrary<BasicProperties> = fc.record({
  contentType: name,
  contentEncoding: name,
  headers: table,
  deliveryMode: uint(8),
  priority: uint(8),
  correlationId: name,
  replyTo: name,
  expiration: name,
  messageId: name,
  timestamp: seconds,
  type: name,
  userId: name,
  appId: name,
  clusterId: name,
}, { requiredKeys: [] });

/** fast-check creates records with and without a prototype. */
function plain<T extends object>(record: T): T {
  return { ...record };
}

function encode({ name, args }: { name: MethodName; args: MethodArgs<MethodName> }): Uint8Array {
  const bytes = new Uint8Array(sizeofMethod<MethodName>(name, args));
  assert.equal(writeMethod<MethodName>(name, args, bytes, 0), bytes.length);
  return bytes;
}

/** Valid bytes, with a few of them changed, removed or repeated. */
function damaged(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc.tuple(valid, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat())
    .map(([bytes, changes, cut]) => {
      const wrong = bytes.slice(0, cut % 4 === 0 ? cut % (bytes.length + 1) : bytes.length);
      for (const [at, value] of changes) if (wrong.length > 0) wrong[at % wrong.length] = value;
      return wrong;
    });
}

/** The result of `act`, or undefined when it throws the allowed error. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    assert.ok(error instanceof AmqpError, String(error));
    assert.ok([501, 505, 540].includes(error.replyCode));
    return undefined;
  }
}

describe("amqp codec", () => {
  it(
    "text - any bytes are decoded and encoded without change, and well-formed text is UTF-8",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100, size: "max" }), fc.nat(3), (bytes, at) => {
          const text = readText(bytes, 0, bytes.length);
          assert.equal(readName(bytes, 0, bytes.length), text);
          assert.equal(textLength(text), bytes.length);
          const target = new Uint8Array(at + bytes.length + 1).fill(0x99);
          assert.equal(writeText(text, target, at), at + bytes.length);
          assert.deepEqual([...target.subarray(at)], [...bytes, 0x99]);
        }),
        { numRuns: 1000 },
      );
      fc.assert(
        fc.property(fc.string({ unit: "binary", maxLength: 200, size: "max" }), (text) => {
          const bytes = new Uint8Array(textLength(text));
          writeText(text, bytes, 0);
          assert.deepEqual(bytes, new TextEncoder().encode(text));
          assert.equal(readText(bytes, 0, bytes.length), text);
        }),
        { numRuns: 1000 },
      );
    },
  );

  it("tables - decode(encode(table)) is the table", TIMEOUT, () => {
    fc.assert(
      fc.property(table, (table) => {
        const bytes = encodeTable(table);
        const decoded = decodeTable(bytes);
        assert.deepEqual(decoded, table);
        assert.deepEqual(encodeTable(decoded), bytes);
      }),
      { numRuns: 500 },
    );
  });

  it("tables - plain integers keep their value, whatever type they are encoded with", TIMEOUT, () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        const decoded = decodeTable(encodeTable({ n: value }))["n"];
        assert.equal(typeof decoded, Math.abs(value) > 2 ** 31 ? "bigint" : typeof decoded);
        assert.equal(Number(decoded), value + 0);
      }),
    );
  });

  it("tables - junk is refused, or decodes to a table that survives another round trip", TIMEOUT, () => {
    const junk = fc.oneof(fc.uint8Array({ maxLength: 80, size: "max" }), damaged(table.map(encodeTable)));
    fc.assert(
      fc.property(junk, (bytes) => {
        const decoded = attempt(() => decodeTable(bytes));
        if (decoded === undefined) return;
        const again = encodeTable(decoded);
        assert.ok(again.length <= bytes.length);
        assert.deepEqual(decodeTable(again), decoded);
      }),
      { numRuns: 2000 },
    );
  });

  it(
    "properties - decode(encode(properties)) are the properties, and the scan finds the same ones",
    TIMEOUT,
    () => {
      const scan = new PropertyScan();
      fc.assert(
        fc.property(properties, fc.nat(5), (given, pad) => {
          const expected = plain(given);
          const encoded = encodeProperties(expected);
          const bytes = new Uint8Array([...new Uint8Array(pad).fill(0x77), ...encoded, 0x77]);
          assert.deepEqual(decodeProperties(bytes, pad, bytes.length - 1), expected);
          scan.read(bytes, pad, bytes.length - 1);
          for (const key of Object.keys(PROPERTY) as (keyof typeof PROPERTY)[]) {
            assert.equal(scan.has(PROPERTY[key]), key in expected, key);
            if (key === "headers") assert.deepEqual(scan.headers(), expected.headers);
            else if (key !== "deliveryMode" && key !== "priority" && key !== "timestamp") {
              assert.equal(scan.text(PROPERTY[key]), expected[key]);
            }
          }
          assert.equal(scan.persistent, expected.deliveryMode === 2);
          assert.equal(scan.priority, expected.priority ?? 0);
        }),
        { numRuns: 500 },
      );
    },
  );

  it("properties - junk is refused, and the scan accepts all decoded properties", TIMEOUT, () => {
    const scan = new PropertyScan();
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 60, size: "max" }),
      damaged(properties.map((given) => encodeProperties(given))),
    );
    fc.assert(
      fc.property(junk, (bytes) => {
        const decoded = attempt(() => decodeProperties(bytes));
        const passed = attempt(() => (scan.read(bytes, 0, bytes.length), true));
        if (decoded === undefined) return;
        assert.ok(passed);
        assert.deepEqual(decodeProperties(encodeProperties(decoded)), decoded);
      }),
      { numRuns: 2000 },
    );
  });

  it("methods - decode(encode(method)) is the method, for every one", TIMEOUT, () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(method, ({ name, args }) => {
        seen.add(name);
        const bytes = encode({ name, args });
        assert.deepEqual(decodeMethod(bytes, 0, bytes.length), { name, args: plain(args) });
      }),
      { numRuns: 1500 },
    );
    assert.ok(seen.size > 60, `${seen.size} methods were tried`);
  });

  it("methods - omitted arguments are empty, zero or false", () => {
    for (const name of Object.keys(METHODS) as MethodName[]) {
      const bytes = new Uint8Array(sizeofMethod<MethodName>(name, {}));
      writeMethod<MethodName>(name, {}, bytes, 0);
      const id = methodId(name);
      const head = [0, id >>> 16, id >>> 8 & 255, id & 255];
      assert.deepEqual([...bytes], [...head, ...new Uint8Array(bytes.length - 4)], name);
      assert.equal(decodeMethod(bytes, 0, bytes.length).name, name);
    }
  });

  it("methods - junk is refused, and the fast readers agree with the tables", TIMEOUT, () => {
    const publish = new PublishFields();
    const deliver = new DeliverFields();
    const ack = new AckFields();
    const header = new ContentHeader();
    const wire = method.map(encode);
    // The id is not changed, so that the arguments are decoded.
    const broken = damaged(wire).chain((bytes) =>
      method.map(({ name }) => {
        const id = methodId(name);
        if (bytes.length >= 4) bytes.set([0, id >>> 16, id >>> 8 & 255, id & 255]);
        return bytes;
      })
    );
    const fast = fastMethod.map(encode);
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 40, size: "max" }), damaged(wire), broken, damaged(fast), fast),
        (bytes) => {
          const decoded = attempt(() => decodeMethod(bytes, 0, bytes.length));
          attempt(() => header.read(bytes, 0, bytes.length));
          const id = bytes.length < 4 ? -1 : bytes[1]! << 16 | bytes[2]! << 8 | bytes[3]!;
          const reader = id === methodId("basic.publish")
            ? publish
            : id === methodId("basic.deliver")
            ? deliver
            : [80, 90, 120].includes(id - (60 << 16))
            ? ack
            : undefined;
          if (reader === undefined || bytes[0] !== 0) return;
          const passed = attempt(() => (reader.read(bytes, 0, bytes.length), true));
          assert.equal(passed === true, decoded !== undefined);
          for (const [key, value] of Object.entries(decoded?.args ?? {})) {
            assert.equal(reader[key as never], value, key);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
