/** Peers that send invalid data, stall or disappear: they do not affect other peers. */
import assert from "node:assert/strict";
import net from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import {
  HandshakeTimeoutError,
  LimitError,
  ProtocolError,
  Pull,
  Push,
  type SocketOptions,
} from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { numbers, scoped, SocketLog, texts } from "../../support/sockets.ts";
import { bytes, frame, greeting, rawListener, RawPeer, ready, SIGNATURE } from "../../support/raw_peer.ts";

const MIB = 2 ** 20;

/** A bound PULL socket with a valid peer, and a check that it still receives from that peer. */
async function serving(options: SocketOptions = {}): Promise<
  AsyncDisposable & { pull: Pull; log: SocketLog; endpoint: string; stillServes(): Promise<void> }
> {
  const log = new SocketLog();
  const pull = new Pull({ onEvent: log.onEvent, ...options });
  const endpoint = await pull.bind("tcp://127.0.0.1:0");
  const good = await RawPeer.dial(endpoint);
  await good.greet("PUSH");
  await waitFor(() => pull.peers === 1);
  let count = 0;
  return {
    pull,
    log,
    endpoint,
    async stillServes() {
      good.send(frame(`${++count}`));
      assert.deepEqual(texts(await deadline(pull.receive())), [`${count}`]);
    },
    async [Symbol.asyncDispose]() {
      good.close();
      await pull.close();
    },
  };
}

