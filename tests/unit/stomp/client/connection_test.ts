/** A connection of the STOMP client whose server is the test. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, ProtocolError, UnreachableError } from "../../../../lib/errors.ts";
import { StompConnection } from "../../../../lib/stomp/client/connection.ts";
import { parseStompAddress } from "../../../../lib/stomp/client/url.ts";
import { StompDecoder } from "../../../../lib/stomp/frame_decoder.ts";
import { StompError } from "../../../../lib/stomp/stomp_error.ts";
import { captureIntervals } from "../../../support/captured_interval.ts";
import { deadline } from "../../../support/helpers.ts";
import { ScriptedStream } from "../../../support/scripted_stream.ts";

class Scripted {
  readonly stream = new ScriptedStream();
  readonly connection: StompConnection;
  /** The intervals that the connection started, in milliseconds. */
  readonly delays: readonly number[];
  /** What runs twice per interval. */
  readonly ticks: readonly (() => void)[];

  constructor({ sendInterval = 0, receiveInterval = 0, failure = undefined as Error | undefined } = {}) {
    const decoder = new StompDecoder({ onFrame: () => assert.fail("too early") }, { maxBody: 1000 });
    const login = {
      decoder,
      version: "1.2" as const,
      server: "test",
      sendInterval,
      receiveInterval,
      failure: () => failure,
    };
    const [address] = parseStompAddress("stomp://host").servers;
    const { result, ticks, delays } = captureIntervals(() =>
      new StompConnection(this.stream, login, address!, 1000)
    );
    this.connection = result;
    this.ticks = ticks;
    this.delays = delays;
  }

  say(...frames: string[]): void {
    this.stream.feed(frames.map((frame) => `${frame}\0`).join(""));
  }

  get sent(): string {
    return new TextDecoder().decode(this.stream.sent);
  }

  /** Waits until writes are done. */
  settle(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }
}

const MESSAGE = "MESSAGE\ndestination:/queue/q\n\nbody";

