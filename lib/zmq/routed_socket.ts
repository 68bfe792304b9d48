import { UnreachableError } from "../errors.ts";
import type { Batch } from "../zmtp/batch.ts";
import { preview } from "../zmtp/bytes.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { Duplex } from "./duplex.ts";
import type { SocketOptions } from "./options.ts";
import { type PeerEntry, PeerTable } from "./outgoing/peer_table.ts";
import type { Peer } from "./peer.ts";

/**
 * The base of ROUTER and SERVER. The first frame of every message, sent or received, is the routing id of the peer.
 *
 * @example Find the address of the peer that sent a message
 * ```ts
 * import { Dealer, Router } from "@mqcat/mqcat";
 *
 * await using router = new Router();
 * await using dealer = new Dealer({ identity: "worker 1" });
 * dealer.connect(await router.bind("tcp://127.0.0.1:0"));
 * await dealer.send("ready");
 * const [routingId] = await router.receive() ?? [];
 * console.assert(router.peer(routingId!)?.remote.startsWith("tcp://127.0.0.1:"));
 * ```
 */
export abstract class RoutedSocket extends Duplex {
  /** @ignore */
  protected readonly table: PeerTable = new PeerTable();
  readonly #mandatory: boolean;
  #dropped = 0;

  /**
   * Creates the socket.
   *
   * @param mandatory whether a message for an unknown peer is an error and a message for a full queue waits; otherwise
   * both are dropped
   * @ignore
   */
  constructor(type: "ROUTER" | "SERVER", options: SocketOptions, mandatory: boolean) {
    super(type, options);
    this.#mandatory = mandatory;
  }

  /** The number of dropped messages: no peer had the routing id, its queue was full, or it disconnected. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Finds a connected peer.
   *
   * @param routingId the routing id of the peer
   * @returns the peer, or undefined if no connected peer has the routing id
   */
  peer(routingId: Uint8Array): Peer | undefined {
    return this.table.find(routingId)?.connection;
  }

  /**
   * Queues the messages that there is room for; see {@link Sender.sendBatch}. When a message is invalid, the messages
   * before it are queued and the error is thrown when it is the first of the call.
   *
   * @param batch the messages; the first frame of each is a routing id
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   * @throws {UnreachableError} the socket is mandatory and no peer has the routing id of the message at `from`
   * @throws {RangeError} the message at `from` has too few or too many frames
   */
  sendBatch(batch: Batch, from = 0): number {
    const { starts, ends, bytes, frames } = batch;
    const begin = from;
    while (from < frames) {
      const end = batch.messageEnd(from);
      const problem = this.check(batch, from, end);
      if (problem !== undefined) {
        if (from > begin) break; // First report what was queued.
        throw problem;
      }
      const entry = this.table.find(bytes, starts[from]!, ends[from]!);
      if (entry === undefined) {
        if (this.#mandatory && from > begin) break;
        this.#refuse(batch.frame(from));
      } else if (entry.connection.outbox.room > 0) this.table.append(entry, batch, from + 1, end);
      else if (this.#mandatory) break;
      else this.#drop(entry);
      from = end;
    }
    this.table.flush();
    return from;
  }

  /** @ignore */
  protected override onBatch(from: ZmtpConnection, batch: Batch): void {
    const entry = this.table.of(from);
    if (entry !== undefined) this.deliver(from, this.table.label(entry, batch));
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.table.remove(connection);
    // No other peer can receive them. The rest at the time of `close` is counted there.
    if (this.open) this.#dropped += connection.reclaim().messages;
  }

  /**
   * Checks the message `[from, to)`, routing id included.
   *
   * @ignore
   */
  protected check(_batch: Batch, from: number, to: number): Error | undefined {
    return to > from + 1 ? undefined : new RangeError(
      `Cannot send a ${this.type} message of one frame: expected a routing id and at least one more frame`,
    );
  }

  #refuse(id: Uint8Array): void {
    if (this.#mandatory) {
      throw new UnreachableError(`Cannot send as no peer has the routing id ${preview(id)}`);
    }
    this.#dropped++;
    this.options.onEvent({ type: "unroutable", routingId: id.slice() });
  }

  #drop(entry: PeerEntry): void {
    this.#dropped++;
    if (!entry.dropping) this.options.onEvent({ type: "dropping", endpoint: entry.connection.remote });
    entry.dropping = true;
  }
}
