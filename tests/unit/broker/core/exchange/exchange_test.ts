import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BasicProperties, encodeProperties } from "../../../../../lib/amqp/properties.ts";
import { PropertyScan } from "../../../../../lib/amqp/property_scan.ts";
import {
  Decimal,
  type FieldTable,
  Timestamp,
  TypedNumber,
} from "../../../../../lib/amqp/types/field_value.ts";
import { type Route, ScannedHeaders } from "../../../../../lib/broker/core/exchange/contract.ts";
import { RouteCache } from "../../../../../lib/broker/core/exchange/route_cache.ts";
import { makeMatcher } from "../../../../../lib/broker/core/exchange/types.ts";
import { RouteResult } from "../../../../../lib/broker/core/topology/route_result.ts";
import { namedQueue } from "../../../../support/queues.ts";

interface Case {
  readonly type: string;
  readonly bound: readonly (readonly [key: string, args?: FieldTable])[];
  readonly message: readonly [key: string, headers?: FieldTable];
  /** The indexes of the matching bindings. */
  readonly found: readonly number[];
}

function headersOf(headers: FieldTable | undefined): ScannedHeaders {
  const properties: BasicProperties = headers === undefined ? {} : { headers };
  const bytes = encodeProperties(properties);
  const scan = new PropertyScan();
  scan.read(bytes, 0, bytes.length);
  return new ScannedHeaders().of(scan);
}

const CASES: readonly Case[] = [
  { type: "direct", bound: [["a"], ["b"], ["a", { x: 1 }], [""]], message: ["a"], found: [0, 2] },
  { type: "direct", bound: [["a"], [""]], message: [""], found: [1] },
  { type: "direct", bound: [["#"], ["*"]], message: ["a"], found: [] },
  { type: "fanout", bound: [["a"], [""], ["a", { x: 1 }]], message: ["z"], found: [0, 1, 2] },
  {
    type: "topic",
    bound: [["a.b"], ["a.*"], ["a.#"], ["#"], ["*"], ["a"]],
    message: ["a.b"],
    found: [0, 1, 2, 3],
  },
  {
    type: "topic",
    bound: [["a.b"], ["a.*"], ["a.#"], ["#"], ["*"], ["a"]],
    message: ["a"],
    found: [2, 3, 4, 5],
  },
  { type: "topic", bound: [[""], ["*"], ["#"], ["*.*"], ["#.#"]], message: [""], found: [0, 2, 4] },
  { type: "topic", bound: [["*"], ["*.*"], ["a."], ["a"]], message: ["a."], found: [1, 2] },
  {
    type: "topic",
    bound: [["*.stock.#"], ["#.b"], ["*.*.*.*"]],
    message: ["usd.stock.a.b"],
    found: [0, 1, 2],
  },
];

