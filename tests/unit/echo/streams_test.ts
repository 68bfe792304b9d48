/** The echo server and client over every transport with streams. */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { deadline, tempDir } from "../../support/helpers.ts";
import { dial, MB, pattern, serve, sha256, Talker } from "./echo_parts.ts";

const dir = tempDir();
after(() => dir.remove());

const STREAMS = {
  "tcp": "tcp://127.0.0.1:0",
  "tcp over IPv6": "tcp://[::1]:0",
  "unix": `unix://${dir.file("echo.sock")}`,
  "ipc": `ipc://${dir.file("ipc.sock")}`,
  "abstract unix": `unix://@mqcat-echo-test-${crypto.randomUUID()}`,
  "tls": "tls://127.0.0.1:0",
};

for (const [name, endpoint] of Object.entries(STREAMS)) {
  describe(`echo - ${name}`, () => {
    it("stream - every byte comes back, then the end", async () => {
      await using served = await serve(endpoint);
      const talker = await Talker.open(served.endpoint);
      const bytes = pattern(3 * MB + 7);
      for (let at = 0; at < bytes.length; at += 100_000) await talker.send(bytes.subarray(at, at + 100_000));
      talker.client.end();
      assert.equal(await talker.closed(), undefined);
      assert.equal(talker.client.sent, bytes.length);
      assert.equal(talker.client.received, bytes.length);
      assert.equal(talker.digest(), sha256(bytes));
      const { bytes: echoed, cause } = await served.event("disconnected");
      assert.equal(echoed, bytes.length);
      assert.equal(cause, undefined);
    });

    it("stream - a small message comes back at once", async () => {
      await using served = await serve(endpoint);
      const peer = await dial(served.endpoint);
      for (const text of ["Hello, world", "x", "\0\xff"]) {
        const before = peer.length;
        await peer.write(text);
        await peer.atLeast(before + new TextEncoder().encode(text).length);
      }
      assert.equal(peer.text(), "Hello, worldx\0\xff");
      peer.stream.close();
    });

    it("stream - a peer that ends its half gets the rest of the echo, then our end", async () => {
      await using served = await serve(endpoint);
      const peer = await dial(served.endpoint);
      peer.stream.pause();
      const bytes = pattern(200_000);
      await peer.write(bytes);
      peer.stream.end();
      peer.stream.resume();
      assert.equal(sha256(await peer.untilEnd()), sha256(bytes));
      assert.equal(await deadline(peer.stream.closed), undefined);
      assert.equal((await served.event("disconnected")).cause, undefined);
    });

    it("stream - a peer that sends and does not read is slowed down, and loses nothing", async () => {
      await using served = await serve(endpoint);
      const peer = await dial(served.endpoint);
      peer.stream.pause();
      const block = pattern(MB);
      let blocks = 0;
      // Without backpressure the server would take all 64 MB; no system buffers as much.
      for (; blocks < 64; blocks++) {
        const drains = peer.drains;
        peer.stream.write(block);
        if (!await peer.untilDrains(drains + 1, 300).then(() => true, () => false)) break;
      }
      assert.ok(blocks < 64, "the peer was never held back");
      assert.equal(peer.length, 0);
      peer.stream.resume();
      const all = await peer.atLeast((blocks + 1) * MB);
      for (let i = 0; i <= blocks; i++) {
        assert.equal(sha256(all.subarray(i * MB, (i + 1) * MB)), sha256(block));
      }
      peer.stream.close();
    });
  });
}
