import { Pub, type PubOptions } from "../../lib/zmq/types/pub.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { finishOutput, Output } from "../io/output.ts";
import type { EndpointPlan } from "../options/endpoints.ts";
import { recordWriter, styleOf } from "../records/writer.ts";
import type { ProxyOptions } from "./devices.ts";
import { attach } from "./socket.ts";

/** How long the tap may take to close, in milliseconds. */
const TAP_LINGER_MS = 1000;

/** A copy of the traffic, to stdout or to a PUB socket. */
export class Tap {
  /** Whether a tap is requested. */
  readonly on: boolean;
  /** Called when stdout has room again, or has failed. */
  onChange: () => void = () => {};

  readonly #session: Session;
  readonly #plan: EndpointPlan | undefined;
  readonly #output: Output | undefined;
  readonly #writer: ReturnType<typeof recordWriter> | undefined;
  readonly #pub: Pub | undefined;

  constructor(
    session: Session,
    options: ProxyOptions,
    plan: EndpointPlan | undefined,
    settings: PubOptions,
  ) {
    this.#session = session;
    this.#plan = plan;
    this.on = options.tap !== undefined;
    const separator = options.separator === undefined ? undefined : utf8(options.separator);
    const style = styleOf(session, options, true, separator);
    if (plan !== undefined) {
      // A subscriber of the tap never delays the traffic.
      this.#pub = new Pub(settings);
    } else if (this.on) {
      this.#output = new Output(session);
      this.#writer = recordWriter(this.#output, style);
      this.#output.onChange = () => this.onChange();
    }
  }

  /** Whether stdout has failed. */
  get failed(): boolean {
    return this.#output?.failure !== undefined;
  }

  async open(): Promise<void> {
    if (this.#pub !== undefined) await attach(this.#session, this.#pub, this.#plan!);
  }

  /** Whether the traffic has to wait for the reader of stdout. */
  get full(): boolean {
    return this.#output?.full ?? false;
  }

  take(batch: Batch, endpoint: string): void {
    this.#pub?.sendBatch(batch);
    if (this.#output === undefined) return;
    this.#writer!.write(batch, 0, batch.frames, endpoint);
    this.#output.flush();
  }

  async close(): Promise<void> {
    if (this.#pub !== undefined) {
      const missed = await this.#pub.close(TAP_LINGER_MS) + this.#pub.dropped;
      if (missed > 0) this.#session.reporter.warn(`the tap missed ${messages(missed)}`);
    }
    if (this.#output !== undefined) await finishOutput(this.#session, this.#output);
  }
}
