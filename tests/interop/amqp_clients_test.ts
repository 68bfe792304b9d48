/**
 * Third-party clients with our broker, each with the steps of peers/amqp_round.mjs. MQCAT_AMQP_URL and
 * MQCAT_AMQP_HTTP_URL name another broker to use instead, which shows whether the broker causes a failure.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "../../lib/broker/server.ts";
import { type Identity, issue, selfSigned } from "../support/certificates.ts";
import { installed, requirePeer, tempDir, waitFor } from "../support/helpers.ts";

const PEERS = fileURLToPath(new URL("./peers/", import.meta.url));
/** The maximum time of a client for all steps, in milliseconds. */
const PATIENCE = 50_000;

/** The expected result of each step. */
const ROUND: Readonly<Record<string, unknown>> = {
  "wrong password": 403,
  "missing virtual host": 530,
  "capabilities": [
    "authentication_failure_close",
    "basic.nack",
    "connection.blocked",
    "consumer_cancel_notify",
    "consumer_priorities",
    "direct_reply_to",
    "exchange_exchange_bindings",
    "per_consumer_qos",
    "publisher_confirms",
  ],
  "blocked": true,
  "declare": [true, 0, 0],
  "server-named": true,
  "passive, missing": 404,
  "declared otherwise": [406, 406],
  "reserved name": 403,
  "exclusive": [405, 404],
  "direct": ["a"],
  "fanout": ["both", "both"],
  "topic": ["web.error", "x.y.end", "end", "error.end"],
  "headers": [
    ['{"color":"red","size":7,"more":true}'],
    ['{"color":"red","size":7,"more":true}', '{"color":"red"}'],
  ],
  "exchange to exchange": ["in.side"],
  "unknown exchange type": 503,
  "confirms": 1000,
  "consume": [1000, 0],
  "bodies": [],
  "properties": [],
  "mandatory": [312, "NO_ROUTE", true, "m", "come back"],
  "full queue": ["taken", "refused"],
  "missing exchange": 404,
  "prefetch": [15, Array.from({ length: 20 }, (_, i) => i).join(" ")],
  "requeue": [false, true, true],
  "dead letters": [["rejected", 1, true], ["expired", 1, true]],
  "get": ["one", 1, "two", 0, null],
  "cancel": [1, 0, 1],
  "cancelled by the broker": true,
  "unknown delivery tag": 406,
  "transaction": [0, 2, 2],
  "direct reply-to": ["ping!", "c-1"],
  "purge, delete": [3, 1, 0],
  "close": true,
};

interface Client {
  readonly name: string;
  readonly command: readonly string[];
  readonly present: boolean;
  /** The steps that the client does not support. */
  readonly lacks?: readonly string[];
  /** The results that differ for this client. */
  readonly sees?: Readonly<Record<string, unknown>>;
}

const CLIENTS: readonly Client[] = [
  {
    ...ofNpm("amqplib", "amqplib_peer.mjs"),
    lacks: ["transaction"],
    sees: { "missing virtual host": "Expected ConnectionOpenOk; got <ConnectionClose channel:0>" },
  },
  { ...ofNpm("@cloudamqp/amqp-client", "amqp_client_peer.mjs"), lacks: ["capabilities"] },
  { ...ofNpm("rabbitmq-client", "rabbitmq_client_peer.mjs"), lacks: ["capabilities"] },
  {
    name: "pika",
    command: ["/usr/bin/python3", `${PEERS}pika_peer.py`],
    present: works("/usr/bin/python3", "-c", "import pika"),
    lacks: ["capabilities"],
  },
  {
    name: "bunny",
    command: ["ruby", `${PEERS}bunny_peer.rb`],
    present: works("ruby", "-e", "require 'bunny'"),
    sees: {
      "wrong password": "Bunny::AuthenticationFailureError",
      "missing virtual host": "Bunny::NotAllowedError",
    },
  },
];

let broker: Broker | undefined;
let url = process.env["MQCAT_AMQP_URL"] ?? "";

before(async () => {
  if (url !== "") return;
  broker = await Broker.open();
  const { port } = new URL(await broker.listen("amqp://127.0.0.1:0"));
  url = `amqp://guest:guest@127.0.0.1:${port}`;
});
after(() => broker?.close());

describe("third-party clients", () => {
  for (const { name, command, present, lacks = [], sees = {} } of CLIENTS) {
    requirePeer(name, present)(`${name} - gets the expected result in each step`, async () => {
      const { code, stdout, stderr } = await run([...command, url]);
      const saw = stdout.trimEnd().split("\n").map((line) =>
        JSON.parse(line, withoutOurs) as [string, unknown]
      );
      const expected = Object.entries({ ...ROUND, ...sees }).filter(([step]) => !lacks.includes(step));
      assert.deepEqual([Object.fromEntries(saw), code, stderr], [Object.fromEntries(expected), 0, ""]);
      assert.equal(saw.length, expected.length);
    });
  }
});

