/** PUB: which messages it drops, and how long it waits. Inproc streams buffer nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Batch, Pub, type PubOptions, Sub } from "../../../../mod.ts";
import { allocated } from "../../../support/allocated.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, inproc, numbers, SocketLog, texts } from "../../../support/sockets.ts";

const digits = (count: number) => numbers(count).map(String);

/** A PUB with one subscriber that reads and one that does not. */
async function feed(options: PubOptions): Promise<
  AsyncDisposable & { pub: Pub; reads: Sub; stands: Sub; log: SocketLog }
> {
  const log = new SocketLog();
  const pub = new Pub({ onEvent: log.onEvent, ...options });
  const name = inproc();
  await pub.bind(name);
  const reads = new Sub();
  const stands = new Sub();
  for (const sub of [reads, stands]) {
    sub.subscribe("");
    sub.connect(name);
  }
  await waitFor(() => pub.subscribers === 2);
  stands.pause();
  return {
    pub,
    reads,
    stands,
    log,
    async [Symbol.asyncDispose]() {
      await Promise.all([pub.close(), reads.close(), stands.close()]);
    },
  };
}

async function take(sub: Sub, count: number): Promise<string[]> {
  const taken = [];
  for (let i = 0; i < count; i++) taken.push(texts(await deadline(sub.receive()))!.join("|"));
  return taken;
}

