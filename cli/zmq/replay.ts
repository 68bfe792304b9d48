import { Batch } from "../../lib/zmtp/batch.ts";
import type { Session } from "../app/session.ts";
import { openFile } from "../io/file.ts";
import { Input, type Source } from "../io/input.ts";
import { type JsonRecord, jsonSplitter, recordSplitter } from "../records/json.ts";
import type { Splitter } from "../records/splitter.ts";
import { parseTimestamp } from "../records/time.ts";

/** The largest delay that later messages make up for, in milliseconds. */
const MAKE_UP_MS = 1000;

/** The speed of `--speed max`. */
export const MAX_SPEED = Infinity;

/** What the batches of a recording contain: the frames of the messages, or the records as they are, one frame each. */
export type RecordingForm = "messages" | "records";

/**
 * A source that returns the messages of a recording at their times: with the recorded distance to the first one,
 * divided by the speed. At the speed `max` it returns them as they are read.
 */
export class Recording implements Source {
  readonly cut = false;
  onEnd: () => void = () => {};

  readonly #session: Session;
  readonly #path: string;
  readonly #speed: number;
  readonly #loop: boolean;
  readonly #form: RecordingForm;
  #input: Input;
  /** The times of the messages that are read but not returned, in milliseconds, from `#nextTime`. */
  #times: number[] = [];
  #nextTime = 0;
  #batch: Batch | undefined;
  #at = 0;
  /** The recorded time that corresponds to `#start` on our clock, and the latest recorded time so far. */
  #origin: number | undefined;
  #start = 0;
  #newest = 0;
  #given = 0;
  #cancelled = false;

  /**
   * @param path of the recording; `-` is stdin
   * @param loop whether to start again at the end
   * @param form what the batches contain
   * @throws {UsageError} the file cannot be read
   */
  constructor(session: Session, path: string, speed: number, loop: boolean, form: RecordingForm) {
    this.#session = session;
    this.#path = path;
    this.#speed = speed;
    this.#loop = loop;
    this.#form = form;
    this.#input = this.#open();
  }

  get ended(): boolean {
    return this.#cancelled || !this.#loop && this.#input.ended;
  }

  async next(): Promise<Batch | undefined> {
    while (!this.#cancelled) {
      const batch = this.#batch ?? await this.#read();
      if (batch === undefined) return undefined;
      if (this.#speed === MAX_SPEED) {
        this.#batch = undefined;
        return batch;
      }
      const from = this.#at;
      this.#at = batch.messageEnd(from);
      if (this.#at === batch.frames) this.#batch = undefined;
      await this.#due();
      if (!this.#cancelled) return batch.slice(from, this.#at);
    }
    return undefined;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#input.cancel();
  }

  async countRest(): Promise<number> {
    if (this.#session.stopping || this.#loop) return 0;
    let count = this.#batch?.countMessages(this.#at, this.#batch.frames) ?? 0;
    this.#batch = undefined;
    for (let batch = await this.#read(); batch !== undefined; batch = await this.#read()) {
      count += batch.messages;
      this.#batch = undefined;
    }
    return count;
  }

  async #read(): Promise<Batch | undefined> {
    this.#at = 0;
    this.#times = this.#times.slice(this.#nextTime);
    this.#nextTime = 0;
    let batch = await this.#input.next();
    // A recording without messages would be read endlessly.
    while (batch === undefined && this.#loop && this.#given > 0 && !this.#cancelled) {
      this.#given = 0;
      this.#origin = undefined;
      this.#input = this.#open();
      batch = await this.#input.next();
    }
    this.#given += batch?.messages ?? 0;
    return this.#batch = batch;
  }

  /** Waits for the time of the next message. A signal ends the wait. */
  async #due(): Promise<void> {
    const time = this.#times[this.#nextTime++]!;
    const now = performance.now();
    if (this.#origin === undefined) {
      this.#origin = this.#newest = time;
      // The first message may wait for peers, so the clock starts when the second one is requested.
      this.#start = 0;
      return;
    }
    this.#start ||= now;
    this.#newest = Math.max(this.#newest, time);
    const due = this.#start + (this.#newest - this.#origin) / this.#speed;
    if (now - due > MAKE_UP_MS) this.#start += now - due;
    await this.#session.sleep(due - now);
  }

  #open(): Input {
    const name = this.#path === "-" ? "stdin" : `'${this.#path}'`;
    const input = new Input(openFile(this.#path), this.#splitter(name));
    input.onEnd = () => this.onEnd();
    return input;
  }

  #splitter(name: string): Splitter {
    const each = this.#speed === MAX_SPEED ? () => {} : (record: JsonRecord) => this.#note(record);
    if (this.#form === "records") return recordSplitter({ name, each });
    return jsonSplitter({ name, each, warn: this.#session.warn });
  }

  /** A record without a time of arrival, as those of a dump, may have the time of its publisher, in seconds. */
  #note(record: JsonRecord): void {
    const { time, properties } = record as JsonRecord & {
      readonly properties?: { readonly timestamp?: unknown };
    };
    const sent = Number(properties?.timestamp);
    if (time === undefined && Number.isNaN(sent)) {
      throw new Error(
        "it has neither 'time' nor the property 'timestamp' (record with --timestamps, or replay with --speed max)",
      );
    }
    this.#times.push(time === undefined ? sent * 1000 : parseTimestamp(time));
  }
}
