import { Batch } from "../../lib/zmtp/batch.ts";
import { type Meter, STAMP_BYTES, Stamps } from "./meter.ts";
import { type Schedule, turn } from "./schedule.ts";

/** The messages of one call are about this large together, in bytes. */
const BLOCK_BYTES = 256 * 1024;
const MAX_BLOCK = 1000;
/** Signals and timers are handled at least this often, in milliseconds. */
const TURN_MS = 20;

/** Takes messages as fast as the other side allows. */
export interface Sink {
  /**
   * Sends the messages `[from, to)` of a batch, as many as there is room for.
   *
   * @param first the number of message `from` among all of this sender
   * @returns the first message that was not taken, or `to`
   */
  send(batch: Batch, from: number, to: number, first: number): number;
  /** Waits until there may be room. */
  writable(): Promise<void>;
  /** The permanent failure of the connection. */
  readonly failure: Error | undefined;
}

/** Sends messages of one size until the schedule is over. The messages are the same buffer again and again. */
export async function generate(sink: Sink, size: number, schedule: Schedule, meter: Meter): Promise<void> {
  const block = Math.max(1, Math.min(MAX_BLOCK, Math.floor(BLOCK_BYTES / size)));
  const batch = new Batch();
  batch.bytes = new Uint8Array(block * size).fill(0x78);
  for (let i = 0; i < block; i++) batch.add(i * size, (i + 1) * size, 0);
  const stamps = size >= STAMP_BYTES ? new Stamps() : undefined;
  let turnAt = performance.now();
  while (!schedule.over && sink.failure === undefined) {
    const now = performance.now();
    const count = Math.min(block, schedule.due(now));
    if (count === 0) {
      await schedule.wait();
      continue;
    }
    if (now - turnAt > TURN_MS) {
      await turn();
      turnAt = performance.now();
    }
    batch.frames = batch.messages = count;
    if (stamps !== undefined) {
      for (let i = 0; i < count; i++) {
        stamps.write(batch.bytes, i * size, schedule.paced ? schedule.intended(schedule.sent + i) : now);
      }
    }
    const taken = sink.send(batch, 0, count, schedule.sent);
    schedule.sent += taken;
    meter.count(taken, taken * size, now);
    // Messages that were not taken get their times again in the next pass.
    if (taken < count) await sink.writable();
  }
}
