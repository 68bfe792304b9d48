/** How messages go to the peers that subscribed to them, without a connection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitError } from "../../../../lib/errors.ts";
import { utf8 } from "../../../../lib/zmtp/bytes.ts";
import { FanOut, type FanOutOptions } from "../../../../lib/zmq/outgoing/fan_out.ts";
import { FakeTime } from "../../../support/fake_time.ts";
import { batchOf, FakePeer } from "../fake_peer.ts";

/** A publisher with peers that subscribe to topics, and the endpoints that it reported. */
function fanOut(
  options: FanOutOptions,
  peers: Readonly<Record<string, readonly string[]>>,
  exact = false,
  room = 3,
) {
  const dropping: string[] = [];
  const fan = new FanOut(
    options,
    (event) => event.type === "dropping" ? void dropping.push(event.endpoint) : assert.fail(event.type),
    exact,
  );
  const all = Object.entries(peers).map(([name, topics]) => {
    const peer = new FakePeer(name, { messages: room, bytes: Infinity });
    fan.add(peer.connection);
    for (const topic of topics) fan.subscribe(peer.connection, utf8(topic), true);
    return peer;
  });
  /** Sends messages. @returns how many were taken */
  const send = (text: string, from = 0) => {
    const batch = batchOf(text);
    return batch.countMessages(0, fan.send(batch, from));
  };
  return { fan, all, dropping, send };
}

