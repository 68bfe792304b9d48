/** The echo server and client against each other, and against raw streams that behave badly. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import { after, describe, it } from "node:test";
import { AddressInUseError, ClosedError, LimitError, UnreachableError } from "../../../lib/errors.ts";
import { connectEcho } from "../../../lib/echo/client.ts";
import type { EchoClient, EchoClientOptions } from "../../../lib/echo/client_types.ts";
import { InactivityTimer } from "../../../lib/echo/inactivity.ts";
import { serveEcho } from "../../../lib/echo/server.ts";
import type { EchoServer, EchoServerEvent, EchoServerOptions } from "../../../lib/echo/server_types.ts";
import { EchoBuffer } from "../../../lib/echo/echo_buffer.ts";
import type { ByteStream } from "../../../lib/transport/stream.ts";
import { connect, listen } from "../../../lib/transport/transport.ts";
import { deadline, tempDir, TestPeer, waitFor } from "../../support/helpers.ts";
import { certificate } from "../../support/stream_adapters.ts";

const MB = 1024 * 1024;
const dir = tempDir();
after(() => dir.remove());

/** A server that keeps its events, and closes at the end of the scope. */
interface Served extends AsyncDisposable {
  readonly server: EchoServer;
  readonly endpoint: string;
  readonly events: EchoServerEvent[];
  /** Waits for the `count`th event of a type. */
  event<T extends EchoServerEvent["type"]>(type: T, count?: number): Promise<EchoServerEvent & { type: T }>;
}

