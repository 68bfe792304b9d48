/** The two ways of `queue get` to process a message: print it, or run a command for it. */
import type { Delivery } from "../../lib/amqp/client/channel.ts";
import type { Consumer, Receipt } from "../../lib/amqp/client/consumer.ts";
import { utf8 } from "../../lib/zmtp/bytes.ts";
import { EXIT } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { CommandRunner, type ExecMessage } from "../io/commands.ts";
import { appendPrinted, reportFailure } from "../io/exec.ts";
import type { Output } from "../io/output.ts";
import type { RecordStyle } from "../records/writer.ts";
import type { QueueWriter } from "./records.ts";

/** How long acknowledgements wait for the rest of a `-n` (they make room for unwanted messages), in milliseconds. */
const HOLD_MS = 100;
/** How long a message whose command failed is held before it is requeued, to prevent a busy loop. */
const REQUEUE_MS = 1000;

/** Processes messages, and acknowledges them afterwards. */
export interface DeliverySink {
  /** Takes a message, which is valid during the call. */
  take(delivery: Delivery, receipt: Receipt): void;
  /** Called after the last message of a read. */
  flush(): void;
  /** Whether every message is acknowledged. */
  readonly idle: boolean;
  /** Resolves when every message is processed. After a signal no new command starts. */
  finish(): Promise<void>;
}

/** How `--exec` runs commands, and what happens to a message when its command fails. */
export interface ExecOptions {
  readonly exec: string;
  readonly jobs: number | undefined;
  readonly onError: "requeue" | "reject" | "dead-letter" | undefined;
}

/** Prints messages; acknowledges them once they are written. */
export class PrintSink implements DeliverySink {
  readonly #session: Session;
  readonly #consumer: Consumer;
  readonly #output: Output;
  readonly #write: QueueWriter;
  readonly #endpoint: string;
  readonly #hold: () => boolean;
  #last: Receipt | undefined;
  #acknowledged: Receipt | undefined;
  #settling: Promise<void> | undefined;

  /** @param hold whether acknowledgements wait a little for more of them */
  constructor(
    session: Session,
    consumer: Consumer,
    output: Output,
    write: QueueWriter,
    endpoint: string,
    hold: () => boolean,
  ) {
    this.#session = session;
    this.#consumer = consumer;
    this.#output = output;
    this.#write = write;
    this.#endpoint = endpoint;
    this.#hold = hold;
  }

  get idle(): boolean {
    return this.#last === this.#acknowledged;
  }

  take(delivery: Delivery, receipt: Receipt): void {
    this.#write(delivery, this.#endpoint);
    this.#last = receipt;
  }

  flush(): void {
    this.#output.flush();
    this.#settling ??= this.#settle().finally(() => this.#settling = undefined);
  }

  async finish(): Promise<void> {
    await this.#settling;
    await this.#settle();
  }

  /** Acknowledges written messages until all are acknowledged. */
  async #settle(): Promise<void> {
    while (!this.idle) {
      const upTo = this.#last!;
      await this.#output.drained();
      if (this.#output.failure !== undefined) return;
      if (this.#hold() && !this.#session.stopping) {
        await this.#session.sleep(HOLD_MS);
        if (upTo !== this.#last) continue;
      }
      this.#consumer.ack(upTo, true);
      this.#consumer.flush();
      this.#acknowledged = upTo;
    }
    this.#consumer.changed.fire();
  }
}

/** Runs a command for each message, several at a time. Its exit status decides how the message is settled. */
export class ExecSink implements DeliverySink {
  readonly #session: Session;
  readonly #consumer: Consumer;
  readonly #output: Output;
  readonly #style: RecordStyle;
  readonly #endpoint: string;
  readonly #options: ExecOptions;
  readonly #runner: CommandRunner;
  #waiting: { readonly message: ExecMessage; readonly receipt: Receipt }[] = [];
  #running = new Set<Promise<void>>();
  #sequence = 0;

  constructor(
    session: Session,
    consumer: Consumer,
    output: Output,
    style: RecordStyle,
    endpoint: string,
    options: ExecOptions,
  ) {
    this.#session = session;
    this.#consumer = consumer;
    this.#output = output;
    this.#style = style;
    this.#endpoint = endpoint;
    this.#options = options;
    this.#runner = new CommandRunner(session, options.exec);
  }

  get idle(): boolean {
    return this.#running.size + this.#waiting.length === 0;
  }

  take({ routingKey, content: { body, bodyStart, bodyEnd } }: Delivery, receipt: Receipt): void {
    const message = {
      body: body.slice(bodyStart, bodyEnd),
      topic: utf8(routingKey),
      parts: 1,
      sequence: ++this.#sequence,
      endpoint: this.#endpoint,
    };
    this.#waiting.push({ message, receipt });
  }

  flush(): void {
    while (this.#running.size < (this.#options.jobs ?? 1) && !this.#session.stopping) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      // The broker delivers it again after a reconnect.
      if (next.receipt.generation !== this.#consumer.generation) continue;
      const job = this.#work(next.message, next.receipt).then(() => {
        this.#running.delete(job);
        this.flush();
        this.#consumer.changed.fire();
      });
      this.#running.add(job);
    }
  }

  async finish(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #work(message: ExecMessage, receipt: Receipt): Promise<void> {
    const outcome = await this.#runner.run(message);
    // An unacknowledged message goes back to the queue when we disconnect.
    if (outcome === undefined) return;
    reportFailure(this.#session, message, outcome);
    appendPrinted(this.#output, outcome.printed, this.#style);
    await this.#output.drained();
    if (this.#output.failure !== undefined) return;
    if (outcome.failure === undefined) this.#consumer.ack(receipt, false);
    else {
      this.#session.exitCode = EXIT.exec;
      const requeue = (this.#options.onError ?? "requeue") === "requeue";
      if (requeue) await this.#session.sleep(REQUEUE_MS);
      this.#consumer.nack(receipt, requeue);
    }
    this.#consumer.flush();
  }
}