describe("wire - hostile peers", () => {
  const claims = [
    ["2^63 bytes", "02 80 00 00 00 00 00 00 00"],
    ["2^64 - 1 bytes", "02 ff ff ff ff ff ff ff ff"],
    ["2^53 bytes", "02 00 20 00 00 00 00 00 00"],
    ["2^32 bytes", "03 00 00 00 01 00 00 00 00"],
    ["2^31 bytes", "02 00 00 00 00 80 00 00 00"],
    ["a command of 2^40 bytes", "06 00 00 01 00 00 00 00 00"],
  ] as const;
  for (const [claim, script] of claims) {
    it(`length - rejects a frame that announces ${claim} at once`, async () => {
      await using server = await serving();
      using peer = await RawPeer.dial(server.endpoint);
      await peer.greet("PUSH");
      await server.log.until("connected", 2);
      const before = process.memoryUsage().rss;
      peer.send(script);
      await peer.untilGone();
      const { error } = await server.log.until("disconnected");
      assert.ok(error instanceof LimitError || error instanceof ProtocolError, `${error}`);
      assert.match(error.message, /bytes/);
      assert.ok(process.memoryUsage().rss - before < 64 * MIB);
      await server.stillServes();
    });
  }

  it("length - rejects a message of many frames over maxMessageSize before it is complete", async () => {
    await using server = await serving({ maxMessageSize: 1000 });
    using peer = await RawPeer.dial(server.endpoint);
    await peer.greet("PUSH");
    peer.send(frame("x".repeat(900)));
    assert.equal((await deadline(server.pull.receive()))![0]!.length, 900);
    for (let i = 0; i < 12; i++) peer.send(frame("x".repeat(100), 1));
    await peer.untilGone();
    const { error } = await server.log.until("disconnected");
    assert.ok(error instanceof LimitError, `${error}`);
    await server.stillServes();
  });

  it("length - allocates no memory for an announced length until the bytes arrive", async () => {
    await using server = await serving();
    const peers: RawPeer[] = [];
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 20; i++) {
      const peer = await RawPeer.dial(server.endpoint);
      peers.push(peer);
      await peer.greet("PUSH");
      peer.send("02 00 00 00 00 3f ff ff 00", "x");
    }
    await server.log.until("connected", 21);
    await server.stillServes();
    assert.ok(process.memoryUsage().rss - before < 64 * MIB);
    for (const peer of peers) peer.close();
    await server.log.until("disconnected", 20);
    assert.match(server.log.of("disconnected")[0]!.error!.message, /middle of a message/);
  });

  it("garbage - is reported, and other peers are served", async () => {
    await using server = await serving();
    const garbage = ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "SSH-2.0-x\r\n", "\0".repeat(100)];
    for (const [i, text] of garbage.entries()) {
      using peer = await RawPeer.dial(server.endpoint);
      peer.send(new TextEncoder().encode(text));
      await peer.untilGone();
      const { error, dialed } = await server.log.until("handshake-failed", i + 1);
      assert.ok(error instanceof ProtocolError, `${error}`);
      assert.equal(dialed, false);
      await server.stillServes();
    }
    assert.match(server.log.of("handshake-failed")[0]!.error.message, /GET \/ HTTP/);
  });

  it("silence - ends with the handshake's deadline, at any point of the handshake", async () => {
    await using server = await serving({ handshakeTimeout: 150 });
    const halves = [[], [SIGNATURE.slice(0, 3)], [SIGNATURE], [greeting().slice(0, 40)], [greeting()], [
      greeting(),
      ready("PUSH").slice(0, 9),
    ]];
    const peers = await Promise.all(halves.map(() => RawPeer.dial(server.endpoint)));
    halves.forEach((parts, i) => peers[i]!.send(...parts));
    await server.stillServes();
    await Promise.all(peers.map((peer) => peer.untilGone()));
    await server.log.until("handshake-failed", halves.length);
    for (const { error } of server.log.of("handshake-failed")) {
      assert.ok(error instanceof HandshakeTimeoutError, `${error}`);
    }
    await server.stillServes();
    for (const peer of peers) peer.close();
  });

  it("slowness - a peer that sends one byte at a time delays no other peer", async () => {
    await using server = await serving();
    using peer = await RawPeer.dial(server.endpoint);
    let sent = 0;
    const script = [greeting(), ready("PUSH"), frame("slow"), frame("x".repeat(400))].flatMap((
      part,
    ) => [...part]);
    const trickle = (async () => {
      for (const byte of script) {
        peer.send(Uint8Array.of(byte));
        sent++;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    })();
    await waitFor(() => sent > 20);
    await server.stillServes();
    assert.ok(sent < script.length, "the peer was not slow");
    await trickle;
    assert.deepEqual(texts(await deadline(server.pull.receive())), ["slow"]);
    assert.equal((await deadline(server.pull.receive()))![0]!.length, 400);
  });

  it("scanners - 200 connections that end or reset at once leave no peers", async () => {
    await using server = await serving();
    const port = Number(server.endpoint.split(":").at(-1));
    const scans = numbers(200).map((i) =>
      new Promise<void>((resolve) => {
        const socket = net.connect(port, "127.0.0.1", () =>
          i % 2 === 0 ? socket.end() : socket.resetAndDestroy());
        socket.on("error", () => {});
        socket.on("close", () =>
          resolve());
        socket.resume();
      })
    );
    await deadline(Promise.all(scans));
    await server.stillServes();
    using last = await RawPeer.dial(server.endpoint);
    await last.greet("PUSH");
    await server.log.until("connected", 2);
    assert.equal(server.pull.peers, 2);
    // Connections that were reset before they could be accepted need not be reported.
    await waitFor(() => server.log.of("handshake-failed").length >= 100);
    assert.deepEqual(server.log.of("disconnected"), []);
    await server.stillServes();
  });

  it("disconnect - in the middle of a message delivers no part of it", async () => {
    await using server = await serving();
    const beginnings = [
      bytes("00"),
      bytes("00 05 'abc'"),
      frame("part", 1),
      bytes("02 00 00"),
      frame("p", 1).slice(0, 2),
    ];
    for (const [i, beginning] of beginnings.entries()) {
      using peer = await RawPeer.dial(server.endpoint);
      await peer.greet("PUSH");
      await server.log.until("connected", i + 2);
      peer.send(frame("whole"), beginning);
      peer.end();
      assert.deepEqual(texts(await deadline(server.pull.receive())), ["whole"]);
      const { error } = await server.log.until("disconnected", i + 1);
      assert.match(`${error}`, /in the middle of a message/);
    }
    await server.stillServes();
  });

  it("garbage - from a peer that we dialed is final: no second attempt", async () => {
    for (const answer of [bytes("'HTTP/1.1 400 Bad Request'"), new Uint8Array(64)]) {
      const log = new SocketLog();
      await using listener = await rawListener((peer) => peer.send(answer));
      await using push = scoped(new Push({ onEvent: log.onEvent, reconnect: { first: 1, longest: 1 } }));
      push.connect(listener.endpoint);
      await waitFor(() => push.failure !== undefined);
      assert.ok(push.failure instanceof ProtocolError, `${push.failure}`);
      assert.equal(listener.peers.length, 1);
      assert.deepEqual(log.of("retrying"), []);
    }
  });

  it("disconnect - at any stage of the greeting is retried with growing delays", async () => {
    const log = new SocketLog();
    const stages = [0, 5, 10, 11, 64, 70];
    let count = 0;
    await using listener = await rawListener((peer) => {
      const all = [...greeting(), ...ready("PULL")];
      const stage = stages[count++];
      peer.send(new Uint8Array(all.slice(0, stage)));
      if (stage !== undefined) peer.end();
    });
    await using push = scoped(new Push({ onEvent: log.onEvent, reconnect: { first: 4, longest: 64 } }));
    push.connect(listener.endpoint);
    await log.until("connected");
    const delays = log.of("retrying").map(({ delay }) => delay);
    assert.equal(delays.length, stages.length);
    delays.forEach((delay, i) => {
      const pause = Math.min(64, 4 * 2 ** i);
      assert.ok(delay >= pause / 2 - 1 && delay <= pause, `attempt ${i} waited ${delay} of ${pause} ms`);
    });
  });

  it("limits - a peer that we dialed and that exceeds a limit is not dialed again", async () => {
    await using listener = await rawListener((peer) =>
      peer.send(greeting(), ready("PUSH"), frame("x".repeat(2000)))
    );
    await using pull = scoped(new Pull({ maxMessageSize: 1000, reconnect: { first: 1, longest: 1 } }));
    pull.connect(listener.endpoint);
    assert.equal(await deadline(pull.receive()), undefined);
    assert.ok(pull.failure instanceof LimitError, `${pull.failure}`);
    assert.equal(listener.peers.length, 1);
  });
});
