import { type ChildProcessByStdio, spawn } from "node:child_process";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { concat, text } from "../../lib/zmtp/bytes.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import type { RecordStyle } from "../records/writer.ts";
import type { Output } from "./output.ts";

const NEWLINE = 0x0a;
/** The most that a command may print for one message, in bytes. */
const MAX_OUTPUT = 256 * 2 ** 20;
/** A longer topic is not put into the environment, in bytes. */
const MAX_TOPIC = 64 * 1024;

/** The options that change how messages are split or written, if the command has them. */
interface Formatting {
  readonly null?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly format?: string | undefined;
  readonly separator?: string | undefined;
}

/** @throws {UsageError} an option was given that has no effect, because messages are passed on unchanged */
export function refuseFormatting(way: "--exec" | "--echo", options: Formatting): void {
  const names = { null: "-0", json: "-J", format: "-f", separator: "-K" } as const;
  for (const name of ["null", "json", "format", "separator"] as const) {
    if (options[name] === undefined) continue;
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

/** The running commands. */
const running = new Set<ChildProcessByStdio<Writable, Readable, null>>();

/** Ends all running commands. */
export function killCommands(): void {
  for (const child of running) child.kill("SIGTERM");
}

/** A message, as `--exec` describes it to the command. */
export interface ExecMessage {
  readonly body: Uint8Array;
  readonly topic: Uint8Array | undefined;
  readonly parts: number;
  readonly sequence: number;
  readonly endpoint: string;
  /** The peer's routing id as text, if it has one. */
  readonly routingId?: string | undefined;
}

/** The end of a command. */
export interface ExecOutcome {
  readonly printed: Uint8Array;
  /** Why it failed: its exit status, a signal, or an error; undefined when it exited with 0. */
  readonly failure: string | undefined;
}

/** Runs a command in a shell: the body is its stdin, `MQCAT_*` in its environment describes the message. */
export function execute(command: string, message: ExecMessage): Promise<ExecOutcome> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    let ended = false;
    const end = (failure: string | undefined) => {
      if (ended) return;
      ended = true;
      resolve({ printed: concat(chunks), failure });
    };
    let child: ChildProcessByStdio<Writable, Readable, null>;
    try {
      const env = { ...process.env, ...describe(message) };
      child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "inherit"], env });
    } catch (error) {
      return end(phrase(error));
    }
    running.add(child);
    child.on("error", (error) => end(phrase(error)));
    child.stdin.on("error", () => {}); // It may exit without reading its input.
    child.stdin.end(message.body);
    child.stdout.on("data", (chunk: Uint8Array) => {
      length += chunk.length;
      if (length > MAX_OUTPUT) child.kill("SIGKILL");
      else chunks.push(chunk);
    });
    child.on("close", (status, signal) => {
      running.delete(child);
      if (length > MAX_OUTPUT) end(`it printed more than ${MAX_OUTPUT} bytes`);
      else if (signal !== null) end(`it was ended by ${signal}`);
      else end(status === 0 ? undefined : `it exited with ${status}`);
    });
  });
}

/** Reports the failure of a command, if it failed. */
export function reportFailure(
  { reporter }: Session,
  { sequence }: ExecMessage,
  { failure }: ExecOutcome,
): void {
  if (failure !== undefined) reporter.error(`--exec: message ${sequence}: ${failure}`);
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
  readonly #command: string;
  readonly #jobs: number;
  readonly #style: RecordStyle;
  #waiting: ExecMessage[] = [];
  #running = 0;
  #sequence = 0;
  #idle: (() => void)[] = [];

  constructor(session: Session, output: Output, command: string, jobs: number, style: RecordStyle) {
    this.#session = session;
    this.#output = output;
    this.#command = command;
    this.#jobs = jobs;
    this.#style = style;
    session.onAbort(() => {
      killCommands();
      const lost = this.#running + this.#waiting.length;
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
    const left = this.#waiting.length;
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
      execute(this.#command, message).then((outcome) => {
        this.#running--;
        reportFailure(this.#session, message, outcome);
        if (outcome.failure !== undefined) this.#session.exitCode = EXIT.exec;
        appendPrinted(this.#output, outcome.printed, this.#style);
        this.#output.flush();
        this.#start();
        this.onChange();
        if (this.#running === 0) { for (const resolve of this.#idle.splice(0)) resolve(); }
      });
    }
  }
}

function describe(message: ExecMessage): Record<string, string | undefined> {
  return {
    MQCAT_SEQ: String(message.sequence),
    MQCAT_PARTS: String(message.parts),
    MQCAT_SIZE: String(message.body.length),
    MQCAT_ENDPOINT: message.endpoint,
    MQCAT_ROUTING_ID: message.routingId,
    MQCAT_TOPIC: message.topic === undefined ? undefined : topicOf(message.topic),
  };
}

/** The environment cannot hold a NUL, nor more than 128 KiB in one variable (execve(2)). */
function topicOf(topic: Uint8Array): string | undefined {
  return topic.length > MAX_TOPIC ? undefined : text(topic).replaceAll("\0", "");
}
