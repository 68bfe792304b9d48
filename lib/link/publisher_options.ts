import type { AwayError } from "./away.ts";
import type { LinkOptions } from "./options.ts";
import type { Connection } from "./protocol.ts";

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
   * then. If it is not, all unsettled messages are published again after a pause, as soon as `prepare` succeeds: so some
   * may arrive twice.
   *
   * @returns why the messages must wait; undefined: the outcome is final, and that of later ones on this connection, too
   */
  readonly reconsider?: (connection: C, outcome: "returned" | "refused") => Promise<AwayError | undefined>;
}
