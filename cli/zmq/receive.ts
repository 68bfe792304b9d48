import type { Filter } from "../../lib/filter/filter.ts";
import type { Duplex } from "../../lib/zmq/duplex.ts";
import type { Receiver } from "../../lib/zmq/receiver.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { TimeoutError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { messages } from "../app/tally.ts";
import { ExecPool } from "../io/exec.ts";
import { Output, outputFailure } from "../io/output.ts";
import { type RecordStyle, recordWriter } from "../records/writer.ts";
import { BatchFilter } from "./where.ts";

/** The values of the options of a receiving command; times are in milliseconds. */
export interface ReceivingOptions {
  readonly count: number | undefined;
  readonly timeout: number | undefined;
  readonly transient: boolean | undefined;
  readonly exec: string | undefined;
  readonly jobs: number | undefined;
  readonly conflate?: boolean | undefined;
  /** Which messages are wanted; the others are dropped. */
  readonly filter?: Filter | undefined;
}

/** The sender of a socket that also sends. It closes the socket. */
export interface OtherWay {
  /** Whether everything is sent, and no reply is expected. */
  done(): boolean;
}

/** Processes the frames `[from, to)` of a batch, which are whole messages. */
interface MessageSink {
  take(batch: Batch, from: number, to: number, endpoint: string): void;
  /** Whether the peers must be paused until `onChange`. */
  readonly full: boolean;
  onChange: () => void;
  /** Resolves when all messages are processed. */
  drained(): Promise<void>;
}

/**
 * How much is still read after the end was requested, while stdout takes it: a peer that has exited may have left this
 * much in the buffers of the system, and a peer that goes on sending must not delay the end without limit.
 */
const LATE_BYTES = 8 * 1024 * 1024;
/** How long that is read, once stdout takes bytes again, in milliseconds. */
const LATE_MS = 10_000;

/** Writes received messages to stdout, or runs a command for each, until a condition ends the command. */
export async function receiveAll(
  session: Session,
  socket: Receiver | Duplex,
  style: RecordStyle,
  options: ReceivingOptions,
  otherWay?: OtherWay,
): Promise<void> {
  const output = new Output(session);
  const sink = options.exec === undefined
    ? new RecordSink(output, style)
    : new ExecPool(session, output, options.exec, options.jobs ?? 1, style);
  const { counts } = session;
  let remaining = options.count ?? Infinity;
  let surplus = 0;
  let lastAt = performance.now();
  let held = false;
  let sent = 0;
  let late: Late | undefined = undefined;

  const take = (batch: Batch, endpoint: string) => {
    if (remaining === 0) return void (surplus += batch.messages);
    const end = batch.skipMessages(0, remaining);
    const taken = batch.countMessages(0, end);
    sink.take(batch, 0, end, endpoint);
    counts.received += taken;
    counts.bytes += batch.countBytes(0, end);
    remaining -= taken;
    surplus += batch.messages - taken;
    lastAt = performance.now();
    if (late !== undefined) {
      late.bytes -= batch.countBytes(0, end);
      if (isOver(late)) socket.pause();
    }
    if (remaining === 0) {
      socket.pause();
      socket.wake();
    } else if (sink.full && !held) {
      held = true;
      socket.pause();
    }
  };
  const newest = options.conflate ? new Newest(sink, take) : undefined;
  const filter = options.filter === undefined ? undefined : new BatchFilter(options.filter);
  socket.consume((batch, from) => {
    if (filter !== undefined) {
      filter.apply(batch);
      if (batch.messages === 0) return;
    }
    newest === undefined ? take(batch, from.remote) : newest.put(batch, from.remote);
  });
  sink.onChange = () => {
    if (output.failure !== undefined) return socket.wake();
    if (!held || sink.full || remaining === 0) return;
    if (late !== undefined) {
      if (options.exec !== undefined || isOver(late)) return;
      late.until = Math.min(late.until, performance.now() + LATE_MS);
    }
    held = false;
    lastAt = performance.now();
    socket.resume();
  };

  let failure: unknown;
  while (remaining > 0 && !session.stopping && output.failure === undefined) {
    if (socket.failure !== undefined) {
      failure = socket.failure;
      break;
    }
    if (options.transient && socket.abandoned || otherWay?.done()) break;
    if (counts.sent !== sent) [sent, lastAt] = [counts.sent, performance.now()];
    const left = held || options.timeout === undefined
      ? Infinity
      : lastAt + options.timeout - performance.now();
    if (left <= 0) {
      failure = new TimeoutError(`no message arrived for ${options.timeout! / 1000} s (-w)`);
      break;
    }
    await socket.change(left);
  }
  late = { bytes: LATE_BYTES, until: Infinity };
  socket.pause();
  await sink.drained();
  await output.drained();
  if (otherWay === undefined) await socket.close();
  failure = outputFailure(session, output) ?? failure;
  if (surplus > 0) {
    session.reporter.warn(`lost ${messages(surplus)} that arrived after the last one wanted (-n)`);
  }
  if (failure !== undefined) throw failure;
}

/** What may still be read after the end was requested. */
interface Late {
  bytes: number;
  until: number;
}

function isOver({ bytes, until }: Late): boolean {
  return bytes <= 0 || performance.now() >= until;
}

/** Keeps the latest message while the previous one is processed (`--conflate`). */
class Newest {
  readonly #sink: MessageSink;
  readonly #take: (batch: Batch, endpoint: string) => void;
  #message: { readonly batch: Batch; readonly endpoint: string } | undefined;
  #busy = false;

  constructor(sink: MessageSink, take: (batch: Batch, endpoint: string) => void) {
    this.#sink = sink;
    this.#take = take;
  }

  put(batch: Batch, endpoint: string): void {
    let first = batch.frames - 1;
    while (first > 0 && batch.flags[first - 1] !== 0) first--;
    this.#message = { batch: Batch.of(batch.copy(first, batch.frames)), endpoint };
    if (!this.#busy) this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let message = this.#message; message !== undefined; message = this.#message) {
      this.#message = undefined;
      this.#take(message.batch, message.endpoint);
      await this.#sink.drained();
    }
    this.#busy = false;
  }
}

/** Writes messages to stdout. */
class RecordSink implements MessageSink {
  readonly #output: Output;
  readonly #writer;

  constructor(output: Output, style: RecordStyle) {
    this.#output = output;
    this.#writer = recordWriter(output, style);
  }

  take(batch: Batch, from: number, to: number, endpoint: string): void {
    this.#writer.write(batch, from, to, endpoint);
    this.#output.flush();
  }

  get full(): boolean {
    return this.#output.full;
  }

  set onChange(callback: () => void) {
    this.#output.onChange = callback;
  }

  drained(): Promise<void> {
    return this.#output.drained();
  }
}
