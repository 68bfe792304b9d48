/** What a socket knows of its peers: whether they are gone, refused it, or may do so again. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { Dealer, Pub, Pull, Push, Radio } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { bytes, command, frame, greeting, rawListener, RawPeer, ready } from "../../support/raw_peer.ts";
import { inproc, SocketLog, texts } from "../../support/sockets.ts";
import { batchOf, FakePeer } from "./fake_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const FAST = { reconnect: { first: 1, longest: 5 } };
const ERROR = command(bytes("05 'ERROR' 04 'gone'"));
const HELLO = [greeting(), ready("ROUTER")];

describe("socket", () => {
  it("abandoned - each endpoint to connect to has had a peer, and no peer is left", async () => {
    const near = new Push();
    const far = new Push();
    const log = new SocketLog();
    await using pull = new Pull({ ...FAST, onEvent: log.onEvent });
    const [one, two] = [inproc(), inproc()];
    assert.equal(pull.abandoned, false);
    pull.connect(one);
    pull.connect(two);
    assert.equal(pull.abandoned, false);
    await near.bind(one);
    await log.until("connected", 1);
    assert.equal(pull.abandoned, false);
    await near.close();
    await log.until("disconnected", 1);
    // The other endpoint has not had one.
    assert.equal(pull.abandoned, false);
    await far.bind(two);
    await log.until("connected", 2);
    assert.equal(pull.abandoned, false);
    await far.close();
    await log.until("disconnected", 2);
    assert.equal(pull.abandoned, true);
  });

  it("abandoned - without an endpoint to connect to, it is so when the last peer has left", async () => {
    await using pull = new Pull();
    const endpoint = await pull.bind(inproc());
    const pushes = [new Push(), new Push()];
    for (const push of pushes) push.connect(endpoint);
    await waitFor(() => pull.peers === 2);
    await pushes[0]!.close();
    await waitFor(() => pull.peers === 1);
    assert.equal(pull.abandoned, false);
    await pushes[1]!.close();
    await waitFor(() => pull.peers === 0);
    assert.equal(pull.abandoned, true);
  });

  it("failure - a socket has not failed while it listens, or while another endpoint may still answer", async () => {
    await using wrong = new Pub();
    const log = new SocketLog();
    await using push = new Push({ ...FAST, onEvent: log.onEvent });
    const bound = await push.bind(inproc());
    const later = inproc();
    push.connect(later);
    push.connect(await wrong.bind(inproc()));
    await log.until("handshake-failed");
    await new Promise((resolve) => setTimeout(resolve)); // What follows the event is done by then.
    assert.equal(push.failure, undefined);
    await push.unbind(bound);
    assert.equal(push.failure, undefined);
    await push.disconnect(later);
    await waitFor(() => push.failure !== undefined);
    assert.match(push.failure!.message, /a PUB socket, and PUSH talks to PULL/);
  });

  it("close - waits until a peer that reads the rest has ended, too", async () => {
    const push = new Push();
    const port = Number((await push.bind(LOCAL)).split(":").at(-1));
    using peer = new RawPeer(net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
    await peer.greet("PULL");
    await push.send("the rest");
    await waitFor(() => push.unsent === 0);
    const order: string[] = [];
    const closing = push.close().then((unsent) => void order.push(`closed ${unsent}`));
    await peer.untilGone();
    order.push("read");
    peer.end();
    await deadline(closing);
    assert.deepEqual(order, ["read", "closed 0"]);
  });

  it("close - returns the messages that a peer has refused, added to those that were not sent", async () => {
    await using listener = await rawListener((peer) => peer.send(...HELLO));
    const log = new SocketLog();
    const dealer = new Dealer({ ...FAST, onEvent: log.onEvent });
    dealer.connect(listener.endpoint);
    const peer = await listener.peer(0);
    await log.until("connected");
    for (const message of ["a", "b", "c"]) await dealer.send(message);
    await waitFor(() => new TextDecoder().decode(peer.bytes()).endsWith("c"));
    peer.send(ERROR);
    await log.until("disconnected");
    await waitFor(() => dealer.failure !== undefined);
    assert.deepEqual([dealer.refused, dealer.unsent, await dealer.close()], [3, 0, 3]);
  });

  it("refusal - is final after handshakes that failed, as the peer has never accepted", async () => {
    await using listener = await rawListener((peer) => {
      if (listener.peers.length < 3) peer.close();
      else peer.send(...HELLO, ERROR);
    });
    await using dealer = new Dealer(FAST);
    const ended = dealer.ended();
    dealer.connect(listener.endpoint);
    await deadline(ended);
    assert.match(dealer.failure!.message, /The peer ended the connection: gone/);
    assert.equal(listener.peers.length, 3);
  });

  it("probation - a peer that has refused is ready when it sends data, unless it refuses again", async () => {
    await using listener = await rawListener((peer) => {
      peer.send(...HELLO);
      const at = listener.peers.length - 1;
      // The first one is accepted, two refuse, and the message after the refusal does not count.
      if (at === 1) peer.send(ERROR);
      if (at === 2) peer.send(ERROR, frame("bad"));
      if (at === 4) peer.send(frame("good"));
    });
    await using other = await rawListener((peer) => peer.send(...HELLO));
    const log = new SocketLog();
    await using dealer = new Dealer({ ...FAST, onEvent: log.onEvent });
    dealer.connect(other.endpoint);
    const friend = await other.peer(0);
    await log.until("connected");
    dealer.connect(listener.endpoint);
    await log.until("connected", 2);
    (await listener.peer(0)).close();
    const doubted = await listener.peer(3);
    await doubted.take(64 + 2 + 38);
    // Meanwhile the others are served.
    friend.send(frame("from another one"));
    assert.deepEqual(texts(await deadline(dealer.receive())), ["from another one"]);
    assert.equal(dealer.peers, 1);
    doubted.send(ERROR, frame("bad, too"));
    const last = await listener.peer(4);
    assert.deepEqual(texts(await deadline(dealer.receive())), ["good"]);
    await waitFor(() => dealer.peers === 2);
    last.send(frame("and more"));
    assert.deepEqual(texts(await deadline(dealer.receive())), ["and more"]);
    // The two that were on probation and refused are not reported.
    assert.equal(log.of("connected").length, 4);
  });

  it("probation - a peer that hangs up meanwhile was never connected", async () => {
    await using listener = await rawListener((peer) => {
      peer.send(...HELLO);
      const at = listener.peers.length - 1;
      if (at === 1) peer.send(ERROR);
      if (at === 3) peer.send(frame("good"));
    });
    const log = new SocketLog();
    await using dealer = new Dealer({ ...FAST, onEvent: log.onEvent });
    dealer.connect(listener.endpoint);
    await log.until("connected");
    (await listener.peer(0)).close();
    const third = await listener.peer(2);
    await third.take(64 + 2 + 38);
    third.close();
    assert.deepEqual(texts(await deadline(dealer.receive())), ["good"]);
    // The first, the one that refused, and the last.
    assert.deepEqual([log.of("connected").length, dealer.peers], [3, 1]);
  });
});

describe("radio", () => {
  /** A RADIO whose peers the test adds. */
  class TestedRadio extends Radio {
    attach(peer: FakePeer): void {
      this.onAttach(peer.connection);
    }
    detach(peer: FakePeer): void {
      this.onDetach(peer.connection);
    }
  }

  it("size - a message is limited to a datagram while there is a peer over UDP, and only then", () => {
    const radio = new TestedRadio();
    const message = batchOf(`group/${"x".repeat(8187)}`);
    const peers = ["one", "two"].map((name) => new FakePeer(name, undefined, "", "none"));
    const fits = () => assert.equal(radio.sendBatch(message), 2);
    const tooLarge = () =>
      assert.throws(() => radio.sendBatch(message), /at most 8186 bytes fit after a group of 5/);
    radio.attach(new FakePeer("over TCP"));
    fits();
    radio.attach(peers[0]!);
    tooLarge();
    radio.attach(peers[1]!);
    radio.detach(peers[0]!);
    tooLarge();
    radio.detach(peers[1]!);
    fits();
    assert.throws(() => radio.sendBatch(batchOf(`${"g".repeat(256)}/x`)), RangeError);
    assert.equal(radio.sendBatch(batchOf(`${"g".repeat(255)}/x`)), 2);
  });
});
