import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";
import type { SocketOptions } from "../options.ts";
import { RoundRobin } from "../outgoing/round_robin.ts";
import { Sender } from "../sender.ts";

/**
 * PUSH (RFC 30): deals messages out to PULL peers. Nothing is queued for a peer that is not there: `send` waits.
 *
 * @example A pipeline in one process
 * ```ts
 * import { Pull, Push } from "../../../mod.ts";
 * const pull = new Pull();
 * const push = new Push();
 * push.connect(await pull.bind("tcp://127.0.0.1:0"));
 * await push.send("work");
 * const [frame] = await pull.receive() ?? [];
 * console.assert(new TextDecoder().decode(frame) === "work");
 * await push.close();
 * await pull.close();
 * ```
 */
export class Push extends Sender {
  readonly #circle = new RoundRobin();

  constructor(options: SocketOptions = {}) {
    super("PUSH", options);
  }

  sendBatch(batch: Batch, from = 0): number {
    return this.#circle.send(batch, from);
  }

  override get unsent(): number {
    return super.unsent + this.#circle.returned;
  }

  protected override onAttach(connection: ZmtpConnection): void {
    this.#circle.add(connection);
  }

  protected override onDetach(connection: ZmtpConnection): void {
    this.#circle.remove(connection);
  }

  override onWritable(connection: ZmtpConnection): void {
    this.#circle.onWritable();
    super.onWritable(connection);
  }
}
