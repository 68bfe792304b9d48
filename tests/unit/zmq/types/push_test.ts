/** PUSH: distribution, queues, and redistribution when a peer is lost. Inproc streams buffer nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, Pub, Pull, Push } from "../../../../mod.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, inproc, numbers, texts } from "../../../support/sockets.ts";

const digits = (count: number) => numbers(count).map(String);

async function take(pull: Pull, count: number): Promise<string[]> {
  const taken = [];
  for (let i = 0; i < count; i++) taken.push(texts(await deadline(pull.receive()))!.join("|"));
  return taken;
}

describe("push - room", () => {
  it("sendBatch - queues nothing without a peer; writable resolves when a peer connects", async () => {
    const name = inproc();
    await using push = new Push();
    await using pull = new Pull();
    await push.bind(name);
    const batch = batchOf(["a", "b"]);
    assert.equal(push.sendBatch(batch), 0);
    const writable = push.writable();
    pull.connect(name);
    await deadline(writable);
    assert.equal(push.sendBatch(batch), 2);
    assert.deepEqual(await take(pull, 2), ["a", "b"]);
  });

  it("sendBatch - queues messages up to the high-water mark, and continues when there is room", async () => {
    const name = inproc();
    await using push = new Push({ hwm: 10 });
    await using pull = new Pull();
    await pull.bind(name);
    pull.pause();
    push.connect(name);
    await waitFor(() => push.peers === 1);
    const batch = batchOf(digits(35));
    // Ten are being written, and ten more wait.
    assert.equal(push.sendBatch(batch), 10);
    assert.equal(push.sendBatch(batch, 10), 20);
    assert.equal(push.sendBatch(batch, 20), 20);
    assert.equal(push.unsent, 20);
    let at = 20;
    pull.resume();
    while (at < 35) {
      await deadline(push.writable());
      at = push.sendBatch(batch, at);
    }
    assert.deepEqual(await take(pull, 35), digits(35));
  });

  it("sendBatch - queues whole messages only", async () => {
    const name = inproc();
    await using push = new Push({ hwm: 2 });
    await using pull = new Pull();
    await pull.bind(name);
    pull.pause();
    push.connect(name);
    await waitFor(() => push.peers === 1);
    const batch = batchOf(["1a", "1b", "2a", "2b", "2c", "3a"]);
    for (const part of [0, 2, 3]) batch.flags[part] = 1;
    batch.messages = 3;
    assert.equal(push.sendBatch(batch), 5);
    assert.equal(push.sendBatch(batch, 5), 6);
    pull.resume();
    assert.deepEqual(await take(pull, 3), ["1a|1b", "2a|2b|2c", "3a"]);
  });

  it("hwmBytes - limits large messages as hwm limits small ones", async () => {
    const name = inproc();
    await using push = new Push({ hwmBytes: 100_000 });
    await using pull = new Pull();
    await pull.bind(name);
    pull.pause();
    push.connect(name);
    await waitFor(() => push.peers === 1);
    let taken = 0;
    while (push.sendBatch(batchOf(["x".repeat(40_000)])) > 0) taken++;
    assert.ok(taken >= 3 && taken <= 5, `${taken} were taken`);
    pull.resume();
    assert.equal((await take(pull, taken)).length, taken);
  });

  it("writable - resolves after its time limit, and on wake", async () => {
    await using push = new Push();
    await deadline(push.writable(5));
    const waiting = push.writable();
    push.wake();
    await deadline(waiting);
  });
});

describe("push - distribution", () => {
  it("round robin - skips a peer whose queue is full", async () => {
    const [stands, reads] = [inproc(), inproc()];
    await using push = new Push({ hwm: 5 });
    await using a = new Pull();
    await using b = new Pull();
    await a.bind(stands);
    await b.bind(reads);
    a.pause();
    push.connect(stands);
    push.connect(reads);
    await waitFor(() => push.peers === 2);
    for (let i = 0; i < 100; i++) await deadline(push.send(`${i}`));
    a.resume();
    const held = await take(a, 6);
    const rest = await take(b, 94);
    assert.deepEqual([...held, ...rest].map(Number).sort((x, y) => x - y), numbers(100));
    assert.deepEqual(rest.map(Number), rest.map(Number).toSorted((x, y) => x - y));
  });

  it("loss - unsent messages of a disconnected peer are redistributed before newer messages", async () => {
    const [dies, lives] = [inproc(), inproc()];
    await using push = new Push({ hwm: 5, reconnect: { first: 1000, longest: 1000 } });
    const a = new Pull();
    await using b = new Pull();
    await a.bind(dies);
    a.pause();
    push.connect(dies);
    await waitFor(() => push.peers === 1);
    for (let i = 0; i < 6; i++) await push.send(`${i}`);
    const seventh = push.send("6");
    assert.equal(push.unsent, 6);
    await a.close();
    await waitFor(() => push.peers === 0);
    assert.equal(push.unsent, 6);
    await b.bind(lives);
    push.connect(lives);
    assert.deepEqual(await take(b, 7), digits(7));
    await seventh;
    assert.equal(push.unsent, 0);
  });

  it("loss - unsent messages wait until the other peer has room, and keep their order", async () => {
    const [dies, lives] = [inproc(), inproc()];
    await using push = new Push({ hwm: 50, reconnect: { first: 1000, longest: 1000 } });
    await using a = new Pull();
    await using b = new Pull({ hwm: 3 });
    await a.bind(dies);
    a.pause();
    push.connect(dies);
    await waitFor(() => push.peers === 1);
    const batch = batchOf(digits(100));
    assert.equal(push.sendBatch(batch, push.sendBatch(batch)), 100);
    await a.close();
    await waitFor(() => push.peers === 0);
    assert.equal(push.sendBatch(batchOf(["newer"])), 0);
    const newer = push.send("newer");
    await b.bind(lives);
    push.connect(lives);
    assert.deepEqual(await take(b, 101), [...digits(100), "newer"]);
    await newer;
  });

  for (const room of ["at once", "later"]) {
    it(`loss - the other peer receives the unsent messages without a further send, when it has room ${room}`, async () => {
      const [dies, lives] = [inproc(), inproc()];
      await using push = new Push({ hwm: 4, reconnect: { first: 1000, longest: 1000 } });
      const a = new Pull();
      await using b = new Pull();
      await a.bind(dies);
      await b.bind(lives);
      a.pause();
      if (room === "later") b.pause();
      push.connect(dies);
      push.connect(lives);
      await waitFor(() => push.peers === 2);
      let sent = 0;
      while (sent < 6 && push.sendBatch(batchOf([`${sent}`])) === 1) sent++;
      await a.close();
      await waitFor(() => push.peers === 1);
      b.resume();
      assert.deepEqual((await take(b, sent)).sort(), digits(sent));
      assert.equal(push.unsent, 0);
    });
  }

  it("loss - a peer that reconnects receives its unsent messages", async () => {
    const name = inproc();
    await using push = new Push({ reconnect: { first: 1, longest: 5 } });
    push.connect(name);
    const sent: string[] = [];
    for (let round = 0; round < 4; round++) {
      await using pull = new Pull();
      await pull.bind(name);
      if (round < 3) pull.pause();
      await waitFor(() => push.peers === 1);
      for (let i = 0; i < 3; i++) {
        sent.push(`${round}.${i}`);
        await push.send(sent.at(-1)!);
      }
      if (round === 3) assert.deepEqual(await take(pull, sent.length), sent);
      else {
        await pull.close();
        await waitFor(() => push.peers === 0);
      }
    }
    assert.equal(push.unsent, 0);
  });
});

describe("push - send", () => {
  it("send - concurrent calls keep their order", async () => {
    const name = inproc();
    await using push = new Push({ hwm: 7 });
    await using pull = new Pull();
    const sends = numbers(500).map((i) => push.send([`${i}`, i % 3 === 0 ? "x".repeat(50_000) : ""]));
    push.connect(name);
    await pull.bind(name);
    const came = [];
    for (let i = 0; i < 500; i++) came.push(Number(texts(await deadline(pull.receive()))![0]));
    assert.deepEqual(came, numbers(500));
    await Promise.all(sends);
  });

  it("send - a call that fails for an empty message does not block the others", async () => {
    const name = inproc();
    await using push = new Push();
    await using pull = new Pull();
    const first = push.send("1");
    await assert.rejects(push.send([]), TypeError);
    const second = push.send(Uint8Array.of());
    await pull.bind(name);
    push.connect(name);
    assert.deepEqual(await take(pull, 2), ["1", ""]);
    await Promise.all([first, second]);
  });

  it("send - waiting and later calls reject with ClosedError after close", async () => {
    const push = new Push();
    const waiting = [push.send("1"), push.send("2")];
    assert.equal(await push.close(), 0);
    for (const one of waiting) await assert.rejects(deadline(one), ClosedError);
    await assert.rejects(push.send("3"), ClosedError);
    assert.equal(push.closed, true);
  });

  it("send - waiting and later calls reject with the failure when no endpoint is left", async () => {
    await using wrong = new Pub();
    await using push = new Push();
    push.connect(await wrong.bind("tcp://127.0.0.1:0"));
    const waiting = [push.send("1"), push.send("2")];
    for (const one of [...waiting, waitFor(() => push.failure).then(() => push.send("3"))]) {
      await assert.rejects(deadline(one), (error) => error !== undefined && error === push.failure);
    }
    assert.match(push.failure!.message, /PUSH talks to PULL/);
    assert.equal(push.unsent, 0);
  });

  it("options - numbers out of their range are refused", () => {
    assert.throws(() => new Push({ hwm: 0 }), RangeError);
    assert.throws(() => new Push({ hwmBytes: NaN }), RangeError);
    assert.throws(() => new Pull({ maxMessageSize: 2 ** 30 + 1 }), RangeError);
    assert.throws(() => new Pull({ maxPeers: -1 }), RangeError);
    for (const handshakeTimeout of [Infinity, 2 ** 31, NaN, 0]) {
      assert.throws(() => new Push({ handshakeTimeout }), RangeError);
    }
    for (
      const [first, longest] of [[0, 10], [10, 5], [NaN, 10], [1, NaN], [1, Infinity], [1, 2 ** 31]] as const
    ) {
      assert.throws(() => new Push({ reconnect: { first, longest } }), RangeError);
    }
    new Push({ handshakeTimeout: 2 ** 31 - 1, reconnect: { first: 1, longest: 1 } });
  });
});
