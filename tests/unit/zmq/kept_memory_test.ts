/** An idle socket does not keep the memory of the last message that it sent. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Asker, type Batch, Push, Rep, Req } from "../../../mod.ts";
import { deadline } from "../../support/helpers.ts";
import { inproc, scoped } from "../../support/sockets.ts";

const LARGE = new Uint8Array(2 ** 20);

class WatchedPush extends Push {
  last: Batch | undefined;

  override sendBatch(batch: Batch, from?: number): number {
    this.last = batch;
    return super.sendBatch(batch, from);
  }
}

class WatchedReq extends Req {
  last: Batch | undefined;

  override ask(batch: Batch, from: number, to: number, asker: Asker): void {
    this.last = batch;
    super.ask(batch, from, to, asker);
  }
}

describe("kept memory", () => {
  it("push - a message that found no room, or was queued, is not kept", async () => {
    await using push = scoped(new WatchedPush());
    const waits = push.send(LARGE, { signal: AbortSignal.timeout(1) }).catch(() => {});
    const first = push.last!;
    assert.equal(first.bytes.length, 0);
    await waits;
  });

  it("req - a request is kept until its reply or its failure, and not longer", async () => {
    await using rep = scoped(new Rep());
    await using req = scoped(new WatchedReq());
    req.connect(await rep.bind(inproc()));
    const reply = req.request(LARGE);
    const request = (await deadline(rep.receive()))!;
    assert.equal(request.frames[0]!.length, LARGE.length);
    assert.equal(req.last!.bytes, LARGE);
    request.reply("ok");
    await deadline(reply);
    assert.equal(req.last!.bytes.length, 0);
    const cancel = new AbortController();
    const cancelled = req.request(LARGE, { signal: cancel.signal }).catch(() => {});
    cancel.abort();
    await cancelled;
    assert.equal(req.last!.bytes.length, 0);
  });
});
