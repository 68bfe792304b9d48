/** Closing a socket: which messages are still sent or counted as unsent, and how waiting calls end. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, Pub, Pull, Push, Rep, Req, Sub } from "../../../mod.ts";
import { deadline, tempDir, waitFor } from "../../support/helpers.ts";
import { batchOf, inproc, numbers, SocketLog, texts } from "../../support/sockets.ts";
import { rawListener, RawPeer } from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const digits = (count: number) => numbers(count).map(String);

/** A PUSH and a PULL over inproc, which buffers nothing; the PULL does not read. */
async function standing(hwm: number): Promise<{ push: Push; pull: Pull; name: string }> {
  const name = inproc();
  const push = new Push({ hwm, reconnect: { first: 1, longest: 5 } });
  const pull = new Pull();
  await pull.bind(name);
  pull.pause();
  push.connect(name);
  await waitFor(() => push.peers === 1);
  return { push, pull, name };
}

describe("close - unsent messages", () => {
  it("linger 0 - returns the number of unsent messages", async () => {
    const { push, pull } = await standing(10);
    const batch = batchOf(digits(15));
    assert.equal(push.sendBatch(batch, push.sendBatch(batch)), 15);
    assert.equal(await deadline(push.close()), 15);
    assert.equal(await push.close(), 0);
    await pull.close();
  });

  it("linger - ends after its time, with the number of unsent messages", async () => {
    const { push, pull } = await standing(10);
    push.sendBatch(batchOf(digits(7)));
    const start = performance.now();
    assert.equal(await deadline(push.close(80)), 7);
    assert.ok(performance.now() - start >= 75);
    await pull.close();
  });

  it("linger - ends as soon as all messages are sent", async () => {
    const { push, pull } = await standing(10);
    push.sendBatch(batchOf(digits(10)));
    const closing = push.close(30_000);
    pull.resume();
    assert.equal(await deadline(closing), 0);
    for (const digit of digits(10)) assert.deepEqual(texts(await deadline(pull.receive())), [digit]);
    await pull.close();
  });

  it("linger - a send that waits for room rejects at once", async () => {
    const { push, pull } = await standing(1);
    await push.send("0");
    await push.send("1");
    const waiting = push.send("2");
    const closing = push.close(30_000);
    await assert.rejects(deadline(waiting, 1000), ClosedError);
    pull.resume();
    assert.equal(await deadline(closing), 0);
    assert.deepEqual(texts(await deadline(pull.receive())), ["0"]);
    assert.deepEqual(texts(await deadline(pull.receive())), ["1"]);
    await pull.close();
  });

  for (const weBind of [true, false]) {
    it(`linger - a peer that reconnects in time receives the rest, when this side ${weBind ? "binds" : "connects"}`, async () => {
      const name = inproc();
      const push = new Push({ reconnect: { first: 1, longest: 5 } });
      const first = new Pull({ reconnect: { first: 1, longest: 5 } });
      if (weBind) await push.bind(name);
      else push.connect(name);
      if (weBind) first.connect(name);
      else await first.bind(name);
      first.pause();
      await waitFor(() => push.peers === 1);
      push.sendBatch(batchOf(digits(5)));
      await first.close();
      await waitFor(() => push.peers === 0);
      const closing = push.close(5000);
      await using second = new Pull();
      if (weBind) second.connect(name);
      else await second.bind(name);
      for (const digit of digits(5)) assert.deepEqual(texts(await deadline(second.receive())), [digit]);
      assert.equal(await deadline(closing), 0);
    });
  }

  it("linger - ends at once when the last endpoint does not speak ZMTP", async () => {
    await using listener = await rawListener();
    await using pull = new Pull();
    const push = new Push();
    const endpoint = await pull.bind(LOCAL);
    push.connect(endpoint);
    await waitFor(() => push.peers === 1);
    push.connect(listener.endpoint);
    (await listener.peer(0)).send("'HTTP/1.1 200 OK'");
    assert.equal(await deadline(push.close(30_000)), 0);
  });

  it("a reader - receives all sent messages even when close does not linger", async () => {
    await using pull = new Pull();
    const push = new Push({ hwm: 100_000 });
    push.connect(await pull.bind(LOCAL));
    await waitFor(() => push.peers === 1);
    const count = 20_000;
    const batch = batchOf(numbers(count).map((i) => `${i}`.padEnd(100)));
    assert.equal(push.sendBatch(batch), batch.frames);
    const closing = push.close(10_000);
    for (let i = 0; i < count; i++) assert.equal(Number(texts(await pull.receive())![0]), i);
    assert.equal(await deadline(closing), 0);
  });

  it("pub - lingers for its subscribers, too", async () => {
    const name = inproc();
    const pub = new Pub();
    await using sub = new Sub();
    await pub.bind(name);
    sub.subscribe("");
    sub.connect(name);
    await waitFor(() => pub.subscribers === 1);
    sub.pause();
    pub.sendBatch(batchOf(digits(5)));
    const closing = pub.close(5000);
    sub.resume();
    assert.equal(await deadline(closing), 0);
    assert.deepEqual(texts(await deadline(sub.receive())), ["0"]);
  });
});

