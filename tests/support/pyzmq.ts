/** pyzmq, ZeroMQ's library for Python, as the other end of tests. */
import { spawnSync } from "node:child_process";
import { PATIENCE, Program } from "./mqcat.ts";

const PYTHON = "/usr/bin/python3";

/** Whether pyzmq is installed. */
export const hasPyzmq: boolean = spawnSync(PYTHON, ["-c", "import zmq"], { stdio: "ignore" }).status === 0;

/** A socket that connects. Messages are lines of JSON on stdin and stdout: lists of frames. */
const PEER = `
import json, sys, zmq
kind, endpoint, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = zmq.Context()
socket = context.socket(getattr(zmq, kind))
socket.linger = socket.rcvtimeo = socket.sndtimeo = ${2 * PATIENCE}
if kind == "SUB": socket.subscribe(b"")
socket.connect(endpoint)
print("connecting", file=sys.stderr, flush=True)
if kind == "XPUB": socket.recv()  # A subscription.
if kind in ("PUSH", "XPUB"):
    for line in sys.stdin: socket.send_multipart([frame.encode() for frame in json.loads(line)])
else:
    for _ in range(count):
        print(json.dumps([frame.decode() for frame in socket.recv_multipart()]), flush=True)
    socket.linger = 0
socket.close()
context.term()
`;

/** Sends messages, lists of frames, from a PUSH socket, or from an XPUB socket after its first subscription. */
export function zmqSender(kind: "PUSH" | "XPUB", endpoint: string, messages: readonly string[][]): Program {
  const stdin = messages.map((frames) => `${JSON.stringify(frames)}\n`).join("");
  return new Program([PYTHON, "-c", PEER, kind, endpoint, "0"], { stdin });
}

/** Receives messages with a PULL or SUB socket; `framesOf` reads its output. */
export function zmqReceiver(kind: "PULL" | "SUB", endpoint: string, count: number): Program {
  return new Program([PYTHON, "-c", PEER, kind, endpoint, String(count)], {});
}

/** The messages that a receiver has printed so far. */
export function framesOf(receiver: Program): string[][] {
  return receiver.text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}
