/** The handshake after the greeting (RFC 37, 2.5), with valid and invalid peers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IncompatiblePeerError, ProtocolError } from "../../../lib/errors.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { concat, utf8 } from "../../../lib/zmtp/bytes.ts";
import { handshake } from "../../../lib/zmtp/handshake.ts";
import type { HandshakeOptions } from "../../../lib/zmtp/handshake_options.ts";
import { deadline, TestPeer } from "../../support/helpers.ts";
import {
  afterGreeting,
  command,
  failure,
  greeting3,
  property,
  PULL,
  ready,
  ScriptedStream,
} from "../../support/scripted_stream.ts";

describe("handshake", () => {
  it("handshake - READY has the socket type, and the identity for types that use one", async () => {
    const expected: [HandshakeOptions["socketType"], string, Uint8Array][] = [
      ["PULL", "PUSH", ready("PULL")],
      ["SUB", "PUB", ready("SUB")],
      ["REQ", "REP", ready("REQ", property("Identity", ""))],
      ["DEALER", "ROUTER", ready("DEALER", property("Identity", "me"))],
    ];
    for (const [own, theirs, bytes] of expected) {
      const stream = new ScriptedStream();
      const identity = utf8(own === "DEALER" ? "me" : "");
      const shaking = handshake(stream, { socketType: own, identity, timeout: 3000 });
      stream.feed(afterGreeting(ready(theirs)));
      await deadline(shaking);
      assert.deepEqual(stream.sent.subarray(64), bytes, own);
    }
  });

  it("handshake - metadata: ignores the case of names and unknown properties, and keeps the identity", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, { socketType: "ROUTER", timeout: 3000 });
    const properties = [
      property("X-Own", "?"),
      property("SOCKET-TYPE", "DEALER"),
      property("identity", "a\0b"),
    ];
    stream.feed(afterGreeting(command("READY", ...properties)));
    const { peer } = await deadline(shaking);
    assert.deepEqual(peer, {
      socketType: "DEALER",
      identity: utf8("a\0b"),
      version: "3.1",
      mechanism: "NULL",
      userId: "",
    });
  });

  it("handshake - accepts READY in a LONG frame", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, PULL);
    const short = ready("PUSH");
    const long = concat([Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0, short[1]!), short.subarray(2)]);
    await stream.feedEach(afterGreeting(long));
    assert.equal((await deadline(shaking)).peer.socketType, "PUSH");
  });

  it("handshake - explains an incompatible mechanism", async () => {
    const words = "the peer uses CURVE security, and this side uses NULL";
    await failure(greeting3(1, "CURVE"), IncompatiblePeerError, words);
    await failure(greeting3(1, "", 1), IncompatiblePeerError, /unnamed security/);
  });

  it("handshake - a peer with another mechanism sees ours, once, whichever side dialed", async () => {
    for (const dialed of [false, true]) {
      const stream = await failure(greeting3(1, "CURVE"), IncompatiblePeerError, /CURVE security/, {
        ...PULL,
        dialed,
      });
      assert.deepEqual(stream.sent, greeting3(1), `${dialed}`);
    }
  });

  it("handshake - a READY has at most 32 KiB, and an identity at most 255 bytes", async () => {
    /** A READY with so many bytes, in a LONG frame. */
    const readyOf = (length: number) => {
      const known = concat([Uint8Array.of(5), utf8("READY"), property("Socket-Type", "PUSH")]);
      const body = concat([known, property("X", new Uint8Array(length - known.length - 6))]);
      assert.equal(body.length, length);
      return concat([Uint8Array.of(6, 0, 0, 0, 0, 0, 0, length >> 8, length & 255), body]);
    };
    const open = async (...parts: Uint8Array[]) => {
      const stream = new ScriptedStream();
      const shaking = handshake(stream, PULL);
      stream.feed(afterGreeting(...parts));
      return (await deadline(shaking)).peer;
    };
    assert.equal((await open(readyOf(32_768))).socketType, "PUSH");
    await failure(afterGreeting(readyOf(32_769)), ProtocolError, /of 32769 bytes; the limit is 32768/);
    const named = (length: number) =>
      concat([
        utf8("READY"),
        property("Socket-Type", "PUSH"),
        property("Identity", new Uint8Array(length).fill(7)),
      ]);
    const long = (body: Uint8Array) =>
      concat([Uint8Array.of(6, 0, 0, 0, 0, 0, 0, (body.length + 1) >> 8, (body.length + 1) & 255, 5), body]);
    assert.equal((await open(long(named(255)))).identity.length, 255);
    await failure(afterGreeting(long(named(256))), ProtocolError, /identity is over 255 bytes/);
  });

  it("handshake - explains an incompatible socket type, and sends the reason as ERROR", async () => {
    const stream = await failure(
      afterGreeting(ready("REQ")),
      IncompatiblePeerError,
      "the peer is a REQ socket, and SUB talks to PUB or XPUB",
      { ...PULL, socketType: "SUB" },
    );
    const reason = utf8("a SUB socket cannot talk to a REQ socket");
    const error = command("ERROR", Uint8Array.of(reason.length), reason);
    assert.deepEqual(stream.sent.subarray(64), concat([ready("SUB"), error]));
    assert.ok(stream.ended, "the peer must be able to read the reason before the end");
    await deadline(stream.closed, 3000, "the stream to close");
  });

  it("handshake - reports the reason of the peer's ERROR", async () => {
    const error = command("ERROR", Uint8Array.of(9), utf8("go away 1"));
    await failure(afterGreeting(error), IncompatiblePeerError, "the peer refused: go away 1");
    await failure(afterGreeting(error), IncompatiblePeerError, "the peer refused: go away 1", PULL, true);
    await failure(afterGreeting(command("ERROR")), IncompatiblePeerError, /no reason given/);
    await failure(
      afterGreeting(command("ERROR", Uint8Array.of(200), utf8("cut"))),
      IncompatiblePeerError,
      /: cut$/,
    );
  });

  const spoiled: [name: string, bytes: Uint8Array, words: RegExp][] = [
    ["a message", Uint8Array.of(0, 1, 65), /where a command was expected/],
    ["a command with MORE", Uint8Array.of(5, 1, 65), /where a command was expected/],
    ["another command", command("HELLO"), /sent HELLO where READY was expected/],
    ["an empty command", Uint8Array.of(4, 0), /without a valid name/],
    ["a name that exceeds the body", Uint8Array.of(4, 2, 9, 65), /without a valid name/],
    ["no socket type", command("READY", property("Identity", "x")), /has no socket type/],
    [
      "metadata truncated in a name",
      command("READY", Uint8Array.of(11, 83)),
      /metadata is truncated or malformed/,
    ],
    [
      "metadata truncated in a length",
      command("READY", Uint8Array.of(1, 83, 0, 0)),
      /metadata is truncated or malformed/,
    ],
    [
      "metadata truncated in a value",
      command("READY", Uint8Array.of(1, 83, 0, 0, 0, 2, 1)),
      /metadata is truncated or malformed/,
    ],
    [
      "metadata with extra bytes",
      concat([ready("PUSH", Uint8Array.of(0))]),
      /metadata is truncated or malformed/,
    ],
    [
      "an identity of 256 bytes",
      longReady(property("Identity", new Uint8Array(256))),
      /identity is over 255 bytes/,
    ],
    [
      "a command of 32 KiB + 1",
      Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0x80, 1),
      /command of 32769 bytes; the limit is 32768/,
    ],
    [
      "a command of 2^63 bytes",
      Uint8Array.of(6, 0x80, 0, 0, 0, 0, 0, 0, 0),
      /command of 9223372036854776000 bytes/,
    ],
  ];
  for (const [name, bytes, words] of spoiled) {
    it(`handshake - rejects ${name} instead of READY`, async () => {
      await failure(afterGreeting(bytes), ProtocolError, words);
    });
  }

  it("handshake - applies backpressure to data that arrives after it", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, PULL);
    stream.feed(afterGreeting(ready("PUSH")));
    for (let i = 0; i < 100 && !stream.paused; i++) stream.feed(new Uint8Array(16 * 1024));
    assert.ok(stream.paused);
    assert.ok((await deadline(shaking)).release().length <= 96 * 1024);
  });

  it("handshake - a refused peer can read the reason before the end, over tcp", async () => {
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listen("tcp://127.0.0.1:0", accepted.resolve);
    const peer = new TestPeer(await connect(listener.endpoint));
    const shaking = handshake(await deadline(accepted.promise), PULL);
    // Unread bytes must not cause a reset.
    await peer.write(afterGreeting(ready("SUB"), new Uint8Array(200)));
    await assert.rejects(deadline(shaking), IncompatiblePeerError);
    await peer.untilEnd();
    assert.match(peer.text(), /ERROR.a PULL socket cannot talk to a SUB socket$/);
    peer.stream.end();
    assert.equal(await peer.untilClosed(), undefined);
    await listener.close();
  });
});

/** A READY command that needs a LONG frame. */
function longReady(...more: Uint8Array[]): Uint8Array {
  const body = concat([Uint8Array.of(5), utf8("READY"), property("Socket-Type", "PUSH"), ...more]);
  return concat([Uint8Array.of(6, 0, 0, 0, 0, 0, 0, body.length >> 8, body.length & 255), body]);
}
