/** The handshake of CURVE (RFC 26) on the wire: valid and invalid commands in both roles. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AuthError,
  curveClient,
  curveServer,
  IncompatiblePeerError,
  ProtocolError,
  type ZapReply,
} from "../../../../mod.ts";
import { deadline } from "../../../support/helpers.ts";
import { CurveClientPeer, CurveServerPeer, join, named, newPair } from "./curve_peer.ts";
import { frame, ready as plainReady } from "../../../support/raw_peer.ts";
import { command } from "../../../support/scripted_stream.ts";
import { asClient, asServer, Handshaking, SERVER } from "./curve_handshaking.ts";

const letIn = (reply: ZapReply) => ({ handler: () => reply });

describe("security_curve handshake", () => {
  it("server - accepts a client that knows its public key, and proves that it has the secret key", async () => {
    const handshaking = new Handshaking(curveServer({ keyPair: SERVER }));
    const peer = new CurveClientPeer(SERVER.publicKey);
    await asClient(handshaking, peer, "PUSH");
    const ready = await handshaking.next();
    assert.equal(new TextDecoder().decode(peer.ready(ready).subarray(1, 12)), "Socket-Type");
    // Each end counts its nonces from 1 (RFC 26).
    assert.deepEqual([...ready.subarray(6, 14)], [0, 0, 0, 0, 0, 0, 0, 1]);
    const result = await deadline(handshaking.result);
    assert.deepEqual({ ...result.peer, identity: [] }, {
      socketType: "PUSH",
      identity: [],
      version: "3.1",
      mechanism: "CURVE",
      userId: "",
    });
  });

  it("server - passes the client's long-term key to the handler, and keeps the user id", async () => {
    const asked: unknown[] = [];
    const handler = (request: unknown): ZapReply => {
      asked.push(request);
      return { status: 200, userId: "alice" };
    };
    const handshaking = new Handshaking(curveServer({ keyPair: SERVER, zap: { handler, domain: "here" } }));
    const peer = new CurveClientPeer(SERVER.publicKey);
    await asClient(handshaking, peer, "PUSH");
    assert.equal((await deadline(handshaking.result)).peer.userId, "alice");
    assert.deepEqual(asked, [{
      domain: "here",
      address: "",
      identity: new Uint8Array(0),
      mechanism: "CURVE",
      credentials: [peer.own.publicKey],
    }]);
  });

  it("client - proves its identity to a server that follows the RFC", async () => {
    const own = newPair();
    const peer = new CurveServerPeer();
    const security = curveClient({ serverKey: peer.own.publicKey, keyPair: own });
    const handshaking = new Handshaking(security, "PUSH", true);
    await asServer(handshaking, peer, "PULL");
    assert.equal((await deadline(handshaking.result)).peer.socketType, "PULL");
    assert.deepEqual(peer.clientKey, own.publicKey);
  });

  it("client - without a key pair makes one, and uses it for all connections of the socket", async () => {
    const peers = [0, 1].map(() => new CurveServerPeer(SERVER));
    const security = curveClient({ serverKey: SERVER.publicKey });
    for (const peer of peers) {
      const handshaking = new Handshaking(security, "PUSH", true);
      await asServer(handshaking, peer, "PULL");
      await deadline(handshaking.result);
    }
    assert.deepEqual(peers[0]!.clientKey, peers[1]!.clientKey);
    assert.notDeepEqual(peers[0]!.client, peers[1]!.client);
  });

  it("server - a client with a wrong server key fails, and both ends report why", async () => {
    const handshaking = new Handshaking(curveServer({ keyPair: SERVER }));
    handshaking.stream.feed(new CurveClientPeer(newPair().publicKey).hello());
    await handshaking.fails(AuthError, /public key for us that is not ours/);
    assert.match(
      new TextDecoder().decode(await handshaking.next()),
      /ERROR.this server has a different public key/,
    );
  });

  const hellos: [name: string, words: RegExp, spoil: (peer: CurveClientPeer) => Uint8Array][] = [
    [
      "a short HELLO",
      /malformed HELLO of 193 bytes/,
      (p) => named("HELLO", p.helloData().subarray(1)),
    ],
    ["a long HELLO", /malformed HELLO of 195 bytes/, (p) => named("HELLO", p.helloData(), [0])],
    ["an empty HELLO", /malformed HELLO of 0 bytes/, () => named("HELLO")],
    ["PLAIN's HELLO", /malformed HELLO of 4 bytes/, () => named("HELLO", [1], "a", [1], "b")],
    ["another name", /sent HELLA where HELLO was expected/, (p) => named("HELLA", p.helloData())],
    ["NULL's READY", /sent READY where HELLO was expected/, () => plainReady("PUSH")],
    ["a message", /where a command was expected/, (p) => frame(join([5], "HELLO", p.helloData()))],
    ["another version", /speaks CURVE 2\.0/, (p) => named("HELLO", [2], p.helloData().subarray(1))],
    [
      "a proof that is not zero",
      /malformed HELLO/,
      (p) => named("HELLO", p.helloData(new Uint8Array(64).fill(1))),
    ],
    [
      "an invalid transient key",
      /invalid public key/,
      (p) => named("HELLO", p.helloData().fill(0, 74, 106)),
    ],
  ];
  for (const [name, words, spoil] of hellos) {
    it(`server - ${name} is a protocol error`, async () => {
      const handshaking = new Handshaking(curveServer({ keyPair: SERVER }));
      handshaking.stream.feed(spoil(new CurveClientPeer(SERVER.publicKey)));
      await handshaking.fails(ProtocolError, words);
      assert.ok(handshaking.stream.over);
    });
  }

  const flip = (bytes: Uint8Array, at: number) => {
    bytes[at]! ^= 1;
    return bytes;
  };
  const initiates: [name: string, words: RegExp, spoil: (peer: CurveClientPeer) => Uint8Array][] = [
    ["another cookie", /cookie that is not ours/, (p) => named("INITIATE", flip(p.initiateData("PUSH"), 40))],
    [
      "a changed box",
      /INITIATE that cannot be decrypted/,
      (p) => named("INITIATE", flip(p.initiateData("PUSH"), 130)),
    ],
    [
      "a changed nonce",
      /INITIATE that cannot be decrypted/,
      (p) => named("INITIATE", flip(p.initiateData("PUSH"), 102)),
    ],
    [
      "a truncated body",
      /malformed INITIATE of 200 bytes/,
      (p) => named("INITIATE", p.initiateData("PUSH").subarray(0, 200)),
    ],
    [
      "the nonce of HELLO",
      /nonce that does not increase/,
      (p) => named("INITIATE", p.initiateData("PUSH", { nonce: 1 })),
    ],
    ["another name", /sent INITIATX where INITIATE/, (p) => named("INITIATX", p.initiateData("PUSH"))],
    ["HELLO again", /sent HELLO where INITIATE/, (p) => p.hello()],
    [
      "another client's key",
      /cannot prove that the public key/,
      (p) => named("INITIATE", p.initiateData("PUSH", { key: newPair().publicKey })),
    ],
    [
      "a vouch for another connection",
      /cannot prove that the public key/,
      (p) => named("INITIATE", p.initiateData("PUSH", { vouched: newPair().publicKey })),
    ],
    [
      "a vouch for another server",
      /cannot prove that the public key/,
      (p) => named("INITIATE", p.initiateData("PUSH", { server: newPair().publicKey })),
    ],
    [
      "an invalid key",
      /cannot prove that the public key/,
      (p) => named("INITIATE", p.initiateData("PUSH", { key: new Uint8Array(32) })),
    ],
    ["no socket type", /has no socket type|malformed/, (p) => named("INITIATE", p.initiateData(""))],
  ];
  for (const [name, words, spoil] of initiates) {
    it(`server - INITIATE with ${name} is a protocol error`, async () => {
      const handshaking = new Handshaking(curveServer({ keyPair: SERVER, zap: letIn({ status: 200 }) }));
      const peer = new CurveClientPeer(SERVER.publicKey);
      handshaking.stream.feed(peer.hello());
      peer.welcome(await handshaking.next());
      handshaking.stream.feed(spoil(peer));
      if (name === "no socket type") {
        await handshaking.fails(IncompatiblePeerError, /the peer is a {2}socket/);
      } else await handshaking.fails(ProtocolError, words);
      assert.ok(handshaking.stream.over || handshaking.stream.ended);
    });
  }

  it("server - accepts an INITIATE whose nonce is greater in the first byte only", async () => {
    const handshaking = new Handshaking(curveServer({ keyPair: SERVER }));
    const peer = new CurveClientPeer(SERVER.publicKey);
    handshaking.stream.feed(named("HELLO", peer.helloData(undefined, 256)));
    peer.welcome(await handshaking.next());
    handshaking.stream.feed(named("INITIATE", peer.initiateData("PUSH", { nonce: 2 ** 56 + 256 })));
    assert.equal((await deadline(handshaking.result)).peer.socketType, "PUSH");
  });

  it("server - rejects the cookie of another connection", async () => {
    const peer = new CurveClientPeer(SERVER.publicKey);
    const first = new Handshaking(curveServer({ keyPair: SERVER }));
    first.stream.feed(peer.hello());
    peer.welcome(await first.next());
    const initiate = peer.initiate("PUSH");
    const second = new Handshaking(curveServer({ keyPair: SERVER }));
    second.stream.feed(peer.hello());
    await second.next();
    second.stream.feed(initiate);
    await second.fails(ProtocolError, /cookie that is not ours/);
    first.stream.close();
  });

  it("server - reports an incompatible socket type to the client", async () => {
    const handshaking = new Handshaking(curveServer({ keyPair: SERVER }));
    await asClient(handshaking, new CurveClientPeer(SERVER.publicKey), "SUB");
    await handshaking.fails(IncompatiblePeerError, /the peer is a SUB socket, and PULL talks to PUSH/);
    assert.match(
      new TextDecoder().decode(await handshaking.next()),
      /ERROR.a PULL socket cannot talk to a SUB/,
    );
  });

  const welcomes: [
    name: string,
    kind: typeof AuthError | typeof ProtocolError,
    words: RegExp,
    spoil: (frame: Uint8Array) => Uint8Array,
  ][] = [
    ["a changed box", AuthError, /does not have the secret key/, (f) => flip(f, 60)],
    ["a changed nonce", AuthError, /does not have the secret key/, (f) => flip(f, 12)],
    ["a byte too few", ProtocolError, /malformed WELCOME of 159/, (f) => frame(f.subarray(2, -1), 4)],
    ["PLAIN's form", ProtocolError, /malformed WELCOME of 0 bytes/, () => named("WELCOME")],
    ["the name of READY", ProtocolError, /sent READY where WELCOME/, () => plainReady("PULL")],
    ["HELLO", ProtocolError, /sent HELLO where WELCOME/, () => new CurveClientPeer(SERVER.publicKey).hello()],
  ];
  for (const [name, kind, words, spoil] of welcomes) {
    it(`client - WELCOME with ${name} is an error`, async () => {
      const peer = new CurveServerPeer(SERVER);
      const handshaking = new Handshaking(curveClient({ serverKey: SERVER.publicKey }), "PUSH", true);
      peer.hello(await handshaking.next());
      handshaking.stream.feed(spoil(peer.welcome()));
      await handshaking.fails(kind, words);
    });
  }

  it("client - rejects READY if it is modified, too short, or has no nonce", async () => {
    const spoiled: [(frame: Uint8Array) => Uint8Array, RegExp][] = [
      [(f) => flip(f, 30), /READY that cannot be decrypted/],
      [() => named("READY", [1, 2, 3]), /malformed READY of 3 bytes/],
      [() => plainReady("PULL"), /malformed READY of 20 bytes/],
    ];
    for (const [spoil, words] of spoiled) {
      const peer = new CurveServerPeer(SERVER);
      const handshaking = new Handshaking(curveClient({ serverKey: SERVER.publicKey }), "PUSH", true);
      peer.hello(await handshaking.next());
      handshaking.stream.feed(peer.welcome());
      await handshaking.next();
      handshaking.stream.feed(spoil(peer.ready("PULL")));
      await handshaking.fails(ProtocolError, words);
    }
  });

  it("client - a peer that closes after HELLO is an uncertain AuthError, a peer that sends 400 a certain one", async () => {
    const silent = new Handshaking(curveClient({ serverKey: SERVER.publicKey }), "PUSH", true);
    await silent.next();
    silent.stream.feedEnd();
    await silent.fails(AuthError, /closed the connection after our HELLO: its public key probably differs/);
    assert.equal(await silent.result.catch(({ certain }) => certain), false);
    const rude = new Handshaking(curveClient({ serverKey: SERVER.publicKey }), "PUSH", true);
    await rude.next();
    rude.stream.feed(command("ERROR", Uint8Array.of(3), join("400")));
    await rude.fails(AuthError, /does not accept our public key \(400\)/);
    assert.equal(await rude.result.catch(({ certain }) => certain), true);
  });

  it("keys - reports a public and a secret key of different pairs, in both roles", async () => {
    const keyPair = { publicKey: newPair().publicKey, secretKey: newPair().secretKey };
    for (
      const security of [curveClient({ serverKey: SERVER.publicKey, keyPair }), curveServer({ keyPair })]
    ) {
      await new Handshaking(security).fails(AuthError, /our public key does not belong to our secret key/i);
    }
  });

  it("keys - rejects malformed keys before a socket is made", () => {
    for (const serverKey of ["", "short", "x".repeat(39), `${"0".repeat(39)}"`, new Uint8Array(31)]) {
      assert.throws(() => curveClient({ serverKey }), RangeError);
    }
    // A group that exceeds 32 bits; the message does not contain the secret.
    const secretKey = "#".repeat(40);
    assert.throws(
      () => curveServer({ keyPair: { publicKey: SERVER.publicKey, secretKey } }),
      (error: Error) => {
        assert.ok(error instanceof RangeError);
        return !error.message.includes("#");
      },
    );
  });
});
