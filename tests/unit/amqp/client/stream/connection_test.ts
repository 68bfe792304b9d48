/** A connection of the client of RabbitMQ's stream protocol: its close, its output, its events and heartbeats. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMMAND } from "../../../../../lib/amqp/client/stream/commands.ts";
import { FRAME_MAX, StreamConnection } from "../../../../../lib/amqp/client/stream/connection.ts";
import { MqcatError } from "../../../../../lib/errors.ts";
import { captureIntervals } from "../../../../support/captured_interval.ts";
import { deadline } from "../../../../support/helpers.ts";
import { BROKERS, connect, failsWith, loggedIn, Server, settle } from "./server.ts";

describe("stream protocol: connection", () => {
  it("frames that nothing asked for end it", async () => {
    const cases: [(server: Server) => void, string, string][] = [
      [(server) => server.answer(COMMAND.open, 5), "ERR_PROTOCOL", "Unexpected response 5 to command 21"],
      [(server) => server.answer(COMMAND.close, 9), "ERR_PROTOCOL", "Unexpected response 9 to command 22"],
      [(server) => server.say(COMMAND.tune, (e) => e.uint32(0).uint32(0)), "ERR_PROTOCOL", "Unexpected Tune"],
      [
        (server) => server.say(COMMAND.tune),
        "ERR_PROTOCOL",
        "A frame of the stream protocol ends before its fields",
      ],
      [
        (server) => server.stream.feed(Uint8Array.of(0, 0x10, 0, 1)),
        "ERR_PROTOCOL",
        "A frame of the stream protocol has 1048577 bytes: the limit is 1048576",
      ],
    ];
    for (const [act, code, message] of cases) {
      const { server, connection } = await loggedIn();
      const call = connection.call(COMMAND.close, "close");
      act(server);
      failsWith(code, message)(await deadline(connection.closed, 5000, "the end"));
      await assert.rejects(call, failsWith(code, message));
      await assert.rejects(connection.call(COMMAND.close, "close"), failsWith(code, message));
      // Nothing that follows counts.
      connection.onData(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    }
  });

  it("a close of the server is confirmed, and its reason is the error", async () => {
    const { server, connection } = await loggedIn();
    server.say(COMMAND.close, (encoder) => encoder.uint32(7).uint16(5).text("going down"));
    assert.equal(connection.over, true);
    const reason = failsWith("ERR_UNREACHABLE", "The server closed the connection: 5 going down");
    reason(await deadline(connection.closed, 5000, "the end"));
    assert.deepEqual(server.sent.at(-1), ["closeResponse", 7, 1]);
    await assert.rejects(connection.call(COMMAND.open, "x"), reason);
  });

  it("close - a server that refuses it is left, too", async () => {
    const { server, connection } = await loggedIn();
    const closing = connection.close(60_000);
    await server.until(6);
    server.answer(COMMAND.close, 5, 2);
    await deadline(closing, 5000, "the end");
    assert.equal(await connection.closed, undefined);
  });

  it("close - ends with the answer, with the end of the stream, or after its time limit, and is no error", async () => {
    for (const how of ["answer", "end", "nothing"]) {
      const { server, stream, connection } = await loggedIn();
      assert.equal(connection.over, false);
      const waiting = how === "end" ? connection.call(COMMAND.saslHandshake, "x") : undefined;
      const closing = connection.close(how === "nothing" ? 1 : undefined);
      assert.equal(connection.over, true);
      if (how === "answer") {
        await server.until(6);
        server.answer(COMMAND.close, 5);
      }
      if (how === "end") stream.feedEnd();
      const closed = failsWith("ERR_CLOSED", "The connection was closed");
      if (waiting !== undefined) await assert.rejects(deadline(waiting, 5000, "the call"), closed);
      await deadline(closing, 5000, "the end");
      await deadline(connection.close(), 5000, "the second close");
      assert.equal(await connection.closed, undefined);
      if (waiting === undefined) assert.deepEqual(server.sent.slice(5), [["close", 5, 1, "Goodbye"]]);
      const over = failsWith("ERR_CLOSED", "The stream connection is closed");
      await assert.rejects(connection.call(COMMAND.open, "x"), over);
      const { length } = server.sent;
      connection.encoder.begin(COMMAND.heartbeat).end();
      connection.flush();
      assert.equal(server.sent.length, length);
    }
  });

  it("output - is large at 256 KiB, and writable again when the system has taken it", async () => {
    const { stream, connection } = connect();
    let writable = 0;
    connection.events = { onWritable: () => writable++ };
    connection.flush();
    assert.equal(stream.sent.length, 0);
    connection.encoder.begin(COMMAND.heartbeat).end();
    connection.flush();
    // While this write is in progress, more is collected.
    connection.encoder.out.append(new Uint8Array(256 * 1024 - 1));
    assert.equal(connection.full, false);
    connection.encoder.out.append(new Uint8Array(1));
    assert.equal(connection.full, true);
    await settle();
    assert.deepEqual([connection.full, writable, stream.sent.length], [false, 2, 8 + 256 * 1024]);
    connection.abort();
  });

  it("events - an error of each ends the connection", async () => {
    const cases: [string, (server: Server, connection: StreamConnection) => void][] = [
      ["onFrame", (server) => server.confirm()],
      ["onBatchEnd", (server) => server.say(COMMAND.heartbeat)],
      ["onWritable", (_server, connection) => {
        connection.encoder.begin(COMMAND.heartbeat).end();
        connection.flush();
      }],
    ];
    for (const [name, act] of cases) {
      const { server, connection } = await loggedIn();
      await settle();
      connection.events = {
        [name]: () => {
          throw new MqcatError("ERR_PROTOCOL", name);
        },
      };
      act(server, connection);
      failsWith("ERR_PROTOCOL", name)(await deadline(connection.closed, 5000, "the end"));
    }
  });

  it("heartbeats - none for an interval of 0; one that is too long for a timer does not end the connection at once", async () => {
    for (const [interval, expected] of [[0, []], [2 ** 32 - 1, [2 ** 31 - 1]]] as const) {
      const { server, connection } = connect();
      const login = connection.logIn(BROKERS[0]!);
      login.catch(() => {});
      for (const key of [COMMAND.peerProperties, COMMAND.saslHandshake]) {
        const sent = await server.until(key - COMMAND.peerProperties + 1);
        server.answer(key, sent.length, 1, (encoder) => encoder.uint32(0));
      }
      await server.until(3);
      const { delays } = captureIntervals(() =>
        server.say(COMMAND.tune, (e) => e.uint32(0).uint32(interval))
      );
      assert.deepEqual(delays, expected);
      connection.abort();
    }
  });

  it("heartbeats - are sent when nothing else was, and a silent server is given up after two intervals", async () => {
    const { server, stream, connection } = connect();
    const login = connection.logIn(BROKERS[0]!);
    for (const key of [COMMAND.peerProperties, COMMAND.saslHandshake]) {
      const sent = await server.until(key - COMMAND.peerProperties + 1);
      server.answer(key, sent.length, 1, (encoder) => encoder.uint32(0));
    }
    await server.until(3);
    server.answer(COMMAND.saslAuthenticate, 3);
    const { ticks, delays } = captureIntervals(() => server.say(COMMAND.tune, (e) => e.uint32(0).uint32(10)));
    assert.deepEqual(delays, [5000]);
    assert.deepEqual((await server.until(5))[3], ["tune", FRAME_MAX, 10]);
    server.answer(COMMAND.open, 4);
    await deadline(login, 5000, "the login");
    const beat = async () => {
      const before = stream.sent.length;
      ticks[0]!();
      await settle();
      return stream.sent.length - before;
    };
    assert.equal(await beat(), 0, "the login was sent in this half");
    assert.equal(await beat(), 8);
    assert.deepEqual(server.sent.at(-1), ["heartbeat"]);
    server.say(COMMAND.heartbeat);
    assert.equal(await beat(), 8);
    for (let i = 0; i < 3; i++) await beat();
    assert.equal(stream.over, false);
    await beat();
    const silent = failsWith(
      "ERR_UNREACHABLE",
      "The server sent nothing for 20 s, twice the heartbeat interval",
    );
    silent(await deadline(connection.closed, 5000, "the end"));
  });
});
