import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import net from "node:net";
import { describe, it } from "node:test";
import { EndpointError, UnreachableError } from "../../../lib/errors.ts";
import { parseEndpoint } from "../../../lib/transport/endpoint.ts";
import type { ByteStream, TlsOptions } from "../../../lib/transport/stream.ts";
import { TlsReload } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { deadline, TestPeer, waitFor } from "../../support/helpers.ts";
import { certificate, freshCertificate } from "../../support/stream_adapters.ts";

const { cert, key } = certificate();
const ignore = () => {};

/** Listens on a free port, connects to it by `use`, and passes both ends to `check`. */
async function withServer<T>(use: (port: number, accepted: Promise<ByteStream>) => Promise<T>): Promise<T> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await listen("tls://127.0.0.1:0", accepted.resolve, { tls: { cert, key } });
  assert.match(listener.endpoint, /^tls:\/\/127\.0\.0\.1:[1-9]\d+$/);
  try {
    return await use(Number(listener.endpoint.split(":").at(-1)), accepted.promise);
  } finally {
    await deadline(listener.close());
  }
}

function dial(host: string, port: number, tls: TlsOptions): Promise<ByteStream> {
  return deadline(connect({ scheme: "tls", host, port }, { tls }), 5000, "the TLS connection");
}

async function refusedWith(connecting: Promise<ByteStream>, words: RegExp): Promise<void> {
  await assert.rejects(connecting, (error: unknown) => {
    assert.ok(error instanceof UnreachableError, String(error));
    assert.match(error.message, /^Cannot connect to tls:\/\/[^ ]+: /);
    assert.match(error.message, words);
    return true;
  });
}

