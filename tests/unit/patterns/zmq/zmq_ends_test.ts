/** ZeroMQ's sockets as the ends of a bridge. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeProperties, NO_PROPERTIES } from "../../../../lib/amqp/properties.ts";
import type { Delivery, Envelope } from "../../../../lib/patterns/contract.ts";
import { ZmqInlet, type ZmqInletOptions } from "../../../../lib/patterns/zmq/inlet.ts";
import { ZmqOutlet, type ZmqOutletOptions } from "../../../../lib/patterns/zmq/outlet.ts";
import { Pub } from "../../../../lib/zmq/types/pub.ts";
import { Pull } from "../../../../lib/zmq/types/pull.ts";
import { Push } from "../../../../lib/zmq/types/push.ts";
import { Sub } from "../../../../lib/zmq/types/sub.ts";
import { utf8 } from "../../../../lib/zmtp/bytes.ts";
import { waitFor } from "../../../support/helpers.ts";

const decoder = new TextDecoder();

/** Bodies in one buffer, as a bridge passes them. */
function bodiesOf(...texts: string[]) {
  const starts: number[] = [];
  const ends: number[] = [];
  for (const text of texts) {
    starts.push(ends.at(-1) ?? 0);
    ends.push(starts.at(-1)! + text.length);
  }
  return { bytes: utf8(texts.join("")), starts, ends };
}

function envelope(routingKey: string): Envelope {
  return { exchange: "", routingKey, properties: NO_PROPERTIES };
}

/** A PULL socket as an inlet, with a PUSH peer; `messages` are its messages as `topic|body`. */
async function receiving(options: ZmqInletOptions = {}) {
  const pull = new Pull();
  const messages: string[] = [];
  let batches = 0;
  let properties: Uint8Array | undefined;
  const onDelivery = ({ routingKey, deliveryTag, content }: Delivery) => {
    assert.equal(deliveryTag, messages.length + 1);
    properties = content.properties.slice(0, content.propertiesEnd);
    messages.push(
      `${routingKey}|${decoder.decode(content.body.subarray(content.bodyStart, content.bodyEnd))}`,
    );
  };
  const inlet = new ZmqInlet(pull, { onDelivery, onBatchEnd: () => batches++ }, options);
  const push = new Push();
  push.connect(await pull.bind("tcp://127.0.0.1:0"));
  return {
    inlet,
    push,
    messages,
    batches: () => batches,
    properties: () => properties,
    async close() {
      await push.close();
      await inlet.close();
    },
  };
}

describe("zmq inlet", () => {
  it("zmq inlet - the first of two frames is the topic, and a message of more frames is reported", async () => {
    const unfit: number[] = [];
    const { push, messages, batches, properties, close } = await receiving({
      onUnfit: (count) => unfit.push(count),
    });
    for (const frames of [["body"], ["topic", "body"], ["a", "b", "c"], ["", ""], ["last"]]) {
      await push.send(frames);
    }
    await waitFor(() => messages.length === 4);
    assert.deepEqual(messages, ["|body", "topic|body", "|", "|last"]);
    assert.deepEqual(unfit, [3]);
    assert.ok(batches() > 0);
    assert.deepEqual(decodeProperties(properties()!), { deliveryMode: 2 });
    await close();
  });

  it("zmq inlet - a separator ends the topic of a message of one frame", async () => {
    const { push, messages, close } = await receiving({ separator: utf8(": ") });
    for (const frames of [["a: b: c"], ["plain"], [": empty"], ["two", "frames: x"]]) await push.send(frames);
    await waitFor(() => messages.length === 4);
    assert.deepEqual(messages, ["a|b: c", "|plain", "|empty", "two|frames: x"]);
    await close();
  });

  it("zmq inlet - topics filter messages by the start of their first frame", async () => {
    const { push, messages, close } = await receiving({ topics: [utf8("a"), utf8("bc")] });
    for (const frames of [["a1"], ["b1"], ["bc", "x"], ["c", "a"], ["end", "x"], ["a", "end"]]) {
      await push.send(frames);
    }
    await waitFor(() => messages.at(-1) === "a|end");
    assert.deepEqual(messages, ["|a1", "bc|x", "a|end"]);
    await close();
  });

  it("zmq inlet - pause, resume and cancel", async () => {
    const { inlet, push, messages, close } = await receiving();
    await push.send("one");
    await waitFor(() => messages.length === 1);
    inlet.pause();
    await push.send("two");
    await waitFor(() => push.unsent === 0);
    assert.deepEqual(messages, ["|one"]);
    inlet.resume();
    await waitFor(() => messages.length === 2);
    await inlet.cancel();
    await push.send("three");
    await waitFor(() => push.unsent === 0);
    assert.deepEqual([messages, inlet.generation, inlet.failure], [["|one", "|two"], 1, undefined]);
    await close();
  });
});

