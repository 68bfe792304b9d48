/** Outcomes of messages that are not final yet. */
import type { Run } from "./run.ts";

/** A confirm of the server: see `PortEvents.onConfirm`. */
export interface Confirm {
  readonly tag: number;
  readonly multiple: boolean;
  readonly taken: boolean;
  readonly reason: string;
}

/** A returned message: see `PortEvents.onReturn`. */
export interface Return {
  readonly code: number;
  readonly reason: string;
  /** The run of the message, if it is known. */
  readonly run: Run | undefined;
}

/** Outcomes that wait for the decision of `reconsider`. */
export interface Held {
  readonly outcomes: (Confirm | Return)[];
  /** The runs of returned messages, as far as they are known. */
  readonly returned: Set<Run>;
}
