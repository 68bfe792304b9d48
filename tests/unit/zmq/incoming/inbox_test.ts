/** The queue of received messages. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Inbox } from "../../../../lib/zmq/incoming/inbox.ts";

describe("inbox", () => {
  /** An inbox of texts, and what it did to its source. */
  function inboxOf(hwm: number, hwmBytes: number) {
    const seen: string[] = [];
    const source = { pause: () => seen.push("pause"), resume: () => seen.push("resume") };
    return { inbox: new Inbox<string>(source, { hwm, hwmBytes }, ({ length }) => length), seen };
  }

  it("limits - the source is paused at either mark, and resumed at half of both", async () => {
    for (const [hwm, hwmBytes, item] of [[4, Infinity, "a"], [Infinity, 8, "ab"], [4, 8, "ab"]] as const) {
      const { inbox, seen } = inboxOf(hwm, hwmBytes);
      for (let i = 0; i < 3; i++) inbox.put(item);
      assert.deepEqual(seen, []);
      inbox.put(item);
      assert.deepEqual(seen, ["pause"]);
      inbox.put(item);
      await inbox.take();
      await inbox.take();
      assert.deepEqual(seen, ["pause"]);
      await inbox.take();
      assert.deepEqual(seen, ["pause", "resume"]);
      await inbox.take();
      await inbox.take();
      assert.deepEqual(seen, ["pause", "resume"]);
      for (let i = 0; i < 4; i++) inbox.put(item);
      assert.deepEqual(seen, ["pause", "resume", "pause"]);
    }
  });

  it("limits - items that are dropped or put back count as they should", async () => {
    const { inbox, seen } = inboxOf(100, 10);
    inbox.put("12345");
    inbox.put("1234");
    inbox.clear();
    inbox.put("12345");
    inbox.put("1234");
    assert.deepEqual(seen, []);
    const taken = [(await inbox.take())!];
    inbox.putBack(taken);
    inbox.put("1");
    assert.deepEqual(seen, ["pause"]);
    assert.deepEqual([await inbox.take(), await inbox.take(), await inbox.take()], ["12345", "1234", "1"]);
  });

  it("end - what is there is still taken, and the source stays paused", async () => {
    const { inbox, seen } = inboxOf(2, Infinity);
    inbox.put("a");
    inbox.put("b");
    inbox.end();
    assert.deepEqual([await inbox.take(), await inbox.take(), await inbox.take()], ["a", "b", undefined]);
    assert.deepEqual(seen, ["pause"]);
  });

  it("take - the waiting calls are served in order; a cancelled one takes no item", async () => {
    const { inbox } = inboxOf(10, Infinity);
    const abort = new AbortController();
    const later = new AbortController();
    const calls = [
      inbox.take(),
      inbox.take(true, abort.signal),
      inbox.take(true, later.signal),
      inbox.take(),
    ];
    abort.abort(new Error("stopped"));
    await assert.rejects(calls[1]!, /stopped/);
    await assert.rejects(inbox.take(true, abort.signal), /stopped/);
    inbox.put("a");
    inbox.putBack(["b", "c", "d", "e"]);
    later.abort(new Error("too late"));
    assert.deepEqual([await calls[0], await calls[2], await calls[3]], ["a", "b", "c"]);
    assert.deepEqual([await inbox.take(false), await inbox.take(), await inbox.take(false)], [
      "d",
      "e",
      undefined,
    ]);
    const last = [inbox.take(), inbox.take(true, new AbortController().signal)];
    inbox.dismiss();
    assert.deepEqual(await Promise.all(last), [undefined, undefined]);
    inbox.put("f");
    assert.equal(await inbox.take(), "f");
  });

  it("take - thousands of items keep their order", async () => {
    const { inbox } = inboxOf(Infinity, Infinity);
    for (let i = 0; i < 3000; i++) inbox.put(`${i}`);
    for (let i = 0; i < 2000; i++) assert.equal(await inbox.take(), `${i}`);
    inbox.putBack(["x", "y"]);
    inbox.put("z");
    assert.deepEqual([await inbox.take(), await inbox.take()], ["x", "y"]);
    for (let i = 2000; i < 3000; i++) assert.equal(await inbox.take(), `${i}`);
    assert.equal(await inbox.take(), "z");
  });
});
