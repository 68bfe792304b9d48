/** The settings of queues: any combination of arguments, policy and operator policy. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseSettings, type QueueSettings } from "../../lib/broker/core/queue/settings.ts";
import { mergeDefinitions, PolicyError, readPolicy } from "../../lib/broker/core/policies/policy.ts";
import { JsonObject } from "../../lib/broker/core/definitions/json_object.ts";

const NUMBERS = {
  "message-ttl": "messageTtl",
  "expires": "expires",
  "max-length": "maxLength",
  "max-length-bytes": "maxLengthBytes",
} as const satisfies { [key: string]: keyof QueueSettings };

const TEXTS = {
  "dead-letter-exchange": "deadLetterExchange",
  "dead-letter-routing-key": "deadLetterRoutingKey",
  "overflow": "overflow",
} as const satisfies { [key: string]: keyof QueueSettings };

const numbers = fc.record(
  Object.fromEntries(Object.keys(NUMBERS).map((key) => [key, fc.integer({ min: 1, max: 1000 })])),
  { requiredKeys: [] },
) as fc.Arbitrary<{ [key: string]: number }>;

const texts = fc.record({
  "dead-letter-exchange": fc.constantFrom("", "a", "b"),
  "dead-letter-routing-key": fc.constantFrom("", "a", "b"),
  "overflow": fc.constantFrom("drop-head", "reject-publish", "reject-publish-dlx"),
}, { requiredKeys: ["dead-letter-exchange"] }) as fc.Arbitrary<{ [key: string]: string }>;

const definition = fc.tuple(numbers, texts).map(([some, others]) => ({ ...some, ...others }));

describe("policies, values", () => {
  it("values - numbers have the lowest values of RabbitMQ", () => {
    const lowest: [key: string, lowest: number][] = [
      ["message-ttl", 0],
      ["expires", 1],
      ["max-length", 0],
      ["max-length-bytes", 0],
      ["max-in-memory-length", 0],
      ["max-in-memory-bytes", 0],
      ["delivery-limit", 0],
      ["initial-cluster-size", 0],
      ["stream-max-segment-size-bytes", 0],
    ];
    for (const [key, least] of lowest) {
      const read = (value: number) =>
        readPolicy(new JsonObject("policy", { pattern: "", definition: { [key]: value } }), "/", "p", false);
      assert.equal(read(least).definition[key], least);
      assert.equal(read(least + 1).definition[key], least + 1);
      assert.throws(() => read(least - 1), PolicyError);
    }
  });
});

describe("policies, settings", () => {
  it("settings - the smallest number and the first text are effective in a classic queue", () => {
    fc.assert(fc.property(definition, definition, numbers, (own, policy, operator) => {
      const args = Object.fromEntries(Object.entries(own).map(([key, value]) => [`x-${key}`, value]));
      const settings = parseSettings("q", "/", args, mergeDefinitions(policy, operator));
      for (const [key, field] of Object.entries(NUMBERS)) {
        const all = [own, policy, operator].map((one) => (one as { [key: string]: number })[key] ?? Infinity);
        assert.equal(settings[field], Math.min(...all), key);
      }
      for (const [key, field] of Object.entries(TEXTS)) {
        const [first] = [own, policy].flatMap((one) => (one as { [key: string]: string })[key] ?? []);
        assert.equal(settings[field], first ?? (key === "overflow" ? "drop-head" : undefined), key);
      }
    }));
  });
});
