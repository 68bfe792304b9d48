/** Retries of failed and lost connections: how many, when, and until when. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HandshakeTimeoutError, Pull, Push, UnreachableError } from "../../../mod.ts";
import { deadline, tempDir, waitFor } from "../../support/helpers.ts";
import { SocketLog, texts } from "../../support/sockets.ts";
import { rawListener } from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** An endpoint on which nothing is listening any more. */
async function deserted(): Promise<string> {
  const pull = new Pull();
  const endpoint = await pull.bind(LOCAL);
  await pull.close();
  return endpoint;
}

/** Options for peers that do not answer. */
const IMPATIENT = { handshakeTimeout: 60, reconnect: { first: 2, longest: 4 } };

describe("reconnect", () => {
  it("backoff - doubles up to its limit, with jitter, and counts each attempt", async () => {
    using dir = tempDir();
    for (const endpoint of [await deserted(), `ipc://${dir.file("nobody")}`]) {
      const log = new SocketLog();
      await using push = new Push({ onEvent: log.onEvent, reconnect: { first: 4, longest: 30 } });
      const start = performance.now();
      push.connect(endpoint);
      await log.until("retrying", 8);
      const took = performance.now() - start;
      const delays = log.of("retrying").map(({ delay }) => delay);
      let sum = 0;
      [4, 8, 16, 30, 30, 30, 30, 30].forEach((pause, i) => {
        assert.ok(delays[i]! >= pause / 2 - 1 && delays[i]! <= pause, `${endpoint}: ${delays}`);
        if (i < 7) sum += delays[i]!;
      });
      assert.ok(took >= sum - 8, `${took} ms for delays of ${sum} ms`);
      for (const { error, endpoint: name } of log.of("retrying")) {
        assert.ok(error instanceof UnreachableError, `${error}`);
        assert.equal(name, endpoint);
      }
    }
  });

  it("backoff - jitter separates the attempts of two sockets", async () => {
    const logs = [new SocketLog(), new SocketLog()];
    const endpoint = await deserted();
    const delays = await Promise.all(logs.map(async (log) => {
      await using push = new Push({ onEvent: log.onEvent, reconnect: { first: 64, longest: 64 } });
      push.connect(endpoint);
      await log.until("retrying", 5);
      return log.of("retrying").map(({ delay }) => delay);
    }));
    assert.notDeepEqual(delays[0], delays[1]);
  });

  it("backoff - starts again from the first pause after a ready connection", async () => {
    const log = new SocketLog();
    await using push = new Push({ onEvent: log.onEvent, reconnect: { first: 4, longest: 2000 } });
    const endpoint = await deserted();
    push.connect(endpoint);
    await log.until("retrying", 5);
    const pull = new Pull();
    await pull.bind(endpoint);
    await log.until("connected");
    const before = log.of("retrying").length;
    await pull.close();
    assert.ok((await log.until("retrying", before + 1)).delay <= 4);
    assert.ok((await log.until("retrying", before + 2)).delay <= 8);
  });

  it("close - ends the attempts at once", async () => {
    const log = new SocketLog();
    const push = new Push({ onEvent: log.onEvent, reconnect: { first: 60_000, longest: 60_000 } });
    push.connect(await deserted());
    await log.until("retrying");
    await deadline(push.close(), 1000, "the close");
    assert.equal(log.of("retrying").length, 1);
  });

  it("silence - a peer that sends no greeting is disconnected after the handshake timeout, and retried", async () => {
    const log = new SocketLog();
    await using listener = await rawListener();
    await using push = new Push({ ...IMPATIENT, onEvent: log.onEvent });
    push.connect(listener.endpoint);
    const { error } = await log.until("handshake-failed", 3);
    assert.ok(error instanceof HandshakeTimeoutError, `${error}`);
    assert.equal(push.failure, undefined);
    assert.ok(listener.peers.length >= 3);
    await listener.peers[0]!.untilGone();
  });

  it("silence - a WebSocket server that does not answer is retried; the error has the time in seconds", async () => {
    const log = new SocketLog();
    await using listener = await rawListener();
    await using push = new Push({ ...IMPATIENT, onEvent: log.onEvent });
    push.connect(listener.endpoint.replace("tcp:", "ws:"));
    const { error } = await log.until("retrying", 2);
    assert.equal(error?.message, "no answer within 0.06 s");
    await listener.peers[0]!.untilGone();
  });

  it("restart - the socket reconnects and sends the queued messages, ten times", async () => {
    const log = new SocketLog();
    await using push = new Push({ onEvent: log.onEvent, reconnect: { first: 2, longest: 10 } });
    let endpoint = LOCAL;
    for (let round = 0; round < 10; round++) {
      await using pull = new Pull();
      const sending = push.send(`${round}`);
      endpoint = await pull.bind(endpoint);
      if (round === 0) push.connect(endpoint);
      await deadline(sending);
      assert.deepEqual(texts(await deadline(pull.receive())), [`${round}`]);
      await pull.close();
      await log.until("disconnected", round + 1);
    }
    assert.equal(log.of("connected").length, 10);
    assert.equal(push.unsent, 0);
  });

  it("events - a failed attempt, the connection and its end are reported with the endpoint", async () => {
    const log = new SocketLog();
    await using push = new Push({ onEvent: log.onEvent, reconnect: { first: 2, longest: 10 } });
    const endpoint = await deserted();
    push.connect(endpoint);
    await log.until("retrying");
    const pull = new Pull();
    await pull.bind(endpoint);
    await log.until("connected");
    await pull.close();
    await log.until("disconnected");
    const kinds = log.all.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
    assert.deepEqual(kinds.slice(0, 3), ["retrying", "connected", "disconnected"]);
    for (const event of log.all) assert.ok("endpoint" in event && event.endpoint === endpoint, event.type);
    await waitFor(() => push.peers === 0);
  });
});
