/** Third-party STOMP clients with our broker. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { after, before, describe } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "../../lib/broker/server.ts";
import { installed, requirePeer } from "../support/helpers.ts";

const PEERS = fileURLToPath(new URL("./peers/", import.meta.url));
/** The maximum time of a client for all steps, in milliseconds. */
const PATIENCE = 50_000;

const COMMON = {
  "versions": ["1.0", "1.1", "1.2"],
  "acknowledge": ["a", "true"],
  "binary": true,
  "error": "Unknown destination",
};
const ESCAPED = { "colon": "c:d", "lines": "1\n2", "back": "\\n" };

/** The headers that stomp.py receives. */
function headersOf(version: string, escaped: object): object {
  return {
    plain: "text",
    accent: "é",
    type: "t",
    priority: "3",
    ...escaped,
    "content-type": "text/plain",
    destination: `/queue/py.headers.${version}`,
    body: "hello é",
  };
}

interface Client {
  readonly name: string;
  readonly command: readonly string[];
  /** The endpoint as arguments. Default: host and port of a TCP listener. */
  readonly args?: () => readonly string[];
  readonly present: boolean;
  /** The expected result of each step. */
  readonly steps: Readonly<Record<string, unknown>>;
}

const CLIENTS: readonly Client[] = [
  {
    name: "stomp.py",
    command: ["/usr/bin/python3", `${PEERS}stomp_peer.py`],
    present: spawnSync("/usr/bin/python3", ["-c", "import stomp"]).status === 0,
    steps: {
      ...COMMON,
      "wrong password": "refused",
      "headers 1.0": headersOf("1.0", {}),
      "headers 1.1": headersOf("1.1", ESCAPED),
      "headers 1.2": headersOf("1.2", ESCAPED),
      "transaction": ["1", "2", "3"],
      "request": ["ping!", "7", "/temp-queue/r"],
      "many": true,
    },
  },
  {
    name: "@stomp/stompjs",
    command: ["node", `${PEERS}stompjs_peer.mjs`],
    present: installed("node") &&
      fs.existsSync(
        fileURLToPath(new URL("../../node_modules/@stomp/stompjs/package.json", import.meta.url)),
      ),
    steps: {
      ...COMMON,
      "wrong password": "Bad CONNECT",
      "headers 1.1": [[], "text/plain", "/queue/js.headers.1.1", "hello é"],
      "headers 1.2": [[], "text/plain", "/queue/js.headers.1.2", "hello é"],
      "transaction": ["1", "2"],
    },
  },
];

let broker: Broker;
let port: string;
let web: string;

before(async () => {
  broker = await Broker.open();
  port = new URL((await broker.listen("stomp://127.0.0.1:0")).replace("stomp:", "http:")).port;
  web = await broker.listen("ws://127.0.0.1:0/ws");
});
after(() => broker.close());

describe("third-party STOMP clients", () => {
  for (const { name, command, args, present, steps } of [...CLIENTS, overWebSocket(CLIENTS[1]!)]) {
    requirePeer(name, present)(`${name} - gets the expected result in each step`, async () => {
      const { code, stdout, stderr } = await run([...command, ...(args?.() ?? ["127.0.0.1", port])]);
      const saw = stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as [string, unknown]);
      assert.deepEqual([Object.fromEntries(saw), code], [steps, 0], stderr);
    });
  }
});

/** Makes a client that uses the WebSocket of this runtime. */
function overWebSocket(client: Client): Client {
  const runtime = "deno" in process.versions
    ? [process.execPath, "run", "-A", "--no-check"]
    : [process.execPath];
  const command = [...runtime, ...client.command.slice(1)];
  return { ...client, name: `${client.name} over a WebSocket`, command, args: () => [web] };
}

interface Exit {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run([command, ...args]: readonly string[]): Promise<Exit> {
  const child = spawn(command!, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE,
    killSignal: "SIGKILL",
  });
  const exit = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => exit.stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => exit.stderr += text);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...exit }));
  });
}
