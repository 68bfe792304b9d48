import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import process from "node:process";
import { after, describe } from "node:test";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { certificate } from "../support/stream_adapters.ts";
import { Program, program, run, shell, start, summaryOf, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const dir = tempDir();
after(() => dir.remove());

/** Paths of a certificate and a key for localhost. */
const { cert, key } = pem();

function pem(): { cert: string; key: string } {
  const files = { cert: dir.file("cert.pem"), key: dir.file("key.pem") };
  const made = certificate();
  fs.writeFileSync(files.cert, made.cert);
  fs.writeFileSync(files.key, made.key);
  return files;
}

/** A server that passes each connection to a callback of the test. */
async function peer(use: (socket: net.Socket) => void): Promise<AsyncDisposable & { endpoint: string }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    use(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

describe("echo-server", () => {
  test("echo-server - prints its endpoint and each connected client", async () => {
    using server = start(["echo-server", ":0"]);
    const endpoint = await server.readyEndpoint();
    assert.match(endpoint, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const { code, stdout, stderr } = await run(["echo-client", endpoint], { stdin: "Hello, world" });
    assert.deepEqual([code, stdout.toString(), stderr], [0, "Hello, world", ""]);
    const said = `mqcat: echo-server: listening on ${endpoint}\nmqcat: echo-server: Connected by 127.0.0.1:`;
    assert.ok(server.stderr.startsWith(said), server.stderr);
    assert.match(server.stderr.slice(said.length), /^\d+\n$/);
    assert.equal(server.stdout.length, 0);
  });

  test("echo-server - serves many clients at the same time", async () => {
    using server = start(["echo-server", ":0"]);
    const endpoint = await server.readyEndpoint();
    using first = start(["echo-client", endpoint], { open: true, stdin: "first" });
    using second = start(["echo-client", endpoint], { open: true, stdin: "second" });
    await second.waitForStdout(/second/);
    await first.waitForStdout(/first/);
    for (const client of [first, second]) {
      client.end();
      assert.equal((await client.exit()).code, 0);
    }
  });

  test("echo-server - --once serves one client and exits with 0, and --summary counts", async () => {
    using server = start(["echo-server", ":0", "--once", "-v", "--summary"]);
    const client = await run(["echo-client", await server.readyEndpoint(), "--summary"], { stdin: "12345" });
    const { code, stderr } = await server.exit();
    assert.equal(code, 0);
    assert.match(stderr, /disconnected: 127\.0\.0\.1:\d+ after 5 bytes\n/);
    for (const summary of [summaryOf(stderr), summaryOf(client.stderr)]) {
      const { sent, received, bytes, unsent, dropped } = summary;
      assert.deepEqual([sent, received, bytes, unsent, dropped], [5, 5, 5, 0, 0]);
    }
  });

  for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    test(`echo-server - ${signal} ends the connections and exits with ${expected}`, async () => {
      using server = start(["echo-server", ":0"]);
      const endpoint = await server.readyEndpoint();
      using client = start(["echo-client", endpoint], { open: true, stdin: "x" });
      await client.waitForStdout(/x/);
      server.kill(signal);
      assert.equal((await server.exit()).code, expected);
      const { code, stderr } = await client.exit();
      assert.equal(code, 1);
      assert.match(stderr, /^mqcat: echo-client: the (peer ended the conversation|connection broke)/);
      assert.equal((await run(["echo-client", endpoint, "-D", "x"])).code, 4);
    });
  }

  test("echo-server - --max-connections closes connections over the limit, and reports them", async () => {
    using server = start(["echo-server", ":0", "--max-connections", "1"]);
    const endpoint = await server.readyEndpoint();
    using first = start(["echo-client", endpoint], { open: true, stdin: "x" });
    await first.waitForStdout(/x/);
    using second = start(["echo-client", endpoint], { open: true });
    assert.equal((await second.exit()).code, 1);
    await server.waitForStderr(/closed a new connection: there are 1 already \(--max-connections\)\n/);
    first.end();
    assert.equal((await first.exit()).code, 0);
  });

  test("echo-server - --idle closes a silent connection, and reports it", async () => {
    using server = start(["echo-server", ":0", "--idle", "100ms"]);
    using client = start(["echo-client", await server.readyEndpoint()], { open: true, stdin: "x" });
    const { code, stdout } = await client.exit();
    assert.deepEqual([code, stdout.toString()], [1, "x"]);
    await server.waitForStderr(
      /lost 127\.0\.0\.1:\d+ after 1 bytes: no data in either direction for 100 ms\n/,
    );
  });

  test("echo-server - --ready-file writes the endpoint to a file and to a FIFO, and -q prints nothing", async () => {
    using ready = start(["echo-server", ":0", "-q", "--ready-file", dir.file("ready")]);
    assert.match(await ready.readyEndpoint(), /^tcp:\/\/127\.0\.0\.1:\d+$/);
    const path = dir.file("fifo");
    using script = shell(`mkfifo '${path}'
      mqcat echo-server ':*' -q --once --ready-file '${path}' & read -r endpoint <'${path}'
      mqcat echo-client "$endpoint" -D told; wait`);
    const { stdout, stderr } = await script.exit();
    assert.deepEqual([stdout.toString(), stderr], ["told", ""]);
    assert.equal(ready.stderr, "");
  });

  test("echo-server - an address in use is an error that names it", async () => {
    using server = start(["echo-server", ":0"]);
    const endpoint = await server.readyEndpoint();
    const { code, stderr } = await run(["echo-server", endpoint]);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      `mqcat: echo-server: cannot bind ${endpoint}: the address is in use: another program is bound to it\n`,
    );
  });
});

describe("echo-client", () => {
  test("echo-client - gets a binary file back from stdin and from -F, byte for byte", async () => {
    using server = start(["echo-server", ":0"]);
    const endpoint = await server.readyEndpoint();
    const bytes = randomBytes(3_000_001);
    fs.writeFileSync(dir.file("binary"), bytes);
    const piped = await run(["echo-client", endpoint], { stdin: bytes });
    assert.equal(piped.code, 0);
    assert.ok(piped.stdout.equals(bytes));
    const file = await run(["echo-client", endpoint, "-F", dir.file("binary")]);
    assert.equal(file.code, 0);
    assert.ok(file.stdout.equals(bytes));
  });

  test("echo-client - -D is repeatable, adds nothing, and leaves stdin unread", async () => {
    using server = start(["echo-server", ":0"]);
    using client = start(["echo-client", await server.readyEndpoint(), "-D", "Hello, ", "-D", "wörld"], {
      open: true,
      stdin: "not this",
    });
    const { code, stdout } = await client.exit();
    assert.deepEqual([code, stdout.toString()], [0, "Hello, wörld"]);
  });

  test("echo-client - prints nothing for an empty input", async () => {
    using server = start(["echo-server", ":0"]);
    const { code, stdout } = await run(["echo-client", await server.readyEndpoint()]);
    assert.deepEqual([code, stdout.length], [0, 0]);
  });

  test("echo-client - prints a line while stdin stays open", async () => {
    using server = start(["echo-server", ":0"]);
    using client = start(["echo-client", await server.readyEndpoint()], { open: true });
    for (const line of ["one\n", "two\n"]) {
      client.write(line);
      await client.waitForStdout(new RegExp(line));
    }
    client.end();
    assert.equal((await client.exit()).code, 0);
  });

  requirePeer("script")("echo-client - tells the user of a terminal how to end", async () => {
    using server = start(["echo-server", ":0"]);
    const words = [...program, "echo-client", await server.readyEndpoint()].map((word) => `'${word}'`).join(
      " ",
    );
    using terminal = new Program(["script", "-qec", words, "/dev/null"], { open: true });
    await terminal.waitForStdout(
      /connected to tcp:\/\/127\.0\.0\.1:\d+: the peer returns each line that you type, Ctrl-D ends the input/,
    );
    terminal.write("typed\n");
    await terminal.waitForStdout(/typed\r\ntyped\r\n/); // The terminal's own echo, and ours.
    terminal.write("\x04");
    assert.equal((await terminal.exit()).code, 0);
  });

  test("echo-client - exits with 0 after the peer disconnects only if stdin had ended", async () => {
    await using server = await peer((socket) => socket.once("data", () => socket.end("so long")));
    const ended = await run(["echo-client", server.endpoint], { stdin: "x" });
    assert.deepEqual([ended.code, ended.stdout.toString()], [0, "so long"]);
    using open = start(["echo-client", server.endpoint], { open: true, stdin: "x" });
    const { code, stdout, stderr } = await open.exit();
    assert.deepEqual([code, stdout.toString()], [1, "so long"]);
    assert.equal(stderr, "mqcat: echo-client: the peer ended the conversation before the end of the input\n");
  });

  test("echo-client - reports an error when the peer disconnects without reading all input", async () => {
    await using server = await peer((socket) => socket.once("data", () => socket.destroy()));
    const { code, stderr } = await run(["echo-client", server.endpoint, "--summary"], {
      stdin: new Uint8Array(30_000_000),
    });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^mqcat: echo-client: the (connection broke|peer left \d+ bytes unread|peer ended the conversation before)/,
    );
    assert.ok(summaryOf(stderr)["sent"]! < 30_000_000);
  });

  test("echo-client - exits with 4 and names a remedy when nothing is listening", async () => {
    const port = await freePort();
    const { code, stderr } = await run(["echo-client", `:${port}`, "-D", "x"]);
    assert.equal(code, 4);
    assert.equal(
      stderr,
      `mqcat: echo-client: cannot connect to tcp://127.0.0.1:${port}: connection refused: nothing is listening there ` +
        `(mqcat echo-server tcp://127.0.0.1:${port} starts a server there)\n`,
    );
  });

  test("echo-client - -w gives up on a peer that does not answer, or does not complete the handshake", async () => {
    await using silent = await peer((socket) => socket.resume());
    const late = await run(["echo-client", silent.endpoint, "-D", "x", "-w", "200ms"]);
    assert.equal(late.code, 3);
    assert.equal(late.stderr, "mqcat: echo-client: no data for 200 ms (-w)\n");
    const handshake = await run(["echo-client", `tls://${silent.endpoint}`, "-D", "x", "-w", "200ms"]);
    assert.equal(handshake.code, 3);
    assert.match(handshake.stderr, /cannot connect to tls:.*: no answer within 200 ms \(-w\)\n$/);
  });

  test("echo-client - a signal stops it at once, even while it connects", async () => {
    await using silent = await peer((socket) => socket.resume());
    using waiting = start(["echo-client", silent.endpoint, "-v"], { open: true });
    await waiting.waitForStderr(/connected to/);
    waiting.kill("SIGINT");
    assert.equal((await waiting.exit()).code, 130);
    const arrived = Promise.withResolvers<void>();
    await using mute = await peer(() => arrived.resolve());
    using connecting = start(["echo-client", `tls://${mute.endpoint}`, "-D", "x"]);
    await arrived.promise;
    connecting.kill("SIGTERM");
    assert.equal((await connecting.exit()).code, 143);
  });

  test("echo-client - ends like SIGPIPE when the reader of stdout exits", async () => {
    using server = start(["echo-server", ":0"]);
    const endpoint = await server.readyEndpoint();
    using script = shell(`yes | mqcat echo-client ${endpoint} | head -1; echo "\${PIPESTATUS[1]}"`);
    const { stdout, stderr } = await script.exit();
    assert.deepEqual([stdout.toString(), stderr], ["y\n141\n", ""]);
  });
});

