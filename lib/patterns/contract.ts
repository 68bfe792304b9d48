/** What the commands and bridges know of a messaging system: how to send messages, and how to receive and settle them. */
import type { Bodies, Delivery, Envelope, Receipt } from "../link/message.ts";
import type { Outcome } from "../link/run.ts";
import type { Signal } from "../transport/waiting.ts";

export type { Bodies, DeliveredContent, Delivery, Envelope, Receipt } from "../link/message.ts";
export type { Outcome } from "../link/run.ts";

/** Sends messages, and knows which of them the other side has accepted. It reconnects until it is closed or fails. */
export interface Outlet {
  /** Connects for the first time. */
  start(): Promise<void>;
  /**
   * Copies and sends as many of the bodies `[from, to)` as there is room for.
   *
   * @param envelopes one envelope for all bodies, or a list with the envelope of body number `i` at index `i`
   * @param outcome receives the outcome of the accepted bodies
   * @returns the index of the first body that was not accepted, or `to`; `changed` fires when there may be room
   */
  publish(
    bodies: Bodies,
    from: number,
    to: number,
    envelopes: Envelope | readonly Envelope[],
    outcome?: Outcome,
  ): number;
  /** The number of messages that the other side accepted, those in `returned` included. */
  readonly acknowledged: number;
  /** The number of messages that the other side refused. */
  readonly refused: number;
  /** The reason of the first refusal; empty when it is not known. */
  readonly refusalReason: string;
  /** The number of accepted messages that nothing receives. */
  readonly returned: number;
  /** Why the first message was returned. */
  readonly returnReason: string;
  /** Why the pending messages are not accepted yet; empty when it is not known. */
  readonly delayReason?: string;
  /**
   * The number of messages that were sent again because their outcome was not known: the other side may have some of them
   * twice. Absent where nothing is sent again.
   */
  readonly resent?: number;
  /** The number of messages that are neither accepted nor refused. */
  readonly pending: number;
  /** The number of messages that were accepted before the first one that is not accepted yet. */
  readonly takenInOrder: number;
  /** Called after messages are settled. */
  onSettled: () => void;
  /** Fires when messages are settled, when the connection changes, and at a permanent failure. */
  readonly changed: Signal;
  /** The permanent failure. */
  readonly failure: Error | undefined;
  /** Closes the connection. @param limit the time limit for the reply of the other side, in milliseconds */
  close(limit?: number): Promise<void>;
}

/** The callbacks of an inlet. They must not throw. */
export interface InletEvents {
  /** Called for each message, which is valid during the call only. */
  readonly onDelivery: (delivery: Delivery) => void;
  /** Called after all messages of one received chunk. */
  readonly onBatchEnd?: () => void;
}

/** Receives messages, and settles them. It reconnects until it is closed or fails. */
export interface Inlet {
  /** Connects for the first time, and subscribes. */
  start(): Promise<void>;
  /** Fires when the connection changes, and at a permanent failure. */
  readonly changed: Signal;
  /** The permanent failure. */
  readonly failure: Error | undefined;
  /** The host of the current or last connection, at systems with a broker. */
  readonly broker?: string | undefined;
  /** The number of connections so far. */
  readonly generation: number;
  /** Acknowledges a message, or all up to it. Ignores messages of a lost connection. Call `flush` afterwards. */
  ack(receipt: Receipt, multiple: boolean): void;
  /** Rejects a message; with `requeue` it is delivered again. Call `flush` afterwards. */
  nack(receipt: Receipt, requeue: boolean): void;
  /** Sends the acknowledgements. */
  flush(): void;
  /** Stops reading, so that the other side has to wait. */
  pause(): void;
  /** Continues reading. */
  resume(): void;
  /** Whether the server applies the filter that the inlet was made with, so that all messages match. Default: false */
  readonly selects?: boolean;
  /** Whether no message is left at the source. Absent where the system cannot know it. */
  isDrained?(): Promise<boolean>;
  /** Ends the deliveries; delivered messages can still be settled. @param limit the time limit in milliseconds */
  cancel(limit?: number): Promise<void>;
  /** Closes the connection. Unsettled messages return to their source. @param limit as for `Outlet.close` */
  close(limit?: number): Promise<void>;
}
