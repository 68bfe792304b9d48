/** Policies and limits from JSON: which ones are refused, with the exact texts, and what they apply to. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { JsonObject } from "../../../../../lib/broker/core/definitions/json_object.ts";
import type { Json } from "../../../../../lib/broker/core/definitions/table.ts";
import { limitOf, readLimits } from "../../../../../lib/broker/core/policies/limits.ts";
import {
  appliesTo,
  PolicyError,
  policyToJson,
  readPolicy,
} from "../../../../../lib/broker/core/policies/policy.ts";

type Row = { [name: string]: Json };

/** The policy in the form of RabbitMQ, or the mistakes. */
function read(json: Row, operator: boolean): string {
  try {
    const policy = readPolicy(new JsonObject("", json), "v", "n", operator);
    return JSON.stringify(policyToJson(policy)).replace('{"vhost":"v","name":"n",', "{");
  } catch (error) {
    assert.ok(error instanceof PolicyError, String(error));
    assert.equal(error.message, `Validation failed\n\n${error.mistakes.join("\n")}\n`);
    return error.mistakes.join(" | ");
  }
}

const LENGTH = { "max-length": 1 };

const CASES: readonly [what: string, json: Row, expected: string, operator?: boolean][] = [
  [
    "the least",
    { pattern: "", definition: LENGTH },
    '{"pattern":"","apply-to":"all","definition":{"max-length":1},"priority":0}',
  ],
  [
    "everything",
    { pattern: "^a", definition: LENGTH, "apply-to": "exchanges", priority: -3 },
    '{"pattern":"^a","apply-to":"exchanges","definition":{"max-length":1},"priority":-3}',
  ],
  ["nothing", {}, "no policy provided | pattern should be a binary but was undefined"],
  [
    "a wrong type for each",
    { pattern: 1, definition: LENGTH, "apply-to": 7, priority: "1" },
    `apply-to '7' unrecognised; should be one of 'all', 'queues', 'exchanges', 'classic_queues', 'quorum_queues', 'streams' | pattern should be a binary but was 1 | priority should be a number, actually was <<"1">>`,
  ],
  [
    "an unknown kind",
    { pattern: "", definition: LENGTH, "apply-to": "books" },
    "apply-to 'books' unrecognised; should be one of 'all', 'queues', 'exchanges', 'classic_queues', 'quorum_queues', 'streams'",
  ],
  [
    "a malformed pattern",
    { pattern: "(", definition: LENGTH },
    "pattern should be regular expression but is invalid: Cannot use the pattern '(': it is not a regular expression (missing closing ): `(`)",
  ],
  [
    "unknown settings",
    { pattern: "", definition: { ...LENGTH, paper: "x", toString: 1 } },
    '[{<<"paper">>,<<"x">>},{<<"toString">>,1}] are not recognised policy settings',
  ],
  [
    "a setting that is no number",
    { pattern: "", definition: { "max-length": "1" } },
    '<<"1">> is not a valid maximum length',
  ],
  [
    "a setting with a fraction",
    { pattern: "", definition: { "max-length": 1.5 } },
    "1.5 is not a valid maximum length",
  ],
  [
    "a setting that is no text",
    { pattern: "", definition: { "dead-letter-exchange": 1 } },
    "1 is not a valid dead letter exchange name",
  ],
  [
    "a setting of null",
    { pattern: "", definition: { "alternate-exchange": null } },
    "undefined is not a valid alternate exchange name",
  ],
  [
    "an unknown value",
    { pattern: "", definition: { overflow: "burn" } },
    '<<"burn">> is not a valid overflow value',
  ],
  [
    "settings of other products",
    { pattern: "", definition: { "federation-upstream": 1, "ha-params": [1] } },
    '{"pattern":"","apply-to":"all","definition":{"federation-upstream":1,"ha-params":[1]},"priority":0}',
  ],
  [
    "a limit for operators",
    { pattern: "", definition: LENGTH },
    '{"pattern":"","apply-to":"all","definition":{"max-length":1},"priority":0}',
    true,
  ],
  [
    "a setting that operators do not have",
    { pattern: "", definition: { overflow: "drop-head" } },
    '[{<<"overflow">>,<<"drop-head">>}] are not recognised policy settings',
    true,
  ],
];

