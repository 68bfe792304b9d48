/** Senders that are stopped for longer than their peers wait: Ctrl-Z, a suspended laptop. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { waitFor } from "../support/helpers.ts";
import { start, test } from "../support/mqcat.ts";
import { frame, hexOf, rawListener } from "../support/raw_peer.ts";

const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `line ${from + i}`);
const framed = (texts: readonly string[]) => texts.map((text) => hexOf(frame(text))).join("");

describe("suspended", () => {
  for (const type of ["push", "dealer"]) {
    test(`${type} - nothing is written to a peer that closed meanwhile`, async () => {
      await using listener = await rawListener((peer) =>
        void peer.greet(type === "push" ? "PULL" : "DEALER")
      );
      using sender = start([type, `>${listener.endpoint}`, "--summary"], { open: true });
      const first = await listener.peer(0);
      sender.write("early\n");
      await waitFor(() => hexOf(first.bytes()).endsWith(hexOf(frame("early"))));
      sender.kill("SIGSTOP");
      // The peer's heartbeat would do this.
      first.end();
      sender.write(lines(0, 100).join("\n") + "\n");
      sender.end();
      // A stop that is shorter than the shortest usual heartbeat is not noticed.
      await new Promise((resolve) => setTimeout(resolve, 500));
      sender.kill("SIGCONT");
      const second = await listener.peer(1);
      await waitFor(() => hexOf(second.bytes()).endsWith(framed(lines(0, 100))));
      second.end();
      const { code, stderr } = await sender.exit();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /"sent":101/);
    });
  }
});
