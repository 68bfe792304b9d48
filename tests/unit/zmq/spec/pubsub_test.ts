/**
 * mock_pub_sub, sub_forward, xpub_verbose, xpub_manual_last_value, xpub_nodrop, pubsub_topics_count, hwm_pubsub: the
 * cases of libzmq's tests with these names.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forward, Pub, Sub, XPub, type XPubOptions, XSub } from "../../../../mod.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, inproc, numbers, SocketLog, texts } from "../../../support/sockets.ts";
import { bytes, command, frame, hexOf, RawPeer } from "../../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** An XPUB with raw subscribers, which send exactly the bytes of a test. */
async function xpubWith(count: number, options: XPubOptions = {}) {
  const xpub = new XPub(options);
  const endpoint = await xpub.bind(LOCAL);
  const peers: RawPeer[] = [];
  for (let i = 0; i < count; i++) {
    const peer = await RawPeer.dial(endpoint);
    await peer.greet("SUB", "3.0");
    peers.push(peer);
  }
  await waitFor(() => xpub.peers === count);
  return {
    xpub,
    peers,
    endpoint,
    /** The next message that the XPUB received, as text. */
    next: async () => texts(await deadline(xpub.receive()))!.join("|"),
    async [Symbol.asyncDispose]() {
      for (const peer of peers) peer.close();
      await xpub.close();
    },
  };
}

const subscribe = (topic: string) => frame(`\x01${topic}`);
const cancel = (topic: string) => frame(`\x00${topic}`);