describe("close - waiting calls", () => {
  it("receive - returns earlier messages and then undefined; for await ends", async () => {
    const name = inproc();
    const log = new SocketLog();
    const pull = new Pull({ onEvent: log.onEvent });
    const push = new Push();
    await pull.bind(name);
    push.connect(name);
    for (const digit of digits(3)) await push.send(digit);
    await push.close(1000);
    await log.until("disconnected");
    const waiting = [pull.receive(), pull.receive(), pull.receive(), pull.receive()];
    await pull.close();
    assert.deepEqual((await deadline(Promise.all(waiting))).map(texts), [["0"], ["1"], ["2"], undefined]);
    assert.equal(await deadline(pull.receive()), undefined);
    for await (const _ of pull) assert.fail("there was nothing left");
  });

  it("iteration - continues until other code closes the socket", async () => {
    const name = inproc();
    const pull = new Pull();
    await using push = new Push();
    await pull.bind(name);
    push.connect(name);
    const came: string[] = [];
    const iterating = (async () => {
      for await (const frames of pull) {
        came.push(...texts(frames)!);
        if (came.length === 4) pull.close();
      }
    })();
    for (const digit of digits(4)) await push.send(digit);
    await deadline(iterating);
    assert.deepEqual(came, digits(4));
  });

  it("iteration - can be stopped and continued", async () => {
    const name = inproc();
    await using pull = new Pull();
    await using push = new Push();
    await pull.bind(name);
    push.connect(name);
    for (const digit of digits(6)) await push.send(digit);
    const came: string[] = [];
    for (let round = 0; round < 3; round++) {
      for await (const frames of pull) {
        came.push(...texts(frames)!);
        if (came.length % 2 === 0) break;
      }
    }
    assert.deepEqual(came, digits(6));
  });

  it("request - waiting for a peer or for a reply ends with ClosedError", async () => {
    const alone = new Req();
    const unasked = alone.request("anybody?");
    await alone.close();
    await assert.rejects(deadline(unasked), ClosedError);
    const name = inproc();
    const req = new Req();
    await using rep = new Rep();
    await rep.bind(name);
    req.connect(name);
    const asked = req.request("anybody?");
    await deadline(rep.receive());
    await req.close();
    await assert.rejects(deadline(asked), ClosedError);
  });

  it("bind and connect - throw after close", async () => {
    const pull = new Pull();
    await pull.close();
    await assert.rejects(pull.bind(LOCAL), ClosedError);
    assert.throws(() => pull.connect("tcp://127.0.0.1:9"), ClosedError);
  });

  it("bind - a call in progress ends with ClosedError and does not listen", async () => {
    using dir = tempDir();
    for (const where of [LOCAL, `ipc://${dir.file("s")}`]) {
      const log = new SocketLog();
      const pull = new Pull({ onEvent: log.onEvent });
      const binding = pull.bind(where);
      const closing = pull.close();
      await assert.rejects(deadline(binding), ClosedError);
      await deadline(closing);
      assert.deepEqual(log.of("listening"), []);
    }
    await using next = new Pull();
    await next.bind(`ipc://${dir.file("s")}`);
  });

  it("at once - close right after connect leaves no peer connected, on every transport", async () => {
    const log = new SocketLog();
    await using pull = new Pull({ onEvent: log.onEvent });
    const name = inproc();
    await pull.bind(name);
    const endpoint = await pull.bind(LOCAL);
    for (const where of [name, endpoint]) {
      for (let turns = 0; turns < 12; turns++) {
        const push = new Push();
        push.connect(where);
        // Whatever state the connection attempt has reached.
        for (let i = 0; i < turns; i++) await Promise.resolve();
        assert.equal(await deadline(push.close()), 0);
      }
    }
    const last = new Push();
    last.connect(name);
    await last.send("last");
    assert.deepEqual(texts(await deadline(pull.receive())), ["last"]);
    await last.close();
    await waitFor(() => pull.peers === 0);
  });

  it("listening - ends, and the endpoint is free again", async () => {
    let endpoint = LOCAL;
    for (let i = 0; i < 3; i++) {
      const pull = new Pull();
      endpoint = await pull.bind(endpoint);
      using peer = await RawPeer.dial(endpoint);
      await peer.greet("PUSH");
      await pull.close();
      await peer.untilGone();
    }
  });
});
