/** One suite that every adapter of `ByteStream` must pass. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import type { ByteStream, StreamSink } from "../../../lib/transport/stream.ts";
import { DEADLINE, deadline, TestPeer } from "../../support/helpers.ts";
import { adapters } from "../../support/stream_adapters.ts";

const MB = 1024 * 1024;

/** Writes `count` bytes of a pattern from one reused block, and reads as many; resolves to both digests. */
function exchange(
  stream: ByteStream,
  count: number,
  seed: number,
): Promise<{ sent: string; received: string }> {
  const sent = createHash("sha1");
  const received = createHash("sha1");
  const block = new Uint8Array(256 * 1024);
  const done = Promise.withResolvers<{ sent: string; received: string }>();
  let toSend = count;
  let toReceive = count;
  let drained = false;
  const writeNext = () => {
    if (toSend === 0) {
      drained = true;
      return finish();
    }
    const bytes = block.subarray(0, Math.min(block.length, toSend));
    for (let i = 0; i < bytes.length; i += 61) bytes[i] = (toSend + i * seed) & 255;
    toSend -= bytes.length;
    sent.update(bytes);
    stream.write(bytes);
  };
  const finish = () => {
    if (drained && toReceive === 0) {
      done.resolve({ sent: sent.digest("hex"), received: received.digest("hex") });
    }
  };
  const sink: StreamSink = {
    onData(chunk) {
      received.update(chunk);
      toReceive -= chunk.length;
      finish();
    },
    onEnd: () => done.reject(new Error(`ended with ${toReceive} bytes to come`)),
    onDrain: writeNext,
  };
  stream.attach(sink);
  writeNext();
  return done.promise;
}

/** Reads the property again; the compiler assumes that a readonly property never changes. */
function takenOf(stream: ByteStream): number {
  return stream.taken;
}

for (const { name, system, open } of adapters) {
  describe(`stream - ${name}`, () => {
    it("write - bytes arrive in order, in both directions", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      let expected = "";
      for (let i = 0; i < 200; i++) {
        const line = `${i}:${"x".repeat(i)}\n`;
        expected += line;
        await near.write(line);
        if (i % 50 === 0) await far.write(line.toUpperCase());
      }
      await far.atLeast(expected.length);
      assert.equal(far.text(), expected);
      await near.atLeast(1);
      assert.match(near.text(), /^0:\n/);
    });

    it("write - a lent buffer may be reused after onDrain", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      const block = new Uint8Array(100_000);
      for (let round = 1; round <= 30; round++) {
        block.fill(round);
        await near.write(block);
        block.fill(255);
      }
      const all = await far.atLeast(30 * block.length);
      assert.equal(all.length, 30 * block.length);
      for (let round = 1; round <= 30; round++) {
        const part = all.subarray((round - 1) * block.length, round * block.length);
        assert.ok(part.every((byte) => byte === round), `block ${round} was changed on the way`);
      }
    });

    it("write - 20 MB go in both directions at once", { timeout: 30_000 }, async () => {
      await using pair = await open();
      const [near, far] = await deadline(
        Promise.all([exchange(pair.near, 20 * MB, 3), exchange(pair.far, 20 * MB, 7)]),
        30_000,
        "20 MB each way",
      );
      assert.equal(far.received, near.sent);
      assert.equal(near.received, far.sent);
    });

    it("taken - counts the bytes of the last write that went out", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      new TestPeer(pair.far);
      await near.write(new Uint8Array(5000));
      assert.equal(pair.near.taken, 5000);
      pair.far.pause();
      pair.near.write(new Uint8Array(64 * MB));
      await assert.rejects(near.untilDrains(2, 300), /Waited/);
      assert.ok(takenOf(pair.near) < 64 * MB, "more was counted than can have gone out");
      pair.far.resume();
      await near.untilDrains(2);
      assert.equal(takenOf(pair.near), 64 * MB);
    });

    it("pause - stops the writer, and resume continues without a loss", { timeout: 30_000 }, async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      await near.write("x");
      await far.atLeast(1);
      pair.far.pause();
      const block = new Uint8Array(MB);
      let written = 0;
      // Without backpressure all 64 MB would be written; no system buffers that much.
      for (; written < 64; written++) {
        block[0] = written;
        const drains = near.drains;
        pair.near.write(block.slice());
        try {
          await near.untilDrains(drains + 1, 300);
        } catch {
          break;
        }
      }
      assert.ok(written < 64, "the writer was never held back");
      assert.equal(far.length, 1, "onData came while paused");
      pair.far.resume();
      await near.until(() => near.drains === written + 2, DEADLINE, () => "the write that was held back");
      const all = await far.atLeast(1 + (written + 1) * MB, 20_000);
      for (let i = 0; i <= written; i++) assert.equal(all[1 + i * MB], i);
    });

    it("pause - inside onData it holds the next onData, and onEnd, until resume", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const events: string[] = [];
      const first = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      let length = 0;
      pair.far.attach({
        onData(chunk) {
          length += chunk.length;
          if (events.length === 0) pair.far.pause();
          events.push("data");
          first.resolve();
        },
        onEnd() {
          events.push("end");
          ended.resolve();
        },
        onDrain() {},
      });
      await near.write("one");
      await deadline(first.promise);
      if (system) await near.write("two");
      pair.near.end();
      // An echo of the end would come within this time if pause did not hold it.
      await assert.rejects(deadline(ended.promise, 100));
      assert.deepEqual(events, ["data"]);
      pair.far.resume();
      await deadline(ended.promise, DEADLINE, "onEnd after resume");
      assert.equal(length, system ? 6 : 3);
      assert.equal(events.at(-1), "end");
    });

    it("pause - in every onData: nothing arrives until resume, and nothing is lost", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const received = createHash("sha1");
      const done = Promise.withResolvers<void>();
      let paused = false;
      let early = 0;
      pair.far.attach({
        onData(chunk) {
          if (paused) early++;
          received.update(chunk);
          paused = true;
          pair.far.pause();
          setTimeout(() => {
            paused = false;
            pair.far.resume();
          }, 1);
        },
        onEnd() {
          if (paused) early++;
          done.resolve();
        },
        onDrain() {},
      });
      const bytes = new Uint8Array(MB).map((_, i) => i % 251);
      pair.near.write(bytes);
      pair.near.end();
      await deadline(done.promise, DEADLINE, "the end of 1 MB");
      assert.equal(early, 0, "onData or onEnd came while paused");
      assert.equal(received.digest("hex"), createHash("sha1").update(bytes).digest("hex"));
      assert.equal(near.drains, 1);
    });

    it("pause - before attach it takes effect, too", async () => {
      await using pair = await open();
      pair.far.pause();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      near.stream.write(Uint8Array.of(1, 2, 3));
      await assert.rejects(far.atLeast(1, 100), /Waited/);
      pair.far.resume();
      assert.deepEqual([...await far.atLeast(3)], [1, 2, 3]);
    });

    it("attach - a second call replaces the sink", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const first = new TestPeer(pair.far);
      await near.write("a");
      await first.atLeast(1);
      const second = new TestPeer(pair.far);
      await near.write("b");
      await second.atLeast(1);
      await second.write("c");
      assert.equal(first.text(), "a");
      assert.equal(first.drains, 0);
      assert.equal(second.text(), "b");
    });
  });
}
