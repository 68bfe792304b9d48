/** The tree of topics. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { utf8 } from "../../../../lib/zmtp/bytes.ts";
import { TopicTree } from "../../../../lib/zmq/outgoing/topic_tree.ts";

describe("topic tree", () => {
  it("remove - leaves no node without a topic", () => {
    const topics = ["", "a", "abc", "abd", "ab", "abcde", "b"].map(utf8);
    const { delete: original } = Map.prototype;
    let found = 0;
    // Each node is an entry of its parent, by the first byte of its label.
    Map.prototype.delete = function (key) {
      const isThere = original.call(this, key);
      assert.ok(isThere);
      found++;
      return isThere;
    };
    try {
      const tree = new TopicTree<number>();
      for (const topic of topics) tree.add(topic, 1);
      for (const topic of topics) assert.equal(tree.remove(topic, 1), 0);
    } finally {
      Map.prototype.delete = original;
    }
    // One for each topic but the root.
    assert.equal(found, topics.length - 1);
  });
});
