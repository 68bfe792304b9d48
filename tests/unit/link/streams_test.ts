/** The public sides of clients without a connection: messages as an async iterable, and single messages that are sent. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Bodies, Delivery, Envelope, Receipt } from "../../../lib/link/message.ts";
import { MessageStream, type StreamedInlet, type StreamOptions } from "../../../lib/link/message_stream.ts";
import type { Outcome } from "../../../lib/link/run.ts";
import { Sender, type SendingOutlet } from "../../../lib/link/sender.ts";
import { Signal } from "../../../lib/transport/waiting.ts";
import { deadline } from "../../support/helpers.ts";

/** Lets all callbacks of settled promises run. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

/** A stream of texts, whose inlet notes what is done with it. */
function streamOf(options: Partial<StreamOptions<string>> = {}, starting: Promise<void> = Promise.resolve()) {
  const done: unknown[] = [];
  let deliver!: (delivery: Delivery) => void;
  let onBatchEnd!: () => void;
  const inlet = {
    changed: new Signal(),
    failure: undefined as Error | undefined,
    generation: 1,
    start: () => starting,
    ack: (receipt: Receipt, multiple: boolean) => void done.push(["ack", receipt, multiple]),
    nack: (receipt: Receipt, requeue: boolean) => void done.push(["nack", receipt, requeue]),
    flush: () => void done.push("flush"),
    pause: () => void done.push("pause"),
    resume: () => void done.push("resume"),
    close: () => Promise.resolve(void done.push("close")),
  } satisfies StreamedInlet;
  const stream = new MessageStream<string>({
    open: (events) => {
      deliver = events.onDelivery;
      onBatchEnd = events.onBatchEnd;
      return inlet;
    },
    copy: ({ routingKey }, _settler, generation) => `${routingKey}${generation}`,
    ...options,
  });
  /** Messages arrive in one chunk. */
  const arrive = (...texts: string[]) => {
    for (const routingKey of texts) deliver({ routingKey } as Delivery);
    onBatchEnd();
  };
  return { stream, inlet, done, arrive };
}

describe("message stream", () => {
  it("receive - waits for messages, and returns them in order", async () => {
    const { stream, arrive, done } = streamOf();
    await stream.start();
    const first = stream.receive();
    await settle();
    arrive("a", "b");
    assert.deepEqual([await deadline(first), await stream.receive()], ["a1", "b1"]);
    const iterator = stream[Symbol.asyncIterator]();
    const next = iterator.next();
    await settle();
    arrive("c");
    assert.deepEqual(await deadline(next), { value: "c1", done: false });
    const last = iterator.next();
    await stream.close();
    assert.deepEqual(await deadline(last), { value: undefined, done: true });
    assert.equal(await stream.receive(), undefined);
    assert.deepEqual(done, ["flush", "close"]);
  });

  it("reconnect - messages of a lost connection are dropped, as they are delivered again", async () => {
    const { stream, arrive, inlet } = streamOf();
    arrive("a", "b");
    assert.equal(await stream.receive(), "a1");
    inlet.generation = 2;
    arrive("b");
    assert.equal(await stream.receive(), "b2");
  });

  it("limit - the inlet is paused when so many messages wait, and resumed at half of them", async () => {
    const { stream, arrive, done } = streamOf({ limit: 4 });
    arrive("a", "b", "c");
    assert.deepEqual(done, []);
    arrive("d", "e");
    assert.deepEqual(done, ["pause"]);
    await stream.receive();
    await stream.receive();
    assert.deepEqual(done, ["pause"]);
    await stream.receive();
    assert.deepEqual(done, ["pause", "resume"]);
    await stream.receive();
    assert.deepEqual(done, ["pause", "resume"]);
    arrive("f", "g", "h");
    assert.deepEqual(done, ["pause", "resume", "pause"]);
    const unlimited = streamOf();
    unlimited.arrive(..."abcdefghij");
    assert.deepEqual(unlimited.done, []);
  });

  it("settle - each outcome, and one flush for all of a task", async () => {
    const { stream, done } = streamOf();
    stream.settle(1, 5, "ack");
    stream.settle(1, 6, "requeue");
    stream.settle(2, 7, "reject");
    await settle();
    stream.settle(2, 8, "ack");
    await settle();
    const receipt = (generation: number, tag: number) => ({ generation, tag });
    assert.deepEqual(done, [
      ["ack", receipt(1, 5), false],
      ["nack", receipt(1, 6), true],
      ["nack", receipt(2, 7), false],
      "flush",
      ["ack", receipt(2, 8), false],
      "flush",
    ]);
  });

  it("failure - is thrown after the messages that came before it", async () => {
    const { stream, arrive, inlet } = streamOf();
    arrive("a");
    inlet.failure = new Error("gone");
    assert.equal(await stream.receive(), "a1");
    await assert.rejects(stream.receive(), /gone/);
    await stream.close();
    assert.equal(await stream.receive(), undefined);
  });

  it("signals - one of a call ends only the call, that of the stream ends the stream", async () => {
    const abort = new AbortController();
    let closes = 0;
    const { stream, arrive, done } = streamOf({ signal: abort.signal, onClose: () => closes++ });
    await stream.start();
    const own = new AbortController();
    const call = stream.receive({ signal: own.signal });
    own.abort(new Error("enough"));
    await assert.rejects(deadline(call), /enough/);
    arrive("a");
    await assert.rejects(stream.receive({ signal: own.signal }), /enough/);
    assert.equal(await stream.receive(), "a1");
    arrive("b");
    const waiting = [stream.receive(), stream.receive()];
    abort.abort(new Error("stopped"));
    assert.equal(await waiting[0], "b1");
    await assert.rejects(deadline(waiting[1]!), /stopped/);
    await assert.rejects(stream.receive(), /stopped/);
    arrive("c");
    await stream.close();
    await stream[Symbol.asyncDispose]();
    assert.deepEqual([done, closes], [["flush", "close"], 1]);
  });

  it("signals - after a close the signal has no effect", async () => {
    const abort = new AbortController();
    const { stream, done } = streamOf({ signal: abort.signal });
    await stream.start();
    await stream.close();
    abort.abort(new Error("late"));
    await assert.rejects(stream.receive(), /late/);
    assert.deepEqual(done, ["flush", "close"]);
  });

  it("start - a failure, or a signal, closes the stream", async () => {
    const failing = streamOf({}, Promise.reject(new Error("refused")));
    await assert.rejects(failing.stream.start(), /refused/);
    assert.deepEqual(failing.done, ["flush", "close"]);
    const abort = new AbortController();
    const never = streamOf({ signal: abort.signal }, new Promise(() => {}));
    const starting = never.stream.start();
    abort.abort(new Error("stopped"));
    await assert.rejects(deadline(starting), /stopped/);
    assert.deepEqual(never.done, ["flush", "close"]);
  });
});

