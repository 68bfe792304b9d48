/**
 * A connected peer of a socket, as an identity: it is the same object in every call until the peer disconnects.
 *
 * @example Count the messages of each peer
 * ```ts
 * import { type Peer, Pull, Push } from "@mqcat/mqcat";
 *
 * const counts = new Map<Peer, number>();
 * await using pull = new Pull();
 * pull.consume((batch, peer) => counts.set(peer, (counts.get(peer) ?? 0) + batch.messages));
 * await using push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("work");
 * while (counts.size === 0) await new Promise((resolve) => setTimeout(resolve, 1));
 * console.assert([...counts.values()][0] === 1);
 * ```
 */
export interface Peer {
  /** The peer's address, in the form of an endpoint. */
  readonly remote: string;
}
