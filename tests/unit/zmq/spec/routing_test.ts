/** spec_dealer, spec_router, router_mandatory, router_handover, probe_router, connect_rid; and PAIR. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Dealer, Pair, Pub, Rep, Req, Router, UnreachableError } from "../../../../mod.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, inproc, numbers, SocketLog, texts } from "../../../support/sockets.ts";
import {
  bytes,
  command,
  frame,
  greeting,
  hexOf,
  type RawListener,
  rawListener,
  RawPeer,
} from "../../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** A DEALER's READY with a routing id, for raw peers. */
function readyWith(identity: string): Uint8Array {
  const length = identity.length.toString(16).padStart(2, "0");
  const type = "0b 'Socket-Type' 00 00 00 06 'DEALER'";
  return command(bytes(`05 'READY' ${type} 08 'Identity' 00 00 00 ${length} '${identity}'`));
}

/** A listener that ends its first connection, refuses the second, and sends frames on the third after the handshake. */
function refusingOnce(type: string, ...frames: Uint8Array[]): Promise<RawListener> {
  let count = 0;
  return rawListener(async (peer) => {
    const index = count++;
    await peer.greet(type);
    if (index === 0) peer.end();
    else if (index === 1) peer.send(command(bytes("05 'ERROR' 05 'taken'")));
    else if (frames.length > 0) peer.send(...frames);
  });
}

