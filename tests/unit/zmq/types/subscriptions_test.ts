/** Subscriptions that are messages: XPUB and XSUB, with peers that have no network. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Batch } from "../../../../lib/zmtp/batch.ts";
import { text, utf8 } from "../../../../lib/zmtp/bytes.ts";
import { XPub, XSub } from "../../../../mod.ts";
import { FakePeer } from "../fake_peer.ts";

/** An XPUB whose peers send what the test says. */
class TestedXPub extends XPub {
  attach(peer: FakePeer): void {
    this.onAttach(peer.connection);
  }
  arrive(peer: FakePeer, batch: Batch): void {
    this.onBatch(peer.connection, batch);
  }
}

/** An XSUB whose peers the test adds. */
class TestedXSub extends XSub {
  attach(peer: FakePeer): void {
    this.connections.add(peer.connection);
    this.onAttach(peer.connection);
  }
}

type Message = string | string[];
const batchOf = (messages: readonly Message[]) =>
  Batch.ofMessages(messages.map((frames) => [frames].flat().map(utf8)));

describe("xpub", () => {
  it("messages - subscriptions are taken out of a batch, and all is delivered in order, without empty batches", () => {
    const cases: [input: Message[], delivered: Message[][], topics: string[]][] = [
      [["x", "y"], [["x", "y"]], []],
      [["\x01a"], [["\x01a"]], ["a"]],
      [["\x01a", "x"], [["\x01a"], ["x"]], ["a"]],
      [["x", "\x01a"], [["x"], ["\x01a"]], ["a"]],
      [["\x01a", "\x01b"], [["\x01a"], ["\x01b"]], ["a", "b"]],
      [["\x01"], [["\x01"]], [""]],
      [["x", "y", "\x01a", "z", "\x00a", "\x01b", "w"], [
        ["x", "y"],
        ["\x01a"],
        ["z"],
        ["\x00a"],
        ["\x01b"],
        ["w"],
      ], ["b"]],
      // An empty message, another first byte and several frames are no subscriptions.
      [["", "\x01a"], [[""], ["\x01a"]], ["a"]],
      [["\x01a", ""], [["\x01a"], [""]], ["a"]],
      [[""], [[""]], []],
      [["\x02a", ["\x01a", "b"], ["", "\x01c"]], [["\x02a", ["\x01a", "b"], ["", "\x01c"]]], []],
      [[["\x01a", "b"], "\x01c", ["\x00c", "d"]], [[["\x01a", "b"]], ["\x01c"], [["\x00c", "d"]]], ["c"]],
      // Nothing changes, so nothing is delivered.
      [["\x00a", "x", "\x01a", "\x01a"], [["x"], ["\x01a"]], ["a"]],
    ];
    for (const [input, expected, topics] of cases) {
      const xpub = new TestedXPub();
      const peer = new FakePeer("peer");
      xpub.attach(peer);
      const delivered: Message[][] = [];
      xpub.consume((batch) => {
        const messages: Message[] = [];
        for (let at = 0; at < batch.frames; at = batch.messageEnd(at)) {
          const frames = batch.copy(at, batch.messageEnd(at)).map(text);
          messages.push(frames.length === 1 ? frames[0]! : frames);
        }
        delivered.push(messages);
      });
      xpub.arrive(peer, batchOf(input));
      assert.deepEqual(delivered, expected, JSON.stringify(input));
      xpub.sendBatch(batchOf(["a!", "b!", "c!", "d!"]));
      const wanted = ["a!", "b!", "c!", "d!"].filter((one) => topics.some((topic) => one.startsWith(topic)));
      assert.equal(peer.drain(), wanted.join(" "), JSON.stringify(input));
    }
  });

  it("last-value - only a message, and not an empty batch, is the one for the peer that subscribed", async () => {
    const xpub = new TestedXPub({ manual: "last-value" });
    const peers = ["one", "two"].map((name) => new FakePeer(name));
    for (const peer of peers) {
      xpub.attach(peer);
      xpub.arrive(peer, batchOf(["\x01a"]));
    }
    for (const peer of peers) {
      await xpub.receive();
      xpub.subscribe("a", peer.connection);
    }
    const batch = batchOf(["a1", "a2"]);
    assert.equal(xpub.sendBatch(batch, batch.frames), batch.frames);
    assert.equal(xpub.sendBatch(batch), batch.frames);
    assert.deepEqual(peers.map((peer) => peer.drain()), ["a2", "a1 a2"]);
    xpub.sendTo(peers[0]!.connection, () => new Batch());
    xpub.sendTo(peers[0]!.connection, () => batch);
    assert.deepEqual(peers.map((peer) => peer.drain()), ["a1 a2", ""]);
  });
});

describe("xsub", () => {
  it("messages - subscriptions are sent to all publishers, also to those that connect later; other messages are sent as they are", () => {
    const xsub = new TestedXSub();
    assert.equal(xsub.sendBatch(batchOf(["\x01a", "\x01a", "\x01b", "\x00b", "\x00c"])), 5);
    // A message waits for the first publisher; a subscription after it waits with it.
    for (const message of ["x", "", "\x02a", ["\x01a", "b"], ["", "\x01c"]]) {
      assert.equal(xsub.sendBatch(batchOf(["\x01d", message, "\x01e"])), 1, JSON.stringify(message));
    }
    const one = new FakePeer("one");
    const two = new FakePeer("two", { messages: 2, bytes: Infinity });
    xsub.attach(one);
    assert.deepEqual(one.subscriptions.splice(0), ["+a", "+d"]);
    xsub.attach(two);
    two.subscriptions.length = 0;
    const messages = ["x", ["\x01a", "b"], "\x02a"];
    assert.equal(xsub.sendBatch(batchOf(["\x00a", ...messages, "\x00a", "\x01f", "\x00g"])), 8);
    for (const peer of [one, two]) assert.deepEqual(peer.subscriptions, ["-a", "+f"]);
    assert.deepEqual([one.drain(), two.drain()], ["x \x01a/b \x02a", "x \x01a/b"]);
    assert.equal(xsub.dropped, 1);
    assert.equal(xsub.sendBatch(batchOf(messages), 1), 4);
    assert.deepEqual([one.drain(), two.drain(), xsub.dropped], ["\x01a/b \x02a", "\x01a/b \x02a", 1]);
    xsub.sendBatch(batchOf(["", "y"]));
    assert.deepEqual([one.drain(), two.drain()], ["y", "y"]);
  });

  it("verbose - each cancellation is sent, also one without a subscription", () => {
    const xsub = new TestedXSub({ verbose: true });
    const peer = new FakePeer("one");
    xsub.attach(peer);
    for (const message of ["\x01a", "\x01a", "\x00a", "\x00a", "\x00b"]) xsub.sendBatch(batchOf([message]));
    assert.deepEqual(peer.subscriptions, ["+a", "+a", "-a", "-a", "-b"]);
  });
});