/** The result of a headers exchange for one binding and one message. */
const HEADERS:
  readonly (readonly [what: string, args: FieldTable, headers: FieldTable | undefined, matches: boolean])[] =
    [
      ["no fields", {}, undefined, true],
      ["no fields and any", { "x-match": "any" }, { a: 1 }, false],
      ["all fields match", { a: 1, b: "x" }, { a: 1, b: "x", c: 2 }, true],
      ["one is missing", { a: 1, b: "x" }, { a: 1 }, false],
      ["one differs", { "x-match": "all", a: 1, b: "x" }, { a: 1, b: "y" }, false],
      ["any, one matches", { "x-match": "any", a: 1, b: "x" }, { b: "x" }, true],
      ["any, none matches", { "x-match": "any", a: 1, b: "x" }, { b: 1, a: "x" }, false],
      ["no headers", { a: 1 }, undefined, false],
      ["x- is ignored for all", { "x-a": 1, b: 2 }, { b: 2 }, true],
      ["x- is ignored for any", { "x-match": "any", "x-a": 1, b: 2 }, { "x-a": 1 }, false],
      [
        "x- is compared for all-with-x, missing",
        { "x-match": "all-with-x", "x-a": 1, b: 2 },
        { b: 2 },
        false,
      ],
      ["x- is compared for all-with-x, present", { "x-match": "all-with-x", "x-a": 1 }, { "x-a": 1 }, true],
      ["x- is compared for any-with-x", { "x-match": "any-with-x", "x-a": 1, b: 2 }, { "x-a": 1 }, true],
      ["void matches any value", { a: null }, { a: "x" }, true],
      ["void and a missing header", { a: null }, { b: "x" }, false],
      ["a value and void in the message", { a: 1 }, { a: null }, false],
      ["integers of two types", { a: 1 }, { a: new TypedNumber("B", 1) }, true],
      ["an integer and a float", { a: 1 }, { a: new TypedNumber("d", 1) }, true],
      ["64 bits", { a: 1n << 60n }, { a: new TypedNumber("L", 1n << 60n) }, true],
      ["a time and its seconds", { a: new Timestamp(5) }, { a: 5 }, true],
      ["a number and its digits", { a: 1 }, { a: "1" }, false],
      ["a boolean and 1", { a: true }, { a: 1 }, false],
      ["two booleans", { a: true }, { a: true }, true],
      ["text and its bytes", { a: "é" }, { a: new TextEncoder().encode("é") }, true],
      ["bytes that are not text", { a: new Uint8Array([255]) }, { a: new Uint8Array([255]) }, true],
      ["decimals", { a: new Decimal(1, 15) }, { a: new Decimal(1, 15) }, true],
      ["other decimals", { a: new Decimal(1, 15) }, { a: new Decimal(2, 15) }, false],
      ["lists", { a: [1, "x"] }, { a: [1, "x"] }, true],
      ["lists in another order", { a: [1, "x"] }, { a: ["x", 1] }, false],
      ["tables", { a: { b: 1 } }, { a: { b: 1 } }, true],
    ];

describe("exchange types", () => {
  for (const { type, bound, message: [key, headers], found } of CASES) {
    it(`${type} - ${bound.map(([key]) => `'${key}'`).join(" ")} for '${key}'`, () => {
      const matcher = makeMatcher<number>(type, {});
      const routes = bound.map(([routingKey, args], i): Route<number> => {
        return { routingKey, arguments: args ?? {}, destination: i };
      });
      for (const route of routes) matcher.add(route);
      const into: number[] = [];
      matcher.match(key, headersOf(headers), into);
      assert.deepEqual(into.sort(), found);
      for (const route of routes) matcher.remove(route);
      into.length = 0;
      matcher.match(key, headersOf(headers), into);
      assert.deepEqual(into, []);
    });
  }

  for (const [what, args, headers, matches] of HEADERS) {
    it(`headers - ${what}: ${matches ? "matches" : "does not match"}`, () => {
      const matcher = makeMatcher<number>("headers", {});
      matcher.check!(args);
      matcher.add({ routingKey: "k", arguments: args, destination: 1 });
      const into: number[] = [];
      matcher.match("other", headersOf(headers), into);
      assert.deepEqual(into, matches ? [1] : []);
    });
  }
});

const namesOf = (routes: RouteResult) => routes.toArray().map(({ name }) => name);

describe("route result and cache", () => {
  it("route result - has each queue once, with few and with many queues", () => {
    const routes = new RouteResult();
    const queues = Array.from({ length: 50 }, (_, i) => namedQueue(`q${i}`));
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100; i++) routes.add(queues[i % 50]!);
      assert.deepEqual(namesOf(routes), queues.map(({ name }) => name));
      routes.retain((queue) => queues.indexOf(queue) >= 40);
      assert.equal(routes.length, 10);
      routes.take([queues[1]!, queues[2]!]);
      assert.deepEqual(namesOf(routes), ["q1", "q2"]);
      routes.clear();
      assert.deepEqual(namesOf(routes), []);
    }
  });

  it("cache - keys that occur once do not accumulate", () => {
    const cache = new RouteCache();
    const queues = Array.from({ length: 1000 }, (_, i) => namedQueue(`q${i}`));
    let known = 0;
    for (let i = 0; i < 200; i++) cache.set(`k${i}`, queues);
    for (let i = 0; i < 200; i++) if (cache.get(`k${i}`) !== undefined) known++;
    assert.ok(known > 0 && known <= 32, `${known} are kept`);
    assert.equal(cache.get("k199"), queues);
    cache.reset(1, true);
    assert.equal(cache.get("k199"), undefined);
  });
});
