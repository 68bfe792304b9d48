/** Packet identifiers: their order, their reuse, and a session that continues on another connection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FREE, PacketIds, RELEASED, SENT } from "../../../../lib/mqtt/client/packet_ids.ts";

describe("packet identifiers", () => {
  it("ids - are used in turn, and belong to the messages that took them", () => {
    const ids = new PacketIds(3);
    const taken = [1, 2, 3].map((tag) => ids.take(tag));
    assert.deepEqual([taken, ids.full], [[1, 2, 3], true]);
    assert.deepEqual([ids.free(2), ids.full, ids.state(2)], [2, false, FREE]);
    assert.deepEqual([ids.take(4), ids.full], [4, true]);
    ids.release(1);
    assert.deepEqual([1, 2, 3, 4, 65_535].map((id) => ids.state(id)), [RELEASED, FREE, SENT, SENT, FREE]);
    assert.deepEqual(ids.inOrder(), [1, 3, 4]);
  });

  it("ids - return after a whole turn, with any number of them in use", () => {
    const ids = new PacketIds(65_535);
    const inUse = new Map<number, number>();
    let tag = 0;
    for (let round = 0; round < 50_000; round++) {
      if (!ids.full && (round % 3 !== 2 || inUse.size === 0)) {
        const id = ids.take(++tag);
        assert.ok(id > 0 && !inUse.has(id));
        inUse.set(id, tag);
      } else {
        // Not always the oldest one.
        const [id, owner] = [...take(inUse, round % 5)].at(-1)!;
        assert.equal(ids.free(id), owner);
        inUse.delete(id);
      }
    }
    assert.equal(ids.used, inUse.size);
    assert.deepEqual(ids.inOrder(), [...inUse].sort(([, a], [, b]) => a - b).map(([id]) => id));
  });

  it("session - the same messages get the same identifiers again, in order, whatever was acknowledged", () => {
    const first = new PacketIds(100);
    for (let tag = 1; tag <= 6; tag++) first.take(tag);
    first.free(2);
    first.release(3);
    first.free(5);
    const second = new PacketIds(100, first);
    assert.deepEqual(second.inOrder(), [1, 3, 4, 6]);
    assert.equal(second.state(3), FREE, "it was not taken on this connection");
    const states = [];
    for (let tag = 1; tag <= 3; tag++) states.push([second.take(tag), second.adoptedState]);
    assert.deepEqual(states, [[1, SENT], [3, RELEASED], [4, SENT]]);
    second.free(3);
    // Lost again, before the last message was sent again.
    const third = new PacketIds(100, second);
    assert.deepEqual(third.inOrder(), [1, 4, 6]);
    const again = [1, 2, 3, 4].map((tag) => [third.take(tag), third.adoptedState]);
    assert.deepEqual(again.slice(0, 3), [[1, SENT], [4, SENT], [6, SENT]]);
    assert.equal(again[3]![1], FREE);
    assert.ok(![1, 4, 6].includes(again[3]![0]!));
  });
});

/** The first entries of a map. */
function* take(map: ReadonlyMap<number, number>, count: number): Iterable<[number, number]> {
  let left = count;
  for (const entry of map) {
    yield entry;
    if (left-- === 0) return;
  }
}
