/** Cancels waits with an AbortSignal, and closes sockets with `await using`. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Dealer, Pull, Push, Rep, Req, Router, type Socket, XPub } from "../../../mod.ts";
import { deadline } from "../../support/helpers.ts";
import { inproc, numbers, texts } from "../../support/sockets.ts";

/** A reason that no other code uses. */
const REASON = new Error("cancelled by the test");

const isReason = (error: unknown) => error === REASON;

/** A signal that counts its listeners. */
function countingSignal(): { signal: AbortSignal; listeners: () => number } {
  const { signal } = new AbortController();
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    count++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    count--;
    remove(...args);
  };
  return { signal, listeners: () => count };
}

describe("cancel - receive", () => {
  const receivers = {
    pull: () => new Pull(),
    dealer: () => new Dealer(),
    rep: () => new Rep(),
    xpub: () => new XPub(),
  };
  for (const [name, make] of Object.entries(receivers)) {
    it(`${name} - rejects with the reason of the signal when it is aborted`, async () => {
      await using socket = make();
      const abort = new AbortController();
      const received = socket.receive({ signal: abort.signal });
      abort.abort(REASON);
      await assert.rejects(deadline<unknown>(received), isReason);
      await assert.rejects(
        deadline<unknown>(socket.receive({ signal: AbortSignal.abort(REASON) })),
        isReason,
      );
    });
  }

  it("pull - a cancelled receive takes no message", async () => {
    await using pull = new Pull();
    await using push = new Push();
    push.connect(await pull.bind(inproc()));
    const abort = new AbortController();
    const cancelled = pull.receive({ signal: abort.signal });
    const waiting = pull.receive();
    abort.abort(REASON);
    await assert.rejects(deadline(cancelled), isReason);
    await push.send("first");
    await push.send("second");
    assert.deepEqual(texts(await deadline(waiting)), ["first"]);
    assert.deepEqual(texts(await deadline(pull.receive())), ["second"]);
  });

  it("pull - a signal that is never aborted keeps no listener", async () => {
    await using pull = new Pull();
    await using push = new Push();
    push.connect(await pull.bind(inproc()));
    const { signal, listeners } = countingSignal();
    for (const number of numbers(20)) {
      const received = pull.receive({ signal });
      await push.send(`${number}`);
      assert.deepEqual(texts(await deadline(received)), [`${number}`]);
    }
    assert.equal(listeners(), 0);
  });

  it("pull - an aborted signal does not end a later receive", async () => {
    await using pull = new Pull();
    await using push = new Push();
    push.connect(await pull.bind(inproc()));
    const abort = new AbortController();
    await push.send("work");
    assert.deepEqual(texts(await deadline(pull.receive({ signal: abort.signal }))), ["work"]);
    const next = pull.receive();
    abort.abort(REASON);
    await push.send("more");
    assert.deepEqual(texts(await deadline(next)), ["more"]);
  });
});

describe("cancel - send", () => {
  it("push - rejects with the reason of the signal, and sends nothing", async () => {
    await using push = new Push();
    const abort = new AbortController();
    const first = push.send("first", { signal: abort.signal });
    const second = push.send("second");
    abort.abort(REASON);
    await assert.rejects(deadline(first), isReason);
    await assert.rejects(deadline(push.send("third", { signal: abort.signal })), isReason);
    await using pull = new Pull();
    pull.connect(await push.bind(inproc()));
    await deadline(second);
    assert.deepEqual(texts(await deadline(pull.receive())), ["second"]);
  });

  it("push - a cancelled send does not change the order of the others", async () => {
    await using push = new Push();
    const abort = new AbortController();
    const sends = numbers(5).map((number) => {
      return push.send(`${number}`, number === 2 ? { signal: abort.signal } : undefined);
    });
    abort.abort(REASON);
    await assert.rejects(deadline(sends[2]!), isReason);
    const late = push.send("5");
    await using pull = new Pull();
    pull.connect(await push.bind(inproc()));
    for (const number of [0, 1, 3, 4, 5]) {
      assert.deepEqual(texts(await deadline(pull.receive())), [`${number}`]);
    }
    await deadline(Promise.all([sends[0], sends[1], sends[3], sends[4], late]));
  });
});

describe("cancel - request", () => {
  it("req - rejects with the reason of the signal, and can send the next request", async () => {
    await using rep = new Rep();
    await using req = new Req();
    req.connect(await rep.bind(inproc()));
    const abort = new AbortController();
    const first = req.request("first", { signal: abort.signal });
    assert.deepEqual(texts((await deadline(rep.receive()))?.frames), ["first"]);
    abort.abort(REASON);
    await assert.rejects(deadline(first), isReason);
    const second = req.request("second", { signal: AbortSignal.timeout(60_000) });
    (await deadline(rep.receive()))?.reply("answer");
    assert.deepEqual(texts(await deadline(second)), ["answer"]);
  });
});

describe("disposal", () => {
  it("await using - closes the socket and frees its endpoint", async () => {
    let socket: Socket | undefined;
    let endpoint = "";
    {
      await using pull = new Pull();
      socket = pull;
      endpoint = await pull.bind("tcp://127.0.0.1:0");
      assert.equal(pull.closed, false);
    }
    assert.equal(socket.closed, true);
    await using next = new Pull();
    assert.equal(await next.bind(endpoint), endpoint);
  });

  it("await using - ends a waiting receive and a for await loop", async () => {
    let received: Promise<unknown>;
    let loop: Promise<number>;
    {
      await using pull = new Pull();
      await using router = new Router();
      received = pull.receive();
      loop = (async () => {
        let count = 0;
        for await (const _ of router) count++;
        return count;
      })();
    }
    assert.equal(await deadline(received), undefined);
    assert.equal(await deadline(loop), 0);
  });

  it("await using - a socket that was closed before is closed once", async () => {
    await using push = new Push();
    const waiting = push.send("never");
    assert.equal(await push.close(), 0);
    await assert.rejects(deadline(waiting), /was closed/);
  });
});

describe("public objects", () => {
  it("sockets - a program that names a hook of the implementation does not compile", () => {
    // @ts-expect-error: protected, so not part of the public type.
    assert.equal(typeof new Pull().onBatch, "function");
    // @ts-expect-error: protected, so not part of the public type.
    assert.equal(typeof new Pull().connections, "object");
  });
});
