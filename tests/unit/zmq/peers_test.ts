/** Several endpoints and many peers of one socket. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AddressInUseError,
  EndpointError,
  LimitError,
  Pair,
  Pub,
  Pull,
  Push,
  Rep,
  Req,
  type SocketOptions,
  Sub,
} from "../../../mod.ts";
import { deadline, tempDir, waitFor } from "../../support/helpers.ts";
import { inproc, numbers, SocketLog, texts } from "../../support/sockets.ts";
import { frame, RawPeer } from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

describe("peers - endpoints", () => {
  it("many - one socket binds and connects over all transports at the same time", async () => {
    using dir = tempDir();
    await using pull = new Pull();
    const bound = [];
    for (
      const where of [LOCAL, LOCAL, `ipc://${dir.file("a")}`, inproc(), `ipc://@mqcat-${crypto.randomUUID()}`]
    ) {
      bound.push(await pull.bind(where));
    }
    const dialed = [LOCAL, `ipc://${dir.file("b")}`, inproc()];
    const pushes: Push[] = [];
    for (const where of bound) {
      const push = new Push();
      push.connect(where);
      pushes.push(push);
    }
    for (const where of dialed) {
      const push = new Push();
      pull.connect(await push.bind(where));
      pushes.push(push);
    }
    await Promise.all(pushes.map((push, i) => push.send(`${i}`)));
    const came = [];
    for (let i = 0; i < pushes.length; i++) came.push(Number(texts(await deadline(pull.receive()))![0]));
    assert.deepEqual(came.sort((a, b) => a - b), numbers(pushes.length));
    assert.equal(pull.peers, pushes.length);
    await Promise.all(pushes.map((push) => push.close()));
    await waitFor(() => pull.peers === 0);
  });

  it("twice - two connections to one endpoint are two peers", async () => {
    await using pull = new Pull();
    await using push = new Push();
    const endpoint = await pull.bind(LOCAL);
    push.connect(endpoint);
    push.connect(endpoint);
    await waitFor(() => push.peers === 2 && pull.peers === 2);
  });

  it("taken - an endpoint that is in use is refused, and the socket stays usable", async () => {
    using dir = tempDir();
    await using first = new Pull();
    await using second = new Pull();
    for (const where of [LOCAL, `ipc://${dir.file("s")}`, inproc()]) {
      const endpoint = await first.bind(where);
      await assert.rejects(second.bind(endpoint), AddressInUseError);
    }
    await second.bind(LOCAL);
  });

  it("unusable - udp, tls and malformed endpoints are refused with a reason", async () => {
    await using pull = new Pull();
    await assert.rejects(pull.bind("udp://127.0.0.1:5555"), EndpointError);
    assert.throws(() => pull.connect("tls://127.0.0.1:5555"), /expected one of tcp, ipc, inproc, ws, wss/);
    assert.throws(() => pull.connect("nonsense"), EndpointError);
  });

  for (const type of [Req, Push, Pull] as const) {
    it(`failure - ends the waits of a ${type.name} when its last listener is removed`, async () => {
      await using wrong = new Pub();
      const log = new SocketLog();
      await using socket = new type({ onEvent: log.onEvent });
      const bound = await socket.bind(inproc());
      socket.connect(await wrong.bind(inproc()));
      await log.until("handshake-failed");
      const waits = socket instanceof Req
        ? socket.request("x")
        : socket instanceof Push
        ? socket.send("x")
        : socket.receive();
      const outcome = waits.then((frames) => frames, (error: Error) => error.message);
      await socket.unbind(bound);
      const end = await deadline(outcome);
      if (socket instanceof Pull) assert.equal(end, undefined);
      else assert.match(`${end}`, /a PUB socket, and /);
    });
  }

  it("failure - is set only when no endpoint is left that could bring a peer", async () => {
    await using wrong = new Pub();
    await using push = new Push();
    await using pull = new Pull();
    const dead = await wrong.bind(LOCAL);
    const log = new SocketLog();
    await using other = new Push({ onEvent: log.onEvent });
    other.connect(dead);
    other.connect(await pull.bind(LOCAL));
    push.connect(dead);
    await waitFor(() => push.failure !== undefined);
    assert.match(push.failure!.message, /a PUB socket, and PUSH talks to PULL/);
    await log.until("handshake-failed");
    assert.equal(other.failure, undefined);
    // A new endpoint makes the socket usable again.
    push.connect(await pull.bind(LOCAL));
    assert.equal(push.failure, undefined);
    await deadline(push.send("still of use"));
    assert.deepEqual(texts(await deadline(pull.receive())), ["still of use"]);
  });
});

describe("peers - numbers", () => {
  it("maxPeers - one more peer is refused and reported, and accepted when another has disconnected", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ maxPeers: 3, onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    const peers = [];
    for (let i = 0; i < 3; i++) {
      const peer = await RawPeer.dial(endpoint);
      peers.push(peer);
      await peer.greet("PUSH");
      await log.until("connected", i + 1);
    }
    using refused = await RawPeer.dial(endpoint);
    await refused.untilGone();
    const { error } = await log.until("handshake-failed");
    assert.ok(error instanceof LimitError, `${error}`);
    assert.match(error.message, /3 peers/);
    peers[0]!.close();
    await log.until("disconnected");
    using next = await RawPeer.dial(endpoint);
    await next.greet("PUSH");
    next.send(frame("in"));
    assert.deepEqual(texts(await deadline(pull.receive())), ["in"]);
    for (const peer of peers) peer.close();
  });

  it("maxPeers - connections without a handshake count until the handshake timeout", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ maxPeers: 2, handshakeTimeout: 500, onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    using a = await RawPeer.dial(endpoint);
    using b = await RawPeer.dial(endpoint);
    await Promise.all([a.take(10), b.take(10)]);
    using refused = await RawPeer.dial(endpoint);
    await refused.untilGone();
    assert.ok((await log.until("handshake-failed")).error instanceof LimitError, "not refused at once");
    await Promise.all([a.untilGone(), b.untilGone()]);
    using next = await RawPeer.dial(endpoint);
    await next.greet("PUSH");
    await log.until("connected");
  });

  it("hundred - each of 100 peers is served, and all of them can disconnect at once", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ onEvent: log.onEvent });
    const endpoint = await pull.bind(LOCAL);
    const pushes = numbers(100).map(() => new Push());
    for (const push of pushes) push.connect(endpoint);
    await Promise.all(pushes.map((push, i) => push.send(`${i}`)));
    const came = [];
    for (let i = 0; i < 100; i++) came.push(Number(texts(await deadline(pull.receive()))![0]));
    assert.deepEqual(came.sort((a, b) => a - b), numbers(100));
    await Promise.all(pushes.map((push) => push.close()));
    await log.until("disconnected", 100);
    assert.equal(pull.peers, 0);
  });
});

describe("peers - pairs in one process", () => {
  it("inproc - connect can precede bind, for every pattern", async () => {
    const patient: SocketOptions = { reconnect: { first: 60_000, longest: 60_000 } };
    const names = [inproc(), inproc(), inproc()] as const;
    await using push = new Push(patient);
    await using pull = new Pull(patient);
    await using pub = new Pub(patient);
    await using sub = new Sub(patient);
    await using req = new Req(patient);
    await using rep = new Rep(patient);
    push.connect(names[0]);
    sub.subscribe("");
    sub.connect(names[1]);
    req.connect(names[2]);
    const sent = push.send(["", "piped"]);
    const reply = req.request("asked");
    await pull.bind(names[0]);
    await pub.bind(names[1]);
    await rep.bind(names[2]);
    assert.deepEqual(texts(await deadline(pull.receive())), ["", "piped"]);
    await sent;
    await waitFor(() => pub.subscribers === 1);
    await pub.send("published");
    assert.deepEqual(texts(await deadline(sub.receive())), ["published"]);
    const request = await deadline(rep.receive());
    request!.reply(["replied", ...request!.frames]);
    assert.deepEqual(texts(await deadline(reply)), ["replied", "asked"]);
  });

  it("inproc - a large message arrives unchanged, as a copy", async () => {
    const name = inproc();
    await using push = new Push();
    await using pull = new Pull();
    await pull.bind(name);
    push.connect(name);
    const body = new Uint8Array(3_000_000).map((_, i) => i);
    await push.send([body, "end"]);
    const frames = (await deadline(pull.receive()))!;
    assert.equal(frames[0]!.length, body.length);
    assert.ok(frames[0]!.every((byte, i) => byte === (i & 255)));
    assert.notEqual(frames[0]!.buffer, body.buffer);
  });

  it("consume - receives batches whose bytes are valid during the call", async () => {
    const name = inproc();
    await using push = new Push();
    await using pull = new Pull();
    const came: string[] = [];
    pull.consume((batch) => {
      for (let at = 0; at < batch.frames; at++) came.push(new TextDecoder().decode(batch.frame(at)));
    });
    await pull.bind(name);
    push.connect(name);
    for (let i = 0; i < 100; i++) await push.send(`${i}`);
    await waitFor(() => came.length === 100);
    assert.deepEqual(came.map(Number), numbers(100));
  });

  it("receiving - senders are paused while the program does not receive, and continue later", async () => {
    await using pull = new Pull({ hwm: 10 });
    await using push = new Push({ hwm: 10 });
    push.connect(await pull.bind(LOCAL));
    let sent = 0;
    const total = 600;
    const sending = (async () => {
      for (; sent < total; sent++) await push.send(`${sent}`.padEnd(100_000));
    })();
    let last = -1;
    await waitFor(() => {
      const still = sent > 0 && sent === last;
      last = sent;
      return still;
    });
    assert.ok(sent < total, "60 MB went to a receiver that takes nothing");
    for (let i = 0; i < total; i++) {
      const [body] = (await deadline(pull.receive()))!;
      assert.equal(Number(new TextDecoder().decode(body!)), i);
    }
    await sending;
  });
});

describe("peers - a PAIR", () => {
  it("pair - admits one peer of two, one of which may still refuse it", async () => {
    const log = new SocketLog();
    const takenLog = new SocketLog();
    const reconnect = { first: 20, longest: 20 };
    await using taken = new Pair({ onEvent: takenLog.onEvent });
    await using pair = new Pair({ reconnect, onEvent: log.onEvent });
    await using late = new Pair({ reconnect });
    const first = new Pair();
    const endpoint = await taken.bind(LOCAL);
    const own = await pair.bind(inproc());
    first.connect(endpoint);
    await takenLog.until("connected");
    pair.connect(endpoint);
    await log.until("retrying");
    await first.close();
    await takenLog.until("connected", 2);
    // The socket that was taken may refuse the connection again. Meanwhile another peer connects.
    late.connect(own);
    const connected = () => log.of("connected").length - log.of("disconnected").length;
    const refused = () =>
      log.of("handshake-failed").some(({ error }) => /already has a peer/.test(error.message));
    await waitFor(() => connected() > 0 && refused(), undefined, "one of two peers to be refused");
    assert.equal(connected(), 1);
  });
});
