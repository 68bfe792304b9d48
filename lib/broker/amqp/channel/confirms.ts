import type { FrameEncoder } from "../../../amqp/frames/frame_encoder.ts";

/** Consecutive publishes with the same outcome. */
interface ConfirmRun {
  upTo: number;
  taken: boolean;
  /** Position of the journal that must be safe before the run is confirmed. */
  position: number;
}

/** Publisher confirms of one channel: tags count from 1, and confirms are sent in order, with `multiple` for a run. */
export class Confirms {
  /** Tag of the last publish. */
  #last = 0;
  /** Tag of the last publish that was confirmed. */
  #confirmed = 0;
  /** Number of publishes that were confirmed and not refused. */
  accepted = 0;
  readonly #runs: ConfirmRun[] = [];
  /** Whether the last run may still grow: later publishes must not delay the confirms of earlier ones. */
  #open = false;

  /** Number of publishes whose confirm was not sent. */
  get pending(): number {
    return this.#last - this.#confirmed;
  }

  /**
   * Records the outcome of the next publish.
   *
   * @param taken false: the message was refused
   * @param position position of the journal that must be safe first; 0 when nothing was written
   */
  add(taken: boolean, position: number): void {
    const tag = ++this.#last;
    const run = this.#open ? this.#runs.at(-1) : undefined;
    if (run !== undefined && run.taken === taken) {
      run.upTo = tag;
      if (position > run.position) run.position = position;
      return;
    }
    this.#runs.push({ upTo: tag, taken, position });
    this.#open = true;
  }

  /**
   * Sends the confirms that are due, at the end of a cycle.
   *
   * @param safePosition position of the journal up to which messages are safe
   * @returns whether other confirms are still pending
   */
  send(encoder: FrameEncoder, channel: number, safePosition: number): boolean {
    this.#open = false;
    const runs = this.#runs;
    let done = 0;
    for (; done < runs.length && runs[done]!.position <= safePosition; done++) {
      const { upTo, taken } = runs[done]!;
      const next = runs[done + 1];
      // One frame for consecutive runs that are confirmed together.
      if (next !== undefined && next.position <= safePosition && next.taken === taken) continue;
      const multiple = upTo - this.#confirmed > 1;
      if (taken) {
        encoder.ack(channel, upTo, multiple);
        this.accepted += upTo - this.#confirmed;
      } else encoder.nack(channel, upTo, multiple, false);
      this.#confirmed = upTo;
    }
    if (done > 0) runs.splice(0, done);
    return runs.length > 0;
  }
}
