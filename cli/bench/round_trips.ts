import type { Req } from "../../lib/zmq/types/req.ts";
import type { Meter } from "./meter.ts";
import type { Schedule } from "./schedule.ts";

/** Sends a request after each reply until the schedule is over, or the socket is closed meanwhile. */
export async function request(socket: Req, size: number, schedule: Schedule, meter: Meter): Promise<void> {
  const payload = new Uint8Array(size).fill(0x78);
  while (!schedule.over) {
    if (schedule.paced) {
      await schedule.wait();
      if (schedule.over) return;
    }
    // A request that is late, because the reply before it was, counts from its intended time.
    const began = schedule.paced ? schedule.intended(schedule.sent) : performance.now();
    schedule.sent++;
    try {
      await socket.request(payload);
    } catch (error) {
      if (socket.closed) return;
      throw error;
    }
    const now = performance.now();
    meter.count(1, size, now);
    meter.latency.record(now - began);
  }
}
