import { SWEEP } from "../../../amqp/peek.ts";
import { messageOf } from "../../../errors.ts";
import { encodeMessage } from "../../core/message.ts";
import type { Sweep } from "../../core/queue/sweep.ts";
import type { ChannelContext, ChannelJob, JobState } from "./contract.ts";
import type { Deliveries } from "../../core/clients/deliveries.ts";

/** The interval of reports, in milliseconds. */
const REPORT_MS = 200;

/** Runs a sweep for a client: delivers reports as JSON, the last one when the changes are safe, and then `basic.cancel`. */
export class SweepJob implements ChannelJob {
  readonly tag: string;
  readonly #channel: ChannelContext;
  readonly #deliveries: Deliveries;
  readonly #sweep: Sweep;
  #reportedAt = performance.now();

  constructor(channel: ChannelContext, deliveries: Deliveries, tag: string, sweep: Sweep) {
    this.#channel = channel;
    this.#deliveries = deliveries;
    this.#sweep = sweep;
    this.tag = tag;
  }

  run(): JobState {
    const { connection, host } = this.#channel;
    if (!connection.writable) return "blocked";
    let failure: string | undefined;
    try {
      if (this.#sweep.turn()) {
        if (performance.now() - this.#reportedAt >= REPORT_MS) this.#report();
        return "paused";
      }
    } catch (error) {
      failure = messageOf(error);
    }
    // The client hears of the end when a crash cannot undo the changes.
    host.cycle.syncThisCycle();
    this.#report(failure);
    this.#channel.send("basic.cancel", { consumerTag: this.tag, noWait: true });
    return "done";
  }

  #report(failure?: string): void {
    this.#reportedAt = performance.now();
    const { connection, number } = this.#channel;
    const report = failure === undefined ? this.#sweep.report : { ...this.#sweep.report, failure };
    const body = new TextEncoder().encode(JSON.stringify(report));
    const message = encodeMessage(
      { exchange: "", routingKey: SWEEP },
      { contentType: "application/json" },
      body,
    );
    connection.encoder.deliver(number, this.tag, this.#deliveries.skip(), false, message);
    connection.touch();
  }
}
