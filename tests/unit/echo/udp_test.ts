/** The echo server and client over UDP. */
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { describe, it } from "node:test";
import { AddressInUseError, LimitError, UnreachableError } from "../../../lib/errors.ts";
import { deadline } from "../../support/helpers.ts";
import { pattern, serve, sha256, Talker } from "./echo_parts.ts";

describe("echo - udp", () => {
  for (const endpoint of ["udp://127.0.0.1:0", "udp://[::1]:0", "udp://localhost:0"]) {
    it(`udp - datagrams come back in order from ${endpoint}`, async () => {
      await using served = await serve(endpoint);
      const talker = await Talker.open(served.endpoint);
      const texts = Array.from({ length: 90 }, (_, i) => i === 7 ? "" : `datagram ${i}`);
      for (const text of texts) await talker.send(text);
      talker.client.end();
      assert.equal(await talker.closed(), undefined);
      assert.deepEqual(talker.chunks, texts);
      assert.equal(served.events.filter(({ type }) => type === "echoed").length, texts.length);
    });
  }

  it("udp - many datagrams of the largest size come back", async () => {
    await using served = await serve("udp://127.0.0.1:0");
    const talker = await Talker.open(served.endpoint);
    const bytes = pattern(30 * 65_507);
    for (let at = 0; at < bytes.length; at += 65_507) await talker.send(bytes.subarray(at, at + 65_507));
    talker.client.end();
    assert.equal(await talker.closed(), undefined);
    assert.equal(talker.digest(), sha256(bytes));
  });

  it("udp - a larger datagram is a LimitError that names the remedy", async () => {
    await using served = await serve("udp://127.0.0.1:0");
    const talker = await Talker.open(served.endpoint);
    assert.throws(() => talker.client.send(new Uint8Array(65_508)), (error) => {
      assert.ok(error instanceof LimitError);
      assert.match(error.message, /65508 bytes.*65507.*tcp:\/\//);
      return true;
    });
    talker.client.close();
  });

  it("udp - the timeout error counts the missing datagrams", async () => {
    const silent = dgram.createSocket("udp4");
    silent.bind(0, "127.0.0.1");
    await once(silent, "listening");
    silent.on("message", (datagram, from) => {
      if (String(datagram) === "1") silent.send(datagram, from.port, from.address);
    });
    try {
      const talker = await Talker.open(`udp://127.0.0.1:${silent.address().port}`, { timeout: 60 });
      for (const text of ["1", "2", "3"]) await talker.send(text);
      talker.client.end();
      const cause = await talker.closed();
      assert.equal(cause?.name, "TimeoutError");
      assert.equal(cause.message, "No echo came for 60 ms: 2 of 3 datagrams are missing");
      assert.deepEqual(talker.chunks, ["1"]);
    } finally {
      silent.close();
    }
  });

  it("udp - without a server the client ends with an error", async () => {
    const { server, endpoint } = await serve("udp://127.0.0.1:0");
    await server.close();
    const talker = await Talker.open(endpoint, { timeout: 60 });
    talker.client.send(Uint8Array.of(1));
    talker.client.end();
    // A runtime that reports the ICMP message does so at once; on another one the timeout ends the client.
    const cause = await talker.closed();
    assert.ok(cause instanceof UnreachableError || cause?.name === "TimeoutError");
  });

  it("udp - datagrams of other senders are ignored", async () => {
    const stranger = dgram.createSocket("udp4");
    const peer = dgram.createSocket("udp4");
    peer.bind(0, "127.0.0.1");
    await once(peer, "listening");
    peer.on("message", (datagram, from) => {
      stranger.send("stranger", from.port, "127.0.0.1", () => peer.send(datagram, from.port, from.address));
    });
    try {
      const talker = await Talker.open(`udp://127.0.0.1:${peer.address().port}`);
      await talker.send("friend");
      talker.client.end();
      assert.equal(await talker.closed(), undefined);
      assert.deepEqual(talker.chunks, ["friend"]);
    } finally {
      stranger.close();
      peer.close();
    }
  });

  it("udp - pause holds the datagrams until resume", async () => {
    await using served = await serve("udp://127.0.0.1:0");
    const talker = await Talker.open(served.endpoint, { timeout: 50 });
    talker.client.pause();
    for (const text of ["a", "b", "c"]) await talker.send(text);
    await served.event("echoed", 3);
    talker.client.end();
    await assert.rejects(deadline(talker.client.closed, 150, "nothing"), /Waited/);
    assert.deepEqual(talker.chunks, []);
    talker.client.resume();
    assert.equal(await talker.closed(), undefined);
    assert.deepEqual(talker.chunks, ["a", "b", "c"]);
  });

  it("udp - once answers one datagram, then closes", async () => {
    const served = await serve("udp://127.0.0.1:0", { once: true });
    const talker = await Talker.open(served.endpoint);
    await talker.send("only");
    await deadline(served.server.closed, 5000, "the server to stop");
    talker.client.end();
    assert.equal(await talker.closed(), undefined);
    assert.deepEqual(talker.chunks, ["only"]);
    await served.server.close();
  });

  it("listen - an address in use is an error that names it", async () => {
    await using served = await serve("udp://127.0.0.1:0");
    await assert.rejects(serve(served.endpoint), (error) => {
      assert.ok(error instanceof AddressInUseError);
      assert.ok(error.message.startsWith(`Cannot bind ${served.endpoint}: `), error.message);
      return true;
    });
  });
});
