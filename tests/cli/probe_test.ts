/** `probe` against the services that it identifies. queue_rabbitmq_test.ts tests that one. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import { describe } from "node:test";
import { requirePeer, tempDir, waitFor } from "../support/helpers.ts";
import { sharedPeer, test as libzmq } from "../support/zmq_peer.ts";
import { certificate } from "../support/stream_adapters.ts";
import { run, start, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

/** The record of `probe -J`, and the exit code. */
async function probe(
  endpoint: string,
  ...more: string[]
): Promise<[code: number, record: Record<string, unknown>]> {
  const { code, stdout, stderr } = await run(["probe", "-J", endpoint, ...more]);
  assert.equal(stderr, "");
  return [code, JSON.parse(stdout.toString())];
}

/** A program that listens on a port; it is ended at the end of the scope. */
class Server implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(command: string, args: readonly string[], cwd?: string) {
    this.#child = spawn(command, args, { stdio: "ignore", ...(cwd === undefined ? {} : { cwd }) });
  }

  async listens(port: number): Promise<void> {
    await waitFor(
      () =>
        new Promise((resolve) => {
          const socket = net.connect(port, "127.0.0.1", () => resolve(true)).on(
            "error",
            () => resolve(false),
          );
          socket.on("connect", () => socket.destroy());
        }),
      10_000,
      "the server",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGKILL");
    await exited;
  }
}

/** A server in this process, which passes each connection to a callback of the test. */
async function serve(talk: (socket: net.Socket) => void): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

