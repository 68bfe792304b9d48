/** Subscriptions over TCP: commands since ZMTP 3.1, messages before. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Pub, Sub } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { scoped, SocketLog, texts } from "../../support/sockets.ts";
import {
  bytes,
  command,
  frame,
  greeting,
  hexOf,
  rawListener,
  RawPeer,
  ready,
} from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const VERSIONS = ["3.1", "3.0", "2.0"] as const;

/** The two forms of a subscription or its cancellation. */
const asCommand = (topic: string, subscribe = true) =>
  command(bytes(subscribe ? `09 'SUBSCRIBE' '${topic}'` : `06 'CANCEL' '${topic}'`));
const asMessage = (topic: string, subscribe = true) => frame(bytes(`0${subscribe ? 1 : 0} '${topic}'`));

describe("wire - subscriptions out", () => {
  for (const version of VERSIONS) {
    const form = version === "3.1" ? asCommand : asMessage;
    it(`sub - sends a ${version} peer subscriptions and cancellations as ${version === "3.1" ? "commands" : "messages"}`, async () => {
      await using listener = await rawListener();
      await using sub = scoped(new Sub());
      sub.subscribe("early");
      sub.connect(listener.endpoint);
      const peer = await listener.peer(0);
      await peer.greet("PUB", version);
      await waitFor(() => sub.peers === 1);
      sub.subscribe("early");
      sub.subscribe("");
      sub.subscribe(Uint8Array.of(0, 1, 255));
      sub.unsubscribe("early");
      sub.unsubscribe("");
      sub.unsubscribe("early");
      const binary = version === "3.1" ? "04 0d 09 'SUBSCRIBE' 00 01 ff" : "00 04 01 00 01 ff";
      const expected = [
        hexOf(form("early")).repeat(2),
        hexOf(form("")),
        hexOf(bytes(binary)),
        hexOf(form("", false)),
        hexOf(form("early", false)),
      ].join("");
      assert.equal(hexOf(await peer.take(expected.length / 2)), expected);
      assert.equal(peer.waiting, 0);
    });

    it(`sub - sends a ${version} peer a long topic in a LONG frame`, async () => {
      await using listener = await rawListener();
      await using sub = scoped(new Sub());
      sub.connect(listener.endpoint);
      const peer = await listener.peer(0);
      await peer.greet("PUB", version);
      await waitFor(() => sub.peers === 1);
      for (const length of [245, 246, 254, 255, 300]) {
        sub.subscribe("t".repeat(length));
        const expected = form("t".repeat(length));
        assert.equal(hexOf(await peer.take(expected.length)), hexOf(expected), `${length} bytes`);
      }
    });
  }

  it("sub - discards messages that it did not subscribe to", async () => {
    await using sub = scoped(new Sub());
    sub.subscribe("a");
    using peer = await RawPeer.dial(await sub.bind(LOCAL));
    await peer.greet("PUB");
    peer.send(
      frame("b", 1),
      frame("a"),
      frame(""),
      frame("a", 1),
      frame("b"),
      frame("ab"),
      frame("ba"),
      frame("a!"),
    );
    assert.deepEqual(texts(await deadline(sub.receive())), ["a", "b"]);
    assert.deepEqual(texts(await deadline(sub.receive())), ["ab"]);
    assert.deepEqual(texts(await deadline(sub.receive())), ["a!"]);
  });
});

describe("wire - subscriptions in", () => {
  for (const version of VERSIONS) {
    it(`pub - accepts both forms from a ${version} peer, as a set of topics`, async () => {
      const log = new SocketLog();
      await using pub = scoped(new Pub({ onEvent: log.onEvent }));
      using peer = await RawPeer.dial(await pub.bind(LOCAL));
      await peer.greet("SUB", version);
      peer.send(asCommand("a"), asMessage("a"), asCommand("a"), asMessage("b"), asCommand("c"));
      await log.until("subscription", 5);
      for (const topic of ["a1", "b1", "c1", "d1"]) await pub.send(topic);
      const first = [frame("a1"), frame("b1"), frame("c1")].map(hexOf).join("");
      assert.equal(hexOf(await peer.take(12)), first);
      // One cancellation ends any number of subscriptions, in either form.
      peer.send(asMessage("a", false), asCommand("b", false), asCommand("never", false));
      await log.until("subscription", 8);
      for (const topic of ["a2", "b2", "c2"]) await pub.send(topic);
      assert.equal(hexOf(await peer.take(4)), hexOf(frame("c2")));
      peer.send(asCommand("c", false));
      await waitFor(() => pub.subscribers === 0);
    });
  }

  it("pub - accepts subscriptions that arrive with the handshake", async () => {
    await using pub = scoped(new Pub());
    using peer = await RawPeer.dial(await pub.bind(LOCAL));
    peer.send(greeting(), ready("SUB"), asCommand("x"), asMessage("y"));
    await waitFor(() => pub.subscribers === 1);
    await pub.send("x1");
    await pub.send("y1");
    await peer.take(64 + 27);
    assert.equal(hexOf(await peer.take(8)), hexOf(frame("x1")) + hexOf(frame("y1")));
  });

  it("pub - ignores messages that are not subscriptions", async () => {
    await using pub = scoped(new Pub());
    using peer = await RawPeer.dial(await pub.bind(LOCAL));
    await peer.greet("XSUB");
    peer.send(
      frame(""),
      frame("hello"),
      frame(bytes("02 'x'")),
      frame(bytes("01 'multi'"), 1),
      frame("part"),
    );
    peer.send(asMessage("last"));
    await waitFor(() => pub.subscribers === 1);
    await pub.send("hello");
    await pub.send("last");
    assert.equal(hexOf(await peer.take(6)), hexOf(frame("last")));
  });

  it("pub - delivers a message once if two topics match", async () => {
    await using pub = scoped(new Pub());
    using peer = await RawPeer.dial(await pub.bind(LOCAL));
    await peer.greet("SUB");
    peer.send(asCommand(""), asCommand("a"), asCommand("ab"), asMessage("abc"));
    await waitFor(() => pub.subscribers === 1);
    peer.send(asMessage("done"));
    await pub.send("abc");
    await pub.send("end");
    assert.equal(hexOf(await peer.take(10)), hexOf(frame("abc")) + hexOf(frame("end")));
  });

  it("pub - survives the invalid header that libzmq 4.3.3 sends for long topics", async () => {
    const log = new SocketLog();
    await using pub = scoped(new Pub({ onEvent: log.onEvent }));
    const endpoint = await pub.bind(LOCAL);
    using good = await RawPeer.dial(endpoint);
    await good.greet("SUB");
    good.send(asCommand(""));
    await waitFor(() => pub.subscribers === 1);
    for (let length = 246; length <= 255; length++) {
      using peer = await RawPeer.dial(endpoint);
      await peer.greet("SUB");
      // SUBSCRIBE with a 64-bit length, but without the LONG flag.
      const spoilt = asCommand("t".repeat(length));
      spoilt[0] = 4;
      peer.send(spoilt);
      await waitFor(() => pub.subscribers === 2 || log.of("disconnected").length === length - 245);
      await pub.send(`${length}`);
      assert.equal(hexOf(await good.take(5)), hexOf(frame(`${length}`)));
      peer.close();
      await waitFor(() => log.of("disconnected").length === length - 245);
    }
  });
});
