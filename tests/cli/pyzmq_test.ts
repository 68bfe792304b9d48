/** Each command against libzmq (through pyzmq), over tcp and ipc, in both roles. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { describe } from "node:test";
import { requirePeer, type TempDir, tempDir } from "../support/helpers.ts";
import { PATIENCE, Program, start } from "../support/mqcat.ts";
import { freePort } from "../support/ports.ts";

const PYTHON = "/usr/bin/python3";
const it = requirePeer("pyzmq", spawnSync(PYTHON, ["-c", "import zmq"], { stdio: "ignore" }).status === 0);

/** A socket that binds or connects. Messages are lines of JSON: lists of frames in base64. */
const PEER = `
import base64, json, sys, zmq
kind, role, endpoint, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
context = zmq.Context()
socket = context.socket(getattr(zmq, kind))
socket.linger, socket.rcvtimeo, socket.ipv6 = ${PATIENCE}, ${PATIENCE}, True
if kind == "SUB": socket.subscribe(b"")
getattr(socket, role)(endpoint)
print("listening on " + socket.getsockopt_string(zmq.LAST_ENDPOINT), file=sys.stderr, flush=True)
def send(): socket.send_multipart([base64.b64decode(frame) for frame in json.loads(sys.stdin.readline())])
def receive():
    frames = socket.recv_multipart()
    print(json.dumps([base64.b64encode(frame).decode() for frame in frames]), flush=True)
    return frames
if kind == "XPUB": socket.recv()  # A subscription.
for _ in range(count):
    if kind == "REP": socket.send_multipart(receive())
    if kind in ("PUSH", "XPUB", "REQ"): send()
    if kind in ("PULL", "SUB", "REQ"): receive()
# A SUB would wait for a publisher to unsubscribe at.
socket.close(0 if kind in ("SUB", "PULL") else None)
context.term()  # Waits for unsent messages.
`;

/** The messages: several parts, empty parts, bytes that are not text, and one long frame. */
const MESSAGES: Buffer[][] = [
  ["a", "", "b"],
  [""],
  ["", ""],
  ["text"],
  ["ü", "x".repeat(255), "y".repeat(256), "z".repeat(100_000)],
].map((frames) => frames.map((frame) => Buffer.from(frame)));
MESSAGES.push([Buffer.from([0xff, 0, 0x0a]), Buffer.from([0xc3])]);

const records = MESSAGES.map((frames) =>
  JSON.stringify({ parts_base64: frames.map((frame) => frame.toString("base64")) }) + "\n"
).join("");
const peerLines = MESSAGES.map((frames) =>
  JSON.stringify(frames.map((frame) => frame.toString("base64"))) + "\n"
)
  .join("");

interface JsonRecord {
  topic?: string;
  topic_base64?: string;
  body?: string;
  body_base64?: string;
  parts?: string[];
  parts_base64?: string[];
}

/** The frames of a printed record. */
function framesOf(line: string): Buffer[] {
  const record: JsonRecord = JSON.parse(line);
  const one = (text?: string, base64?: string) =>
    text !== undefined ? [Buffer.from(text)] : base64 !== undefined ? [Buffer.from(base64, "base64")] : [];
  return [
    ...one(record.topic, record.topic_base64),
    ...one(record.body, record.body_base64),
    ...record.parts?.map((part) => Buffer.from(part)) ?? [],
    ...record.parts_base64?.map((part) => Buffer.from(part, "base64")) ?? [],
  ];
}

const linesOf = (text: string) => text.trimEnd().split("\n");
const decoded = (line: string) => (JSON.parse(line) as string[]).map((frame) => Buffer.from(frame, "base64"));

/** Runs both ends in both roles over each transport; the end that binds starts first. */
async function eachWay(
  run: (ours: (args: string[]) => Program, theirs: (kind: string) => Program) => Promise<void>,
) {
  using dir = tempDir();
  const ways = ["tcp", "ipc"].flatMap((transport) => [true, false].map((weBind) => ({ transport, weBind })));
  await Promise.all(ways.map(async ({ transport, weBind }) => await pair(dir, transport, weBind, run)));
}

