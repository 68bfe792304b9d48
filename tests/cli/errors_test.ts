/** Errors as their users see them: one line that names the input, the error and the remedy. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import { after, before, describe } from "node:test";
import { tempDir } from "../support/helpers.ts";
import { certificate } from "../support/stream_adapters.ts";
import { type Program, run, shell, start, summaryOf, target, test } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const dir = tempDir();
let broker: Program;
let amqp = "";
let http = "";
/** Accepts connections, and sends nothing. */
let silent: net.Server;
let silentPort = 0;
/** A port where nothing listens. */
let closedPort = 0;

before(async () => {
  fs.writeFileSync(dir.file("file"), "");
  fs.mkdirSync(dir.file("folder"));
  silent = net.createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  silentPort = (silent.address() as net.AddressInfo).port;
  closedPort = await freePort();
  broker = start(["queue", "serve", ":0", "--memory", "--http", "127.0.0.1:0"]);
  amqp = await broker.readyEndpoint();
  http = (await broker.waitForStderr(/HTTP API on http:\/\/(\S+)\n/))[1]!;
});

after(() => {
  broker[Symbol.dispose]();
  silent.close();
  dir[Symbol.dispose]();
});

/** Command lines, the exit code, and the only line on stderr. */
const TABLE: [string, () => string[], number, RegExp][] = [
  [
    "a bound ipc path that is a file",
    () => ["pull", `ipc://${dir.file("file")}`],
    2,
    /cannot bind ipc:\S+: the path is a file \(choose a path that does not exist\)/,
  ],
  [
    "a bound ipc path that is a directory",
    () => ["pull", `ipc://${dir.file("folder")}`],
    2,
    /cannot bind ipc:\S+: the path is a directory/,
  ],
  [
    "one slash",
    () => ["push", "tcp:127.0.0.1:5555", "-D", "x"],
    2,
    /'tcp:127\.0\.0\.1:5555': ':\/\/' is missing after 'tcp' \(try tcp:\/\/127\.0\.0\.1:5555\)/,
  ],
  [
    "an ipc path without slashes",
    () => ["push", "ipc:/tmp/feed", "-D", "x"],
    2,
    /'ipc:\/tmp\/feed': ':\/\/' is missing after 'ipc' \(try ipc:\/\/\/tmp\/feed\)/,
  ],
  ["a blank endpoint", () => ["push", " ", "-D", "x"], 2, /endpoint ' ': it is empty \(try :5555/],
  [
    "a directory for -F",
    () => ["push", ":1", "-F", dir.file("folder")],
    2,
    /-F '\S+': it is a directory, not a file/,
  ],
  [
    "a missing file for -F",
    () => ["push", ":1", "-F", dir.file("none")],
    2,
    /-F '\S+': there is no such file/,
  ],
  [
    "a rate that is not one",
    () => ["push", ":1", "--rate", "10x"],
    2,
    /--rate '10x': expected messages per second, such as 100/,
  ],
  [
    "an unknown escape of -K",
    () => ["pub", ":0", "-K", "\\q"],
    2,
    /--key-separator '\\q': there is no escape '\\q': there are/,
  ],
  [
    "an option that many commands have",
    () => ["queue", "list", "-w", "1s"],
    2,
    /unknown option '-w': \d+ other commands have it, such as [a-z-]+$/m,
  ],
  [
    "the port of the HTTP API",
    () => ["queue", "get", "q", "--url", `amqp://${http}`, "-w", "5s"],
    4,
    /the peer speaks HTTP, not AMQP: this is the port of the HTTP API/,
  ],
  [
    "TLS to a plain broker",
    () => ["queue", "get", "q", "--url", amqp.replace("amqp:", "amqps:"), "-k", "-w", "5s"],
    4,
    /the peer does not speak TLS/,
  ],
  [
    "an unreachable HTTP API",
    () => [
      "queue",
      "list",
      "--url",
      `amqp://127.0.0.1:${closedPort}`,
      "--http",
      `http://127.0.0.1:${closedPort}`,
    ],
    4,
    /connection refused/,
  ],
  [
    "a publish that failed",
    () => ["queue", "put", "--exchange", "none", "-D", "x", "--url", amqp],
    1,
    /^mqcat: queue put: [^\n]*no exchange 'none'/,
  ],
];

describe("an error is one line", () => {
  for (const [name, args, code, words] of TABLE) {
    test(name, async () => {
      const exit = await run(args());
      assert.match(exit.stderr, words);
      assert.equal(exit.code, code, exit.stderr);
      assert.equal(exit.stderr.trimEnd().split("\n").length, 1, exit.stderr);
      assert.doesNotMatch(exit.stderr, /os error|Is the computer able|EISDIR|OPENSSL|\bat file:/);
    });
  }
});

describe("an error of a connection", () => {
  test("a port that accepts and says nothing is explained", async () => {
    const { code, stderr } = await run(["push", `:${silentPort}`, "-D", "x", "-w", "4s"]);
    assert.equal(code, 3);
    assert.match(
      stderr,
      new RegExp(`connected to tcp://127\\.0\\.0\\.1:${silentPort}, waiting for a ZMTP greeting\n`),
    );
  });

  test("plain ZeroMQ to TLS, and TLS to plain ZeroMQ", async () => {
    const { cert, key } = certificate();
    fs.writeFileSync(dir.file("cert"), cert);
    fs.writeFileSync(dir.file("key"), key);
    using echo = start([
      "echo-server",
      "tls://127.0.0.1:0",
      "--cert",
      dir.file("cert"),
      "--key",
      dir.file("key"),
    ]);
    const secure = (await echo.readyEndpoint()).replace("tls:", "tcp:");
    const plain = await run(["push", secure, "-D", "x", "-w", "10s"]);
    assert.match(plain.stderr, /the peer speaks TLS, not plain ZeroMQ|closed the connection/);
    const tls = await run(["push", amqp.replace("amqp:", "wss:"), "-k", "-D", "x", "-w", "10s"]);
    assert.equal(tls.code, 4, tls.stderr);
    assert.match(tls.stderr, /the peer does not speak TLS: use a scheme with TLS at both ends or at neither/);
  });

  test("the refusal of AMQP 1.0 is one line at the broker", async () => {
    const socket = net.connect(Number(/:(\d+)/.exec(amqp.slice(6))![1]), "127.0.0.1");
    socket.on("error", () => {});
    socket.write(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 3, 1, 0, 0));
    const { port } = await new Promise<net.AddressInfo>((resolve) =>
      socket.on("connect", () => resolve(socket.address() as net.AddressInfo))
    );
    const line = new RegExp(`refused 127\\.0\\.0\\.1:${port}: [^\n]*1\\.0[^\n]*\n`, "g");
    await broker.waitForStderr(new RegExp(line.source));
    socket.destroy();
    assert.equal((await run(["queue", "list", "--url", amqp])).code, 0);
    assert.equal(broker.stderr.match(line)?.length, 1, broker.stderr);
  });
});

