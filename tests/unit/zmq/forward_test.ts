/** Forwarding when the other socket has no room. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { forward, Pull, Push } from "../../../mod.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { numbers, texts } from "../../support/sockets.ts";

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
