import type { FrameEncoder } from "../../../amqp/frames/frame_encoder.ts";

/** Publishes with neighbouring tags that had the same outcome. */
interface ConfirmRun {
  upTo: number;
  taken: boolean;
  /** The journal's position that has to be safe before the run is told. */
  position: number;
}

/** Publisher confirms of one channel: counted from 1, told in order, with `multiple` where a run is more than one. */
export class Confirms {
  /** Tag of the last publish. */
  #last = 0;
  /** Tag of the last publish that was told. */
  #told = 0;
  readonly #runs: ConfirmRun[] = [];
  /** Whether the last run may still grow: what is published later must not hold back what was before. */
  #open = false;

  /**
   * Notes the outcome of the next publish.
   *
   * @param taken false: it is refused
   * @param position of the journal behind the message; 0 when nothing was written
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
   * Tells the outcomes that are safe, at the end of a turn.
   *
   * @param synced the journal's position up to which everything is safe
   * @returns whether runs are still waiting
   */
  release(encoder: FrameEncoder, channel: number, synced: number): boolean {
    this.#open = false;
    const runs = this.#runs;
    let done = 0;
    for (; done < runs.length && runs[done]!.position <= synced; done++) {
      const { upTo, taken } = runs[done]!;
      const next = runs[done + 1];
      // One frame for neighbours that are told together.
      if (next !== undefined && next.position <= synced && next.taken === taken) continue;
      const multiple = upTo - this.#told > 1;
      if (taken) encoder.ack(channel, upTo, multiple);
      else encoder.nack(channel, upTo, multiple, false);
      this.#told = upTo;
    }
    if (done > 0) runs.splice(0, done);
    return runs.length > 0;
  }
}
