/** One run of `queue restore`. */
import { createHash } from "node:crypto";
import fs from "node:fs";
import { AmqpError } from "../../../lib/amqp/amqp_error.ts";
import type { AmqpConnection } from "../../../lib/amqp/client/connection.ts";
import { managementUrl } from "../../../lib/amqp/client/management.ts";
import { declareQueue, withChannel } from "../../../lib/amqp/client/queues.ts";
import { PROGRESS } from "../../../lib/amqp/dump.ts";
import { messageOf } from "../../../lib/errors.ts";
import type { Batch } from "../../../lib/zmtp/batch.ts";
import { StoppedError } from "../../app/errors.ts";
import { Progress as ProgressLine } from "../../app/progress.ts";
import { phrase } from "../../app/reporter.ts";
import type { Session } from "../../app/session.ts";
import { messages, queues } from "../../app/tally.ts";
import { openFile } from "../../io/file.ts";
import { Input } from "../../io/input.ts";
import { RecordError } from "../../records/json.ts";
import { splitterFor } from "../../records/splitter.ts";
import type { BrokerTarget } from "../target.ts";
import { declareAll, definitionsFor, setPolicies } from "./definitions.ts";
import { type Header, parseHeader, parseLine } from "./format.ts";
import { OwnPutter, type Putter, QueuePutter } from "./putter.ts";
import { matchesName } from "../name_pattern.ts";
import { select } from "./selection.ts";

/** How long another process that restores the same dump is waited for, in milliseconds, and how often it is looked for. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 200;

/** What a restore reads and where it puts the messages. */
export interface RestoreOptions {
  readonly target: BrokerTarget;
  /** `-` is stdin. */
  readonly path: string;
  /** The names and patterns of the queues to restore; none: all. */
  readonly operands: readonly string[];
  /** URLs of the HTTP API; undefined: the default of the broker. */
  readonly http: readonly string[] | undefined;
}

/** Restores a dump. A file continues where an earlier run was interrupted. */
export class Restore {
  readonly #session: Session;
  readonly #options: RestoreOptions;
  readonly #queues = new Set<string>();
  #line = 0;
  /** The queue with the progress; empty if the restore cannot be continued. */
  #progress = "";
  #pipe: Input | undefined;
  /** The first batch of the pipe. */
  #first: Batch | undefined;
  #header: Header | undefined;

  constructor(session: Session, options: RestoreOptions) {
    this.#session = session;
    this.#options = options;
  }

  /**
   * Reads a file to its end, or the beginning of a pipe: before a broker is asked, and a directory for its messages is
   * created.
   *
   * @throws {UsageError | RecordError | StoppedError} it cannot be read, is no dump, or has not the wanted queues; the
   * file is damaged or incomplete; a signal came first
   */
  async check(): Promise<void> {
    const { path, operands } = this.#options;
    const isFile = path !== "-" && fs.statSync(path, { throwIfNoEntry: false })?.isFile() === true;
    if (isFile) this.#progress = `${PROGRESS}${await this.#checkFile()}`;
    else await this.#checkPipe();
    const { definitions } = this.#header!;
    if (definitions !== undefined) {
      select(
        operands,
        definitions.queues.map(({ name }) => name),
        " in the dump",
      );
    }
  }

