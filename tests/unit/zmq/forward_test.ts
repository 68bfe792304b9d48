/** Forwarding when the other socket has no room. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Batch } from "../../../lib/zmtp/batch.ts";
import { text } from "../../../lib/zmtp/bytes.ts";
import { type BatchConsumer, forward, Pull, Push } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { batchOf, numbers, texts } from "../../support/sockets.ts";

const LOCAL = "tcp://127.0.0.1:0";

describe("forward", () => {
  it("forward - holds what the other socket has no room for, and sends it in order as soon as it has", async () => {
    await using source = new Push();
    await using from = new Pull();
    await using to = new Push();
    await using sink = new Pull();
    const forwarding = forward(from, to);
    source.connect(await from.bind(LOCAL));
    for (const n of numbers(3)) await source.send(`${n}`);
    // Without a peer, `to` takes nothing.
    await waitFor(() => forwarding.held > 0);
    to.connect(await sink.bind(LOCAL));
    const came: string[] = [];
    for (const round of [0, 1]) {
      for (const _ of numbers(3)) came.push(texts(await deadline(sink.receive()))![0]!);
      assert.equal(forwarding.held, 0);
      // After the held messages are sent, the source is read again.
      if (round === 0) { for (const n of numbers(3)) await source.send(`${n + 3}`); }
    }
    assert.deepEqual(came, numbers(6).map(String));
  });
});

describe("forward - without a network", () => {
  /** A forwarding between two sockets, of which the second one takes `room` messages. */
  function forwarded(hasInspector = false) {
    const inspector = { full: false, inspect: () => {} };
    const to = {
      room: Infinity,
      closed: false,
      sent: "",
      calls: 0,
      waiting: Promise.withResolvers<void>(),
      sendBatch(batch: Batch, from = 0): number {
        this.calls++;
        for (; from < batch.frames && this.room > 0; from++, this.room--) {
          this.sent += text(batch.frame(from));
        }
        return from;
      },
      writable(): Promise<void> {
        return this.waiting.promise;
      },
    };
    const reads: boolean[] = [];
    let consumer!: BatchConsumer;
    const from = {
      consume: (given: BatchConsumer) => void (consumer = given),
      pause: () => reads.push(false),
      resume: () => reads.push(true),
    };
    const forwarding = forward(
      from as unknown as Pull,
      to as unknown as Push,
      hasInspector ? inspector : undefined,
    );
    return {
      to,
      reads,
      inspector,
      forwarding,
      arrive(messages: string) {
        const batch = batchOf([...messages]);
        batch.stable = false;
        consumer(batch, undefined as never);
        batch.bytes.fill(0x3f);
      },
      async makeRoom(room: number) {
        to.room = room;
        const { resolve } = to.waiting;
        to.waiting = Promise.withResolvers();
        resolve();
        await new Promise((done) => setTimeout(done));
      },
    };
  }

  it("room - what does not fit is held in order, and the peers are read again when all of it is sent", async () => {
    const { to, reads, forwarding, arrive, makeRoom } = forwarded();
    arrive("ab");
    assert.deepEqual([to.sent, reads, forwarding.held, to.calls], ["ab", [], 0, 1]);
    to.room = 1;
    arrive("cde");
    assert.deepEqual([to.sent, reads, forwarding.held], ["abc", [false], 2]);
    to.room = 5;
    // It must not overtake what is held.
    arrive("fg");
    assert.deepEqual([to.sent, forwarding.held], ["abc", 4]);
    forwarding.look();
    assert.equal(reads.includes(true), false);
    await makeRoom(3);
    assert.deepEqual([to.sent, reads.includes(true), forwarding.held], ["abcdef", false, 1]);
    await makeRoom(9);
    assert.deepEqual([to.sent, reads.at(-1), reads.filter(Boolean).length, forwarding.held], [
      "abcdefg",
      true,
      1,
      0,
    ]);
    arrive("h");
    assert.deepEqual([to.sent, reads.at(-1)], ["abcdefgh", true]);
  });

  it("stop - what is held is still sent, and the peers are not read again", async () => {
    const { to, reads, forwarding, arrive, makeRoom } = forwarded();
    to.room = 0;
    arrive("ab");
    forwarding.stop();
    await makeRoom(5);
    assert.deepEqual([to.sent, reads, forwarding.held], ["ab", [false, false], 0]);
    forwarding.look();
    assert.deepEqual(reads, [false, false]);
  });

  it("inspector - while it is full nothing more is read, until it is looked at again", () => {
    const { to, reads, inspector, forwarding, arrive } = forwarded(true);
    inspector.full = true;
    arrive("a");
    forwarding.look();
    assert.deepEqual([to.sent, reads], ["a", [false]]);
    inspector.full = false;
    forwarding.look();
    assert.deepEqual(reads, [false, true]);
    arrive("b");
    assert.deepEqual([to.sent, reads], ["ab", [false, true]]);
  });

  it("close - nothing more is sent to a socket that is closed", async () => {
    const { to, forwarding, arrive, makeRoom } = forwarded();
    to.room = 0;
    arrive("ab");
    to.closed = true;
    const { calls } = to;
    await makeRoom(5);
    assert.deepEqual([to.sent, forwarding.held, to.calls], ["", 2, calls]);
  });
});
