/** Sends a request for each message of the input to a broker, and writes the replies. */
import type { Delivery } from "../../lib/patterns/contract.ts";
import type { Requester } from "../../lib/patterns/requester.ts";
import { EXIT, TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { countMessages, type Source } from "../io/input.ts";
import { type Output, outputFailure } from "../io/output.ts";
import { Pacer, type PacingOptions } from "../io/pacer.ts";
import { farewell, startWithin } from "./link.ts";
import type { Pack, Packed } from "./pack.ts";
import type { QueueWriter } from "./records.ts";
import type { AskedService } from "./contract.ts";

/** The values of the options of `req`; times are in milliseconds. */
export interface AskingOptions extends PacingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly relaxed: boolean | undefined;
  /** How many requests may be without a reply. */
  readonly jobs: number | undefined;
}

/** The input and the output of the requests. */
export interface AskingEnds {
  readonly source: Source;
  /** Converts the input to requests. */
  readonly pack: Pack;
  readonly output: Output;
  readonly write: QueueWriter;
}

/** Asks a service until the input or the count ends, or a condition, an error or a signal. */
export async function askAll(
  session: Session,
  service: AskedService,
  ends: AskingEnds,
  options: AskingOptions,
): Promise<void> {
  const asking = new Asking(session, service, ends, options);
  await startWithin(service, options.timeout, asking.requester.start()).catch((error) => {
    throw service.explain?.(error) ?? error;
  });
  session.ready([service.where]);
  let failure = await asking.run();
  await asking.report();
  await ends.output.drained();
  await farewell(session, failure, (limit) => asking.requester.close(limit));
  failure = outputFailure(session, ends.output) ?? failure;
  if (failure !== undefined) throw failure;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

class Asking {
  readonly requester: Requester;

  readonly #session: Session;
  readonly #ends: AskingEnds;
  readonly #options: AskingOptions;
  readonly #pacer: Pacer;
  /** A reply as it is printed: its routing key is only the address of this process. */
  #shown: Mutable<Delivery> | undefined;
  /** How many requests may still be sent. */
  #remaining: number;
  /** How many requests of the current batch are not sent. */
  #left = 0;
  /** How many requests had no reply in time. */
  #missed = 0;
  /** Set when a request had no reply in time, without `--relaxed`. */
  #late: Error | undefined;

  constructor(
    session: Session,
    service: AskedService,
    ends: AskingEnds,
    options: AskingOptions,
  ) {
    this.#session = session;
    this.#ends = ends;
    this.#options = options;
    this.#pacer = new Pacer(session, options);
    this.#remaining = options.count ?? Infinity;
    this.requester = service.open({
      jobs: options.jobs,
      timeout: options.timeout,
      onReply: (reply) => this.#onReply(reply),
      onExpired: () => this.#onExpired(),
      onBatchEnd: () => this.#onBatchEnd(),
    });
    const { output, source } = ends;
    output.onChange = () => {
      if (output.failure === undefined) this.requester.resume();
      else this.#end();
    };
    session.onStop(() => this.#end());
    this.#cancelAtFailure(source);
  }

  /** Resolves when every request has its reply, or when a condition ends the command: to the error, if it is one. */
  async run(): Promise<unknown> {
    let failure: unknown;
    try {
      await this.#askAll();
    } catch (error) {
      // The input has an error; the requests before it are still valid.
      failure = error;
    }
    this.#ends.source.cancel();
    const { requester } = this;
    while (requester.unanswered > 0 && !this.#isOver) await requester.changed.wait();
    return this.#failure ?? failure;
  }

  /** Counts the requests without a reply, and reports them, whatever the reason. */
  async report(): Promise<void> {
    const { source } = this.#ends;
    let unasked = this.#left;
    if (this.#remaining > 0) {
      source.cancel();
      unasked = Math.min(unasked + await countMessages(source), this.#remaining);
    }
    const unanswered = this.requester.unanswered + this.#missed + unasked;
    this.#session.counts.unsent = unanswered;
    if (unanswered > 0) this.#session.reporter.error(`${messages(unanswered)} had no reply`);
    if (this.#missed > 0 && this.#late === undefined) this.#session.exitCode = EXIT.undelivered;
  }

  get #failure(): Error | undefined {
    return this.#late ?? this.requester.failure;
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || this.#session.stopping || this.#ends.output.failure !== undefined;
  }

  async #askAll(): Promise<void> {
    const { source, pack } = this.#ends;
    await this.#pacer.start();
    while (!this.#isOver && this.#remaining > 0) {
      const batch = await source.next();
      if (batch === undefined) return;
      const packed = pack(batch);
      await this.#ask(packed);
      if (packed.failure !== undefined) throw packed.failure;
    }
  }

  /** Sends each message of a batch as soon as there is room. */
  async #ask({ bodies, count, envelopes }: Packed): Promise<void> {
    const { requester } = this;
    this.#left = Math.min(count, this.#remaining);
    for (let at = 0; this.#left > 0 && !this.#isOver;) {
      if (!this.#pacer.idle) await this.#pacer.turn();
      const last = this.#pacer.idle ? count : at + 1;
      for (; at < last && this.#left > 0 && requester.hasRoom; at++) {
        requester.request(bodies, at, "properties" in envelopes ? envelopes : envelopes[at]!);
        this.#left--;
        this.#remaining--;
        this.#session.counts.sent++;
      }
      requester.flush();
      if (this.#left > 0 && !requester.hasRoom) await requester.changed.wait();
    }
  }

  #onReply(reply: Delivery): void {
    const { content } = reply;
    const { counts } = this.#session;
    counts.received++;
    counts.bytes += content.bodyEnd - content.bodyStart;
    const shown = this.#shown ??= { ...reply, exchange: "", routingKey: "" };
    shown.content = content;
    this.#ends.write(shown, this.requester.broker!);
  }

  #onBatchEnd(): void {
    const { output } = this.#ends;
    output.flush();
    if (output.full) this.requester.pause();
  }

  #onExpired(): void {
    const error = new TimeoutError(`no reply arrived within ${this.#options.timeout! / 1000} s (-w)`);
    this.#missed++;
    if (!this.#options.relaxed) this.#late ??= error;
    else this.#session.reporter.warn(`${error.message}: going on with the next request (--relaxed)`);
  }

  #end(): void {
    this.#ends.source.cancel();
    this.requester.changed.fire();
  }

  /** Cancels the source at a failure, so that it is reported although no input arrives. */
  async #cancelAtFailure(source: Source): Promise<void> {
    while (!this.#isOver && !source.ended) await this.requester.changed.wait();
    if (this.#isOver) source.cancel();
  }
}
