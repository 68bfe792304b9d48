/** The two buffers of an echo connection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EchoBuffer } from "../../../lib/echo/echo_buffer.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";

describe("echo - buffer", () => {
  /** A stream that takes a write when the test calls `take`. */
  class SlowStream {
    writes: string[] = [];
    buffers = new Set<ArrayBufferLike>();
    taken = 0;
    ended = false;
    #lent: Uint8Array | undefined;

    write(bytes: Uint8Array): void {
      assert.equal(this.#lent, undefined, "two writes at once");
      this.taken = 0;
      this.#lent = bytes;
      this.buffers.add(bytes.buffer);
    }

    take(): void {
      this.writes.push(new TextDecoder().decode(this.#lent));
      this.taken = this.#lent!.length;
      this.#lent = undefined;
    }

    end(): void {
      assert.equal(this.#lent, undefined, "ended before the last write was taken");
      this.ended = true;
    }
  }

  function open(): { stream: SlowStream; out: EchoBuffer; take: () => void } {
    const stream = new SlowStream();
    const out = new EchoBuffer(stream as unknown as ByteStream);
    return { stream, out, take: () => (stream.take(), out.onDrain()) };
  }

  it("buffer - chunks pushed during a write are copied, and follow as one write", () => {
    const { stream, out, take } = open();
    const chunk = new Uint8Array(1);
    for (const letter of "abcd") {
      chunk[0] = letter.charCodeAt(0);
      assert.equal(out.push(chunk), true);
    }
    out.end();
    take();
    assert.equal(stream.ended, false);
    take();
    assert.deepEqual(stream.writes, ["a", "bcd"]);
    assert.equal(stream.ended, true);
    assert.equal(out.written, 4);
  });

  it("buffer - has no room from 64 KiB during a write, until it drains", () => {
    const { out, take } = open();
    assert.equal(out.push(new Uint8Array(300_000)), true);
    assert.equal(out.push(new Uint8Array(64 * 1024 - 1)), true);
    assert.equal(out.push(new Uint8Array(1)), false);
    take();
    assert.equal(out.push(new Uint8Array(1)), true);
  });

  it("buffer - two buffers serve any number of chunks", () => {
    const { stream, out, take } = open();
    for (let i = 0; i < 100; i++) {
      out.push(new Uint8Array(4096));
      if (i % 2 === 1) take();
    }
    assert.ok(stream.buffers.size <= 4, `${stream.buffers.size} buffers`);
  });
});
