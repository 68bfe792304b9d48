import type { Batch } from "../zmtp/batch.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { Duplex } from "./duplex.ts";
import { RoundRobin } from "./outgoing/round_robin.ts";

/** Deals messages out to its peers in turn, and receives from all of them: DEALER, PAIR and CLIENT. */
export abstract class Dealing extends Duplex {
  readonly #circle = new RoundRobin();

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
