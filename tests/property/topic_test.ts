/** Topic exchanges compared with a direct implementation of their definition. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Route, ScannedHeaders } from "../../lib/broker/core/exchange/contract.ts";
import { TopicMatcher } from "../../lib/broker/core/exchange/topic.ts";

const TIMEOUT = { timeout: 60_000 };
const HEADERS = new ScannedHeaders();

const key = (words: readonly string[]) =>
  fc.array(fc.constantFrom(...words), { maxLength: 6 }).map((list) => list.join("."));
const patterns = fc.array(key(["a", "b", "", "*", "#"]), { minLength: 1, maxLength: 12, size: "max" });
const keys = fc.array(key(["a", "b", "", "*", "#", "c"]), { minLength: 1, maxLength: 12, size: "max" });

/** Whether a pattern matches: `*` is one word, and `#` any number of words. */
function matches(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === "#") {
    return Array.from({ length: words.length + 1 }, (_, i) => i).some((i) => matches(rest, words.slice(i)));
  }
  return words.length > 0 && (first === "*" || first === words[0]) && matches(rest, words.slice(1));
}

const words = (text: string) => text === "" ? [] : text.split(".");

function found(matcher: TopicMatcher<number>, routingKey: string): number[] {
  const into: number[] = [];
  matcher.match(routingKey, HEADERS, into);
  return into.sort((a, b) => a - b);
}

describe("topic", () => {
  it(
    "topic - finds the same bindings as the definition, each once, and none after its removal",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(
          patterns,
          keys,
          fc.array(fc.boolean(), { maxLength: 12, size: "max" }),
          (patterns, keys, removed) => {
            const matcher = new TopicMatcher<number>();
            const routes = patterns.map((routingKey, i): Route<number> => ({
              routingKey,
              destination: i,
              arguments: {},
            }));
            for (const route of routes) matcher.add(route);
            const check = (left: readonly Route<number>[]) => {
              for (const key of keys) {
                const expected = left.filter((route) => matches(words(route.routingKey), words(key)));
                assert.deepEqual(found(matcher, key), expected.map((route) => route.destination));
              }
            };
            check(routes);
            routes.forEach((route, i) => removed[i] === true && matcher.remove(route));
            check(routes.filter((_, i) => removed[i] !== true));
            for (const route of routes) matcher.remove(route);
            check([]);
          },
        ),
        { numRuns: 500 },
      );
    },
  );

  it("topic - the cost of many # in a pattern is at most words times nodes", TIMEOUT, () => {
    const matcher = new TopicMatcher<number>();
    matcher.add({ routingKey: "#.a.".repeat(60) + "b", destination: 1, arguments: {} });
    matcher.add({ routingKey: "#.a.".repeat(60) + "#", destination: 2, arguments: {} });
    assert.deepEqual(found(matcher, "a.".repeat(126) + "a"), [2]);
    assert.deepEqual(found(matcher, "a.".repeat(126) + "b"), [1, 2]);
  });
});
