/** Counts by topic. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { countRecord, TopicCounts, topicText } from "../../../../cli/records/topic_counts.ts";

describe("topic counts", () => {
  it("rows - the highest rates first, then the most messages; the total is their sum", () => {
    const counts = new TopicCounts();
    for (const [topic, size] of [["a", 1], ["b", 10], ["b", 20], ["c", 5]] as const) {
      counts.count(topic, size);
    }
    assert.deepEqual(counts.rows().map(({ topic, messages, bytes }) => [topic, messages, bytes]), [
      ["b", 2, 30],
      ["a", 1, 1],
      ["c", 1, 5],
    ]);
    counts.tick();
    counts.count("c", 5);
    counts.tick();
    assert.deepEqual(counts.rows().map(({ topic, rate }) => [topic, rate > 0]), [["c", true], ["b", false], [
      "a",
      false,
    ]]);
    counts.finish();
    assert.ok(counts.rows().every(({ rate, byteRate }) => rate > 0 && byteRate > 0));
    assert.deepEqual([counts.total().messages, counts.total().bytes], [5, 41]);
  });

  it("count - topics beyond the limit are counted together", () => {
    const counts = new TopicCounts();
    for (let n = 0; n < 10_500; n++) counts.count(`topic ${n}`, 1);
    assert.equal(counts.rows().length, 10_001);
    assert.deepEqual([counts.rows()[0]!.topic, counts.rows()[0]!.messages], ["(other topics)", 500]);
  });

  it("names - control characters are escaped, and rates of records are rounded", () => {
    assert.equal(topicText("a\x1bb"), "a\\u001bb");
    assert.deepEqual(countRecord({ topic: "", messages: 1, bytes: 2, rate: 1 / 3, byteRate: 2 / 3 }), {
      topic: "",
      messages: 1,
      bytes: 2,
      rate: 0.3,
      byte_rate: 0.7,
    });
  });
});
