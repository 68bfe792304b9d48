/** The greeting (RFC 37, 2.1; RFC 15), byte by byte, with a scripted peer. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IncompatiblePeerError, ProtocolError } from "../../../lib/errors.ts";
import { concat, utf8 } from "../../../lib/zmtp/bytes.ts";
import { checkSignature, decodeRest, encodeRest } from "../../../lib/zmtp/greeting.ts";
import { handshake } from "../../../lib/zmtp/handshake.ts";
import { FakeTime } from "../../support/fake_time.ts";
import { deadline } from "../../support/helpers.ts";
import { greeting3, ready, ScriptedStream, SIGNATURE_BYTES } from "../../support/scripted_stream.ts";

const PULL = { socketType: "PULL", timeout: 3000 } as const;

/** Waits until all microtasks and due timers have run. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("greeting", () => {
  it("greeting - sends the first 10 bytes before the peer has sent anything", async () => {
    const stream = new ScriptedStream();
    const greeting = handshake(stream, PULL);
    assert.deepEqual(await stream.untilSent(10), SIGNATURE_BYTES);
    await turn();
    assert.equal(stream.sent.length, 10, "more than the signature was sent to a silent peer");
    stream.close();
    await assert.rejects(greeting);
  });

  it("greeting - sends each part as soon as the matching part of the peer has arrived, not after all 64 bytes", async () => {
    const stream = new ScriptedStream();
    const greeting = handshake(stream, PULL);
    const theirs = greeting3();
    stream.feed(theirs.subarray(0, 9));
    await turn();
    assert.equal(stream.sent.length, 10);
    stream.feed(theirs.subarray(9, 10));
    assert.deepEqual([...await stream.untilSent(11)].slice(10), [3]);
    await turn();
    assert.equal(
      stream.sent.length,
      11,
      "the minor version was sent before the peer's major version arrived",
    );
    stream.feed(theirs.subarray(10, 11));
    const ours = await stream.untilSent(64);
    assert.deepEqual(ours, greeting3(1, "NULL", 0));
    await turn();
    assert.equal(stream.sent.length, 64, "READY was sent before the peer's mechanism came");
    stream.feed(theirs.subarray(11));
    await stream.untilSent(65);
    stream.feed(ready("PUSH"));
    assert.equal((await deadline(greeting)).peer.version, "3.1");
  });

  it("greeting - accepts one byte at a time", async () => {
    const stream = new ScriptedStream();
    const greeting = handshake(stream, PULL);
    await stream.feedEach(concat([greeting3(), ready("PUSH")]));
    const { peer, release } = await deadline(greeting);
    assert.equal(peer.socketType, "PUSH");
    assert.equal(release().length, 0);
  });

  for (
    const [name, bytes] of [
      ["without an identity", [1, 0]],
      ["with a long length", [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0]],
      ["by revision", [...SIGNATURE_BYTES, 0]],
    ] as const
  ) {
    it(`greeting - recognises ZMTP 1.0 ${name} in pieces of one byte`, async () => {
      const stream = new ScriptedStream();
      const greeting = handshake(stream, PULL);
      const rejected = assert.rejects(
        deadline(greeting),
        /speaks ZMTP 1\.0; the oldest supported version is 2\.0/,
      );
      await stream.feedEach(Uint8Array.from(bytes));
      await rejected;
    });
  }

  it("greeting - the deadline has no effect after success", async () => {
    using time = new FakeTime();
    const stream = new ScriptedStream();
    const greeting = handshake(stream, PULL);
    stream.feed(concat([greeting3(), ready("PUSH")]));
    const { hasEnded } = await greeting;
    time.pass(PULL.timeout);
    assert.equal(stream.cause, undefined);
    assert.equal(hasEnded(), false);
    stream.close();
  });

  it("greeting - accepts everything in one chunk, and keeps the bytes after the handshake", async () => {
    const stream = new ScriptedStream();
    const greeting = handshake(stream, PULL);
    stream.feed(concat([greeting3(), ready("PUSH"), utf8("\0\x05first\0\x06sec")]));
    const { peer, release } = await deadline(greeting);
    assert.equal(peer.version, "3.1");
    stream.feed("ond");
    assert.deepEqual(release(), utf8("\0\x05first\0\x06second"));
  });

  for (const size of [2, 3, 7, 10, 11, 63, 64, 65]) {
    it(`greeting - accepts chunks of ${size} bytes`, async () => {
      const stream = new ScriptedStream();
      const greeting = handshake(stream, PULL);
      const all = concat([greeting3(), ready("PUSH"), utf8("rest")]);
      for (let at = 0; at < all.length; at += size) {
        stream.feed(all.subarray(at, at + size));
        await turn();
      }
      assert.deepEqual((await deadline(greeting)).release(), utf8("rest"));
    });
  }

  it("greeting - ignores the peer's padding and as-server field", async () => {
    const stream = new ScriptedStream();
    const greeting = handshake(stream, PULL);
    const theirs = greeting3(1, "NULL", 1);
    theirs.fill(0xab, 1, 9);
    theirs[9] = 0xff;
    theirs.fill(0xcd, 33);
    stream.feed(concat([theirs, ready("PUSH")]));
    assert.equal((await deadline(greeting)).peer.version, "3.1");
  });

  const versions: [revision: number[], version: string][] = [[[3, 0], "3.0"], [[3, 1], "3.1"], [
    [3, 7],
    "3.1",
  ], [[4, 0], "3.1"]];
  for (const [[major, minor], version] of versions) {
    it(`greeting - uses ${version} with a peer of version ${major}.${minor}`, async () => {
      const stream = new ScriptedStream();
      const greeting = handshake(stream, PULL);
      const theirs = greeting3(minor);
      theirs[10] = major!;
      stream.feed(concat([theirs, ready("PUSH")]));
      assert.equal((await deadline(greeting)).peer.version, version);
    });
  }

  it("greeting - ZMTP 2.0: sends the socket type and the identity, and no command", async () => {
    const stream = new ScriptedStream();
    const greeting = handshake(stream, { socketType: "DEALER", identity: utf8("us"), timeout: 3000 });
    await stream.feedEach(
      concat([SIGNATURE_BYTES, Uint8Array.of(1, 6, 0, 4), utf8("them"), utf8("\0\x01m")]),
    );
    const { peer, release } = await deadline(greeting);
    assert.deepEqual(peer, {
      socketType: "ROUTER",
      identity: utf8("them"),
      version: "2.0",
      mechanism: "NULL",
      userId: "",
    });
    assert.deepEqual(release(), utf8("\0\x01m"));
    assert.deepEqual(stream.sent, concat([SIGNATURE_BYTES, Uint8Array.of(3, 5, 0, 2), utf8("us")]));
  });

  it("greeting - ZMTP 2.0: rejects an identity frame with flags, and an incompatible socket type", async () => {
    const flagged = new ScriptedStream();
    const first = handshake(flagged, PULL);
    flagged.feed(concat([SIGNATURE_BYTES, Uint8Array.of(1, 8, 1, 0)]));
    await assert.rejects(deadline(first), ProtocolError);
    const wrong = new ScriptedStream();
    const second = handshake(wrong, PULL);
    wrong.feed(concat([SIGNATURE_BYTES, Uint8Array.of(1, 1, 0, 0)]));
    await assert.rejects(deadline(second), (error: unknown) => {
      assert.ok(error instanceof IncompatiblePeerError, String(error));
      assert.equal(error.message, "the peer is a PUB socket, and PULL talks to PUSH");
      return true;
    });
  });

  it("greeting - encodes 53 bytes and decodes them again", () => {
    const rest = encodeRest("NULL", true);
    assert.deepEqual(rest, greeting3(1, "NULL", 1).subarray(11));
    assert.deepEqual(decodeRest(rest), { minor: 1, mechanism: "NULL", asServer: true });
    const full = decodeRest(greeting3(0, "A".repeat(20)).subarray(11));
    assert.deepEqual(full, { minor: 0, mechanism: "A".repeat(20), asServer: false });
  });

  it("greeting - decodes all 20 bytes of the mechanism", () => {
    const hidden = decodeRest(greeting3(1, "NULL\0X").subarray(11));
    assert.notEqual(hidden.mechanism, "NULL");
  });

  it("greeting - rejects a signature at the first wrong byte", () => {
    for (let length = 0; length <= 10; length++) {
      assert.doesNotThrow(() => checkSignature(SIGNATURE_BYTES.subarray(0, length)));
    }
    assert.throws(() => checkSignature(utf8("G")), ProtocolError);
    assert.throws(() => checkSignature(Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7e)), /ZMTP 1\.0/);
  });
});
