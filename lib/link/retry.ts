/** What happens to messages that were returned or refused: whether they are published again, and when. */
import { HandshakeTimeoutError } from "../errors.ts";
import { sleep } from "../transport/waiting.ts";
import { untilAborted } from "./abort.ts";
import { AwayError } from "./away.ts";
import type { Connection } from "./protocol.ts";
import type { PublisherOptions, Rejection } from "./publisher_options.ts";
import type { Run } from "./run.ts";

/** The first and the longest pause before messages are published again, in milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** The time limit for an answer about what is away, in milliseconds: RabbitMQ needs 13 s for some. */
const ANSWER_MS = 30_000;
/** How long the decision that an outcome is final also applies to later messages, in milliseconds. */
const FINAL_MS = 10_000;

/** A confirm, or a return, that waits for a decision. */
export type HeldOutcome =
  | {
    readonly type: "confirm";
    readonly tag: number;
    readonly multiple: boolean;
    readonly taken: boolean;
    readonly reason: string;
  }
  | {
    readonly type: "return";
    readonly code: number;
    readonly reason: string;
    /** The run of the message; undefined if it was not found. */
    readonly run: Run | undefined;
  };

/** Decides with `PublisherOptions.reconsider`, and waits with `prepare`. */
export class Retry<C extends Connection> {
  readonly #options: PublisherOptions<C>;
  readonly #onAway: (error: AwayError) => void;
  readonly #stop = new AbortController();
  readonly #finalUntil = { returned: 0, refused: 0 };
  /** Whether the last answer was that messages must wait. */
  #wasAway = false;
  #pause = FIRST_PAUSE_MS;
  /** The number of messages that were accepted before the last pause. */
  #acknowledged = 0;

  /** @param onAway called when messages must wait, with the reason, perhaps several times */
  constructor(options: PublisherOptions<C>, onAway: (error: AwayError) => void) {
    this.#options = options;
    this.#onAway = onAway;
  }

  /** Whether this outcome is final now, without a question. */
  isFinal(outcome: Rejection["outcome"]): boolean {
    return this.#options.reconsider === undefined || performance.now() < this.#finalUntil[outcome];
  }

  /** Forgets decisions: there is a new connection. */
  forget(): void {
    this.#finalUntil.returned = this.#finalUntil.refused = 0;
  }

  /**
   * Begins with a short pause again if messages were accepted since the last one, at least as many as wait now: a full queue
   * always accepts a few.
   *
   * @param acknowledged the number of messages that were accepted so far
   */
  measure(acknowledged: number, pending: number): void {
    if (acknowledged - this.#acknowledged >= pending) this.#pause = FIRST_PAUSE_MS;
    this.#acknowledged = acknowledged;
  }

  /** Ends all pauses. */
  stop(): void {
    this.#stop.abort();
  }

  /** Asks whether messages must wait; if not, the outcome is final for a while. */
  async mustWait(connection: C, rejection: Rejection): Promise<boolean> {
    const away = await answered(connection, this.#options.reconsider!(connection, rejection));
    if (away !== undefined) {
      this.#wasAway = true;
      this.#onAway(away);
      return true;
    }
    if (this.#wasAway) {
      // These messages may have come back before it was there again: what comes back once more is final.
      this.#wasAway = false;
      return true;
    }
    this.#finalUntil[rejection.outcome] = performance.now() + FINAL_MS;
    return false;
  }

  /** Pauses, and looks whether messages can be published again. */
  async isReady(connection: C): Promise<boolean> {
    await sleep(this.#pause * (0.5 + Math.random() / 2), this.#stop.signal);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    try {
      await answered(connection, this.#options.prepare?.(connection) ?? Promise.resolve());
      return true;
    } catch (error) {
      if (!(error instanceof AwayError)) throw error;
      this.#onAway(error);
      return false;
    }
  }
}

/** @throws {HandshakeTimeoutError} there was no answer in time */
async function answered<T>({ server }: Connection, work: Promise<T>): Promise<T> {
  const limit = new AbortController();
  const late = new HandshakeTimeoutError(`${server} did not answer within ${ANSWER_MS / 1000} s`);
  const timer = setTimeout(() => limit.abort(late), ANSWER_MS);
  try {
    return await untilAborted(work, limit.signal);
  } finally {
    clearTimeout(timer);
  }
}
