/** The table of `queue top`. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { durationText, shortBytes, shortNumber } from "../../../../cli/app/text.ts";
import type { QueueSample, Sample } from "../../../../cli/queue/top/sample.ts";
import { PLAIN, screenLines, sparkline, tableLines, type View } from "../../../../cli/queue/top/table.ts";

const QUEUE: QueueSample = {
  name: "jobs",
  type: "quorum",
  ready: 123_456,
  unacked: 7,
  consumers: 2,
  in: 1.26,
  out: undefined,
  acks: 0,
  memory: 1536,
  age: 200,
};
const VIEW: View = {
  sort: "ready",
  ascending: false,
  pattern: "",
  page: 0,
  frozen: false,
  typing: undefined,
};

function sampleOf(queues: readonly QueueSample[], alarms: readonly string[] = []): Sample {
  const totals = { ready: 9, unacked: 8, in: 7, out: 6, acks: 5, consumers: 4, connections: 3 };
  return { queues, totals: { queues: queues.length, ...totals, alarms } };
}

describe("queue top", () => {
  it("table - aligns numbers to the right, marks the sorted column, and writes - for what is not known", () => {
    assert.deepEqual(tableLines([QUEUE], VIEW, Infinity, PLAIN), [
      "name          type    ready↓  unacked  in/s  out/s  ack/s  cons  memory      oldest",
      "jobs          quorum    123k        7   1.3      -      0     2   1.50K  3 min 20 s",
    ]);
  });

  it("screen - fits any size of a terminal, and shows alarms and keys", () => {
    const many = Array.from({ length: 100 }, (_, at) => ({ ...QUEUE, name: `queue-with-a-long-name-${at}` }));
    for (const width of [20, 80, 200]) {
      for (const height of [3, 10, 60]) {
        const lines = screenLines(
          sampleOf(many, ["memory alarm on rabbit@one"]),
          VIEW,
          { width, height },
          PLAIN,
          new Map(many.map(({ name }) => [name, [1, 2, 3]])),
        );
        assert.equal(lines.length, height);
        assert.ok(lines.every((line) => line.length <= width), `${width}x${height}: ${lines.join("\n")}`);
        assert.match(lines.at(-1)!, /^q quit/);
        if (height > 3) assert.match(lines[1]!, /^! memory alarm/);
      }
    }
  });

  it("screen - shows the control characters of a name as escapes", () => {
    const lines = screenLines(
      sampleOf([{ ...QUEUE, name: "a\x1b[2Jb" }]),
      { ...VIEW, typing: "\x1b" },
      { width: 80, height: 10 },
      PLAIN,
      new Map(),
    );
    assert.ok(lines.every((line) => !/\p{Cc}/u.test(line)));
    assert.match(lines.join("\n"), /a\\u001b\[2Jb/);
  });

  it("sparkline - goes from zero to the largest value", () => {
    assert.equal(sparkline([0, 5, 10], 5), "  ▁▅█");
    assert.equal(sparkline([0, 0], 2), "▁▁");
    assert.equal(sparkline([1, 2, 3], 0), "");
  });

  it("numbers - are short", () => {
    assert.deepEqual([0, 9.26, 10.4, 99_999, 100_000, 4_560_000, 1e12].map(shortNumber), [
      "0",
      "9.3",
      "10",
      "99999",
      "100k",
      "4.56M",
      "1.00T",
    ]);
    assert.deepEqual([512, 1023.9, 1024, 12_600, 1024 ** 3].map(shortBytes), [
      "512",
      "1.00K",
      "1.00K",
      "12.3K",
      "1.00G",
    ]);
    assert.deepEqual([0.2, 59, 60, 3599, 7200, 100_000].map(durationText), [
      "1 s",
      "59 s",
      "1 min 0 s",
      "59 min 59 s",
      "2 h 0 min",
      "1 d 3 h",
    ]);
  });
});
