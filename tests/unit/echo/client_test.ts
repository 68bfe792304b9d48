/** The echo client, against servers that behave badly; disposal of both. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, it } from "node:test";
import { ClosedError, UnreachableError } from "../../../lib/errors.ts";
import { connectEcho } from "../../../lib/echo/client.ts";
import type { EchoClient } from "../../../lib/echo/client_types.ts";
import { serveEcho } from "../../../lib/echo/server.ts";
import type { EchoServer } from "../../../lib/echo/server_types.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";
import { deadline, TestPeer, waitFor } from "../../support/helpers.ts";
import { badServer, MB, pattern, serve, Talker } from "./echo_parts.ts";

describe("echo client", () => {
  it("connect - without a listener it is an error that names the endpoint", async () => {
    const { server, endpoint } = await serve(":0");
    await server.close();
    await assert.rejects(Talker.open(endpoint), (error) => {
      assert.ok(error instanceof UnreachableError);
      assert.ok(error.message.startsWith(`Cannot connect to ${endpoint}: `), error.message);
      return true;
    });
  });

  it("connect - refuses a certificate that is not trusted, unless insecure is set", async () => {
    await using served = await serve("tls://127.0.0.1:0");
    await assert.rejects(Talker.open(served.endpoint, { tls: {} }), UnreachableError);
    const talker = await Talker.open(served.endpoint, { tls: { insecure: true } });
    await talker.send("secret");
    talker.client.end();
    assert.equal(await talker.closed(), undefined);
    assert.equal(talker.chunks.join(""), "secret");
  });

  it("connect - gives up after connectTimeout, and at once when the signal is aborted", async () => {
    const silent = net.createServer();
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const endpoint = `tls://127.0.0.1:${(silent.address() as net.AddressInfo).port}`;
    try {
      await assert.rejects(Talker.open(endpoint, { connectTimeout: 50 }), (error) => {
        assert.ok(error instanceof UnreachableError);
        assert.equal(error.message, `Cannot connect to ${endpoint}: no answer within 50 ms`);
        return true;
      });
      const reason = new Error("changed my mind");
      const abort = new AbortController();
      const opening = Talker.open(endpoint, { signal: abort.signal });
      abort.abort(reason);
      await assert.rejects(deadline(opening), reason);
    } finally {
      silent.close();
    }
  });

  it("end - when the peer ends first, its bytes are delivered, and there is no cause", async () => {
    await using server = await badServer((stream) => void greet(stream));
    const talker = await Talker.open(server.endpoint);
    assert.equal(await talker.closed(), undefined);
    assert.equal(talker.chunks.join(""), "bye");
    assert.equal(talker.client.send(Uint8Array.of(1)), false);

    async function greet(stream: ByteStream) {
      const peer = new TestPeer(stream);
      await peer.write("bye");
      stream.end();
    }
  });

  it("timeout - closes the client when the peer does not answer", async () => {
    await using server = await badServer((stream) => void new TestPeer(stream));
    const talker = await Talker.open(server.endpoint, { timeout: 50 });
    await talker.send("anybody there?");
    const cause = await talker.closed();
    assert.equal(cause?.name, "TimeoutError");
    assert.equal(cause.message, "No data for 50 ms");
  });

  it("timeout - does not run while no echo is due", async () => {
    await using served = await serve(":0");
    const talker = await Talker.open(served.endpoint, { timeout: 500 });
    await talker.send("x");
    await waitFor(() => talker.client.received === 1);
    await assert.rejects(deadline(talker.client.closed, 1000, "nothing"), /Waited/);
    talker.client.end();
    assert.equal(await talker.closed(), undefined);
  });

  it("timeout - does not run while the client is paused", async () => {
    await using served = await serve(":0");
    const talker = await Talker.open(served.endpoint, { timeout: 30 });
    talker.client.pause();
    await talker.send("x");
    await assert.rejects(deadline(talker.client.closed, 150, "nothing"), /Waited/);
    talker.client.resume();
    talker.client.end();
    assert.equal(await talker.closed(), undefined);
    assert.equal(talker.chunks.join(""), "x");
  });

  it("pause - slows the peer down", async () => {
    const block = pattern(MB);
    let drains = 0;
    await using server = await badServer((stream) => {
      stream.attach({
        onData() {},
        onEnd() {},
        onDrain() {
          if (++drains < 64) stream.write(block);
        },
      });
      stream.write(block);
    });
    const talker = await Talker.open(server.endpoint);
    await waitFor(() => talker.client.received > 0);
    talker.client.pause();
    const { received } = talker.client;
    await assert.rejects(waitFor(() => drains === 64, 300, "all blocks"), /Waited/);
    assert.equal(talker.client.received, received);
    talker.client.resume();
    await waitFor(() => talker.client.received === 64 * MB);
    talker.client.close();
  });

  it("end - a peer that closes with our bytes unread is an error with its cause", async () => {
    const accepted = Promise.withResolvers<ByteStream>();
    await using server = await badServer((stream) => {
      stream.pause();
      accepted.resolve(stream);
    });
    const talker = await Talker.open(server.endpoint);
    const fill = async () => {
      for (;;) await talker.send(new Uint8Array(MB));
    };
    await assert.rejects(deadline(fill(), 500), /Waited/); // The system takes no more.
    (await accepted.promise).close();
    assert.ok(await talker.closed() instanceof UnreachableError);
  });

  it("send - after end it throws a ClosedError", async () => {
    await using served = await serve(":0");
    const talker = await Talker.open(served.endpoint);
    talker.client.end();
    talker.client.end();
    assert.throws(() => talker.client.send(Uint8Array.of(1)), ClosedError);
    assert.equal(await talker.closed(), undefined);
  });

  it("close - closes at once, with the given cause", async () => {
    await using served = await serve(":0");
    const talker = await Talker.open(served.endpoint);
    const cause = new Error("enough");
    talker.client.close(cause);
    assert.equal(await talker.closed(), cause);
  });
});

describe("echo - dispose", () => {
  for (const endpoint of ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]) {
    it(`dispose - the end of a scope closes the server and the client over ${endpoint}`, async () => {
      let server: EchoServer;
      let client: EchoClient;
      {
        await using scopedServer = await serveEcho(endpoint);
        await using scopedClient = await connectEcho(scopedServer.endpoint, { onData() {} });
        server = scopedServer;
        client = scopedClient;
      }
      await deadline(client.closed, 5000, "the client to close");
      await deadline(server.closed, 5000, "the server to close");
      await (await serveEcho(server.endpoint)).close();
    });
  }
});
