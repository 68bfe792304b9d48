/** Back-pressure: when senders are held back, and when slow readers are kept. */
import assert from "node:assert/strict";
import net from "node:net";
import { describe, it } from "node:test";
import { type IncomingRequest, Pub, Pull, Push, Rep, Router, Sub, XPub, XSub } from "../../../mod.ts";
import { deadline, tempDir, waitFor } from "../../support/helpers.ts";
import { batchOf, inproc, numbers, SocketLog } from "../../support/sockets.ts";
import { bytes, command, frame, RawPeer } from "../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** Lets the runtime deliver data that has already arrived. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until `look` returns the same value for 200 ms. */
async function still(look: () => number): Promise<number> {
  let last = look();
  let since = performance.now();
  await waitFor(() => {
    if (look() !== last) [last, since] = [look(), performance.now()];
    return last > 0 && performance.now() - since > 200;
  });
  return last;
}

describe("pressure - topics", () => {
  it("pub - topics that were given up do not count for the limit", async () => {
    await using pub = new Pub();
    await using sub = new Sub();
    sub.connect(await pub.bind(inproc()));
    const large = new Uint8Array(8 * 2 ** 20);
    for (let round = 0; round < 10; round++) {
      sub.subscribe(large);
      await waitFor(() => pub.subscribers === 1);
      sub.unsubscribe(large);
      await waitFor(() => pub.subscribers === 0);
    }
    sub.subscribe("");
    await waitFor(() => pub.subscribers === 1);
    await pub.send("still here");
    assert.equal(new TextDecoder().decode((await deadline(sub.receive()))![0]), "still here");
  });
});

describe("pressure - a consumer that pauses", () => {
  it("consume - each resume delivers the messages of one peer, and all peers stay paused after pause", async () => {
    await using pull = new Pull();
    const came = new Map<string, number>();
    const batches: string[] = [];
    pull.consume((batch, from) => {
      batches.push(from.remote);
      came.set(from.remote, (came.get(from.remote) ?? 0) + batch.messages);
      pull.pause();
    });
    const endpoint = await pull.bind(LOCAL);
    const each = 1500;
    const flood = numbers(each).map(() => frame("x".repeat(1000)));
    const peers = await Promise.all(numbers(3).map(() => RawPeer.dial(endpoint)));
    try {
      await Promise.all(peers.map((peer) => peer.greet("PUSH")));
      await waitFor(() => pull.peers === peers.length);
      for (const peer of peers) peer.send(...flood);
      await waitFor(() => batches.length > 0);
      await turns(20);
      const total = () => [...came.values()].reduce((sum, count) => sum + count, 0);
      while (total() < each * peers.length) {
        batches.length = 0;
        pull.resume();
        await waitFor(() => batches.length > 0, 5000, "a batch after resume");
        await turns(20);
        // A chunk that completes an earlier message may be delivered as two batches.
        assert.ok(
          new Set(batches).size === 1 && batches.length <= 2,
          `${batches.length} batches came: ${batches}`,
        );
      }
      assert.deepEqual([...came.values()], peers.map(() => each));
    } finally {
      for (const peer of peers) peer.close();
    }
  });
});

describe("pressure - hwmBytes of an inbox", () => {
  const SIZE = 200_000;
  const LIMITS = { hwmBytes: 1_000_000 };

  it("pull - the queue of received messages stays below it", async () => {
    const name = inproc();
    await using pull = new Pull(LIMITS);
    await using push = new Push({ hwm: 1 });
    await pull.bind(name);
    push.connect(name);
    let sent = 0;
    const total = 50;
    const sending = (async () => {
      for (; sent < total; sent++) await push.send(`${sent}`.padEnd(SIZE));
    })();
    await still(() => sent);
    // Five fill the inbox; a few more are in transit.
    assert.ok(sent >= 5 && sent <= 9, `${sent} were taken`);
    for (let i = 0; i < total; i++) {
      assert.equal(Number(new TextDecoder().decode((await deadline(pull.receive()))![0])), i);
    }
    await deadline(sending);
  });

  for (const kind of ["pull", "rep"] as const) {
    it(`${kind} - pauses a peer over TCP, and receives all its messages later`, async () => {
      await using socket = kind === "pull" ? new Pull(LIMITS) : new Rep(LIMITS);
      using peer = await RawPeer.dial(await socket.bind(LOCAL));
      await peer.greet(kind === "pull" ? "PUSH" : "DEALER");
      const total = 300;
      let sent = 0;
      const sending = (async () => {
        for (; sent < total; sent++) {
          const body = frame(`${sent}`.padEnd(SIZE));
          await peer.flush(...(kind === "pull" ? [body] : [frame("", 1), body]));
        }
      })();
      await still(() => sent);
      assert.ok(sent < total / 2, `${sent} of ${total} went to a receiver that takes nothing`);
      for (let i = 0; i < total; i++) {
        const message = (await deadline<Uint8Array[] | IncomingRequest | undefined>(socket.receive()))!;
        const [body] = "frames" in message ? message.frames : message;
        assert.equal(Number(new TextDecoder().decode(body)), i);
      }
      await deadline(sending);
    });
  }
});

