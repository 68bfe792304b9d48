import { type ChildProcessByStdio, spawn } from "node:child_process";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import type { Batch } from "../../lib/zmtp/batch.ts";
import { concat, text } from "../../lib/zmtp/bytes.ts";
import { EXIT, UsageError } from "../app/errors.ts";
import type { Output } from "./output.ts";
import { phrase } from "../app/reporter.ts";
import type { RecordStyle } from "../records/writer.ts";
import { messages } from "../zmq/send.ts";
import type { Session } from "../app/session.ts";

const NEWLINE = 0x0a;
/** What a command may print for one message, in bytes. */
const MAX_OUTPUT = 256 * 2 ** 20;
/** A longer topic is not put into the environment, in bytes. */
const MAX_TOPIC = 64 * 1024;

/** Options that change how messages are split or written, as far as a command has them. */
interface Formatting {
  readonly null?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly format?: string | undefined;
  readonly separator?: string | undefined;
}

/** @throws {UsageError} an option was given that has no effect, since messages go on as they are */
export function refuseFormatting(way: "--exec" | "--echo", options: Formatting): void {
  const names = { null: "-0", json: "-J", format: "-f", separator: "-K" } as const;
  for (const name of ["null", "json", "format", "separator"] as const) {
    if (options[name] === undefined) continue;
    throw new UsageError(`${way} passes messages on as they are, so ${names[name]} has no effect beside it`);
  }
}

/** @throws {UsageError} options contradict each other: `-j` without `--exec`, or a form for what a command prints */
export function checkExec(
  options: Formatting & { readonly exec: string | undefined; readonly jobs: number | undefined },
): void {
  if (options.exec !== undefined) refuseFormatting("--exec", options);
  else if (options.jobs !== undefined) {
    throw new UsageError("-j is how many --exec commands run at a time, and there is no --exec");
  }
}

/** The commands that run now. */
const running = new Set<ChildProcessByStdio<Writable, Readable, null>>();

/** Ends all commands at once. */
export function killCommands(): void {
  for (const child of running) child.kill("SIGTERM");
}

/** What a command is told of its message. */
export interface ExecMessage {
  readonly body: Uint8Array;
  readonly topic: Uint8Array | undefined;
  readonly parts: number;
  readonly sequence: number;
  readonly endpoint: string;
  /** The peer's routing id as text, where it has one. */
  readonly routingId?: string | undefined;
}

/**
 * Runs a command in a shell: the body is its stdin, `MQCAT_*` in its environment describes the message. A failure is
 * reported, and becomes the session's exit code.
 *
 * @returns what it printed
 */
export function execute(session: Session, command: string, message: ExecMessage): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    let ended = false;
    const end = (problem: string | undefined) => {
      if (ended) return;
      ended = true;
      if (problem !== undefined) {
        session.reporter.error(`--exec: message ${message.sequence}: ${problem}`);
        session.exitCode = EXIT.exec;
      }
      resolve(concat(chunks));
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
    child.stdin.on("error", () => {}); // It need not read its input.
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

/**
 * Runs a command for each message, several at a time. What they print goes to stdout, a whole output at once; among
 * lines, one whose last line is not ended is.
 */
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
      if (lost > 0) session.reporter.error(`${messages(lost)} came and --exec is not done with them`);
    });
    output.onChange = () => this.onChange();
  }

  /** The peers are held back while every job is busy: what waits is what the last piece of input brought. */
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
   * Resolves when every message was worked on. A signal, or a reader of stdout that went away, lets the running commands
   * end and starts no more; what then still waits is counted.
   */
  async drained(): Promise<void> {
    while (this.#running > 0 || this.#waiting.length > 0 && !this.#over) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    const left = this.#waiting.length;
    if (left === 0 || !this.#session.stopping) return;
    this.#session.counts.unsent += left;
    this.#session.reporter.error(
      `${messages(left)} came and ${left === 1 ? "was" : "were"} not given to --exec`,
    );
    this.#session.exitCode = EXIT.undelivered;
  }

  get #over(): boolean {
    return this.#session.stopping || this.#output.failure !== undefined;
  }

  #start(): void {
    while (this.#running < this.#jobs && this.#waiting.length > 0 && !this.#over) {
      this.#running++;
      execute(this.#session, this.#command, this.#waiting.shift()!).then((printed) => {
        this.#running--;
        this.#output.append(printed);
        const cut = printed.length > 0 && printed.at(-1) !== NEWLINE;
        if (cut && this.#style.framing === "lines") this.#output.append(Uint8Array.of(NEWLINE));
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

/** A NUL cannot be in an environment, and the system takes 128 KiB for one variable (execve(2)). */
function topicOf(topic: Uint8Array): string | undefined {
  return topic.length > MAX_TOPIC ? undefined : text(topic).replaceAll("\0", "");
}
