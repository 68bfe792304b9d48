import type { Batch } from "../../lib/zmtp/batch.ts";
import { concat } from "../../lib/zmtp/bytes.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import type { Framing } from "../records/splitter.ts";
import type { RecordStyle } from "../records/writer.ts";
import { CommandRunner, type ExecMessage, type ExecOutcome } from "./commands.ts";
import type { Output } from "./output.ts";

const NEWLINE = 0x0a;

/** The options that change how messages are split or written, if the command has them. */
interface Formatting {
  readonly null?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly format?: string | undefined;
  readonly out?: Framing | undefined;
  readonly separator?: string | undefined;
}

/** @throws {UsageError} an option was given that has no effect, because messages are passed on unchanged */
export function refuseFormatting(way: "--exec" | "--echo", options: Formatting): void {
  const names = { null: "-0", json: "-J", format: "-f", out: "--out", separator: "-K" } as const;
  const isPlain = options.out === "lines" || options.out === "blob";
  for (const name of ["null", "json", "format", "out", "separator"] as const) {
    if (options[name] === undefined || name === "out" && isPlain) continue;
    throw new UsageError(`${names[name]} has no effect with ${way}, which passes messages on unchanged`);
  }
}

/** @throws {UsageError} options contradict each other: `-j` without `--exec`, or `--exec` with an output format */
export function checkExec(
  options: Formatting & { readonly exec: string | undefined; readonly jobs: number | undefined },
): void {
  if (options.exec !== undefined) refuseFormatting("--exec", options);
  else if (options.jobs !== undefined) {
    throw new UsageError("-j needs --exec: it limits how many commands run at a time");
  }
}

/** Reports the failure of a command, if it failed. */
export function reportFailure(
  { reporter }: Session,
  { sequence }: ExecMessage,
  { failure }: ExecOutcome,
): void {
  if (failure !== undefined) reporter.error(`--exec: message ${sequence}: ${failure}`);
}

/** The output of a command as one message: a line without its newline; `--in blob` keeps every byte. */
export function printedMessage(printed: Uint8Array, framing: Framing | undefined): Uint8Array {
  return framing === undefined && printed.at(-1) === NEWLINE ? printed.subarray(0, -1) : printed;
}

/** Appends the output of a command; in a framing of lines, it ends with a newline. */
export function appendPrinted(output: Output, printed: Uint8Array, { framing }: RecordStyle): void {
  output.append(printed);
  const cut = printed.length > 0 && printed.at(-1) !== NEWLINE;
  if (cut && framing === "lines") output.append(Uint8Array.of(NEWLINE));
}

/** Runs a command for each message, several at a time. The output of each goes to stdout as a whole. */
export class ExecPool {
  onChange: () => void = () => {};

  readonly #session: Session;
  readonly #output: Output;
  readonly #runner: CommandRunner;
  readonly #jobs: number;
  readonly #style: RecordStyle;
  #waiting: ExecMessage[] = [];
  #running = 0;
  /** Messages whose command could not be started before a signal. */
  #skipped = 0;
  #sequence = 0;
  #idle: (() => void)[] = [];

  constructor(session: Session, output: Output, command: string, jobs: number, style: RecordStyle) {
    this.#session = session;
    this.#output = output;
    this.#runner = new CommandRunner(session, command);
    this.#jobs = jobs;
    this.#style = style;
    session.onAbort(() => {
      const lost = this.#running + this.#waiting.length + this.#skipped;
      if (lost > 0) session.reporter.error(`--exec did not finish ${messages(lost)} that arrived`);
    });
    output.onChange = () => this.onChange();
  }

  /** The peers are paused while every job is busy: only messages of the last read wait. */
  get full(): boolean {
    return this.#waiting.length > 0 || this.#output.full;
  }

  take(batch: Batch, from: number, to: number, endpoint: string): void {
    while (from < to) {
      const end = batch.messageEnd(from);
      const frames = batch.copy(from, end);
      const topic = this.#style.hasTopic && frames.length > 1 ? frames[0] : undefined;
      const body = concat(topic === undefined ? frames : frames.slice(1));
      this.#waiting.push({ body, topic, parts: frames.length, sequence: ++this.#sequence, endpoint });
      from = end;
    }
    this.#start();
  }

  /**
   * Resolves when a command ran for every message. After a signal, or when stdout is closed, running commands end and no
   * new ones start; the messages that still wait are counted as unsent.
   */
  async drained(): Promise<void> {
    while (this.#running > 0 || this.#waiting.length > 0 && !this.#over) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    const left = this.#waiting.length + this.#skipped;
    if (left === 0 || !this.#session.stopping) return;
    this.#session.counts.unsent += left;
    this.#session.reporter.error(
      `--exec was not run for ${messages(left)} that arrived`,
    );
    this.#session.exitCode = EXIT.undelivered;
  }

  get #over(): boolean {
    return this.#session.stopping || this.#output.failure !== undefined;
  }

  #start(): void {
    while (this.#running < this.#jobs && this.#waiting.length > 0 && !this.#over) {
      this.#running++;
      const message = this.#waiting.shift()!;
      this.#runner.run(message).then((outcome) => {
        this.#running--;
        if (outcome === undefined) this.#skipped++;
        else this.#print(message, outcome);
        this.#start();
        this.onChange();
        if (this.#running === 0) { for (const resolve of this.#idle.splice(0)) resolve(); }
      });
    }
  }

  #print(message: ExecMessage, outcome: ExecOutcome): void {
    reportFailure(this.#session, message, outcome);
    if (outcome.failure !== undefined) this.#session.exitCode = EXIT.exec;
    appendPrinted(this.#output, outcome.printed, this.#style);
    this.#output.flush();
  }
}
