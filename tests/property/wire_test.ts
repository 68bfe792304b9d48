/** Descriptions of frames do not depend on the chunks, and no bytes make a tap throw. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CONVERSATIONS, describeEvents, type Event, SECRET } from "../support/wire.ts";

/** Cuts the bytes of each event into chunks of these sizes, in turn. */
function* cut(events: readonly Event[], sizes: readonly number[]): Generator<Event> {
  let next = 0;
  for (const [direction, bytes] of events) {
    for (let at = 0; at < bytes.length;) {
      const size = sizes[next++ % sizes.length]!;
      yield [direction, bytes.slice(at, at + size)];
      at += size;
    }
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20, size: "max" });

describe("wire", () => {
  for (const { name, events, lines, subprotocol } of CONVERSATIONS) {
    it(`wire - ${name} has the same description under any chunking`, { timeout: 60_000 }, () => {
      fc.assert(fc.property(sizes, (sizes) => {
        assert.deepEqual(describeEvents(cut(events, sizes), subprotocol), lines);
      }));
    });

    it(
      `wire - ${name} with changed bytes never throws, and the tap changes nothing`,
      { timeout: 60_000 },
      () => {
        const change = fc.tuple(fc.nat(), fc.nat(), fc.nat(255));
        fc.assert(fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), sizes, (changes, sizes) => {
          const changed = events.map(([direction, bytes]): Event => [direction, bytes.slice()]);
          for (const [event, at, value] of changes) {
            const [, bytes] = changed[event % changed.length]!;
            bytes[at % bytes.length] = value;
          }
          const chunks = [...cut(changed, sizes)];
          const before = chunks.map(([, bytes]) => bytes.slice());
          describeEvents(chunks, subprotocol);
          assert.deepEqual(chunks.map(([, bytes]) => bytes), before);
        }));
      },
    );
  }

  it("wire - an unknown protocol is shown by its sizes only", { timeout: 60_000 }, () => {
    const first = fc.integer({ min: 0x80, max: 0xfe });
    fc.assert(fc.property(first, sizes, (first, sizes) => {
      const event: Event = ["->", Uint8Array.of(first, ...new TextEncoder().encode(SECRET))];
      assert.ok(!describeEvents(cut([event], sizes)).join("\n").includes(SECRET));
    }));
  });
});