/** A sender, and what its publisher was given. */
function senderOf({ room = Infinity, starting = Promise.resolve() as Promise<void> } = {}) {
  const given: { text: string; outcome: Outcome }[] = [];
  const outlet = {
    room,
    changed: new Signal(),
    failure: undefined as Error | undefined,
    closed: 0,
    onSettled: () => {},
    start: () => starting,
    publish(
      { bytes, starts, ends }: Bodies,
      from: number,
      to: number,
      { routingKey }: Envelope,
      outcome: Outcome,
    ) {
      assert.deepEqual([from, to], [0, 1]);
      if (routingKey === "bad") throw new RangeError("too large");
      if (outlet.room === 0) return 0;
      outlet.room--;
      given.push({ text: new TextDecoder().decode(bytes.subarray(starts[0], ends[0])), outcome });
      return 1;
    },
    close: () => Promise.resolve(void outlet.closed++),
  };
  const sender = new Sender(outlet satisfies SendingOutlet, {
    returned: (code, reason) => new Error(`returned ${code} ${reason}`),
    refused: () => new Error("refused"),
    closed: () => new Error("closed"),
  });
  const send = (text: string, routingKey = "", signal?: AbortSignal) =>
    sender.send(
      { exchange: "", routingKey, properties: new Uint8Array(0) },
      new TextEncoder().encode(text),
      signal,
    );
  return { sender, outlet, given, send, texts: () => given.map(({ text }) => text) };
}

describe("sender", () => {
  it("outcomes - taken, refused, and returned", async () => {
    const { given, send } = senderOf();
    const sent = [send("a"), send("b"), send("c")];
    given[0]!.outcome.onSettled(true);
    given[1]!.outcome.onSettled(false);
    given[2]!.outcome.onReturn(312, "no queue");
    given[2]!.outcome.onSettled(true);
    await deadline(sent[0]!);
    await assert.rejects(deadline(sent[1]!), /^Error: refused$/);
    await assert.rejects(deadline(sent[2]!), /^Error: returned 312 no queue$/);
    const over = send("d");
    given[3]!.outcome.onRefused!(new Error("does not fit"));
    await assert.rejects(deadline(over), /does not fit/);
  });

  it("order - messages wait for room, and one that cannot be sent does not stop the others", async () => {
    const { outlet, send, texts, given } = senderOf({ room: 1 });
    const first = [send("a"), send("b")];
    const wrong = assert.rejects(deadline(send("x", "bad")), /too large/);
    const sent = [...first, send("c")];
    assert.deepEqual(texts(), ["a"]);
    outlet.room = 1;
    outlet.onSettled();
    assert.deepEqual(texts(), ["a", "b"]);
    outlet.room = 1;
    outlet.changed.fire();
    await settle();
    assert.deepEqual(texts(), ["a", "b", "c"]);
    await wrong;
    for (const { outcome } of given) outcome.onSettled(true);
    await deadline(Promise.all(sent));
  });

  it("signal - a message that waits is not sent any more", async () => {
    const { outlet, send, texts } = senderOf({ room: 0 });
    const abort = new AbortController();
    const stopped = send("a", "", abort.signal);
    const other = send("b");
    abort.abort(new Error("stopped"));
    await assert.rejects(deadline(stopped), /stopped/);
    outlet.room = 5;
    outlet.onSettled();
    assert.deepEqual(texts(), ["b"]);
    other.catch(() => {});
  });

  it("failure - of the publisher, or at its start, rejects all messages and later ones", async () => {
    const { outlet, sender, send } = senderOf({ room: 1 });
    const sent = [send("a"), send("b")];
    assert.equal(sender.failure, undefined);
    outlet.failure = new Error("gone");
    outlet.changed.fire();
    for (const message of sent) await assert.rejects(deadline(message), /gone/);
    assert.equal(sender.failure, outlet.failure);
    await assert.rejects(send("c"), /gone/);
    const refused = senderOf({ starting: Promise.reject(new Error("no login")) });
    await assert.rejects(deadline(refused.send("a")), /no login/);
    await assert.rejects(refused.sender.started, /no login/);
  });

  it("close - rejects what is not confirmed, and closes the publisher", async () => {
    const { outlet, sender, send, given } = senderOf({ room: 1 });
    const sent = [send("a"), send("b")];
    await sender.close();
    for (const message of sent) await assert.rejects(deadline(message), /^Error: closed$/);
    given[0]!.outcome.onSettled(true);
    assert.equal(outlet.closed, 1);
    await assert.rejects(send("c"), /closed/);
    outlet.room = 5;
    outlet.onSettled();
    assert.equal(given.length, 1);
  });
});
