/** What a case of the behaviour suite is, and how one is run against a server. */
import { messageOf } from "../../../lib/errors.ts";
import { type LoginOptions, Peer, type PeerChannel } from "./peer.ts";
import { transcriptOf } from "./transcript.ts";

/** A server that cases run against. */
export interface Target {
  readonly name: string;
  /** `amqp://host:port`. */
  readonly url: string;
}

/** A script: it talks to the server, and what the server says is compared. */
export type Script = (on: Session) => Promise<void>;

/** Where our broker differs from RabbitMQ on purpose; lib/broker/README.md lists the reasons. */
export interface Difference {
  readonly why: string;
  /** What only RabbitMQ says: it must be found, and is taken out of the lines before they are compared. */
  readonly rabbit?: RegExp;
  /** The same of ours. */
  readonly ours?: RegExp;
}

export interface Case {
  readonly name: string;
  readonly script: Script;
  readonly differences: readonly Difference[];
}

/**
 * The cases of one concern.
 *
 * @param scripts by the name of the case; with differences as `[script, difference…]`
 */
export function cases(
  concern: string,
  scripts: Readonly<Record<string, Script | readonly [Script, ...Difference[]]>>,
): Case[] {
  return Object.entries(scripts).map(([name, entry]) => {
    const [script, ...differences] = typeof entry === "function" ? [entry] : entry;
    return { name: `${concern} - ${name}`, script, differences };
  });
}

/** One run of a case: its connections and its names. */
export class Session {
  readonly peers: Peer[] = [];
  readonly nonce: string;
  readonly target: Target;
  /** What the script itself found worth comparing. */
  readonly notes: string[] = [];

  constructor(target: Target) {
    this.target = target;
    this.nonce = `${crypto.randomUUID().slice(0, 8)}.`;
  }

  /** A name that only this run has; in the transcript it is as given. */
  name(name: string): string {
    return this.nonce + name;
  }

  /** Another connection, logged in. */
  async connect(options: LoginOptions = {}): Promise<Peer> {
    const peer = await Peer.open(this.target.url, options);
    this.peers.push(peer);
    return peer;
  }

  /** Another connection, on which nothing was said yet. */
  async dial(): Promise<Peer> {
    const peer = await Peer.dial(this.target.url);
    this.peers.push(peer);
    return peer;
  }

  /** A channel on a connection of its own. */
  async channel(options: LoginOptions = {}): Promise<PeerChannel> {
    return await (await this.connect(options)).channel();
  }

  note(text: string): void {
    this.notes.push(text);
  }
}

/** Runs a case, and gives what the server said. */
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

/** Waits until each open channel has said what it had to say. */
async function settle(peer: Peer): Promise<void> {
  if (!peer.over) { for (const channel of peer.channels.values()) await channel.settle(); }
}

/** Deletes what the script declared and left behind. */
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
