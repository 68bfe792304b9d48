/** Messages of CURVE (RFC 26) on the wire, valid and invalid ones. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { curveServer, LimitError, ProtocolError } from "../../../../mod.ts";
import { type ConnectionOwner, ZmtpConnection } from "../../../../lib/zmtp/connection.ts";
import { resolveHeartbeat } from "../../../../lib/zmtp/heartbeat.ts";
import { type HandshakeResult } from "../../../../lib/zmtp/handshake.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, texts } from "../../../support/sockets.ts";
import { bodies, CurveClientPeer, CurveServerPeer, join, named } from "./curve_peer.ts";
import { frame } from "../../../support/raw_peer.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";
import { asClient, Handshaking, SERVER } from "./curve_handshaking.ts";

const NO_LIMITS = { messages: 1e6, bytes: 1e9 };

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
