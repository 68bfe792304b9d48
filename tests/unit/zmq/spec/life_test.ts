/** heartbeats, stream_timeout, issue_566, reconnect_ivl: peers that become silent, disappear and reconnect. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import { describe, it } from "node:test";
import { Dealer, Pub, Pull, Push, Router, Sub, UnreachableError } from "../../../../mod.ts";
import { encodePing, pingTtl } from "../../../../lib/zmtp/command.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { numbers, SocketLog, texts } from "../../../support/sockets.ts";
import { bytes, command, frame, hexOf, rawListener, RawPeer } from "../../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const PING = bytes("04 'PING'");
const PONG = command(bytes("04 'PONG'"));

/** The number of received PINGs. */
function pings(peer: RawPeer): number {
  return hexOf(peer.bytes()).split(hexOf(PING)).length - 1;
}

/** Relays the connections to an endpoint, with at most `rate` bytes per millisecond towards it. */
async function slowLink(
  target: string,
  rate: number,
): Promise<AsyncDisposable & { readonly endpoint: string }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(Number(target.split(":").at(-1)), "127.0.0.1");
    far.on("data", (chunk) => near.write(chunk));
    near.on("data", (chunk) => {
      near.pause();
      far.write(chunk);
      setTimeout(() => near.resume(), chunk.length / rate);
    });
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `tcp://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

describe("spec life", () => {
  it("heartbeats - a peer that answers stays connected", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ heartbeat: { interval: 10, timeout: 5000 }, onEvent: log.onEvent });
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    await peer.greet("PUSH");
    for (let i = 1; i <= 5; i++) {
      await waitFor(() => pings(peer) >= i);
      peer.send(PONG);
    }
    assert.equal(log.of("disconnected").length, 0);
    assert.equal(pull.peers, 1);
  });

  it("heartbeats - a peer that is silent is disconnected with a reason, by both sides, and retried", async () => {
    await using listener = await rawListener((peer) => void peer.greet("PULL"));
    const log = new SocketLog();
    // A socket that only sends, and never receives messages.
    await using push = new Push({
      heartbeat: { interval: 20 },
      reconnect: { first: 1, longest: 5 },
      onEvent: log.onEvent,
    });
    push.connect(listener.endpoint);
    const { error } = await log.until("disconnected");
    assert.ok(error instanceof UnreachableError, `${error}`);
    assert.match(error.message, /sent nothing for/);
    await log.until("connected", 2);
    // The first PING is sent at once.
    assert.equal(pings(await listener.peer(0)), 2);
  });

  it("heartbeats - any traffic counts, a message as well as a PONG", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ heartbeat: { interval: 100, timeout: 100 }, onEvent: log.onEvent });
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    await peer.greet("PUSH");
    // The fourth PING comes after three intervals; a silent peer is disconnected after two.
    await waitFor(async () => {
      peer.send(frame("x"));
      await deadline(pull.receive());
      return pings(peer) >= 4;
    });
    assert.equal(log.of("disconnected").length, 0);
  });

  for (const asks of ["this side", "the peer"]) {
    it(`heartbeats - PINGs are sent while a long message arrives, when ${asks} has a heartbeat`, async () => {
      await using pull = new Pull(asks === "the peer" ? {} : { heartbeat: { interval: 200, timeout: 5000 } });
      using peer = await RawPeer.dial(await pull.bind(LOCAL));
      await peer.greet("PUSH");
      if (asks === "the peer") peer.send(command(bytes("04 'PING' 00 04")));
      const message = frame("x".repeat(100_000));
      let at = 0;
      while (pings(peer) < 4) {
        assert.ok(at < message.length - 20, "no PINGs");
        peer.send(message.subarray(at, at += 20));
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      peer.send(message.subarray(at));
      assert.equal((await deadline(pull.receive()))?.[0]?.length, 100_000);
    });
  }

  for (const ends of ["both ends", "the sender"]) {
    it(`heartbeats - a long message on a slow link arrives, with a heartbeat at ${ends}`, async () => {
      const log = new SocketLog();
      const heartbeat = { interval: 300 };
      await using pull = new Pull({
        heartbeat: ends === "the sender" ? {} : heartbeat,
        onEvent: log.onEvent,
      });
      await using link = await slowLink(await pull.bind(LOCAL), 1500);
      await using push = new Push({ heartbeat, onEvent: log.onEvent });
      push.connect(link.endpoint);
      await push.send(new Uint8Array(3_000_000));
      assert.equal((await deadline(pull.receive()))?.[0]?.length, 3_000_000);
      assert.deepEqual(log.of("disconnected"), []);
    });
  }

  it("heartbeats - a peer is not disconnected while this side does not read", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ heartbeat: { interval: 10 }, onEvent: log.onEvent });
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    await peer.greet("PUSH");
    await waitFor(() => pull.peers === 1);
    pull.pause();
    await waitFor(() => pings(peer) >= 10);
    assert.equal(log.of("disconnected").length, 0);
    pull.resume();
    await log.until("disconnected");
  });

  it("heartbeats - a peer that is silent for longer than its time to live is disconnected", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ onEvent: log.onEvent });
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    await peer.greet("PUSH");
    peer.send(command(bytes("04 'PING' 00 01 'context'")));
    assert.equal(hexOf(await peer.take(14)), hexOf(command(bytes("04 'PONG' 'context'"))));
    const { error } = await log.until("disconnected");
    assert.match(`${error}`, /sent nothing for/);
  });

  it("heartbeats - a time to live of 0 sets no limit, and a later PING replaces the limit", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    using peer = await RawPeer.dial(endpoint);
    await peer.greet("PUSH");
    peer.send(command(bytes("04 'PING' 00 01")), command(bytes("04 'PING' 00 00")));
    await peer.take(14);
    // The same limit, set later, ends another connection.
    using other = await RawPeer.dial(endpoint);
    await other.greet("PUSH");
    other.send(command(bytes("04 'PING' 00 01")));
    await log.until("disconnected");
    await other.untilGone();
    assert.deepEqual([log.of("disconnected").length, peer.ended, pull.peers], [1, false, 1]);
  });

  it("heartbeats - PINGs never reach the application, and a PONG has the context, if any", async () => {
    await using pull = new Pull();
    using peer = await RawPeer.dial(await pull.bind(LOCAL));
    await peer.greet("PUSH");
    peer.send(
      command(bytes("04 'PING' 00 00")),
      frame("a", 1),
      command(bytes("04 'PING' 00 00 'x'")),
      frame("b"),
    );
    assert.deepEqual(texts(await deadline(pull.receive())), ["a", "b"]);
    assert.equal(hexOf(await peer.take(15)), hexOf(PONG) + hexOf(command(bytes("04 'PONG' 'x'"))));
  });

  it("heartbeats - a time to live is sent in tenths of a second, at most 65.5 s, as longer times overflow in libzmq", () => {
    for (
      const [ms, tenths] of [[0, 0], [1, 1], [100, 1], [101, 2], [65_500, 655], [65_501, 655], [1e9, 655]]
    ) {
      const ping = encodePing(ms!);
      assert.equal(hexOf(ping.subarray(0, 7)), "0407" + hexOf(PING));
      assert.equal(ping[7]! * 256 + ping[8]!, tenths);
      assert.equal(pingTtl(ping.subarray(7)), tenths! * 100);
    }
  });

  it("heartbeats - a 2.0 peer, which knows no commands, receives no PING", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ heartbeat: { interval: 5 }, onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    using peer = await RawPeer.dial(endpoint);
    await peer.greet("PUSH", "2.0");
    await waitFor(() => pull.peers === 1);
    // A silent peer that knows PINGs is disconnected.
    using other = await RawPeer.dial(endpoint);
    await other.greet("PUSH");
    await log.until("disconnected");
    await other.untilGone();
    assert.ok(pings(other) > 0);
    assert.deepEqual([pull.peers, peer.waiting], [1, 0]);
  });

  it("heartbeats - stop when this side has ended its half, while the peer reads to the end", async () => {
    const log = new SocketLog();
    const push = new Push({ heartbeat: { interval: 5, timeout: 5000 }, onEvent: log.onEvent });
    const port = Number((await push.bind(LOCAL)).split(":").at(-1));
    using peer = new RawPeer(net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
    await peer.greet("PULL");
    await waitFor(() => pings(peer) > 0);
    await push.send("last");
    const closed = push.close(1000);
    await peer.untilEnd();
    // Another connection counts the intervals.
    await using other = new Push({ heartbeat: { interval: 5, timeout: 5000 } });
    using beats = await RawPeer.dial(await other.bind(LOCAL));
    await beats.greet("PULL");
    await waitFor(() => pings(beats) >= 10);
    assert.equal(peer.closed, false);
    peer.end();
    assert.equal(await deadline(closed), 0);
    assert.ok(hexOf(peer.bytes()).includes(hexOf(frame("last"))));
    assert.equal((await log.until("disconnected")).error, undefined);
  });

  it("heartbeats - invalid times are refused", () => {
    for (const interval of [-1, 2 ** 31, NaN]) {
      assert.throws(() => new Pull({ heartbeat: { interval } }), RangeError);
    }
  });

  it("stream_timeout - a silent incoming connection is closed after the handshake timeout", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ handshakeTimeout: 50, onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    using silent = await RawPeer.dial(endpoint);
    using slow = await RawPeer.dial(endpoint);
    slow.send("ff");
    await Promise.all([silent.untilGone(), slow.untilGone()]);
    assert.equal((await log.until("handshake-failed", 2)).error.name, "HandshakeTimeoutError");
    assert.equal(pull.peers, 0);
  });

  it("issue_566 - a dealer that reconnects a hundred times receives a reply each time", async () => {
    await using router = new Router();
    const endpoint = await router.bind(LOCAL);
    (async () => {
      for await (const message of router) await router.send(message);
    })();
    for (let i = 0; i < 100; i++) {
      await using dealer = new Dealer({ identity: `${i % 7 + 1}` });
      dealer.connect(endpoint);
      await dealer.send(["", `${i}`]);
      assert.deepEqual(texts(await deadline(dealer.receive())), ["", `${i}`]);
    }
    await waitFor(() => router.peers === 0);
  });

  it("descriptors - a hundred reconnects leak none, at either end", async () => {
    const open = () => fs.readdirSync("/proc/self/fd").length;
    const endpoint = `ipc://@mqcat-${crypto.randomUUID()}`;
    await using push = new Push({ reconnect: { first: 1, longest: 2 } });
    push.connect(endpoint);
    const round = async () => {
      const pull = new Pull();
      // The system may not have released the name yet.
      await waitFor(() => pull.bind(endpoint).catch(() => undefined));
      await waitFor(() => push.peers === 1);
      await pull.close();
      await waitFor(() => push.peers === 0);
    };
    for (let i = 0; i < 5; i++) await round();
    const before = open();
    for (let i = 0; i < 100; i++) await round();
    await waitFor(() => open() <= before + 5, undefined, `${before} descriptors again`);
  });

  it("vanish - a message that a peer cut off is not delivered, and other peers are not disturbed", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    const half = frame("x".repeat(1000));
    for (const cut of [1, 2, 5, half.length - 1]) {
      using peer = await RawPeer.dial(endpoint);
      await peer.greet("PUSH");
      peer.send(frame("whole"), frame("first", 1), half.subarray(0, cut));
      assert.deepEqual(texts(await deadline(pull.receive())), ["whole"]);
      peer.end();
      await waitFor(() => pull.peers === 0);
      assert.match(`${log.of("disconnected").at(-1)!.error}`, /middle of a message/);
    }
    await using push = new Push();
    push.connect(endpoint);
    await push.send("well");
    assert.deepEqual(texts(await deadline(pull.receive())), ["well"]);
  });

  it("reconnect_ivl - a peer that accepts and closes at once is retried with growing pauses", async () => {
    await using listener = await rawListener(async (peer) => {
      await peer.greet("PULL").catch(() => {});
      peer.close();
    });
    const log = new SocketLog();
    await using push = new Push({ reconnect: { first: 2, longest: 64 }, onEvent: log.onEvent });
    push.connect(listener.endpoint);
    await log.until("retrying", 9);
    const delays = log.of("retrying").map(({ delay }) => delay);
    // The first pause may be random; from the second one on they grow.
    assert.ok(delays[0]! <= 2 && delays.at(-1)! >= 32, `${delays}`);
  });

  it("reconnect_ivl - a peer that stays for one message at a time is reconnected at once, each time", async () => {
    const log = new SocketLog();
    await using push = new Push({ reconnect: { first: 4, longest: 60_000 }, onEvent: log.onEvent });
    let endpoint = LOCAL;
    for (let round = 0; round < 20; round++) {
      const pull = new Pull();
      endpoint = await pull.bind(endpoint);
      if (round === 0) push.connect(endpoint);
      await deadline(push.send(`${round}`));
      assert.deepEqual(texts(await deadline(pull.receive())), [`${round}`]);
      await pull.close();
      await log.until("disconnected", round + 1);
    }
  });

  it("reconnect_ivl - a subscriber subscribes again each time, once for each topic", async () => {
    await using sub = new Sub({ reconnect: { first: 1, longest: 5 } });
    for (const topic of ["a", "b", "a"]) sub.subscribe(topic);
    const first = new Pub();
    const endpoint = await first.bind(LOCAL);
    sub.connect(endpoint);
    await waitFor(() => first.subscribers === 1);
    await first.close();
    for (const round of numbers(5)) {
      const log = new SocketLog();
      await using pub = new Pub({ onEvent: log.onEvent });
      await pub.bind(endpoint);
      await log.until("subscription", 2);
      assert.deepEqual(texts(log.of("subscription").map(({ topic }) => topic)), ["a", "b"]);
      await pub.send(`b${round}`);
      assert.deepEqual(texts(await deadline(sub.receive())), [`b${round}`]);
    }
  });
});
