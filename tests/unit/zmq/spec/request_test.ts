/** spec_req, spec_rep, req_correlate, req_relaxed, invalid_rep: the cases of libzmq's tests with these names. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, Dealer, Rep, Req, Router } from "../../../../mod.ts";
import { deadline, waitFor } from "../../../support/helpers.ts";
import { inproc, numbers, texts } from "../../../support/sockets.ts";
import { bytes, command, frame, rawListener } from "../../../support/raw_peer.ts";

const LOCAL = "tcp://127.0.0.1:0";

/** A REQ with a ROUTER that the test controls. */
async function withRouter(options: ConstructorParameters<typeof Req>[0] = {}) {
  const router = new Router();
  const req = new Req(options);
  req.connect(await router.bind(LOCAL));
  return {
    router,
    req,
    async [Symbol.asyncDispose]() {
      await Promise.all([req.close(), router.close()]);
    },
  };
}

describe("spec request", () => {
  it("spec_req - requests are sent to the services in turn, and each reply comes from the service of its request", async () => {
    await using req = new Req();
    const services = await Promise.all(
      numbers(3).map(async (i) => {
        const rep = new Rep();
        req.connect(await rep.bind(LOCAL));
        (async () => {
          for await (const request of rep) request.reply([...request.frames, `${i}`]);
        })();
        return rep;
      }),
    );
    await waitFor(() => req.peers === 3);
    const askers = [];
    for (let i = 0; i < 6; i++) askers.push(texts(await deadline(req.request(`${i}`)))![1]);
    assert.deepEqual(askers.slice(0, 3).sort(), ["0", "1", "2"]);
    assert.deepEqual(askers.slice(3), askers.slice(0, 3));
    await Promise.all(services.map((rep) => rep.close()));
  });

  it("spec_req - a message is an empty frame and the body on the wire, and only such a message is a reply", async () => {
    await using it = await withRouter();
    const reply = it.req.request(["a", "", "b"]);
    const [id, ...frames] = (await deadline(it.router.receive()))!;
    assert.deepEqual(texts(frames), ["", "a", "", "b"]);
    // Without an empty frame, or without a body after it, a message is not a reply.
    await it.router.send([id!, "no", "delimiter"]);
    await it.router.send([id!, ""]);
    await it.router.send([id!, "", "yes", ""]);
    assert.deepEqual(texts(await deadline(reply)), ["yes", ""]);
  });

  it("spec_req - works in lockstep: a second request before the reply is an error", async () => {
    await using it = await withRouter();
    const first = it.req.request("first");
    await assert.rejects(it.req.request("second"), /another one waits for its reply/);
    const [id, delimiter] = (await deadline(it.router.receive()))!;
    await it.router.send([id!, delimiter!, "done"]);
    assert.deepEqual(texts(await deadline(first)), ["done"]);
  });

  it("spec_req - blocks without a service", async () => {
    await using req = new Req();
    const endpoint = inproc();
    req.connect(endpoint);
    const reply = req.request("hello");
    await using rep = new Rep();
    await rep.bind(endpoint);
    const request = (await deadline(rep.receive()))!;
    request.reply("there");
    assert.deepEqual(texts(await deadline(reply)), ["there"]);
  });

  it("spec_rep - fair queueing: each of several clients is served, and receives its own reply", async () => {
    await using rep = new Rep();
    const endpoint = await rep.bind(LOCAL);
    (async () => {
      for await (const request of rep) request.reply(request.frames);
    })();
    const askers = numbers(5).map(() => {
      const req = new Req();
      req.connect(endpoint);
      return req;
    });
    await Promise.all(askers.map(async (req, i) => {
      for (let n = 0; n < 20; n++) {
        assert.deepEqual(texts(await deadline(req.request(`${i}.${n}`))), [`${i}.${n}`]);
      }
    }));
    await Promise.all(askers.map((req) => req.close()));
  });

  it("spec_rep - stores the envelope up to the first empty frame, and puts it in front of the reply", async () => {
    await using rep = new Rep();
    await using dealer = new Dealer();
    dealer.connect(await rep.bind(LOCAL));
    await dealer.send(["one", "two", "", "body", "", "more"]);
    const request = (await deadline(rep.receive()))!;
    assert.deepEqual(texts(request.frames), ["body", "", "more"]);
    request.reply("answer");
    assert.deepEqual(texts(await deadline(dealer.receive())), ["one", "two", "", "answer"]);
  });

  it("invalid_rep - a request without an empty frame is dropped, and the service continues", async () => {
    await using rep = new Rep();
    await using dealer = new Dealer();
    dealer.connect(await rep.bind(LOCAL));
    await dealer.send("no delimiter");
    await dealer.send(["many", "frames", "and", "none"]);
    await dealer.send(["a", ""]);
    await dealer.send(["", "right"]);
    assert.deepEqual(texts((await deadline(rep.receive()))?.frames), ["right"]);
  });

  it("invalid_rep - a reply from a peer without a request is ignored", async () => {
    await using listener = await rawListener((peer) => void peer.greet("REP"));
    await using req = new Req();
    req.connect(listener.endpoint);
    const peer = await listener.peer(0);
    await waitFor(() => req.peers === 1);
    // The PONG shows that everything before the PING was read.
    peer.send(frame("", 1), frame("early"), command(bytes("04 'PING' 00 00")));
    await waitFor(() => peer.text().endsWith("PONG"));
    const reply = req.request("now");
    await waitFor(() => peer.text().endsWith("now"));
    peer.send(frame("", 1), frame("right"));
    assert.deepEqual(texts(await deadline(reply)), ["right"]);
  });

  it("req_correlate - each request begins with its own number, and only the reply with this number is accepted", async () => {
    await using it = await withRouter({ correlate: true });
    const gaveUp = new AbortController();
    const first = it.req.request("first", { signal: gaveUp.signal });
    const [id, firstNumber, delimiter, body] = (await deadline(it.router.receive()))!;
    assert.deepEqual([firstNumber!.length, delimiter!.length, texts([body!])], [4, 0, ["first"]]);
    gaveUp.abort(new Error("too late"));
    await assert.rejects(first, /too late/);
    const second = it.req.request("second");
    const [again, secondNumber] = (await deadline(it.router.receive()))!;
    // The connection is the same: a peer that did not answer is not disconnected.
    assert.deepEqual(again, id);
    assert.notDeepEqual(secondNumber, firstNumber);
    await it.router.send([id!, firstNumber!, "", "late"]);
    await it.router.send([id!, "", "without a number"]);
    await it.router.send([id!, secondNumber!, "not empty", "wrong"]);
    await it.router.send([id!, secondNumber!, "", "right"]);
    assert.deepEqual(texts(await deadline(second)), ["right"]);
  });

  it("req_relaxed - a newer request replaces a waiting one, and receives its own reply", async () => {
    for (const correlate of [false, true]) {
      await using it = await withRouter({ relaxed: true, correlate, reconnect: { first: 1, longest: 5 } });
      const first = it.req.request("first");
      const late = (await deadline(it.router.receive()))!;
      const [second, third] = [it.req.request("second"), it.req.request("third")];
      await assert.rejects(first, ClosedError);
      await assert.rejects(second, ClosedError);
      await it.router.send([...late.slice(0, -1), "to the first"]);
      let asked = (await deadline(it.router.receive()))!;
      // The second request may have been sent before the third one replaced it.
      while (texts(asked)!.at(-1) !== "third") asked = (await deadline(it.router.receive()))!;
      await it.router.send([...asked.slice(0, -1), "to the third"]);
      assert.deepEqual(texts(await deadline(third)), ["to the third"]);
    }
  });
});
