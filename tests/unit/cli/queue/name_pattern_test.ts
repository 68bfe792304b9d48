/** Patterns for the names of queues: the matcher and the regular expression agree. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { expressionOf, matchesName } from "../../../../cli/queue/name_pattern.ts";

describe("name patterns", () => {
  it("matchesName - * is any text, everything else is itself", () => {
    for (
      const [pattern, name, expected] of [
        ["jobs", "jobs", true],
        ["jobs", "jobs2", false],
        ["jobs*", "jobs", true],
        ["*mail", "dead-mail", true],
        ["*mail", "dead-mails", false],
        ["a*b*c", "a1b2c", true],
        ["a*b*c", "acb", false],
        ["a*a", "a", false],
        ["*", "", true],
        ["a.c", "abc", false],
        ["(a|b)?", "(a|b)?", true],
      ] as const
    ) assert.equal(matchesName(pattern, name), expected, `${pattern} ${name}`);
  });

  it("expressionOf - matches the same names", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "*", ".", "?", "(", "\\", "+"), maxLength: 8 });
    fc.assert(fc.property(word, word, (pattern, name) => {
      assert.equal(new RegExp(expressionOf(pattern), "su").test(name), matchesName(pattern, name));
    }));
  });
});
