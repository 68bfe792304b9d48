/** Frames and commands of a connection after its handshake, over TCP. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Dealer, ProtocolError, Pub, Pull, Push, Rep, Req } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { scoped, SocketLog, texts } from "../../support/sockets.ts";
import { bytes, command, frame, greeting, hexOf, rawListener, RawPeer } from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const ping = (context: string) => command(bytes(`04 'PING' 12 34 '${context}'`));
const pong = (context: string) => command(bytes(`04 'PONG' '${context}'`));

/** A bound PULL socket, and a scripted PUSH peer that has completed the handshake. */
async function pulling(): Promise<AsyncDisposable & { pull: Pull; peer: RawPeer; log: SocketLog }> {
  const log = new SocketLog();
  const pull = new Pull({ onEvent: log.onEvent });
  const peer = await RawPeer.dial(await pull.bind(LOCAL));
  await peer.greet("PUSH");
  return {
    pull,
    peer,
    log,
    async [Symbol.asyncDispose]() {
      peer.close();
      await pull.close();
    },
  };
}

describe("wire - commands", () => {
  it("ping - is answered with its context, without the time to live", async () => {
    await using wire = await pulling();
    for (const context of ["", "c", "0123456789abcdef"]) {
      wire.peer.send(ping(context));
      const answer = pong(context);
      assert.equal(hexOf(await wire.peer.take(answer.length)), hexOf(answer));
    }
  });

  it("ping - never reaches the application, not even between the frames of a message", async () => {
    await using wire = await pulling();
    wire.peer.send(ping("a"), frame("1", 1), ping("b"), frame("2"), ping("c"), frame("3"), ping("d"));
    assert.deepEqual(texts(await deadline(wire.pull.receive())), ["1", "2"]);
    assert.deepEqual(texts(await deadline(wire.pull.receive())), ["3"]);
    const answers = ["a", "b", "c", "d"].map((context) => hexOf(pong(context))).join("");
    assert.equal(hexOf(await wire.peer.take(answers.length / 2)), answers);
    wire.peer.send(frame("4"));
    assert.deepEqual(texts(await deadline(wire.pull.receive())), ["4"]);
  });

  it("ping - is answered by every socket type", async () => {
    const types = [[new Push(), "PULL"], [new Pub(), "SUB"], [new Rep(), "REQ"], [new Req(), "REP"]] as const;
    for (const [made, type] of types) {
      await using socket = scoped(made);
      using peer = await RawPeer.dial(await socket.bind(LOCAL));
      await peer.greet(type);
      peer.send(ping("x"));
      assert.equal(hexOf(await peer.take(8)), hexOf(pong("x")), type);
    }
  });

  it("commands - accepts a PONG, an unknown command, and a LONG command with a short body", async () => {
    await using wire = await pulling();
    wire.peer.send(pong("stray"), command(bytes("07 'UNKNOWN' 'data'")), command(bytes("01 'x'")));
    wire.peer.send("06 00 00 00 00 00 00 00 07 04 'PING' 00 01");
    assert.equal(hexOf(await wire.peer.take(7)), hexOf(pong("")));
    wire.peer.send("02 00 00 00 00 00 00 00 02 'ok'");
    assert.deepEqual(texts(await deadline(wire.pull.receive())), ["ok"]);
  });

  it("error - reports why the peer ended the connection", async () => {
    await using wire = await pulling();
    wire.peer.send(command(bytes("05 'ERROR' 0b 'go and rest'")));
    const { error } = await wire.log.until("disconnected");
    assert.ok(error instanceof ProtocolError);
    assert.match(error.message, /go and rest/);
  });

  it("error - counts as a refusal only as the first thing that the peer sends, in one chunk, too", async () => {
    const error = command(bytes("05 'ERROR' 04 'gone'"));
    const cases = [[[error], 1], [[frame("x"), error], 0], [[pong(""), error], 0], [
      [error, frame("x")],
      1,
    ]] as const;
    for (const [script, refused] of cases) {
      await using listener = await rawListener((peer) => peer.greet("ROUTER"));
      await using dealer = new Dealer();
      dealer.connect(listener.endpoint);
      await dealer.send("a");
      const peer = await listener.peer(0);
      await waitFor(() => hexOf(peer.bytes()).endsWith(hexOf(frame("a"))));
      peer.send(...script);
      assert.match(`${await waitFor(() => dealer.failure)}`, /gone/);
      assert.equal(dealer.refused, refused);
    }
  });

  it("error - instead of READY is reported, and is final for the side that dialed", async () => {
    const log = new SocketLog();
    await using listener = await rawListener((peer) =>
      peer.send(greeting(), command(bytes("05 'ERROR' 07 'no room'")))
    );
    await using push = scoped(new Push({ onEvent: log.onEvent, reconnect: { first: 1, longest: 1 } }));
    push.connect(listener.endpoint);
    await waitFor(() => push.failure !== undefined);
    assert.match(push.failure!.message, /the peer refused: no room/);
    assert.deepEqual(log.of("retrying"), []);
    assert.equal(listener.peers.length, 1);
  });

  it("error - stays the failure of the socket when another endpoint is disconnected later", async () => {
    await using refusing = await rawListener((peer) =>
      peer.send(greeting(), command(bytes("05 'ERROR' 07 'no room'")))
    );
    await using silent = await rawListener();
    const log = new SocketLog();
    await using push = new Push({ onEvent: log.onEvent });
    push.connect(silent.endpoint);
    push.connect(refusing.endpoint);
    await log.until("handshake-failed");
    await refusing.peers[0]!.untilGone();
    assert.equal(push.failure, undefined);
    await push.disconnect(silent.endpoint);
    assert.match(`${push.failure}`, /no room/);
  });

  const broken: readonly (readonly [name: string, script: Uint8Array])[] = [
    ["reserved flags", bytes("08 01 'x'")],
    ["a command with MORE's neighbour", bytes("ff 00")],
    ["an empty command", bytes("04 00 04 00")],
    ["a command with a truncated name", bytes("04 03 09 'SU'")],
    ["a PING without a time to live", bytes("04 06 04 'PING' 01")],
  ];
  for (const [name, script] of broken) {
    it(`protocol - ${name} ends only that connection`, async () => {
      await using wire = await pulling();
      wire.peer.send(script);
      const { error } = await wire.log.until("disconnected");
      assert.ok(error instanceof ProtocolError, `${error}`);
      await wire.peer.untilGone();
      using next = await RawPeer.dial(wire.log.of("listening")[0]!.endpoint);
      await next.greet("PUSH");
      next.send(frame("hello"));
      assert.deepEqual(texts(await deadline(wire.pull.receive())), ["hello"]);
    });
  }
});

