/** The three devices of `forward` between libzmq peers on different transports. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Dealer, forward, Pull, Push, Router, XPub, XSub } from "../../mod.ts";
import { tempDir } from "../support/helpers.ts";
import { numbers, scoped } from "../support/sockets.ts";
import { MESSAGES } from "./zmq_links.ts";
import { asPrinted, bytesOf, hex, sharedPeer, test } from "../support/zmq_peer.ts";

const COUNT = 5000;

describe("libzmq proxy", () => {
  const dir = tempDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  test("streamer - forwards every frame from PUSH to PULL, in order", async () => {
    await using from = scoped(new Pull());
    await using to = scoped(new Push());
    forward(from, to);
    await using push = await peer.socket("PUSH");
    await using pull = await peer.socket("PULL");
    await push.connect(await from.bind("tcp://127.0.0.1:0"));
    await pull.connect(await to.bind(`ipc://${dir.file("jobs")}`));
    for (const message of MESSAGES) {
      await push.send(...message);
      assert.deepEqual(await pull.recv(), asPrinted(message.map(bytesOf)));
    }
    const sent = push.blast(COUNT, { pad: 100 });
    assert.deepEqual(await pull.collect(COUNT), numbers(COUNT));
    await sent;
  });

  test("forwarder - forwards subscriptions to XPUB and messages to SUB, and both ends", async () => {
    await using from = scoped(new XSub());
    await using to = scoped(new XPub({ onFull: "block" }));
    forward(from, to);
    forward(to, from);
    await using pub = await peer.socket("XPUB");
    const sub = await peer.socket("SUB", { RCVHWM: 0 });
    from.connect(await pub.bind("tcp://127.0.0.1:0"));
    await sub.subscribe("a");
    await sub.connect(await to.bind(`ipc://${dir.file("feed")}`));
    assert.deepEqual(await pub.recv(), [hex("\x01a")]);
    for (const topic of ["b", "a", "ab"]) await pub.send(hex(topic), hex(`for ${topic}`));
    assert.deepEqual(await sub.recv(), [hex("a"), hex("for a")]);
    assert.deepEqual(await sub.recv(), [hex("ab"), hex("for ab")]);
    await pub.option("SNDHWM", 0);
    const sent = pub.blast(COUNT, { head: [hex("a")] });
    assert.deepEqual(await sub.collect(COUNT), numbers(COUNT));
    await sent;
    await sub.close();
    assert.deepEqual(await pub.recv(), [hex("\x00a")]);
  });

  test("queue - forwards requests of several REQs to several REPs, and each reply to its REQ", async () => {
    await using from = scoped(new Router());
    await using to = scoped(new Dealer());
    forward(from, to);
    forward(to, from);
    const clients = [await from.bind("tcp://127.0.0.1:0"), await to.bind(`ipc://${dir.file("work")}`)];
    const reps = [await peer.socket("REP"), await peer.socket("REP")];
    for (const rep of reps) await rep.connect(clients[1]!);
    while (to.peers < 2) await to.change();
    const served = reps.map((rep) => rep.echo(50));
    await Promise.all(
      numbers(4).map(async (who) => {
        await using req = await peer.socket("REQ");
        await req.connect(clients[0]!);
        for (let n = 0; n < 25; n++) {
          await req.send(hex(`${who}.${n}`), "");
          assert.deepEqual(await req.recv(), [hex(`${who}.${n}`), ""]);
        }
      }),
    );
    assert.deepEqual(await Promise.all(served), [50, 50]);
    for (const rep of reps) await rep.close();
  });
});
