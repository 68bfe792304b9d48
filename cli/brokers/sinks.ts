/** The two ways to process a received message: print it, or run a command for it. */
import { decodeProperties } from "../../lib/amqp/properties.ts";
import type { Delivery, Inlet, Receipt } from "../../lib/patterns/contract.ts";
import { preview } from "../../lib/zmtp/bytes.ts";
import { EXIT } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { CommandRunner, type ExecMessage } from "../io/commands.ts";
import { appendPrinted } from "../io/exec.ts";
import type { Output } from "../io/output.ts";
import { MAX_ATTEMPTS } from "../options/brokers.ts";
import type { RecordStyle } from "../records/writer.ts";
import type { QueueWriter } from "./records.ts";
import { bytesOfText } from "./values.ts";

/** How long acknowledgements wait for the rest of a `-n` (they make room for unwanted messages), in milliseconds. */
const HOLD_MS = 100;
/** The source is paused while this number of messages wait for their commands: not every system limits them. */
const MAX_WAITING = 1000;
/** The pause before a failed command runs again, in milliseconds. */
const RETRY_MS = 1000;

/** Processes messages, and acknowledges them afterwards. */
export interface DeliverySink {
  /** Takes a message, which is valid during the call. */
  take(delivery: Delivery, receipt: Receipt): void;
  /** Called after the last message of a read. */
  flush(): void;
  /** Whether every message is acknowledged. */
  readonly idle: boolean;
  /** Whether the source must be paused: the sink continues it. */
  readonly full: boolean;
  /** Whether a failure ends the command; it is reported. */
  readonly stopped: boolean;
  /** Resolves when every message is processed. After a signal no new command starts. */
  finish(): Promise<void>;
}

/** What happens to a message whose command failed too often. A subscriber's copy is dropped: it has no other receiver. */
export type Fate = "requeue" | "reject" | "dead-letter" | "drop";

/** How `--exec` runs commands, and what happens to a message when its command fails. */
export interface ExecOptions {
  readonly exec: string;
  readonly jobs: number | undefined;
  /** How often a failing command runs for a message; 0: without a limit. */
  readonly maxAttempts?: number | undefined;
  /** What happens to a message after its last attempt. Default: requeue */
  readonly onError?: Fate | undefined;
}

/** A message that waits for its command, or for the next attempt. */
interface Job {
  readonly message: ExecMessage;
  readonly receipt: Receipt;
  /** The encoded properties. */
  readonly properties: Uint8Array;
}

/** Prints messages; acknowledges them once they are written. */
export class PrintSink implements DeliverySink {
  readonly #session: Session;
  readonly #inlet: Inlet;
  readonly #output: Output;
  readonly #write: QueueWriter;
  readonly #hold: boolean;
  readonly #over: () => boolean;
  readonly stopped = false;
  readonly full = false;
  #finishing = false;
  #last: Receipt | undefined;
  #acknowledged: Receipt | undefined;
  #settling: Promise<void> | undefined;

  /**
   * @param hold whether acknowledgements wait a little for more of them
   * @param over whether the last message has arrived: `finish` acknowledges it, when the broker delivers no others
   */
  constructor(
    session: Session,
    inlet: Inlet,
    output: Output,
    write: QueueWriter,
    hold: boolean,
    over: () => boolean,
  ) {
    this.#session = session;
    this.#inlet = inlet;
    this.#output = output;
    this.#write = write;
    this.#hold = hold;
    this.#over = over;
  }

  get idle(): boolean {
    return this.#last === this.#acknowledged;
  }

  take(delivery: Delivery, receipt: Receipt): void {
    this.#write(delivery, this.#inlet.broker!);
    this.#last = receipt;
  }

  flush(): void {
    this.#output.flush();
    if (!this.idle) this.#settling ??= this.#settle();
  }

  async finish(): Promise<void> {
    this.#finishing = true;
    await this.#settling;
    await this.#settle();
  }

