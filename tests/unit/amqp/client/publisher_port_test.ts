/** Which message a broker returned. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Content } from "../../../../lib/amqp/client/content.ts";
import { isReturned } from "../../../../lib/amqp/client/publisher_port.ts";
import { PENDING, type Run } from "../../../../lib/link/run.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** The run has the messages "one" and "three", with properties. */
const RUN: Run = {
  bytes: utf8("xonethree"),
  starts: Int32Array.of(1, 4),
  ends: Int32Array.of(4, 9),
  envelopes: { exchange: "e", routingKey: "k", properties: utf8("pp") },
  states: Uint8Array.of(PENDING, PENDING),
  count: 2,
  left: 2,
  gone: 0,
  goneRefused: false,
  firstTag: 1,
  outcome: undefined,
};

describe("returned messages", () => {
  const cases: [
    what: string,
    index: number,
    exchange: string,
    key: string,
    properties: string,
    body: string,
    exact: boolean,
    expected: boolean,
  ][] = [
    ["the first message", 0, "e", "k", "pp", "one", true, true],
    ["the second message", 1, "e", "k", "pp", "three", true, true],
    ["another exchange", 0, "f", "k", "pp", "one", true, false],
    ["another key", 0, "e", "l", "pp", "one", true, false],
    ["another body of the same length", 0, "e", "k", "pp", "two", true, false],
    ["a body with another last byte", 0, "e", "k", "pp", "onf", true, false],
    ["a shorter body", 0, "e", "k", "pp", "on", true, false],
    ["a longer body", 0, "e", "k", "pp", "onet", true, false],
    ["an empty body", 0, "e", "k", "pp", "", true, false],
    ["other properties", 0, "e", "k", "pq", "one", true, false],
    ["more properties", 0, "e", "k", "ppp", "one", true, false],
    ["other properties, which a broker may change", 0, "e", "k", "q", "one", false, true],
    ["another body, when a broker may change properties", 0, "e", "k", "pp", "two", false, false],
  ];
  for (const [what, index, exchange, key, properties, body, exact, expected] of cases) {
    it(`return - ${what} is ${expected ? "" : "not "}the message`, () => {
      const content = {
        properties: utf8(`${properties}, and more`),
        propertiesEnd: properties.length,
        body: utf8(`>>${body}<<`),
        bodyStart: 2,
        bodyEnd: 2 + body.length,
      };
      assert.equal(isReturned(RUN, index, exchange, key, content as Content, exact), expected);
    });
  }
});