async function pair(
  dir: TempDir,
  transport: string,
  weBind: boolean,
  run: (ours: (args: string[]) => Program, theirs: (kind: string) => Program) => Promise<void>,
): Promise<void> {
  // Both ends need the endpoint before the other one runs.
  const endpoint = transport === "ipc"
    ? `ipc://${dir.file(`${weBind}`)}`
    : `tcp://127.0.0.1:${await freePort()}`;
  const programs: Program[] = [];
  const ours = (args: string[]) => {
    const program = start([...args, `${weBind ? "@" : ">"}${endpoint}`], { stdin: records });
    programs.push(program);
    return program;
  };
  const theirs = (kind: string) => {
    const args = [PYTHON, "-c", PEER, kind, weBind ? "connect" : "bind", endpoint, `${MESSAGES.length}`];
    const program = new Program(args, { stdin: peerLines }, ["pyzmq", kind, endpoint]);
    programs.push(program);
    return program;
  };
  try {
    await run(ours, theirs);
  } finally {
    for (const program of programs) program[Symbol.dispose]();
  }
}

describe("pyzmq", () => {
  for (const [command, kind] of [["push", "PULL"], ["pub", "SUB"]] as const) {
    it(`${command} - sends every frame to a ${kind}`, async () => {
      await eachWay(async (ours, theirs) => {
        const [sender, receiver] = [ours([command, "-J"]), theirs(kind)];
        const { code, stdout, stderr } = await receiver.exit();
        assert.equal(code, 0, stderr);
        assert.deepEqual(linesOf(stdout.toString()).map(decoded), MESSAGES);
        assert.equal((await sender.exit()).code, 0);
      });
    });
  }

  for (const [command, kind] of [["pull", "PUSH"], ["sub", "XPUB"]] as const) {
    it(`${command} - receives every frame of a ${kind}`, async () => {
      await eachWay(async (ours, theirs) => {
        const [receiver, sender] = [ours([command, "-J", "-n", `${MESSAGES.length}`]), theirs(kind)];
        const { code, stdout, stderr } = await receiver.exit();
        assert.equal(code, 0, stderr);
        assert.deepEqual(linesOf(stdout.toString()).map(framesOf), MESSAGES);
        assert.equal((await sender.exit()).code, 0);
      });
    });
  }

  it("req - a REP echoes every frame", async () => {
    await eachWay(async (ours, theirs) => {
      const [req, rep] = [ours(["req", "-J"]), theirs("REP")];
      const { code, stdout, stderr } = await req.exit();
      assert.equal(code, 0, stderr);
      assert.deepEqual(linesOf(stdout.toString()).map(framesOf), MESSAGES);
      assert.deepEqual(linesOf((await rep.exit()).stdout.toString()).map(decoded), MESSAGES);
    });
  });

  it("rep - answers a REQ, by --echo and by -J", async () => {
    await eachWay(async (ours, theirs) => {
      const [rep, req] = [ours(["rep", "--echo", "-n", `${MESSAGES.length}`]), theirs("REQ")];
      const { code, stdout, stderr } = await req.exit();
      assert.equal(code, 0, stderr);
      assert.deepEqual(linesOf(stdout.toString()).map(decoded), MESSAGES);
      assert.equal((await rep.exit()).code, 0);
    });
    await eachWay(async (ours, theirs) => {
      const [rep, req] = [ours(["rep", "-J", "-n", `${MESSAGES.length}`]), theirs("REQ")];
      assert.deepEqual(linesOf((await req.exit()).stdout.toString()).map(decoded), MESSAGES);
      const { code, stdout } = await rep.exit();
      assert.equal(code, 0);
      assert.deepEqual(linesOf(stdout.toString()).map(framesOf), MESSAGES);
    });
  });
});
