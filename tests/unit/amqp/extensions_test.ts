/** The formats of mqcat's own extensions: positions of messages, messages to restore, and dead letters that return. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import { isCapable } from "../../../lib/amqp/capabilities.ts";
import { decodeRestored, encodeRestored, placeOf, positionOf } from "../../../lib/amqp/dump.ts";
import { type BasicProperties, decodeProperties, encodeProperties } from "../../../lib/amqp/properties.ts";
import { revive } from "../../../lib/amqp/revival.ts";
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";
import { checkLogicalEnd } from "../../support/logical_end.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array, start: number, end: number) =>
  new TextDecoder().decode(bytes.subarray(start, end));

describe("positions", () => {
  it("positions - ascend from the last lane to the first, and name lane and number again", () => {
    const LANE = 2 ** 44;
    for (
      const [lanes, lane, seq, position] of [
        [1, 0, 0, 0],
        [1, 0, 7, 7],
        [1, 0, LANE - 1, LANE - 1],
        [4, 3, 5, 5],
        [4, 2, 0, LANE],
        [4, 0, 9, 3 * LANE + 9],
        [256, 0, 1, 255 * LANE + 1],
      ] as const
    ) {
      assert.equal(positionOf(lanes, lane, seq), position);
      assert.deepEqual(placeOf(lanes, position), { lane, seq });
    }
  });
});

describe("messages to restore", () => {
  const message = {
    exchange: "amq.topic",
    routingKey: "a.ü",
    properties: Uint8Array.of(1, 2, 3),
    body: encode("body"),
    redelivered: true,
  };

  it("restore - the bytes on the wire", () => {
    const bytes = encodeRestored({ ...message, exchange: "x", routingKey: "yz", body: encode("b") }, "p");
    assert.deepEqual([...bytes], [1, 0, 0, 0, 3, 1, 112, 1, 120, 2, 121, 122, 1, 2, 3, 98]);
  });

  it("restore - all parts come back, from any position of a buffer", () => {
    for (const redelivered of [true, false]) {
      for (const progress of ["", "mqcat.restore.q"]) {
        const bytes = encodeRestored({ ...message, redelivered }, progress);
        const buffer = new Uint8Array(bytes.length + 10).fill(0xff);
        buffer.set(bytes, 7);
        const found = decodeRestored(buffer, 7, 7 + bytes.length);
        assert.deepEqual([found.progress, found.exchange, found.routingKey, found.redelivered], [
          progress,
          message.exchange,
          message.routingKey,
          redelivered,
        ]);
        const { head, routeStart, propertiesStart, propertiesEnd, body, bodyStart, bodyEnd } = found.message;
        assert.deepEqual([...head.subarray(propertiesStart, propertiesEnd)], [1, 2, 3]);
        assert.equal(decode(body, bodyStart, bodyEnd), "body");
        assert.equal(decode(head, routeStart, propertiesStart), "\x09amq.topic\x04a.ü");
      }
    }
  });

  it("restore - other flags do not count", () => {
    const bytes = encodeRestored({ ...message, redelivered: false }, "");
    bytes[0] = 0xfe;
    assert.equal(decodeRestored(bytes, 0, bytes.length).redelivered, false);
    bytes[0] = 0xff;
    assert.equal(decodeRestored(bytes, 0, bytes.length).redelivered, true);
  });

  it("restore - names have at most 255 bytes", () => {
    for (const name of ["é".repeat(127) + "a", ""]) {
      const bytes = encodeRestored({ ...message, exchange: name, routingKey: name }, name);
      const found = decodeRestored(bytes, 0, bytes.length);
      assert.deepEqual([found.progress, found.exchange, found.routingKey], [name, name, name]);
    }
    const long = "é".repeat(128);
    for (
      const [exchange, routingKey, progress] of [[long, "", ""], ["", long, ""], ["", "", long]] as const
    ) {
      assert.throws(() => encodeRestored({ ...message, exchange, routingKey }, progress), {
        name: "RangeError",
        message: `Cannot restore into a queue as '${long}' is over 255 bytes long`,
      });
    }
  });

  it("restore - a message that is cut before its body is malformed, whatever follows it", () => {
    const bytes = encodeRestored({ ...message, body: new Uint8Array(0) }, "p");
    const read = (buffer: Uint8Array, start: number, end: number) => {
      const { message, ...names } = decodeRestored(buffer, start, end);
      const { routeStart, propertiesStart, propertiesEnd, bodyStart, bodyEnd } = message;
      return [
        names,
        [routeStart, propertiesStart, propertiesEnd, bodyStart, bodyEnd].map((at) => at - start),
      ];
    };
    assert.deepEqual(checkLogicalEnd(read, bytes), [bytes.length]);
    assert.throws(
      () => decodeRestored(bytes, 0, bytes.length - 1),
      (error) => error instanceof AmqpError && error.replyCode === 501,
    );
    const empty = encodeRestored(
      { ...message, exchange: "", routingKey: "", properties: new Uint8Array(0) },
      "",
    );
    assert.deepEqual(checkLogicalEnd(read, empty.slice(0, 8)), [8]);
  });
});

describe("dead letters that return", () => {
  const table = (entries: FieldTable): FieldTable => Object.assign(Object.create(null), entries);
  const revived = (properties: BasicProperties, from: string, to?: string) => {
    const found = revive(encodeProperties(properties), from, to);
    if (found === undefined) return undefined;
    const { headers, ...rest } = decodeProperties(found.properties);
    return [found.queue, rest, headers && { ...headers }];
  };
  const death = (...queues: unknown[]) => ({
    "x-death": queues.map((queue) => table({ queue: queue as string })),
  });

  it("revive - to the queue of the last death before the present queue, or to the given one", () => {
    const cases: [headers: FieldTable | undefined, to: string | undefined, queue: string | undefined][] = [
      [death("jobs"), undefined, "jobs"],
      [death("jobs"), "other", "other"],
      [death("dead", "jobs", "first"), undefined, "jobs"],
      [death("dead"), undefined, undefined],
      [{ ...death("dead"), "x-first-death-queue": "first" }, undefined, "first"],
      [{ "x-first-death-queue": "first" }, undefined, "first"],
      [{ "x-first-death-queue": "dead" }, undefined, undefined],
      [{ "x-first-death-queue": 7 }, undefined, undefined],
      [{ ...death(7, "jobs") }, undefined, "jobs"],
      [{ "x-death": ["jobs", null, [table({ queue: "no" })], table({ queue: "yes" })] }, undefined, "yes"],
      [{ "x-death": "jobs" }, undefined, undefined],
      [{}, undefined, undefined],
      [undefined, undefined, undefined],
      [undefined, "other", "other"],
    ];
    for (const [headers, to, queue] of cases) {
      const found = revived(headers === undefined ? {} : { headers }, "dead", to);
      assert.equal(found?.[0], queue, JSON.stringify(headers));
    }
  });

  it("revive - without the headers of deaths and copies, and with all others", () => {
    const kept = { "x-deaths": 1, "X-death": 2, "x-delay": 3, BCCC: 4, cc: 5, "first-death-queue": 6 };
    const removed = {
      ...death("jobs"),
      "x-first-death-queue": "jobs",
      "x-first-death-reason": "rejected",
      "x-last-death-exchange": "",
      CC: ["a"],
      BCC: ["b"],
    };
    assert.deepEqual(revived({ contentType: "a/b", priority: 3, headers: { ...removed, ...kept } }, "dead"), [
      "jobs",
      { contentType: "a/b", priority: 3 },
      kept,
    ]);
    assert.deepEqual(revived({ contentType: "a/b", headers: removed }, "dead"), [
      "jobs",
      { contentType: "a/b" },
      undefined,
    ]);
  });
});

describe("capabilities", () => {
  it("capability - is announced only by true", () => {
    const properties = (capabilities: FieldTable) => ({ capabilities });
    assert.equal(isCapable(properties({ a: true }), "a"), true);
    for (const other of [false, 1, "true", null]) {
      assert.equal(isCapable(properties({ a: other }), "a"), false);
    }
    assert.deepEqual([{}, { capabilities: null }, properties({})].map((given) => isCapable(given, "a")), [
      false,
      false,
      false,
    ]);
  });
});
