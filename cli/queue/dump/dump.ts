/** One run of `queue dump`. */
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import type { Filter } from "../../../lib/filter/filter.ts";
import { DeliveredMessage } from "../../../lib/filter/message.ts";
import type { Delivery } from "../../../lib/link/message.ts";
import { Progress as ProgressLine } from "../../app/progress.ts";
import type { Session } from "../../app/session.ts";
import { messages, queues } from "../../app/tally.ts";
import type { BrokerTarget } from "../target.ts";
import type { Definitions } from "./definitions.ts";
import { DumpFile } from "./file.ts";
import { endLine, headerLine, recordLine } from "./format.ts";
import type { DumpSink } from "./sink.ts";
import { StdoutDump } from "./stdout.ts";

/** What a dump reads and writes. */
export interface DumpOptions {
  readonly target: BrokerTarget;
  /** `-` is stdout. */
  readonly path: string;
  /** The names and patterns of the queues; none: the whole virtual host. */
  readonly operands: readonly string[];
  readonly force: boolean;
  /** Only messages that match are written. */
  readonly where: string | undefined;
  readonly filter: Filter | undefined;
  /** URLs of the HTTP API; undefined: the default of the broker. */
  readonly http: readonly string[] | undefined;
}

/** Writes the messages that a source reads, and makes the source wait. */
export class Dump {
  readonly session: Session;
  readonly options: DumpOptions;
  /** The place of the next message: the index of its queue in the plan, and its position there. */
  queue = 0;
  position = 0;
  #sink: DumpSink | undefined;
  #connection: AmqpConnection | undefined;
  #queues = 0;
  readonly #message = new DeliveredMessage();

  constructor(session: Session, options: DumpOptions) {
    this.session = session;
    this.options = options;
    session.onStop(() => this.#connection?.abort());
  }

  /** Whether a signal or the output has ended it. */
  get isOver(): boolean {
    return this.session.stopping || this.#sink?.failure !== undefined;
  }

  /** Whether the source waits for the output. */
  get isFull(): boolean {
    return this.#sink?.full === true;
  }

  /**
   * Opens the output.
   *
   * @param plan the queues and their definitions
   * @param identity see `FileOptions`
   * @returns the plan to follow, from `queue` and `position`
   */
  start<P extends { readonly queues: readonly unknown[]; readonly definitions?: Definitions | undefined }>(
    connection: AmqpConnection,
    plan: P,
    identity?: string,
  ): P {
    const { path, force } = this.options;
    this.#connection = connection;
    const onChange = () => this.#onChange();
    const text = JSON.stringify(plan);
    const sink = this.#sink = path === "-"
      ? new StdoutDump(this.session, text, onChange)
      : new DumpFile(path, { force, identity, plan: text, onChange });
    const followed = JSON.parse(sink.plan) as P;
    this.#queues = followed.queues.length;
    if (sink.continued === undefined) {
      sink.append(headerLine(followed.definitions), { queue: 0, position: 0, messages: 0 });
    } else {
      this.queue = sink.continued.queue;
      this.position = sink.continued.position;
      this.session.counts.received = sink.continued.messages;
      this.session.reporter.info(`continues after ${messages(sink.continued.messages)}`);
    }
    return followed;
  }

  /** Writes a message, if it matches the filter. @param position of the next one */
  record(delivery: Delivery, queue: string, position: number): void {
    const { filter } = this.options;
    if (filter !== undefined && !filter.matches(this.#message.of(delivery))) return;
    const { counts } = this.session;
    counts.received++;
    counts.bytes += delivery.content.bodyEnd - delivery.content.bodyStart;
    this.#sink!.append(recordLine(delivery, queue), {
      queue: this.queue,
      position,
      messages: counts.received,
    });
  }

  /** Called after the last message of a read. */
  flush(): void {
    this.#sink!.flush();
    if (this.#sink!.full) this.#connection!.pause();
  }

  /**
   * Runs the source, and completes the output after it.
   *
   * @throws the error of the source or of the output
   */
  async run(source: () => Promise<void>): Promise<void> {
    const { session, options: { path } } = this;
    const { counts } = session;
    const line = new ProgressLine(session, () => counts.received, "dumped");
    let failure: unknown;
    try {
      await source();
    } catch (error) {
      failure = error;
    } finally {
      line.end();
    }
    const sink = this.#sink;
    if (sink !== undefined && failure === undefined && !this.isOver) {
      const progress = { queue: this.#queues, position: 0, messages: counts.received };
      sink.append(endLine(counts.received), progress);
      await sink.complete(progress);
      if (sink.failure !== undefined) return; // The reader of stdout has exited.
      const to = path === "-" ? "" : ` to '${path}'`;
      return session.reporter.info(`dumped ${messages(counts.received)} of ${queues(this.#queues)}${to}`);
    }
    const isDone = this.isOver;
    await sink?.abandon();
    if (sink?.canContinue) session.reporter.info("the same command continues the dump");
    if (!isDone) throw failure;
  }

  #onChange(): void {
    if (this.isOver) this.#connection?.abort();
    else if (!this.#sink!.full) this.#connection?.resume();
  }
}
