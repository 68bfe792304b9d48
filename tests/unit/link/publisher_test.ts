/** The publisher that all clients share: limits, outcomes, and what is published again. */
import assert from "node:assert/strict";
import { AwayError } from "../../../lib/link/away.ts";
import { describe, it } from "node:test";
import type { Envelope } from "../../../lib/link/message.ts";
import type { IsReturned } from "../../../lib/link/ledger.ts";
import { Publisher, type PublisherOptions } from "../../../lib/link/publisher.ts";
import { envelopeOf } from "../../../lib/link/run.ts";
import { waitFor } from "../../support/helpers.ts";
import {
  type FakeAddress,
  fakeAddress,
  type FakeConnection,
  FakeProtocol,
  FakePublishing,
  TEMPORARY,
} from "./fake_protocol.ts";

type Fake = Publisher<FakeAddress, FakeConnection>;

const to = (routingKey: string): Envelope => ({ exchange: "", routingKey, properties: Uint8Array.of(0, 0) });
const T = to("t");

function bodies(text: string) {
  const words = text.split(" ");
  const bytes = new TextEncoder().encode(words.join(""));
  const ends = words.map((_, i) => words.slice(0, i + 1).join("").length);
  return { bytes, starts: [0, ...ends], ends };
}

/** Publishes the words of a text. @returns how many were accepted */
function put(
  publisher: Fake,
  text: string,
  envelopes: Envelope | Envelope[] = T,
  outcome?: Recorder,
): number {
  return publisher.publish(bodies(text), 0, text.split(" ").length, envelopes, outcome);
}

/** Records the outcome of a run. */
class Recorder {
  readonly seen: string[] = [];
  onReturn(code: number, reason: string): void {
    this.seen.push(`return ${code} ${reason}`);
  }
  onRefused({ message }: Error): void {
    this.seen.push(message);
  }
  onSettled(acknowledged: boolean): void {
    this.seen.push(`settled ${acknowledged}`);
  }
}

async function withPublisher(
  work: (publisher: Fake, publishing: FakePublishing, connections: FakeConnection[]) => Promise<void>,
  options: PublisherOptions<FakeConnection> = {},
): Promise<void> {
  const protocol = new FakeProtocol();
  const publishing = new FakePublishing();
  const publisher = new Publisher(protocol, publishing, [fakeAddress("host")], {
    reconnect: { first: 1, longest: 4 },
    ...options,
  });
  await publisher.start();
  try {
    await work(publisher, publishing, protocol.connections);
  } finally {
    await publisher.close();
  }
}

/** Loses the connection, and waits for the next one. */
async function reconnect(publishing: FakePublishing, connections: FakeConnection[]): Promise<void> {
  const count = publishing.published.length;
  connections.at(-1)!.abort(TEMPORARY);
  await waitFor(() => publishing.published.length === count + 1);
}

