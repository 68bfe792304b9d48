import fs from "node:fs";
import { Buffer } from "node:buffer";
import { UsageError } from "../app/errors.ts";
import { Input, type Source } from "./input.ts";
import { Messages } from "./messages.ts";
import { phrase } from "../app/reporter.ts";
import { jsonSplitter } from "../records/json.ts";
import { type Framing, splitterFor, type TopicRule } from "../records/splitter.ts";

/** What the message options of a command say. */
export interface SourceOptions {
  readonly null: boolean | undefined;
  readonly in: Framing | undefined;
  readonly json: boolean | undefined;
  readonly data: readonly string[];
  readonly file: readonly string[];
}

/**
 * Where the messages come from: `-D` and `-F`, else stdin, which is otherwise never touched.
 *
 * @param repeat whether `-D` and `-F` are sent over and over
 * @throws {UsageError} the options contradict each other, or a file cannot be read
 */
export function sourceOf(options: SourceOptions, repeat: boolean, rule: TopicRule = {}): Source {
  for (const text of options.data) {
    // The runtime gives words in UTF-8 and has replaced what is none.
    if (text.includes("\ufffd")) {
      throw new UsageError("-D takes text in UTF-8; other bytes can come from a file (-F) or stdin");
    }
  }
  const fixed = [...options.data.map((text) => Buffer.from(text, "utf8")), ...options.file.map(readFile)];
  const framing = framingOf("--in", options.in, options);
  if (fixed.length > 0) {
    if (options.in !== undefined || options.json || options.null) {
      throw new UsageError("-D and -F give whole messages, so --in, -J and -0 have nothing to split");
    }
    return new Messages(fixed.map((body) => rule.topic === undefined ? [body] : [rule.topic, body]), repeat);
  }
  if (framing === "json") {
    if (rule.separator !== undefined) {
      throw new UsageError("-K splits plain text; a JSON record has a member 'topic'");
    }
    return new Input(0, jsonSplitter(rule));
  }
  return new Input(0, splitterFor(framing, rule), rule.topic);
}

/** The framing that `--in` or `--out`, `-J` and `-0` mean together. */
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

function readFile(path: string): Uint8Array {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    throw new UsageError(`-F '${path}': ${phrase(error)}`);
  }
}
