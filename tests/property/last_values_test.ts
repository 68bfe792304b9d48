/** The cache of a proxy against a plain list of messages. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LastValues } from "../../lib/zmq/outgoing/last_values.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";

const TIMEOUT = { timeout: 60_000 };
const word = fc.string({ unit: fc.constantFrom("a", "b", "--", "-"), maxLength: 5 });
const message = fc.array(word, { minLength: 1, maxLength: 2 });

/** The end of a message's topic: after the first of several frames, or before the separator in a single frame. */
function topicOf([first, ...more]: readonly string[]): string | undefined {
  if (more.length > 0) return first;
  const at = first!.indexOf("--");
  return at < 0 ? undefined : first!.slice(0, at);
}

function batchOf(messages: readonly (readonly string[])[]): Batch {
  return Batch.ofMessages(messages.map((frames) => frames.map(utf8)));
}

function messagesOf(batch: Batch): string[][] {
  const found: string[][] = [];
  for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
    found.push(batch.copy(at, batch.messageEnd(at)).map((frame) => new TextDecoder().decode(frame)));
  }
  return found;
}

describe("last_values", () => {
  it(
    "last_values - gives the newest message of each topic that a subscription matches, in order",
    TIMEOUT,
    () => {
      fc.assert(
        fc.property(fc.array(fc.array(message, { maxLength: 5 })), word, (batches, prefix) => {
          const cache = new LastValues(utf8("--"));
          for (const messages of batches) cache.note(batchOf(messages));
          const all = batches.flat();
          const expected = all.filter((frames, at) =>
            topicOf(frames) !== undefined && frames[0]!.startsWith(prefix) &&
            !all.slice(at + 1).some((later) => topicOf(later) === topicOf(frames))
          );
          assert.deepEqual(messagesOf(cache.matching(utf8(prefix))), expected);
        }),
        { numRuns: 1000 },
      );
    },
  );

  it("last_values - removes the topics that had no message for the longest time", TIMEOUT, () => {
    const cache = new LastValues(utf8(" "));
    const note = (from: number, to: number) => {
      for (let i = from; i < to; i++) cache.note(batchOf([[`t${i} x`]]));
    };
    note(0, 100_000);
    note(0, 1);
    note(100_000, 100_010);
    assert.equal(cache.size, 100_000);
    const has = (topic: number) => messagesOf(cache.matching(utf8(`t${topic} `))).length === 1;
    assert.deepEqual([0, 1, 10, 11, 100_009].map(has), [true, false, false, true, true]);
  });

  it("last_values - keeps 64 MiB of messages, of which the replaced ones are no part", TIMEOUT, () => {
    const cache = new LastValues(utf8(" "));
    const note = (topic: string, size: number) => cache.note(Batch.of([utf8(topic), new Uint8Array(size)]));
    for (let i = 0; i < 200; i++) note("again", 2 ** 20 - 5);
    for (let i = 100; i < 163; i++) note(`t${i}`, 2 ** 20 - 4);
    assert.equal(cache.size, 64);
    note("t162", 2 ** 20 - 3);
    // One byte too much: the oldest is removed, which makes room for another one.
    assert.equal(cache.size, 63);
    assert.equal(cache.matching(utf8("again")).frames, 0);
    note("t163", 2 ** 20 - 5);
    assert.equal(cache.size, 64);
  });
});
