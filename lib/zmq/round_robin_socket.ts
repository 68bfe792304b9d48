import type { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { Duplex } from "./duplex.ts";
import { RoundRobin } from "./outgoing/round_robin.ts";

/**
 * The base of DEALER, PAIR and CLIENT: it distributes messages to its peers in turn, and receives from all of them.
 *
 * @example Distribute requests to two services
 * ```ts
 * import { Dealer, Rep, type RoundRobinSocket } from "@mqcat/mqcat";
 *
 * await using dealer = new Dealer();
 * await using first = new Rep();
 * await using second = new Rep();
 * const client: RoundRobinSocket = dealer;
 * client.connect(await first.bind("tcp://127.0.0.1:0"));
 * client.connect(await second.bind("tcp://127.0.0.1:0"));
 * while (client.peers < 2) await client.change();
 * await client.send(["", "one"]);
 * await client.send(["", "two"]);
 * console.assert((await first.receive()) !== undefined);
 * console.assert((await second.receive()) !== undefined);
 * ```
 */
export abstract class RoundRobinSocket extends Duplex {
  readonly #roundRobin = new RoundRobin();

  /**
   * Queues as many whole messages as there is room for, in turn for each peer; see {@link Sender.sendBatch}.
   *
   * @param batch the messages
   * @param from the first frame to send. Default: 0
   * @returns the first frame that was not queued, or `batch.frames`
   */
  sendBatch(batch: Batch, from = 0): number {
    return this.#roundRobin.send(batch, from);
  }

  /** The number of messages that the operating system has not accepted, those of disconnected peers included. */
  override get unsent(): number {
    return super.unsent + this.#roundRobin.returned;
  }

  /** @ignore */
  protected override onAttach(connection: ZmtpConnection): void {
    this.#roundRobin.add(connection);
  }

  /** @ignore */
  protected override onDetach(connection: ZmtpConnection): void {
    this.#roundRobin.remove(connection);
  }

  /** @ignore */
  protected override onWritable(connection: ZmtpConnection): void {
    this.#roundRobin.onWritable();
    super.onWritable(connection);
  }
}
