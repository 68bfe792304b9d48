/** The commands of the suite of faults, as data: their arguments, their messages, and where these may be afterwards. */
import type { FieldTable } from "../../../lib/amqp/types/field_value.ts";

/** The queues of one cell, and the addresses that its command is given. */
export interface Place {
  readonly queue: string;
  /** The second queue of commands that move messages. */
  readonly other: string;
  /** The URL of the cluster, one host or several. */
  readonly url: string;
}

/** A command of the suite. */
export interface Command {
  args(place: Place): string[];
  /** The number of messages that are in the queue before, or that the command is given. */
  readonly lines: number;
  /** Whether the lines are its input. Default: they are in the queue */
  readonly reads?: boolean;
  /** Whether the lines are published to an exchange while it runs: half of them before the fault, the others after it. */
  readonly subscribes?: boolean;
  /** The places of a message that is not lost. */
  readonly places: readonly ("queue" | "other" | "stdout")[];
  /** Whether the queue must be empty after exit code 0. */
  readonly empties?: boolean;
  /** The headers of the messages in the queue. */
  headers?(place: Place): FieldTable;
  /** A command at the other end. */
  peer?(place: Place): string[];
}

/** The exchange of subscribers. */
export const EXCHANGE = "amq.topic";

const at = ({ url }: Place) => ["--url", url];

/** All commands. Those that would end too early have a small window. */
export const COMMANDS = {
  put: {
    args: (place) => ["queue", "put", place.queue, ...at(place)],
    lines: 4000,
    reads: true,
    places: ["queue"],
  },
  get: {
    args: (place) => ["queue", "get", place.queue, "--drain", "--prefetch", "10", ...at(place)],
    lines: 2000,
    places: ["stdout", "queue"],
    empties: true,
  },
  exec: {
    args: (place) => ["queue", "get", place.queue, "--drain", "--exec", "cat", "-j", "2", ...at(place)],
    lines: 150,
    places: ["stdout", "queue"],
    empties: true,
  },
  move: {
    args: (place) => ["queue", "move", place.queue, place.other, "--prefetch", "10", ...at(place)],
    lines: 2000,
    places: ["queue", "other"],
    empties: true,
  },
  redrive: {
    args: (place) => ["queue", "redrive", place.queue, "--prefetch", "10", ...at(place)],
    lines: 2000,
    places: ["queue", "other"],
    empties: true,
    headers: ({ other }) => ({ "x-first-death-queue": other }),
  },
  peek: {
    args: (place) => ["queue", "peek", place.queue, "-n", "5", ...at(place)],
    lines: 20,
    places: ["queue"],
  },
  req: {
    args: ({ queue, url }) => ["req", `${url}//${queue}`, "-j", "4"],
    lines: 400,
    reads: true,
    places: ["stdout"],
    peer: ({ queue, url }) => ["rep", `${url}//${queue}`, "--echo"],
  },
  read: {
    args: (
      place,
    ) => ["queue", "get", place.queue, "--offset", "first", "-n", "2000", "--prefetch", "10", ...at(place)],
    lines: 2000,
    places: ["stdout"],
  },
  sub: {
    args: ({ queue, url }) => ["sub", `${url}//${EXCHANGE}`, "-t", queue, "-n", "200"],
    lines: 200,
    subscribes: true,
    places: ["stdout"],
  },
} as const satisfies Record<string, Command>;

/** The name of a command of the suite. */
export type CommandName = keyof typeof COMMANDS;
