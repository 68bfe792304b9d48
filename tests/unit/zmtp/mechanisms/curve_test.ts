/** CURVE (RFC 26) on the wire: valid and invalid commands and messages in both roles. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AuthError,
  curveClient,
  curveServer,
  IncompatiblePeerError,
  LimitError,
  ProtocolError,
  type ZapReply,
} from "../../../../mod.ts";
import { type ConnectionOwner, ZmtpConnection } from "../../../../lib/zmtp/connection.ts";
import { resolveHeartbeat } from "../../../../lib/zmtp/heartbeat.ts";
import { handshake, type HandshakeResult } from "../../../../lib/zmtp/handshake.ts";
import type { Mechanism } from "../../../../lib/zmtp/mechanisms/mechanism.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, texts } from "../../../support/sockets.ts";
import { bodies, CurveClientPeer, CurveServerPeer, join, named, newPair } from "./curve_peer.ts";
import { frame, ready as plainReady } from "../../../support/raw_peer.ts";
import { command, greeting3, ScriptedStream } from "../../../support/scripted_stream.ts";

const NO_LIMITS = { messages: 1e6, bytes: 1e9 };
const SERVER = newPair();

/** The side under test in a handshake, and the frames that it sent after its greeting. */
class Handshaking {
  readonly stream = new ScriptedStream();
  readonly result: Promise<HandshakeResult>;
  readonly #taken = { frames: 0 };

  constructor(security: Mechanism, socketType: "PULL" | "PUSH" | "PUB" = "PULL", dialed = false) {
    this.result = handshake(this.stream, { socketType, security, dialed, timeout: 5000 });
    this.result.catch(() => {});
    this.stream.feed(greeting3(1, "CURVE"));
  }

  /** Waits for the next frame that it sends, and returns its body. */
  async next(): Promise<Uint8Array> {
    const index = this.#taken.frames++;
    let found: Uint8Array | undefined;
    await waitFor(
      () => {
        try {
          found = bodies(this.stream.sent.subarray(64))[index];
        } catch {
          // The last frame is not complete yet.
        }
        return found !== undefined;
      },
      5000,
      `frame ${index + 1}`,
    );
    return found!;
  }

  async fails(kind: new (...args: never[]) => Error, words: RegExp): Promise<void> {
    await assert.rejects(deadline(this.result), (error: unknown) => {
      assert.ok(error instanceof kind, String(error));
      assert.match(error.message, words);
      return true;
    });
  }
}

/** Runs the handshake with a scripted client. */
async function asClient(handshaking: Handshaking, peer: CurveClientPeer, type: string): Promise<void> {
  handshaking.stream.feed(peer.hello());
  peer.welcome(await handshaking.next());
  handshaking.stream.feed(peer.initiate(type));
}

/** Runs the handshake with a scripted server. */
async function asServer(handshaking: Handshaking, peer: CurveServerPeer, type: string): Promise<void> {
  peer.hello(await handshaking.next());
  handshaking.stream.feed(peer.welcome());
  peer.initiate(await handshaking.next());
  handshaking.stream.feed(peer.ready(type));
}

/** A connection of the side under test after the handshake, and the messages that it received. */
class Running {
  readonly messages: string[][] = [];
  readonly subscriptions: string[] = [];
  readonly connection: ZmtpConnection;

  constructor(readonly stream: ScriptedStream, result: HandshakeResult, maxMessage = 2 ** 30) {
    const owner: ConnectionOwner = {
      onBatch: (_from, batch) => {
        for (let at = 0; at < batch.frames;) {
          const end = batch.messageEnd(at);
          this.messages.push(texts(batch.copy(at, end))!);
          at = end;
        }
      },
      onSubscription: (_from, topic, subscribe) => {
        this.subscriptions.push(`${subscribe ? "+" : "-"}${new TextDecoder().decode(topic)}`);
      },
      onGroup() {},
      onWritable() {},
    };
    this.connection = new ZmtpConnection(stream, result, owner, NO_LIMITS, maxMessage, resolveHeartbeat());
    this.connection.start();
  }
}

