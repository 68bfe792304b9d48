/** A connection after its handshake, on a stream whose writes are done when the test says so. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LimitError, UnreachableError } from "../../../lib/errors.ts";
import type { StreamSink } from "../../../lib/transport/stream.ts";
import { EMPTY, text, utf8 } from "../../../lib/zmtp/bytes.ts";
import { ZmtpConnection } from "../../../lib/zmtp/connection.ts";
import { encodeFrame } from "../../../lib/zmtp/frame_encoder.ts";
import type { HeartbeatTimes } from "../../../lib/zmtp/heartbeat.ts";
import type { Cipher } from "../../../lib/zmtp/mechanisms/mechanism.ts";
import type { PeerInfo } from "../../../lib/zmtp/peer_info.ts";
import { FakeTime } from "../../support/fake_time.ts";
import { hexOf } from "../../support/raw_peer.ts";
import { command, ScriptedStream } from "../../support/scripted_stream.ts";
import { batchOf } from "../../support/sockets.ts";

/** A stream that accepts one write, until `drain`. */
class SlowStream extends ScriptedStream {
  readonly writes: Uint8Array[] = [];
  peerEnded = false;
  sink!: StreamSink;

  override attach(sink: StreamSink): void {
    this.sink = sink;
    super.attach(sink);
  }

  override write(bytes: Uint8Array): void {
    this.writes.push(bytes.slice());
  }

  /** The system takes the bytes of the current write. */
  drain(): void {
    this.taken = this.writes.at(-1)!.length;
    this.sink.onDrain();
  }
}

interface Setup {
  readonly version?: PeerInfo["version"];
  readonly cipher?: Cipher;
  readonly heartbeat?: HeartbeatTimes;
  readonly maxMessage?: number;
  readonly hwmBytes?: number;
}

/** A connection that has started, its stream, and what its owner saw. */
function connected(setup: Setup = {}) {
  const { version = "3.1", cipher, maxMessage = 1e6, hwmBytes = 1e6 } = setup;
  const { heartbeat = { interval: 0, timeout: 0, ttl: 0 } } = setup;
  const stream = new SlowStream();
  const seen: string[] = [];
  const connection = new ZmtpConnection(
    stream,
    {
      peer: { socketType: "PUSH", identity: EMPTY, version, mechanism: "NULL", userId: "" },
      ...(cipher === undefined ? {} : { cipher }),
      release: () => EMPTY,
      hasEnded: () => false,
    },
    {
      onBatch: (_from, batch) => void seen.push(`${batch.messages} ${batch.frames} messages`),
      onSubscription: (_from, topic, subscribe) => void seen.push(`${subscribe} ${text(topic)}`),
      onGroup: (_from, group, join) => void seen.push(`${join} ${text(group)}`),
      onWritable: () => {},
    },
    { messages: 1000, bytes: hwmBytes },
    maxMessage,
    heartbeat,
  );
  connection.start();
  const send = (message: string) => {
    connection.outbox.appendBatch(batchOf([message]), 0, 1);
    connection.outbox.flush();
  };
  return { stream, seen, connection, send };
}

const error = command("ERROR", Uint8Array.of(4), utf8("gone"));
const message = encodeFrame(utf8("hi"));

