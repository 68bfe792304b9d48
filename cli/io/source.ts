import { Buffer } from "node:buffer";
import fs from "node:fs";
import { Batch } from "../../lib/zmtp/batch.ts";
import { UsageError } from "../app/errors.ts";
import { phrase } from "../app/reporter.ts";
import { jsonSplitter } from "../records/json.ts";
import { type Framing, framingOf, splitterFor, type TopicRule } from "../records/splitter.ts";
import { Input, type Source } from "./input.ts";

/** The values of the message options of a command. */
export interface SourceOptions {
  readonly null: boolean | undefined;
  readonly in: Framing | undefined;
  readonly json: boolean | undefined;
  readonly data: readonly string[];
  readonly file: readonly string[];
}

/**
 * Returns the source of messages: `-D` and `-F`, else stdin. With `-D` or `-F`, stdin is not read.
 *
 * @param repeat whether `-D` and `-F` are sent repeatedly
 * @throws {UsageError} the options contradict each other, or a file cannot be read
 */
export function sourceOf(options: SourceOptions, repeat: boolean, rule: TopicRule = {}): Source {
  for (const text of options.data) {
    // The runtime decodes arguments as UTF-8, and has replaced invalid bytes.
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
    return new FixedSource(
      fixed.map((body) => rule.topic === undefined ? [body] : [rule.topic, body]),
      repeat,
    );
  }
  if (framing === "json") {
    if (rule.separator !== undefined) {
      throw new UsageError("-K splits plain text; a JSON record has a member 'topic'");
    }
    return new Input(0, jsonSplitter(rule));
  }
  return new Input(0, splitterFor(framing, rule), rule.topic);
}

function readFile(path: string): Uint8Array {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    throw new UsageError(`-F '${path}': ${reasonOf(error)}`);
  }
}

/** Why a file cannot be read, in plain words. */
function reasonOf(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EISDIR":
      return "it is a directory, not a file";
    case "ENOENT":
      return "there is no such file";
    case "EACCES":
      return "permission denied";
  }
  return phrase(error);
}

/** A fixed list of messages, sent once or repeatedly. */
class FixedSource implements Source {
  ended: boolean;
  readonly cut = false;
  onEnd: () => void = () => {};

  readonly #messages: readonly (readonly Uint8Array[])[];
  readonly #repeat: boolean;
  #next = 0;
  #cancelled = false;

  constructor(messages: readonly (readonly Uint8Array[])[], repeat: boolean) {
    this.#messages = messages;
    this.#repeat = repeat;
    this.ended = !repeat;
  }

  next(): Promise<Batch | undefined> {
    if (this.#next === this.#messages.length && this.#repeat) this.#next = 0;
    const message = this.#cancelled && this.#repeat ? undefined : this.#messages[this.#next++];
    return Promise.resolve(message === undefined ? undefined : Batch.of(message));
  }

  cancel(): void {
    this.#cancelled = this.ended = true;
  }
}
