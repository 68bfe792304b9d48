import type { Req } from "../../lib/zmq/types/req.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import type { Meter } from "./meter.ts";
import { type Schedule, turn } from "./schedule.ts";

/** Signals and timers are handled at least this often, in milliseconds. */
const TURN_MS = 20;

/** Sends a request after each reply until the schedule is over, or the socket is closed meanwhile. */
export function request(socket: Req, size: number, schedule: Schedule, meter: Meter): Promise<void> {
  const batch = Batch.of([new Uint8Array(size).fill(0x78)]);
  let turnAt = performance.now();
  return new Promise((resolve, reject) => {
    let began = 0;
    const asker = {
      onReply(): void {
        const now = performance.now();
        meter.count(1, size, now);
        meter.latency.record(now - began);
        next(now);
      },
      onFailure(error: unknown): void {
        if (socket.closed) resolve();
        else reject(error);
      },
    };
    const next = (now: number): void => {
      if (schedule.over) return resolve();
      if (schedule.due(now) === 0) return later(schedule.wait());
      if (now - turnAt > TURN_MS) return later(turn());
      // A request that is late, because the reply before it was, counts from its intended time.
      began = schedule.paced ? schedule.intended(schedule.sent) : now;
      schedule.sent++;
      socket.ask(batch, 0, batch.frames, asker);
    };
    const later = (wait: Promise<void>): void => {
      wait.then(() => next(turnAt = performance.now())).catch(reject);
    };
    next(turnAt);
  });
}