describe("connection", () => {
  it("ping - a peer that does not read is answered until its queue is full, and again when it reads", () => {
    const { stream } = connected({ hwmBytes: 100 });
    const ping = (context: string) => stream.feed(command("PING", utf8(`\0\0${context}`)));
    for (let i = 0; i < 1000; i++) ping("123");
    const pong = hexOf(command("PONG", utf8("123")));
    assert.equal(hexOf(stream.writes[0]!), pong);
    stream.drain();
    // Ten bytes each, until 100 wait.
    assert.equal(hexOf(stream.writes[1]!), pong.repeat(10));
    stream.drain();
    assert.equal(stream.writes.length, 2);
    ping("4");
    assert.equal(hexOf(stream.writes[2]!), hexOf(command("PONG", utf8("4"))));
  });

  it("useful - is a connection that received something, or took a write and ended without an error", () => {
    const lost = new UnreachableError("lost");
    const cases: [input: Uint8Array[], drains: boolean, ended: Error | undefined, useful: boolean][] = [
      [[], false, undefined, false],
      [[], false, lost, false],
      [[], true, undefined, true],
      [[], true, lost, false],
      [[message], false, undefined, true],
      [[message], false, lost, true],
      [[message], true, lost, true],
      [[command("PONG")], false, lost, true],
      [[command("SUBSCRIBE")], false, lost, true],
      [[error], false, undefined, false],
      [[error], true, undefined, false],
      [[command("PONG"), error], false, lost, true],
      [[message, error], false, lost, true],
      [[error, message], false, lost, false],
    ];
    for (const [input, drains, ended, useful] of cases) {
      const { stream, connection, send } = connected();
      send("a");
      if (drains) stream.drain();
      if (input.length > 0) stream.feed(Uint8Array.from(input.flatMap((part) => [...part])));
      const what = `${input.map(hexOf)} ${drains} ${ended}`;
      assert.equal(connection.wasUseful(ended), useful, what);
      assert.equal(connection.refused, input[0] === error, what);
    }
  });

  it("progress - grows with each accepted write, and with the bytes of the current one", () => {
    const { stream, connection, send } = connected();
    const seen = [connection.progress];
    for (const word of ["a", "b"]) {
      send(word);
      stream.taken = 0;
      seen.push(connection.progress);
      stream.taken = 2;
      seen.push(connection.progress);
      stream.drain();
      stream.taken = 0;
      seen.push(connection.progress);
    }
    assert.deepEqual(
      seen,
      [...new Set(seen)].toSorted((a, b) => a - b).flatMap((x, i) => i === 0 || i === 2 ? [x, x] : [x]),
    );
  });

  it("refuse - the reason is sent to a peer that knows ERROR; others are disconnected at once", async () => {
    const cause = new UnreachableError("No room");
    for (const version of ["3.1", "3.0", "2.0", "none"] as const) {
      const { stream, connection, seen, send } = connected({ version });
      // The beginning of a large message, whose rest is not read any more.
      stream.feed(Uint8Array.of(2, 0, 0, 0, 0, 0, 4, 0, 0, 1));
      assert.ok(connection.space() !== undefined);
      connection.refuse(cause);
      const knows = version.startsWith("3");
      const reason = command("ERROR", Uint8Array.of(7), utf8("no room"));
      assert.deepEqual(stream.writes.map(hexOf), knows ? [hexOf(reason)] : [], version);
      assert.deepEqual([stream.over, stream.ended], [!knows, false], version);
      if (knows) {
        stream.drain();
        assert.deepEqual([stream.over, stream.ended], [false, true]);
        assert.equal(connection.space(), undefined);
        stream.feed(message);
        send("too late");
        assert.equal(stream.writes.length, 1);
        stream.feedEnd();
      }
      assert.equal(await connection.closed, cause, version);
      assert.deepEqual(seen, []);
    }
  });

  it("heartbeat - only a peer that knows commands is asked", async () => {
    for (const version of ["3.1", "3.0", "2.0", "none"] as const) {
      using time = new FakeTime();
      const { stream, connection } = connected({ version, heartbeat: { interval: 10, timeout: 10, ttl: 0 } });
      const knows = version.startsWith("3");
      assert.deepEqual(stream.writes.map(hexOf), knows ? [hexOf(command("PING", utf8("\0\0")))] : []);
      assert.equal(time.timers, knows ? 1 : 0);
      if (knows) {
        stream.drain();
        time.pass(30);
        assert.ok(stream.over);
      }
      connection.close();
      await connection.closed;
      await Promise.resolve();
      assert.equal(time.timers, 0, version);
    }
  });

  it("heartbeat - a peer that takes a long write is not asked for more, until the write stands still", () => {
    using time = new FakeTime();
    const { stream, send } = connected({ heartbeat: { interval: 10, timeout: 10, ttl: 0 } });
    stream.drain();
    send("a long message");
    for (stream.taken = 0; stream.taken < 10; stream.taken++) time.pass(10);
    assert.deepEqual([stream.writes.length, stream.over], [2, false]);
    time.pass(50);
    assert.ok(stream.over);
  });

  it("write - after a pause it waits until the end of the peer would be known", () => {
    using time = new FakeTime();
    const { stream, send } = connected();
    time.pass(249);
    send("a");
    assert.equal(stream.writes.length, 1);
    stream.drain();
    time.pass(249);
    send("b");
    assert.equal(stream.writes.length, 2);
    stream.drain();
    time.pass(250);
    send("c");
    assert.equal(stream.writes.length, 2);
    time.pass(10);
    assert.equal(text(stream.writes[2]!.subarray(2)), "c");
    stream.drain();
    send("d");
    assert.equal(stream.writes.length, 4);
  });

  it("write - what would go to a peer that has ended is not sent, and can go to another one", async () => {
    // The peer ends before the write, or while it waits, and its end is seen while reading or not.
    const ends: ((stream: SlowStream) => void)[] = [
      (stream) => stream.feedEnd(),
      (stream) => void (stream.peerEnded = true),
      (stream) => stream.close(),
    ];
    for (const end of ends) {
      using time = new FakeTime();
      const { stream, send, connection } = connected();
      send("a first message that is longer than the others together");
      stream.drain();
      time.pass(300);
      send("second");
      send("third");
      end(stream);
      if (stream.over) await connection.closed;
      time.pass(10);
      assert.deepEqual([stream.writes.length, stream.over], [1, true]);
      const left = connection.reclaim();
      assert.deepEqual(left.copy(0, left.frames).map(text), ["second", "third"]);
    }
    using time = new FakeTime();
    const { stream, send } = connected();
    stream.peerEnded = true;
    send("no pause, but the end is known");
    time.pass(10);
    assert.deepEqual([stream.writes.length, stream.over], [0, true]);
  });

  it("reclaim - a peer that refused has ignored all that was written; else only what it took is gone", () => {
    for (const [refused, pause] of [[true, 0], [false, 0], [true, 300], [false, 300]] as const) {
      using time = new FakeTime();
      const { stream, send, connection } = connected();
      time.pass(pause);
      send("a");
      time.pass(10);
      send("b");
      send("c");
      stream.drain();
      stream.taken = 3;
      if (refused) stream.feed(error);
      stream.close();
      const left = connection.reclaim();
      assert.deepEqual(left.copy(0, left.frames).map(text), refused ? ["b", "c"] : ["c"]);
      assert.equal(connection.outbox.written, 1);
    }
  });

  it("end - messages that still arrive are dropped; a batch of commands is no message", () => {
    const { stream, seen, connection } = connected();
    stream.feed(command("SUBSCRIBE", utf8("t")));
    stream.feed(command("JOIN", utf8("g")));
    stream.feed(Uint8Array.from([...message, ...command("CANCEL", utf8("t")), ...message]));
    assert.deepEqual(seen.splice(0), ["true t", "true g", "false t", "2 2 messages"]);
    connection.end();
    assert.equal(stream.ended, true);
    stream.feed(message);
    stream.feed(command("PING", utf8("\0\0")));
    assert.deepEqual([seen, stream.writes], [[], []]);
  });

  it("cipher - the limit for a message is that of its plain form, and its end is that of both forms", async () => {
    /** The form of a frame inside another one, after three more bytes. */
    const cipher: Cipher = {
      overhead: 5,
      seal: (frames) => frames,
      sealedWithin: (_frames, taken) => taken,
      open(batch, take) {
        for (let at = 0; at < batch.frames; at++) take(batch.frame(at).subarray(3));
      },
    };
    const sealed = (frame: Uint8Array) => encodeFrame(Uint8Array.of(0, 0, 0, ...frame));
    const end = async (...chunks: Uint8Array[]) => {
      const { stream, connection, seen } = connected({ cipher, maxMessage: 20 });
      for (const chunk of chunks) stream.feed(chunk);
      stream.feedEnd();
      const cause = await connection.closed;
      return [seen.length, cause instanceof LimitError ? "limit" : cause?.message];
    };
    const middle = "The peer closed the connection in the middle of a message";
    assert.deepEqual(await end(sealed(encodeFrame(new Uint8Array(18)))), [1, undefined]);
    assert.deepEqual(await end(sealed(encodeFrame(new Uint8Array(19)))), [0, "limit"]);
    assert.deepEqual(await end(sealed(message)), [1, undefined]);
    assert.deepEqual(await end(sealed(message).subarray(0, -1)), [0, middle]);
    assert.deepEqual(await end(sealed(message.subarray(0, -1))), [0, middle]);
    assert.deepEqual(await end(sealed(encodeFrame(utf8("a"), 1))), [0, middle]);
    assert.deepEqual(await end(sealed(message.subarray(0, 1)), sealed(message.subarray(1))), [1, undefined]);
  });
});