  /** @throws the dump is damaged or incomplete, or the broker refuses a part of it */
  async run(connection: AmqpConnection): Promise<void> {
    const { counts, reporter } = this.#session;
    const progress = this.#progress;
    const input = this.#pipe ?? this.#open();
    const batch = this.#first ?? await input.next();
    if (progress !== "") await this.#lock(connection, progress);
    await this.#define(connection, this.#header!);
    if (progress !== "") await declareQueue(connection, progress, { arguments: { "x-max-length": 1 } });
    const putter = await (connection.dumps ? OwnPutter : QueuePutter).open(connection, progress);
    if (putter.done > 0) reporter.info(`continues after ${messages(putter.done)}`);
    if (!connection.dumps) {
      reporter.warn("the broker does not keep exchanges and routing keys of restored messages");
    }
    const line = new ProgressLine(this.#session, () => counts.sent, "restored");
    this.#session.onStop(() => input.cancel());
    let isDone = false;
    try {
      await this.#put(putter, batch!, input);
      isDone = !this.#session.stopping;
    } catch (error) {
      if (!this.#session.stopping) throw error;
      if (progress === "") reporter.info("stopped: a part of the dump is restored");
    } finally {
      line.end();
      if (!isDone && progress !== "") reporter.info("the same command continues the restore");
    }
    if (!isDone) return;
    if (progress !== "") {
      await withChannel(
        connection,
        (channel) => channel.call("queue.delete", { queue: progress }, "queue.delete-ok"),
      );
    }
    reporter.info(`restored ${messages(counts.sent)} into ${queues(this.#queues.size)}`);
  }

  /** Puts the messages of the dump, except those that an earlier run has put. */
  async #put(putter: Putter, first: Batch, input: Input): Promise<void> {
    const { counts } = this.#session;
    let total = 0;
    let selected = 0;
    let announced: number | undefined;
    for (let batch: Batch | undefined = first; batch !== undefined; batch = await input.next()) {
      for (let i = 0; i < batch.frames; i++) {
        if (this.#line++ === 0) continue;
        if (announced !== undefined) throw this.#wrong("the dump has ended, but the file continues");
        const item = this.#parsed(() => parseLine(batch!.frame(i)));
        if (typeof item === "number") {
          announced = item;
          continue;
        }
        total++;
        if (!this.#selects(item.queue) || ++selected <= putter.done) continue;
        this.#queues.add(item.queue);
        putter.put(item);
        counts.sent++;
        counts.bytes += item.body.length;
      }
      await putter.flush();
    }
    await putter.finish();
    counts.confirmed = counts.sent;
    if (!this.#session.stopping && announced !== total) throw this.#incomplete(total, announced);
  }

  #open(): Input {
    return new Input(openFile(this.#options.path), splitterFor("lines", {}));
  }

  /** A pipe can be read only once, so its beginning is kept. */
  async #checkPipe(): Promise<void> {
    const input = this.#pipe = this.#open();
    this.#session.onStop(() => input.cancel());
    this.#first = await input.next();
    if (this.#session.stopping) throw new StoppedError("stopped before anything was restored");
    this.#header = this.#parsed(() => parseHeader(this.#first?.frame(0)));
  }

  /**
   * Reads a file to its end, so that nothing of an incomplete one is restored.
   *
   * @returns a text that identifies the restore: only the same one continues
   * @throws {RecordError} the file is incomplete
   */
  async #checkFile(): Promise<string> {
    const hash = createHash("sha256").update(JSON.stringify(this.#options.operands));
    const input = this.#open();
    let lines = 0;
    let last: Uint8Array | undefined;
    for (let batch = await input.next(); batch !== undefined; batch = await input.next()) {
      if (lines === 0) this.#header = this.#parsed(() => parseHeader(batch!.frame(0)));
      for (let i = 0; i < batch.frames; i++) hash.update(batch.frame(i)).update("\n");
      lines += batch.frames;
      last = batch.frame(batch.frames - 1).slice();
    }
    this.#line = Math.max(0, lines - 1);
    const end = this.#parsed(() => lines < 2 ? undefined : parseLine(last!));
    this.#line = 0;
    const isEnded = typeof end === "number";
    const total = Math.max(0, lines - (isEnded ? 2 : 1));
    if (end !== total) throw this.#incomplete(total, isEnded ? end : undefined);
    return hash.digest("hex").slice(0, 16);
  }

  #selects(queue: string): boolean {
    const { operands } = this.#options;
    return operands.length === 0 || operands.some((operand) => matchesName(operand, queue));
  }

  /** Waits until no other connection restores the dump: its messages that are under way must be counted first. */
  async #lock(connection: AmqpConnection, progress: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        const lock = { queue: `${progress}.lock`, exclusive: true };
        return await withChannel(
          connection,
          async (channel) => void await channel.call("queue.declare", lock, "queue.declare-ok"),
        );
      } catch (error) {
        if (!(error instanceof AmqpError) || error.replyCode !== 405) throw error;
        if (performance.now() > end) {
          throw new Error("another process restores this dump: wait for its end", { cause: error });
        }
      }
      await this.#session.sleep(LOOK_MS);
    }
  }

  async #define(connection: AmqpConnection, { definitions }: Header): Promise<void> {
    if (definitions === undefined) return;
    const { operands, target, http } = this.#options;
    const { policies = [], parameters = [] } = definitions;
    const count = policies.length + parameters.length;
    if (operands.length === 0 && count > 0) {
      try {
        await setPolicies(http ?? target.brokers.map(managementUrl), target.brokers[0]!, definitions);
      } catch (error) {
        this.#session.reporter.warn(
          `${count} policies and limits of the dump are not restored: ${phrase(error)}`,
        );
      }
    }
    const names = select(operands, definitions.queues.map(({ name }) => name), " in the dump");
    await declareAll(
      connection,
      operands.length === 0 ? definitions : definitionsFor(definitions, new Set(names)),
    );
  }

  #parsed<T>(parse: () => T): T {
    try {
      return parse();
    } catch (error) {
      throw error instanceof RecordError
        ? this.#wrong(`line ${Math.max(1, this.#line)}: ${messageOf(error)}`)
        : error;
    }
  }

  #incomplete(total: number, announced: number | undefined): Error {
    return this.#wrong(
      announced === undefined
        ? `the dump is incomplete: it ends after ${messages(total)}`
        : `the dump has ${messages(total)}, but ${announced} at its end`,
    );
  }

  #wrong(text: string): Error {
    return new RecordError(`${this.#options.path === "-" ? "stdin" : `'${this.#options.path}'`}: ${text}`);
  }
}
