// A peer on the zeromq package of npm. It supports a part of zmq_peer.py, with the same lines of JSON.
// Usage: node zmq_peer.mjs FOLDER, where FOLDER has the package in its node_modules.
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import process from "node:process";
import { createInterface } from "node:readline";

const require = createRequire(`${process.argv[2]}/`);
const zmq = require("zeromq");
const draft = require("zeromq/draft");

const CLASSES = {
  PUSH: zmq.Push,
  PULL: zmq.Pull,
  PUB: zmq.Publisher,
  SUB: zmq.Subscriber,
  XPUB: zmq.XPublisher,
  XSUB: zmq.XSubscriber,
  REQ: zmq.Request,
  REP: zmq.Reply,
  DEALER: zmq.Dealer,
  ROUTER: zmq.Router,
  RADIO: draft.Radio,
  DISH: draft.Dish,
  CLIENT: draft.Client,
  SERVER: draft.Server,
  PAIR: zmq.Pair,
};

/** libzmq's names of options, and the package's names. */
const OPTIONS = {
  CURVE_SERVER: "curveServer",
  CURVE_SERVERKEY: "curveServerKey",
  CURVE_PUBLICKEY: "curvePublicKey",
  CURVE_SECRETKEY: "curveSecretKey",
  PLAIN_SERVER: "plainServer",
  PLAIN_USERNAME: "plainUsername",
  PLAIN_PASSWORD: "plainPassword",
};

const sockets = new Map();

function toFrame(spec) {
  if (typeof spec === "string") return Buffer.from(spec, "hex");
  const bytes = Buffer.alloc(spec);
  for (let i = 0; i < spec; i++) bytes[i] = i & 255;
  return bytes;
}

function toText(frame) {
  if (frame.length <= 512) return frame.toString("hex");
  return `${frame.length}:${createHash("sha256").update(frame).digest("hex")}`;
}

/** The metadata of libzmq's messages is the first frame here: the group, or the routing id in four bytes. */
function send(socket, [first, ...rest]) {
  if (socket instanceof draft.Radio) return socket.send(rest[0], { group: first });
  if (socket instanceof draft.Server) return socket.send(rest[0], { routingId: first.readUInt32BE(0) });
  return socket.send([first, ...rest]);
}

async function receive(socket) {
  const received = await socket.receive();
  if (socket instanceof draft.Dish) return [received[1].group, received[0]];
  if (!(socket instanceof draft.Server)) return received;
  const id = Buffer.alloc(4);
  id.writeUInt32BE(received[1].routingId);
  return [id, received[0]];
}

const operations = {
  open(_, { type, options = {} }, name) {
    const given = Object.entries(options).map(([name, value]) => [
      OPTIONS[name],
      typeof value === "string" ? Buffer.from(value, "hex").toString() : value !== 0,
    ]);
    const socket = new CLASSES[type]({ linger: 0, reconnectInterval: 20, ...Object.fromEntries(given) });
    if ("receiveTimeout" in socket) socket.receiveTimeout = 10_000;
    sockets.set(name, socket);
  },
  async bind(socket, { endpoint }) {
    await socket.bind(endpoint);
    return socket.lastEndpoint;
  },
  connect: (socket, { endpoint }) => socket.connect(endpoint),
  option(socket, { name, value }) {
    if (name === "JOIN") return socket.join(Buffer.from(value, "hex"));
    if (name === "LEAVE") return socket.leave(Buffer.from(value, "hex"));
    if (name === "SUBSCRIBE") return socket.subscribe(Buffer.from(value, "hex"));
    if (name === "UNSUBSCRIBE") return socket.unsubscribe(Buffer.from(value, "hex"));
    throw new Error(`There is no option ${name} here`);
  },
  poke: (socket) => void socket.readable,
  send: (socket, { frames }) => send(socket, frames.map(toFrame)),
  recv: async (socket) => (await receive(socket)).map(toText),
  async blast(socket, { count, start = 0, pad = 0, head = [] }) {
    const before = head.map(toFrame);
    for (let i = start; i < start + count; i++) {
      await send(socket, [...before, Buffer.from(`${i}`.padEnd(pad))]);
    }
  },
  async collect(socket, { count }) {
    const numbers = [];
    while (numbers.length < count) numbers.push(Number((await receive(socket)).at(-1).toString()));
    return numbers;
  },
  async echo(socket, { count }) {
    for (let i = 0; i < count; i++) await send(socket, await receive(socket));
    return count;
  },
  close: (socket) => socket.close(),
};

// The calls of one socket run in order; those of different sockets run concurrently.
const turns = new Map();
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

async function work({ id, socket, op, args }) {
  try {
    say({ id, ok: (await operations[op](sockets.get(socket), args, socket)) ?? null });
  } catch (error) {
    say({ id, error: String(error) });
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const job = JSON.parse(line);
    turns.set(job.socket, (turns.get(job.socket) ?? Promise.resolve()).then(() => work(job)));
  })
  .on("close", () => process.exit());
say({ version: zmq.version });
