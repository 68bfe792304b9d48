import { Pub, type PubOptions } from "../../lib/zmq/types/pub.ts";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { finishOutput, Output } from "../io/output.ts";
import type { EndpointPlan } from "../options/endpoints.ts";
import { type OutputOptions, type RecordStyle, styleOf } from "../records/writer.ts";
import { attach } from "./socket.ts";

/** How long the tap may take to close, in milliseconds. */
const TAP_LINGER_MS = 1000;

/** The values of the options of a tap. */
export interface TapOptions extends OutputOptions {
  readonly separator: string | undefined;
  readonly tap: string | undefined;
}

/** What a tap does with the messages `M` of the traffic. */
export interface TapForm<M> {
  /** Makes the function that writes messages to stdout. */
  writer(output: Output, style: RecordStyle): (messages: M, endpoint: string) => void;
  /** Returns messages as they are sent to the PUB socket. */
  batchOf(messages: M): Batch;
}

/** A copy of the traffic, to stdout or to a PUB socket. */
export class Tap<M> {
  /** Whether a tap is requested. */
  readonly on: boolean;
  /** Called when stdout has room again, or has failed. */
  onChange: () => void = () => {};

  readonly #session: Session;
  readonly #plan: EndpointPlan | undefined;
  readonly #output: Output | undefined;
  readonly #write: ((messages: M, endpoint: string) => void) | undefined;
  readonly #form: TapForm<M>;
  readonly #pub: Pub | undefined;

  constructor(
    session: Session,
    options: TapOptions,
    plan: EndpointPlan | undefined,
    settings: PubOptions,
    form: TapForm<M>,
  ) {
    this.#session = session;
    this.#form = form;
    this.#plan = plan;
    this.on = options.tap !== undefined;
    const separator = options.separator === undefined ? undefined : utf8(options.separator);
    const style = styleOf(session, options, true, separator);
    if (plan !== undefined) {
      // A subscriber of the tap never delays the traffic.
      this.#pub = new Pub(settings);
    } else if (this.on) {
      this.#output = new Output(session);
      this.#write = form.writer(this.#output, style);
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

  /** Copies messages; call `flush` afterwards. */
  take(messages: M, endpoint: string): void {
    this.#pub?.sendBatch(this.#form.batchOf(messages));
    if (this.#output !== undefined) this.#write!(messages, endpoint);
  }

  /** Writes what was taken. */
  flush(): void {
    this.#output?.flush();
  }

  async close(): Promise<void> {
    if (this.#pub !== undefined) {
      const missed = await this.#pub.close(TAP_LINGER_MS) + this.#pub.dropped;
      if (missed > 0) this.#session.reporter.warn(`the tap missed ${messages(missed)}`);
    }
    if (this.#output !== undefined) await finishOutput(this.#session, this.#output);
  }
}
