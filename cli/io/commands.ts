/** Runs the commands of `--exec`: as processes of a shell, and as many at a time as the system allows. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { concat, text } from "../../lib/zmtp/bytes.ts";
import { phrase } from "../app/reporter.ts";
import type { Session } from "../app/session.ts";

/** The most that a command may print for one message, in bytes. */
const MAX_OUTPUT = 256 * 2 ** 20;
/** A longer topic is not put into the environment, in bytes. */
const MAX_TOPIC = 64 * 1024;
/** How long the first and the longest wait is when the system refuses a command and none is running, in milliseconds. */
const RETRY_MS = 50;
const MAX_RETRY_MS = 1000;
/** After this time without a refusal, one more command may run at a time, in milliseconds. */
const GROW_MS = 10_000;

/** The refusals of the system that pass when other programs or commands end. */
const SHORTAGES: Record<string, string> = {
  EMFILE: "this process is out of file descriptors",
  ENFILE: "the system is out of file descriptors",
  EAGAIN: "the system is out of processes",
  ENOMEM: "the system is out of memory",
};

/** The running commands. */
const running = new Set<ChildProcessByStdio<Writable, Readable, null>>();

/** Ends all running commands. */
function killCommands(): void {
  for (const child of running) child.kill("SIGTERM");
}

/** A message, as `--exec` describes it to the command. */
export interface ExecMessage {
  readonly body: Uint8Array;
  readonly topic: Uint8Array | undefined;
  readonly parts: number;
  readonly sequence: number;
  readonly endpoint: string;
  /** The peer's routing id as text, where it has one. */
  readonly routingId?: string | undefined;
}

/** The end of a command. */
export interface ExecOutcome {
  readonly printed: Uint8Array;
  /** Why it failed: its exit status, a signal, or an error; undefined when it exited with 0. */
  readonly failure: string | undefined;
  /** Set when the system had no means to start the command, which can change: the error code. */
  readonly shortage?: string;
}

/**
 * Runs one command for many messages. When the system refuses to start another process, fewer run at a time, and the
 * message waits for its turn: it is not lost.
 */
export class CommandRunner {
  readonly #session: Session;
  readonly #command: string;
  /** How many commands may run at a time. */
  #limit = Infinity;
  #limitedAt = 0;
  #warned = false;
  /** Commands that run or are being started. */
  #started = 0;
  #waiting: (() => void)[] = [];
  #delay = RETRY_MS;

  constructor(session: Session, command: string) {
    this.#session = session;
    this.#command = command;
    session.onAbort(killCommands);
    session.onStop(() => this.#wake());
  }

  /** Runs the command; resolves to undefined when a signal ended the wait before the command could start. */
  async run(message: ExecMessage): Promise<ExecOutcome | undefined> {
    for (;;) {
      while (this.#started >= this.#allowed()) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        if (this.#session.stopping) return undefined;
      }
      this.#started++;
      const outcome = await execute(this.#command, message);
      this.#started--;
      if (outcome.shortage === undefined) {
        this.#delay = RETRY_MS;
        this.#wake();
        return outcome;
      }
      this.#reduce(outcome.shortage);
      // The end of a command makes room; when there is none to wait for, time may.
      if (running.size === 0) await this.#session.sleep(this.#delay);
      if (this.#session.stopping) return undefined;
      this.#delay = Math.min(this.#delay * 2, MAX_RETRY_MS);
    }
  }

  #allowed(): number {
    const now = performance.now();
    if (this.#limit < Infinity && now - this.#limitedAt >= GROW_MS) {
      this.#limit++;
      this.#limitedAt = now;
    }
    return this.#limit;
  }

  #reduce(code: string): void {
    this.#limit = Math.max(1, Math.min(this.#limit, running.size));
    this.#limitedAt = performance.now();
    if (this.#warned) return;
    this.#warned = true;
    this.#session.reporter.warn(
      `--exec: cannot start another command: ${
        SHORTAGES[code]
      } (${code}); continuing with fewer at a time, nothing is lost`,
    );
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Runs a command in a shell: the body is its stdin, `MQCAT_*` in its environment describes the message. */
function execute(command: string, message: ExecMessage): Promise<ExecOutcome> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    let ended = false;
    const end = (failure: string | undefined, shortage?: string) => {
      if (ended) return;
      ended = true;
      resolve({ printed: concat(chunks), failure, ...(shortage === undefined ? {} : { shortage }) });
    };
    const refuse = (error: unknown) => {
      const code = (error as NodeJS.ErrnoException).code ?? "";
      end(phrase(error), code in SHORTAGES ? code : undefined);
    };
    let child: ChildProcessByStdio<Writable, Readable, null>;
    try {
      const env = { ...process.env, ...describe(message) };
      child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "pipe", "inherit"], env });
    } catch (error) {
      return refuse(error);
    }
    child.on("error", refuse);
    if (child.pid === undefined) {
      // The process does not exist, and its pipes may not either; the error follows.
      child.stdin?.destroy();
      child.stdout?.destroy();
      return;
    }
    running.add(child);
    child.stdin.on("error", () => {}); // It may exit without reading its input.
    child.stdin.end(message.body);
    child.stdout.on("data", (chunk: Uint8Array) => {
      length += chunk.length;
      if (length <= MAX_OUTPUT) return void chunks.push(chunk);
      child.kill("SIGKILL");
      // The processes that the shell has started end when they write again.
      child.stdout.destroy();
    });
    child.on("close", (status, signal) => {
      running.delete(child);
      if (length > MAX_OUTPUT) end(`it printed more than ${MAX_OUTPUT} bytes`);
      else if (signal !== null) end(`it was ended by ${signal}`);
      else end(status === 0 ? undefined : `it exited with ${status}`);
    });
  });
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
