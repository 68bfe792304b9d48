import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromJson, tableFromJson, tableToJson, toJson } from "../../../../cli/brokers/values.ts";
import {
  Decimal,
  type FieldTable,
  type FieldValue,
  Timestamp,
  TypedNumber,
} from "../../../../lib/amqp/types/field_value.ts";
import { decodeTable, encodeTable } from "../../../../lib/amqp/types/table.ts";

describe("header values as JSON", () => {
  const values: Record<string, FieldValue> = {
    text: "ü",
    empty: "",
    notUtf8: "\udcff",
    yes: true,
    nothing: null,
    zero: 0,
    small: -5,
    beyond32: 2n ** 40n,
    smallLong: 5n,
    beyond53: 2n ** 60n + 1n,
    fraction: 0.1,
    minusZero: -0,
    infinite: Infinity,
    negative: -Infinity,
    nan: NaN,
    large: 1e300,
    bytes: Uint8Array.of(0, 255, 10),
    time: new Timestamp(1_700_000_000),
    farTime: new Timestamp(2n ** 63n),
    decimal: new Decimal(2, -314),
    byte: new TypedNumber("b", -1),
    octet: new TypedNumber("B", 255),
    short: new TypedNumber("s", -300),
    ushort: new TypedNumber("u", 65535),
    uint: new TypedNumber("i", 4294967295),
    wholeDouble: new TypedNumber("d", 3),
    float: new TypedNumber("f", 0.5),
    standardLong: new TypedNumber("L", 7),
    list: [1, "two", [3n], { four: null }],
    table: { deep: { deeper: [true] } },
    looksSpecial: { $l: "not a number" },
    none: {},
  };

  it("values - every type is converted to JSON and back without loss", () => {
    for (const [name, value] of Object.entries(values)) {
      const back = fromJson(JSON.parse(JSON.stringify(toJson(value))));
      assert.deepEqual(encodeTable({ back }), encodeTable({ back: value }), name);
    }
  });

  it("tables - names are converted to JSON and back without loss", () => {
    const table: FieldTable = { ...values, "\udcfe": 1, "$text:x": 2, "": 3 };
    const back = tableFromJson(JSON.parse(JSON.stringify(tableToJson(table))));
    assert.deepEqual(encodeTable(back), encodeTable(table));
    assert.deepEqual(decodeTable(encodeTable(back)), decodeTable(encodeTable(table)));
  });

  it("plain JSON - is read as the corresponding AMQP types", () => {
    assert.deepEqual(toJson({ a: "x", b: 1, c: [true, null, 1.5] }), { a: "x", b: 1, c: [true, null, 1.5] });
  });

  it("errors - name the value and the cause", () => {
    assert.throws(() => fromJson({ $what: "1" }), /there is no type '\$what'/);
    assert.throws(() => fromJson({ $l: "x" }), /'\$l' of a header/);
    assert.throws(() => fromJson({ $b: "300" }), /'\$b' of a header: .*out of range/);
    assert.throws(() => fromJson({ $bytes: 1.5 }), /it is not base64/);
    assert.throws(() => fromJson({ $bytes: "a?b=" }), /it is not base64/);
  });
});