  /** Acknowledges written messages until all are acknowledged. */
  async #settle(): Promise<void> {
    while (!this.idle) {
      const upTo = this.#last!;
      await this.#output.drained();
      if (this.#output.failure !== undefined) break;
      if (this.#hold && !this.#over() && !this.#session.stopping) {
        await this.#session.sleep(HOLD_MS);
        if (upTo !== this.#last) continue;
      }
      if (this.#over() && !this.#finishing) break;
      this.#inlet.ack(upTo, true);
      this.#inlet.flush();
      this.#acknowledged = upTo;
    }
    // In the same step as the last check: a message that arrives after it must start the loop again.
    this.#settling = undefined;
    this.#inlet.changed.fire();
  }
}

/** Runs a command for each message, several at a time. Its exit status decides how the message is settled. */
export class ExecSink implements DeliverySink {
  readonly #session: Session;
  readonly #inlet: Inlet;
  readonly #output: Output;
  readonly #style: RecordStyle;
  readonly #options: ExecOptions;
  readonly #runner: CommandRunner;
  stopped = false;
  full = false;
  #waiting: Job[] = [];
  #running = new Set<Promise<void>>();
  #sequence = 0;

  constructor(
    session: Session,
    inlet: Inlet,
    output: Output,
    style: RecordStyle,
    options: ExecOptions,
  ) {
    this.#session = session;
    this.#inlet = inlet;
    this.#output = output;
    this.#style = style;
    this.#options = options;
    this.#runner = new CommandRunner(session, options.exec);
  }

  get idle(): boolean {
    return this.#running.size + this.#waiting.length === 0;
  }

  take({ routingKey, content }: Delivery, receipt: Receipt): void {
    const { properties, propertiesEnd, body, bodyStart, bodyEnd } = content;
    const message = {
      body: body.slice(bodyStart, bodyEnd),
      topic: bytesOfText(routingKey),
      parts: 1,
      sequence: ++this.#sequence,
      endpoint: this.#inlet.broker!,
    };
    this.#waiting.push({ message, receipt, properties: properties.slice(0, propertiesEnd) });
    this.full ||= this.#waiting.length >= MAX_WAITING;
  }

  flush(): void {
    while (this.#running.size < (this.#options.jobs ?? 1) && !this.#over) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      if (this.full && this.#waiting.length <= MAX_WAITING / 2) {
        this.full = false;
        if (!this.#output.full) this.#inlet.resume();
      }
      // The broker delivers it again after a reconnect.
      if (next.receipt.generation !== this.#inlet.generation) continue;
      const job = this.#work(next).then(() => {
        this.#running.delete(job);
        this.flush();
        this.#inlet.changed.fire();
      });
      this.#running.add(job);
    }
  }

  async finish(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  get #over(): boolean {
    return this.#session.stopping || this.stopped;
  }

  /** Runs the command until it succeeds, or has failed too often. */
  async #work(job: Job): Promise<void> {
    const { message, receipt } = job;
    const most = this.#options.maxAttempts ?? MAX_ATTEMPTS;
    for (let attempt = 1;; attempt++) {
      const outcome = await this.#runner.run(message);
      // An unacknowledged message goes back to the queue when we disconnect.
      if (outcome === undefined) return;
      appendPrinted(this.#output, outcome.printed, this.#style);
      await this.#output.drained();
      const live = receipt.generation === this.#inlet.generation;
      if (outcome.failure !== undefined) this.#report(job, outcome.failure, attempt, most, live);
      if (this.#output.failure !== undefined) return;
      if (outcome.failure === undefined) {
        this.#inlet.ack(receipt, false);
        break;
      }
      // The signal may have ended the command, too: that is no failure of the message.
      if (this.#session.stopping) {
        this.#inlet.nack(receipt, true);
        break;
      }
      if (attempt === most) {
        this.#settleFailed(receipt);
        break;
      }
      await this.#session.sleep(RETRY_MS);
      // The broker delivers it again after a reconnect.
      if (receipt.generation !== this.#inlet.generation) return;
      if (this.#over) {
        this.#inlet.nack(receipt, true);
        break;
      }
    }
    this.#inlet.flush();
  }

  /** Settles a message after its last attempt. A requeued message would fail again, so the command ends. */
  #settleFailed(receipt: Receipt): void {
    const requeue = (this.#options.onError ?? "requeue") === "requeue";
    this.#inlet.nack(receipt, requeue);
    if (requeue) this.stopped = true;
  }

  #report({ message, properties }: Job, failure: string, attempt: number, most: number, live: boolean): void {
    const attempts = most === 0 ? `attempt ${attempt}` : `attempt ${attempt} of ${most}`;
    const isLast = attempt === most && live && !this.#session.stopping;
    const outcome = isLast ? FATES[this.#options.onError ?? "requeue"] : "";
    const id = messageIdOf(properties);
    const name = id === undefined ? preview(message.body) : `id '${id}'`;
    this.#session.reporter.error(
      `--exec: message ${message.sequence} (${name}): ${failure} (${attempts})${outcome}`,
    );
    this.#session.exitCode = EXIT.exec;
  }
}

/** The id of a message for a report; undefined if it has none, or if its properties cannot be decoded. */
function messageIdOf(properties: Uint8Array): string | undefined {
  try {
    return decodeProperties(properties).messageId;
  } catch {
    return undefined;
  }
}

/** What happens to a message after its last attempt, for the report. */
const FATES = {
  "requeue": "; it is requeued, and the command ends (--on-error dead-letter puts such messages aside)",
  "dead-letter": "; it is dead-lettered",
  "reject": "; it is rejected",
  "drop": "",
} as const;
