/** The cost of decoding WebSocket frames, in bytes that are copied. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ZwsDecoder } from "../../../../lib/transport/ws/decoder.ts";
import { BINARY, controlFrame, FIN, MASKED, PING } from "../../../../lib/transport/ws/frame.ts";
import { concat } from "../../../../lib/zmtp/bytes.ts";

/** The number of bytes that `run` copies between arrays. */
function copied(run: () => void): number {
  const { set } = Uint8Array.prototype;
  let sum = 0;
  Uint8Array.prototype.set = function (this: Uint8Array, source: ArrayLike<number>, at?: number) {
    sum += source.length;
    set.call(this, source, at);
  };
  try {
    run();
  } finally {
    Uint8Array.prototype.set = set;
  }
  return sum;
}

describe("ws decoder", () => {
  const short = Uint8Array.of(FIN | BINARY, MASKED | 1, 0, 0, 0, 0, 0);
  const large = new Uint8Array(8 + 5000);
  large.set([FIN | BINARY, MASKED | 126, 5000 >>> 8, 5000 & 255]);

  for (
    const [name, other] of [["Pings", controlFrame(PING, new Uint8Array(2), true)], [
      "long messages",
      large,
    ]] as const
  ) {
    it(`cost - short messages between ${name} are copied once, not with everything that follows`, () => {
      const count = Math.ceil(256 * 1024 / (short.length + other.length));
      const chunk = concat(Array.from({ length: count }, () => [short, other]).flat());
      const decoder = new ZwsDecoder(true, 2 ** 30, () => {});
      const sum = copied(() => decoder.push(chunk));
      assert.ok(sum <= 2 * chunk.length, `${sum} bytes copied for ${chunk.length}`);
      assert.equal(decoder.length, count * (other === large ? 2 + 9 + 4999 : 2));
    });
  }
});
