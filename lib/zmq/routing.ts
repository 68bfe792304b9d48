import { UnreachableError } from "../errors.ts";
import type { Batch } from "../zmtp/batch.ts";
import { preview } from "../zmtp/bytes.ts";
import type { ZmtpConnection } from "../zmtp/connection.ts";
import { Duplex } from "./duplex.ts";
import type { SocketOptions } from "./options.ts";
import { type Route, Routes } from "./outgoing/routes.ts";

/** Talks to its peers by routing ids, which are the first frame of every message here: ROUTER and SERVER. */
export abstract class Routing extends Duplex {
  protected readonly routes: Routes = new Routes();
  readonly #mandatory: boolean;
  #dropped = 0;

  /** @param mandatory whether a message that cannot be sent is an error, or waits, and is not dropped */
  constructor(type: "ROUTER" | "SERVER", options: SocketOptions, mandatory: boolean) {
    super(type, options);
    this.#mandatory = mandatory;
  }

  /** How many messages were dropped: nobody had the routing id, the peer's queue was full, or it went with them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The peer with a routing id, while it is there. */
  peer(routingId: Uint8Array): ZmtpConnection | undefined {
    return this.routes.find(routingId)?.connection;
  }

  /**
   * Sends what there is room for; see `Sender.sendBatch`. What came before the message at fault was sent.
   *
   * @throws {UnreachableError} the socket is mandatory, and nobody has the routing id of the message at `from`
   * @throws {RangeError} the message at `from` has not the frames that the type wants
   */
  sendBatch(batch: Batch, from = 0): number {
    const { starts, ends, bytes, frames } = batch;
    const begin = from;
    while (from < frames) {
      const end = batch.messageEnd(from);
      const problem = this.check(batch, from, end);
      if (problem !== undefined) {
        if (from > begin) break; // What was taken is told first.
        throw problem;
      }
      const route = this.routes.find(bytes, starts[from]!, ends[from]!);
      if (route === undefined) {
        if (this.#mandatory && from > begin) break;
        this.#refuse(batch.frame(from));
      } else if (route.connection.outbox.room > 0) this.routes.append(route, batch, from + 1, end);
      else if (this.#mandatory) break;
      else this.#drop(route);
      from = end;
    }
    this.routes.flush();
    return from;
  }

  override onBatch(from: ZmtpConnection, batch: Batch): void {
    const route = this.routes.of(from);
    if (route !== undefined) this.deliver(from, this.routes.label(route, batch));
  }

  protected override onDetach(connection: ZmtpConnection): void {
    this.routes.remove(connection);
    // No other peer can have them. What is left when the socket closes, `close` counts.
    if (this.open) this.#dropped += connection.reclaim().messages;
  }

  /** What is wrong with the message `[from, to)`, routing id included. */
  protected check(_batch: Batch, from: number, to: number): Error | undefined {
    return to > from + 1 ? undefined : new RangeError(
      `A ${this.type} message has a routing id and something behind it: received one frame`,
    );
  }

  #refuse(id: Uint8Array): void {
    if (this.#mandatory) {
      throw new UnreachableError(`Cannot send as no peer has the routing id ${preview(id)}`);
    }
    this.#dropped++;
    this.options.onEvent({ type: "unroutable", routingId: id.slice() });
  }

  #drop(route: Route): void {
    this.#dropped++;
    if (!route.dropping) this.options.onEvent({ type: "dropping", endpoint: route.connection.remote });
    route.dropping = true;
  }
}
