/** A table is accepted exactly if it can be decoded. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { FieldTable, FieldValue } from "../../lib/amqp/types/field_value.ts";
import { Timestamp, TypedNumber } from "../../lib/amqp/types/field_value.ts";
import { decodeTable, encodeTable } from "../../lib/amqp/types/table.ts";
import { checkTable } from "../../lib/amqp/types/table_check.ts";

const { value } = fc.letrec<{ value: FieldValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.string({ maxLength: 5 }),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 5 }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constantFrom<FieldValue>(new Timestamp(5), new TypedNumber("u", 5), new TypedNumber("L", 5)),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.string({ maxLength: 5 }), tie("value"), { maxKeys: 3 }) as fc.Arbitrary<FieldTable>,
  ),
}));
const table = fc.dictionary(fc.string({ maxLength: 5 }), value) as fc.Arbitrary<FieldTable>;

const accepts = (work: () => unknown): boolean => {
  try {
    work();
    return true;
  } catch {
    return false;
  }
};

describe("table check", () => {
  it("table check - accepts every table", () => {
    fc.assert(fc.property(table, (fields) => {
      const bytes = encodeTable(fields);
      checkTable(bytes, 0, bytes.length);
    }));
  });

  it("table check - agrees with the decoder about damaged tables", () => {
    fc.assert(
      fc.property(table, fc.nat(), fc.integer({ min: 0, max: 255 }), (fields, place, byte) => {
        const bytes = encodeTable(fields);
        bytes[place % bytes.length] = byte;
        const decodes = accepts(() => decodeTable(bytes));
        const size = 4 + new DataView(bytes.buffer).getUint32(0);
        assert.equal(accepts(() => checkTable(bytes, 0, Math.min(size, bytes.length))), decodes);
      }),
      { numRuns: 2000 },
    );
  });

  it("table check - refuses bytes after the table", () => {
    assert.throws(() => checkTable(new Uint8Array(5), 0, 5), /extra bytes/);
    assert.throws(() => checkTable(new Uint8Array(3), 0, 3), /truncated/);
  });

  it("table check - names the limit of nesting", () => {
    const nested = (depth: number): FieldTable => depth === 1 ? {} : { t: nested(depth - 1) };
    const bytes = encodeTable(nested(256));
    checkTable(bytes, 0, bytes.length);
    const outer = new Uint8Array(bytes.length + 7);
    new DataView(outer.buffer).setUint32(0, bytes.length + 3);
    outer.set([1, 0x74, 0x46], 4);
    outer.set(bytes, 7);
    assert.throws(() => checkTable(outer, 0, outer.length), { replyCode: 406, message: /256 tables deep/ });
  });
});