async function serve(endpoint: string, options: EchoServerOptions = {}): Promise<Served> {
  const events: EchoServerEvent[] = [];
  const server = await serveEcho(endpoint, {
    tls: certificate(),
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return {
    server,
    endpoint: server.endpoint,
    events,
    event: (type, count = 1) =>
      waitFor(
        () =>
          events.filter((event) => event.type === type)[count - 1] as EchoServerEvent & { type: typeof type },
        5000,
        `event ${type} ${count} among ${events.map((event) => event.type)}`,
      ),
    [Symbol.asyncDispose]: () => deadline(server.close(), 5000, "the server to close"),
  };
}

/** A raw stream to the server, without the echo client. */
async function dial(endpoint: string): Promise<TestPeer> {
  const tls = { ca: certificate().cert };
  return new TestPeer(await connect(endpoint, { tls, signal: AbortSignal.timeout(5000) }));
}

/** An echo client that keeps the digest of the echo, and respects backpressure. */
class Talker {
  readonly #hash = createHash("sha256");
  readonly chunks: string[] = [];
  client!: EchoClient;
  #drained = () => {};

  static async open(endpoint: string, options: Partial<EchoClientOptions> = {}): Promise<Talker> {
    const talker = new Talker();
    talker.client = await connectEcho(endpoint, {
      tls: { ca: certificate().cert },
      onData(chunk) {
        talker.#hash.update(chunk);
        if (talker.chunks.length < 100) talker.chunks.push(new TextDecoder("latin1").decode(chunk));
      },
      onDrain: () => talker.#drained(),
      ...options,
    });
    return talker;
  }

  async send(bytes: Uint8Array | string): Promise<void> {
    const drained = new Promise<void>((resolve) => this.#drained = resolve);
    if (!this.client.send(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes)) {
      await deadline(drained, 5000, "room to send");
    }
  }

  closed(): Promise<Error | undefined> {
    return deadline(this.client.closed, 10_000, "the end of the conversation");
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}

/** Bytes of every value, different in every block. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A listener that passes each stream to a callback of the test. */
async function badServer(accept: (stream: ByteStream) => void) {
  const streams: ByteStream[] = [];
  const listener = await listen(":0", (stream) => {
    streams.push(stream);
    accept(stream);
  });
  return {
    endpoint: listener.endpoint,
    async [Symbol.asyncDispose]() {
      for (const stream of streams) stream.close();
      await deadline(listener.close(), 5000, "the listener to close");
    },
  };
}

const STREAMS = {
  "tcp": "tcp://127.0.0.1:0",
  "tcp over IPv6": "tcp://[::1]:0",
  "unix": `unix://${dir.file("echo.sock")}`,
  "ipc": `ipc://${dir.file("ipc.sock")}`,
  "abstract unix": `unix://@mqcat-echo-test-${crypto.randomUUID()}`,
  "tls": "tls://127.0.0.1:0",
};

for (const [name, endpoint] of Object.entries(STREAMS)) {
  describe(`echo - ${name}`, () => {
    it("stream - every byte comes back, then the end", async () => {
      await using served = await serve(endpoint);
      const talker = await Talker.open(served.endpoint);
      const bytes = pattern(3 * MB + 7);
      for (let at = 0; at < bytes.length; at += 100_000) await talker.send(bytes.subarray(at, at + 100_000));
      talker.client.end();
      assert.equal(await talker.closed(), undefined);
      assert.equal(talker.client.sent, bytes.length);
      assert.equal(talker.client.received, bytes.length);
      assert.equal(talker.digest(), sha256(bytes));
      const { bytes: echoed, cause } = await served.event("disconnected");
      assert.equal(echoed, bytes.length);
      assert.equal(cause, undefined);
    });

    it("stream - a small message comes back at once", async () => {
      await using served = await serve(endpoint);
      const peer = await dial(served.endpoint);
      for (const text of ["Hello, world", "x", "\0\xff"]) {
        const before = peer.length;
        await peer.write(text);
        await peer.atLeast(before + new TextEncoder().encode(text).length);
      }
      assert.equal(peer.text(), "Hello, worldx\0\xff");
      peer.stream.close();
    });

    it("stream - a peer that ends its half gets the rest of the echo, then our end", async () => {
      await using served = await serve(endpoint);
      const peer = await dial(served.endpoint);
      peer.stream.pause();
      const bytes = pattern(200_000);
      await peer.write(bytes);
      peer.stream.end();
      peer.stream.resume();
      assert.equal(sha256(await peer.untilEnd()), sha256(bytes));
      assert.equal(await deadline(peer.stream.closed), undefined);
      assert.equal((await served.event("disconnected")).cause, undefined);
    });

    it("stream - a peer that sends and does not read is slowed down, and loses nothing", async () => {
      await using served = await serve(endpoint);
      const peer = await dial(served.endpoint);
      peer.stream.pause();
      const block = pattern(MB);
      let blocks = 0;
      // Without backpressure the server would take all 64 MB; no system buffers as much.
      for (; blocks < 64; blocks++) {
        const drains = peer.drains;
        peer.stream.write(block);
        if (!await peer.untilDrains(drains + 1, 300).then(() => true, () => false)) break;
      }
      assert.ok(blocks < 64, "the peer was never held back");
      assert.equal(peer.length, 0);
      peer.stream.resume();
      const all = await peer.atLeast((blocks + 1) * MB);
      for (let i = 0; i <= blocks; i++) {
        assert.equal(sha256(all.subarray(i * MB, (i + 1) * MB)), sha256(block));
      }
      peer.stream.close();
    });
  });
}

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
    const talker = await Talker.open(served.endpoint, { timeout: 30 });
    await talker.send("x");
    await waitFor(() => talker.client.received === 1);
    await assert.rejects(deadline(talker.client.closed, 150, "nothing"), /Waited/);
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

describe("echo - inactivity timer", () => {
  it("timer - expires once, and not before the period is over", async () => {
    const started = performance.now();
    let timer!: InactivityTimer;
    await deadline(new Promise<void>((resolve) => timer = new InactivityTimer(30, resolve)));
    assert.ok(performance.now() - started >= 29);
    timer.stop();
  });

  it("timer - a period over the longest timer of the runtime does not expire early", async () => {
    const timer = new InactivityTimer(2 ** 40, () => assert.fail("it expired"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    timer.stop();
  });

  it("timer - touch starts the period over", async () => {
    let expired = false;
    const timer = new InactivityTimer(100, () => expired = true);
    const started = performance.now();
    await waitFor(() => {
      timer.touch();
      return performance.now() - started > 250;
    });
    assert.equal(expired, false);
    timer.stop();
  });
});
