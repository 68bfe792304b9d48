/** Reading and writing in linear code, for the handshakes of both ends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { PROTOCOL_HEADER } from "../../../../lib/amqp/frames/frame.ts";
import type { Role } from "../../../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { FrameReader } from "../../../../lib/amqp/frames/frame_reader.ts";
import { UnreachableError } from "../../../../lib/errors.ts";
import { deadline } from "../../../support/helpers.ts";
import { FakeTime } from "../../../support/fake_time.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

const encode = (fill: (encoder: FrameEncoder) => void): Uint8Array => {
  const encoder = new FrameEncoder();
  fill(encoder);
  return encoder.out.take();
};
const HEARTBEAT = encode((encoder) => encoder.heartbeat());
const method = (channel: number, name: "connection.open-ok" | "channel.open-ok") =>
  encode((encoder) => encoder.method(channel, name, {}));

function readerOf(role: Role = "client", timeout = 5000) {
  const stream = new ScriptedStream();
  return { stream, reader: new FrameReader(stream, timeout, role) };
}

/** Lets all callbacks of settled promises run. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

describe("AMQP frame reader", () => {
  it("read - the methods of channel 0; others are ignored by a client, and an error for a server", async () => {
    for (const role of ["client", "server"] as const) {
      const { stream, reader } = readerOf(role);
      if (role === "server") stream.feed(PROTOCOL_HEADER);
      const first = reader.read();
      stream.feed(method(0, "connection.open-ok"));
      assert.equal((await deadline(first)).name, "connection.open-ok");
      stream.feed(HEARTBEAT);
      stream.feed(method(1, "channel.open-ok"));
      stream.feed(method(0, "connection.open-ok"));
      const second = reader.read();
      if (role === "client") assert.equal((await deadline(second)).name, "connection.open-ok");
      else {
        await assert.rejects(deadline(second), (error) => {
          assert.ok(error instanceof AmqpError);
          assert.equal(
            error.message,
            "UNEXPECTED_FRAME - received a frame for channel 1 before connection.open",
          );
          return true;
        });
      }
      reader.fail(new Error("end of the test"));
    }
  });

  it("read - no more than 100 frames wait", async () => {
    for (const [count, fails] of [[100, false], [101, true]] as const) {
      const { stream, reader } = readerOf();
      stream.feed(method(0, "connection.open-ok"));
      for (let i = 1; i < count; i++) stream.feed(HEARTBEAT);
      assert.equal((await deadline(reader.read())).name, "connection.open-ok");
      const words = fails ? /sent too many frames during the handshake/ : /^Error: none$/;
      const reading = assert.rejects(deadline(reader.read()), words);
      await settle();
      reader.fail(new Error("none"));
      await reading;
    }
  });

  it("protocol header - is waited for, or the failure", async () => {
    const { stream, reader } = readerOf("server");
    let came = false;
    const waiting = reader.protocolHeader().then(() => came = true);
    stream.feed(PROTOCOL_HEADER.subarray(0, 4));
    await settle();
    assert.equal(came, false);
    stream.feed(PROTOCOL_HEADER.subarray(4));
    await deadline(waiting);
    const gone = readerOf("server");
    const never = gone.reader.protocolHeader();
    gone.stream.feedEnd();
    await assert.rejects(deadline(never), /The peer closed the connection during the handshake/);
    reader.fail(new Error("end of the test"));
  });

  it("failure - the first one counts; methods that came before it are read", async () => {
    const { stream, reader } = readerOf();
    stream.feed(method(0, "connection.open-ok"));
    stream.close(new UnreachableError("lost"));
    await settle();
    reader.fail(new Error("later"));
    assert.equal((await deadline(reader.read())).name, "connection.open-ok");
    await assert.rejects(reader.read(), /^UnreachableError: lost$/);
    await assert.rejects(reader.write(HEARTBEAT), /lost/);
    assert.throws(() => reader.handOver({ onFrame() {}, onProtocolHeader() {} }), /lost/);
    // Nothing that follows is decoded.
    reader.onData(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  });

  it("write - waits for the system; after a failure a method that came explains more", async () => {
    const { stream, reader } = readerOf();
    let done = false;
    const writing = reader.write(HEARTBEAT).then(() => done = true);
    assert.equal(done, false);
    await deadline(writing);
    assert.deepEqual([...stream.sent], [...HEARTBEAT]);
    for (const hasMethod of [true, false]) {
      const slow = readerOf();
      slow.stream.write = () => {}; // The system takes nothing.
      const attempt = slow.reader.write(HEARTBEAT);
      if (hasMethod) slow.stream.feed(method(0, "connection.open-ok"));
      slow.stream.feedEnd();
      if (hasMethod) await deadline(attempt);
      else await assert.rejects(deadline(attempt), /closed the connection during the handshake/);
    }
    reader.fail(new Error("end of the test"));
  });

  it("hand over - unread frames go to the new sink, and all that follow", async () => {
    const { stream, reader } = readerOf();
    stream.feed(method(1, "channel.open-ok"));
    stream.feed(HEARTBEAT);
    const seen: unknown[] = [];
    reader.handOver({
      onFrame: (type, channel, bytes, start, end) =>
        void seen.push([type, channel, bytes.length >= end, end - start]),
      onProtocolHeader() {},
    });
    assert.deepEqual(seen.splice(0), [[1, 1, true, 8], [8, 0, true, 0]]);
    stream.feed(HEARTBEAT);
    assert.deepEqual(seen.map((frame) => (frame as unknown[]).slice(0, 2)), [[8, 0]]);
    await Promise.resolve();
  });

  it("last words - are written after a failure, and the peer closes first", async () => {
    const { stream, reader } = readerOf("server");
    reader.fail(new Error("refused"));
    let done = false;
    const saying = reader.sayLast(HEARTBEAT).then(() => done = true);
    await settle();
    assert.deepEqual([[...stream.sent], stream.ended, done], [[...HEARTBEAT], true, false]);
    stream.feedEnd();
    await deadline(saying);
    const gone = readerOf("server");
    gone.stream.feedEnd();
    await deadline(gone.reader.sayLast(HEARTBEAT));
    assert.deepEqual([gone.stream.sent.length, gone.stream.ended], [0, false]);
  });

  it("time limit - ends the wait, and a hand-over ends the limit", async () => {
    using time = new FakeTime();
    const { reader } = readerOf("client", 1500);
    const reading = reader.read();
    time.pass(1499);
    const waits = await Promise.race([reading.then(() => "read", () => "failed"), Promise.resolve("waits")]);
    assert.equal(waits, "waits");
    time.pass(1);
    await assert.rejects(reading, {
      code: "ERR_HANDSHAKE_TIMEOUT",
      message: "The handshake did not finish within 1.5 s",
    });
    assert.equal(time.timers, 0);
    readerOf("client", 10).reader.handOver({ onFrame() {}, onProtocolHeader() {} });
    assert.equal(time.timers, 0);
  });
});
