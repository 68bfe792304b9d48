/** The echo server, against clients and raw streams that behave badly. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AddressInUseError, ClosedError, UnreachableError } from "../../../lib/errors.ts";
import { deadline, waitFor } from "../../support/helpers.ts";
import { dial, serve, Talker } from "./echo_parts.ts";

describe("echo server", () => {
  it("server - each of many clients gets its own bytes", async () => {
    await using served = await serve(":0");
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const talker = await Talker.open(served.endpoint);
      for (let round = 0; round < 10; round++) await talker.send(`${i}:${round};`);
      talker.client.end();
      assert.equal(await talker.closed(), undefined);
      assert.equal(
        talker.chunks.join(""),
        Array.from({ length: 10 }, (_, round) => `${i}:${round};`).join(""),
      );
    }));
    await served.event("disconnected", 100);
    assert.equal(served.events.filter(({ type }) => type === "connected").length, 100);
  });

  it("server - reports its events in order", async () => {
    const { server, endpoint, events, event } = await serve(":0");
    const peer = await dial(endpoint);
    await peer.write("abc");
    await peer.atLeast(3);
    peer.stream.end();
    await event("disconnected");
    await server.close();
    const remote = peer.stream.local;
    assert.match(endpoint, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.deepEqual(events, [
      { type: "listening", endpoint },
      { type: "connected", remote },
      { type: "disconnected", remote, bytes: 3, cause: undefined },
    ]);
  });

  it("once - serves one connection, then closes and frees its address", async () => {
    const served = await serve(":0", { once: true });
    const talker = await Talker.open(served.endpoint);
    await served.event("connected");
    await assert.rejects(waitForRefusal(served.endpoint), UnreachableError);
    await talker.send("still served");
    talker.client.end();
    await talker.closed();
    assert.equal(talker.chunks.join(""), "still served");
    await deadline(served.server.closed, 5000, "the server to stop");
    await using _again = await serve(served.endpoint);
  });

  it("maxConnections - closes a new connection over the limit, until there is room again", async () => {
    await using served = await serve(":0", { maxConnections: 2 });
    const first = await dial(served.endpoint);
    const second = await dial(served.endpoint);
    await served.event("connected", 2);
    const third = await dial(served.endpoint);
    const refused = await served.event("refused");
    assert.equal(refused.limit, 2);
    assert.equal(refused.remote, third.stream.local);
    await Promise.race([third.untilEnd(), third.stream.closed]);
    first.stream.close();
    await served.event("disconnected");
    const fourth = await dial(served.endpoint);
    await fourth.write("room");
    await fourth.atLeast(4);
    for (const peer of [second, third, fourth]) peer.stream.close();
  });

  it("idleTimeout - closes a silent connection, and reports the cause", async () => {
    await using served = await serve(":0", { idleTimeout: 40 });
    const peer = await dial(served.endpoint);
    await peer.write("x");
    await peer.untilEnd();
    const { cause } = await served.event("disconnected");
    assert.ok(cause instanceof ClosedError);
    assert.equal(cause.message, "No data in either direction for 40 ms");
    peer.stream.close();
  });

  it("reset - is reported with its cause, and the other clients are still served", async () => {
    await using served = await serve(":0");
    const good = await dial(served.endpoint);
    const bad = await dial(served.endpoint);
    bad.stream.pause();
    await bad.write(new Uint8Array(500_000));
    await waitFor(() => served.events.length >= 3);
    bad.stream.close(); // With the echo unread, this is a reset.
    const { remote, cause } = await served.event("disconnected");
    assert.equal(remote, bad.stream.local);
    assert.ok(cause instanceof UnreachableError);
    await good.write("well");
    await good.atLeast(4);
    good.stream.close();
  });

  it("close - ends the connections, and resolves when they are over", async () => {
    const served = await serve(":0");
    const peer = await dial(served.endpoint);
    await served.event("connected");
    await deadline(served.server.close(), 5000, "close");
    await deadline(served.server.close(), 5000, "a second close");
    const { cause } = await served.event("disconnected");
    assert.ok(cause instanceof ClosedError);
    await Promise.race([peer.untilEnd(), peer.stream.closed]);
    peer.stream.close();
    await assert.rejects(dial(served.endpoint), UnreachableError);
  });

  it("listen - an address in use is an error that names it", async () => {
    await using served = await serve(":0");
    await assert.rejects(serve(served.endpoint), (error) => {
      assert.ok(error instanceof AddressInUseError);
      assert.ok(error.message.includes(served.endpoint));
      return true;
    });
  });

  it("limits - a limit that is not a positive number is a RangeError", async () => {
    await assert.rejects(serve(":0", { maxConnections: 0 }), RangeError);
    await assert.rejects(serve(":0", { idleTimeout: -1 }), RangeError);
    await assert.rejects(serve(":0", { idleTimeout: NaN }), RangeError);
  });

  /** The listener closes in the background: connects until that is refused. */
  function waitForRefusal(endpoint: string): Promise<never> {
    return waitFor(async () => {
      const peer = await dial(endpoint);
      peer.stream.close();
      return undefined as never;
    });
  }
});
