/** spec_pushpull, hwm, conflate, immediate, bind_after_connect: the cases of libzmq's tests with these names. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Dealer, Pub, Pull, Push, Sub, XPub } from "../../../../mod.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { batchOf, inproc, numbers, texts } from "../../../support/sockets.ts";

const LOCAL = "tcp://127.0.0.1:0";

async function take(socket: Pull | Dealer, count: number): Promise<string[]> {
  const taken = [];
  for (let i = 0; i < count; i++) taken.push(texts(await deadline(socket.receive()))!.join("|"));
  return taken;
}

describe("spec pipeline", () => {
  it("spec_pushpull - jobs are distributed in turn, and the jobs of each puller keep their order", async () => {
    await using push = new Push();
    const pulls = await Promise.all(
      numbers(4).map(async () => {
        const pull = new Pull();
        push.connect(await pull.bind(LOCAL));
        return pull;
      }),
    );
    await waitFor(() => push.peers === 4);
    assert.equal(push.sendBatch(batchOf(numbers(40).map(String))), 40);
    for (const pull of pulls) {
      const share = (await take(pull, 10)).map(Number);
      assert.deepEqual(share.map((n) => n - share[0]!), numbers(10).map((i) => 4 * i));
      await pull.close();
    }
  });

  it("spec_pushpull - blocks without a puller, and receives fairly from several pushers", async () => {
    await using pull = new Pull();
    const pushes = numbers(5).map(() => new Push());
    assert.equal(pushes[0]!.sendBatch(batchOf(["x"])), 0);
    const endpoint = await pull.bind(LOCAL);
    for (const push of pushes) push.connect(endpoint);
    await Promise.all(pushes.map(async (push, who) => {
      for (let n = 0; n < 20; n++) await push.send([`${who}`, `${n}`]);
    }));
    const next = [0, 0, 0, 0, 0];
    for (const job of await take(pull, 100)) {
      const [who, n] = job.split("|").map(Number);
      assert.equal(n, next[who!]!++);
    }
    await Promise.all(pushes.map((push) => push.close()));
  });

  it("hwm - limits the queued messages, apart from those being written; the rest is not accepted", async () => {
    const endpoint = inproc();
    for (const socket of [new Push({ hwm: 7 }), new Dealer({ hwm: 7 })]) {
      await using sender = socket;
      await using receiver = socket.type === "PUSH" ? new Pull() : new Dealer();
      await receiver.bind(`${endpoint}-${socket.type}`);
      sender.connect(`${endpoint}-${socket.type}`);
      await waitFor(() => sender.peers === 1 && receiver.peers === 1);
      receiver.pause();
      assert.equal(sender.sendBatch(batchOf(["first"])), 1);
      assert.equal(sender.sendBatch(batchOf(numbers(20).map(String))), 7);
      assert.equal(sender.unsent, 8);
      receiver.resume();
      assert.deepEqual(await take(receiver, 8), ["first", ...numbers(7).map(String)]);
    }
  });

  it("hwm - a message of several frames is sent whole or not at all", async () => {
    const endpoint = inproc();
    await using push = new Push({ hwm: 1 });
    await using pull = new Pull();
    await pull.bind(endpoint);
    push.connect(endpoint);
    await waitFor(() => push.peers === 1);
    pull.pause();
    const batch = batchOf(["a", "b", "c", "d", "e", "f"]);
    batch.flags.set([1, 0, 1, 0, 1, 0]);
    batch.messages = 3;
    assert.equal(push.sendBatch(batch, 0), 2);
    assert.equal(push.sendBatch(batch, 2), 4);
    assert.equal(push.sendBatch(batch, 4), 4);
    pull.resume();
    assert.deepEqual(await take(pull, 2), ["a|b", "c|d"]);
  });

  it("conflate - only the newest message is queued to be received", async () => {
    await using push = new Push();
    await using pull = new Pull({ conflate: true });
    push.connect(await pull.bind(LOCAL));
    await push.send("first");
    assert.deepEqual(await take(pull, 1), ["first"]);
    for (let i = 0; i <= 20_000; i++) await push.send(`${i}`);
    await waitFor(() => push.unsent === 0);
    // Whatever number is in transit, received messages are in order and include the last one.
    let last = -1;
    let taken = 0;
    while (last < 20_000) {
      const [n] = await take(pull, 1);
      assert.ok(Number(n) > last, `${n} came after ${last}`);
      last = Number(n);
      taken++;
    }
    assert.ok(taken < 10_000, `${taken} were taken`);
  });

  it("conflate - only the newest message is queued for each peer, and send does not block", async () => {
    const endpoint = inproc();
    await using pub = new Pub({ conflate: true, hwm: 1 });
    await using stands = new Sub();
    await using reads = new Sub();
    await pub.bind(endpoint);
    for (const sub of [stands, reads]) {
      sub.subscribe("");
      sub.connect(endpoint);
    }
    await waitFor(() => pub.subscribers === 2);
    stands.pause();
    for (let i = 0; i < 50; i++) {
      await pub.send(["a", `${i}`]);
      if (i % 10 === 9) assert.deepEqual(texts(await deadline(reads.receive()))?.[0], "a");
    }
    assert.deepEqual([pub.dropped, pub.unsent >= 2], [0, true]);
    stands.resume();
    // The message in the current write, and the newest one.
    assert.deepEqual(texts(await deadline(stands.receive())), ["a", "0"]);
    assert.deepEqual(texts(await deadline(stands.receive())), ["a", "49"]);
  });

  it("conflate - the unsent message of a disconnected peer is the newest, and is sent to the next peer", async () => {
    const endpoint = inproc();
    await using push = new Push({ conflate: true, reconnect: { first: 1, longest: 5 } });
    push.connect(endpoint);
    const first = new Pull();
    await first.bind(endpoint);
    await waitFor(() => push.peers === 1);
    first.pause();
    assert.equal(push.sendBatch(batchOf(["0"])), 1);
    assert.equal(push.sendBatch(batchOf(numbers(20, 1).map(String))), 20);
    assert.equal(push.unsent, 2);
    await first.unbind(endpoint);
    await using second = new Pull();
    await second.bind(endpoint);
    assert.equal((await take(second, 1))[0], "20");
    await first.close();
  });

  it("immediate - nothing is queued for a peer that is not ready", async () => {
    await using push = new Push();
    const absent = inproc();
    push.connect(absent);
    await using pull = new Pull();
    push.connect(await pull.bind(LOCAL));
    await waitFor(() => push.peers === 1);
    // If the absent peer had a queue, it would have half of them.
    for (let i = 0; i < 10; i++) await push.send(`${i}`);
    assert.deepEqual(await take(pull, 10), numbers(10).map(String));
  });

  it("bind_after_connect - a socket that connects first waits for the bind, on every transport", async () => {
    for (const endpoint of [inproc(), `ipc://@mqcat-${crypto.randomUUID()}`]) {
      await using push = new Push({ reconnect: { first: 2, longest: 10 } });
      push.connect(endpoint);
      const sent = push.send("early");
      await using pull = new Pull();
      await pull.bind(endpoint);
      await deadline(sent);
      assert.deepEqual(await take(pull, 1), ["early"]);
    }
  });

  it("bind_after_connect - a subscription made before there is a publisher is not lost", async () => {
    const endpoint = inproc();
    await using sub = new Sub();
    sub.subscribe("early");
    sub.connect(endpoint);
    await using xpub = new XPub();
    await xpub.bind(endpoint);
    assert.deepEqual(texts(await deadline(xpub.receive())), ["\x01early"]);
  });
});