describe("STOMP client, connection", () => {
  it("frames - are reported, and the end of each chunk that has some", () => {
    const { connection, stream } = new Scripted();
    const seen: string[] = [];
    connection.events = {
      onMessage: ({ body, bodyStart, bodyEnd }) =>
        seen.push(new TextDecoder().decode(body.subarray(bodyStart, bodyEnd))),
      onReceipt: (id) => seen.push(`receipt ${id}`),
      onBatchEnd: () => seen.push("end"),
    };
    stream.feed("\n");
    assert.deepEqual(seen, []);
    stream.feed(`${MESSAGE}\0`);
    assert.deepEqual(seen.splice(0), ["body", "end"]);
    stream.feed(`${MESSAGE}\0${MESSAGE}\0RECEIPT\nreceipt-id:7\n\n\0`);
    assert.deepEqual(seen.splice(0), ["body", "body", "receipt 7", "end"]);
    stream.feed("\n\n");
    assert.deepEqual(seen, []);
  });

  it("output - is large at 256 KiB, and writable again when the system has taken it", async () => {
    const { connection, stream } = new Scripted();
    let writable = 0;
    connection.events.onWritable = () => writable++;
    connection.flush();
    connection.encoder.heartbeat();
    connection.flush();
    connection.encoder.out.append(new Uint8Array(256 * 1024 - 1));
    assert.equal(connection.full, false);
    connection.encoder.out.append(new Uint8Array(1));
    assert.equal(connection.full, true);
    await new Promise((resolve) => setTimeout(resolve));
    assert.deepEqual([connection.full, writable, stream.sent.length], [false, 2, 1 + 256 * 1024]);
  });

  it("call - waits for its own receipt, and fails with the connection", async () => {
    const scripted = new Scripted();
    const { connection } = scripted;
    const first = connection.call("BEGIN", [["transaction", "t"]]);
    const second = connection.call("COMMIT", []);
    let done = 0;
    first.then(() => done++);
    await scripted.settle();
    assert.match(
      scripted.sent,
      /^BEGIN\ntransaction:t\nreceipt:call-1\n\n\0\nCOMMIT\nreceipt:call-2\n\n\0\n$/,
    );
    scripted.say("RECEIPT\nreceipt-id:call-9\n\n");
    await scripted.settle();
    assert.equal(done, 0);
    scripted.say("RECEIPT\nreceipt-id:call-1\n\n");
    await deadline(first, 5000);
    connection.abort(new UnreachableError("lost"));
    await assert.rejects(deadline(second, 5000), UnreachableError);
    await assert.rejects(connection.call("BEGIN", []), UnreachableError);
    assert.equal(connection.over, true);
  });

  it("ERROR - ends the connection with it, or with the error that the callback makes of it", async () => {
    for (const other of [undefined, new UnreachableError("other")]) {
      const scripted = new Scripted();
      const seen: unknown[] = [];
      let late = 0;
      scripted.connection.events.onMessage = () => late++;
      scripted.connection.events.onError = (error, receipt, subscription) => {
        seen.push(error.message, receipt, subscription);
        return other;
      };
      scripted.say("ERROR\nmessage:refused\nreceipt-id:5\nsubscription:s\n\nmore", MESSAGE);
      const cause = await deadline(scripted.connection.closed, 5000);
      if (other === undefined) assert.ok(cause instanceof StompError);
      else assert.equal(cause, other);
      assert.match(String(seen[0]), /refused/);
      assert.deepEqual(seen.slice(1), ["5", "s"]);
      assert.equal(late, 0);
    }
  });

  it("ERROR - ends the connection at once, also while output waits for the system", async () => {
    const { connection, stream } = new Scripted();
    stream.write = () => {};
    connection.encoder.heartbeat();
    connection.flush();
    connection.encoder.heartbeat();
    stream.feed("ERROR\nmessage:refused\n\n\0");
    stream.feedEnd();
    assert.ok(await deadline(connection.closed, 5000) instanceof StompError);
    assert.equal(connection.endedByServer, false);
  });

  it("errors of our own - are not an end by the server, which may close meanwhile", async () => {
    const { connection, stream } = new Scripted();
    stream.write = () => {};
    connection.encoder.heartbeat();
    connection.flush();
    stream.feed("CONNECTED\n\n\0");
    assert.equal(stream.over, false);
    stream.feedEnd();
    assert.ok(await deadline(connection.closed, 5000) instanceof ProtocolError);
    assert.equal(connection.endedByServer, false);
  });

  it("other frames, and callbacks that fail - end the connection", async () => {
    const long = new Scripted();
    long.say(`${"A".repeat(21)}\n\n`);
    const named = `The server sent the frame ${"A".repeat(20)}, which servers do not send`;
    assert.equal((await deadline(long.connection.closed, 5000))!.message, named);
    const odd = new Scripted();
    odd.say("CONNECTED\n\n");
    const cause = await deadline(odd.connection.closed, 5000);
    assert.ok(cause instanceof ProtocolError);
    assert.match(cause.message, /sent the frame CONNECTED, which servers do not send/);
    const failing = new Scripted();
    failing.connection.events.onMessage = () => {
      throw new Error("from a callback");
    };
    failing.say(MESSAGE);
    assert.equal((await deadline(failing.connection.closed, 5000))!.message, "from a callback");
  });

  it("heart-beats - are sent when nothing else was", async () => {
    const scripted = new Scripted({ sendInterval: 10 });
    assert.equal(scripted.ticks.length, 1);
    const beat = async () => {
      const before = scripted.stream.sent.length;
      scripted.ticks[0]!();
      await scripted.settle();
      return scripted.stream.sent.length - before;
    };
    assert.equal(await beat(), 1);
    assert.equal(await beat(), 1);
    scripted.connection.encoder.heartbeat();
    scripted.connection.flush();
    await scripted.settle();
    assert.equal(await beat(), 0);
    assert.equal(await beat(), 1);
  });

  it("heart-beats - a silent server is given up after two intervals, but not while reading is paused", async () => {
    const scripted = new Scripted({ receiveInterval: 10_000 });
    const { connection, stream } = scripted;
    const listen = (times: number) => {
      for (let i = 0; i < times; i++) scripted.ticks[0]!();
    };
    for (const heard of [false, true]) {
      const other = new Scripted({ receiveInterval: 10_000 });
      if (heard) other.stream.feed("\n");
      for (let i = 0; i < (heard ? 4 : 3); i++) other.ticks[0]!();
      assert.equal(other.stream.over, false);
      other.ticks[0]!();
      assert.equal(other.stream.over, true);
    }
    listen(3);
    stream.feed("\n");
    listen(4);
    assert.equal(stream.over, false);
    connection.pause();
    listen(9);
    connection.resume();
    listen(3);
    assert.equal(stream.over, false);
    listen(1);
    assert.match((await connection.closed)!.message, /sent nothing for 20 s, twice the heart-beat interval/);
    assert.deepEqual(new Scripted().delays, []);
    assert.deepEqual(new Scripted({ sendInterval: 1, receiveInterval: 6 }).delays, [0.5, 3]);
  });

  it("close - sends DISCONNECT, reports no more messages, and waits for the receipt", async () => {
    const scripted = new Scripted();
    const { connection, stream } = scripted;
    let seen = 0;
    connection.events.onMessage = () => seen++;
    connection.pause();
    const closing = connection.close();
    assert.deepEqual([connection.over, stream.paused], [true, false]);
    await scripted.settle();
    assert.match(scripted.sent, /^DISCONNECT\nreceipt:call-1\n\n\0\n$/);
    scripted.say(MESSAGE, "RECEIPT\nreceipt-id:call-1\n\n");
    await deadline(closing, 5000);
    assert.deepEqual([await connection.closed, seen], [undefined, 0]);
    await assert.rejects(connection.call("BEGIN", []), ClosedError);
    await connection.close();
  });

  it("close - an ERROR, the end of the stream and the time limit end it, too", async () => {
    for (const answer of ["ERROR\nmessage:x\n\n", "end", "nothing"]) {
      const scripted = new Scripted();
      const closing = scripted.connection.close(answer === "nothing" ? 1 : 5000);
      await scripted.settle();
      if (answer === "end") scripted.stream.feedEnd();
      else if (answer !== "nothing") scripted.say(answer);
      await deadline(closing, 4000);
      assert.deepEqual([await scripted.connection.closed, scripted.connection.endedByServer], [
        undefined,
        false,
      ]);
    }
  });

  it("the end of the stream - is an error without a close", async () => {
    const { connection, stream } = new Scripted();
    stream.feedEnd();
    assert.match((await connection.closed)!.message, /without an ERROR frame/);
    assert.equal(connection.endedByServer, true);
    const gone = new Scripted({ failure: new UnreachableError("gone") });
    assert.match((await gone.connection.closed)!.message, /gone/);
  });
});