describe("probe", () => {
  const peer = sharedPeer();

  libzmq("libzmq - a PUB, over tcp and ipc", async () => {
    using dir = tempDir();
    await using pub = await peer.socket("PUB");
    const ipc = `ipc://${dir.file("feed")}`;
    for (const endpoint of [await pub.bind("tcp://127.0.0.1:*"), await pub.bind(ipc)]) {
      assert.deepEqual(await probe(endpoint), [0, {
        endpoint,
        outcome: "identified",
        protocol: "zmtp",
        version: "3.1",
        mechanism: "NULL",
        socketType: "PUB",
        try: [`mqcat sub ${endpoint}`],
      }]);
    }
  });

  libzmq("libzmq - a DEALER with an identity, as text for people", async () => {
    await using dealer = await peer.socket("DEALER", { IDENTITY: "776f726b6572" });
    const endpoint = await dealer.bind("tcp://127.0.0.1:*");
    const { code, stdout } = await run(["probe", endpoint]);
    assert.equal(code, 0);
    assert.equal(
      stdout.toString(),
      `${endpoint}: ZeroMQ, a DEALER socket\n  ZMTP 3.1, NULL security\n  identity worker\n` +
        `  try: mqcat rep '>${endpoint}' --echo\n`,
    );
  });

  libzmq("libzmq - a REP with CURVE, and a PULL with PLAIN, do not reveal their types", async () => {
    await using rep = await peer.socket("REP", { CURVE_SERVER: 1, CURVE_SECRETKEY: "11".repeat(32) });
    await using pull = await peer.socket("PULL", { PLAIN_SERVER: 1 });
    for (
      const [socket, mechanism, login] of [[rep, "CURVE", "--curve-server-key"], [
        pull,
        "PLAIN",
        "--user",
      ]] as const
    ) {
      const [code, record] = await probe(await socket.bind("tcp://127.0.0.1:*"));
      assert.deepEqual([code, record["protocol"], record["version"], record["mechanism"]], [
        0,
        "zmtp",
        "3.1",
        mechanism,
      ]);
      assert.equal(record["socketType"], undefined);
      assert.match((record["try"] as string[])[0]!, new RegExp(login));
    }
  });

  libzmq("libzmq - a peer that was probed serves on", async () => {
    await using pull = await peer.socket("PULL");
    const endpoint = await pull.bind("tcp://127.0.0.1:*");
    for (let i = 0; i < 2; i++) assert.equal((await probe(endpoint))[1]["socketType"], "PULL");
    assert.equal((await run(["push", endpoint, "-D", "hello"])).code, 0);
    assert.deepEqual(await pull.recv(), ["68656c6c6f"]);
  });

  test("mqcat - identifies a WebSocket, by its endpoint and by its port", async () => {
    using pub = start(["pub", "ws://127.0.0.1:0/", "--wait-peers", "0"], { open: true });
    const endpoint = await pub.readyEndpoint();
    for (const asked of [endpoint, endpoint.replace("ws:", "tcp:").slice(0, -1)]) {
      const [code, record] = await probe(asked);
      assert.deepEqual([code, record["subprotocol"], record["socketType"]], [0, "ZWS2.0/NULL", "PUB"]);
      assert.deepEqual(record["try"], [`mqcat sub ${endpoint}`]);
    }
  });

  requirePeer("python3")("Python - identifies a web server, by its port and as a URL", async () => {
    using dir = tempDir();
    const port = await freePort();
    await using server = new Server(
      "python3",
      ["-m", "http.server", `${port}`, "--bind", "127.0.0.1"],
      dir.path,
    );
    await server.listens(port);
    for (const endpoint of [`:${port}`, `http://127.0.0.1:${port}/page`]) {
      const [code, record] = await probe(endpoint);
      assert.deepEqual([code, record["protocol"], record["status"]], [0, "http", "200 OK"]);
      assert.match(record["server"] as string, /^SimpleHTTP.*Python/);
      assert.deepEqual(record["try"], [`curl -i http://127.0.0.1:${port}`]);
    }
  });

  requirePeer("openssl")("openssl - identifies TLS, its certificate, and the web server inside", async () => {
    using dir = tempDir();
    const port = await freePort();
    fs.writeFileSync(dir.file("cert"), certificate().cert);
    fs.writeFileSync(dir.file("key"), certificate().key);
    await using server = new Server("openssl", [
      ...["s_server", "-quiet", "-www", "-accept", `127.0.0.1:${port}`],
      ...["-cert", dir.file("cert"), "-key", dir.file("key")],
    ]);
    await server.listens(port);
    const [code, record] = await probe(`:${port}`, "-w", "5s");
    assert.equal(code, 0);
    assert.equal(record["protocol"], "tls");
    assert.match(record["version"] as string, /^TLSv1\.[23]$/);
    const { subject, names, validFrom, validTo } = record["certificate"] as Record<string, string>;
    assert.deepEqual([subject, names], ["CN=localhost", ["localhost", "127.0.0.1"]]);
    assert.equal(Date.parse(validTo!) - Date.parse(validFrom!), 2 * 24 * 3600 * 1000);
    assert.equal(record["problem"], "it is self-signed");
    assert.deepEqual((record["inside"] as Record<string, unknown>)["protocol"], "http");
  });

  requirePeer("socat")("socat - identifies an echo server", async () => {
    const port = await freePort();
    await using server = new Server("socat", [`TCP-LISTEN:${port},bind=127.0.0.1,fork`, "EXEC:cat"]);
    await server.listens(port);
    const [code, record] = await probe(`:${port}`);
    assert.deepEqual([code, record["protocol"]], [0, "echo"]);
    assert.deepEqual(record["try"], [`echo hello | mqcat echo-client tcp://127.0.0.1:${port}`]);
  });

  test("mqcat - identifies its echo server, over tcp and a Unix socket", async () => {
    using dir = tempDir();
    for (const where of [":0", `unix://${dir.file("echo")}`]) {
      using server = start(["echo-server", where]);
      const [code, record] = await probe(await server.readyEndpoint());
      assert.deepEqual([code, record["protocol"]], [0, "echo"]);
    }
  });

  test("no listener - exits with 4 and the reason", async () => {
    using dir = tempDir();
    for (const endpoint of [`tcp://127.0.0.1:${await freePort()}`, `ipc://${dir.file("missing")}`]) {
      const [code, record] = await probe(endpoint);
      assert.deepEqual([code, record["outcome"]], [4, "refused"]);
      assert.match(record["reason"] as string, /nothing is listening there/);
    }
  });

  test("a silent server - exits with 3 after the timeout", async () => {
    await using silent = await serve(() => {});
    const { code, stdout } = await run(["probe", `:${silent.port}`, "-w", "300ms"]);
    assert.equal(code, 3);
    assert.match(stdout.toString(), /: a program listens, but does not answer in time\n$/);
  });

  test("an unknown service - exits with 1 and the first bytes", async () => {
    await using chatty = await serve((socket) => socket.write("GOOD MORNING\r\nwho is there?\r\n"));
    await using curt = await serve((socket) => socket.end());
    const [code, record] = await probe(`:${chatty.port}`, "-w", "1s");
    assert.deepEqual([code, record["outcome"], record["says"]], [1, "unknown", "'GOOD MORNING'"]);
    const { code: other, stdout } = await run(["probe", `:${curt.port}`, "-w", "1s"]);
    assert.equal(other, 1);
    assert.match(stdout.toString(), /: a program listens, but closes each connection\n$/);
  });

  const banners: [says: string, protocol: string][] = [
    ["SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "ssh"],
    ["220 mail.example ESMTP Postfix\r\n", "smtp"],
    ["220 (vsFTPd 3.0.3)\r\n", "ftp"],
    ["* OK IMAP4rev1 ready\r\n", "imap"],
    ["+OK POP3 ready\r\n", "pop3"],
    ['INFO {"server_id":"x"} \r\n', "nats"],
    ["RFB 003.008\n", "vnc"],
    ["J\0\0\0\n8.0.35\0rest", "mysql"],
  ];
  test("services with a banner - several endpoints print one line each, with one combined exit code", async () => {
    const servers = await Promise.all(banners.map(([says]) => serve((socket) => socket.write(says))));
    try {
      const endpoints = servers.map(({ port }) => `:${port}`);
      const { code, stdout } = await run(["probe", "-J", ...endpoints]);
      assert.equal(code, 0);
      const records = stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line));
      assert.deepEqual(records.map((record) => record.protocol), banners.map(([, protocol]) => protocol));
      assert.deepEqual(
        records.map((record) => record.endpoint),
        endpoints.map((short) => `tcp://127.0.0.1${short}`),
      );
    } finally {
      for (const server of servers) await server[Symbol.asyncDispose]();
    }
  });

  test("Redis - is identified by its answer to an HTTP request", async () => {
    await using redis = await serve((socket) =>
      socket.on("data", (data) => {
        if (data.includes("\r\n")) socket.end("-ERR wrong number of arguments for 'get' command\r\n");
      })
    );
    const [code, record] = await probe(`:${redis.port}`);
    assert.deepEqual([code, record["protocol"]], [0, "redis"]);
  });

  test("hostile - endless output and control characters do no harm", async () => {
    await using endless = await serve((socket) => {
      const more = (error?: Error | null) => void (error || socket.write("x".repeat(100_000), more));
      more();
    });
    await using sly = await serve((socket) => {
      socket.write("HTTP/1.1 200 \x1b[31mred\r\nServer: \x1b]0;title\x07\r\n\r\n");
    });
    const { code, stdout } = await run(["probe", `:${endless.port}`, `:${sly.port}`, "-w", "1s"]);
    assert.equal(code, 1);
    assert.match(stdout.toString(), /an unknown service answers 'x{16}'\n/);
    assert.match(stdout.toString(), /a web server, \?\]0;title\?\n {2}answers 200 \?\[31mred\n/);
  });

  test("usage - endpoints that cannot be probed, and invalid endpoints", async () => {
    for (
      const [args, words] of [
        [["udp://127.0.0.1:5555"], /cannot probe over udp \(try tcp/],
        [["localhost"], /it has neither a transport nor a port/],
        [[], /missing required argument/],
      ] as const
    ) {
      const { code, stderr } = await run(["probe", ...args]);
      assert.equal(code, 2);
      assert.match(stderr, words);
    }
  });
});
