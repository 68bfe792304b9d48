/** The handshake behind the greeting (RFC 37, 2.5), and every way in which a peer can spoil either. */
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
  behindGreeting,
  command,
  failure,
  greeting3,
  property,
  PULL,
  ready,
  ScriptedStream,
} from "../../support/scripted_stream.ts";

describe("handshake", () => {
  it("handshake - READY says the socket type, and the identity where a peer may want it", async () => {
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
      stream.feed(behindGreeting(ready(theirs)));
      await deadline(shaking);
      assert.deepEqual(stream.sent.subarray(64), bytes, own);
    }
  });

  it("handshake - the peer's metadata: names in any case, unknown ones ignored, identity kept", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, { socketType: "ROUTER", timeout: 3000 });
    const properties = [
      property("X-Own", "?"),
      property("SOCKET-TYPE", "DEALER"),
      property("identity", "a\0b"),
    ];
    stream.feed(behindGreeting(command("READY", ...properties)));
    const { peer } = await deadline(shaking);
    assert.deepEqual(peer, {
      socketType: "DEALER",
      identity: utf8("a\0b"),
      version: "3.1",
      mechanism: "NULL",
      userId: "",
    });
  });

  it("handshake - a READY in a LONG frame is accepted", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, PULL);
    const short = ready("PUSH");
    const long = concat([Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0, short[1]!), short.subarray(2)]);
    await stream.feedEach(behindGreeting(long));
    assert.equal((await deadline(shaking)).peer.socketType, "PUSH");
  });

  it("handshake - another mechanism is incompatible, in words", async () => {
    const words = "the peer uses CURVE security, and this side uses NULL";
    await failure(greeting3(1, "CURVE"), IncompatiblePeerError, words);
    await failure(greeting3(1, "", 1), IncompatiblePeerError, /unnamed security/);
  });

  it("handshake - an illegal socket type is refused in words, and told so with ERROR", async () => {
    const stream = await failure(
      behindGreeting(ready("REQ")),
      IncompatiblePeerError,
      "the peer is a REQ socket, and SUB talks to PUB or XPUB",
      { ...PULL, socketType: "SUB" },
    );
    const reason = utf8("a SUB socket cannot talk to a REQ socket");
    const error = command("ERROR", Uint8Array.of(reason.length), reason);
    assert.deepEqual(stream.sent.subarray(64), concat([ready("SUB"), error]));
    assert.ok(stream.ended, "the peer must be able to read the reason before the end");
    await deadline(stream.closed, 3000, "the farewell to end");
  });

  it("handshake - ERROR from the peer shows its reason", async () => {
    const error = command("ERROR", Uint8Array.of(9), utf8("go away 1"));
    await failure(behindGreeting(error), IncompatiblePeerError, "the peer refused: go away 1");
    await failure(behindGreeting(error), IncompatiblePeerError, "the peer refused: go away 1", PULL, true);
    await failure(behindGreeting(command("ERROR")), IncompatiblePeerError, /no reason given/);
    await failure(
      behindGreeting(command("ERROR", Uint8Array.of(200), utf8("cut"))),
      IncompatiblePeerError,
      /: cut$/,
    );
  });

  const spoiled: [name: string, bytes: Uint8Array, words: RegExp][] = [
    ["a message", Uint8Array.of(0, 1, 65), /where a command was expected/],
    ["a command with MORE", Uint8Array.of(5, 1, 65), /where a command was expected/],
    ["another command", command("HELLO"), /sent HELLO where READY was expected/],
    ["an empty command", Uint8Array.of(4, 0), /without a valid name/],
    ["a name over the end", Uint8Array.of(4, 2, 9, 65), /without a valid name/],
    ["no socket type", command("READY", property("Identity", "x")), /has no socket type/],
    ["metadata cut in a name", command("READY", Uint8Array.of(11, 83)), /metadata is truncated or malformed/],
    [
      "metadata cut in a length",
      command("READY", Uint8Array.of(1, 83, 0, 0)),
      /metadata is truncated or malformed/,
    ],
    [
      "metadata cut in a value",
      command("READY", Uint8Array.of(1, 83, 0, 0, 0, 2, 1)),
      /metadata is truncated or malformed/,
    ],
    [
      "metadata with bytes left over",
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
    it(`handshake - ${name} instead of READY is refused`, async () => {
      await failure(behindGreeting(bytes), ProtocolError, words);
    });
  }

  it("handshake - what floods in behind it is held back, not kept", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, PULL);
    stream.feed(behindGreeting(ready("PUSH")));
    for (let i = 0; i < 100 && !stream.paused; i++) stream.feed(new Uint8Array(16 * 1024));
    assert.ok(stream.paused);
    assert.ok((await deadline(shaking)).release().length <= 96 * 1024);
  });

  it("handshake - over tcp, a refused peer can read why before the end", async () => {
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listen("tcp://127.0.0.1:0", accepted.resolve);
    const peer = new TestPeer(await connect(listener.endpoint));
    const shaking = handshake(await deadline(accepted.promise), PULL);
    // Bytes that nobody reads any more must not turn the farewell into a reset.
    await peer.write(behindGreeting(ready("SUB"), new Uint8Array(200)));
    await assert.rejects(deadline(shaking), IncompatiblePeerError);
    await peer.untilEnd();
    assert.match(peer.text(), /ERROR.a PULL socket cannot talk to a SUB socket$/);
    peer.stream.end();
    assert.equal(await peer.untilClosed(), undefined);
    await listener.close();
  });
});

/** A READY that needs a LONG frame. */
function longReady(...more: Uint8Array[]): Uint8Array {
  const body = concat([Uint8Array.of(5), utf8("READY"), property("Socket-Type", "PUSH"), ...more]);
  return concat([Uint8Array.of(6, 0, 0, 0, 0, 0, 0, body.length >> 8, body.length & 255), body]);
}