describe("fan-out", () => {
  it("topics - each peer gets what it subscribed to, once, in order", () => {
    const { fan, all, send } = fanOut({}, { a: ["a"], ab: ["ab", "a", "c"], none: [], all: [""] }, false, 10);
    assert.equal(fan.subscribers, 3);
    assert.equal(send("ab a/1 b c/2/3 ab"), 5);
    assert.deepEqual(all.map((peer) => peer.drain()), [
      "ab a/1 ab",
      "ab a/1 c/2/3 ab",
      "",
      "ab a/1 b c/2/3 ab",
    ]);
    assert.equal(fan.dropped, 0);
  });

  it("groups - only an equal first frame matches, except for a peer that gets everything", () => {
    const { fan, all, send } = fanOut({}, { a: ["a"], empty: [""] }, true, 10);
    const every = new FakePeer("every");
    fan.add(every.connection, true);
    assert.equal(fan.subscribers, 3);
    send("a/1 ab/2 /3");
    assert.deepEqual([...all, every].map((peer) => peer.drain()), ["a/1", "/3", "a/1 ab/2 /3"]);
    const matched = batchOf("a/1 ab/2 /3");
    const matches = (peer: FakePeer) => [0, 2, 4].map((at) => fan.matches(peer.connection, matched, at));
    assert.deepEqual([...all, every].map(matches), [
      [true, false, false],
      [false, false, true],
      [true, true, true],
    ]);
  });

  it("changes - tell whether the topic is the first or the last one of all peers", () => {
    const { fan, all: [one, two] } = fanOut({}, { one: [], two: [] });
    const change = (peer: FakePeer | undefined, topic: string, subscribe: boolean) =>
      fan.subscribe(peer!.connection, utf8(topic), subscribe);
    assert.deepEqual(
      [
        change(one, "a", true),
        change(one, "a", true),
        change(two, "a", true),
        change(one, "a", false),
        change(one, "a", false),
        change(two, "a", false),
        change(two, "", true),
        change(new FakePeer("unknown"), "a", true),
      ],
      ["topic", "none", "one", "one", "none", "topic", "topic", "none"],
    );
    const last: string[] = [];
    change(one, "", true);
    change(two, "b", true);
    const note = (topic: Uint8Array) => void last.push(new TextDecoder().decode(topic));
    fan.remove(two!.connection, note);
    fan.remove(two!.connection, note);
    assert.deepEqual([last, fan.subscribers], [["b"], 1]);
  });

  it("changes - what is left decides how messages are offered", () => {
    const { fan, all: [one, two], send } = fanOut({}, { one: ["", "b"], two: ["", "b"] }, false, 10);
    fan.subscribe(one!.connection, utf8(""), false);
    send("a b");
    fan.subscribe(one!.connection, utf8("b"), false);
    fan.subscribe(two!.connection, utf8("b"), false);
    send("c b");
    fan.remove(two!.connection);
    fan.subscribe(one!.connection, utf8("d"), true);
    send("c d");
    assert.deepEqual([one!.drain(), two!.drain()], ["b d", "a b c b"]);
  });

  it("limits - one subscription over a limit is refused with the reason, and those before are kept", () => {
    const { fan, all: [one, two] } = fanOut({ maxSubscriptions: 3 }, { one: ["a", "b"], two: ["a"] });
    assert.equal(fan.subscribe(one!.connection, utf8("a"), true), "none");
    assert.equal(one!.refusal, undefined);
    assert.equal(fan.subscribe(two!.connection, utf8("b"), true), "none");
    assert.ok(two!.refusal instanceof LimitError);
    assert.equal(
      two!.refusal.message,
      "Disconnecting the peer as all peers together have more than 3 subscriptions, or 67108864 bytes of topics",
    );
    fan.remove(one!.connection);
    two!.refusal = undefined;
    fan.subscribe(two!.connection, utf8("b"), true);
    fan.subscribe(two!.connection, utf8("c"), true);
    assert.equal(two!.refusal, undefined);
    fan.subscribe(two!.connection, utf8("d"), true);
    assert.ok(two!.refusal !== undefined);
  });

  it("limits - the topics of a peer have at most 16 MiB", () => {
    const { fan, all: [one] } = fanOut({}, { one: [] });
    const add = (size: number, first: number) => {
      fan.subscribe(one!.connection, new Uint8Array(size).fill(first, 0, 1), true);
      return one!.refusal?.message;
    };
    assert.equal(add(2 ** 24 - 1, 0), undefined);
    assert.equal(add(1, 1), undefined);
    assert.equal(
      add(1, 2),
      "Disconnecting the peer as it has more than 100000 subscriptions, or 16777216 bytes of topics",
    );
  });

  it("limits - a peer has at most 100,000 subscriptions", () => {
    const { fan, all: [one] } = fanOut({}, { one: [] });
    for (let i = 0; i < 100_000; i++) fan.subscribe(one!.connection, utf8(`${i}`), true);
    assert.equal(one!.refusal, undefined);
    fan.subscribe(one!.connection, utf8("more"), true);
    assert.match(one!.refusal!.message, /it has more than 100000 subscriptions/);
  });

  it("limits - topics of all peers have at most 64 MiB, and what is cancelled or removed makes room", () => {
    const names = ["a", "b", "c", "d", "e"];
    const { fan, all } = fanOut({}, Object.fromEntries(names.map((name) => [name, []])));
    const most = 2 ** 24;
    /** A topic of another length for each size. @returns the reason of the refusal */
    const change = (at: number, size: number, subscribe: boolean) => {
      const peer = all[at]!;
      peer.refusal = undefined;
      fan.subscribe(peer.connection, new Uint8Array(size), subscribe);
      return (peer.refusal as Error | undefined)?.message.replace(/^.* as /, "");
    };
    const alone = "it has more than 100000 subscriptions, or 16777216 bytes of topics";
    const together = "all peers together have more than 500000 subscriptions, or 67108864 bytes of topics";
    // Twice the limit of one peer over time, but never at the same time.
    assert.equal(change(0, most, true), undefined);
    assert.equal(change(0, 1, true), alone);
    assert.equal(change(0, most, false), undefined);
    assert.equal(change(0, most - 1, true), undefined);
    assert.equal(change(0, 1, true), undefined);
    for (const at of [1, 2, 3]) assert.equal(change(at, most, true), undefined);
    assert.equal(change(4, 1, true), together);
    assert.equal(change(4, 0, true), undefined);
    change(0, 1, false);
    assert.equal(change(4, 2, true), together);
    assert.equal(change(4, 1, true), undefined);
    fan.remove(all[1]!.connection);
    assert.equal(change(4, most - 1, true), undefined);
    assert.equal(change(0, 1, true), undefined);
    fan.add(all[1]!.connection);
    assert.equal(change(1, 1, true), together);
  });

  it("limits - cancelled subscriptions do not count, however many there were", () => {
    const { fan, all: [one] } = fanOut({ maxSubscriptions: 2 }, { one: ["kept"] });
    for (const topic of ["a", "b", "c", "a"]) {
      assert.equal(fan.subscribe(one!.connection, utf8(topic), true), "topic");
      assert.equal(fan.subscribe(one!.connection, utf8(topic), false), "topic");
    }
    assert.equal(one!.refusal, undefined);
  });

  it("bytes - a batch whose bytes change after the call is sent as they were, to one peer or several", () => {
    for (const names of [["one"], ["one", "two"], ["one", "two", "three"]]) {
      for (const topics of [[""], ["a", "b"]]) {
        const { fan, all } = fanOut({}, Object.fromEntries(names.map((name) => [name, topics])), false, 20);
        for (const text of ["a1", "b2", "a3/x", "b4 a5", "a6/y b7", "b8", ""]) {
          const batch = batchOf(text || "a");
          batch.stable = false;
          fan.send(batch, 0);
          batch.bytes.fill(0x3f);
        }
        const expected = "a1 b2 a3/x b4 a5 a6/y b7 b8 a";
        assert.deepEqual(all.map((peer) => peer.drain()), names.map(() => expected));
      }
    }
  });

  it("conflate - only the newest message waits for each peer, whether the bytes of a batch change or not", () => {
    for (const stable of [true, false]) {
      const fan = new FanOut({}, () => assert.fail("nothing is dropped"));
      const all = ["one", "two"].map((name) => {
        const peer = new FakePeer(name, { messages: 3, bytes: Infinity, conflate: true });
        fan.add(peer.connection);
        fan.subscribe(peer.connection, utf8(""), true);
        return peer;
      });
      for (const text of ["a", "b c", "d", "e/1 f/2"]) {
        const batch = batchOf(text);
        batch.stable = stable;
        fan.send(batch, 0);
        if (!stable) batch.bytes.fill(0x3f);
      }
      assert.deepEqual(all.map((peer) => peer.drain()), ["a f/2", "a f/2"]);
    }
  });

  it("drop - messages over the room are counted for each peer, and each spell is reported once", () => {
    for (const topics of [[""], ["a", "b"]]) {
      const { fan, all: [one, two], dropping, send } = fanOut({}, { one: topics, two: topics });
      two!.outbox.appendBatch(batchOf("x"), 0, 1);
      assert.equal(send("a1 a2 a3 a4 b5"), 5);
      assert.deepEqual([fan.dropped, dropping.toSorted()], [5, ["one", "two"]]);
      assert.equal(send("a6"), 1);
      // The flush of the first messages made room, as they are being written.
      assert.deepEqual([one!.drain(), two!.drain()], ["a1 a2 a3 a6", "x a1 a2 a6"]);
      assert.equal(send("a7 a8 a9 b0 b1 b2"), 6);
      assert.deepEqual([fan.dropped, dropping.toSorted()], [5 + 6, ["one", "one", "two", "two"]]);
      assert.equal(fan.longestWait, Infinity);
    }
  });

  it("block - no more messages than the fullest subscriber has room for; others do not count", () => {
    const { fan, all: [one, two, idle], send } = fanOut({ onFull: "block", dropAfter: 100 }, {
      one: [""],
      two: ["a"],
      idle: [],
    });
    two!.outbox.appendBatch(batchOf("x"), 0, 1);
    idle!.outbox.appendBatch(batchOf("x x x"), 0, 3);
    assert.equal(send("a1 a2 a3"), 2);
    assert.deepEqual([one!.drain(), two!.drain(), fan.dropped, fan.longestWait], [
      "a1 a2",
      "x a1 a2",
      0,
      Infinity,
    ]);
    assert.equal(send("a1 a2 a3 a4"), 3);
  });

  it("dropAfter - waits for a subscriber that reads, and no more for one that has stalled", () => {
    using time = new FakeTime();
    const { fan, all: [slow, fast], send, dropping } = fanOut(
      { dropAfter: 100 },
      { slow: [""], fast: [""] },
      false,
      2,
    );
    assert.equal(fan.longestWait, 25);
    const fill = () => {
      slow!.outbox.appendBatch(batchOf("x x"), 0, 2);
      fast!.drain();
    };
    slow!.outbox.appendBatch(batchOf("w"), 0, 1);
    slow!.outbox.flush();
    fill();
    assert.equal(send("a"), 0);
    time.pass(99);
    assert.equal(send("a"), 0);
    // It moves, so the time begins again.
    slow!.progress = 1;
    time.pass(1);
    assert.equal(send("a"), 0);
    time.pass(99);
    assert.equal(send("a"), 0);
    assert.deepEqual([fan.dropped, dropping], [0, []]);
    time.pass(1);
    assert.equal(send("a"), 1);
    assert.deepEqual([fan.dropped, dropping, fast!.drain()], [1, ["slow"], "a"]);
    // For ten seconds nothing waits for it, though it moves.
    slow!.progress = 2;
    time.pass(9999);
    assert.equal(send("b"), 1);
    assert.equal(fan.dropped, 2);
    time.pass(1);
    fast!.drain();
    assert.equal(send("c"), 0);
    slow!.drain();
    assert.equal(send("c"), 1);
    assert.equal(slow!.drain(), "c");
    // Whenever it is full again, the time begins again, whether it was given up before or not.
    for (const wasStalled of [false, true]) {
      if (!wasStalled) send("d");
      slow!.drain();
      slow!.outbox.appendBatch(batchOf("w"), 0, 1);
      slow!.outbox.flush();
      fill();
      assert.equal(send("e"), 0);
      time.pass(99);
      assert.equal(send("e"), 0);
      time.pass(1);
      assert.equal(send("e"), 1);
      time.pass(10_000);
      fast!.drain();
      assert.equal(send("f"), 0);
    }
  });

  it("sendTo - one peer gets the frames whatever it subscribed to, and a full one is counted", () => {
    const { fan, all: [one], dropping } = fanOut({}, { one: [] }, false, 1);
    const batch = batchOf("a/1 b/2");
    fan.sendTo(one!.connection, batch, 2, 4);
    assert.equal(fan.offerTo(one!.connection), true);
    one!.outbox.appendBatch(batch, 0, 2);
    assert.equal(fan.offerTo(one!.connection), false);
    fan.sendTo(one!.connection, batch, 0, 2);
    assert.deepEqual([fan.dropped, dropping, one!.drain()], [2, ["one"], "b/2 a/1"]);
    assert.equal(fan.offerTo(new FakePeer("unknown").connection), false);
  });
});
