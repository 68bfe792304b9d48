import { readName } from "../../lib/bytes/text_cache.ts";
import { isTerminal } from "../../lib/transport/runtime/stdout.ts";
import { Batch } from "../../lib/zmtp/batch.ts";
import { byteLength, utf8 } from "../../lib/zmtp/bytes.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { LARGE, type Output } from "../io/output.ts";
import { bigEndian, compileFormat } from "./format.ts";
import { type JsonRecord, toRecord } from "./json.ts";
import { formatRoutingId } from "./routing_id.ts";
import { type Framing, framingOf } from "./splitter.ts";
import { timestamp } from "./time.ts";
import type { TopicCounts } from "./topic_counts.ts";
import { visible, visibleJson } from "./visible.ts";

const NEWLINE = Uint8Array.of(0x0a);
const NUL = Uint8Array.of(0);

/** How messages are written as bytes. */
export interface RecordStyle {
  readonly framing: Framing;
  /** A template, which replaces the framing. */
  readonly format?: string | undefined;
  /** Whether the first of several frames is a topic (SUB). */
  readonly hasTopic: boolean;
  /** The separator between topic and body, if the topic is shown. */
  readonly separator?: Uint8Array | undefined;
  /** Set if the first frame is a routing id, which is then shown. */
  readonly routing?: {
    /** The separator between the id and the body. */
    readonly separator: Uint8Array;
    /** Removes the envelope from the frames after an id. */
    open(id: Uint8Array, frames: Uint8Array[]): Uint8Array[];
  } | undefined;
  /** Whether control characters of messages are escaped, because the output is a terminal. */
  readonly escaped?: boolean | undefined;
  /** Whether a record has the time of arrival. */
  readonly timestamps?: boolean | undefined;
  /** Counts messages, which are then not written (--stats). */
  readonly stats?: {
    readonly counts: TopicCounts;
    /** The topics that were subscribed to: the longest that fits is the topic of a message of one frame. */
    readonly prefixes: readonly string[];
  };
  /** Called once, when a message of several parts is written in a framing that joins them. */
  readonly onJoined?: () => void;
}

/** The values of the output options of a command. */
export interface OutputOptions {
  readonly null: boolean | undefined;
  readonly out: Framing | undefined;
  readonly json: boolean | undefined;
  readonly format: string | undefined;
  readonly timestamps?: boolean | undefined;
}

/** Returns the way of writing that the output options request. */
export function styleOf(
  session: Session,
  options: OutputOptions,
  hasTopic: boolean,
  separator?: Uint8Array,
): RecordStyle {
  const framing = framingOf("--out", options.out, options);
  if (options.format !== undefined && framing !== "lines") {
    throw new UsageError(
      "-f sets the whole format of the output: remove --out, -J and -0",
    );
  }
  const { format, timestamps } = options;
  if (timestamps && framing !== "json") {
    throw new UsageError("--timestamps adds a member to the records of -J (-f has %T for it)");
  }
  const onJoined = () =>
    session.reporter.warn(
      "received a message of several parts; they are joined (-J or -f '%p1 %p2' shows them)",
    );
  return { framing, format, hasTopic, separator, timestamps, onJoined, escaped: isTerminal(1) };
}

/** Writes messages to an output. */
export interface RecordWriter {
  /** Writes the frames `[from, to)`, which are whole messages, as copies; does not flush. */
  write(batch: Batch, from: number, to: number, endpoint: string): void;
}

/** @throws {Error} the template is invalid */
export function recordWriter(output: Output, style: RecordStyle): RecordWriter {
  if (style.stats !== undefined) return countingWriter(style.stats);
  if (style.routing !== undefined) return routedWriter(output, style, style.routing);
  if (style.format !== undefined) return templateWriter(output, style, style.format);
  if (style.escaped && style.framing !== "json") return escapedWriter(output, style);
  switch (style.framing) {
    case "lines":
      return new PlainWriter(output, style, 0x0a);
    case "null":
      return new PlainWriter(output, style, 0);
    case "blob":
      return new PlainWriter(output, style, undefined);
    case "u32":
      return eachMessage(style, (frames, topicFrames) => {
        const body = frames.slice(topicFrames);
        const length = body.reduce((sum, frame) => sum + frame.length, 0);
        output.append(bigEndian(length));
        for (const frame of body) output.append(frame);
      });
    case "json":
      return eachMessage(style, (frames, _topicFrames, endpoint) => {
        output.append(recordLine(style, toRecord(frames, style.hasTopic, endpoint)));
      });
  }
}

/** Counts the messages of each topic: that is the first of several frames. */
function countingWriter({ counts, prefixes }: NonNullable<RecordStyle["stats"]>): RecordWriter {
  const known = prefixes.map((text) => ({ text, bytes: utf8(text) })).sort((a, b) =>
    b.bytes.length - a.bytes.length
  );
  return {
    write(batch, from, to) {
      const { bytes } = batch;
      for (let at = from; at < to;) {
        const end = batch.skipMessages(at, 1);
        const start = batch.starts[at]!;
        const stop = batch.ends[at]!;
        if (end - at > 1) counts.count(readName(bytes, start, stop), batch.countBytes(at + 1, end));
        else {
          const prefix = known.find((prefix) => startsWith(bytes, start, stop, prefix.bytes));
          counts.count(prefix?.text ?? "", stop - start);
        }
        at = end;
      }
    },
  };
}

function startsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function recordLine({ timestamps, escaped }: RecordStyle, record: JsonRecord): Uint8Array {
  if (timestamps) record.time = timestamp();
  const json = JSON.stringify(record);
  return utf8(`${escaped ? visibleJson(json) : json}\n`);
}

/** A body up to this length is copied byte by byte, in bytes: `copyWithin` costs more. */
const SHORT = 24;

/**
 * Writes bodies with one byte after each, or none. It copies the whole batch at once and moves each body to its place,
 * like `encodeBatch` and for the same reason.
 */
class PlainWriter implements RecordWriter {
  readonly #output: Output;
  readonly #style: RecordStyle;
  readonly #end: number | undefined;
  #warned = false;

  constructor(output: Output, style: RecordStyle, end: number | undefined) {
    this.#output = output;
    this.#style = style;
    this.#end = end;
  }

  write(batch: Batch, from: number, to: number, _endpoint: string): void {
    const { starts, ends, flags } = batch;
    const { hasTopic, separator } = this.#style;
    const output = this.#output;
    const first = starts[from]!;
    const span = ends[to - 1]! - first;
    if (to - from === 1 && span >= LARGE) {
      output.appendLarge(batch.frame(from), batch.lease);
      if (this.#end === undefined) return;
      output.reserve(1);
      output.bytes[output.length++] = this.#end;
      return;
    }
    // No body may be overwritten before it is moved: the space before the copy is enough for all separators.
    const between = (to - from) * (1 + (separator?.length ?? 0));
    output.reserve(span + between);
    const { bytes } = output;
    let at = output.length;
    const shift = at + between - first;
    const source = batch.bytes;
    bytes.set(source.subarray(first, first + span), at + between);
    for (let i = from; i < to; i++) {
      if (hasTopic && flags[i] !== 0) {
        if (separator !== undefined) {
          bytes.copyWithin(at, starts[i]! + shift, ends[i]! + shift);
          at += ends[i]! - starts[i]!;
          bytes.set(separator, at);
          at += separator.length;
        }
        i++;
      }
      for (;; i++) {
        const start = starts[i]!;
        const end = ends[i]!;
        if (end - start <= SHORT) { for (let from = start; from < end; from++) bytes[at++] = source[from]!; }
        else {
          bytes.copyWithin(at, start + shift, end + shift);
          at += end - start;
        }
        if (flags[i] === 0) break;
        this.#joins();
      }
      if (this.#end !== undefined) bytes[at++] = this.#end;
    }
    output.length = at;
  }

  #joins(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#style.onJoined?.();
  }
}

/** Escapes the frames of messages, and writes them as usual. */
function escapedWriter(output: Output, style: RecordStyle): RecordWriter {
  const plain = recordWriter(output, { ...style, escaped: false });
  return {
    write(batch, from, to, endpoint) {
      const messages: Uint8Array[][] = [];
      for (; from < to; from = batch.messageEnd(from)) {
        messages.push(batch.copy(from, batch.messageEnd(from)).map(visible));
      }
      const shown = Batch.ofMessages(messages);
      plain.write(shown, 0, shown.frames, endpoint);
    },
  };
}

function templateWriter(output: Output, style: RecordStyle, template: string): RecordWriter {
  const steps = compileFormat(template, style.escaped ? visible : undefined);
  const append = (bytes: Uint8Array) => output.append(bytes);
  let sequence = 0;
  return eachMessage(style, (frames, topicFrames, endpoint) => {
    const input = { frames, topicFrames, endpoint, sequence: ++sequence };
    for (const step of steps) step(input, append);
  });
}

/** Writes each message after the routing id of its peer. JSON shows every frame, other framings only the body. */
function routedWriter(
  output: Output,
  style: RecordStyle,
  routing: NonNullable<RecordStyle["routing"]>,
): RecordWriter {
  const steps = style.format === undefined
    ? undefined
    : compileFormat(style.format, style.escaped ? visible : undefined);
  const append = (bytes: Uint8Array) => output.append(bytes);
  let sequence = 0;
  return eachMessage({ ...style, hasTopic: false }, ([peer, ...rest], _topicFrames, endpoint) => {
    const routingId = formatRoutingId(peer!);
    if (style.framing === "json") {
      const record = { routing_id: routingId, ...toRecord(rest, false, endpoint) };
      return append(recordLine(style, record));
    }
    const frames = routing.open(peer!, rest);
    if (steps !== undefined) {
      const input = { frames, topicFrames: 0, endpoint, routingId, sequence: ++sequence };
      for (const step of steps) step(input, append);
      return;
    }
    const id = utf8(routingId);
    const body = style.escaped ? frames.map(visible) : frames;
    if (style.framing === "u32") append(bigEndian(id.length + routing.separator.length + byteLength(body)));
    append(id);
    append(routing.separator);
    for (const frame of body) append(frame);
    if (style.framing === "lines") append(NEWLINE);
    else if (style.framing === "null") append(NUL);
  });
}

function eachMessage(
  style: RecordStyle,
  put: (frames: Uint8Array[], topicFrames: number, endpoint: string) => void,
): RecordWriter {
  return {
    write(batch, from, to, endpoint) {
      while (from < to) {
        const end = batch.messageEnd(from);
        const frames = [];
        for (let i = from; i < end; i++) frames.push(batch.frame(i));
        put(frames, style.hasTopic && frames.length > 1 ? 1 : 0, endpoint);
        from = end;
      }
    },
  };
}
