/** Our greeting over TCP: each byte, and the order of the parts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Pub, Pull, Push, Rep, Req, Sub } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { scoped, SocketLog, texts } from "../../support/sockets.ts";
import {
  bytes,
  frame,
  greeting,
  hexOf,
  rawListener,
  RawPeer,
  ready,
  SIGNATURE,
} from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const GREETING = `ff 00 00 00 00 00 00 00 01 7f 03 01 4e 55 4c 4c ${"00 ".repeat(16)} 00 ${"00 ".repeat(31)}`;

const SOCKETS = [
  ["PUSH", "PULL", () => new Push(), "04 1a 05 'READY' 0b 'Socket-Type' 00 00 00 04 'PUSH'"],
  ["PULL", "PUSH", () => new Pull(), "04 1a 05 'READY' 0b 'Socket-Type' 00 00 00 04 'PULL'"],
  ["PUB", "SUB", () => new Pub(), "04 19 05 'READY' 0b 'Socket-Type' 00 00 00 03 'PUB'"],
  ["SUB", "PUB", () => new Sub(), "04 19 05 'READY' 0b 'Socket-Type' 00 00 00 03 'SUB'"],
  ["REP", "REQ", () => new Rep(), "04 19 05 'READY' 0b 'Socket-Type' 00 00 00 03 'REP'"],
  [
    "REQ",
    "REP",
    () => new Req(),
    "04 26 05 'READY' 0b 'Socket-Type' 00 00 00 03 'REQ' 08 'Identity' 00 00 00 00",
  ],
] as const;

describe("wire - greeting", () => {
  for (const [type, peerType, make, expected] of SOCKETS) {
    it(`greeting - ${type} that binds sends signature, version, rest and READY, each after the peer's part`, async () => {
      await using socket = scoped(make());
      using peer = await RawPeer.dial(await socket.bind(LOCAL));
      const all = bytes(GREETING);
      assert.equal(hexOf(await peer.take(10)), hexOf(all.slice(0, 10)));
      assert.equal(peer.waiting, 0);
      peer.send(SIGNATURE);
      assert.equal(hexOf(await peer.take(1)), "03");
      assert.equal(peer.waiting, 0);
      peer.send("03");
      assert.equal(hexOf(await peer.take(53)), hexOf(all.slice(11)));
      assert.equal(peer.waiting, 0);
      peer.send(greeting().slice(11));
      const wanted = bytes(expected);
      assert.equal(hexOf(await peer.take(wanted.length)), hexOf(wanted));
      assert.equal(socket.peers, 0);
      peer.send(ready(peerType));
      await waitFor(() => socket.peers === 1);
      assert.equal(peer.waiting, 0);
    });

    it(`greeting - ${type} that connects sends the same`, async () => {
      await using listener = await rawListener((peer) => peer.send(greeting(), ready(peerType)));
      await using socket = scoped(make());
      socket.connect(listener.endpoint);
      const peer = await listener.peer(0);
      assert.equal(hexOf(await peer.take(64)), hexOf(bytes(GREETING)));
      const wanted = bytes(expected);
      assert.equal(hexOf(await peer.take(wanted.length)), hexOf(wanted));
      await waitFor(() => socket.peers === 1);
    });
  }

  it("greeting - completes with a listener that sends each part only after ours", async () => {
    const log = new SocketLog();
    await using listener = await rawListener();
    await using push = scoped(new Push({ onEvent: log.onEvent }));
    push.connect(listener.endpoint);
    const peer = await listener.peer(0);
    await peer.take(10);
    peer.send(SIGNATURE);
    await peer.take(1);
    peer.send("03");
    await peer.take(53);
    peer.send(greeting().slice(11));
    await peer.take(28);
    peer.send(ready("PULL"));
    await log.until("connected");
    assert.equal(listener.peers.length, 1);
  });

  it("greeting - loses nothing if greeting, handshake and a message arrive at once", async () => {
    await using pull = scoped(new Pull());
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    peer.send(greeting(), ready("PUSH"), frame("first"), frame("second", 1), frame(""));
    assert.deepEqual(texts(await deadline(pull.receive())), ["first"]);
    assert.deepEqual(texts(await deadline(pull.receive())), ["second", ""]);
  });

  it("greeting - accepts greeting, handshake and a message one byte at a time", async () => {
    await using pull = scoped(new Pull());
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    for (const part of [greeting(0), ready("PUSH"), frame("x".repeat(300)), frame("y")]) {
      for (const one of part) {
        peer.send(Uint8Array.of(one));
        // Each byte is sent as its own segment, because the operating system has accepted the one before.
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
    assert.deepEqual(texts(await deadline(pull.receive())), ["x".repeat(300)]);
    assert.deepEqual(texts(await deadline(pull.receive())), ["y"]);
  });

  it("greeting - uses version 2.0 with a 2.0 peer", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    peer.send(SIGNATURE, "01 08", frame("id"), frame("hello"));
    // Signature, our version, our type (7 is PULL), and an identity frame.
    assert.equal(hexOf(await peer.take(14)), hexOf(bytes(`${hexOf(SIGNATURE)} 03 07 00 00`)));
    assert.deepEqual(texts(await deadline(pull.receive())), ["hello"]);
    assert.equal(log.of("connected")[0]!.version, "2.0");
    assert.equal(log.of("connected")[0]!.socketType, "PUSH");
  });

  it("greeting - ignores padding, as-server and filler", async () => {
    await using pull = scoped(new Pull());
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    const odd = greeting();
    odd.fill(0xaa, 1, 9);
    odd[9] = 0xff;
    odd.fill(0xbb, 32);
    peer.send(odd, ready("PUSH"), frame("hello"));
    assert.deepEqual(texts(await deadline(pull.receive())), ["hello"]);
  });
});
