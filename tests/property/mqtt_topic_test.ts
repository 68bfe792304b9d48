/** The tree of topics finds the same entries as a comparison of each filter with each topic. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isTopicFilter, isTopicName } from "../../lib/mqtt/topic.ts";
import { TopicTree } from "../../lib/mqtt/topic_tree.ts";
import { topicMatches } from "../support/topic_matches.ts";

const level = fc.constantFrom("", "a", "b", "$s", "é");
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((all) => all.join("/")).filter((one) =>
  one !== ""
);
const filter = fc.tuple(
  fc.array(fc.oneof(level, fc.constant("+")), { minLength: 1, maxLength: 4 }),
  fc.boolean(),
)
  .map(([levels, rest]) => [...levels, ...(rest ? ["#"] : [])].join("/"))
  .filter((one) => one !== "");

const many = { maxLength: 40, size: "max" } as const;

/** A tree with these keys; some were added and removed again. */
function treeOf(keys: readonly string[], removed: readonly string[]): TopicTree<string> {
  const tree = new TopicTree<string>();
  for (const key of [...removed, ...keys]) tree.set(key, key);
  for (const key of removed) if (!keys.includes(key)) tree.delete(key);
  return tree;
}

function found(match: (visit: (value: string) => void) => void): string[] {
  const all: string[] = [];
  match((value) => all.push(value));
  return all.sort();
}

describe("mqtt topics", () => {
  it("tree - finds the filters that match a topic", () => {
    fc.assert(
      fc.property(fc.uniqueArray(filter, many), fc.array(filter, many), topic, (filters, removed, topic) => {
        const tree = treeOf(filters, removed);
        assert.equal(tree.size, filters.length);
        const expected = filters.filter((one) => topicMatches(one, topic)).sort();
        assert.deepEqual(found((visit) => tree.matchTopic(topic, visit)), expected);
      }),
      { numRuns: 500 },
    );
  });

  it("tree - finds the topics that a filter matches", () => {
    fc.assert(
      fc.property(fc.uniqueArray(topic, many), fc.array(topic, many), filter, (topics, removed, filter) => {
        const tree = treeOf(topics, removed);
        const expected = topics.filter((one) => topicMatches(filter, one)).sort();
        assert.deepEqual(found((visit) => tree.matchFilter(filter, visit)), expected);
        assert.deepEqual(found((visit) => tree.forEach(visit)), [...topics].sort());
      }),
      { numRuns: 500 },
    );
  });

  it("tree - is empty after everything was removed", () => {
    fc.assert(fc.property(fc.uniqueArray(filter, many), (filters) => {
      const tree = treeOf(filters, []);
      for (const one of filters) assert.equal(tree.delete(one), one);
      assert.equal(tree.size, 0);
      assert.deepEqual(found((visit) => tree.forEach(visit)), []);
    }));
  });

  it("names and filters - every name is a filter without wildcards", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "/", "+", "#", "$", "\0"), maxLength: 6 }),
        (text) => {
          assert.equal(isTopicName(text), isTopicFilter(text) && !/[+#]/.test(text));
        },
      ),
    );
  });
});