describe("librabbitmq's tools", () => {
  const test = requirePeer("amqp-tools", installed("amqp-publish"));
  const queue = `tools ${process.pid}`;
  const tool = (name: string, args: readonly string[], stdin = "", at = url) =>
    run([`amqp-${name}`, "--url", at, ...args], stdin);

  test("declare, publish, get, consume, delete - transfer lines", async () => {
    const declared = await tool("declare-queue", ["-q", queue, "-d"]);
    assert.deepEqual([declared.code, declared.stdout], [0, `${queue}\n`], declared.stderr);
    const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
    const args = ["-r", queue, "-p", "-C", "text/x", "-E", "identity", "-t", "r", "-H", "k: v"];
    assert.equal((await tool("publish", [...args, "-l"], `${lines.join("\n")}\n`)).code, 0);
    assert.equal((await tool("get", ["-q", queue])).stdout, "line 0\n");
    // cat adds nothing: the lines include their newline.
    const consumed = await tool("consume", ["-q", queue, "-c", "999", "-p", "50", "cat"]);
    assert.deepEqual([consumed.code, consumed.stdout], [0, `${lines.slice(1).join("\n")}\n`]);
    assert.equal((await tool("get", ["-q", queue])).code, 2);
    await tool("publish", ["-r", queue, "-b", "\u0001 body ü"]);
    assert.equal((await tool("delete-queue", ["-q", queue])).stdout, "1\n");
  });

  test("consume - binds its own queue to an exchange", async () => {
    const key = `tools.${process.pid}`;
    let ended: Awaited<ReturnType<typeof run>> | undefined;
    const args = ["-x", "-e", "amq.topic", "-r", `${key}.#`, "-c", "1", "cat"];
    const consuming = tool("consume", args).then((exit) => ended = exit);
    await waitFor(
      async () => {
        await tool("publish", ["-e", "amq.topic", "-r", `${key}.x`, "-b", "hello"]);
        return ended;
      },
      PATIENCE,
      "the consumer",
    );
    const { code, stdout } = await consuming;
    assert.deepEqual([code, stdout], [0, "hello"]);
  });

  test("errors - librabbitmq's messages include the broker's text", async () => {
    const wrong = new URL(url);
    wrong.password = "wrong";
    const none = new URL("/none", url);
    await tool("declare-queue", ["-q", `${queue} durable`, "-d"]);
    const cases: [Promise<Exit>, RegExp][] = [
      [tool("get", ["-q", "x"], "", wrong.href), /403, message: ACCESS_REFUSED - Login was refused/],
      [tool("get", ["-q", "x"], "", none.href), /530, message: NOT_ALLOWED - (vhost )?.*none/],
      [tool("get", ["-q", `${queue} missing`]), /404, message: NOT_FOUND - no queue '.*' in vhost '\/'/],
      [tool("declare-queue", ["-q", `${queue} durable`]), /406, message: PRECONDITION_FAILED - inequivalent/],
      [tool("declare-queue", ["-q", "amq.mine"]), /403, message: ACCESS_REFUSED/],
    ];
    for (const [exit, words] of cases) {
      const { code, stderr } = await exit;
      assert.match(stderr, words);
      assert.equal(code, 1);
    }
    assert.equal((await tool("delete-queue", ["-q", `${queue} durable`])).stdout, "0\n");
  });
});

describe("clients with certificates", () => {
  const withPika = requirePeer("pika", works("/usr/bin/python3", "-c", "import pika"));

  withPika("pika - logs in by its certificate (EXTERNAL)", async () => {
    using dir = tempDir();
    const authority = selfSigned("/CN=Authority");
    const server = issue(authority, "/CN=localhost", "server");
    await using served = {
      broker: await Broker.open({
        tls: { ...server, ca: authority.cert, requireClientCert: true },
        certLoginFrom: "common_name",
      }),
      [Symbol.asyncDispose]() {
        return this.broker.close();
      },
    };
    served.broker.users.put("alice", "");
    served.broker.users.permit("alice", "/", { configure: ".*", write: ".*", read: ".*" });
    const { port } = new URL(await served.broker.listen("amqps://127.0.0.1:0"));
    fs.writeFileSync(dir.file("ca"), authority.cert);
    const login = async (identity: Partial<Identity>) => {
      const { cert = "", key = "" } = identity;
      fs.writeFileSync(dir.file("cert"), cert);
      fs.writeFileSync(dir.file("key"), key);
      const files = cert === "" ? ["", ""] : [dir.file("cert"), dir.file("key")];
      const script = `${PEERS}pika_external.py`;
      return await run(["/usr/bin/python3", script, port, dir.file("ca"), ...files]);
    };
    const { code, stdout, stderr } = await login(issue(authority, "/O=Acme/CN=alice"));
    assert.deepEqual([code, stdout], [0, "hello\n"], stderr);
    assert.match((await login(issue(authority, "/CN=nobody"))).stderr, /ACCESS_REFUSED.*mechanism EXTERNAL/);
    for (const other of [{}, selfSigned("/CN=alice")]) {
      const refused = await login(other);
      assert.notEqual(refused.code, 0);
      assert.doesNotMatch(refused.stderr, /ACCESS_REFUSED/);
    }
  });
});

/** Removes the capabilities that RabbitMQ does not have. */
function withoutOurs(_key: string, value: unknown): unknown {
  return Array.isArray(value) ? value.filter((one) => !String(one).startsWith("x-mqcat-")) : value;
}

/** Whether a command succeeds. */
function works(...[command, ...args]: [string, ...string[]]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function ofNpm(name: string, script: string): Client {
  const here = fs.existsSync(
    fileURLToPath(new URL(`../../node_modules/${name}/package.json`, import.meta.url)),
  );
  return { name, command: ["node", `${PEERS}${script}`], present: here && installed("node") };
}

interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run([command, ...args]: readonly string[], stdin = ""): Promise<Exit> {
  const child = spawn(command!, args, { stdio: "pipe", timeout: PATIENCE, killSignal: "SIGKILL" });
  const exit = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => exit.stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => exit.stderr += text);
  child.stdin.on("error", () => {}); // The process may end without reading its input.
  child.stdin.end(stdin);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...exit }));
  });
}
