/** XPUB and XSUB against libzmq's XPUB, XSUB, PUB and SUB. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { XPub, XSub } from "../../mod.ts";
import { numbers, scoped, texts } from "../support/sockets.ts";
import { links, linksDir, MESSAGES } from "./zmq_links.ts";
import { asPrinted, bytesOf, hex, sharedPeer, test } from "../support/zmq_peer.ts";

const COUNT = 2000;

describe("libzmq xpub and xsub", () => {
  const dir = linksDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  for (const link of links(dir.path).filter(({ name }) => /^(tcp|ipc),/.test(name))) {
    test(`xpub - to SUB over ${link.name}`, async () => {
      await using xpub = scoped(new XPub({ onFull: "block" }));
      await using sub = await peer.socket("SUB");
      await sub.subscribe("a");
      await sub.subscribe("");
      await link.join(xpub, sub);
      const first = [texts(await sub.pokeUntil(xpub.receive())), texts(await xpub.receive())];
      assert.deepEqual(first, [["\x01"], ["\x01a"]]);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await xpub.send(frames);
        assert.deepEqual(await sub.recv(), asPrinted(frames));
      }
      const collected = sub.collect(COUNT);
      for (let i = 0; i < COUNT; i++) await xpub.send(`${i}`);
      assert.deepEqual(await collected, numbers(COUNT));
      await sub.unsubscribe("a");
      assert.deepEqual(texts(await xpub.receive()), ["\x00a"]);
      await sub.close();
      assert.deepEqual(texts(await xpub.receive()), ["\x00"]);
    });

    test(`xpub - to XSUB over ${link.name}, and receives its other messages`, async () => {
      await using xpub = scoped(new XPub());
      await using xsub = await peer.socket("XSUB");
      await link.join(xpub, xsub);
      await xsub.send(hex("\x01news"));
      assert.deepEqual(texts(await xsub.pokeUntil(xpub.receive())), ["\x01news"]);
      await xsub.send(hex("hello"), hex("there"));
      await xsub.send(hex("\x00news"));
      assert.deepEqual(texts(await xpub.receive()), ["hello", "there"]);
      assert.deepEqual(texts(await xpub.receive()), ["\x00news"]);
    });

    for (const type of ["PUB", "XPUB"]) {
      test(`xsub - from ${type} over ${link.name}`, async () => {
        await using xsub = scoped(new XSub());
        await using pub = await peer.socket(type);
        await xsub.send("\x01");
        await link.join(xsub, pub);
        // A PUB does not report subscriptions: the first message that arrives shows it.
        if (type === "XPUB") assert.deepEqual(await pub.recv(), ["01"]);
        else {
          let came = false;
          const first = xsub.receive().then(() => came = true);
          while (!came) await pub.send("00");
          await first;
          await pub.send(hex("marker"));
          while (texts(await xsub.receive())![0] !== "marker");
        }
        for (const message of MESSAGES) {
          await pub.send(...message);
          assert.deepEqual(asPrinted(await xsub.receive()), asPrinted(message.map(bytesOf)));
        }
        if (type === "PUB") return;
        await xsub.send(["from", "below"]);
        assert.deepEqual(await pub.recv(), [hex("from"), hex("below")]);
        await xsub.send("\x00");
        assert.deepEqual(await pub.recv(), ["00"]);
      });
    }
  }

  test("xsub - subscribes again when a libzmq publisher comes back", async () => {
    await using xsub = scoped(new XSub({ reconnect: { first: 10, longest: 50 } }));
    xsub.subscribe("a");
    xsub.subscribe("b");
    xsub.subscribe("a");
    const first = await peer.socket("XPUB");
    const endpoint = await first.bind("tcp://127.0.0.1:0");
    xsub.connect(endpoint);
    assert.deepEqual([await first.recv(), await first.recv()], [[hex("\x01a")], [hex("\x01b")]]);
    await first.close();
    await using second = await peer.socket("XPUB");
    await second.bind(endpoint);
    assert.deepEqual([await second.recv(), await second.recv()], [[hex("\x01a")], [hex("\x01b")]]);
  });
});
