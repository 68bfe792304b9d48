/** How values of arguments are named in refusals, and when two of them are the same. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { Decimal, type FieldValue, Timestamp, TypedNumber } from "../../../../lib/amqp/types/field_value.ts";
import {
  checkSame,
  checkSameArguments,
  resource,
  show,
  typeName,
} from "../../../../lib/broker/core/arguments.ts";

const VALUES: readonly [value: FieldValue, type: string, text: string][] = [
  ["x", "longstr", "x"],
  [true, "bool", "true"],
  [5n, "long", "5"],
  [2 ** 31 - 1, "signedint", "2147483647"],
  [2 ** 31, "long", "2147483648"],
  [-(2 ** 31), "signedint", "-2147483648"],
  [-(2 ** 31) - 1, "long", "-2147483649"],
  [2 ** 53 - 1, "long", "9007199254740991"],
  [2 ** 53, "double", "9007199254740992"],
  [1.5, "double", "1.5"],
  [null, "void", "undefined"],
  [Uint8Array.of(1, 2), "binary", "<<1,2>>"],
  [[1, "x"], "array", '[1,"x"]'],
  [new TypedNumber("b", 1), "byte", "1"],
  [new TypedNumber("B", 1), "unsignedbyte", "1"],
  [new TypedNumber("s", 1), "short", "1"],
  [new TypedNumber("U", 1), "short", "1"],
  [new TypedNumber("u", 1), "unsignedshort", "1"],
  [new TypedNumber("i", 1), "unsignedint", "1"],
  [new TypedNumber("L", 1), "long", "1"],
  [new TypedNumber("f", 1), "float", "1"],
  [new TypedNumber("d", 1), "double", "1"],
  [new Timestamp(7), "timestamp", "7"],
  [new Decimal(2, 314), "decimal", "{2,314}"],
  [{ a: 1n }, "table", '{"a":"1"}'],
];

describe("arguments", () => {
  for (const [value, type, text] of VALUES) {
    it(`arguments - ${type} ${text}`, () => assert.deepEqual([typeName(value), show(value)], [type, text]));
  }

  const what = resource("queue", "q", "v");
  const refusal = (work: () => void) => {
    try {
      work();
      return "";
    } catch (error) {
      assert.ok(error instanceof AmqpError && error.replyCode === 406, String(error));
      return error.replyText.replace("PRECONDITION_FAILED - inequivalent arg ", "");
    }
  };

  it("arguments - a property that differs is named with both values", () => {
    assert.equal(refusal(() => checkSame(true, true, what, "durable")), "");
    assert.equal(
      refusal(() => checkSame("fanout", "topic", resource("exchange", "e", "v"), "type")),
      "'type' for exchange 'e' in vhost 'v': received 'topic' but current is 'fanout'",
    );
  });

  const PAIRS: readonly [
    there: FieldValue | undefined,
    asked: FieldValue | undefined,
    expected: string,
    name?: string,
  ][] = [
    [undefined, undefined, ""],
    [1, 1, ""],
    [1, 1n, ""],
    [1, new TypedNumber("s", 1), ""],
    [1, 2, "'x-arg' for queue 'q' in vhost 'v': received '2' but current is '1'"],
    [1, "1", "'x-arg' for queue 'q' in vhost 'v': received '1' but current is '1'"],
    ["a", "a", ""],
    ["a", "b", "'x-arg' for queue 'q' in vhost 'v': received 'b' but current is 'a'"],
    [{ a: [1] }, { a: [1] }, ""],
    [
      { a: [1] },
      { a: [2] },
      `'x-arg' for queue 'q' in vhost 'v': received '{"a":[2]}' but current is '{"a":[1]}'`,
    ],
    [
      undefined,
      1,
      "'x-arg' for queue 'q' in vhost 'v': received the value '1' of type 'signedint' but current is none",
    ],
    [
      "x",
      undefined,
      "'x-arg' for queue 'q' in vhost 'v': received none but current is the value 'x' of type 'longstr'",
    ],
    [undefined, "classic", "", "x-queue-type"],
    ["classic", undefined, "", "x-queue-type"],
    [
      "quorum",
      undefined,
      "'x-queue-type' for queue 'q' in vhost 'v': received none but current is the value 'quorum' of type 'longstr'",
      "x-queue-type",
    ],
    [
      undefined,
      "classic",
      "'x-arg' for queue 'q' in vhost 'v': received the value 'classic' of type 'longstr' but current is none",
    ],
  ];
  for (const [i, [there, asked, expected, name = "x-arg"]] of PAIRS.entries()) {
    it(`arguments - pair ${i}: ${expected === "" ? "the same" : expected}`, () => {
      const args = (value: FieldValue | undefined) => value === undefined ? {} : { [name]: value };
      assert.equal(refusal(() => checkSameArguments(args(there), args(asked), what, [name])), expected);
    });
  }
});