describe("stdout on a full disk", () => {
  for (
    const args of ["--help", "--version", "pull --help", "queue --help", "completion bash", "complete -- pul"]
  ) {
    test(`${args} - exits with 1 and says why`, async () => {
      using full = shell(`exec "\${MQCAT[@]}" ${args} >/dev/full`);
      const { code, stderr } = await full.exit();
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^mqcat: [^\n]*(no space left|ENOSPC)[^\n]*\n$/i);
    });
  }
});

describe("interfaces", () => {
  test("tcp://* binds both families", async () => {
    using pull = start(["pull", "tcp://*:0", "-n", "2"]);
    const port = /:(\d+)$/.exec(await pull.readyEndpoint())![1];
    for (const host of ["127.0.0.1", "[::1]"]) {
      const { code, stderr } = await run(["push", `tcp://${host}:${port}`, "-D", host, "-w", "10s"]);
      assert.equal(code, 0, stderr);
    }
    assert.equal((await pull.exit()).code, 0);
  });

  test("schemes are case-insensitive", async () => {
    using pull = start(["pull", "TCP://127.0.0.1:0", "-n", "1"]);
    const endpoint = await pull.readyEndpoint();
    assert.equal((await run(["push", endpoint.replace("tcp:", "Tcp:"), "-D", "x"])).code, 0);
    assert.equal((await pull.exit()).stdout.toString(), "x\n");
  });

  test("-K knows the escapes of -f", async () => {
    using sub = start(["sub", "@:0", "-K", "\\t", "-n", "1"]);
    const pub = await run(["pub", `>${await sub.readyEndpoint()}`, "-K", "\\x3b"], { stdin: "a;b\n" });
    assert.equal(pub.code, 0, pub.stderr);
    assert.equal((await sub.exit()).stdout.toString(), "a\tb\n");
  });

  test("--rate takes thousands", async () => {
    using pull = start(["pull", ":0", "-n", "3"]);
    assert.equal(
      (await run(["push", await pull.readyEndpoint(), "--rate", "10k"], { stdin: "1\n2\n3\n" })).code,
      0,
    );
    assert.equal((await pull.exit()).code, 0);
  });

  test("queue put --summary counts bytes", async () => {
    assert.equal((await run(["queue", "declare", "counted", "--url", amqp])).code, 0);
    const { stderr } = await run(["queue", "put", "counted", "--url", amqp, "--summary"], {
      stdin: "abc\nde\n",
    });
    assert.equal(summaryOf(stderr)["bytes"], 5);
  });

  // Node gives all signals their default effect at its start, so it cannot know what the parent process wanted.
  if (target !== "node") {
    test("nohup - SIGHUP does not end a command that was started to ignore it", async () => {
      using pull = shell(`trap '' HUP; exec "\${MQCAT[@]}" pull :0 -n 1`);
      const endpoint = await pull.readyEndpoint();
      pull.kill("SIGHUP");
      assert.equal((await run(["push", endpoint, "-D", "x"])).code, 0);
      assert.equal((await pull.exit()).code, 0);
    });
  }
});
