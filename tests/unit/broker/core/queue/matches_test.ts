/** The search for messages that match a filter, and their delivery in turn. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MqcatError } from "../../../../../lib/errors.ts";
import type { Filter } from "../../../../../lib/filter/filter.ts";
import { encodeMessage } from "../../../../../lib/broker/core/message.ts";
import {
  type FilteredConsumer,
  FilteredDispatch,
} from "../../../../../lib/broker/core/queue/filtered_dispatch.ts";
import { Lane } from "../../../../../lib/broker/core/queue/lane.ts";
import { CLOCK_EVERY, END, FOUND, Matches, PAUSED } from "../../../../../lib/broker/core/queue/matches.ts";
import { waitFor } from "../../../../support/helpers.ts";

/** A queue of letters in lanes; each letter is its message. */
function source(...lanes: readonly string[]) {
  const queue = {
    lanes: lanes.map(() => new Lane()),
    letters: lanes.map((letters) => [...letters]),
    messageAt: (lane: number, seq: number) => {
      const letter = queue.letters[lane]![seq]!;
      return letter === "?"
        ? undefined
        : encodeMessage({ exchange: "", routingKey: letter }, {}, new Uint8Array(0));
    },
    push(lane: number, letter: string, expiry = 0) {
      queue.letters[lane]!.push(letter);
      queue.lanes[lane]!.push(1, 0, 0, expiry);
    },
  };
  for (const [lane, letters] of lanes.entries()) for (const _ of letters) queue.lanes[lane]!.push(1, 0, 0, 0);
  return queue;
}

/** Matches lower case letters, cannot test "!", and fails for "#". */
const LOWER = {
  matches(message: { topic(): string }) {
    const letter = message.topic();
    if (letter === "!") throw new MqcatError("ERR_FILTER" as never, "too large");
    if (letter === "#") throw new TypeError("bug");
    return letter >= "a";
  },
} as unknown as Filter;

const later = () => performance.now() + 1e6;

/** All that is found, as lane and letter. */
function all(matches: Matches, queue: ReturnType<typeof source>, now = 0): string {
  let found = "";
  while (matches.next(now, later()) === FOUND) {
    found += `${matches.lane}${queue.letters[matches.lane]![matches.seq]}`;
    assert.ok(matches.message !== undefined);
  }
  return found;
}

describe("matches", () => {
  it("matches - each message once, the highest lane first, and later ones if it follows", () => {
    const queue = source("aBc", "dE");
    const [following, ending] = [new Matches(queue, LOWER, true), new Matches(queue, LOWER, false)];
    queue.push(1, "f");
    queue.push(0, "g");
    assert.deepEqual([all(following, queue), all(ending, queue)], ["1d1f0a0c0g", "1d0a0c"]);
    assert.deepEqual([following.tested, ending.tested], [7, 5]);
    assert.deepEqual([all(following, queue), all(ending, queue)], ["", ""]);
    queue.push(1, "h");
    assert.deepEqual([all(following, queue), all(ending, queue)], ["1h", ""]);
    assert.equal(following.tested, 8);
  });

  it("matches - a message that was given back is tested again, unless it is no longer ready", () => {
    const queue = source("abcd");
    const matches = new Matches(queue, LOWER, true);
    // Neither the next one to be tested, nor a later one.
    for (const seq of [0, 2]) matches.returned(0, seq);
    assert.equal(all(matches, queue), "0a0b0c0d");
    assert.equal(matches.tested, 4);
    for (const seq of [3, 1, 0]) matches.returned(0, seq);
    queue.lanes[0]!.take();
    assert.equal(all(matches, queue), "0b0d");
    assert.equal(all(matches, queue), "");
  });

  it("matches - nothing that has expired, is damaged, or cannot be tested", () => {
    const queue = source("", "?a!b");
    queue.push(0, "x", 100);
    queue.push(0, "y", 101);
    const matches = new Matches(queue, LOWER, true);
    assert.equal(all(matches, queue, 100), "1a1b0y");
    assert.deepEqual([matches.tested, matches.untestable], [4, 1]);
    const plain = new Matches(queue, undefined, false);
    assert.equal(all(plain, queue, 100), "1a1!1b0y");
    assert.deepEqual([plain.tested, plain.untestable], [4, 0]);
    assert.throws(() => all(new Matches(source("#"), LOWER, true), source("#")), /bug/);
  });

  it("matches - looks at the clock after every eight messages that do not match", () => {
    const queue = source("A".repeat(20) + "a");
    const matches = new Matches(queue, LOWER, true);
    const seen: unknown[] = [];
    for (let result: unknown = PAUSED; result === PAUSED;) {
      seen.push([result = matches.next(0, 0), matches.tested]);
    }
    assert.equal(CLOCK_EVERY, 8);
    assert.deepEqual(seen, [[PAUSED, 8], [PAUSED, 16], [FOUND, 21]]);
    assert.equal(matches.next(0, 0), END);
  });
});