describe("transport - tls", () => {
  for (const host of ["localhost", "127.0.0.1"]) {
    it(`tls - a trusted certificate for ${host} is accepted`, async () => {
      await withServer(async (port, accepted) => {
        const near = new TestPeer(await dial(host, port, { ca: cert }));
        const far = new TestPeer(await deadline(accepted));
        await near.write("secret");
        await far.atLeast(6);
        assert.equal(far.text(), "secret");
        assert.equal(near.stream.remote, `tls://127.0.0.1:${port}`);
        assert.equal(far.stream.remote, near.stream.local);
        near.stream.close();
        far.stream.close();
      });
    });
  }

  it("tls - reload replaces the certificate for new connections, and a wrong key replaces nothing", async () => {
    const [one, two] = [freshCertificate(), freshCertificate()];
    const reload = new TlsReload();
    const streams: ByteStream[] = [];
    const listener = await listen("tls://127.0.0.1:0", (stream) => void streams.push(stream), {
      tls: { ...one, reload },
    });
    const port = Number(listener.endpoint.split(":").at(-1));
    try {
      const old = new TestPeer(await dial("127.0.0.1", port, { ca: one.cert }));
      reload.replace(two);
      streams.push(await dial("127.0.0.1", port, { ca: two.cert }));
      await assert.rejects(dial("127.0.0.1", port, { ca: one.cert }), UnreachableError);
      assert.throws(
        () => reload.replace({ cert: one.cert, key: two.key }),
        /does not belong to the certificate/,
      );
      streams.push(await dial("127.0.0.1", port, { ca: two.cert }));
      await waitFor(() => streams.length >= 5);
      await old.write("still here");
      const far = new TestPeer(streams[0]!);
      await far.atLeast(10);
      assert.equal(far.text(), "still here");
      old.stream.close();
    } finally {
      for (const stream of streams) stream.close();
      await deadline(listener.close());
    }
    reload.replace(one);
    // A later listener, and a later connection, begin with the newest certificates.
    const second = await listen("tls://127.0.0.1:0", (stream) => stream.close(), { tls: { ...two, reload } });
    (await dial("127.0.0.1", Number(second.endpoint.split(":").at(-1)), { ca: one.cert })).close();
    await deadline(second.close());
  });

  it("tls - the bytes on the wire do not contain the text", async () => {
    let seen = "";
    await withServer(async (port, accepted) => {
      const proxy = net.createServer((client) => {
        const server = net.connect(port, "127.0.0.1");
        client.on("data", (chunk) => seen += chunk.toString("latin1"));
        client.on("error", ignore).pipe(server.on("error", ignore)).pipe(client);
      });
      await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
      const near = new TestPeer(
        await dial("127.0.0.1", (proxy.address() as net.AddressInfo).port, { ca: cert }),
      );
      const far = new TestPeer(await deadline(accepted));
      await near.write("top secret");
      await far.atLeast(10);
      near.stream.close();
      far.stream.close();
      proxy.close();
    });
    assert.ok(seen.length > 100);
    assert.ok(!seen.includes("top secret"));
  });

  it("tls - an unknown authority is refused with the reason, and accepted when insecure", async () => {
    await withServer(async (port, accepted) => {
      await refusedWith(dial("localhost", port, {}), /certificate|self.signed|issuer/i);
      const near = await dial("localhost", port, { insecure: true });
      (await deadline(accepted)).close();
      near.close();
    });
  });

  it("tls - a certificate for another name is refused with the reason", async () => {
    const host = "127.0.0.2";
    const listener = await listen(`tls://${host}:0`, ignore, { tls: { cert, key } });
    try {
      const port = Number(listener.endpoint.split(":").at(-1));
      await refusedWith(dial(host, port, { ca: cert }), /altnames|not valid for|127\.0\.0\.2/i);
    } finally {
      await listener.close();
    }
  });

  it("tls - a server that ends the connection at the first bytes of TLS may not speak it", async () => {
    const plain = net.createServer((socket) => {
      socket.on("error", ignore).once("data", () => socket.end());
    });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    const { port } = plain.address() as net.AddressInfo;
    await assert.rejects(dial("127.0.0.1", port, { insecure: true }), /does not speak TLS/);
    plain.close();
  });

  it("tls - a server without TLS is an error, and the signal ends the wait for a silent one", async () => {
    const sockets: net.Socket[] = [];
    let closed = 0;
    const plain = net.createServer((socket) => {
      sockets.push(socket.on("error", ignore).on("close", () => closed++).resume());
      if (sockets.length === 1) socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    const { port } = plain.address() as net.AddressInfo;
    await assert.rejects(dial("127.0.0.1", port, { insecure: true }), {
      name: "ProtocolError",
      message: /does not speak TLS/,
    });
    const abort = new AbortController();
    const connecting = connect({ scheme: "tls", host: "127.0.0.1", port }, {
      signal: abort.signal,
      tls: { insecure: true },
    });
    const reason = new Error("waited enough");
    const refused = assert.rejects(deadline(connecting, 5000), reason);
    await waitFor(() => sockets.length === 2, 5000, "the second connection");
    abort.abort(reason);
    await refused;
    await waitFor(() => closed === 2, 5000, "both connections to be closed by our side");
    plain.close();
  });

  it("tls - a client without TLS does not disturb the others", async () => {
    await withServer(async (port, accepted) => {
      const stranger = net.connect(port, "127.0.0.1", () => stranger.write("GET / HTTP/1.1\r\n\r\n"));
      await deadline(
        new Promise((resolve) => stranger.on("error", ignore).on("close", resolve).resume()),
        5000,
        "its end",
      );
      const near = await dial("localhost", port, { ca: cert });
      (await deadline(accepted)).close();
      near.close();
    });
  });

  it("tls - listen needs a certificate and its private key", async () => {
    const endpoint = parseEndpoint("tls://127.0.0.1:0");
    await assert.rejects(
      listen(endpoint, ignore),
      /^MissingCertificateError: Cannot bind .*without a certificate and its key$/,
    );
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const foreign = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const wrong: [TlsOptions, RegExp][] = [
      [{ cert: "nonsense", key }, /the certificate cannot be read as PEM: ./],
      [{ cert, key: "nonsense" }, /the private key cannot be read as PEM: ./],
      [{ cert, key: foreign }, /the private key does not belong to the certificate$/],
    ];
    for (const [tls, words] of wrong) {
      await assert.rejects(listen(endpoint, ignore, { tls }), (error: unknown) => {
        assert.ok(error instanceof EndpointError, String(error));
        assert.match(error.message, /^Cannot bind tls:/);
        assert.match(error.message, words);
        return true;
      });
    }
  });

  it("tls - a certificate authority that is not PEM is an error that says so", async () => {
    await withServer(async (port) => {
      await assert.rejects(dial("localhost", port, { ca: "nonsense" }), (error: unknown) => {
        assert.ok(error instanceof EndpointError, String(error));
        assert.match(
          error.message,
          /^Cannot connect to tls:.*: the certificate authorities cannot be read as PEM: ./,
        );
        return true;
      });
    });
  });
});
