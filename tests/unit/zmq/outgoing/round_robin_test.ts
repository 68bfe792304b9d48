/** How messages are shared out among the peers in turn, without a connection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RoundRobin } from "../../../../lib/zmq/outgoing/round_robin.ts";
import { batchOf, FakePeer } from "../fake_peer.ts";

describe("round robin", () => {
  it("share - messages go to the peers with room in turn, and one peer gets all", () => {
    const robin = new RoundRobin();
    const batch = batchOf("1/a 2 3 4 5 6 7 8");
    assert.equal(robin.send(batch, 0), 0);
    assert.equal(robin.pick(), undefined);
    const peers = ["one", "two"].map((name) => new FakePeer(name, { messages: 3, bytes: Infinity }));
    robin.add(peers[0]!.connection);
    assert.equal(robin.send(batch, 0), 4);
    robin.add(peers[1]!.connection);
    assert.equal(robin.send(batch, 4), 9);
    assert.deepEqual(peers.map((peer) => peer.drain()), ["1/a 2 3 4 6 8", "5 7"]);
  });

  it("share - what a peer left unsent goes to the others before new messages", () => {
    const robin = new RoundRobin();
    const peers = [3, 2].map((messages) => new FakePeer("peer", { messages, bytes: Infinity }));
    robin.add(peers[0]!.connection);
    robin.send(batchOf("1 2 3"), 0);
    robin.send(batchOf("4 5"), 0);
    robin.remove(peers[0]!.connection);
    assert.equal(robin.returned, 5);
    assert.equal(robin.send(batchOf("6"), 0), 0);
    robin.add(peers[1]!.connection);
    assert.equal(robin.returned, 3);
    assert.equal(robin.send(batchOf("6"), 0), 0);
    peers[1]!.outbox.onDrain();
    robin.onWritable();
    assert.equal(robin.returned, 0);
    assert.equal(robin.send(batchOf("6"), 0), 1);
    assert.equal(peers[1]!.drain(), "1 2 3 4 5 6");
    robin.drop(peers[0]!.connection);
    robin.drop(peers[1]!.connection);
    assert.equal(robin.send(batchOf("7"), 0), 0);
  });

  it("share - a single message of one frame comes back, too, and none if all were sent", () => {
    for (const words of ["", "1", "1/a", "1 2"]) {
      const robin = new RoundRobin();
      const [gone, next] = [new FakePeer("gone"), new FakePeer("next")];
      robin.add(gone.connection);
      if (words !== "") robin.send(batchOf(words), 0);
      robin.remove(gone.connection);
      assert.equal(robin.returned, words === "" ? 0 : words.split(" ").length);
      robin.add(next.connection);
      assert.equal(next.drain(), words);
    }
  });
});
