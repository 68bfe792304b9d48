/** REQ and REP with each other, and with peers that violate the protocol. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, type IncomingRequest, Rep, Req } from "../../../../mod.ts";
import { deadline, TestPeer, waitFor } from "../../../support/helpers.ts";
import { inproc, numbers, SocketLog, texts } from "../../../support/sockets.ts";
import { frame, greeting, hexOf, rawListener, RawPeer, ready } from "../../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";
/** A request or reply on the wire: the delimiter and the body. */
const wrapped = (...bodies: string[]) => [
  frame("", 1),
  ...bodies.slice(0, -1).map((body) => frame(body, 1)),
  frame(bodies.at(-1)!),
];
const wire = (...bodies: string[]) => wrapped(...bodies).map(hexOf).join("");

describe("req", () => {
  it("request - is sent with a delimiter, and its reply is returned without it", async () => {
    await using req = new Req();
    using peer = await RawPeer.dial(await req.bind(LOCAL));
    await peer.greet("REP");
    const reply = req.request(["a", "", "b"]);
    assert.equal(hexOf(await peer.take(8 + 2)), wire("a", "", "b"));
    peer.send(...wrapped("", "c", ""));
    assert.deepEqual(texts(await deadline(reply)), ["", "c", ""]);
    assert.match(req.lastPeer, /^tcp:\/\/127\.0\.0\.1:\d+$/);
  });

  it("request - a second request before the reply is an error, with or without a peer", async () => {
    const name = inproc();
    await using req = new Req();
    await using rep = new Rep();
    const first = req.request("1");
    await assert.rejects(req.request("2"), /another one waits/);
    await rep.bind(name);
    req.connect(name);
    const request = await deadline(rep.receive());
    await assert.rejects(req.request("3"), /another one waits/);
    request!.reply("one");
    assert.deepEqual(texts(await deadline(first)), ["one"]);
    const fourth = req.request("4");
    (await deadline(rep.receive()))!.reply("four");
    assert.deepEqual(texts(await deadline(fourth)), ["four"]);
  });

  it("request - only the peer that received it can answer, and only once", async () => {
    await using req = new Req();
    const endpoint = await req.bind(LOCAL);
    using a = await RawPeer.dial(endpoint);
    await a.greet("REP");
    await waitFor(() => req.peers === 1);
    using b = await RawPeer.dial(endpoint);
    await b.greet("REP");
    await waitFor(() => req.peers === 2);
    b.send(...wrapped("unasked"));
    const first = req.request("1");
    assert.equal(hexOf(await a.take(5)), wire("1"));
    b.send(...wrapped("not yours"));
    a.send(frame("no delimiter"), frame("", 0), ...wrapped("one"), ...wrapped("and another one"));
    assert.deepEqual(texts(await deadline(first)), ["one"]);
    const second = req.request("2");
    assert.equal(hexOf(await b.take(5)), wire("2"));
    a.send(...wrapped("late"));
    b.send(...wrapped("two"));
    assert.deepEqual(texts(await deadline(second)), ["two"]);
  });

  it("abort - rejects with the reason, and a late reply is not taken for the next one", async () => {
    await using listener = await rawListener();
    await using req = new Req({ reconnect: { first: 1, longest: 5 } });
    req.connect(listener.endpoint);
    const first = await listener.peer(0);
    await first.greet("REP");
    const reason = new Error("too late");
    const abort = new AbortController();
    const asked = req.request("1", { signal: abort.signal });
    await first.take(5);
    abort.abort(reason);
    await assert.rejects(deadline(asked), reason);
    const next = req.request("2");
    first.send(...wrapped("answer to 1"));
    const second = await listener.peer(1);
    await second.greet("REP");
    assert.equal(hexOf(await second.take(5)), wire("2"));
    second.send(...wrapped("answer to 2"));
    assert.deepEqual(texts(await deadline(next)), ["answer to 2"]);
  });

  it("abort - sends nothing before there is a peer", async () => {
    const name = inproc();
    await using req = new Req();
    const abort = new AbortController();
    const waiting = req.request("1", { signal: abort.signal });
    abort.abort(new Error("enough"));
    await assert.rejects(deadline(waiting), /enough/);
    await using rep = new Rep();
    await rep.bind(name);
    req.connect(name);
    await waitFor(() => req.peers === 1);
    const reply = req.request("2");
    const request = await deadline(rep.receive());
    assert.deepEqual(texts(request!.frames), ["2"]);
    request!.reply("");
    assert.deepEqual(texts(await deadline(reply)), [""]);
  });

  it("loss - the request is sent to the next peer when a peer disconnects before its reply, repeatedly", async () => {
    const log = new SocketLog();
    await using req = new Req({ onEvent: log.onEvent });
    const endpoint = await req.bind(LOCAL);
    const reply = req.request("still?");
    for (let i = 0; i < 5; i++) {
      using peer = await RawPeer.dial(endpoint);
      await peer.greet("REP");
      assert.equal(hexOf(await peer.take(wire("still?").length / 2)), wire("still?"));
      if (i === 4) {
        peer.send(...wrapped("yes"));
        assert.deepEqual(texts(await deadline(reply)), ["yes"]);
      } else peer.close();
    }
    assert.equal(log.of("request-again").length, 4);
  });
});

