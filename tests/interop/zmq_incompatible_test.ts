/** Incompatible socket types of libzmq: reported once, without an effect on other peers. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { IncompatiblePeerError, Pub, Pull, Push, Rep, Req, type SocketOptions, Sub } from "../../mod.ts";
import { deadline, waitFor } from "../support/helpers.ts";
import { scoped, SocketLog, texts } from "../support/sockets.ts";
import { hex, sharedPeer, test } from "../support/zmq_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

const SOCKETS = {
  PUSH: (options: SocketOptions) => new Push(options),
  PULL: (options: SocketOptions) => new Pull(options),
  PUB: (options: SocketOptions) => new Pub(options),
  SUB: (options: SocketOptions) => new Sub(options),
  REQ: (options: SocketOptions) => new Req(options),
  REP: (options: SocketOptions) => new Rep(options),
};

const PAIRS: readonly (readonly [ours: keyof typeof SOCKETS, theirs: string, words: RegExp])[] = [
  ["PULL", "PUB", /the peer is a PUB socket, and PULL talks to PUSH/],
  ["PULL", "PULL", /a PULL socket, and PULL talks to PUSH/],
  ["PUSH", "PUSH", /a PUSH socket, and PUSH talks to PULL/],
  ["PUSH", "SUB", /a SUB socket, and PUSH talks to PULL/],
  ["PUB", "PULL", /a PULL socket, and PUB talks to SUB or XSUB/],
  ["PUB", "XPUB", /a XPUB socket, and PUB talks to SUB or XSUB/],
  ["SUB", "PUSH", /a PUSH socket, and SUB talks to PUB or XPUB/],
  ["REQ", "DEALER", /a DEALER socket, and REQ talks to REP or ROUTER/],
  ["REP", "ROUTER", /a ROUTER socket, and REP talks to REQ or DEALER/],
  ["REP", "PAIR", /a PAIR socket, and REP talks to REQ or DEALER/],
];

describe("libzmq incompatible peers", () => {
  const peer = sharedPeer();

  for (const [ours, theirs, words] of PAIRS) {
    test(`${ours} - a ${theirs} that connects is refused with an error`, async () => {
      const log = new SocketLog();
      await using socket = scoped(SOCKETS[ours]({ onEvent: log.onEvent }));
      await using wrong = await peer.socket(theirs);
      await wrong.connect(await socket.bind(LOCAL));
      const { error, dialed } = await log.until("handshake-failed");
      // libzmq may detect it first; then it disconnects without an error.
      const hungUp = error.message.match(
        /^The peer closed the connection during the handshake; it knew that this is a (\w+) socket/,
      );
      if (hungUp === null) {
        assert.ok(error instanceof IncompatiblePeerError, `${error}`);
        assert.match(error.message, words);
      } else assert.equal(hungUp[1], ours);
      assert.equal(dialed, false);
      assert.equal(socket.peers, 0);
      assert.equal(socket.failure, undefined);
      assert.deepEqual(log.of("connected"), []);
    });

    test(`${ours} - connecting to a ${theirs} is a final error`, async () => {
      const log = new SocketLog();
      await using socket = scoped(
        SOCKETS[ours]({ onEvent: log.onEvent, reconnect: { first: 5, longest: 5 } }),
      );
      await using wrong = await peer.socket(theirs);
      socket.connect(await wrong.bind(LOCAL));
      await waitFor(() => socket.failure !== undefined);
      assert.ok(socket.failure instanceof IncompatiblePeerError, `${socket.failure}`);
      assert.match(socket.failure.message, words);
      assert.equal(log.of("handshake-failed").length, 1);
      assert.equal(log.of("handshake-failed")[0]!.dialed, true);
      assert.deepEqual(log.of("retrying"), []);
    });
  }

  test("push - an incompatible peer that connects does not affect a compatible one", async () => {
    const log = new SocketLog();
    await using push = scoped(new Push({ onEvent: log.onEvent }));
    const endpoint = await push.bind(LOCAL);
    await using wrong = await peer.socket("SUB");
    await using right = await peer.socket("PULL");
    await right.connect(endpoint);
    await push.send("1");
    await wrong.connect(endpoint);
    await log.until("handshake-failed");
    await push.send("2");
    assert.deepEqual(await right.collect(2), [1, 2]);
    assert.deepEqual(log.of("disconnected"), []);
  });

  test("pull - connects to an incompatible and a compatible peer: only the first one fails", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    await using wrong = await peer.socket("PUB");
    await using right = await peer.socket("PUSH");
    pull.connect(await wrong.bind(LOCAL));
    pull.connect(await right.bind(LOCAL));
    await log.until("handshake-failed");
    await right.send(hex("hello"));
    assert.deepEqual(texts(await pull.receive()), ["hello"]);
    assert.equal(pull.failure, undefined);
  });

  test("receive, request - reject when the last endpoint has failed", async () => {
    await using pull = scoped(new Pull());
    await using req = scoped(new Req());
    await using wrong = await peer.socket("PUB");
    const endpoint = await wrong.bind(LOCAL);
    pull.connect(endpoint);
    req.connect(endpoint);
    assert.equal(await deadline(pull.receive()), undefined);
    await assert.rejects(deadline(req.request("anybody?")), IncompatiblePeerError);
  });

  test("security - a libzmq that requires PLAIN or CURVE is refused with an error", async () => {
    const log = new SocketLog();
    await using push = scoped(new Push({ onEvent: log.onEvent }));
    const endpoint = await push.bind(LOCAL);
    await using plain = await peer.socket("PULL", {
      PLAIN_USERNAME: hex("me"),
      PLAIN_PASSWORD: hex("secret"),
    });
    await plain.connect(endpoint);
    const { error } = await log.until("handshake-failed");
    assert.match(error.message, /uses PLAIN security|it knew that .*NULL/);
    await using server = await peer.socket("PULL", { PLAIN_SERVER: 1 });
    push.connect(await server.bind(LOCAL));
    await waitFor(() => log.of("handshake-failed").some(({ dialed }) => dialed));
    assert.match(log.of("handshake-failed").find(({ dialed }) => dialed)!.error.message, /PLAIN/);
    assert.deepEqual(log.of("retrying"), []);
  });
});