describe("zmq outlet", () => {
  it("zmq outlet - sends topics as first frames, and counts what the system has taken", async () => {
    const push = new Push();
    const outlet = new ZmqOutlet(push);
    let settled = 0;
    outlet.onSettled = () => settled++;
    const pull = new Pull();
    push.connect(await pull.bind("tcp://127.0.0.1:0"));
    await waitFor(() => push.peers === 1);
    const outcomes: boolean[] = [];
    const outcome = {
      onReturn() {},
      onSettled: (taken: boolean) => void outcomes.push(taken),
    };
    assert.equal(outlet.publish(bodiesOf("a", "bc"), 0, 2, envelope(""), outcome), 2);
    assert.equal(
      outlet.publish(bodiesOf("-", "d", "", "ef"), 1, 4, [
        envelope("skipped"),
        envelope("t"),
        envelope(""),
        envelope("töpic"),
      ]),
      4,
    );
    const seen: string[] = [];
    for (let i = 0; i < 5; i++) {
      seen.push((await pull.receive())!.map((frame) => decoder.decode(frame)).join("|"));
    }
    assert.deepEqual(seen, ["a", "bc", "t|d", "", "töpic|ef"]);
    await waitFor(() => outlet.pending === 0);
    assert.deepEqual([outlet.acknowledged, outlet.takenInOrder, outcomes], [5, 5, [true]]);
    assert.ok(settled > 0);
    await Promise.all([outlet.close(1000), pull.close()]);
  });

  it("zmq outlet - takes no message without a peer, and no more than its window", async () => {
    const push = new Push();
    const outlet = new ZmqOutlet(push, { window: 2 });
    assert.equal(outlet.publish(bodiesOf("a"), 0, 1, envelope("")), 0);
    const pull = new Pull();
    let isWoken = false;
    outlet.onSettled = () => isWoken = true;
    push.connect(await pull.bind("tcp://127.0.0.1:0"));
    await waitFor(() => isWoken && push.peers === 1);
    assert.equal(outlet.publish(bodiesOf("a", "b", "c"), 0, 3, envelope("")), 2);
    assert.deepEqual([outlet.pending, outlet.acknowledged], [2, 0]);
    await waitFor(() => outlet.acknowledged === 2);
    await Promise.all([outlet.close(), pull.close()]);
  });

  for (const drops of [false, true]) {
    const options: ZmqOutletOptions = { window: 100, drops };
    it(`zmq outlet - a peer that does not read ${drops ? "does not stop" : "stops"} it, drops: ${drops}`, async () => {
      const pub = new Pub({ hwm: 1, onFull: drops ? "drop" : "block" });
      const outlet = new ZmqOutlet(pub, options);
      const sub = new Sub();
      sub.subscribe("");
      sub.connect(await pub.bind("tcp://127.0.0.1:0"));
      assert.equal(outlet.publish(bodiesOf("x"), 0, 1, envelope("")), 0, "there is no subscriber");
      await waitFor(() => pub.subscribers === 1);
      sub.pause();
      const large = "x".repeat(1_000_000);
      let published = 0;
      let stuckSince = 0;
      await waitFor(() => {
        const count = outlet.publish(bodiesOf(large), 0, 1, envelope(""));
        published += count;
        if (count > 0) stuckSince = 0;
        else stuckSince ||= performance.now();
        return drops ? published === 40 : stuckSince > 0 && performance.now() - stuckSince > 300;
      }, 30_000);
      if (drops) await waitFor(() => outlet.acknowledged === 40);
      else assert.ok(published < 40 && outlet.pending > 0, `${published}, ${outlet.pending}`);
      await Promise.all([outlet.close(), sub.close()]);
    });
  }
});