describe("filtered dispatch", () => {
  /** Consumers that find the given numbers of messages, then pause once if `pauses`, then nothing. */
  function scene(
    ...counts:
      (readonly [tag: string, count: number, options?: { waits?: false; drain?: true; pauses?: true }])[]
  ) {
    const steps: string[] = [];
    const filtered = counts.map(([tag, count, { waits = true, drain = false, pauses = false } = {}]) => {
      let left = count;
      let isPausing = pauses;
      const matches = {
        lane: 0,
        seq: 0,
        next() {
          if (left-- > 0) return FOUND;
          if (!isPausing) return END;
          isPausing = false;
          return PAUSED;
        },
      };
      return { tag, waits, matches: matches as unknown as Matches, options: { drain } };
    });
    const dispatch = new FilteredDispatch<FilteredConsumer & { tag: string; waits: boolean }>({
      consumers: { filtered, accepts: ({ waits }) => waits },
      deliverTo: ({ tag }) => void steps.push(tag),
      end(consumer) {
        steps.push(`end ${consumer.tag}`);
        filtered.splice(filtered.indexOf(consumer as typeof filtered[number]), 1);
      },
      dispatchSoon: () => void steps.push("again"),
    });
    return { dispatch, steps };
  }

  it("dispatch - in turn, until nobody finds a message; then nothing is left for later", async () => {
    const { dispatch, steps } = scene(["a", 1], ["b", 3], ["c", 2]);
    assert.equal(dispatch.run(0), true);
    assert.equal(steps.join(""), "abcbcb");
    assert.equal(dispatch.run(0), false);
    assert.equal(scene().dispatch.run(0), false);
    let later = false;
    setTimeout(() => later = true, 0);
    await waitFor(() => later);
    assert.equal(steps.includes("again"), false);
  });

  it("dispatch - a consumer without room is skipped, and one that drains ends", () => {
    const { dispatch, steps } = scene(["a", 9, { waits: false }], ["b", 1, { drain: true }], ["c", 0, {
      waits: false,
      drain: true,
    }]);
    assert.equal(dispatch.run(0), true);
    assert.deepEqual(steps, ["b", "end b"]);
  });

  it("dispatch - continues later after a pause, once", async () => {
    const { dispatch, steps } = scene(["a", 1, { pauses: true }], ["b", 1, { pauses: true }]);
    assert.equal(dispatch.run(0), true);
    assert.equal(dispatch.run(0), false);
    assert.deepEqual(steps, ["a", "b"]);
    await waitFor(() => steps.length > 2);
    assert.deepEqual(steps, ["a", "b", "again"]);
    assert.equal(dispatch.run(0), false);
  });

  it("dispatch - does not continue after a stop", async () => {
    const { dispatch, steps } = scene(["a", 0, { pauses: true }]);
    dispatch.run(0);
    dispatch.stop();
    let later = false;
    setTimeout(() => later = true, 0);
    await waitFor(() => later);
    assert.deepEqual(steps, []);
  });
});
