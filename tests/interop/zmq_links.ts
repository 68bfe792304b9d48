/** The ways in which a socket of ours and one of libzmq can meet, and what every way must carry. */
import { tempDir } from "../support/helpers.ts";
import type { Frame, ZmqSocket } from "../support/zmq_peer.ts";

/** What of our socket a link needs. */
interface Ours {
  bind(endpoint: string): Promise<string>;
  connect(endpoint: string): void;
}

/** A transport and who binds it. */
export interface Link {
  readonly name: string;
  /** Binds one of the sockets and connects the other; gives the bound endpoint. */
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

/** What Debian's libzmq does not have, and that of npm's zeromq does. */
const WEB = ["ws", () => "ws://127.0.0.1:*/feed"] as const;

/**
 * Every transport, with either side bound.
 *
 * @param dir where the paths go; remove it in the end
 * @param web whether the peer knows `ws://`
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
        // libzmq binds addresses and no names.
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

/** Messages that must come through any link as they are. */
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

/** How many messages must keep their order. */
export const MANY = 10_000;
