/** Requests of the library with one promise each, over a requester that a test answers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { UnreachableError } from "../../../lib/errors.ts";
import { Questions } from "../../../lib/patterns/api/asking.ts";
import type { Requester, RequesterOptions } from "../../../lib/patterns/requester.ts";
import { Signal } from "../../../lib/transport/waiting.ts";

/** A requester with room for one request. */
function build() {
  let options!: RequesterOptions;
  const sent: string[] = [];
  const requester = {
    changed: new Signal(),
    failure: undefined as Error | undefined,
    hasRoom: true,
    start: () => Promise.resolve(),
    request({ bytes }: { bytes: Uint8Array }) {
      sent.push(new TextDecoder().decode(bytes));
      requester.hasRoom = false;
    },
    flush() {},
    close: () => Promise.resolve(),
  };
  const questions = new Questions({
    route: { exchange: "", routingKey: "rpc" },
    open(given) {
      options = given;
      return requester as unknown as Requester;
    },
  }, 1000);
  return { questions, requester, options, sent };
}

describe("requests with a promise each", () => {
  it("failure - rejects them, and a time limit that passes later is ignored", async () => {
    const { questions, requester, options } = build();
    await questions.start();
    const asked = questions.ask("a");
    requester.failure = new UnreachableError("gone");
    requester.changed.fire();
    await assert.rejects(asked, /gone/);
    options.onExpired!();
    await questions.close();
  });

  it("signal - a request that is aborted while it waits for room is not sent", async () => {
    const { questions, requester, options, sent } = build();
    await questions.start();
    const first = questions.ask("a");
    const abort = new AbortController();
    const second = questions.ask("b", { signal: abort.signal });
    abort.abort(new Error("never mind"));
    await assert.rejects(second, /never mind/);
    options.onExpired!();
    await assert.rejects(first, { name: "TimeoutError" });
    requester.hasRoom = true;
    options.onBatchEnd!();
    assert.deepEqual(sent, ["a"]);
    await questions.close();
  });
});