describe("pressure - dropAfter", () => {
  it("dropAfter - a slow subscriber loses nothing; a stalled one loses messages", async () => {
    using dir = tempDir();
    const log = new SocketLog();
    await using pub = new Pub({ hwm: 1, dropAfter: 500, onEvent: log.onEvent });
    // A Unix socket has small buffers, whatever the system settings are.
    await pub.bind(`ipc://${dir.file("s")}`);
    const socket = net.connect(dir.file("s"));
    using peer = new RawPeer(socket);
    let standing = false;
    socket.on("data", (chunk) => {
      socket.pause();
      // About 2 MB per second: one message, which is one write, takes twice as long as `dropAfter`.
      if (!standing) setTimeout(() => standing || socket.resume(), chunk.length / 2000);
    });
    await peer.greet("SUB");
    peer.send(frame(bytes("01")));
    await waitFor(() => pub.subscribers === 1);
    const total = 4;
    const before = peer.length;
    for (let i = 0; i < total; i++) await deadline(pub.send("x".repeat(2_000_000)));
    await peer.atLeast(before + total * 2_000_009);
    assert.equal(pub.dropped, 0);
    standing = true;
    for (let i = 0; i < total; i++) await deadline(pub.send("y".repeat(2_000_000)));
    assert.ok(pub.dropped > 0 && pub.dropped < total, `${pub.dropped} were dropped`);
    assert.equal(log.of("dropping").length, 1);
  });
});

describe("pressure - a peer that does not read", () => {
  it("router - unsent messages of a disconnected peer are counted as dropped", async () => {
    using dir = tempDir();
    await using router = new Router();
    let id: Uint8Array | undefined;
    router.consume((batch) => id = batch.frame(0).slice());
    await router.bind(`ipc://${dir.file("s")}`);
    const socket = net.connect(dir.file("s"));
    using peer = new RawPeer(socket);
    await peer.greet("DEALER");
    peer.send(frame("hello"));
    await waitFor(() => id !== undefined);
    socket.pause();
    const total = 5;
    for (let i = 0; i < total; i++) await router.send([id!, "x".repeat(2_000_000)]);
    assert.equal(router.dropped, 0);
    assert.equal(router.unsent, total);
    peer.close();
    await waitFor(() => router.peers === 0);
    assert.equal(router.dropped, total);
    assert.equal(await router.close(), 0);
  });

  it("xsub - a publisher that does not read is disconnected before its subscriptions fill the memory", async () => {
    using dir = tempDir();
    const log = new SocketLog();
    await using xsub = new XSub({ hwmBytes: 1, onEvent: log.onEvent });
    await xsub.bind(`ipc://${dir.file("s")}`);
    const socket = net.connect(dir.file("s"));
    using peer = new RawPeer(socket);
    await peer.greet("XPUB");
    await waitFor(() => xsub.peers === 1);
    socket.pause();
    const topic = "t".repeat(4_000_000);
    for (let i = 0; i < 5; i++) {
      xsub.subscribe(topic);
      xsub.unsubscribe(topic);
    }
    const { error } = await log.until("disconnected");
    assert.match(error!.message, /does not read our subscriptions/);
  });

  it("xpub - gathers no messages for a full peer that subscribes repeatedly", async () => {
    await using xpub = new XPub({ hwm: 1, verbose: "subscribe" });
    let gathered = 0;
    xpub.consume((batch, from) => {
      for (let i = 0; i < batch.messages; i++) {
        xpub.sendTo(from, () => {
          gathered++;
          return batchOf(["a value"]);
        });
      }
    });
    using peer = await RawPeer.dial(await xpub.bind(LOCAL));
    await peer.greet("SUB");
    const total = 50;
    peer.send(...numbers(total).map(() => command(bytes("09 'SUBSCRIBE' 't'"))));
    await waitFor(() => gathered + xpub.dropped >= total);
    assert.equal(gathered + xpub.dropped, total);
    assert.ok(xpub.dropped > 0, "all were gathered, though one message fits");
  });
});
