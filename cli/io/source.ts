import { Buffer } from "node:buffer";
import fs from "node:fs";
import { Batch } from "../../lib/zmtp/batch.ts";
import { UsageError } from "../app/errors.ts";
import type { Session } from "../app/session.ts";
import { phrase } from "../app/reporter.ts";
import { jsonSplitter } from "../records/json.ts";
import { type Framing, framingOf, splitterFor, type TopicRule } from "../records/splitter.ts";
import { Input, type Source } from "./input.ts";
import { stdinReader } from "./prompt.ts";

/** The values of the message options of a command. */
export interface SourceOptions {
  readonly null: boolean | undefined;
  readonly in: Framing | undefined;
  readonly json: boolean | undefined;
  readonly data: readonly string[];
  readonly file: readonly string[];
}

/** The path that names stdin. */
const STDIN = "-";

/**
 * Returns the source of messages: `-D` and `-F`, else stdin. With `-D` or `-F`, stdin is read only for `-F -`.
 *
 * @param repeat whether `-D` and `-F` are sent repeatedly
 * @throws {UsageError} the options contradict each other, or a file cannot be read
 */
export function sourceOf(
  session: Session,
  options: SourceOptions,
  repeat: boolean,
  topics: TopicRule = {},
): Source {
  const rule = { ...topics, warn: session.warn };
  if (options.file.filter((path) => path === STDIN).length > 1) {
    throw new UsageError("-F - is stdin, which can be read only once");
  }
  const fixed = [
    ...options.data.map((text) => Buffer.from(text, "utf8")),
    ...options.file.map((path) => readFile(session, path)),
  ];
  const framing = framingOf("--in", options.in, options);
  if (fixed.length > 0) {
    if (options.in !== undefined || options.json || options.null) {
      throw new UsageError("-D and -F give whole messages, so --in, -J and -0 have nothing to split");
    }
    return new FixedSource(fixed, rule.topic, repeat);
  }
  if (framing === "json") {
    if (rule.separator !== undefined) {
      throw new UsageError("-K splits plain text; a JSON record has a member 'topic'");
    }
    return new Input(stdinReader(session), jsonSplitter(rule));
  }
  return new Input(stdinReader(session), splitterFor(framing, rule), rule.topic);
}

/** Reads a file; stdin is read later, as one message. */
function readFile(session: Session, path: string): Uint8Array | Input {
  if (path === STDIN) return new Input(stdinReader(session), splitterFor("blob", {}));
  try {
    return fs.readFileSync(path);
  } catch (error) {
    throw new UsageError(`-F '${path}': ${phrase(error)}`);
  }
}

/** A fixed list of messages, sent once or repeatedly. One of them may be the whole of stdin. */
class FixedSource implements Source {
  onEnd: () => void = () => {};

  readonly #bodies: (Uint8Array | Input)[];
  readonly #topic: Uint8Array | undefined;
  readonly #repeat: boolean;
  readonly #stdin: Input | undefined;
  #next = 0;
  #cancelled = false;

  constructor(bodies: (Uint8Array | Input)[], topic: Uint8Array | undefined, repeat: boolean) {
    this.#bodies = bodies;
    this.#topic = topic;
    this.#repeat = repeat;
    this.#stdin = bodies.find((body) => body instanceof Input);
    if (this.#stdin !== undefined) this.#stdin.onEnd = () => this.onEnd();
  }

  get cut(): boolean {
    return this.#stdin?.cut ?? false;
  }

  get ended(): boolean {
    return this.#cancelled || !this.#repeat && (this.#stdin?.ended ?? true);
  }

  async next(): Promise<Batch | undefined> {
    if (this.#next === this.#bodies.length && this.#repeat) this.#next = 0;
    if (this.#cancelled && this.#repeat || this.#next === this.#bodies.length) return undefined;
    let body = this.#bodies[this.#next]!;
    if (body instanceof Input) {
      const batch = await body.next();
      if (batch === undefined) return undefined;
      body = this.#bodies[this.#next] = batch.frame(0).slice();
    }
    this.#next++;
    return Batch.of(this.#topic === undefined ? [body] : [this.#topic, body]);
  }

  cancel(): void {
    this.#cancelled = true;
    this.#stdin?.cancel();
  }
}
