/** Handshakes with peers that do not speak ZMTP, are too slow, or close the connection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HandshakeTimeoutError, isFinal, ProtocolError, UnreachableError } from "../../../lib/errors.ts";
import { concat } from "../../../lib/zmtp/bytes.ts";
import { handshake } from "../../../lib/zmtp/handshake.ts";
import { deadline } from "../../support/helpers.ts";
import {
  afterGreeting,
  failure,
  greeting3,
  PULL,
  ready,
  ScriptedStream,
  SIGNATURE_BYTES,
} from "../../support/scripted_stream.ts";

describe("handshake - invalid peers", () => {
  const invalid: [name: string, bytes: Uint8Array | string, words: string | RegExp][] = [
    [
      "HTTP",
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "The peer does not speak ZeroMQ (it sent 'GET / HTTP/1.1')",
    ],
    ["one byte", "S", "The peer does not speak ZeroMQ (it sent 'S')"],
    ["SSH", "SSH-2.0-OpenSSH_9.6\r\n", "The peer does not speak ZeroMQ (it sent 'SSH-2.0-OpenSSH_')"],
    [
      "TLS",
      Uint8Array.of(0x16, 3, 1, 2, 0),
      "The peer speaks TLS, not plain ZeroMQ: use wss:// at both ends",
    ],
    ["a TLS alert", Uint8Array.of(0x15, 3), "The peer speaks TLS, not plain ZeroMQ: use wss:// at both ends"],
    ["nearly TLS", Uint8Array.of(0x16, 4), "The peer does not speak ZeroMQ (it sent bytes 16 04)"],
    [
      "AMQP",
      "AMQP\0\0\x09\x01",
      "The peer is an AMQP broker, not a ZeroMQ socket: its address is amqp://host:port//name",
    ],
    [
      "ZMTP 1.0 without an identity",
      Uint8Array.of(1, 0),
      /speaks ZMTP 1\.0; the oldest supported version is 2\.0/,
    ],
    ["ZMTP 1.0 with a long length", Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0), /speaks ZMTP 1\.0/],
    ["ZMTP 1.0 by revision", concat([SIGNATURE_BYTES, Uint8Array.of(0)]), /speaks ZMTP 1\.0/],
  ];
  for (const [name, bytes, words] of invalid) {
    it(`handshake - ${name} is a protocol error that shows the received bytes`, async () => {
      const stream = await failure(bytes, ProtocolError, words);
      assert.ok(stream.cause instanceof ProtocolError && isFinal(stream.cause));
    });
    it(`handshake - ${name} followed by the end is the same error`, async () => {
      await failure(bytes, ProtocolError, words, PULL, true);
    });
  }

  it("handshake - times out and closes the stream if the peer is silent", async () => {
    const stream = await failure(
      new Uint8Array(0),
      HandshakeTimeoutError,
      "The handshake did not finish within 0.05 s",
      { ...PULL, timeout: 50 },
    );
    assert.ok(stream.over);
    assert.equal(isFinal(stream.cause), false, "a timeout must be retried");
  });

  it("handshake - times out if the peer stops in the middle", async () => {
    const halves = [
      SIGNATURE_BYTES.subarray(0, 5),
      greeting3().subarray(0, 40),
      afterGreeting(ready("PUSH").subarray(0, 9)),
    ];
    for (const half of halves) {
      await failure(half, HandshakeTimeoutError, /0\.03 s/, { ...PULL, timeout: 30 });
    }
  });

  it("handshake - times out at the same deadline if the peer sends slowly", async () => {
    const stream = new ScriptedStream();
    const shaking = handshake(stream, { ...PULL, timeout: 100 });
    let at = 0;
    const timer = setInterval(() => stream.feed(greeting3().subarray(at, ++at)), 20);
    await assert.rejects(deadline(shaking, 3000), HandshakeTimeoutError);
    clearInterval(timer);
  });

  it("handshake - reports a peer that ends, or a stream that fails, as unreachable", async () => {
    await failure(
      greeting3(),
      UnreachableError,
      "The peer closed the connection during the handshake",
      { ...PULL, dialed: true },
      true,
    );
    await failure(
      greeting3(),
      UnreachableError,
      "The peer closed the connection during the handshake; it knew that this is a PULL socket, which talks to PUSH",
      PULL,
      true,
    );
    const stream = new ScriptedStream();
    const shaking = handshake(stream, PULL);
    const broken = new UnreachableError("The connection broke: reset");
    stream.close(broken);
    await assert.rejects(deadline(shaking), broken);
  });
});