async function runningServer(maxMessage?: number): Promise<{ peer: CurveClientPeer; running: Running }> {
  const handshaking = new Handshaking(curveServer({ keyPair: SERVER }));
  const peer = new CurveClientPeer(SERVER.publicKey);
  await asClient(handshaking, peer, "PUSH");
  const result = await deadline(handshaking.result);
  return { peer, running: new Running(handshaking.stream, result, maxMessage) };
}

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

describe("security_curve messages", () => {
  it("open - uses the flags MORE and COMMAND inside the box; accepts both outer forms", async () => {
    const { peer, running } = await runningServer();
    running.stream.feed(join(
      peer.message(3, 0, "one"),
      peer.message(4, 1, "two"),
      peer.message(5, 2, join([9], "SUBSCRIBE", "news"), 4),
      peer.message(6, 1, ""),
      peer.message(7, 0, "three", 4),
      peer.message(8, 2, join([6], "CANCEL", "news")),
    ));
    assert.deepEqual(running.messages, [["one"], ["two", "", "three"]]);
    assert.deepEqual(running.subscriptions, ["+news", "-news"]);
  });

  it("open - accepts chunks of any size", async () => {
    const { peer, running } = await runningServer();
    const wire = join(
      ...Array.from({ length: 40 }, (_, i) => peer.message(3 + i, i % 3 === 2 ? 0 : 1, `${i}`.repeat(i * 9))),
    );
    for (let at = 0, size = 1; at < wire.length; at += size, size = size % 300 + 7) {
      running.stream.feed(wire.slice(at, at + size));
    }
    assert.deepEqual(
      running.messages.flat(),
      Array.from({ length: 39 }, (_, i) => `${i}`.repeat(i * 9)),
    );
    assert.ok(running.messages.every((frames) => frames.length === 3));
  });

  it("open - accepts gaps between nonces, and nonces up to 2^64-1", async () => {
    const { peer, running } = await runningServer();
    const nonces = [3n, 10n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n];
    for (const nonce of nonces) running.stream.feed(peer.message(nonce, 0, `${nonce}`));
    assert.deepEqual(running.messages.flat(), nonces.map(String));
  });

  for (
    const [name, nonces] of [
      ["a repeated message", [3n, 3n]],
      ["a nonce of the handshake", [2n]],
      ["a lower nonce", [9n, 8n]],
      ["a lower nonce over 32 bits", [2n ** 33n + 1n, 2n ** 32n + 7n]],
      ["a nonce that is lower in its first byte only", [2n ** 57n + 5n, 2n ** 56n + 5n]],
      ["nonce 0", [0n]],
    ] as const
  ) {
    it(`open - ${name} ends the connection`, async () => {
      const { peer, running } = await runningServer();
      for (const nonce of nonces) running.stream.feed(peer.message(nonce, 0, "x"));
      assert.match(running.stream.cause?.message ?? "", /nonce that does not increase/);
      assert.ok(running.stream.cause instanceof ProtocolError);
      assert.equal(running.messages.length, nonces.length - 1);
    });
  }

  const spoiled: [name: string, words: RegExp, make: (peer: CurveClientPeer) => Uint8Array][] = [
    ["a plain message", /command without a valid name/, () => frame("hello")],
    ["an empty frame", /command without a valid name/, () => frame("")],
    ["a plain PING", /command that is not encrypted/, () => named("PING", [0, 1])],
    [
      "a plain SUBSCRIBE",
      /command that is not encrypted/,
      () => named("SUBSCRIBE", "topic of some length, over 33"),
    ],
    [
      "a short MESSAGE",
      /MESSAGE that is too short/,
      (p) => frame(p.messageBody(3, 0, "").subarray(0, 32)),
    ],
    ["a changed tag", /cannot be decrypted/, (p) => flipped(p.message(3, 0, "abc"), 20)],
    ["a changed body", /cannot be decrypted/, (p) => flipped(p.message(3, 0, "abc"), -1)],
    ["a changed nonce", /cannot be decrypted/, (p) => flipped(p.message(4, 0, "abc"), 17)],
    ["a box of the other direction", /cannot be decrypted/, (p) => frame(otherWay(p))],
    ["reserved flags inside", /reserved flags/, (p) => p.message(3, 4, "abc")],
    ["reserved flags outside", /reserved flags/, (p) => p.message(3, 0, "abc", 8)],
    ["MORE outside", /with MORE outside/, (p) => join(p.message(3, 1, "abc", 1), p.message(4, 0, "abc"))],
    ["an ERROR", /ended the connection: enough/, () => named("ERROR", [6], "enough")],
  ];
  for (const [name, words, make] of spoiled) {
    it(`open - ${name} ends the connection`, async () => {
      const { peer, running } = await runningServer();
      running.stream.feed(make(peer));
      assert.ok(running.stream.cause instanceof ProtocolError, `${running.stream.cause}`);
      assert.match(running.stream.cause.message, words);
      assert.deepEqual(running.messages, []);
    });
  }

  it("open - rejects a message over the limit by its header, counting all of its frames", async () => {
    for (const parts of [["x".repeat(2000)], ["x".repeat(600), "y".repeat(600)]]) {
      const { peer, running } = await runningServer(1000);
      running.stream.feed(peer.message(3, 0, "x".repeat(900)));
      assert.equal(running.messages.length, 1);
      const wire = join(...parts.map((part, i) => peer.message(4 + i, i < parts.length - 1 ? 1 : 0, part)));
      // Not even the body of the first frame has to arrive.
      running.stream.feed(parts.length === 1 ? wire.subarray(0, 9) : wire);
      assert.ok(running.stream.cause instanceof LimitError, `${running.stream.cause}`);
      assert.equal(running.messages.length, 1);
    }
  });

  it("seal - puts each frame into its own box, with nonces that increase by one; commands keep their flag", async () => {
    const { peer, running } = await runningServer();
    const before = bodies(running.stream.sent.subarray(64)).length;
    running.stream.feed(peer.message(3, 2, join([4], "PING", [0, 9], "context")));
    running.connection.outbox.appendBatch(batchOf(["a", "", "b".repeat(300)]), 0, 3);
    running.connection.outbox.flush();
    running.connection.sendSubscriptions([join("topic")], true);
    const sent = await waitFor(() => {
      const found = bodies(running.stream.sent.subarray(64)).slice(before);
      return found.length === 5 ? found : undefined;
    });
    const read = sent!.map((body) => peer.read(body));
    assert.deepEqual(read.map(({ nonce }) => nonce), [2n, 3n, 4n, 5n, 6n]);
    assert.deepEqual(read.map(({ flags }) => flags), [2, 0, 0, 0, 2]);
    assert.deepEqual(texts(read.map(({ payload }) => payload)), [
      "\x04PONGcontext",
      "a",
      "",
      "b".repeat(300),
      "\x09SUBSCRIBEtopic",
    ]);
  });

  it("reclaim - returns the messages whose boxes were not accepted completely, in plain text", async () => {
    const messages = Array.from({ length: 50 }, (_, i) => `${i}`.repeat(i));
    for (const part of [0, 0.3, 0.5, 0.999, 1]) {
      const { running } = await runningServer();
      const { outbox } = running.connection;
      const from = running.stream.sent.length;
      outbox.appendBatch(batchOf(messages), 0, messages.length);
      outbox.flush();
      const sealed = running.stream.sent.slice(from);
      const taken = Math.floor(sealed.length * part);
      let whole = 0;
      for (let at = 0; at < sealed.length; whole++) {
        at += sealed[at]! & 2 ? 9 + (sealed[at + 7]! << 8 | sealed[at + 8]!) : 2 + sealed[at + 1]!;
        if (at > taken) break;
      }
      const left = outbox.reclaim(taken);
      assert.deepEqual(
        texts(left.copy(0, left.frames)),
        messages.slice(whole),
        `${taken} of ${sealed.length}`,
      );
    }
  });
});

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  return bytes;
}

/** A message in the opposite direction, as the side under test would send it. */
function otherWay(peer: CurveClientPeer): Uint8Array {
  const server = Object.create(peer) as CurveClientPeer;
  return server.messageBody.call(
    Object.assign(new CurveServerPeer(SERVER), { theirs: peer["theirs"], transient: peer["transient"] }),
    3,
    0,
    "abc",
  );
}
