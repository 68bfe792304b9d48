import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";
import { RoundRobin } from "../outgoing/round_robin.ts";
import { Sender } from "../sender.ts";

/**
 * PUSH (RFC 30): distributes messages to PULL peers in turn. `send` waits while there is no peer or the queues of all
 * peers are full. Messages left unsent by a disconnected peer are redistributed.
 *
 * Inherited: `bind`, `connect`, `unbind`, `disconnect`, `close` from {@link Socket}; `send` and
 * `sendBatch` from {@link Sender}.
 *
 * @example A pipeline in one process
 * ```ts
 * import { Pull, Push } from "@mqcat/mqcat";
 *
 * await using pull = new Pull();
 * await using push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("work");
 * const [frame] = await pull.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "work");
 * ```
 */
export class Push extends Sender {
  readonly #roundRobin = new RoundRobin();

  /**
   * Creates the socket.
   *
   * @param options the options of the socket. Default: none
   * @throws {RangeError} an option is out of its range
   */
  constructor(options: SocketOptions = {}) {
    super("PUSH", options);
  }

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
