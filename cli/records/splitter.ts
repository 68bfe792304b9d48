import { LimitError } from "../../lib/errors.ts";
import { MAX_MESSAGE_SIZE } from "../../lib/zmq/options.ts";
import { type Batch, MORE } from "../../lib/zmtp/batch.ts";
import { UsageError } from "../app/errors.ts";
import { findAll, WINDOW } from "./separators.ts";

/** The framings of a stream of messages. */
export const FRAMINGS = ["lines", "null", "blob", "json", "u32"] as const;
export type Framing = typeof FRAMINGS[number];

/** Returns the framing of `--in` or `--out`, `-J` and `-0`. */
export function framingOf(
  name: "--in" | "--out",
  framing: Framing | undefined,
  options: { readonly null: boolean | undefined; readonly json: boolean | undefined },
): Framing {
  const given = new Set<Framing>();
  if (framing !== undefined) given.add(framing);
  if (options.json) given.add("json");
  if (options.null) given.add("null");
  if (given.size > 1) {
    throw new UsageError(`${name}, -J and -0 name different framings: ${[...given].join(", ")}`);
  }
  return [...given][0] ?? "lines";
}

/** Finds messages in a stream of bytes. It stores no bytes. */
export interface Splitter {
  /**
   * Adds the messages that end in `bytes[start, end)` to `batch`.
   *
   * @param searched the end of the bytes that earlier calls have searched, for the same `start`
   * @returns the start of the first incomplete message
   */
  split(bytes: Uint8Array, start: number, searched: number, end: number, batch: Batch): number;
  /** The input ended after `bytes[start, end)`. */
  finish(bytes: Uint8Array, start: number, end: number, batch: Batch): void;
}

/** How the topic of a message becomes its first frame. */
export interface TopicRule {
  /** A topic for every message; it is at the start of the buffer. */
  readonly topic?: Uint8Array | undefined;
  /** The separator between the topic and the body of each message. */
  readonly separator?: Uint8Array | undefined;
  /** Whether JSON records must have a routing id. */
  readonly routed?: boolean;
  /** Reports what is dropped of JSON records. */
  readonly warn?: ((text: string) => void) | undefined;
}

/** @throws {UsageError} the framing does not support topics */
export function splitterFor(framing: Exclude<Framing, "json">, rule: TopicRule): Splitter {
  const add = adder(rule);
  switch (framing) {
    case "lines":
      return delimited(0x0a, add);
    case "null":
      return delimited(0, add);
    case "blob":
      return {
        split: (_bytes, start) => start,
        finish: (bytes, start, end, batch) => add(bytes, start, end, batch),
      };
    case "u32":
      return prefixed(add);
  }
}

type Add = (bytes: Uint8Array, start: number, end: number, batch: Batch) => void;

function adder({ topic, separator }: TopicRule): Add {
  const addWhole: Add = topic === undefined
    ? (_bytes, start, end, batch) => batch.add(start, end, 0)
    : (_bytes, start, end, batch) => {
      batch.add(0, topic.length, MORE);
      batch.add(start, end, 0);
    };
  if (separator === undefined) return addWhole;
  if (separator.length === 0) throw new UsageError("-K '': the separator must not be empty");
  return (bytes, start, end, batch) => {
    const at = find(bytes, separator, start, end);
    if (at < 0) return addWhole(bytes, start, end, batch);
    batch.add(start, at, MORE);
    batch.add(at + separator.length, end, 0);
  };
}

function delimited(separator: number, add: Add): Splitter {
  const found = new Int32Array(WINDOW);
  return {
    split(bytes, start, searched, end, batch) {
      for (let from = searched; from < end; from += WINDOW) {
        const count = findAll(bytes, separator, from, Math.min(end, from + WINDOW), found);
        for (let i = 0; i < count; i++) {
          add(bytes, start, from + found[i]!, batch);
          start = from + found[i]! + 1;
        }
      }
      return start;
    },
    finish(bytes, start, end, batch) {
      if (start < end) add(bytes, start, end, batch);
    },
  };
}

function prefixed(add: Add): Splitter {
  return {
    split(bytes, start, _searched, end, batch) {
      while (end - start >= 4) {
        const length =
          (bytes[start]! << 24 | bytes[start + 1]! << 16 | bytes[start + 2]! << 8 | bytes[start + 3]!) >>> 0;
        if (length > MAX_MESSAGE_SIZE) {
          throw new LimitError(
            `A u32 prefix in the input announces ${length} bytes, but the limit is ${MAX_MESSAGE_SIZE}: check --in u32`,
          );
        }
        if (end - start - 4 < length) break;
        add(bytes, start + 4, start + 4 + length, batch);
        start += 4 + length;
      }
      return start;
    },
    finish(_bytes, start, end) {
      if (start < end) {
        throw new LimitError(
          `The input ends in the middle of a u32 message: ${end - start} bytes are left`,
        );
      }
    },
  };
}

/** The position of `needle` in `bytes[start, end)`, or -1. */
function find(bytes: Uint8Array, needle: Uint8Array, start: number, end: number): number {
  const last = end - needle.length;
  next:
  for (let at = start; at <= last; at++) {
    for (let i = 0; i < needle.length; i++) if (bytes[at + i] !== needle[i]) continue next;
    return at;
  }
  return -1;
}