describe("wire - frames out", () => {
  it("send - writes header and body as one segment, and keeps the order of messages", async () => {
    await using push = scoped(new Push());
    using peer = await RawPeer.dial(await push.bind(LOCAL));
    await peer.greet("PULL");
    await waitFor(() => push.peers === 1);
    for (const message of ["a", "", "b".repeat(255), "c".repeat(256), "d".repeat(1400)]) {
      const before = peer.chunks.length;
      await push.send(message);
      const expected = frame(message);
      assert.equal(hexOf(await peer.take(expected.length)), hexOf(expected));
      assert.equal(peer.chunks.length, before + 1, `${message.length} bytes arrived in pieces`);
    }
    await push.send(["e", "", "f".repeat(300), "g"]);
    const multipart = [frame("e", 1), frame("", 1), frame("f".repeat(300), 1), frame("g")].map(hexOf).join(
      "",
    );
    assert.equal(hexOf(await peer.take(multipart.length / 2)), multipart);
  });

  it("send - keeps the order of large and small messages that are sent together", async () => {
    await using push = scoped(new Push());
    using peer = await RawPeer.dial(await push.bind(LOCAL));
    await peer.greet("PULL");
    await waitFor(() => push.peers === 1);
    const sizes = [10, 40_000, 0, 300_000, 5, 32_767, 32_768, 3_000_000, 1];
    const frames = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
    for (const body of frames) await push.send(body);
    await push.send([frames[1]!, frames[0]!, frames[3]!, frames[2]!]);
    const wire = [
      ...frames.map((body) => frame(body)),
      ...[frames[1]!, frames[0]!, frames[3]!].map((body) => frame(body, 1)),
      frame(frames[2]!),
    ];
    for (const expected of wire) {
      const came = await peer.take(expected.length);
      assert.ok(came.every((byte, i) => byte === expected[i]), `a frame of ${expected.length} bytes differs`);
    }
  });

  it("send - combines messages into few large writes while a write is in progress", async () => {
    await using push = scoped(new Push());
    using peer = await RawPeer.dial(await push.bind(LOCAL));
    await peer.greet("PULL");
    await waitFor(() => push.peers === 1);
    const before = peer.chunks.length;
    for (let i = 0; i < 900; i++) await push.send("12345678");
    await peer.take(9000);
    assert.ok(peer.chunks.length - before < 50, `${peer.chunks.length - before} pieces`);
  });

  it("close - a peer that reads late gets all messages, then the end", async () => {
    const push = new Push();
    using peer = await RawPeer.dial(await push.bind(LOCAL));
    await peer.greet("PULL");
    await waitFor(() => push.peers === 1);
    for (let i = 0; i < 500; i++) await push.send("x".repeat(1000));
    const closing = push.close(5000);
    await peer.take(500 * 1009);
    await peer.untilGone();
    peer.end();
    assert.equal(await deadline(closing), 0);
    assert.equal(peer.waiting, 0);
  });
});
