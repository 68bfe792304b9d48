/**
 * A pipeline of four mqcat processes with libzmq in the middle; CURVE encrypts every link:
 *
 *     push =ws=> pull | push =tcp=> pyzmq =ipc=> pull
 *
 * MQCAT_MESSAGES sets the number of messages. Default: 50,000.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import process from "node:process";
import { describe } from "node:test";
import { requirePeer, tempDir } from "../support/helpers.ts";
import { Program, readyFile, run, shell, start } from "../support/mqcat.ts";

const PYTHON = "/usr/bin/python3";
const hasPyzmq =
  spawnSync(PYTHON, ["-c", "import zmq; assert zmq.has('curve')"], { stdio: "ignore" }).status === 0;
const COUNT = Number(process.env["MQCAT_MESSAGES"] ?? 50_000);
/** The deadline of the whole run, in milliseconds. */
const SPAN = 50_000 + COUNT / 5;
const test = requirePeer("pyzmq with CURVE", hasPyzmq, SPAN + 10_000);

/** Receives messages at a CURVE server on tcp, and forwards them at one on ipc. */
const MIDDLE = `
import sys, zmq, zmq.auth
count, keys, ipc = int(sys.argv[1]), sys.argv[2], sys.argv[3]
public, secret = zmq.auth.load_certificate(keys)
with zmq.Context() as context, context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
    for socket in pull, push:
        socket.curve_server = True
        socket.curve_secretkey, socket.curve_publickey = secret, public
    push.bind(ipc)
    print(pull.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    for _ in range(count):
        push.send(pull.recv(copy=False), copy=False)
`;

describe("pipeline under CURVE", () => {
  test(`pipeline - carries ${COUNT} messages over ws, tcp and ipc through libzmq, unchanged and in order`, async () => {
    using dir = tempDir();
    const [input, output, ready] = ["input", "output", "ready"].map(dir.file) as [string, string, string];
    writeLines(input);
    for (const name of ["ours", "theirs"]) assert.equal((await run(["keygen", dir.file(name)])).code, 0);
    const ask = (name: string) => ["--curve-server-key", dir.file(`${name}.key`)];
    const ipc = `ipc://${dir.file("middle")}`;

    using middle = new Program([PYTHON, "-c", MIDDLE, `${COUNT}`, dir.file("theirs.key_secret"), ipc], {});
    const tcp = `>tcp://127.0.0.1:${(await middle.waitForStdout(/^(\d+)\n/))[1]}`;
    using last = start(["pull", `>${ipc}`, "-n", `${COUNT}`, ...ask("theirs")], { stdout: output });
    using relay = shell(
      `mqcat pull @ws://127.0.0.1:0 --transient --ready-file ${ready} --curve-server --curve-key ${
        dir.file("ours.key_secret")
      } | mqcat push '${tcp}' ${ask("theirs").join(" ")}`,
    );
    const [endpoint] = await readyFile(ready, SPAN);
    const stdin = fs.openSync(input, "r");
    using first = start(["push", `>${endpoint}`, ...ask("ours")], { stdinFrom: stdin });
    for (const [name, program] of Object.entries({ first, relay, middle, last })) {
      const { code, stderr } = await program.exit(SPAN);
      assert.equal(code, 0, `${name}: ${stderr}`);
    }
    fs.closeSync(stdin);
    assert.equal(digest(output), digest(input));
  });
});

/** Numbered lines of 7 to 300 bytes, with every byte value except the newline. */
function writeLines(path: string): void {
  const file = fs.openSync(path, "w");
  const filler = Uint8Array.from({ length: 600 }, (_, i) => i % 256 === 10 ? 11 : i % 256);
  const block: Uint8Array[] = [];
  for (let i = 0; i < COUNT; i++) {
    const start = i * 31 % 256;
    block.push(
      new TextEncoder().encode(`${i} `.padStart(7)),
      filler.subarray(start, start + i * 7 % 293),
      Uint8Array.of(10),
    );
    if (block.length >= 3000 || i === COUNT - 1) fs.writevSync(file, block.splice(0));
  }
  fs.closeSync(file);
}

function digest(path: string): string {
  return `${fs.statSync(path).size}:${createHash("sha256").update(fs.readFileSync(path)).digest("hex")}`;
}
