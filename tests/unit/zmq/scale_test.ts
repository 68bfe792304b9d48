/** Many peers at one socket lose and misroute nothing. `deno task scale` measures the same with thousands of peers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Dealer, Pub, Router, Sub } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { numbers, texts } from "../../support/sockets.ts";

const PATIENCE = 60_000;

describe("scale", () => {
  it("router - each of 300 dealers receives its messages in order", { timeout: PATIENCE }, async () => {
    const router = new Router();
    const endpoint = await router.bind("tcp://127.0.0.1:0");
    router.consume((batch) => void router.sendBatch(batch));
    const dealers = numbers(300).map((i) =>
      new Dealer({ identity: `d${i}`, reconnect: { first: 20, longest: 100 } })
    );
    await Promise.all(dealers.map(async (dealer, i) => {
      dealer.connect(endpoint);
      for (let n = 0; n < 10; n++) await dealer.send([`${i}`, `${n}`]);
      for (let n = 0; n < 10; n++) {
        assert.deepEqual(texts(await deadline(dealer.receive(), PATIENCE)), [`${i}`, `${n}`]);
      }
    }));
    assert.equal(router.dropped, 0);
    await Promise.all(dealers.map((dealer) => dealer.close()));
    await waitFor(() => router.peers === 0);
    await router.close();
  });

  it("pub - each of 100 subscribers of 10 topics receives their messages once, in order", {
    timeout: PATIENCE,
  }, async () => {
    const pub = new Pub({ onFull: "block" });
    const endpoint = await pub.bind("tcp://127.0.0.1:0");
    const topics = numbers(100).map((i) => numbers(10).map((k) => `t${(i + k * 37) % 200}.`));
    const subs = topics.map((own) => {
      const sub = new Sub({ reconnect: { first: 20, longest: 100 } });
      for (const topic of own) sub.subscribe(topic);
      sub.connect(endpoint);
      return sub;
    });
    await waitFor(() => pub.subscribers === 100, PATIENCE);
    const sending = (async () => {
      for (const round of numbers(3)) for (let t = 0; t < 200; t++) await pub.send(`t${t}.${round}`);
    })();
    await Promise.all(subs.map(async (sub, i) => {
      const wanted = numbers(3).flatMap((round) => {
        const own = topics[i]!.map((topic) => Number(topic.slice(1, -1))).sort((a, b) => a - b);
        return own.map((t) => `t${t}.${round}`);
      });
      for (const message of wanted) {
        assert.deepEqual(texts(await deadline(sub.receive(), PATIENCE)), [message]);
      }
    }));
    await sending;
    assert.equal(pub.dropped, 0);
    await Promise.all(subs.map((sub) => sub.close()));
    await waitFor(() => pub.subscribers === 0);
    await pub.close();
  });
});