describe("rep", () => {
  it("reply - a second reply and a reply without frames are errors", async () => {
    const name = inproc();
    await using rep = new Rep();
    await using req = new Req();
    await rep.bind(name);
    req.connect(name);
    const reply = req.request("q");
    const request = (await deadline(rep.receive()))!;
    assert.throws(() => request.reply([]), TypeError);
    request.reply("a");
    assert.throws(() => request.reply("b"), /twice/);
    assert.deepEqual(texts(await deadline(reply)), ["a"]);
  });

  it("iteration - serves concurrent requests, each with its own reply", async () => {
    const name = inproc();
    const rep = new Rep();
    await rep.bind(name);
    const serving = (async () => {
      for await (const request of rep) request.reply(["re", ...request.frames]);
    })();
    const reqs = numbers(20).map(() => new Req());
    for (const req of reqs) req.connect(name);
    for (let round = 0; round < 5; round++) {
      const replies = await deadline(Promise.all(reqs.map((req, i) => req.request(`${i}.${round}`))));
      assert.deepEqual(replies.map(texts), reqs.map((_, i) => ["re", `${i}.${round}`]));
    }
    await Promise.all(reqs.map((req) => req.close()));
    await rep.close();
    await deadline(serving);
  });

  it("envelope - all frames up to the first empty one are returned unchanged", async () => {
    await using rep = new Rep();
    using peer = await RawPeer.dial(await rep.bind(LOCAL));
    await peer.greet("DEALER");
    peer.send(frame("r1", 1), frame("r2", 1), frame("", 1), frame("", 1), frame("q"));
    const request = (await deadline(rep.receive()))!;
    assert.deepEqual(texts(request.frames), ["", "q"]);
    request.reply(["", "a"]);
    const expected = [frame("r1", 1), frame("r2", 1), frame("", 1), frame("", 1), frame("a")].map(hexOf).join(
      "",
    );
    assert.equal(hexOf(await peer.take(expected.length / 2)), expected);
  });

  it("slow reader - its requests wait until it reads its replies; other peers are served, and no reply is lost", async () => {
    const [slow, quick] = [inproc(), inproc()];
    await using rep = new Rep({ hwm: 5 });
    await rep.bind(slow);
    await rep.bind(quick);
    let served = 0;
    const serving = (async () => {
      for await (const request of rep) {
        served++;
        request.reply(request.frames);
      }
    })();
    // A DEALER by hand: many requests in one piece, from a peer that does not read.
    const dealer = new TestPeer(await connect(slow));
    await dealer.write(greeting());
    await dealer.write(ready("DEALER"));
    await dealer.atLeast(64 + 27);
    dealer.stream.pause();
    const requests = numbers(100).flatMap((i) => wrapped(`${i}`));
    await dealer.write(new Uint8Array(requests.flatMap((part) => [...part])));
    await waitFor(() => served >= 6);
    await using req = new Req();
    req.connect(quick);
    for (let i = 0; i < 20; i++) assert.deepEqual(texts(await deadline(req.request(`${i}`))), [`${i}`]);
    assert.ok(served - 20 < 20, `${served - 20} requests of the slow one were served`);
    dealer.stream.resume();
    const expected = requests.map(hexOf).join("");
    const all = await dealer.atLeast(64 + 27 + expected.length / 2);
    assert.equal(hexOf(all.slice(64 + 27)), expected);
    dealer.stream.close();
    await rep.close();
    await deadline(serving);
  });

  it("slow reader - its waiting requests are dropped when it disconnects", async () => {
    const log = new SocketLog();
    await using rep = new Rep({ hwm: 2, onEvent: log.onEvent });
    const endpoint = await rep.bind(LOCAL);
    const held: IncomingRequest[] = [];
    using gone = await RawPeer.dial(endpoint);
    await gone.greet("DEALER");
    for (let i = 0; i < 50; i++) gone.send(...wrapped("x"));
    for (let i = 0; i < 2; i++) held.push((await deadline(rep.receive()))!);
    gone.close();
    for (const request of held) request.reply("to nobody");
    using lives = await RawPeer.dial(endpoint);
    await lives.greet("REQ");
    lives.send(...wrapped("mine"));
    await waitFor(async () => {
      const request = (await rep.receive())!;
      request.reply("re");
      return texts(request.frames)![0] === "mine";
    });
    assert.equal(hexOf(await lives.take(6)), wire("re"));
    await log.until("disconnected");
    assert.equal(rep.unsent, 0);
  });
});
