/** Failed requests: peers that die, invalid envelopes. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { type IncomingRequest, Rep, Req } from "../../mod.ts";
import { deadline, waitFor } from "../support/helpers.ts";
import { scoped, SocketLog, texts } from "../support/sockets.ts";
import { hex, sharedPeer, test, ZmqPeer } from "../support/zmq_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

describe("libzmq requests", () => {
  const peer = sharedPeer();

  for (const weBind of [true, false]) {
    test(`req - a REP that ${weBind ? "connected" : "bound"} dies before replying; the next one gets the request`, async () => {
      const log = new SocketLog();
      await using req = scoped(new Req({ onEvent: log.onEvent, reconnect: { first: 20, longest: 50 } }));
      await using victim = await ZmqPeer.start();
      const dies = await victim.socket("REP");
      let endpoint = LOCAL;
      if (weBind) await dies.connect(endpoint = await req.bind(LOCAL));
      else req.connect(endpoint = await dies.bind(LOCAL));
      const reply = req.request(["question", ""]);
      assert.deepEqual(await dies.recv(), [hex("question"), ""]);
      await victim.kill();
      await log.until("request-again");
      await using heir = await peer.socket("REP");
      if (weBind) await heir.connect(endpoint);
      else await heir.bind(endpoint);
      assert.deepEqual(await heir.recv(), [hex("question"), ""]);
      await heir.send(hex("answer"));
      assert.deepEqual(texts(await deadline(reply)), ["answer"]);
      assert.equal(log.of("request-again").length, 1);
    });
  }

  test("req - another connected REP gets the request at once", async () => {
    const log = new SocketLog();
    await using req = scoped(new Req({ onEvent: log.onEvent }));
    const endpoint = await req.bind(LOCAL);
    await using victim = await ZmqPeer.start();
    const dies = await victim.socket("REP");
    await dies.connect(endpoint);
    await waitFor(() => req.peers === 1);
    await using lives = await peer.socket("REP");
    await lives.connect(endpoint);
    await waitFor(() => req.peers === 2);
    const first = req.request("1");
    assert.deepEqual(await dies.recv(), [hex("1")]);
    await victim.kill();
    assert.equal(await lives.echo(1), 1);
    assert.deepEqual(texts(await deadline(first)), ["1"]);
  });

  test("req - uses its REPs in turn", async () => {
    await using req = scoped(new Req());
    const endpoint = await req.bind(LOCAL);
    await using a = await peer.socket("REP");
    await using b = await peer.socket("REP");
    for (const [i, rep] of [a, b].entries()) {
      await rep.connect(endpoint);
      await waitFor(() => req.peers === i + 1);
    }
    const echoes = Promise.all([a.echo(3), b.echo(3)]);
    for (let i = 0; i < 6; i++) assert.deepEqual(texts(await req.request(`${i}`)), [`${i}`]);
    assert.deepEqual(await echoes, [3, 3]);
  });

  test("req - ignores a ROUTER's reply without a delimiter, or without a body after it", async () => {
    await using req = scoped(new Req());
    await using router = await peer.socket("ROUTER");
    req.connect(await router.bind(LOCAL));
    const reply = req.request("question");
    const [id, delimiter, body] = await router.recv() ?? [];
    assert.deepEqual([delimiter, body], ["", hex("question")]);
    await router.send(id!, hex("no delimiter"));
    await router.send(id!, hex("x"), "", hex("late delimiter"));
    await router.send(id!, "");
    await router.send(id!, "", hex("answer"), "");
    assert.deepEqual(texts(await deadline(reply)), ["answer", ""]);
    const next = req.request("second");
    await router.recv();
    await router.send(id!, "", hex("second answer"));
    assert.deepEqual(texts(await deadline(next)), ["second answer"]);
  });

  test("rep - replies in any order to several outstanding requests of a DEALER", async () => {
    await using rep = scoped(new Rep());
    const endpoint = await rep.bind(LOCAL);
    await using a = await peer.socket("DEALER");
    await using b = await peer.socket("DEALER");
    for (const dealer of [a, b]) await dealer.connect(endpoint);
    for (const id of ["1", "2", "3"]) await a.send(hex("a"), hex(id), "", hex(`a${id}`));
    await b.send("", hex("b1"));
    const requests: IncomingRequest[] = [];
    for (let i = 0; i < 4; i++) requests.push((await rep.receive())!);
    assert.deepEqual(requests.map((one) => texts(one.frames)![0]).sort(), ["a1", "a2", "a3", "b1"]);
    for (const one of requests.toReversed()) one.reply(["re", ...one.frames]);
    for (const id of ["3", "2", "1"]) {
      assert.deepEqual(await a.recv(), [hex("a"), hex(id), "", hex("re"), hex(`a${id}`)]);
    }
    assert.deepEqual(await b.recv(), ["", hex("re"), hex("b1")]);
    assert.throws(() => requests[0]!.reply("again"), /twice/);
  });

  test("rep - drops a request without a delimiter, or without a body after it", async () => {
    await using rep = scoped(new Rep());
    await using dealer = await peer.socket("DEALER");
    await dealer.connect(await rep.bind(LOCAL));
    await dealer.send(hex("no delimiter"));
    await dealer.send(hex("no"), hex("delimiter"));
    await dealer.send("");
    await dealer.send(hex("id"), "");
    await dealer.send("", "");
    const request = await rep.receive();
    assert.deepEqual(texts(request?.frames), [""]);
    request!.reply("");
    assert.deepEqual(await dealer.recv(), ["", ""]);
    assert.deepEqual(await dealer.recvAll(50), []);
  });

  test("rep - drops the reply to a dead peer, and serves others", async () => {
    const log = new SocketLog();
    await using rep = scoped(new Rep({ onEvent: log.onEvent }));
    const endpoint = await rep.bind(LOCAL);
    await using victim = await ZmqPeer.start();
    const dies = await victim.socket("REQ");
    await dies.connect(endpoint);
    await dies.send(hex("last words"));
    const request = await rep.receive();
    await victim.kill();
    await log.until("disconnected");
    request!.reply("too late");
    await using lives = await peer.socket("REQ");
    await lives.connect(endpoint);
    await lives.send(hex("hello"));
    (await rep.receive())!.reply("there you are");
    assert.deepEqual(await lives.recv(), [hex("there you are")]);
    assert.equal(rep.unsent, 0);
  });

  test("rep - loses no reply when many requests arrive in one segment and the peer reads slowly", async () => {
    await using rep = scoped(new Rep({ hwm: 10 }));
    await using dealer = await peer.socket("DEALER", { RCVHWM: 100 });
    await dealer.connect(await rep.bind(LOCAL));
    const count = 3000;
    const served = (async () => {
      for (let i = 0; i < count; i++) {
        const request = (await rep.receive())!;
        request.reply(["".padEnd(2000), ...request.frames]);
      }
    })();
    await dealer.blast(count, { head: [""] });
    const numbers = await dealer.collect(count);
    assert.equal(numbers.length, count);
    assert.ok(numbers.every((number, i) => number === i), "out of order");
    await served;
  });
});
