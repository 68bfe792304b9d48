/** Members of JSON objects with their types, and the exact texts for those that are wrong. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Decimal, Timestamp, TypedNumber } from "../../../../../lib/amqp/types/field_value.ts";
import { JsonError, JsonObject } from "../../../../../lib/broker/core/definitions/json_object.ts";
import { type Json, tableFromJson, tableToJson } from "../../../../../lib/broker/core/definitions/table.ts";

/** What a reader returns for the member `m`, or what it says. */
function told(value: Json | undefined, read: (object: JsonObject) => unknown, path = "list[3]"): string {
  try {
    const object = new JsonObject(path, value === undefined ? {} : { m: value });
    return JSON.stringify(read(object));
  } catch (error) {
    assert.ok(error instanceof JsonError, String(error));
    return error.message;
  }
}

const VALUES: readonly (Json | undefined)[] = [
  undefined,
  null,
  true,
  "true",
  "false",
  "TRUE",
  0,
  -1,
  1.5,
  2 ** 53,
  "12",
  "-1",
  "",
  "a, b,,",
  [],
  ["a", " b "],
  ["a", 1],
  {},
  { a: 1 },
  [{ a: 1 }],
  [1],
];

describe("JSON objects", () => {
  const table = (read: (object: JsonObject) => unknown) => VALUES.map((value) => told(value, read));

  it("has - a member that is not empty", () => {
    assert.deepEqual(table((object) => object.has("m")), [
      "false",
      "false",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "true",
      "false",
      "true",
      "true",
      "false",
      "true",
      "true",
      "true",
    ]);
  });

  it("text - a string, or the default", () => {
    assert.deepEqual(table((object) => object.text("m")), [
      "list[3].m must be a string: received nothing",
      "list[3].m must be a string: received nothing",
      "list[3].m must be a string: received true",
      '"true"',
      '"false"',
      '"TRUE"',
      "list[3].m must be a string: received 0",
      "list[3].m must be a string: received -1",
      "list[3].m must be a string: received 1.5",
      "list[3].m must be a string: received 9007199254740992",
      '"12"',
      '"-1"',
      '""',
      '"a, b,,"',
      "list[3].m must be a string: received []",
      'list[3].m must be a string: received ["a"," b "]',
      'list[3].m must be a string: received ["a",1]',
      "list[3].m must be a string: received {}",
      'list[3].m must be a string: received {"a":1}',
      'list[3].m must be a string: received [{"a":1}]',
      "list[3].m must be a string: received [1]",
    ]);
    assert.equal(told(undefined, (object) => object.text("m", "default")), '"default"');
    assert.equal(told(1, (object) => object.text("m", "default")), "list[3].m must be a string: received 1");
  });

  it("flag - true or false, also as a text", () => {
    assert.deepEqual(table((object) => object.flag("m", true)), [
      "true",
      "true",
      "true",
      "true",
      "false",
      'list[3].m must be true or false: received "TRUE"',
      "list[3].m must be true or false: received 0",
      "list[3].m must be true or false: received -1",
      "list[3].m must be true or false: received 1.5",
      "list[3].m must be true or false: received 9007199254740992",
      'list[3].m must be true or false: received "12"',
      'list[3].m must be true or false: received "-1"',
      'list[3].m must be true or false: received ""',
      'list[3].m must be true or false: received "a, b,,"',
      "list[3].m must be true or false: received []",
      'list[3].m must be true or false: received ["a"," b "]',
      'list[3].m must be true or false: received ["a",1]',
      "list[3].m must be true or false: received {}",
      'list[3].m must be true or false: received {"a":1}',
      'list[3].m must be true or false: received [{"a":1}]',
      "list[3].m must be true or false: received [1]",
    ]);
    assert.equal(told(undefined, (object) => object.flag("m", false)), "false");
  });

  it("integer - a whole number, also as digits", () => {
    assert.deepEqual(table((object) => object.integer("m", 7)), [
      "7",
      "7",
      "list[3].m must be a whole number: received true",
      'list[3].m must be a whole number: received "true"',
      'list[3].m must be a whole number: received "false"',
      'list[3].m must be a whole number: received "TRUE"',
      "0",
      "list[3].m must be a whole number: received -1",
      "list[3].m must be a whole number: received 1.5",
      "list[3].m must be a whole number: received 9007199254740992",
      "12",
      'list[3].m must be a whole number: received "-1"',
      'list[3].m must be a whole number: received ""',
      'list[3].m must be a whole number: received "a, b,,"',
      "list[3].m must be a whole number: received []",
      'list[3].m must be a whole number: received ["a"," b "]',
      'list[3].m must be a whole number: received ["a",1]',
      "list[3].m must be a whole number: received {}",
      'list[3].m must be a whole number: received {"a":1}',
      'list[3].m must be a whole number: received [{"a":1}]',
      "list[3].m must be a whole number: received [1]",
    ]);
    assert.equal(
      told(undefined, (object) => object.integer("m")),
      "list[3].m must be a whole number: received nothing",
    );
  });

  it("object - an empty one if it is missing", () => {
    assert.deepEqual(table((object) => object.object("m")), [
      "{}",
      "{}",
      "list[3].m must be an object: received true",
      'list[3].m must be an object: received "true"',
      'list[3].m must be an object: received "false"',
      'list[3].m must be an object: received "TRUE"',
      "list[3].m must be an object: received 0",
      "list[3].m must be an object: received -1",
      "list[3].m must be an object: received 1.5",
      "list[3].m must be an object: received 9007199254740992",
      'list[3].m must be an object: received "12"',
      'list[3].m must be an object: received "-1"',
      'list[3].m must be an object: received ""',
      'list[3].m must be an object: received "a, b,,"',
      "{}",
      'list[3].m must be an object: received ["a"," b "]',
      'list[3].m must be an object: received ["a",1]',
      "{}",
      '{"a":1}',
      'list[3].m must be an object: received [{"a":1}]',
      "list[3].m must be an object: received [1]",
    ]);
  });

  it("objects - a list of them", () => {
    assert.deepEqual(table((object) => object.objects("m").map(({ path }) => path)), [
      "[]",
      "[]",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "list[3].m must be a list",
      "[]",
      "list[3].m[0] must be a JSON object",
      "list[3].m[0] must be a JSON object",
      "list[3].m must be a list",
      "list[3].m must be a list",
      '["list[3].m[0]"]',
      "list[3].m[0] must be a JSON object",
    ]);
  });

  it("texts - a list of strings, or one with commas", () => {
    assert.deepEqual(table((object) => object.texts("m")), [
      "[]",
      "[]",
      "list[3].m must be a list of strings: received true",
      '["true"]',
      '["false"]',
      '["TRUE"]',
      "list[3].m must be a list of strings: received 0",
      "list[3].m must be a list of strings: received -1",
      "list[3].m must be a list of strings: received 1.5",
      "list[3].m must be a list of strings: received 9007199254740992",
      '["12"]',
      '["-1"]',
      "[]",
      '["a","b"]',
      "[]",
      '["a","b"]',
      'list[3].m must be a list of strings: received ["a",1]',
      "list[3].m must be a list of strings: received {}",
      'list[3].m must be a list of strings: received {"a":1}',
      'list[3].m must be a list of strings: received [{"a":1}]',
      "list[3].m must be a list of strings: received [1]",
    ]);
  });

  it("errors - name the path, and show no password", () => {
    const read = (path: string, name: string, json: Json) => {
      try {
        return new JsonObject(path, json).text(name);
      } catch (error) {
        return (error as Error).message;
      }
    };
    assert.deepEqual([
      read("", "m", {}),
      read("", "m", []),
      read("a", "m", 1),
      read("a", "password", { password: 1 }),
      read("a", "password_hash", {}),
      read("a", "toString", {}),
    ], [
      "m must be a string: received nothing",
      "it must be a JSON object",
      "a must be a JSON object",
      "a.password must be a string",
      "a.password_hash must be a string: received nothing",
      "a.toString must be a string: received nothing",
    ]);
  });

  it("tables - as RabbitMQ's management shows and reads them", () => {
    const shown = tableToJson({
      a: null,
      b: true,
      c: "x",
      d: 5n,
      e: 1.5,
      f: new Timestamp(7),
      g: new TypedNumber("B", 8),
      h: new Decimal(1, 25),
      i: Uint8Array.of(1, 2, 255),
      j: [1n, { k: false }],
    });
    assert.deepEqual(shown, {
      a: null,
      b: true,
      c: "x",
      d: 5,
      e: 1.5,
      f: 7,
      g: 8,
      h: 2.5,
      i: "AQL/",
      j: [1, { k: false }],
    });
    const back = tableFromJson({ a: 1, b: 1.5, c: [2, "x", null], d: { e: -1 }, f: true });
    assert.equal(Object.getPrototypeOf(back), null);
    const seen = JSON.stringify(back, (_, one) => typeof one === "bigint" ? `${one}n` : one);
    assert.equal(seen, '{"a":"1n","b":1.5,"c":["2n","x",null],"d":{"e":"-1n"},"f":true}');
  });
});
