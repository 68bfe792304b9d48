import type { AwayError } from "./away.ts";
import type { LinkOptions } from "./options.ts";
import type { Envelope } from "./message.ts";
import type { Connection } from "./protocol.ts";

/** Messages that were returned or refused; the first one of them stands for all. */
export interface Rejection {
  readonly outcome: "returned" | "refused";
  /** The envelope of the first message; undefined if it is not known which one that is. */
  readonly envelope: Envelope | undefined;
}

/** Options of a publisher. */
export interface PublisherOptions<C extends Connection> extends LinkOptions {
  /** The maximum number of unconfirmed messages. Default: 10000 */
  readonly window?: number | undefined;
  /** The maximum size of all unconfirmed messages, in bytes; the last message may exceed it. Default: 32 MiB */
  readonly windowBytes?: number | undefined;
  /** Prepares each connection, before the first message is published on it. */
  readonly prepare?: (connection: C) => Promise<void>;
  /**
   * Called when messages were returned or refused: decides whether that is final. Nothing is published or settled until
   * then. If it is not, these messages, and those without a confirm, are published again after a pause, as soon as
   * `prepare` succeeds: so some may arrive twice, and in another order.
   *
   * @returns why the messages must wait; undefined: the outcome is final, and for 10 s that of later ones, too
   */
  readonly reconsider?: (connection: C, rejection: Rejection) => Promise<AwayError | undefined>;
}
