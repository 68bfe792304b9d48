/** PAIR, DEALER and ROUTER against libzmq, in both roles. */
import assert from "node:assert/strict";
import { after, describe } from "node:test";
import { Dealer, Pair, Router } from "../../mod.ts";
import { numbers, scoped, texts } from "../support/sockets.ts";
import { links, linksDir, MESSAGES } from "./zmq_links.ts";
import { asPrinted, bytesOf, hex, sharedPeer, test } from "../support/zmq_peer.ts";

const COUNT = 2000;

describe("libzmq pair, dealer and router", () => {
  const dir = linksDir();
  const peer = sharedPeer();
  after(() => dir.remove());

  for (const link of links(dir.path).filter(({ name }) => /^(tcp|ipc),/.test(name))) {
    test(`pair - sends and receives at the same time over ${link.name}`, async () => {
      await using pair = scoped(new Pair());
      await using theirs = await peer.socket("PAIR");
      await link.join(pair, theirs);
      for (const message of MESSAGES) {
        const frames = message.map(bytesOf);
        await theirs.send(...message);
        assert.deepEqual(asPrinted(await pair.receive()), asPrinted(frames));
        await pair.send(frames);
        assert.deepEqual(await theirs.recv(), asPrinted(frames));
      }
      const echoed = theirs.echo(COUNT);
      const sending = (async () => {
        for (let i = 0; i < COUNT; i++) await pair.send(`${i}`);
      })();
      for (let i = 0; i < COUNT; i++) assert.deepEqual(texts(await pair.receive()), [`${i}`]);
      await Promise.all([echoed, sending]);
    });

    for (const type of ["DEALER", "ROUTER", "REP"]) {
      test(`dealer - to ${type} over ${link.name}`, async () => {
        await using dealer = scoped(new Dealer());
        // A ROUTER or REP of libzmq drops a reply when 1000 replies already wait for the peer.
        await using theirs = await peer.socket(type, { SNDHWM: 0 });
        await link.join(dealer, theirs);
        const head = type === "REP" ? [""] : [];
        const echoed = theirs.echo(MESSAGES.length + COUNT);
        for (const message of MESSAGES) {
          const frames = [...head, ...message].map(bytesOf);
          await dealer.send(frames);
          assert.deepEqual(asPrinted(await dealer.receive()), asPrinted(frames));
        }
        const sending = (async () => {
          for (let i = 0; i < COUNT; i++) await dealer.send([...head, `${i}`]);
        })();
        for (let i = 0; i < COUNT; i++) assert.equal(texts(await dealer.receive())!.at(-1), `${i}`);
        await Promise.all([echoed, sending]);
      });
    }

    for (const type of ["DEALER", "ROUTER"]) {
      test(`router - to ${type} over ${link.name}, by the routing id of the peer`, async () => {
        await using router = scoped(new Router());
        await using theirs = await peer.socket(type, {
          IDENTITY: hex("worker 7"),
          ...(type === "ROUTER" ? { PROBE_ROUTER: 1 } : {}),
        });
        await link.join(router, theirs);
        let head: string[] = [];
        if (type === "ROUTER") {
          assert.deepEqual(texts(await theirs.pokeUntil(router.receive())), ["worker 7", ""]);
          await router.send(["worker 7", "hello"]);
          head = [(await theirs.recv())![0]!];
        }
        for (const message of MESSAGES) {
          const frames = message.map(bytesOf);
          await theirs.send(...head, ...message);
          const [id, ...rest] = (await router.receive())!;
          assert.deepEqual(texts([id!]), ["worker 7"]);
          assert.deepEqual(asPrinted(rest), asPrinted(frames));
          await router.send([id!, ...rest]);
          assert.deepEqual(await theirs.recv(), [...head, ...asPrinted(frames)!]);
        }
      });
    }

    test(`router - answers REQ over ${link.name}`, async () => {
      await using router = scoped(new Router());
      await using req = await peer.socket("REQ");
      await link.join(router, req);
      for (let i = 0; i < 100; i++) {
        await req.send(hex(`${i}`));
        const [id, delimiter, body] = (await router.receive())!;
        assert.deepEqual([id!.length, id![0], delimiter!.length], [5, 0, 0]);
        await router.send([id!, delimiter!, body!, "done"]);
        assert.deepEqual(await req.recv(), [hex(`${i}`), hex("done")]);
      }
    });

    test(`router - libzmq's ROUTER addresses our dealer by its routing id over ${link.name}`, async () => {
      await using dealer = scoped(new Dealer({ identity: "dealer 1" }));
      await using router = await peer.socket("ROUTER");
      await link.join(dealer, router);
      await dealer.send("hello");
      assert.deepEqual(await router.recv(), [hex("dealer 1"), hex("hello")]);
      await router.send(hex("dealer 1"), hex("world"));
      assert.deepEqual(texts(await dealer.receive()), ["world"]);
    });
  }

  test("dealer - distributes evenly to several libzmq workers, and gets every reply", async () => {
    await using dealer = scoped(new Dealer());
    const endpoint = await dealer.bind("tcp://127.0.0.1:0");
    const workers = await Promise.all(
      numbers(3).map(async () => {
        const worker = await peer.socket("DEALER");
        await worker.connect(endpoint);
        return worker;
      }),
    );
    while (dealer.peers < 3) await dealer.change();
    const echoes = workers.map((worker) => worker.echo(100));
    const got: number[] = [];
    for (let i = 0; i < 300; i++) await dealer.send(`${i}`);
    for (let i = 0; i < 300; i++) got.push(Number(texts(await dealer.receive())![0]));
    assert.deepEqual(got.sort((a, b) => a - b), numbers(300));
    assert.deepEqual(await Promise.all(echoes), [100, 100, 100]);
    for (const worker of workers) await worker.close();
  });
});
