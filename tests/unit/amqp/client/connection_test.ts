/** A connection whose server has gone. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import type { Tuned } from "../../../../lib/amqp/client/handshake.ts";
import { AMQP, connectBroker } from "../../../../lib/amqp/client/link.ts";
import { parseAmqpUrl } from "../../../../lib/amqp/client/url.ts";
import { AmqpError } from "../../../../lib/amqp/amqp_error.ts";
import { METHOD } from "../../../../lib/amqp/frames/frame.ts";
import { FrameDecoder } from "../../../../lib/amqp/frames/frame_decoder.ts";
import { FrameEncoder } from "../../../../lib/amqp/frames/frame_encoder.ts";
import { FrameReader } from "../../../../lib/amqp/frames/frame_reader.ts";
import type { GivenArgs, MethodName } from "../../../../lib/amqp/method_args.ts";
import { decodeMethod } from "../../../../lib/amqp/method_codec.ts";
import { ClosedError, UnreachableError } from "../../../../lib/errors.ts";
import type { LinkEvent } from "../../../../lib/link/options.ts";
import { captureIntervals } from "../../../support/captured_interval.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";
import { serve } from "../../../support/scripted_broker.ts";

/** A connection after its handshake, whose server is the test. */
class Scripted {
  readonly stream = new ScriptedStream();
  readonly connection: AmqpConnection;
  /** The intervals that the connection started, in milliseconds. */
  readonly delays: readonly number[];
  /** Half an interval of heartbeats passes. */
  readonly beat: () => void;
  readonly #encoder = new FrameEncoder();

  constructor({ heartbeat = 0, channelMax = 3 } = {}) {
    const tuned: Tuned = {
      reader: new FrameReader(this.stream, 5000),
      frameMax: 131072,
      channelMax,
      heartbeat,
      server: "test",
      peeks: false,
      dumps: false,
      sweeps: false,
    };
    const { result, ticks, delays } = captureIntervals(() => new AmqpConnection(this.stream, tuned, 1000));
    this.connection = result;
    this.delays = delays;
    this.beat = ticks[0] ?? (() => assert.fail("no heartbeats"));
  }

