/** The cases of the STOMP behaviour suite, and how they run against a server. */
import { messageOf } from "../../../lib/errors.ts";
import type { StompVersion } from "../../../lib/stomp/frame.ts";
import { type Headers, StompPeer } from "../../support/stomp_peer.ts";
import { type LoginOptions, Peer, type PeerChannel } from "../amqp/peer.ts";
import {
  type Case as OracleCase,
  cases as oracleCases,
  type Script as OracleScript,
} from "../oracle/cases.ts";
import { isRefused, transcriptOf } from "./transcript.ts";

/** A server that cases run against. */
export interface Target {
  readonly name: string;
  /** `amqp://host:port`. */
  readonly url: string;
  /** `stomp://host:port`. */
  readonly stomp: string;
}

export type Script = OracleScript<Session>;
export type Case = OracleCase<Session>;
/** Makes the cases of one concern. */
export const cases = oracleCases<Session>;

/** One run of a case: its connections and names. */
export class Session {
  readonly target: Target;
  readonly nonce: string;
  /** Additional lines of the script for the comparison. */
  readonly notes: string[] = [];
  readonly peers: StompPeer[] = [];
  readonly amqpPeers: Peer[] = [];
  readonly #names = new Set<string>();

  constructor(target: Target) {
    this.target = target;
    this.nonce = `${crypto.randomUUID().slice(0, 8)}.`;
  }

  /** A name of a queue or an exchange that no other run uses; it is deleted at the end. */
  name(text: string): string {
    const name = `${this.nonce}${text}`;
    this.#names.add(name);
    return name;
  }

  /** Connects and logs in; the transcript does not show CONNECTED. */
  async connect(version: StompVersion = "1.2", headers: Headers = {}): Promise<StompPeer> {
    const peer = await StompPeer.open(this.target.stomp, version, headers);
    peer.received.length = 0;
    this.peers.push(peer);
    return peer;
  }

  /** Connects without a login. */
  async dial(version: StompVersion = "1.2"): Promise<StompPeer> {
    const peer = await StompPeer.dial(this.target.stomp, version);
    this.peers.push(peer);
    return peer;
  }

  /** Connects, sends a frame that is refused, and waits for the ERROR frame. */
  async refused(command: string, headers: Headers = {}, version: StompVersion = "1.2"): Promise<void> {
    const peer = await this.connect(version);
    peer.send(command, headers);
    await peer.take("ERROR");
  }

  /** Opens an AMQP channel on a new connection. */
  async amqp(options: LoginOptions = {}): Promise<PeerChannel> {
    const peer = await Peer.open(this.target.url, options);
    this.amqpPeers.push(peer);
    return await peer.channel();
  }

  note(text: string): void {
    this.notes.push(text);
  }

  /** Ends all connections and deletes what was declared. */
  async clean(): Promise<void> {
    for (const peer of this.peers) peer.cut();
    await Promise.all(this.amqpPeers.map((peer) => peer.close().catch(() => peer.cut())));
    const peer = await Peer.open(this.target.url, {});
    const channel = await peer.channel();
    for (const name of this.#names) {
      await channel.call("queue.delete", { queue: name });
      await channel.call("exchange.delete", { exchange: name });
    }
    await peer.close();
  }
}

/** Runs a case. @returns the transcript of the server's responses */
export async function run({ name, script }: Case, target: Target): Promise<string[]> {
  const session = new Session(target);
  try {
    await script(session);
    // After an ERROR frame, the specification allows nothing else, and RabbitMQ may keep the connection open.
    await Promise.all(session.peers.map((peer) => isRefused(peer) ? peer.cut() : peer.close()));
    return transcriptOf(session);
  } catch (error) {
    const said = transcriptOf(session).map((line) => `  ${line}`).join("\n");
    throw new Error(`${target.name}, ${name}: ${messageOf(error)}\n${said}`, { cause: error });
  } finally {
    await session.clean().catch(() => {});
  }
}
