/** REP with peers that have no network: what is a request, and peers that do not read their replies. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { text } from "../../../../lib/zmtp/bytes.ts";
import { type IncomingRequest, Rep } from "../../../../mod.ts";
import { deadline } from "../../../support/helpers.ts";
import { batchOf, FakePeer } from "../fake_peer.ts";

/** A REP whose peers the test adds. */
class TestedRep extends Rep {
  attach(peer: FakePeer): void {
    this.connections.add(peer.connection);
  }
  arrive(peer: FakePeer, requests: string): void {
    this.onBatch(peer.connection, batchOf(requests));
  }
  /** The system takes what is written to a peer. @returns the messages */
  take(peer: FakePeer): string {
    const taken = peer.drain();
    this.onWritable(peer.connection);
    return taken;
  }
}

const textOf = (request: IncomingRequest | undefined) => request?.frames.map(text).join("/");

describe("rep", () => {
  it("requests - have an envelope that ends with an empty frame, and at least one more frame", async () => {
    const cases: [message: string, body: string | undefined, reply: string][] = [
      ["/a", "a", "/re"],
      ["/a/b", "a/b", "/re"],
      ["/", "", "/re"],
      ["//", "/", "/re"],
      ["x//a", "a", "x//re"],
      ["x/y//a//b", "a//b", "x/y//re"],
      ["a", undefined, ""],
      ["a/b", undefined, ""],
      ["a/", undefined, ""],
      ["", undefined, ""],
    ];
    for (const [message, body, reply] of cases) {
      const rep = new TestedRep();
      const peer = new FakePeer("peer");
      rep.attach(peer);
      rep.arrive(peer, `${message} /last`);
      if (body !== undefined) {
        const request = (await deadline(rep.receive()))!;
        assert.equal(textOf(request), body, message);
        request.reply("re");
        assert.throws(() => request.reply("again"), /reply twice/);
        assert.equal(rep.take(peer), reply, message);
      }
      assert.equal(textOf(await deadline(rep.receive())), "last", message);
    }
  });

  it("slow reader - is paused with its requests until there is room, also while the socket is paused", async () => {
    for (const isPaused of [false, true]) {
      const rep = new TestedRep();
      const slow = new FakePeer("slow", { messages: 1, bytes: Infinity });
      const other = new FakePeer("other");
      for (const peer of [slow, other]) rep.attach(peer);
      rep.arrive(slow, "/1 /2 /3 /4");
      // The first reply is being written, the second one waits.
      for (const name of ["1", "2"]) {
        const request = (await deadline(rep.receive()))!;
        assert.equal(textOf(request), name);
        request.reply(`re${name}`);
      }
      rep.arrive(other, "/5");
      assert.equal(textOf(await deadline(rep.receive())), "5");
      assert.deepEqual([slow.reading, other.reading], [[false], []]);
      if (isPaused) {
        rep.pause();
        // Reading from all others again does not mean this one.
        rep.resume();
        assert.equal(slow.reading.at(-1), false);
        assert.equal(other.reading.at(-1), true);
        rep.pause();
      }
      slow.reading.length = 0;
      const next = rep.receive();
      assert.equal(rep.take(slow), "/re1 /re2");
      assert.deepEqual(slow.reading, isPaused ? [] : [true]);
      const third = (await deadline(next))!;
      assert.equal(textOf(third), "3");
      third.reply("re3");
      assert.equal(textOf(await deadline(rep.receive())), "4");
      assert.equal(rep.take(slow), "/re3");
    }
  });
});