describe("spec publish and subscribe", () => {
  it("limits - the subscriptions of all peers together are limited, and the peer over the limit gets the reason", async () => {
    const log = new SocketLog();
    const all = await xpubWith(0, { maxSubscriptions: 100, onEvent: log.onEvent });
    await using _all = all;
    const subs = numbers(3).map(() => new Sub({ reconnect: { first: 5, longest: 5 } }));
    for (const [i, sub] of subs.entries()) {
      for (const n of numbers(40)) sub.subscribe(`${i}.${n}`);
      sub.connect(all.endpoint);
      await log.until("subscription", Math.min(100, 40 * (i + 1)));
    }
    await waitFor(() => subs[2]!.failure !== undefined);
    assert.match(`${subs[2]!.failure}`, /all peers together have more than 100 subscriptions/);
    await waitFor(() => all.xpub.peers === 2);
    // Room that a peer leaves is free for others.
    await subs[0]!.close();
    await waitFor(() => all.xpub.peers === 1);
    await using last = new Sub();
    for (const n of numbers(40)) last.subscribe(`2.${n}`);
    last.connect(all.endpoint);
    await waitFor(() => all.xpub.subscribers === 2);
    await all.xpub.send("2.7");
    assert.deepEqual(texts(await deadline(last.receive())), ["2.7"]);
    await Promise.all(subs.map((sub) => sub.close()));
  });

  it("mock_pub_sub - a publisher accepts subscriptions as commands and as messages, from any version", async () => {
    await using pub = new Pub();
    const endpoint = await pub.bind(LOCAL);
    for (const version of ["3.1", "3.0", "2.0"] as const) {
      for (const asCommand of version === "2.0" ? [false] : [true, false]) {
        using peer = await RawPeer.dial(endpoint);
        await peer.greet("SUB", version);
        const topic = "A".repeat(asCommand ? 1 : 2);
        peer.send(asCommand ? command(bytes(`09 'SUBSCRIBE' '${topic}'`)) : subscribe(topic));
        await waitFor(() => pub.subscribers === 1);
        await pub.send("ALOL");
        await pub.send("AALOL");
        await pub.send("BLOL");
        const expected = asCommand ? [frame("ALOL"), frame("AALOL")] : [frame("AALOL")];
        for (const message of expected) assert.equal(hexOf(await peer.take(message.length)), hexOf(message));
        peer.send(asCommand ? command(bytes(`06 'CANCEL' '${topic}'`)) : cancel(topic));
        await waitFor(() => pub.subscribers === 0);
        await pub.send("AALOL");
        assert.equal(peer.waiting, 0);
      }
    }
  });

  it("mock_pub_sub - topics of 246 to 255 bytes whose command has no LONG, as libzmq 4.3.3 sends it, do not hang", async () => {
    await using pub = new Pub();
    using peer = await RawPeer.dial(await pub.bind(LOCAL));
    await peer.greet("SUB");
    // 10 + 250 bytes do not fit into a length of one byte: the rest is read as another frame, which is invalid.
    peer.send(Uint8Array.of(4, (10 + 250) & 255), bytes("09 'SUBSCRIBE'"), new Uint8Array(250).fill(0x41));
    await peer.untilGone();
    await waitFor(() => pub.peers === 0);
  });

  it("sub_forward - XPUB and XSUB forward subscriptions to the publisher and messages to the subscribers", async () => {
    await using up = new XSub();
    await using down = new XPub();
    forward(up, down);
    forward(down, up);
    await using pub = new Pub();
    await using sub = new Sub();
    pub.connect(await up.bind(LOCAL));
    sub.connect(await down.bind(LOCAL));
    sub.subscribe("b");
    await waitFor(() => pub.subscribers === 1);
    for (const message of ["a1", "b2", "c3", "b4"]) await pub.send(message);
    assert.deepEqual(texts(await deadline(sub.receive())), ["b2"]);
    assert.deepEqual(texts(await deadline(sub.receive())), ["b4"]);
    sub.unsubscribe("b");
    await waitFor(() => pub.subscribers === 0);
  });

  it("sub_forward - a subscriber that disappears is unsubscribed at the publisher", async () => {
    await using up = new XSub();
    await using down = new XPub();
    forward(up, down);
    forward(down, up);
    await using pub = new Pub();
    pub.connect(await up.bind(LOCAL));
    using peer = await RawPeer.dial(await down.bind(LOCAL));
    await peer.greet("SUB");
    peer.send(command(bytes("09 'SUBSCRIBE' 'x'")));
    await waitFor(() => pub.subscribers === 1);
    peer.close();
    await waitFor(() => pub.subscribers === 0);
  });

  it("xpub_verbose - by default receives the first subscription to a topic and the last cancellation", async () => {
    await using it = await xpubWith(2);
    const [one, two] = it.peers;
    one!.send(subscribe("A"), subscribe("A"));
    assert.equal(await it.next(), "\x01A");
    two!.send(subscribe("A"), subscribe("B"));
    assert.equal(await it.next(), "\x01B");
    one!.send(cancel("A"), cancel("A"), subscribe("C"));
    assert.equal(await it.next(), "\x01C");
    two!.send(cancel("A"));
    assert.equal(await it.next(), "\x00A");
    // A peer that disconnects ends its subscriptions.
    one!.close();
    assert.equal(await it.next(), "\x00C");
  });

  it("xpub_verbose - receives every subscription, and with `all` every cancellation", async () => {
    for (const verbose of ["subscribe", "all"] as const) {
      await using it = await xpubWith(2, { verbose });
      const [one, two] = it.peers;
      one!.send(subscribe("A"));
      assert.equal(await it.next(), "\x01A");
      two!.send(subscribe("A"));
      assert.equal(await it.next(), "\x01A");
      two!.send(subscribe("A"));
      assert.equal(await it.next(), "\x01A");
      one!.send(cancel("A"), subscribe("end"));
      if (verbose === "all") assert.equal(await it.next(), "\x00A");
      assert.equal(await it.next(), "\x01end");
      // Each peer has a set without counts: one CANCEL ends three equal subscriptions.
      two!.send(cancel("A"));
      assert.equal(await it.next(), "\x00A");
      assert.equal(it.xpub.subscribers, 1);
    }
  });

  it("xpub_verbose - receives other messages unchanged", async () => {
    await using it = await xpubWith(1);
    it.peers[0]!.send(
      frame("hello"),
      frame("", 1),
      frame("\x01x"),
      frame("\x01y", 1),
      frame("z"),
      subscribe("t"),
    );
    assert.deepEqual([await it.next(), await it.next(), await it.next()], ["hello", "|\x01x", "\x01y|z"]);
    assert.equal(await it.next(), "\x01t");
  });

  it("xpub_manual - a peer receives the topics that the program set, not those that it subscribed to", async () => {
    await using it = await xpubWith(2, { manual: true });
    const [one, two] = it.peers;
    one!.send(subscribe("A"));
    assert.equal(await it.next(), "\x01A");
    it.xpub.subscribe("XA");
    two!.send(subscribe("A"));
    assert.equal(await it.next(), "\x01A");
    it.xpub.subscribe("YA");
    await it.xpub.send("A");
    await it.xpub.send("XA");
    await it.xpub.send("YA");
    assert.equal(hexOf(await one!.take(4)), hexOf(frame("XA")));
    assert.equal(hexOf(await two!.take(4)), hexOf(frame("YA")));
    two!.send(cancel("A"));
    assert.equal(await it.next(), "\x00A");
    it.xpub.unsubscribe("YA");
    await it.xpub.send("YA");
    await it.xpub.send("XA2");
    await one!.take(5);
    assert.equal(two!.waiting, 0);
  });

  it("xpub_manual_last_value - the message after a subscription is sent only to its subscriber", async () => {
    await using it = await xpubWith(2, { manual: "last-value" });
    const [one, two] = it.peers;
    one!.send(subscribe("A"));
    await it.next();
    it.xpub.subscribe("A");
    await it.xpub.send("A last value");
    two!.send(subscribe("A"));
    await it.next();
    it.xpub.subscribe("A");
    await it.xpub.send("A last value");
    await it.xpub.send("A news");
    for (const peer of [one!, two!]) {
      assert.equal(hexOf(await peer.take(14)), hexOf(frame("A last value")));
      assert.equal(hexOf(await peer.take(8)), hexOf(frame("A news")));
    }
    // A message that matches no topic of the peer is sent to no peer.
    two!.send(subscribe("B"));
    await it.next();
    await it.xpub.send("C");
    await it.xpub.send("A more");
    assert.equal(hexOf(await one!.take(8)), hexOf(frame("A more")));
    assert.equal(hexOf(await two!.take(8)), hexOf(frame("A more")));
  });

  it("xpub - the welcome message is sent before all others", async () => {
    await using it = await xpubWith(1, { welcome: "W" });
    assert.equal(hexOf(await it.peers[0]!.take(3)), hexOf(frame("W")));
  });

  it("xpub_nodrop - a full subscriber blocks the publisher, and loses nothing", async () => {
    const endpoint = inproc();
    await using xpub = new XPub({ onFull: "block", hwm: 10 });
    await using sub = new Sub({ hwm: 10 });
    await xpub.bind(endpoint);
    sub.subscribe("");
    sub.connect(endpoint);
    await deadline(xpub.receive());
    const batch = batchOf(numbers(100).map(String));
    let at = 0;
    for (let before = -1; before < at;) [before, at] = [at, xpub.sendBatch(batch, at)];
    assert.ok(at > 0 && at < 100, `${at} were taken`);
    for (let i = 0; i < 100; i++) {
      assert.deepEqual(texts(await deadline(sub.receive())), [`${i}`]);
      at = xpub.sendBatch(batch, at);
    }
    assert.equal(xpub.dropped, 0);
  });

  it("pubsub_topics_count - topics that are added and removed leave nothing in the tree", async () => {
    await using pub = new Pub();
    const endpoint = await pub.bind(LOCAL);
    const subs = numbers(3).map(() => new Sub());
    for (const sub of subs) sub.connect(endpoint);
    await waitFor(() => pub.peers === 3);
    for (const sub of subs) for (let i = 0; i < 100; i++) sub.subscribe(`topic ${i}`);
    await waitFor(() => pub.subscribers === 3);
    await subs[0]!.close();
    await waitFor(() => pub.subscribers === 2);
    for (let i = 0; i < 100; i++) subs[1]!.unsubscribe(`topic ${i}`);
    await waitFor(() => pub.subscribers === 1);
    await pub.send("topic 99 is for one");
    assert.deepEqual(texts(await deadline(subs[2]!.receive())), ["topic 99 is for one"]);
    await Promise.all([subs[1]!.close(), subs[2]!.close()]);
    await waitFor(() => pub.subscribers === 0);
  });

  it("hwm_pubsub - the high-water mark applies to each subscriber, in whole messages", async () => {
    const log = new SocketLog();
    const endpoint = inproc();
    await using pub = new Pub({ hwm: 4, onEvent: log.onEvent });
    await using stands = new Sub();
    await using reads = new Sub();
    await pub.bind(endpoint);
    for (const sub of [stands, reads]) {
      sub.subscribe("");
      sub.connect(endpoint);
    }
    await waitFor(() => pub.subscribers === 2);
    stands.pause();
    for (let i = 0; i < 20; i++) {
      await pub.send(["a", `${i}`, ""]);
      assert.deepEqual(texts(await deadline(reads.receive())), ["a", `${i}`, ""]);
    }
    // One is being written, four wait.
    assert.deepEqual([pub.dropped, log.of("dropping").length], [15, 1]);
    stands.resume();
    for (let i = 0; i < 5; i++) assert.deepEqual(texts(await deadline(stands.receive())), ["a", `${i}`, ""]);
  });

  it("xsub - a message to publishers waits for the first publisher", async () => {
    await using xsub = new XSub();
    await using xpub = new XPub();
    xsub.subscribe("t");
    const sent = xsub.send(["hello", "up there"]);
    xsub.connect(await xpub.bind(LOCAL));
    await deadline(sent);
    assert.deepEqual(texts(await deadline(xpub.receive())), ["\x01t"]);
    assert.deepEqual(texts(await deadline(xpub.receive())), ["hello", "up there"]);
  });
});
