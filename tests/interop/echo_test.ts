/** mqcat's echo server and client against foreign programs. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import process from "node:process";
import { after, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { connectEcho } from "../../lib/echo/client.ts";
import type { EchoClientOptions } from "../../lib/echo/client_types.ts";
import { serveEcho } from "../../lib/echo/server.ts";
import type { EchoServerOptions } from "../../lib/echo/server_types.ts";
import { Program } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";
import { deadline, requirePeer, tempDir } from "../support/helpers.ts";
import { certificate } from "../support/stream_adapters.ts";

const PEERS = fileURLToPath(new URL("./peers/", import.meta.url));
const LIMIT = 15_000;

/** Bytes of every value, not a multiple of the block size. */
const FILE = randomBytes(1_000_003);

const dir = tempDir();
after(() => dir.remove());

const test = {
  socat: requirePeer("socat"),
  nc: requirePeer("nc"),
  ncat: requirePeer("ncat"),
  python: requirePeer("python3"),
  gcc: requirePeer("gcc"),
  openssl: requirePeer("openssl"),
};

/** Compiles a peer once, and returns the path of the program. */
function compiled(name: string): string {
  const program = dir.file(name);
  if (!fs.existsSync(program)) {
    execFileSync("gcc", [
      "-std=gnu11",
      "-O1",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-o",
      program,
      `${PEERS}${name}.c`,
    ]);
  }
  return program;
}

