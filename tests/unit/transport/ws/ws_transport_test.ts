/** ZeroMQ over WebSocket: our own sockets, the runtime's WebSocket client, and peers that do not fit. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { IncompatiblePeerError, LimitError, ProtocolError } from "../../../../lib/errors.ts";
import { type HostEndpoint, parseEndpoint } from "../../../../lib/transport/endpoint.ts";
import type { ByteStream } from "../../../../lib/transport/stream.ts";
import { connect, listen } from "../../../../lib/transport/transport.ts";
import { closeFrame, controlFrame, PING, PONG } from "../../../../lib/transport/ws/frame.ts";
import { Pub, Pull, Push, Rep, Req, Sub } from "../../../../mod.ts";
import { deadline, TestPeer, waitFor } from "../../../support/helpers.ts";
import { numbers, scoped, SocketLog, texts } from "../../../support/sockets.ts";
import { certificate } from "../../../support/stream_adapters.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** Connects a client that sends the bytes of a test. */
async function dial(endpoint: string): Promise<TestPeer> {
  const { host, port } = parseEndpoint(endpoint) as HostEndpoint;
  return new TestPeer(await connect({ scheme: "tcp", host, port }));
}

function request(path = "/", change: Record<string, string | undefined> = {}): string {
  const headers: Record<string, string | undefined> = {
    Host: "127.0.0.1",
    Upgrade: "websocket",
    Connection: "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "other, ZWS2.0/NULL",
    ...change,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}: ${value}`
  );
  return [`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

/** The runtime's own client, and the messages that it received. */
class Native implements Disposable {
  readonly came: number[][] = [];
  readonly socket: WebSocket;

  constructor(endpoint: string) {
    this.socket = new WebSocket(endpoint, "ZWS2.0");
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.came.push([...new Uint8Array(data)]);
  }

  async opened(): Promise<void> {
    await waitFor(() => this.socket.readyState === WebSocket.OPEN, 5000, "the WebSocket to open");
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

const bytes = (text: string) => [...new TextEncoder().encode(text)];
describe("ws_transport", () => {
  for (const scheme of ["ws", "wss"] as const) {
    it(`${scheme} - every pattern works, whichever end binds`, async () => {
      const tls = scheme === "ws" ? {} : { ...certificate(), ca: certificate().cert };
      const endpoint = `${scheme}://localhost:*/a/b`;
      await using push = scoped(new Push({ tls }));
      await using pull = scoped(new Pull({ tls }));
      push.connect(await pull.bind(endpoint));
      for (let i = 0; i < 1000; i++) await push.send(["", `${i}`]);
      for (const i of numbers(1000)) assert.deepEqual(texts(await deadline(pull.receive())), ["", `${i}`]);

      await using req = scoped(new Req({ tls }));
      await using rep = scoped(new Rep({ tls }));
      rep.connect(await req.bind(endpoint));
      const reply = req.request("question");
      (await deadline(rep.receive()))!.reply(["answer"]);
      assert.deepEqual(texts(await deadline(reply)), ["answer"]);

      await using pub = scoped(new Pub({ tls }));
      await using sub = scoped(new Sub({ tls }));
      sub.subscribe("b");
      sub.connect(await pub.bind(endpoint));
      await waitFor(() => pub.subscribers === 1);
      for (const topic of ["a", "b", "bc"]) await pub.send(topic);
      assert.deepEqual(texts(await deadline(sub.receive())), ["b"]);
      assert.deepEqual(texts(await deadline(sub.receive())), ["bc"]);
      sub.unsubscribe("b");
      await waitFor(() => pub.subscribers === 0);
    });
  }

  it("ws - a message of 5 MB in fragments arrives unchanged", async () => {
    await using push = scoped(new Push());
    await using pull = scoped(new Pull());
    push.connect(await pull.bind("ws://127.0.0.1:0"));
    const body = new Uint8Array(5_000_000).map((_, i) => i % 251);
    await push.send(["head", body, ""]);
    const frames = await deadline(pull.receive());
    assert.equal(frames!.length, 3);
    assert.deepEqual(frames![1], body);
  });

  it("ws - reconnects to a peer that left, and loses no message that waits for it", async () => {
    await using push = scoped(new Push({ reconnect: { first: 2, longest: 10 } }));
    const first = new Pull();
    const bound = await first.bind("ws://127.0.0.1:0/again");
    push.connect(bound);
    await push.send("1");
    assert.deepEqual(texts(await deadline(first.receive())), ["1"]);
    await first.close();
    await waitFor(() => push.peers === 0);
    await using second = scoped(new Pull());
    const sent = push.send("2");
    await second.bind(bound);
    assert.deepEqual(texts(await deadline(second.receive())), ["2"]);
    await sent;
  });

  // A browser's WebSocket accepts no subprotocol with a slash, so it uses ZWS2.0.
  it("ws - the runtime's client pushes: an identity first, then messages", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    using client = new Native(await pull.bind("ws://127.0.0.1:0/"));
    await client.opened();
    client.socket.send(Uint8Array.of(0, ...bytes("my-id")));
    client.socket.send(Uint8Array.of(1, ...bytes("a")));
    client.socket.send(Uint8Array.of(0));
    assert.deepEqual(texts(await deadline(pull.receive())), ["a", ""]);
    assert.deepEqual(client.came, [[0]]);
    client.socket.close();
    assert.equal((await log.until("disconnected")).error, undefined);
  });

  it("ws - the runtime's client subscribes", async () => {
    await using pub = scoped(new Pub());
    using client = new Native(await pub.bind("ws://127.0.0.1:0/feed"));
    await client.opened();
    client.socket.send(Uint8Array.of(0));
    client.socket.send(Uint8Array.of(0, 1, ...bytes("b")));
    await waitFor(() => pub.subscribers === 1);
    await pub.send(["a", "no"]);
    await pub.send(["b", "yes"]);
    await waitFor(() => client.came.length === 3);
    assert.deepEqual(client.came, [[0], [1, ...bytes("b")], [0, ...bytes("yes")]]);
  });

  it("ws - an incompatible socket type is reported, and not tried again", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    await using sub = scoped(new Sub());
    sub.connect(await pull.bind("ws://127.0.0.1:0/"));
    const { error } = await log.until("handshake-failed");
    assert.match(error.message, /SUB socket/);
    await waitFor(() => sub.failure !== undefined);
    assert.match(sub.failure!.message, /PULL/);
  });

  it("ws - accepts the example of RFC 6455, and answers a Ping and a Close", async () => {
    await using pull = scoped(new Pull());
    const peer = await dial(await pull.bind("ws://127.0.0.1:0/"));
    await peer.write(request());
    await peer.until(() => peer.text().includes("\r\n\r\n"));
    assert.match(peer.text(), /^HTTP\/1\.1 101 .*\r\n/);
    assert.match(peer.text(), /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
    assert.match(peer.text(), /Sec-WebSocket-Protocol: ZWS2.0\/NULL\r\n/);
    await peer.write(controlFrame(PING, new TextEncoder().encode("mqcat"), true));
    await peer.until(() => latin1(peer).includes("\x8a\x05mqcat"));
    await peer.write(closeFrame(1000, "bye", true));
    await peer.until(() => latin1(peer).endsWith("\x88\x02\x03\xe8"));
    await peer.untilEnd();
    peer.stream.close();
  });

  it("ws - a heartbeat is a WebSocket Ping, and a peer that stops answering is disconnected", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent, heartbeat: { interval: 20, timeout: 200 } }));
    const peer = await dial(await pull.bind("ws://127.0.0.1:0/"));
    await peer.write(request("/", { "Sec-WebSocket-Protocol": "ZWS2.0" }));
    await peer.until(() => peer.text().includes("\r\n\r\n"));
    await peer.write(Uint8Array.of(0x82, 0x81, 0, 0, 0, 0, 0));
    await log.until("connected");
    const pings = () => latin1(peer).split("\x89\0").length - 1;
    for (let answered = 0; answered < 3; answered++) {
      await peer.until(() => pings() > answered);
      await peer.write(controlFrame(PONG, new Uint8Array(0), true));
    }
    assert.equal(log.of("disconnected").length, 0);
    assert.match((await log.until("disconnected")).error!.message, /./);
    peer.stream.close();
  });

  const refusals: [name: string, request: string, status: RegExp, words: RegExp][] = [
    ["another path", request("/other"), /^HTTP\/1\.1 404 /, /nothing is at '\/other' here/],
    ["no upgrade", request("/feed", { Upgrade: undefined }), /^HTTP\/1\.1 426 /, /a WebSocket for ZeroMQ/],
    [
      "another version",
      request("/feed", { "Sec-WebSocket-Version": "8" }),
      /^HTTP\/1\.1 426 /,
      /version is 13/,
    ],
    [
      "a short key",
      request("/feed", { "Sec-WebSocket-Key": "abc" }),
      /^HTTP\/1\.1 400 /,
      /not 16 bytes in base64/,
    ],
    [
      "a POST",
      request("/feed").replace("GET", "POST"),
      /^HTTP\/1\.1 400 /,
      /the request is not one for a WebSocket/,
    ],
    [
      "another subprotocol",
      request("/feed", { "Sec-WebSocket-Protocol": "ZWS2.0/CURVE" }),
      /^HTTP\/1\.1 400 /,
      /the client wants ZWS2\.0\/CURVE, and this side speaks ZWS2\.0\/NULL or ZWS2\.0/,
    ],
    [
      "a page of another machine",
      request("/feed", { Origin: "https://evil.example" }),
      /^HTTP\/1\.1 403 /,
      /web pages of 'https:\/\/evil\.example' may not connect/,
    ],
    [
      "a page of a machine that is called like this one",
      request("/feed", { Origin: "http://localhost.evil.example" }),
      /^HTTP\/1\.1 403 /,
      /may not connect/,
    ],
  ];
  for (const [name, asked, status, words] of refusals) {
    it(`ws - refuses ${name}, with the reason at both ends`, async () => {
      const log = new SocketLog();
      await using pull = scoped(new Pull({ onEvent: log.onEvent }));
      const peer = await dial(await pull.bind("ws://127.0.0.1:0/feed"));
      await peer.write(asked);
      await peer.untilEnd();
      peer.stream.close();
      assert.match(peer.text(), status);
      assert.match(peer.text().split("\r\n\r\n")[1]!, words);
      assert.match((await log.until("handshake-failed")).error.message, words);
    });
  }

  it("ws - pages of this machine and of the listed origins may connect", async () => {
    await using pull = scoped(new Pull({ origins: ["https://good.example"] }));
    const bound = await pull.bind("ws://127.0.0.1:0/");
    for (
      const origin of ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:8", "https://good.example"]
    ) {
      const peer = await dial(bound);
      await peer.write(request("/", { Origin: origin }));
      await peer.until(() => peer.text().includes("\r\n"));
      assert.match(peer.text(), /^HTTP\/1\.1 101 /, origin);
      peer.stream.close();
    }
  });

  it("ws - an endless head and junk end the connection", async () => {
    const log = new SocketLog();
    await using pull = scoped(new Pull({ onEvent: log.onEvent }));
    const bound = await pull.bind("ws://127.0.0.1:0/");
    const endless = await dial(bound);
    await endless.write(`GET / HTTP/1.1\r\nX: ${"x".repeat(9000)}`);
    assert.ok((await log.until("handshake-failed")).error instanceof LimitError);
    const junk = await dial(bound);
    await junk.write("\xff\0\0\0\r\nno header\r\n\r\n");
    assert.ok((await log.until("handshake-failed", 2)).error instanceof ProtocolError);
    for (const peer of [endless, junk]) peer.stream.close();
  });

  const servers: [name: string, answer: string, final: boolean, words: RegExp][] = [
    [
      "an HTTP server",
      "HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\nno such page\n",
      true,
      /the server answers 404 Not Found: no such page/,
    ],
    [
      "a proxy without its server",
      "HTTP/1.1 502 Bad Gateway\r\n\r\n<html>",
      false,
      /the server answers 502 Bad Gateway$/,
    ],
    ["no HTTP server", "220 mail.example ESMTP\r\n\r\n", true, /does not answer like an HTTP server/],
    [
      "a wrong proof",
      "HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
      true,
      /does not belong/,
    ],
  ];
  for (const [name, answer, final, words] of servers) {
    it(`ws - connecting to ${name} is ${final ? "final" : "retried"}`, async () => {
      const listener = await listen("tcp://127.0.0.1:0", async (stream: ByteStream) => {
        const peer = new TestPeer(stream);
        await peer.until(() => peer.text().includes("\r\n\r\n"));
        await peer.write(answer);
        stream.end();
      });
      const log = new SocketLog();
      await using push = scoped(new Push({ onEvent: log.onEvent, reconnect: { first: 2, longest: 5 } }));
      push.connect(listener.endpoint.replace("tcp:", "ws:"));
      if (final) {
        await waitFor(() => push.failure !== undefined);
        assert.match(push.failure!.message, words);
        assert.ok(push.failure instanceof IncompatiblePeerError || push.failure instanceof ProtocolError);
      } else assert.match((await log.until("retrying", 2)).error!.message, words);
      await listener.close();
    });
  }
});

function latin1(peer: TestPeer): string {
  return String.fromCharCode(...peer.bytes());
}