describe("pub", () => {
  it("no subscriber - all messages are accepted, and none counts as dropped", async () => {
    await using pub = new Pub();
    await pub.bind(inproc());
    for (let i = 0; i < 5000; i++) await pub.send("x");
    assert.equal(pub.sendBatch(batchOf(digits(5000))), 5000);
    assert.deepEqual([pub.dropped, pub.unsent], [0, 0]);
  });

  it("memory - messages of a filtered batch cost a subscriber that does not read their own size, and not the batch's", async () => {
    await using it = await feed({ hwm: 1000 });
    it.reads.pause();
    const batch = new Batch();
    const count = 200;
    const bytes = allocated(() => {
      batch.bytes = new Uint8Array(256 * 1024);
      for (let i = 0; i < count; i++) {
        batch.clear();
        batch.add(i, i + 1500, 0);
        batch.add(250_000, 251_500, 0);
        assert.equal(it.pub.sendBatch(batch), 2);
      }
    });
    assert.ok(bytes < 3 * 3000 * count, `${bytes} bytes for ${3000 * count}`);
  });

  it("drop - the handler of the event may send: no message is lost or sent twice", async () => {
    await using it = await feed({
      hwm: 10,
      onEvent(event) {
        if (event.type === "dropping") it.pub.send("note");
      },
    });
    const received: string[] = [];
    for (const digit of digits(30)) {
      await it.pub.send(digit);
      received.push(...await take(it.reads, 1));
    }
    received.push(...await take(it.reads, 1));
    assert.deepEqual(received.filter((text) => text !== "note"), digits(30));
    assert.equal(received.length, 31);
  });

  it("drop - a full subscriber misses the newest messages, which are counted and reported once; the other receives all", async () => {
    await using it = await feed({ hwm: 10 });
    for (let i = 0; i < 50; i++) {
      await it.pub.send(`${i}`);
      // The reading subscriber has received it before the next one is sent.
      assert.deepEqual(await take(it.reads, 1), [`${i}`]);
    }
    // One is being written, ten wait.
    assert.equal(it.pub.dropped, 39);
    assert.equal(it.log.of("dropping").length, 1);
    it.stands.resume();
    assert.deepEqual(await take(it.stands, 11), digits(11));
    await it.pub.send("again");
    assert.deepEqual(await take(it.stands, 1), ["again"]);
    it.stands.pause();
    for (let i = 0; i < 20; i++) await it.pub.send("more");
    // Both are full now: one more drop for this one, and one for the other.
    assert.equal(it.log.of("dropping").length, 3);
  });

  it("drop - a batch over the high-water mark is accepted, and the messages that do not fit are counted", async () => {
    await using it = await feed({ hwm: 10 });
    assert.equal(it.pub.sendBatch(batchOf(digits(30))), 30);
    assert.equal(it.pub.dropped, 40);
    it.stands.resume();
    assert.deepEqual(await take(it.stands, 10), digits(10));
    assert.deepEqual(await take(it.reads, 10), digits(10));
  });

  it("drop - multipart messages are dropped whole", async () => {
    await using it = await feed({ hwm: 1 });
    for (let i = 0; i < 5; i++) await it.pub.send([`${i}`, "", "end"]);
    it.stands.resume();
    assert.deepEqual(await take(it.stands, 2), ["0||end", "1||end"]);
    await it.pub.send(["last", ""]);
    assert.deepEqual(await take(it.stands, 1), ["last|"]);
    // Two subscribers missed three messages each, as neither was read in between.
    assert.equal(it.pub.dropped, 6);
  });

  it("block - waits for the slowest subscriber and drops nothing", async () => {
    await using it = await feed({ hwm: 10, onFull: "block" });
    const batch = batchOf(digits(100));
    let at = it.pub.sendBatch(batch);
    at = it.pub.sendBatch(batch, at);
    assert.equal(at, 20);
    assert.equal(it.pub.sendBatch(batch, at), 20);
    const sending = it.pub.send("after");
    it.stands.resume();
    await deadline(sending);
    while ((at = it.pub.sendBatch(batch, at)) < 100) await deadline(it.pub.writable());
    const expected = [...digits(20), "after", ...digits(100).slice(20)];
    assert.deepEqual(await take(it.stands, 101), expected);
    assert.deepEqual(await take(it.reads, 101), expected);
    assert.equal(it.pub.dropped, 0);
    assert.deepEqual(it.log.of("dropping"), []);
  });

  it("block - a subscriber that disconnects no longer blocks the publisher", async () => {
    await using it = await feed({ hwm: 5, onFull: "block" });
    const sending = (async () => {
      for (let i = 0; i < 50; i++) await it.pub.send(`${i}`);
    })();
    assert.deepEqual(await take(it.reads, 6), digits(6));
    await it.stands.close();
    assert.deepEqual(await take(it.reads, 44), digits(50).slice(6));
    await deadline(sending);
    assert.equal(it.pub.dropped, 0);
  });

  it("block - a publisher without subscriptions is not blocked", async () => {
    await using pub = new Pub({ hwm: 5, onFull: "block" });
    const name = inproc();
    await pub.bind(name);
    await deadline(pub.send("to nobody"));
    await using sub = new Sub();
    sub.connect(name);
    await waitFor(() => pub.peers === 1);
    sub.pause();
    for (let i = 0; i < 50; i++) await deadline(pub.send("unasked"));
    assert.deepEqual([pub.dropped, pub.unsent], [0, 0]);
  });

  for (const by of ["send", "sendBatch"]) {
    it(`dropAfter - ${by} waits for a full subscriber once, and then continues without it`, async () => {
      await using it = await feed({ hwm: 10, dropAfter: 60 });
      const total = 200;
      const taken = take(it.reads, total);
      const start = performance.now();
      if (by === "send") {
        for (let i = 0; i < total; i++) await deadline(it.pub.send(`${i}`), 5000, `send ${i}`);
      } else {
        const batch = batchOf(digits(total));
        for (let at = 0; (at = it.pub.sendBatch(batch, at)) < total;) await deadline(it.pub.writable());
      }
      const patience = performance.now() - start;
      assert.ok(patience >= 55, `it was given up on after ${patience} ms`);
      // The reading subscriber loses nothing, because it has room again each time.
      assert.deepEqual(await taken, digits(total));
      assert.ok(it.pub.dropped >= total - 20 - 1 && it.pub.dropped < total, `${it.pub.dropped} were dropped`);
      assert.equal(it.log.of("dropping").length, 1);
    });
  }

  it("dropAfter - a slow subscriber that still reads loses nothing to a fast publisher", async () => {
    await using it = await feed({ hwm: 10, dropAfter: 5000 });
    const total = 300;
    const slow = (async () => {
      const came = [];
      it.stands.resume();
      while (came.length < total) {
        came.push(...await take(it.stands, 1));
        it.stands.pause();
        await new Promise((resolve) => setTimeout(resolve, 1));
        it.stands.resume();
      }
      return came;
    })();
    const fast = take(it.reads, total);
    for (let i = 0; i < total; i++) await deadline(it.pub.send(`${i}`));
    assert.deepEqual(await fast, digits(total));
    assert.deepEqual(await deadline(slow), digits(total));
    assert.equal(it.pub.dropped, 0);
  });

  it("topics - each subscriber receives its part of a batch", async () => {
    const name = inproc();
    await using pub = new Pub();
    await using even = new Sub();
    await using all = new Sub();
    await using ends = new Sub();
    await pub.bind(name);
    for (const digit of ["0", "2", "4", "6", "8"]) even.subscribe(digit);
    all.subscribe("");
    ends.subscribe("0");
    ends.subscribe("9");
    for (const sub of [even, all, ends]) sub.connect(name);
    await waitFor(() => pub.subscribers === 3);
    pub.sendBatch(batchOf(digits(10)));
    assert.deepEqual(await take(even, 5), ["0", "2", "4", "6", "8"]);
    assert.deepEqual(await take(all, 10), digits(10));
    assert.deepEqual(await take(ends, 2), ["0", "9"]);
  });

  for (const topic of ["", "n"]) {
    it(`buffer - is reused for each batch, and every subscriber to '${topic}' receives what it held`, async () => {
      const [rounds, messages] = [20, 2000];
      await using pub = new Pub({ onFull: "block" });
      const endpoint = await pub.bind(inproc());
      const received: string[][] = [];
      const subs = numbers(4).map((number) => {
        const sub = new Sub();
        const texts: string[] = received[number] = [];
        sub.consume((batch) => {
          for (let at = 0; at < batch.frames; at++) texts.push(new TextDecoder().decode(batch.frame(at)));
          // One subscriber leaves while its queue is full.
          if (number === 3) sub.close();
        });
        sub.subscribe(topic);
        sub.connect(endpoint);
        return sub;
      });
      await waitFor(() => pub.subscribers === 4);
      const sent: string[] = [];
      const batch = batchOf(numbers(messages).map(() => "n        "));
      batch.stable = false;
      for (let round = 0; round < rounds; round++) {
        // The others receive while its queue fills.
        subs[0]!.pause();
        for (let i = 0; i < messages; i++) {
          const text = `n${String(round * messages + i).padEnd(8)}`;
          new TextEncoder().encodeInto(text, batch.bytes.subarray(batch.starts[i]));
          sent.push(text);
        }
        for (let at = 0; at < messages;) {
          at = pub.sendBatch(batch, at);
          if (at === messages) break;
          const writable = pub.writable();
          await waitFor(() => received[1]!.length >= round * messages + at);
          subs[0]!.resume();
          await deadline(writable);
        }
      }
      subs[0]!.resume();
      await waitFor(() => received.slice(0, 3).every((texts) => texts.length === sent.length));
      for (const texts of received.slice(0, 3)) assert.deepEqual(texts, sent);
      assert.equal(pub.dropped, 0);
      await Promise.all(subs.map((sub) => sub.close()));
    });
  }

  it("refcount - a topic stays subscribed until each subscribe has its unsubscribe", async () => {
    const name = inproc();
    const log = new SocketLog();
    await using pub = new Pub({ onEvent: log.onEvent });
    await using sub = new Sub();
    await pub.bind(name);
    sub.subscribe("a");
    sub.subscribe("a");
    sub.connect(name);
    await waitFor(() => pub.subscribers === 1);
    sub.unsubscribe("a");
    await pub.send("a1");
    assert.deepEqual(await take(sub, 1), ["a1"]);
    sub.unsubscribe("a");
    await waitFor(() => pub.subscribers === 0);
    sub.unsubscribe("a");
    sub.subscribe("a");
    await waitFor(() => pub.subscribers === 1);
    assert.deepEqual(log.of("subscription").map(({ subscribe }) => subscribe), [true, false, true]);
  });

  it("subscribers - a new subscriber receives later messages, a disconnected one is removed", async () => {
    const name = inproc();
    await using pub = new Pub();
    await pub.bind(name);
    for (let round = 0; round < 5; round++) {
      await using sub = new Sub();
      sub.subscribe("x");
      sub.connect(name);
      await waitFor(() => pub.subscribers === 1);
      await pub.send(`x${round}`);
      assert.deepEqual(await take(sub, 1), [`x${round}`]);
      await sub.close();
      await waitFor(() => pub.peers === 0);
      assert.equal(pub.subscribers, 0);
      await pub.send("x");
    }
    assert.equal(pub.dropped, 0);
  });
});