  say<Name extends MethodName>(channel: number, name: Name, args: GivenArgs<Name>): void {
    this.#encoder.method(channel, name, args);
    this.stream.feed(this.#encoder.out.take());
  }

  /** Opens a channel. @returns its number */
  async open(): Promise<number> {
    const opening = this.connection.open();
    await this.settle();
    const id = Number(this.sent.at(-1)!.split(" ")[0]);
    this.say(id, "channel.open-ok", {});
    await deadline(opening, 5000, "the channel");
    return id;
  }

  /** What the client has sent: the channel and the name of each method. */
  get sent(): string[] {
    const sent: string[] = [];
    const decoder = new FrameDecoder("client", {
      onProtocolHeader() {},
      onFrame(type, channel, bytes, start, end) {
        if (type !== METHOD) return void sent.push(`${channel} frame`);
        const { name, args } = decodeMethod(bytes, start, end);
        sent.push(`${channel} ${name}${"replyCode" in args ? ` ${args.replyCode}` : ""}`);
      },
    });
    decoder.frameMax = 131072;
    decoder.push(this.stream.sent);
    return sent;
  }

  /** The number of bytes that the client has sent. */
  get length(): number {
    return this.stream.sent.length;
  }

  /** Waits until writes are done. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }
}

describe("AMQP connection", () => {
  it("channels - each has the next free number, and no more than the server allows", async () => {
    const scripted = new Scripted();
    assert.deepEqual([await scripted.open(), await scripted.open(), await scripted.open()], [1, 2, 3]);
    await assert.rejects(scripted.connection.open(), (error) => {
      assert.ok(error instanceof AmqpError);
      assert.deepEqual([error.replyCode, error.message], [504, "CHANNEL_ERROR - all 3 channels are open"]);
      return true;
    });
    scripted.say(2, "channel.close", { replyCode: 404, replyText: "gone" });
    await scripted.settle();
    assert.equal(await scripted.open(), 2);
    scripted.connection.abort();
  });

  it("output - is large at 256 KiB, and writable again when the system has taken it", async () => {
    const scripted = new Scripted();
    const { connection, stream } = scripted;
    let writable = 0;
    connection.events.onWritable = () => writable++;
    connection.encoder.heartbeat();
    connection.flush();
    // While this write is in progress, more is collected.
    assert.equal(connection.progress, stream.taken);
    connection.encoder.out.append(new Uint8Array(256 * 1024 - 1));
    assert.equal(connection.full, false);
    connection.encoder.out.append(new Uint8Array(1));
    assert.equal(connection.full, true);
    await scripted.settle();
    assert.deepEqual([connection.full, writable, connection.progress], [false, 2, -1]);
    assert.equal(scripted.length, 8 + 256 * 1024);
    connection.abort();
  });

  it("heartbeats - are sent when nothing else was, and a silent server is given up after two intervals", async () => {
    const scripted = new Scripted({ heartbeat: 10 });
    const { connection, stream } = scripted;
    const beat = async () => {
      const before = scripted.length;
      scripted.beat();
      await scripted.settle();
      return scripted.length - before;
    };
    assert.equal(await beat(), 8);
    connection.encoder.heartbeat();
    connection.flush();
    await scripted.settle();
    assert.equal(await beat(), 0);
    assert.equal(await beat(), 8);
    scripted.say(0, "connection.blocked", { reason: "memory" });
    for (let i = 0; i < 4; i++) await beat();
    assert.equal(stream.over, false);
    // A connection that does not read hears nothing.
    connection.pause();
    for (let i = 0; i < 9; i++) await beat();
    assert.equal(stream.over, false);
    connection.resume();
    for (let i = 0; i < 3; i++) await beat();
    assert.equal(stream.over, false);
    await beat();
    assert.match((await connection.closed)!.message, /sent nothing for 20 s, twice the heartbeat interval/);
  });

  it("channel - the loss of the connection while it closes is the result of close", async () => {
    for (const lost of [true, false]) {
      const scripted = new Scripted();
      const opening = scripted.connection.open();
      await scripted.settle();
      scripted.say(1, "channel.open-ok", {});
      const channel = await opening;
      const closing = channel.close();
      await scripted.settle();
      if (lost) scripted.connection.abort(new UnreachableError("lost"));
      else scripted.say(1, "channel.close-ok", {});
      await deadline(closing, 5000, "the close");
      await channel.close();
      await assert.rejects(channel.get("q"), lost ? UnreachableError : ClosedError);
      assert.equal(scripted.sent.filter((name) => name === "1 channel.close 200").length, 1);
      scripted.connection.abort();
    }
  });

  it("an unexpected frame - is reported to the server, and ends the connection", async () => {
    for (const [channel, name, code] of [[7, "channel.open-ok", 504], [0, "channel.open-ok", 503]] as const) {
      const scripted = new Scripted();
      scripted.say(channel, name, {});
      const cause = await deadline(scripted.connection.closed, 5000, "the end");
      assert.ok(cause instanceof AmqpError);
      assert.equal(cause.replyCode, code);
      assert.deepEqual(scripted.sent, [`0 connection.close ${code}`]);
      assert.equal(scripted.connection.over, true);
    }
  });

  it("an unexpected reply - ends the connection, and the call that waits for another one", async () => {
    const scripted = new Scripted();
    await scripted.open();
    const channel = await (async () => {
      const opening = scripted.connection.open();
      await scripted.settle();
      scripted.say(2, "channel.open-ok", {});
      return await opening;
    })();
    const call = channel.get("q");
    scripted.say(2, "queue.purge-ok", { messageCount: 0 });
    const causes = [
      await deadline(call.catch((error) => error), 5000, "the failure"),
      await deadline(scripted.connection.closed, 5000, "the end"),
    ];
    for (const cause of causes) {
      assert.ok(cause instanceof AmqpError);
      assert.deepEqual([cause.replyCode, cause.message], [
        503,
        "COMMAND_INVALID - unexpected reply queue.purge-ok",
      ]);
    }
    assert.equal(scripted.sent.at(-1), "0 connection.close 503");
  });

  it("blocked - a link reports it, also if the server has said it before, and the end of it", () => {
    for (const early of [true, false]) {
      const scripted = new Scripted();
      const events: LinkEvent[] = [];
      if (early) scripted.say(0, "connection.blocked", { reason: "disk" });
      AMQP.watch!(scripted.connection, (event) => void events.push(event));
      assert.equal(events.length, early ? 1 : 0);
      if (!early) scripted.say(0, "connection.blocked", { reason: "disk" });
      assert.equal(scripted.connection.blocked, "disk");
      scripted.say(0, "connection.unblocked", {});
      assert.equal(scripted.connection.blocked, undefined);
      assert.deepEqual(events, [{ type: "blocked", reason: "disk" }, { type: "blocked", reason: undefined }]);
      scripted.connection.abort();
    }
  });

  it("heartbeats - a server that says nothing at all is given up after two intervals, too", () => {
    for (const heard of [false, true]) {
      const scripted = new Scripted({ heartbeat: 10 });
      if (heard) scripted.say(0, "connection.unblocked", {});
      for (let i = 0; i < (heard ? 4 : 3); i++) scripted.beat();
      assert.equal(scripted.stream.over, false);
      scripted.beat();
      assert.equal(scripted.stream.over, true);
    }
  });

  it("heartbeats - none for an interval of 0, else two checks per interval", () => {
    assert.deepEqual([new Scripted().delays, new Scripted({ heartbeat: 1 }).delays], [[], [500]]);
  });

  it("errors of our own - end the connection, and are not reported to the server", async () => {
    for (const act of ["large message", "callback"]) {
      const scripted = new Scripted();
      const id = await scripted.open();
      const { length } = scripted.sent;
      if (act === "callback") {
        scripted.connection.events.onBlocked = () => {
          throw new UnreachableError("from a callback");
        };
        scripted.say(0, "connection.blocked", { reason: "x" });
      } else {
        const encoder = new FrameEncoder();
        encoder.method(id, "basic.deliver", {});
        encoder.contentHeader(id, 1001, {});
        scripted.stream.feed(encoder.out.take());
      }
      const cause = await deadline(scripted.connection.closed, 5000, "the end");
      const words = act === "callback"
        ? "from a callback"
        : "Received a message of 1001 bytes: the limit is 1000";
      assert.deepEqual([cause!.message, scripted.sent.length], [words, length]);
    }
  });

  it("close - of the server is confirmed before the end", async () => {
    const scripted = new Scripted();
    scripted.say(0, "connection.close", { replyCode: 320, replyText: "CONNECTION_FORCED - stop" });
    assert.equal(scripted.connection.over, true);
    // Nothing that follows counts.
    scripted.say(9, "channel.open-ok", {});
    const cause = await deadline(scripted.connection.closed, 5000, "the end");
    assert.match(cause!.message, /CONNECTION_FORCED - stop/);
    assert.deepEqual(scripted.sent, ["0 connection.close-ok"]);
  });

  it("close - of both ends at the same time is no error", async () => {
    const scripted = new Scripted();
    const closing = scripted.connection.close();
    scripted.say(0, "connection.close", { replyCode: 320, replyText: "CONNECTION_FORCED - stop" });
    await deadline(closing, 5000, "the end");
    assert.equal(await scripted.connection.closed, undefined);
    await waitFor(() => scripted.sent.length === 2);
    assert.deepEqual(scripted.sent, ["0 connection.close 200", "0 connection.close-ok"]);
  });

  it("close - ends without a reply after its time limit", async () => {
    const scripted = new Scripted();
    await deadline(scripted.connection.close(1), 5000, "the end");
    assert.equal(await scripted.connection.closed, undefined);
  });

  it("open - is refused after the server closed the connection, and after a close of our own", () =>
    serve({}, async (url, connections) => {
      const lost = await connectBroker(parseAmqpUrl(url));
      assert.equal(lost.over, false);
      connections[0]!.socket.destroy();
      await deadline(lost.closed, 5000, "the end");
      assert.equal(lost.over, true);
      await assert.rejects(deadline(lost.open(), 5000, "the refusal"), UnreachableError);
      const closed = await connectBroker(parseAmqpUrl(url));
      await deadline(closed.close(), 5000, "the close");
      assert.equal(closed.over, true);
      await assert.rejects(deadline(closed.open(), 5000, "the refusal"), ClosedError);
    }));

  it("call - on a channel whose connection is lost fails with the loss: another connection may help", () =>
    serve({}, async (url, connections) => {
      const lost = await connectBroker(parseAmqpUrl(url));
      const channel = await lost.open();
      connections[0]!.socket.destroy();
      await deadline(lost.closed, 5000, "the end");
      await assert.rejects(deadline(channel.get("q"), 5000, "the refusal"), UnreachableError);
      const closed = await connectBroker(parseAmqpUrl(url));
      const left = await closed.open();
      await closed.close();
      await assert.rejects(deadline(left.get("q"), 5000, "the refusal"), ClosedError);
    }));
});
