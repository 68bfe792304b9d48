/** PUSH with several libzmq PULLs: fair distribution, and dead peers. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { Pull, Push } from "../../mod.ts";
import { waitFor } from "../support/helpers.ts";
import { numbers, scoped, SocketLog, texts } from "../support/sockets.ts";
import { sharedPeer, test, ZmqPeer } from "../support/zmq_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
const ascending = (a: number, b: number) => a - b;

/** Waits until a number stops changing, because the peer's buffers are full. */
async function settled(look: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  await waitFor(() => {
    const now = look();
    same = now === last ? same + 1 : 0;
    last = now;
    return same > 10;
  });
  return last;
}

describe("libzmq workers", () => {
  const peer = sharedPeer();

  for (const weBind of [true, false]) {
    test(`push - round robin over three PULLs, ${weBind ? "which connect" : "which bind"}`, async () => {
      await using push = scoped(new Push());
      await using a = await peer.socket("PULL");
      await using b = await peer.socket("PULL");
      await using c = await peer.socket("PULL");
      const pulls = [a, b, c];
      const endpoint = weBind ? await push.bind(LOCAL) : "";
      for (const pull of pulls) {
        if (weBind) await pull.connect(endpoint);
        else push.connect(await pull.bind(LOCAL));
      }
      await waitFor(() => push.peers === 3);
      const collected = Promise.all(pulls.map((pull) => pull.collect(100)));
      for (let i = 0; i < 300; i++) await push.send(`${i}`);
      const shares = await collected;
      // In turn: each peer has every third message.
      const starts = shares.map((share) => share[0]!).sort(ascending);
      assert.deepEqual(starts, [0, 1, 2]);
      for (const share of shares) assert.deepEqual(share, numbers(100).map((i) => share[0]! + 3 * i));
    });
  }

  test("push - a PULL that does not read gets one full queue, and the others get the rest", async () => {
    await using push = scoped(new Push({ hwm: 100 }));
    const endpoint = await push.bind(LOCAL);
    await using reads = await peer.socket("PULL");
    await using stands = await peer.socket("PULL", { RCVHWM: 10, RCVBUF: 4096 });
    for (const pull of [reads, stands]) await pull.connect(endpoint);
    await waitFor(() => push.peers === 2);
    const total = 4000;
    let collected: number[] = [];
    const collecting = (async () => {
      while (collected.length < total / 2) collected = collected.concat(await reads.collect(100));
    })();
    for (let i = 0; i < total; i++) await push.send(`${i}`.padEnd(8000));
    await collecting;
    const rest = async (pull: typeof reads) => (await pull.recvAll(300)).length;
    const [more, few] = await Promise.all([rest(reads), rest(stands)]);
    assert.ok(few < total / 2, `the slow one got ${few}`);
    assert.equal(collected.length + more + few, total);
  });

  for (const weBind of [true, false]) {
    test(`push - a PULL that ${weBind ? "connected" : "bound"} dies; its successor gets the unsent messages`, async () => {
      const log = new SocketLog();
      await using push = scoped(
        new Push({ onEvent: log.onEvent, reconnect: { first: 20, longest: 50 }, hwm: 500 }),
      );
      const total = 3000;
      await using victim = await ZmqPeer.start();
      const dies = await victim.socket("PULL", { RCVHWM: 5 });
      let endpoint = LOCAL;
      if (weBind) await dies.connect(endpoint = await push.bind(LOCAL));
      else push.connect(endpoint = await dies.bind(LOCAL));
      let queued = 0;
      const sending = (async () => {
        for (; queued < total; queued++) await push.send(`${queued}`.padEnd(10_000));
      })();
      assert.deepEqual(await dies.collect(10), numbers(10));
      await settled(() => queued);
      assert.ok(queued < total, "the peer that does not read took it all");
      const waiting = push.unsent;
      assert.ok(waiting >= 500, `${waiting} were waiting`);
      await victim.kill();
      await log.until("disconnected");
      // No queued message is lost, except for the write in progress.
      const kept = push.unsent;
      const taken = queued - kept;
      assert.ok(kept > 400 && kept <= waiting, `${kept} of ${waiting} were kept`);
      await using heir = await peer.socket("PULL");
      if (weBind) await heir.connect(endpoint);
      else await heir.bind(endpoint);
      assert.deepEqual(await heir.collect(total - taken), numbers(total - taken, taken));
      await sending;
      assert.equal(push.unsent, 0);
    });
  }

  test("push - unsent messages of a dead PULL go to the living one before newer messages", async () => {
    const log = new SocketLog();
    await using push = scoped(new Push({ onEvent: log.onEvent, hwm: 300 }));
    const endpoint = await push.bind(LOCAL);
    await using victim = await ZmqPeer.start();
    const dies = await victim.socket("PULL", { RCVHWM: 5 });
    await dies.connect(endpoint);
    let queued = 0;
    const total = 1500;
    const sending = (async () => {
      for (; queued < total; queued++) await push.send(`${queued}`.padEnd(20_000));
    })();
    await dies.collect(1);
    await settled(() => queued);
    await victim.kill();
    await log.until("disconnected");
    const first = queued - push.unsent;
    await using a = await peer.socket("PULL");
    await using b = await peer.socket("PULL");
    await a.connect(endpoint);
    await b.connect(endpoint);
    const shares = await Promise.all([a, b].map((pull) => pull.collect(total, 500)));
    await sending;
    for (const share of shares) assert.deepEqual(share, share.toSorted(ascending));
    assert.deepEqual(shares.flat().sort(ascending), numbers(total - first, first));
    assert.equal(push.unsent, 0);
  });

  test("pull - reads fairly from three PUSHes, and continues when one dies", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    const endpoint = await pull.bind(LOCAL);
    await using victim = await ZmqPeer.start();
    const dies = await victim.socket("PUSH");
    await using a = await peer.socket("PUSH");
    await using b = await peer.socket("PUSH");
    for (const push of [dies, a, b]) await push.connect(endpoint);
    await log.until("connected", 3);
    await Promise.all([a.blast(50, { head: ["61"] }), b.blast(50, { head: ["62"] })]);
    await dies.blast(50, { head: ["63"] });
    const got: Record<string, number[]> = { a: [], b: [], c: [] };
    for (let i = 0; i < 150; i++) {
      const [who, number] = texts(await pull.receive())!;
      got[who!]!.push(Number(number));
    }
    assert.deepEqual(got, { a: numbers(50), b: numbers(50), c: numbers(50) });
    await victim.kill();
    await log.until("disconnected");
    await a.blast(1, { start: 7 });
    assert.deepEqual(texts(await pull.receive()), ["7"]);
  });
});