/** Paths of a certificate and a key for localhost, created once. */
function pem(): { cert: string; key: string; both: string } {
  const [cert, key, both] = [dir.file("cert.pem"), dir.file("key.pem"), dir.file("both.pem")];
  if (!fs.existsSync(both)) {
    const made = certificate();
    fs.writeFileSync(cert, made.cert);
    fs.writeFileSync(key, made.key);
    fs.writeFileSync(both, made.cert + made.key);
  }
  return { cert, key, both };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Serves one client, which `command` starts with `input` as its stdin; both ends must end without an error. */
async function served(
  endpoint: string,
  command: (endpoint: string, port: string) => string[],
  input: Uint8Array = FILE,
  options: EchoServerOptions = {},
): Promise<Uint8Array> {
  const causes: (Error | undefined)[] = [];
  const server = await serveEcho(endpoint, {
    once: true,
    tls: certificate(),
    onEvent: (event) => {
      if (event.type === "disconnected") causes.push(event.cause);
    },
    ...options,
  });
  try {
    const port = /:(\d+)$/.exec(server.endpoint)?.[1] ?? "";
    using client = new Program(command(server.endpoint, port), { stdin: input });
    const { code, stdout, stderr } = await client.exit(LIMIT);
    assert.equal(code, 0, stderr);
    await deadline(server.closed, 5000, "the server to end");
    assert.deepEqual(causes.filter((cause) => cause !== undefined), []);
    return stdout;
  } finally {
    await server.close();
  }
}

/** How our client sends to a kind of peer. */
interface Sending extends Partial<EchoClientOptions> {
  readonly input?: Uint8Array;
  readonly block?: number;
  /** Waits for the echo of each block, for a peer that would block when it gets many at once. */
  readonly lockstep?: boolean;
  /** Closes when the whole echo is back, for a peer that fails when our half ends. */
  readonly breakOff?: boolean;
}

/** Sends a file to `endpoint` with our client, and returns the echo and the cause of the end. */
async function sent(
  endpoint: string,
  { input = FILE, block = 16_384, lockstep = false, breakOff = false, ...options }: Sending = {},
): Promise<{ back: Uint8Array; cause: Error | undefined }> {
  const chunks: Uint8Array[] = [];
  let room = true;
  let over = false;
  let wake = () => {};
  const client = await connectEcho(endpoint, {
    timeout: 5000,
    tls: { ca: certificate().cert },
    onData(chunk) {
      chunks.push(chunk.slice());
      wake();
    },
    onDrain() {
      room = true;
      wake();
    },
    ...options,
  });
  client.closed.then(() => {
    over = true;
    wake();
  });
  const until = async (condition: () => boolean) => {
    while (!condition() && !over) {
      await deadline(new Promise<void>((resolve) => wake = resolve), LIMIT, "an echo");
    }
  };
  for (let at = 0; at < input.length; at += block) {
    const upTo = Math.min(at + block, input.length);
    room = client.send(input.subarray(at, upTo));
    await until(() => lockstep ? client.received >= upTo : room);
  }
  if (breakOff) {
    await until(() => client.received >= input.length);
    client.close();
  }
  client.end();
  const cause = await deadline(client.closed, LIMIT, "the end of the conversation");
  return { back: Buffer.concat(chunks), cause };
}

describe("echo server - foreign clients", () => {
  test.python("python, a plain client - sends hello", async () => {
    const client = (_: string, port: string) => ["python3", `${PEERS}echo_client.py`, port, "Hello, world"];
    assert.equal(String(await served(":0", client)), "Received b'Hello, world'\n");
  });

  const clients = [
    ["python", (port: string) => ["python3", `${PEERS}echo_client.py`, port]],
    ["gcc", (port: string) => [compiled("echo_client"), port]],
    ["socat", (port: string) => ["socat", "-t20", "-", `TCP:127.0.0.1:${port}`]],
    ["nc", (port: string) => ["nc", "-N", "127.0.0.1", port]],
    ["ncat", (port: string) => ["ncat", "127.0.0.1", port]],
  ] as const;
  for (const [peer, command] of clients) {
    test[peer](`${peer} - echoes a binary file over tcp`, async () => {
      assert.equal(sha256(await served(":0", (_, port) => [...command(port)])), sha256(FILE));
    });
  }

  test.socat("socat - echoes a binary file over IPv6, a Unix socket and an abstract one", async () => {
    const path = dir.file("server.sock");
    const name = `mqcat-interop-${process.pid}`;
    const ways = [
      ["tcp://[::1]:0", (port: string) => `TCP6:[::1]:${port}`],
      [`unix://${path}`, () => `UNIX-CONNECT:${path}`],
      [`unix://@${name}`, () => `ABSTRACT-CONNECT:${name}`],
    ] as const;
    for (const [endpoint, address] of ways) {
      const back = await served(endpoint, (_, port) => ["socat", "-t20", "-", address(port)]);
      assert.equal(sha256(back), sha256(FILE), endpoint);
    }
  });

  test.nc("nc - echoes a binary file over a Unix socket", async () => {
    const path = dir.file("nc.sock");
    assert.equal(sha256(await served(`unix://${path}`, () => ["nc", "-N", "-U", path])), sha256(FILE));
  });

  test.socat("socat - echoes a binary file over tls", async () => {
    const { cert } = pem();
    const back = await served("tls://127.0.0.1:0", (_, port) => {
      return ["socat", "-t20", "-", `OPENSSL:127.0.0.1:${port},cafile=${cert}`];
    });
    assert.equal(sha256(back), sha256(FILE));
  });

  test.ncat("ncat - echoes a binary file over tls", async () => {
    const { cert } = pem();
    const back = await served("tls://127.0.0.1:0", (_, port) => {
      return ["ncat", "--ssl-verify", "--ssl-trustfile", cert, "localhost", port];
    });
    assert.equal(sha256(back), sha256(FILE));
  });

  test.socat("socat - echoes datagrams over udp", async () => {
    const input = randomBytes(8000);
    const back = await served("udp://127.0.0.1:0", (_, port) => {
      return ["socat", "-b8192", "-T1", "-t1", "-", `UDP:127.0.0.1:${port}`];
    }, input);
    assert.equal(sha256(back), sha256(input));
  });

  test.nc("nc - echoes a datagram over udp", async () => {
    const back = await served(
      "udp://127.0.0.1:0",
      (_, port) => ["nc", "-u", "-W1", "127.0.0.1", port],
      Buffer.from("Hello, world"),
    );
    assert.equal(String(back), "Hello, world");
  });
});

describe("echo client - foreign servers", () => {
  const listening = /Listening on port (\d+)/;
  const servers = [
    ["python", () => ["python3", `${PEERS}echo_server.py`, "0"], listening],
    ["gcc", () => [compiled("echo_server"), "0"], listening],
    ["socat", () => ["socat", "-dd", "TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat"], /listening on .*:(\d+)\n/],
  ] as const;
  for (const [peer, command, pattern] of servers) {
    test[peer](`${peer} - echoes a binary file over tcp`, async () => {
      using server = new Program([...command()], {});
      const [, port] = await server.until(
        () => pattern.exec(server.text) ?? pattern.exec(server.stderr) ?? undefined,
        "its port",
      );
      const { back, cause } = await sent(`:${port}`);
      assert.equal(cause, undefined);
      assert.equal(sha256(back), sha256(FILE));
      const { code, stdout } = await server.exit(LIMIT);
      assert.equal(code, 0);
      if (peer !== "socat") assert.match(String(stdout), /Connected by .*127\.0\.0\.1/);
    });
  }

  test.ncat("ncat - echoes a binary file over tcp and tls", async () => {
    const { cert, key } = pem();
    for (const scheme of ["tcp", "tls"]) {
      const port = String(await freePort());
      const security = scheme === "tls" ? ["--ssl", "--ssl-cert", cert, "--ssl-key", key] : [];
      using server = new Program(
        ["ncat", "-l", "-v", ...security, "127.0.0.1", port, "--exec", "/bin/cat"],
        {},
      );
      await server.waitForStderr(/Listening on 127/);
      // It exits at the end of its input, even without an answer, and stalls when both pipes are full.
      const input = FILE.subarray(0, 100_003);
      const { back } = await sent(`${scheme}://127.0.0.1:${port}`, { input, lockstep: true, breakOff: true });
      assert.equal(sha256(back), sha256(input), scheme);
    }
  });

  test.nc("nc - echoes a binary file over tcp", async () => {
    // nc does not echo by itself: a FIFO connects its output to its input.
    const script = 'mkfifo "$1" && nc -l -v 127.0.0.1 0 <"$1" | cat >"$1"';
    using server = new Program(["sh", "-c", script, "sh", dir.file("fifo")], {});
    const [, port] = await server.waitForStderr(/Listening on \S+ (\d+)/);
    const { back } = await sent(`:${port}`, { breakOff: true });
    assert.equal(sha256(back), sha256(FILE));
  });

  test.socat("socat - echoes a binary file over a Unix socket, an abstract one, and tls", async () => {
    const { both } = pem();
    const path = dir.file("socat.sock");
    const name = `mqcat-interop-socat-${process.pid}`;
    const ways = [
      [`unix://${path}`, `UNIX-LISTEN:${path}`],
      [`unix://@${name}`, `ABSTRACT-LISTEN:${name}`],
      ["tls://localhost", `OPENSSL-LISTEN:0,bind=127.0.0.1,cert=${both},verify=0`],
    ] as const;
    for (const [endpoint, address] of ways) {
      using server = new Program(["socat", "-dd", address, "EXEC:cat"], {});
      const [line] = await server.waitForStderr(/listening on .*\n/);
      const port = endpoint.startsWith("tls") ? /:(\d+)\n$/.exec(line)![0].trim() : "";
      const { back, cause } = await sent(endpoint + port);
      assert.equal(cause, undefined, endpoint);
      assert.equal(sha256(back), sha256(FILE), endpoint);
    }
  });

  test.socat("socat - echoes datagrams over udp", async () => {
    const input = randomBytes(100 * 1400);
    using server = new Program(["socat", "-dd", "UDP-LISTEN:0,bind=127.0.0.1", "PIPE"], {});
    const [, port] = await server.waitForStderr(/listening on .*:(\d+)\n/);
    // Its pipe has no datagrams: the echo is a stream of bytes.
    const { back } = await sent(`udp://127.0.0.1:${port}`, { input, block: 1400, breakOff: true });
    assert.equal(sha256(back), sha256(input));
  });

  test.openssl("openssl - receives data over tls", async () => {
    const { cert, key } = pem();
    const command = ["openssl", "s_server", "-rev", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key];
    using server = new Program(command, {});
    const [, port] = await server.waitForStdout(/ACCEPT \S+:(\d+)/);
    const { back } = await sent(`tls://localhost:${port}`, {
      input: Buffer.from("stressed\n"),
      breakOff: true,
    });
    assert.equal(String(back), "desserts\n");
  });
});
