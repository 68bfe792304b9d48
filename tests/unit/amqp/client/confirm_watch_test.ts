/** The watch over confirms, with a timer that the test drives. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Channel } from "../../../../lib/amqp/client/channel.ts";
import { watchConfirms } from "../../../../lib/amqp/client/confirm_watch.ts";
import type { AmqpConnection } from "../../../../lib/amqp/client/connection.ts";
import { captureIntervals } from "../../../support/captured_interval.ts";

/** A watched publisher. */
class Watched {
  readonly confirms = { pending: 0, pendingBytes: 0, acknowledged: 0, refused: 0 };
  blocked: string | undefined;
  /** The bytes of the connection that have moved; -1 if that is not known. */
  progress = -1;
  /** The questions that wait for a reply. */
  readonly questions: (() => void)[] = [];
  failure: string | undefined;
  readonly #check: () => void;

  constructor() {
    const channel = {
      call: (...question: unknown[]) => {
        assert.deepEqual(question, ["basic.qos", { prefetchCount: 0 }, "basic.qos-ok"]);
        return new Promise<void>((resolve) => this.questions.push(resolve));
      },
      closed: new Promise(() => {}),
    };
    const { ticks } = captureIntervals(() =>
      watchConfirms(this as unknown as AmqpConnection, channel as unknown as Channel, this.confirms)
    );
    this.#check = ticks[0]!;
  }

  abort(error: Error): void {
    this.failure ??= error.message;
  }

  check(times = 1): void {
    for (; times > 0; times--) this.#check();
  }

  async reply(): Promise<void> {
    this.questions.shift()!();
    await new Promise((resolve) => setTimeout(resolve));
  }
}

describe("watch over confirms", () => {
  it("ends a connection whose broker has read the messages and confirms none", async () => {
    const watched = new Watched();
    watched.confirms.pending = 3;
    // The first check has nothing to compare with, the second one asks.
    watched.check();
    assert.equal(watched.questions.length, 0);
    watched.check();
    assert.equal(watched.questions.length, 1);
    await watched.reply();
    assert.equal(watched.failure, undefined);
    watched.check();
    assert.equal(watched.failure, "the broker has read 3 messages, and confirms none");
  });

  it("gives a broker that does not read three more checks", () => {
    const watched = new Watched();
    watched.confirms.pending = 1;
    watched.check(5);
    assert.deepEqual([watched.failure, watched.questions.length], [undefined, 1]);
    watched.check();
    assert.equal(watched.failure, "the broker does not read 1 messages, and confirms none");
  });

  it("a confirm, a refusal, and a reason to wait start the count again", async () => {
    const watched = new Watched();
    watched.confirms.pending = 9;
    for (const count of ["acknowledged", "refused"] as const) {
      watched.check(2);
      await watched.reply();
      watched.confirms[count]++;
      watched.check();
      watched.confirms.acknowledged++;
      watched.confirms.refused++;
      watched.check();
      assert.equal(watched.questions.length, 0);
      watched.check();
      assert.deepEqual([watched.failure, watched.questions.length], [undefined, 1]);
      await watched.reply();
      watched.confirms[count]++;
    }
    watched.check(4);
    assert.equal(watched.questions.length, 1);
    watched.blocked = "low on disk";
    watched.check(20);
    watched.blocked = undefined;
    // The question still has no reply.
    watched.check(3);
    assert.deepEqual([watched.failure, watched.questions.length], [undefined, 1]);
    watched.check();
    assert.match(watched.failure!, /does not read/);
  });

  it("a reply after a confirm says nothing about later messages", async () => {
    const watched = new Watched();
    watched.confirms.pending = 2;
    watched.check(2);
    watched.confirms.acknowledged++;
    watched.check();
    await watched.reply();
    watched.check();
    assert.deepEqual([watched.failure, watched.questions.length], [undefined, 1]);
  });

  it("asks nothing while bytes move", () => {
    const watched = new Watched();
    watched.confirms.pending = 1;
    watched.progress = 4;
    watched.check();
    for (const progress of [0, 1, 2]) {
      watched.progress = progress;
      watched.check();
    }
    assert.equal(watched.questions.length, 0);
    watched.check();
    assert.equal(watched.questions.length, 1);
  });

  it("the end of a write is no movement: the broker is asked", () => {
    const watched = new Watched();
    watched.confirms.pending = 1;
    for (const progress of [5, 6, 7]) {
      watched.progress = progress;
      watched.check();
    }
    assert.equal(watched.questions.length, 0);
    watched.progress = -1;
    watched.check();
    assert.equal(watched.questions.length, 1);
  });

  it("ends a connection whose bytes do not move", () => {
    const watched = new Watched();
    watched.confirms.pending = 2;
    watched.progress = 7;
    watched.check(7);
    assert.equal(watched.failure, "the broker does not read 2 messages, and confirms none");
  });

  it("waits longer for what the system has taken: as long as 50 kB/s need for it, and for no more than 8 MiB", () => {
    for (const [pendingBytes, checks] of [[250_001, 2], [8 * 2 ** 20, 34], [2 ** 30, 34]] as const) {
      const watched = new Watched();
      Object.assign(watched.confirms, { pending: 1, pendingBytes });
      watched.check(5 + checks);
      assert.equal(watched.failure, undefined, `${pendingBytes}`);
      watched.check();
      assert.match(watched.failure!, /does not read/);
    }
  });

  it("nothing is asked while nothing is pending", () => {
    const watched = new Watched();
    watched.check(20);
    assert.deepEqual([watched.failure, watched.questions.length], [undefined, 0]);
  });
});
