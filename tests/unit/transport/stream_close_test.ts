/** The end of a stream: half-close, close and reset, the same for every adapter. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UnreachableError } from "../../../lib/errors.ts";
import { deadline, TestPeer, waitFor } from "../../support/helpers.ts";
import { adapters } from "../../support/stream_adapters.ts";

for (const { name, system, halves, open } of adapters) {
  describe(`stream close - ${name}`, () => {
    const skip = halves ? false : "a WebSocket has no halves (RFC 6455, 5.5.1)";
    it("end - the peer sees the end after all bytes, and can still send", { skip }, async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      pair.near.write(new Uint8Array(300_000).fill(1));
      pair.near.end();
      const all = await far.untilEnd();
      assert.equal(all.length, 300_000);
      await far.write("answer");
      await near.atLeast(6);
      assert.equal(near.text(), "answer");
      assert.equal(near.ended, false);
      pair.far.end();
      await near.untilEnd();
      assert.equal(near.text(), "answer");
    });

    it("end - the peer sees the end after all bytes", async () => {
      await using pair = await open();
      new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      pair.near.write(new Uint8Array(300_000).fill(1));
      pair.near.end();
      assert.equal((await far.untilEnd()).length, 300_000);
    });

    it("end - a second call, or a call after close, does nothing", async () => {
      await using pair = await open();
      new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      pair.near.end();
      pair.near.end();
      await far.untilEnd();
      pair.near.close();
      pair.near.end();
      assert.equal(await deadline(pair.near.closed), undefined);
    });

    it("end - when both halves have ended, both ends are closed without an error", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      pair.near.end();
      pair.far.end();
      await Promise.all([near.untilEnd(), far.untilEnd()]);
      assert.deepEqual(await Promise.all([near.untilClosed(5000), far.untilClosed(5000)]), [
        undefined,
        undefined,
      ]);
    });

    it("close - resolves closed to its cause, and the peer sees the end", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      await far.write("x"); // So that near has read everything: a close with unread bytes would be a reset.
      await near.atLeast(1);
      await near.write("last words");
      await far.atLeast(10);
      const cause = new Error("enough");
      pair.near.close(cause);
      assert.equal(await deadline(pair.near.closed), cause);
      await far.untilEnd();
      assert.equal(far.text(), "last words");
      pair.far.close();
      assert.equal(await deadline(pair.far.closed, 5000, "closed of the peer"), undefined);
    });

    it("close - after end, the peer sees no second end", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      let ends = 0;
      pair.far.attach({ onData() {}, onEnd: () => void ends++, onDrain() {} });
      pair.near.end();
      await waitFor(() => ends > 0, 5000, "the end");
      pair.near.close();
      await near.untilClosed();
      // The bytes of the close arrive before the answer to a later write, which meets a closed peer. Not all streams report that.
      pair.far.write(Uint8Array.of(1));
      await Promise.race([pair.far.closed, new Promise((resolve) => setTimeout(resolve, 50))]);
      assert.equal(ends, 1);
    });

    it("close - the second call changes nothing", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      await far.write("x");
      await near.atLeast(1);
      pair.near.close();
      pair.near.close(new Error("too late"));
      assert.equal(await deadline(pair.near.closed), undefined);
      await far.untilEnd();
      pair.far.close();
      pair.far.close(new Error("too late"));
      assert.equal(await deadline(pair.far.closed), undefined);
    });

    it("close - the sink gets no events afterwards", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      const far = new TestPeer(pair.far);
      await far.write("a");
      await near.atLeast(1);
      pair.near.close();
      pair.far.write(new Uint8Array(1000));
      await far.until(() => far.ended || far.over, 5000, () => "the peer to notice");
      assert.equal(near.text(), "a");
      assert.equal(near.ended, false);
    });

    it("close - inside onData it stops the stream at once", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      let calls = 0;
      pair.far.attach({
        onData() {
          calls++;
          pair.far.close();
        },
        onEnd: () => calls += 100,
        onDrain: () => calls += 100,
      });
      await near.write("x");
      assert.equal(await deadline(pair.far.closed), undefined);
      assert.equal(calls, 1);
    });

    it("close - a write in progress gets no onDrain", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      pair.far.pause();
      new TestPeer(pair.far);
      pair.near.write(new Uint8Array(32 * 1024 * 1024));
      await assert.rejects(near.untilDrains(1, 200), /Waited/);
      pair.near.close();
      await deadline(pair.near.closed);
      pair.far.resume();
      pair.far.close();
      await deadline(pair.far.closed);
      assert.equal(near.drains, 0);
      assert.ok(pair.near.taken < 32 * 1024 * 1024);
    });

    it("reset - a peer that closes with our bytes unread closes us with an error", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      pair.far.pause();
      new TestPeer(pair.far);
      if (system) await near.write("nobody reads this");
      else pair.near.write(Uint8Array.of(1));
      pair.far.close();
      // The end may be seen first; the next write then meets the reset.
      await near.until(() => near.ended || near.over, 5000, () => "the peer to be gone");
      if (!near.over) pair.near.write(Uint8Array.of(1));
      const cause = await near.untilClosed(5000);
      assert.ok(cause instanceof UnreachableError, `closed with ${cause}`);
      assert.ok(cause.message.length > 10, cause.message);
    });

    it("reset - writing to a peer that has left closes us with an error", async () => {
      await using pair = await open();
      const near = new TestPeer(pair.near);
      new TestPeer(pair.far);
      pair.far.close();
      await near.untilEnd();
      const block = new Uint8Array(64 * 1024);
      for (let i = 0; i < 1000 && !near.over; i++) {
        pair.near.write(block);
        await near.until(() => near.over || near.drains > i);
      }
      assert.ok(near.over, "1000 blocks went to a peer that is gone");
      assert.ok(near.cause instanceof UnreachableError, `closed with ${near.cause}`);
    });
  });
}
