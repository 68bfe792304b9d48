import fs from "node:fs";
import type { Duplex } from "../../lib/zmq/duplex.ts";
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Values } from "../app/command.ts";
import { open, planEndpoints } from "../options/endpoints.ts";
import type { Source } from "../io/input.ts";
import type { conversing } from "../options/options.ts";
import { repeats } from "../io/pacer.ts";
import { receiveAll, styleOf } from "./receive.ts";
import type { RecordStyle } from "../records/writer.ts";
import { type Awaited, sendAll, type SendingOptions, tellDropped } from "./send.ts";
import { Session } from "../app/session.ts";
import { socketOptions } from "../options/socket_options.ts";
import { sourceOf } from "../io/source.ts";

/** What is particular to one command's conversation. */
export interface Particulars<S extends Duplex> {
  /** What the command does with endpoints that have no sign. */
  readonly usual: "bind" | "connect";
  socket(options: SocketOptions): S;
  /** Whom to wait for before the first message; as many peers as `--wait-peers` says, unless told. */
  awaited?(socket: S): Awaited;
  /** What the sending does when nothing is taken, if that is not what `--on-full` says. */
  readonly onFull?: "block" | "fail";
  /** Whether the end of the input ends nothing. */
  readonly listens?: boolean;
  /** How many messages the socket dropped, and for whom. */
  dropped?(socket: S): [count: number, forWhom: string];
  /** The first frame is a routing id: the way from and to text. */
  routing?(socket: S, session: Session): Routed;
}

/** How messages with a routing id are written and read. */
export interface Routed {
  readonly style: RecordStyle["routing"];
  source(source: Source): Source;
}

/** Runs a command that sends stdin and prints what comes; see `converse`. */
export function conversation<S extends Duplex>(
  name: string,
  values: Values<typeof conversing>,
  operands: readonly string[],
  particulars: Particulars<S>,
): Promise<number> {
  const plan = planEndpoints(name, particulars.usual, values, operands);
  const input = sourceOf(values, repeats(values), { routed: particulars.routing !== undefined });
  const session = new Session(name, values);
  const plain = styleOf(session, values, false);
  return session.run(async () => {
    const socket = particulars.socket({ ...socketOptions(session, values), hwm: values.hwm });
    const routed = particulars.routing?.(socket, session);
    const isText = plain.framing !== "json";
    const source = routed === undefined || !isText ? input : routed.source(input);
    const style = { ...plain, routing: routed?.style };
    const awaited = particulars.awaited?.(socket) ?? {
      wanted: values.waitPeers ?? 0,
      count: () => socket.peers,
      asked: values.waitPeers !== undefined,
    };
    const onFull = particulars.onFull ?? values.onFull;
    const opened = () => open(session, socket, plan);
    try {
      await converse(
        session,
        socket,
        source,
        style,
        { ...values, onFull },
        awaited,
        opened,
        particulars.listens,
      );
    } finally {
      if (particulars.dropped !== undefined) tellDropped(session, ...particulars.dropped(socket));
    }
  });
}

/** What the options of a command say that sends and receives; times are in milliseconds. */
export interface ConversingOptions extends Omit<SendingOptions, "count"> {
  /** How many messages to receive. */
  readonly count: number | undefined;
  readonly transient: boolean | undefined;
  readonly data: readonly string[];
  readonly file: readonly string[];
}

/**
 * Sends what a source gives and writes what comes, both at once. When the source ends, so does the conversation, unless
 * somebody waits for what is still to come: `-n` messages, for so long as `-w`, or until the peers are gone
 * (`--transient`). An input from /dev/null, which a shell gives to a command in the background, is none: then this only
 * receives.
 *
 * @param opened opens the socket, once there is somebody to take what comes
 * @param listens whether the end of the source ends nothing
 */
async function converse(
  session: Session,
  socket: Duplex,
  source: Source,
  style: RecordStyle,
  options: ConversingOptions,
  awaited: Awaited,
  opened: () => Promise<void>,
  listens = false,
): Promise<void> {
  const { count, timeout, transient, data, file } = options;
  const mute = data.length + file.length === 0 && isNull(0);
  const waits = listens || mute || transient || count !== undefined || timeout !== undefined;
  let sent = false;
  const receiving = receiveAll(
    session,
    socket,
    style,
    { count, timeout, transient, exec: undefined, jobs: undefined },
    { done: () => sent && !waits },
  );
  // Whatever ends the receiving ends the sending: the count is reached, nothing came, nobody reads stdout.
  receiving.catch(() => {}).then(() => source.cancel());
  await opened();
  await sendAll(
    session,
    socket,
    source,
    { ...options, count: undefined },
    awaited,
    () => {
      sent = true;
      socket.wake();
      return receiving;
    },
  );
}

function isNull(fd: number): boolean {
  try {
    return fs.fstatSync(fd).rdev === fs.statSync("/dev/null").rdev && fs.fstatSync(fd).isCharacterDevice();
  } catch {
    return false;
  }
}