describe("spec routing", () => {
  it("spec_dealer - distributes to its peers in turn, and blocks without a peer", async () => {
    await using dealer = new Dealer();
    assert.equal(dealer.sendBatch(batchOf(["x"])), 0);
    const peers = await Promise.all(
      numbers(3).map(async () => {
        const peer = new Dealer();
        dealer.connect(await peer.bind(LOCAL));
        return peer;
      }),
    );
    await waitFor(() => dealer.peers === 3);
    for (let i = 0; i < 9; i++) await dealer.send(`${i}`);
    const shares = await Promise.all(peers.map(async (peer) => {
      const share = [];
      for (let i = 0; i < 3; i++) share.push(Number(texts(await deadline(peer.receive()))![0]));
      return share;
    }));
    for (const share of shares) assert.deepEqual(share.map((n) => n - share[0]!), [0, 3, 6]);
    await Promise.all(peers.map((peer) => peer.close()));
  });

  it("spec_dealer - receives whole messages from all peers, in the order of each peer", async () => {
    await using dealer = new Dealer();
    const endpoint = await dealer.bind(LOCAL);
    const peers = numbers(4).map(() => new Dealer());
    for (const peer of peers) peer.connect(endpoint);
    await Promise.all(peers.map(async (peer, who) => {
      for (let n = 0; n < 50; n++) await peer.send([`${who}`, "", `${n}`]);
    }));
    const next = [0, 0, 0, 0];
    for (let i = 0; i < 200; i++) {
      const [who, empty, n] = texts(await deadline(dealer.receive()))!;
      assert.deepEqual([empty, Number(n)], ["", next[Number(who)]!++]);
    }
    await Promise.all(peers.map((peer) => peer.close()));
  });

  it("spec_dealer - unsent messages of a disconnected peer are sent to the next peer", async () => {
    const endpoint = inproc();
    await using dealer = new Dealer({ reconnect: { first: 1, longest: 5 } });
    dealer.connect(endpoint);
    const first = new Router();
    await first.bind(endpoint);
    await waitFor(() => dealer.peers === 1);
    first.pause();
    for (let i = 0; i < 10; i++) await dealer.send(`${i}`);
    // Closed at once, without an end of the stream.
    await first.unbind(endpoint);
    await using second = new Router();
    await second.bind(endpoint);
    const seen = [];
    while (seen.at(-1) !== "9") seen.push(texts(await deadline(second.receive()))![1]);
    assert.deepEqual(seen, numbers(10).map(String).slice(-seen.length));
    assert.ok(seen.length >= 9, `${seen}`);
    await first.close();
  });

  it("spec_router - each peer has an id, by default 00 and four bytes; replies reach their peers", async () => {
    await using router = new Router();
    const endpoint = await router.bind(LOCAL);
    const named = new Dealer({ identity: "named" });
    const others = numbers(20).map(() => new Dealer());
    for (const dealer of [named, ...others]) dealer.connect(endpoint);
    await Promise.all([named, ...others].map((dealer, i) => dealer.send(`${i}`)));
    const ids = new Set<string>();
    for (let i = 0; i < 21; i++) {
      const [id, body] = (await deadline(router.receive()))!;
      ids.add(hexOf(id!));
      if (texts([body!])![0] === "0") assert.deepEqual(texts([id!]), ["named"]);
      else assert.deepEqual([id!.length, id![0]], [5, 0]);
      await router.send([id!, "re:", body!]);
    }
    assert.equal(ids.size, 21);
    for (const [i, dealer] of [named, ...others].entries()) {
      assert.deepEqual(texts(await deadline(dealer.receive())), ["re:", `${i}`]);
    }
    await Promise.all([named, ...others].map((dealer) => dealer.close()));
  });

  it("spec_router - each message of one read is labelled with the id, and keeps its frames", async () => {
    await using router = new Router();
    using peer = await RawPeer.dial(await router.bind(LOCAL));
    await peer.greet("DEALER");
    const parts = [
      frame("a", 1),
      frame("", 1),
      frame("b"),
      frame(""),
      frame("x".repeat(70_000), 1),
      frame("c"),
    ];
    peer.send(...parts);
    const messages = [];
    for (let i = 0; i < 3; i++) messages.push(texts((await deadline(router.receive()))!.slice(1)));
    assert.deepEqual(messages, [["a", "", "b"], [""], ["x".repeat(70_000), "c"]]);
  });

  it("spec_router - drops, counts and reports messages for an unknown id; an id alone is an error", async () => {
    const log = new SocketLog();
    await using router = new Router({ onEvent: log.onEvent });
    await router.send(["nobody", "hello"]);
    await router.send(["nobody", "again"]);
    assert.deepEqual([router.dropped, texts([log.of("unroutable")[0]!.routingId])], [2, ["nobody"]]);
    await assert.rejects(router.send("nobody"), /a routing id and at least one more frame/);
  });

  it("spec_router - drops and counts the newest message for a full peer, and serves the others", async () => {
    const log = new SocketLog();
    const endpoint = inproc();
    await using router = new Router({ hwm: 10, onEvent: log.onEvent });
    await router.bind(endpoint);
    await using full = new Dealer({ identity: "full" });
    await using other = new Dealer({ identity: "other" });
    for (const dealer of [full, other]) dealer.connect(endpoint);
    await waitFor(() => router.peers === 2);
    full.pause();
    for (let i = 0; i < 50; i++) {
      await router.send(["full", `${i}`]);
      await router.send(["other", `${i}`]);
      assert.deepEqual(texts(await deadline(other.receive())), [`${i}`]);
    }
    // One is being written, ten wait.
    assert.equal(router.dropped, 39);
    assert.equal(log.of("dropping").length, 1);
    full.resume();
    for (let i = 0; i < 11; i++) assert.deepEqual(texts(await deadline(full.receive())), [`${i}`]);
  });

  it("router_mandatory - an unknown id is an error that names it, and a message for a full peer waits", async () => {
    const endpoint = inproc();
    await using router = new Router({ hwm: 5, mandatory: true });
    await router.bind(endpoint);
    await assert.rejects(router.send(["nobody", "hello"]), (error) => {
      return error instanceof UnreachableError && /routing id 'nobody'/.test(error.message);
    });
    await using dealer = new Dealer({ identity: "d" });
    dealer.connect(endpoint);
    await waitFor(() => router.peers === 1);
    dealer.pause();
    const sending = (async () => {
      for (let i = 0; i < 50; i++) await router.send(["d", `${i}`]);
    })();
    await waitFor(() => router.unsent === 6);
    dealer.resume();
    for (let i = 0; i < 50; i++) assert.deepEqual(texts(await deadline(dealer.receive())), [`${i}`]);
    await sending;
    assert.equal(router.dropped, 0);
  });

  it("router_mandatory - the messages before one with an unknown id are sent", async () => {
    await using router = new Router({ mandatory: true });
    await using dealer = new Dealer({ identity: "d" });
    dealer.connect(await router.bind(LOCAL));
    await waitFor(() => router.peers === 1);
    const batch = batchOf(["d", "1", "x", "2"]);
    batch.flags.set([1, 0, 1, 0]);
    assert.equal(router.sendBatch(batch), 2);
    assert.throws(() => router.sendBatch(batch, 2), UnreachableError);
    assert.deepEqual(texts(await deadline(dealer.receive())), ["1"]);
  });

  it("router_handover - without it, a second peer with the same id is refused until the first disconnects", async () => {
    const log = new SocketLog();
    await using router = new Router({ onEvent: log.onEvent });
    const endpoint = await router.bind(LOCAL);
    const first = new Dealer({ identity: "same" });
    first.connect(endpoint);
    await waitFor(() => router.peers === 1);
    await using second = new Dealer({ identity: "same", reconnect: { first: 5, longest: 20 } });
    second.connect(endpoint);
    assert.match((await log.until("handshake-failed")).error.message, /already has the routing id 'same'/);
    const failure = await waitFor(() => second.failure);
    assert.match(`${failure}`, /ended the connection: another peer already has the routing id 'same'/);
    await router.send(["same", "for the first"]);
    assert.deepEqual(texts(await deadline(first.receive())), ["for the first"]);
    await first.close();
    await waitFor(() => router.peers === 0);
    await using third = new Dealer({ identity: "same" });
    third.connect(endpoint);
    await third.send("here I am");
    assert.deepEqual(texts(await deadline(router.receive())), ["same", "here I am"]);
    assert.equal(log.of("handshake-failed").length, 1);
  });

  it("router_handover - the messages of a refused dealer are counted, and the reason is its failure", async () => {
    await using router = new Router();
    const endpoint = await router.bind(LOCAL);
    await using first = new Dealer({ identity: "same" });
    first.connect(endpoint);
    await waitFor(() => router.peers === 1);
    const second = new Dealer({ identity: "same" });
    second.connect(endpoint);
    await waitFor(() => second.peers === 1 || second.failure !== undefined);
    const count = second.sendBatch(batchOf(["a", "b", "c"]));
    assert.equal(await deadline(second.close(1000)), count);
    assert.match(`${second.failure}`, /already has the routing id 'same'/);
    assert.equal(router.peers, 1);
  });

  it("router_handover - a refused peer is sent the reason, and its messages are discarded", async () => {
    await using router = new Router();
    const endpoint = await router.bind(LOCAL);
    await using first = new Dealer({ identity: "same" });
    first.connect(endpoint);
    await waitFor(() => router.peers === 1);
    using peer = await RawPeer.dial(endpoint);
    peer.send(greeting(), readyWith("same"), frame("x".repeat(1000)));
    const reason = "another peer already has the routing id 'same'";
    const error = command(
      bytes(`05 'ERROR' ${reason.length.toString(16)} ${hexOf(new TextEncoder().encode(reason))}`),
    );
    await peer.untilGone();
    assert.ok(hexOf(peer.bytes()).endsWith(hexOf(error)), peer.text());
    peer.close();
    await first.send("next");
    assert.deepEqual(texts(await deadline(router.receive())), ["same", "next"]);
  });

  it("router_handover - a dealer that reconnects is refused for as long as its lost connection counts", async () => {
    const refuse = command(bytes("05 'ERROR' 05 'taken'"));
    await using listener = await rawListener(async (peer) => {
      await peer.greet("ROUTER");
      if (listener.peers.indexOf(peer) === 1) peer.send(refuse);
    });
    await using dealer = new Dealer({ identity: "same", reconnect: { first: 5, longest: 20 } });
    dealer.connect(listener.endpoint);
    await dealer.send("a");
    const lost = await listener.peer(0);
    await waitFor(() => hexOf(lost.bytes()).endsWith(hexOf(frame("a"))));
    lost.end();
    const last = await listener.peer(2);
    await deadline(dealer.send("b"));
    await waitFor(() => hexOf(last.bytes()).endsWith(hexOf(frame("b"))));
    assert.deepEqual([dealer.failure, dealer.refused], [undefined, 0]);
  });

  it("router_handover - disconnect ends a connection that the peer may still refuse", async () => {
    await using listener = await refusingOnce("ROUTER");
    await using dealer = new Dealer({
      reconnect: { first: 5, longest: 20 },
      heartbeat: { interval: 10_000 },
    });
    dealer.connect(listener.endpoint);
    const last = await listener.peer(2);
    // The first PING is sent when the connection is complete.
    await waitFor(() => hexOf(last.bytes()).includes(hexOf(bytes("04 'PING'"))));
    await deadline(dealer.disconnect(listener.endpoint), 2000, "the disconnect");
    await last.untilGone();
    assert.equal(dealer.peers, 0);
  });

  it("router_handover - a reply to a request that arrives right after a refused connection is sent", async () => {
    await using listener = await refusingOnce("REQ", frame("", 1), frame("question"));
    await using rep = new Rep({ reconnect: { first: 5, longest: 20 } });
    rep.connect(listener.endpoint);
    const request = await deadline(rep.receive());
    assert.deepEqual(texts(request!.frames), ["question"]);
    assert.equal(rep.peers, 1);
    request!.reply("answer");
    const last = await listener.peer(2);
    await waitFor(() => hexOf(last.bytes()).endsWith(hexOf(frame("answer"))));
  });

  it("router_handover - a subscription that arrives right after a refused connection is kept", async () => {
    await using listener = await refusingOnce("SUB", command(bytes("09 'SUBSCRIBE' 'news'")));
    await using pub = new Pub({ reconnect: { first: 5, longest: 20 } });
    pub.connect(listener.endpoint);
    await waitFor(() => pub.subscribers === 1);
    await pub.send("news of today");
    const last = await listener.peer(2);
    await waitFor(() => hexOf(last.bytes()).endsWith(hexOf(frame("news of today"))));
  });

  it("router_handover - peers that take an id from each other again and again are reported once", async () => {
    const log = new SocketLog();
    await using router = new Router({ handover: true, onEvent: log.onEvent });
    const endpoint = await router.bind(LOCAL);
    const options = { identity: "same", reconnect: { first: 2, longest: 2 } };
    await using first = new Dealer(options);
    await using second = new Dealer(options);
    first.connect(endpoint);
    second.connect(endpoint);
    assert.deepEqual(texts([(await log.until("contested")).routingId]), ["same"]);
    await log.until("disconnected", 8);
    assert.equal(log.of("contested").length, 1);
  });

  it("router_handover - with it, the new peer has the id, and the first one is disconnected", async () => {
    await using router = new Router({ handover: true });
    const endpoint = await router.bind(LOCAL);
    using first = await RawPeer.dial(endpoint);
    first.send(greeting(), readyWith("same"));
    await waitFor(() => router.peers === 1);
    await using second = new Dealer({ identity: "same" });
    second.connect(endpoint);
    await first.untilGone();
    await waitFor(() => router.peers === 1 && second.peers === 1);
    await router.send(["same", "for the second"]);
    assert.deepEqual(texts(await deadline(second.receive())), ["for the second"]);
    assert.equal(router.dropped, 0);
  });

  it("router_handover - a hundred peers with one id, one after the other: no deadlock, and no connection is left", async () => {
    for (const handover of [false, true]) {
      await using router = new Router({ handover });
      const endpoint = await router.bind(LOCAL);
      const peers: RawPeer[] = [];
      for (let i = 0; i < 100; i++) {
        const peer = await RawPeer.dial(endpoint);
        peer.send(greeting(), readyWith("same"));
        peers.push(peer);
      }
      await waitFor(() => peers.filter((peer) => peer.ended || peer.closed).length === 99);
      await waitFor(() => router.peers === 1);
      for (const peer of peers) peer.close();
      await waitFor(() => router.peers === 0);
    }
  });

  it("probe_router - a dealer, a req and a router announce themselves by an empty message", async () => {
    await using router = new Router();
    const endpoint = await router.bind(LOCAL);
    const options = (identity: string) => ({ identity, probe: true });
    const sockets = [new Dealer(options("dealer")), new Req(options("req")), new Router(options("router"))];
    for (const socket of sockets) {
      socket.connect(endpoint);
      assert.deepEqual(texts(await deadline(router.receive())), [socket.type.toLowerCase(), ""]);
    }
    await router.send(["router", "hello"]);
    const [, hello] = (await deadline((sockets[2] as Router).receive()))!;
    assert.deepEqual(texts([hello!]), ["hello"]);
    await Promise.all(sockets.map((socket) => socket.close()));
  });

  it("connect_rid - a router that connects assigns an id to its peer", async () => {
    await using router = new Router({ mandatory: true });
    await using rep = new Rep();
    await using dealer = new Dealer({ identity: "own name" });
    await using req = new Router();
    router.connect(await req.bind(LOCAL), "service");
    router.connect(await dealer.bind(LOCAL), "worker");
    await waitFor(() => router.peers === 2);
    await router.send(["worker", "hello"]);
    assert.deepEqual(texts(await deadline(dealer.receive())), ["hello"]);
    await dealer.send("world");
    assert.deepEqual(texts(await deadline(router.receive())), ["worker", "world"]);
    assert.throws(() => router.connect(inproc(), ""), RangeError);
    assert.throws(() => router.connect(inproc(), new Uint8Array([0, 1])), /begins with 00/);
    await rep.close();
  });

  it("connect_rid - the id stays the same after reconnects", async () => {
    const endpoint = inproc();
    await using router = new Router({ reconnect: { first: 1, longest: 5 } });
    router.connect(endpoint, "service");
    for (let round = 0; round < 3; round++) {
      const dealer = new Dealer();
      await dealer.bind(endpoint);
      await dealer.send(`${round}`);
      assert.deepEqual(texts(await deadline(router.receive())), ["service", `${round}`]);
      await dealer.close();
      await waitFor(() => router.peers === 0);
    }
  });

  it("pair - exchanges messages with one peer, refuses a second, and accepts it when the first has disconnected", async () => {
    const log = new SocketLog();
    await using pair = new Pair({ onEvent: log.onEvent });
    const endpoint = await pair.bind(LOCAL);
    const first = new Pair();
    first.connect(endpoint);
    await first.send("one");
    assert.deepEqual(texts(await deadline(pair.receive())), ["one"]);
    await using second = new Pair({ reconnect: { first: 5, longest: 20 } });
    second.connect(endpoint);
    assert.match((await log.until("handshake-failed")).error.message, /one peer/);
    await pair.send(["back", ""]);
    assert.deepEqual(texts(await deadline(first.receive())), ["back", ""]);
    await first.close();
    await waitFor(() => second.peers === 1 && pair.peers === 1);
    await pair.send("you are next");
    assert.deepEqual(texts(await deadline(second.receive())), ["you are next"]);
  });

  it("pair - blocks at the high-water mark, and pauses the peer while the program does not receive", async () => {
    const endpoint = inproc();
    await using left = new Pair({ hwm: 10 });
    await using right = new Pair({ hwm: 10 });
    await left.bind(endpoint);
    right.connect(endpoint);
    let sent = 0;
    const sending = (async () => {
      for (; sent < 100; sent++) await left.send(`${sent}`);
    })();
    await waitFor(() => left.unsent >= 11);
    assert.ok(sent < 40, `${sent} were taken`);
    for (let i = 0; i < 100; i++) assert.deepEqual(texts(await deadline(right.receive())), [`${i}`]);
    await sending;
  });
});