describe("publisher", () => {
  it("confirms - single, multiple, refused with a reason, and unknown ones", () =>
    withPublisher(async (publisher, { events, published }) => {
      const outcome = new Recorder();
      put(publisher, "a b c");
      put(publisher, "d e", T, outcome);
      assert.deepEqual(published, [["1 t a", "2 t b", "3 t c", "4 t d", "5 t e"]]);
      events.onConfirm(2, false, true);
      events.onConfirm(0, false, true);
      events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder, publisher.pending], [1, 0, 4]);
      events.onConfirm(3, true, true);
      events.onConfirm(4, false, false, "full");
      events.onConfirm(5, false, false, "later");
      events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.refused, publisher.takenInOrder], [3, 2, 3]);
      assert.equal(publisher.refusalReason, "full");
      assert.deepEqual(outcome.seen, ["settled false"]);
      await Promise.resolve();
    }));

  it("window - 10,000 messages or 32 MiB wait for their confirms, unless it is given", async () => {
    const count = 10_001;
    const list = (size: number) => ({
      bytes: new Uint8Array(size),
      starts: new Int32Array(count),
      ends: new Int32Array(count).fill(size),
    });
    for (const [size, expected] of [[0, 10_000], [2 ** 20, 32]] as const) {
      await withPublisher(async (publisher) => {
        assert.equal(publisher.publish(list(size), 0, count, T), expected);
        assert.equal(publisher.pending, expected);
        await Promise.resolve();
      });
    }
  });

  it("window - the bytes that wait leave less room, and the last message may exceed it", () =>
    withPublisher((publisher, { events }) => {
      assert.equal(put(publisher, "aaaaaa"), 1);
      assert.equal(put(publisher, "bbb ccc ddd"), 2);
      assert.deepEqual([publisher.pending, publisher.pendingBytes], [3, 12]);
      assert.equal(put(publisher, "e"), 0);
      events.onConfirm(1, false, true);
      events.onBatchEnd();
      assert.equal(put(publisher, "ffff g"), 1);
      return Promise.resolve();
    }, { windowBytes: 10 }));

  it("reconnect - a message that is as large as the new connection allows is published again", () =>
    withPublisher(async (publisher, publishing, connections) => {
      put(publisher, "abc abcd");
      publishing.limit = 3;
      await reconnect(publishing, connections);
      await waitFor(() => publisher.refused === 1);
      assert.deepEqual([publishing.published[1], publisher.pending], [["1 t abc"], 1]);
    }));

  it("returns - are counted, and reported to the run", () =>
    withPublisher(async (publisher, { events }) => {
      const outcome = new Recorder();
      put(publisher, "a", T, outcome);
      events.onReturn(312, "no queue", (run) => run.outcome === outcome);
      events.onReturn(312, "no other queue", () => false);
      events.onConfirm(1, false, true);
      events.onBatchEnd();
      assert.deepEqual([publisher.returned, publisher.returnReason, publisher.acknowledged], [
        2,
        "no queue",
        1,
      ]);
      assert.deepEqual(outcome.seen, ["return 312 no queue", "settled true"]);
      await Promise.resolve();
    }));

  it("reconsider - a final outcome is applied with all that came after it, and later ones at once", () => {
    const asked: string[] = [];
    return withPublisher(async (publisher, { events, published }) => {
      const outcome = new Recorder();
      put(publisher, "a", T, outcome);
      put(publisher, "b c d");
      events.onReturn(312, "no queue", (run) => run.outcome === outcome);
      events.onConfirm(2, true, true);
      events.onConfirm(3, false, false, "full");
      events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.returned, publisher.pending], [0, 0, 4]);
      await waitFor(() => publisher.refused === 1);
      assert.deepEqual([publisher.acknowledged, publisher.returned, publisher.pending], [2, 1, 1]);
      assert.deepEqual(outcome.seen, ["return 312 no queue", "settled true"]);
      events.onReturn(312, "no queue", () => false);
      assert.equal(publisher.returned, 2);
      assert.deepEqual([asked, published.length], [["returned t"], 1]);
    }, {
      reconsider: (_connection, { outcome, envelope }) => {
        asked.push(`${outcome} ${envelope?.routingKey}`);
        return Promise.resolve(undefined);
      },
    });
  });

  it("reconsider - while something is away messages are kept, and then published again without the accepted ones", () => {
    const events: string[] = [];
    let looks = 0;
    return withPublisher(async (publisher, publishing) => {
      put(publisher, "a b c");
      publishing.events.onConfirm(1, false, true);
      publishing.events.onConfirm(2, false, false);
      publishing.events.onConfirm(3, false, true);
      put(publisher, "d");
      await waitFor(() => publishing.published.length === 2 && publishing.published[1]!.length > 0);
      assert.deepEqual(publishing.published, [["1 t a", "2 t b", "3 t c"], ["1 t b", "2 t d"]]);
      assert.equal(publisher.delayReason, "still away");
      publishing.events.onConfirm(2, true, true);
      publishing.events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder, publisher.pending], [4, 4, 0]);
      assert.equal(publisher.resent, 0);
      assert.deepEqual([publisher.refused, publisher.delayReason], [0, ""]);
      assert.deepEqual(events, ["away", "still away"]);
    }, {
      // The first look is at the start.
      prepare: () => ++looks === 2 ? Promise.reject(new AwayError("still away")) : Promise.resolve(),
      reconsider: () => Promise.resolve(new AwayError("away")),
      onEvent: (event) => void (event.type === "away" && events.push(event.error.message)),
    });
  });

  it("reconsider - what came back before the end of an outage is published once more, and only then final", () => {
    const answers = [new AwayError("away"), undefined, undefined];
    return withPublisher(async (publisher, publishing) => {
      const returned = () => {
        publishing.events.onReturn(312, "no queue", () => true);
        publishing.events.onConfirm(1, false, true);
        publishing.events.onBatchEnd();
      };
      put(publisher, "a");
      for (const times of [1, 2]) {
        returned();
        await waitFor(() => publishing.published[times]?.length === 1);
        assert.deepEqual([publisher.returned, publisher.pending], [0, 1]);
      }
      returned();
      await waitFor(() => publisher.returned === 1);
      assert.deepEqual([publishing.published.length, answers.length, publisher.pending], [3, 0, 0]);
    }, { reconsider: () => Promise.resolve(answers.shift()) });
  });

  it("reconsider - a connection that is lost meanwhile publishes all unsettled messages on the next one", () =>
    withPublisher(async (publisher, publishing, connections) => {
      put(publisher, "a b");
      publishing.events.onConfirm(2, false, false);
      await reconnect(publishing, connections);
      await waitFor(() => publishing.published[1]!.length === 2);
      publishing.events.onConfirm(2, true, true);
      publishing.events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.refused, publisher.pending], [2, 0, 0]);
      assert.equal(publisher.resent, 2);
    }, { reconsider: () => new Promise(() => {}) }));

  it("reconsider - only the returned messages of several destinations are published again", () => {
    const seen = new Recorder();
    return withPublisher(async (publisher, publishing) => {
      put(publisher, "a b", [T, to("gone")]);
      put(publisher, "c", to("gone"), seen);
      put(publisher, "d");
      const isGone: IsReturned = (run, i) => envelopeOf(run, i).routingKey === "gone";
      publishing.events.onReturn(312, "no queue", isGone);
      publishing.events.onReturn(312, "no queue", isGone);
      publishing.events.onConfirm(4, true, true);
      publishing.events.onBatchEnd();
      await waitFor(() => publishing.published[1]?.length === 2);
      assert.deepEqual(publishing.published[1], ["1 gone b", "2 gone c"]);
      assert.deepEqual([publisher.acknowledged, publisher.returned, publisher.pending], [2, 0, 2]);
      publishing.events.onConfirm(2, true, true);
      publishing.events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder, publisher.resent], [4, 4, 0]);
      assert.deepEqual(seen.seen, ["settled true"]);
    }, { reconsider: () => Promise.resolve(new AwayError("away")) });
  });

  it("limits - stop before a message that does not fit, and throw if it is the first one", () =>
    withPublisher(async (publisher, publishing) => {
      publishing.limit = 2;
      assert.equal(put(publisher, "a bb ccc d"), 2);
      assert.throws(() => put(publisher, "ccc"), { name: "LimitError", message: /3 bytes.* is 2 bytes/ });
      assert.equal(put(publisher, "a b", [T, to("bad")]), 1);
      assert.throws(() => put(publisher, "b", [to("bad")]), /a bad topic/);
      assert.throws(() => put(publisher, "b", to("bad")), /a bad topic/);
      assert.equal(publisher.pending, 3);
      await Promise.resolve();
    }));

  it("limits - a full port is continued when it is writable, and after confirms", () =>
    withPublisher(async (publisher, publishing) => {
      publishing.room = 2;
      assert.equal(put(publisher, "a b c d e"), 5);
      const [list] = publishing.published;
      assert.equal(list!.length, 2);
      publishing.room = 3;
      publishing.events.onWritable();
      assert.equal(list!.length, 3);
      publishing.room = Infinity;
      publishing.events.onConfirm(1, false, true);
      publishing.events.onBatchEnd();
      assert.deepEqual(list, ["1 t a", "2 t b", "3 t c", "4 t d", "5 t e"]);
      await Promise.resolve();
    }));

  it("reconnect - unsettled messages are published again with new tags, before new ones", () =>
    withPublisher(async (publisher, publishing, connections) => {
      put(publisher, "a b c", [T, to("u"), T]);
      put(publisher, "d");
      publishing.events.onConfirm(2, false, true);
      publishing.events.onBatchEnd();
      await reconnect(publishing, connections);
      put(publisher, "e");
      assert.deepEqual(publishing.published[1], ["1 t a", "2 t c", "3 t d", "4 t e"]);
      publishing.events.onConfirm(4, true, true);
      publishing.events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.takenInOrder, publisher.pending], [5, 5, 0]);
    }));

  it("reconnect - messages over the limits of the new connection are refused, and the others published", () =>
    withPublisher(async (publisher, publishing, connections) => {
      const outcome = new Recorder();
      put(publisher, "a bbb c", T, outcome);
      publishing.limit = 2;
      await reconnect(publishing, connections);
      assert.deepEqual(publishing.published[1], ["1 t a", "2 t c"]);
      publishing.events.onConfirm(2, true, true);
      publishing.events.onBatchEnd();
      assert.deepEqual([publisher.acknowledged, publisher.refused], [2, 1]);
      assert.match(publisher.refusalReason, /3 bytes/);
      assert.deepEqual([outcome.seen.length, outcome.seen[1]], [2, "settled false"]);
    }));

  it("reconnect - a run that is refused as a whole does not stop those after it", () =>
    withPublisher(async (publisher, publishing, connections) => {
      const outcome = new Recorder();
      put(publisher, "aaa bbb", T, outcome);
      put(publisher, "c");
      publishing.limit = 2;
      await reconnect(publishing, connections);
      assert.deepEqual(publishing.published[1], ["1 t c"]);
      assert.deepEqual([publisher.refused, publisher.pending, outcome.seen.at(-1)], [2, 1, "settled false"]);
      put(publisher, "d");
      assert.deepEqual(publishing.published[1], ["1 t c", "2 t d"]);
    }));

  it("window - limits the number and the size of unconfirmed messages", async () => {
    await withPublisher(async (publisher, { events }) => {
      assert.equal(put(publisher, "a b c"), 2);
      assert.equal(put(publisher, "c"), 0);
      events.onConfirm(1, false, true);
      events.onBatchEnd();
      assert.equal(put(publisher, "c d"), 1);
      await Promise.resolve();
    }, { window: 2 });
    await withPublisher(async (publisher) => {
      assert.equal(put(publisher, "aa bb cc"), 2);
      await Promise.resolve();
    }, { windowBytes: 3 });
  });

  it("failure - is reported, and nothing is accepted after it", () =>
    withPublisher(async (publisher, { events }) => {
      const seen: string[] = [];
      publisher.onFailure = ({ message }) => void seen.push(message);
      events.onFailure(new Error("over"));
      assert.equal(put(publisher, "a"), 0);
      assert.deepEqual([seen, publisher.failure?.message], [["over"], "over"]);
      await Promise.resolve();
    }));

  it("reconnect - a run that was confirmed without the end of its batch is settled", async () => {
    await withPublisher(async (publisher, publishing, connections) => {
      const outcome = new Recorder();
      put(publisher, "a b", T, outcome);
      // The server then sends something malformed, which ends the connection within the batch.
      publishing.events.onConfirm(2, true, true);
      await reconnect(publishing, connections);
      assert.deepEqual(outcome.seen, ["settled true"]);
      assert.equal(publisher.takenInOrder, 2);
      assert.deepEqual(publishing.published[1], []);
    });
  });

  it("confirms - a tag that was not published yet settles nothing", async () => {
    await withPublisher((publisher, publishing) => {
      publishing.room = 1;
      put(publisher, "a b");
      publishing.events.onConfirm(2, true, true);
      publishing.events.onConfirm(99, false, true);
      publishing.events.onBatchEnd();
      assert.equal(publisher.acknowledged, 0);
      assert.equal(publisher.pending, 2);
      return Promise.resolve();
    });
  });
});