describe("echo - transports", () => {
  const streams = [
    `unix://${dir.file("unix.sock")}`,
    `ipc://${dir.file("ipc.sock")}`,
    `unix://@mqcat-${process.pid}`,
  ];
  for (const endpoint of streams) {
    test(`echo - works over ${endpoint.replace(/\/tmp.*\/|\d+$/, "")}`, async () => {
      using server = start(["echo-server", endpoint, "--once"]);
      assert.equal(await server.readyEndpoint(), endpoint);
      const { code, stdout } = await run(["echo-client", endpoint], { stdin: "through a file" });
      assert.deepEqual([code, stdout.toString()], [0, "through a file"]);
      const ended = await server.exit();
      assert.equal(ended.code, 0);
      assert.match(ended.stderr, new RegExp(`Connected by ${endpoint}\n$`));
      if (!endpoint.includes("@")) assert.equal(fs.existsSync(endpoint.replace(/^\w+:\/\//, "")), false);
    });
  }

  test("echo - over tls, reports which certificate is not trusted", async () => {
    using server = start(["echo-server", "tls://localhost:0", "--cert", cert, "--key", key]);
    const endpoint = await server.readyEndpoint();
    const bytes = randomBytes(500_000);
    for (const trust of [["--cacert", cert], ["-k"]]) {
      const { code, stdout, stderr } = await run(["echo-client", endpoint, ...trust], { stdin: bytes });
      assert.deepEqual([code, stderr], [0, ""]);
      assert.ok(stdout.equals(bytes));
    }
    const { code, stderr } = await run(["echo-client", endpoint], { stdin: bytes });
    assert.equal(code, 4);
    assert.match(
      stderr,
      /cannot connect to tls:.*certificate.*\(--cacert FILE names an authority to trust, -k/i,
    );
  });

  test("echo - over udp, sends a datagram for each -D, and splits stdin into datagrams", async () => {
    using server = start(["echo-server", "udp://127.0.0.1:0", "-v"]);
    const endpoint = await server.readyEndpoint();
    const texts = await run(["echo-client", endpoint, "-D", "one", "-D", "two"]);
    assert.deepEqual([texts.code, texts.stdout.toString()], [0, "onetwo"]);
    await server.waitForStderr(/(echoed 3 bytes to 127\.0\.0\.1:\d+\n.*){2}/s);
    const bytes = randomBytes(300_000);
    const piped = await run(["echo-client", endpoint], { stdin: bytes });
    assert.equal(piped.code, 0);
    assert.ok(piped.stdout.equals(bytes));
  });

  test("echo - over udp, reports datagrams that are too large or do not return", async () => {
    using server = start(["echo-server", "udp://127.0.0.1:0"]);
    fs.writeFileSync(dir.file("large"), Buffer.alloc(65_508));
    const large = await run(["echo-client", await server.readyEndpoint(), "-F", dir.file("large")]);
    assert.equal(large.code, 1);
    assert.match(large.stderr, /cannot send 65508 bytes as one datagram: .*65507.*tcp:\/\//);
    const port = await freePort();
    const lost = await run(["echo-client", `udp://127.0.0.1:${port}`, "-D", "x", "-w", "200ms"]);
    // A runtime that learns that nothing is listening reports it at once.
    if (lost.code === 4) assert.match(lost.stderr, /nothing is listening there/);
    else {
      assert.equal(lost.code, 3);
      assert.match(lost.stderr, /no echo came for 200 ms: 1 of 1 datagrams are missing \(-w\)\n$/);
    }
  });
});

describe("echo - usage", () => {
  const mistakes: [words: string[], says: RegExp][] = [
    [["echo-server", "inproc://x"], /inproc/],
    [["echo-server", "ws://127.0.0.1:0"], /a WebSocket carries ZeroMQ's messages here/],
    [["echo-client", "nowhere"], /nowhere/],
    [["echo-client", ":1", ":2"], /argument/],
    [
      ["echo-client", ":1", "-k"],
      /certificates are for a tls:\/\/ endpoint: received tcp:\/\/127\.0\.0\.1:1/,
    ],
    [["echo-server", "tls://:0", "--cert", cert], /--cert and --key belong together/],
    [["echo-client", "tls://:1", "--cacert", "/nonexistent"], /--cacert '\/nonexistent'/],
    [["echo-client", ":1", "-F", "/nonexistent"], /-F '\/nonexistent'/],
    [["echo-server", ":0", "--idle", "soon"], /--idle 'soon': expected a duration/],
    [["echo-server", ":0", "--idle", "0"], /--idle '0'/],
    [["echo-server", ":0", "--max-connections", "0"], /--max-connections '0'/],
    [["echo-server", "udp://:0", "--idle", "1s"], /--idle.*udp has no connections/],
  ];
  for (const [words, says] of mistakes) {
    test(`echo - ${words.join(" ").replace(dir.path, "")} - exit 2`, async () => {
      const { code, stderr } = await run(words);
      assert.equal(code, 2, stderr);
      assert.match(stderr, says);
    });
  }

  test("echo-server - tls without a certificate names the missing options", async () => {
    const { code, stderr } = await run(["echo-server", "tls://:0"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /--cert FILE --key FILE/);
  });
});
