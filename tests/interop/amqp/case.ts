/** The cases of the behaviour suite, and how they run against a server. */
import { messageOf } from "../../../lib/errors.ts";
import { type LoginOptions, Peer, type PeerChannel } from "./peer.ts";
import {
  type Case as OracleCase,
  cases as oracleCases,
  type Script as OracleScript,
} from "../oracle/cases.ts";
import { transcriptOf } from "./transcript.ts";

export type { Difference } from "../oracle/compare.ts";

/** A server that cases run against. */
export interface Target {
  readonly name: string;
  /** `amqp://host:port`. */
  readonly url: string;
}

export type Script = OracleScript<Session>;
export type Case = OracleCase<Session>;
/** Makes the cases of one concern. */
export const cases = oracleCases<Session>;

/** One run of a case: its connections and names. */
export class Session {
  readonly peers: Peer[] = [];
  readonly nonce: string;
  readonly target: Target;
  /** Additional lines of the script for the comparison. */
  readonly notes: string[] = [];

  constructor(target: Target) {
    this.target = target;
    this.nonce = `${crypto.randomUUID().slice(0, 8)}.`;
  }

  /** Makes a name unique to this run. The transcript shows the original name. */
  name(name: string): string {
    return this.nonce + name;
  }

  /** Opens another connection and logs in. */
  async connect(options: LoginOptions = {}): Promise<Peer> {
    const peer = await Peer.open(this.target.url, options);
    this.peers.push(peer);
    return peer;
  }

  /** Opens another connection without a handshake. */
  async dial(): Promise<Peer> {
    const peer = await Peer.dial(this.target.url);
    this.peers.push(peer);
    return peer;
  }

  /** Opens a channel on a new connection. */
  async channel(options: LoginOptions = {}): Promise<PeerChannel> {
    return await (await this.connect(options)).channel();
  }

  note(text: string): void {
    this.notes.push(text);
  }
}

/** Runs a case. @returns the transcript of the server's responses */
export async function run({ name, script }: Case, target: Target): Promise<string[]> {
  const session = new Session(target);
  try {
    await script(session);
    for (const peer of session.peers) await settle(peer);
    return [...transcriptOf(session.peers, session.nonce), ...session.notes];
  } catch (error) {
    const said = transcriptOf(session.peers, session.nonce).map((line) => `  ${line}`).join("\n");
    throw new Error(`${target.name}, ${name}: ${messageOf(error)}\n${said}`, { cause: error });
  } finally {
    await Promise.all(session.peers.map((peer) => peer.close().catch(() => peer.cut())));
    await clean(session).catch(() => {});
  }
}

/** Waits until the server has sent all pending responses on each open channel. */
async function settle(peer: Peer): Promise<void> {
  if (!peer.over) { for (const channel of peer.channels.values()) await channel.settle(); }
}

/** Deletes the queues and exchanges that the script left. */
async function clean({ peers, target, nonce }: Session): Promise<void> {
  const declared = peers.flatMap((peer) => peer.declared);
  if (declared.length === 0) return;
  const peer = await Peer.open(target.url, {});
  const channel = await peer.channel();
  for (const { kind, name } of declared) {
    if (!name.startsWith(nonce) && !name.startsWith("amq.gen-")) continue;
    if (kind === "queue") await channel.call("queue.delete", { queue: name });
    else await channel.call("exchange.delete", { exchange: name });
  }
  await peer.close();
}
