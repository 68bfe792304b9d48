import fs from "node:fs";
import type { Duplex } from "../../lib/zmq/duplex.ts";
import type { SocketOptions } from "../../lib/zmq/options.ts";
import type { Invocation } from "../app/command.ts";
import type { Session } from "../app/session.ts";
import { reportDropped } from "../app/tally.ts";
import type { Source } from "../io/input.ts";
import { repeats } from "../io/pacer.ts";
import { sourceOf } from "../io/source.ts";
import { planEndpoints } from "../options/endpoints.ts";
import type { conversing } from "../options/options.ts";
import { type RecordStyle, styleOf } from "../records/writer.ts";
import { receiveAll } from "./receive.ts";
import { sendAll, type SendingOptions } from "./send.ts";
import { open, peersOf, type PeerWait, socketOptions } from "./socket.ts";

/** The differences between the commands that send and receive at the same time. */
export interface ConversationSpec<S extends Duplex> {
  /** Whether endpoints without a sign bind or connect. */
  readonly usual: "bind" | "connect";
  socket(options: SocketOptions): S;
  /** The peers to wait for before the first message. Default: the number of `--wait-peers`. */
  awaited?(socket: S): PeerWait;
  /** The behaviour when no peer has room. Default: the value of `--on-full`. */
  readonly onFull?: "block" | "fail";
  /** Whether the command continues after the end of the input. */
  readonly listens?: boolean;
  /** How many messages the socket dropped, and who should have received them. */
  dropped?(socket: S): [count: number, recipients: string];
  /** Set if the first frame is a routing id: how it is read and written. */
  routing?(socket: S): Routed;
}

/** The text form of messages with a routing id. */
export interface Routed {
  readonly style: RecordStyle["routing"];
  source(source: Source): Source;
}

/** Runs a command that sends stdin and prints received messages; see `converse`. */
export async function conversation<S extends Duplex>(
  { session, values, operands }: Invocation<typeof conversing>,
  spec: ConversationSpec<S>,
): Promise<void> {
  const plan = planEndpoints(session.command, spec.usual, values, operands);
  const input = sourceOf(session, values, repeats(values), { routed: spec.routing !== undefined });
  const plain = styleOf(session, values, false);
  const socket = spec.socket({ ...await socketOptions(session, values), hwm: values.hwm });
  const routed = spec.routing?.(socket);
  const isText = plain.framing !== "json";
  const source = routed === undefined || !isText ? input : routed.source(input);
  const style = { ...plain, routing: routed?.style };
  const awaited = spec.awaited?.(socket) ?? peersOf(socket, values.waitPeers);
  const onFull = spec.onFull ?? values.onFull;
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
      spec.listens,
    );
  } finally {
    if (spec.dropped !== undefined) reportDropped(session, ...spec.dropped(socket));
  }
}

/** The values of the options of a command that sends and receives; times are in milliseconds. */
export interface ConversingOptions extends Omit<SendingOptions, "count"> {
  /** How many messages to receive. */
  readonly count: number | undefined;
  readonly transient: boolean | undefined;
  readonly data: readonly string[];
  readonly file: readonly string[];
}

/**
 * Sends the messages of a source and writes received ones, at the same time. When the source ends, the conversation
 * ends, unless an option waits for more messages: `-n`, `-w`, or `--transient`, which waits until the peers are gone.
 * With input from /dev/null, which a shell gives to a background command, it only receives.
 *
 * @param opened opens the socket, after the receiver is attached
 * @param listens whether the conversation continues after the end of the source
 */
async function converse(
  session: Session,
  socket: Duplex,
  source: Source,
  style: RecordStyle,
  options: ConversingOptions,
  awaited: PeerWait,
  opened: () => Promise<void>,
  listens = false,
): Promise<void> {
  const { count, timeout, transient, data, file } = options;
  const mute = data.length + file.length === 0 && isNull(0);
  const waits = listens || mute || transient || count !== undefined || timeout !== undefined;
  let sent = false;
  let failed = false;
  const receiving = receiveAll(
    session,
    socket,
    style,
    { count, timeout, transient, exec: undefined, jobs: undefined },
    { done: () => failed || sent && !waits },
  );
  // The sending ends with the receiving: the count is reached, a timeout has passed, or stdout is closed.
  receiving.catch(() => {}).then(() => source.cancel());
  await opened();
  try {
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
  } catch (error) {
    // Messages that were received before the failure are printed.
    failed = true;
    socket.wake();
    await receiving.catch(() => {});
    throw error;
  }
}

function isNull(fd: number): boolean {
  try {
    return fs.fstatSync(fd).rdev === fs.statSync("/dev/null").rdev && fs.fstatSync(fd).isCharacterDevice();
  } catch {
    return false;
  }
}
