/** The transports between our sockets and libzmq's, and the messages that each one must carry. */
import assert from "node:assert/strict";
import { tempDir } from "../support/helpers.ts";
import { numbers } from "../support/sockets.ts";
import { asPrinted, bytesOf, type Frame, type ZmqSocket } from "../support/zmq_peer.ts";

/** The methods of our socket that a link needs. */
interface Ours {
  bind(endpoint: string): Promise<string>;
  connect(endpoint: string): void;
}

/** A transport, and the side that binds. */
export interface Link {
  readonly name: string;
  /** Binds one socket and connects the other; returns the bound endpoint. */
  join(ours: Ours, theirs: ZmqSocket): Promise<string>;
}

let names = 0;

const transports: readonly (readonly [name: string, endpoint: (dir: string) => string])[] = [
  ["tcp", () => "tcp://127.0.0.1:0"],
  ["tcp by name", () => "tcp://localhost:0"],
  ["tcp IPv6", () => "tcp://[::1]:0"],
  ["ipc", (dir) => `ipc://${dir}/s${++names}`],
  ["ipc abstract", () => `ipc://@mqcat-test-${crypto.randomUUID()}`],
];

/** Transports that Debian's libzmq does not have, and the libzmq of npm's zeromq has. */
const WEB = ["ws", () => "ws://127.0.0.1:*/feed"] as const;

/**
 * Every transport, with either side bound.
 *
 * @param dir the folder of the socket paths; the caller removes it
 * @param web whether the peer supports `ws://`
 */
export function links(dir: string, web = false): Link[] {
  return (web ? [...transports, WEB] : transports).flatMap(([name, endpoint]) => [
    {
      name: `${name}, we bind`,
      async join(ours: Ours, theirs: ZmqSocket) {
        const bound = await ours.bind(endpoint(dir));
        await theirs.connect(bound);
        return bound;
      },
    },
    {
      name: `${name}, we connect`,
      async join(ours: Ours, theirs: ZmqSocket) {
        const wanted = endpoint(dir);
        // libzmq binds addresses only, not host names.
        const bound = await theirs.bind(wanted.replace("localhost", "127.0.0.1"));
        ours.connect(wanted.includes("localhost") ? bound.replace("127.0.0.1", "localhost") : bound);
        return bound;
      },
    },
  ]);
}

/** A folder for the socket files of one test file. */
export const linksDir = tempDir;

const ALL_VALUES = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0")).join("");

/** Messages that any link must carry unchanged. */
export const MESSAGES: readonly (readonly Frame[])[] = [
  [""],
  ["6869"],
  [ALL_VALUES],
  ["", ""],
  ["61", "", "62", "", ""],
  ["", "", "61"],
  [255],
  [256],
  [65_535],
  [65_536],
  [5_000_000],
  [256, "", 70_000, "00", 5],
];

/** The number of messages in the tests of order. */
export const MANY = 10_000;

/** Our socket sends each message, and then many: they arrive unchanged and in order. */
export async function checkSending(
  ours: { send(frames: string | Uint8Array[]): Promise<void> },
  theirs: ZmqSocket,
): Promise<void> {
  for (const message of MESSAGES) {
    const frames = message.map(bytesOf);
    await ours.send(frames);
    assert.deepEqual(await theirs.recv(), asPrinted(frames));
  }
  const collected = theirs.collect(MANY);
  for (let i = 0; i < MANY; i++) await ours.send(`${i}`);
  assert.deepEqual(await collected, numbers(MANY));
}

/** The same in the other direction. */
export async function checkReceiving(
  ours: { receive(): Promise<Uint8Array[] | undefined> },
  theirs: ZmqSocket,
): Promise<void> {
  for (const message of MESSAGES) {
    await theirs.send(...message);
    assert.deepEqual(asPrinted(await ours.receive()), asPrinted(message.map(bytesOf)));
  }
  const sent = theirs.blast(MANY);
  for (let i = 0; i < MANY; i++) {
    const [frame, ...more] = await ours.receive() ?? [];
    assert.deepEqual([new TextDecoder().decode(frame), more], [`${i}`, []]);
  }
  await sent;
}
