/** Runs of messages that were passed to the publisher together, until all of them are settled. */
import type { Envelope } from "./message.ts";

/** Receives the outcome of a run. */
export interface Outcome {
  /** A message was returned, because no queue exists for it. `onSettled` follows. */
  onReturn(replyCode: number, reason: string): void;
  /** A message does not fit the limits of the new connection. `onSettled` follows. */
  onRefused?(error: Error): void;
  /** All messages of the run are settled. @param acknowledged whether the broker accepted all of them */
  onSettled(acknowledged: boolean): void;
}

export const PENDING = 0;
/** Came back or was refused, and is not settled: it may be published again. */
export const KEPT = 1;
export const TAKEN = 2;
export const REFUSED = 3;

/** Messages that were passed to one call of `publish`, until all of them are settled. */
export interface Run {
  /** Copies of the bodies. */
  bytes: Uint8Array;
  starts: Int32Array;
  ends: Int32Array;
  /** One envelope for all messages, or one for each. */
  envelopes: Envelope | readonly Envelope[];
  /** PENDING, KEPT, TAKEN or REFUSED, for each message. */
  states: Uint8Array;
  /** The number of messages. */
  count: number;
  /** The number of messages that are not settled. */
  left: number;
  /** The number of further messages, which were settled on an earlier connection. */
  gone: number;
  /** Whether one of those was refused. */
  goneRefused: boolean;
  /** The tag of the first message on the current connection; 0 before it is published. */
  firstTag: number;
  outcome: Outcome | undefined;
}

/** The number of accepted messages before the first one that is not. */
export function takenAtFront({ states, count }: Run): number {
  let taken = 0;
  while (taken < count && states[taken] === TAKEN) taken++;
  return taken;
}

/** The number of pending messages among the first `count`. */
export function pendingOf({ states }: Run, count: number): number {
  let found = 0;
  for (let i = 0; i < Math.min(count, states.length); i++) if (states[i] === PENDING) found++;
  return found;
}

/** A copy of a run without its settled messages. The others are pending. */
export function unsettled(run: Run): Run {
  run.firstTag = 0;
  if (run.left === run.count) {
    run.states.fill(PENDING);
    return run;
  }
  const { starts, ends, envelopes } = run;
  const kept = Array.from(run.states.keys()).filter((i) => !isSettled(run.states[i]!));
  return {
    ...run,
    starts: Int32Array.from(kept, (i) => starts[i]!),
    ends: Int32Array.from(kept, (i) => ends[i]!),
    envelopes: isList(envelopes) ? kept.map((i) => envelopes[i]!) : envelopes,
    states: new Uint8Array(kept.length),
    count: kept.length,
    left: kept.length,
    gone: run.gone + run.count - kept.length,
    goneRefused: run.goneRefused || run.states.includes(REFUSED),
  };
}

/** Whether a message with this state is settled. */
export function isSettled(state: number): boolean {
  return state > KEPT;
}

/** The envelope of a message of a run. */
export function envelopeOf({ envelopes }: Run, index: number): Envelope {
  return isList(envelopes) ? envelopes[index]! : envelopes;
}

export function isList(envelopes: Envelope | readonly Envelope[]): envelopes is readonly Envelope[] {
  return Array.isArray(envelopes);
}