describe("policies from JSON", () => {
  for (const [what, json, expected, operator = false] of CASES) {
    it(`policy - ${what}`, () => {
      const said = read(json, operator);
      assert.equal(said, expected);
    });
  }

  it("policy - the settings that operators have", () => {
    const forOperators = [
      "message-ttl",
      "expires",
      "max-length",
      "max-length-bytes",
      "max-in-memory-length",
      "max-in-memory-bytes",
      "delivery-limit",
    ];
    const keys = [
      "alternate-exchange",
      "dead-letter-exchange",
      "dead-letter-routing-key",
      "dead-letter-strategy",
      ...forOperators,
      "overflow",
      "queue-mode",
      "queue-version",
    ];
    const values: Row = {
      overflow: "drop-head",
      "queue-mode": "lazy",
      "queue-version": 2,
      "dead-letter-strategy": "at-most-once",
    };
    const isRead = (key: string, operator: boolean) => {
      for (const value of [values[key] ?? null, 5, "x"]) {
        if (
          value !== null &&
          !read({ pattern: "", definition: { [key]: value } }, operator).includes("not a valid")
        ) {
          return read({ pattern: "", definition: { [key]: value } }, operator).startsWith("{");
        }
      }
      return false;
    };
    assert.deepEqual(keys.filter((key) => isRead(key, false)).length, keys.length);
    assert.deepEqual(keys.filter((key) => isRead(key, true)), forOperators);
  });

  it("policy - the kinds of objects that it applies to", () => {
    const kinds = ["exchange", "classic", "quorum"] as const;
    const applied = (applyTo: string, definition: Row = LENGTH) => {
      const policy = { vhost: "v", name: "n", pattern: "", applyTo, priority: 0, definition };
      return kinds.filter((kind) => appliesTo(policy, kind)).join(" ");
    };
    const rows = ["all", "queues", "exchanges", "classic_queues", "quorum_queues", "streams"].map((one) =>
      `${one}: ${applied(one)}`
    );
    assert.deepEqual(rows, [
      "all: exchange classic quorum",
      "queues: classic quorum",
      "exchanges: exchange",
      "classic_queues: classic",
      "quorum_queues: quorum",
      "streams: ",
    ]);
    const byKey = [
      "delivery-limit",
      "queue-mode",
      "max-age",
      "dead-letter-strategy",
      "queue-master-locator",
      "queue-leader-locator",
      "initial-cluster-size",
      "stream-max-segment-size-bytes",
      "ha-mode",
      "ha-params",
      "ha-sync-mode",
      "ha-sync-batch-size",
      "unknown",
    ].map((key) => `${key}: ${applied("all", { [key]: 1 })}`);
    assert.deepEqual(byKey, [
      "delivery-limit: exchange quorum",
      "queue-mode: exchange classic",
      "max-age: exchange",
      "dead-letter-strategy: exchange quorum",
      "queue-master-locator: exchange classic",
      "queue-leader-locator: exchange quorum",
      "initial-cluster-size: exchange",
      "stream-max-segment-size-bytes: exchange",
      "ha-mode: exchange classic",
      "ha-params: exchange classic",
      "ha-sync-mode: exchange classic",
      "ha-sync-batch-size: exchange classic quorum",
      "unknown: exchange classic quorum",
    ]);
  });
});

describe("limits", () => {
  const said = (json: Row, kind: "vhost" | "user") => {
    try {
      return JSON.stringify(readLimits(json, kind));
    } catch (error) {
      return `${(error as Error).constructor.name} ${(error as Error).message}`;
    }
  };

  it("limits - each kind has its own", () => {
    const both = { "max-connections": 1, "max-queues": -1, "max-channels": 0 };
    assert.deepEqual([said(both, "vhost"), said(both, "user")], [
      'PolicyError Validation failed\n\nUnrecognised terms [{<<"max-channels">>,0}] in limits\n',
      'RangeError Unrecognised terms [{<<"max-queues">>,-1}] in user-limits',
    ]);
    const wrong = { "max-connections": 1.5 };
    assert.deepEqual([said(wrong, "vhost"), said({ "max-connections": "1", other: null }, "user")], [
      "PolicyError Validation failed\n\nmax-connections should be a number, actually was 1.5\n",
      'RangeError max-connections should be a number, actually was <<"1">>\nUnrecognised terms [{<<"other">>,undefined}] in user-limits',
    ]);
    assert.deepEqual([said({ "max-queues": -5 }, "vhost"), said({}, "user")], ['{"max-queues":-5}', "{}"]);
  });

  it("limits - a negative limit means no limit", () => {
    const limits = { a: -1, b: 0, c: 1 };
    assert.deepEqual([..."abcd"].map((name) => String(limitOf(limits, name))), [
      "Infinity",
      "0",
      "1",
      "Infinity",
    ]);
    assert.equal(limitOf(undefined, "a"), Infinity);
  });
});
