/** `queue top`: a live table of queues on a terminal, or samples as JSON. */
import { isTerminal } from "../../../lib/transport/runtime/stdout.ts";
import { print } from "../../commands/queue/print.ts";
import { Output } from "../../io/output.ts";
import { UsageError } from "../../app/errors.ts";
import type { Session } from "../../app/session.ts";
import { isColourful } from "../../app/reporter.ts";
import { SORT_COLUMNS, type SortColumn } from "./columns.ts";
import { MAX_PAGE, type QueueSample, type Sample, type Sampler } from "./sample.ts";
import type { Key, Screen } from "../../app/screen.ts";
import { BRIGHT, PLAIN, screenLines, tableLines, totalLines, type View } from "./table.ts";

/** The values of the options. */
export interface TopOptions {
  readonly sort?: SortColumn | undefined;
  readonly reverse?: boolean | undefined;
  /** In milliseconds. */
  readonly interval?: number | undefined;
  readonly once?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly pattern?: string | undefined;
}

const DEFAULT_INTERVAL_MS = 1000;
/** The first sample of a broker without rates is compared with another one after this time, in milliseconds. */
const FIRST_MS = 500;
/** The depths that a trend shows, and of how many queues they are kept. */
const TREND = { values: 60, queues: 2000 };
/** Keys change what is asked for: the broker is asked again after this pause, in milliseconds. */
const TYPING_MS = 50;

export class Top {
  readonly #session: Session;
  readonly #sampler: Sampler;
  readonly #options: TopOptions;
  readonly #view: View;
  readonly #interval: number;
  readonly #trends = new Map<string, number[]>();
  #screen: Screen | undefined;
  #sample: Sample | undefined;
  #failure: string | undefined;
  /** Ends the pause before the next sample. */
  #wake: () => void = () => {};
  #over = false;

  constructor(session: Session, sampler: Sampler, options: TopOptions) {
    this.#session = session;
    this.#sampler = sampler;
    this.#options = options;
    this.#interval = options.interval ?? DEFAULT_INTERVAL_MS;
    const { sort = "ready", reverse = false, pattern = "" } = options;
    this.#view = {
      sort,
      // Names start with A, numbers with the largest.
      ascending: (sort === "name") !== reverse,
      pattern,
      page: 0,
      frozen: false,
      typing: undefined,
    };
  }

  /** @throws {UsageError} stdout or stdin is no terminal, and neither `once` nor `json` is given */
  async run(): Promise<void> {
    const { once, json } = this.#options;
    if (once) return await this.#printOnce();
    if (json) return await this.#printAlways();
    if (!isTerminal(1) || !isTerminal(0)) {
      throw new UsageError("the table needs a terminal (try --once for a single one, or -J for JSON)");
    }
    const { Screen } = await import("../../app/screen.ts");
    const first = await this.#take(this.#rows(24));
    this.#screen = new Screen(this.#session, (key) => this.#onKey(key), () => this.#wake());
    this.#session.onStop(() => this.#wake());
    this.#sample = first;
    this.#show();
    await this.#pause(FIRST_MS);
    while (!this.#over && !this.#session.stopping) {
      await this.#refresh();
      await this.#pause(this.#interval);
    }
    this.#screen.close();
  }

  async #refresh(): Promise<void> {
    if (!this.#view.frozen) {
      try {
        this.#sample = await this.#take(this.#rows(this.#screen!.height));
        this.#failure = undefined;
      } catch (error) {
        this.#failure = `the broker does not answer: ${error instanceof Error ? error.message : error}`;
      }
    }
    this.#show();
  }

  #show(): void {
    const screen = this.#screen!;
    const emphasis = isColourful() ? BRIGHT : PLAIN;
    let sample = this.#sample!;
    if (this.#failure !== undefined) {
      const alarms = [this.#failure, ...sample.totals.alarms];
      sample = { ...sample, totals: { ...sample.totals, alarms } };
    }
    screen.show(screenLines(sample, this.#view, screen, emphasis, this.#trends));
  }

  /** The number of queues that fit on a screen of this height, with one alarm. */
  #rows(height: number): number {
    return Math.max(1, Math.min(MAX_PAGE, height - 4));
  }

  async #take(size: number): Promise<Sample> {
    const sample = await this.#sampler({ ...this.#view, size });
    for (const { name, ready } of sample.queues) {
      const trend = this.#trends.get(name) ?? [];
      this.#trends.delete(name); // The last ones of the map are those seen last.
      this.#trends.set(name, trend);
      if (trend.push(ready) > TREND.values) trend.shift();
    }
    for (const name of this.#trends.keys()) {
      if (this.#trends.size <= TREND.queues) break;
      this.#trends.delete(name);
    }
    return sample;
  }

  async #printOnce(): Promise<void> {
    let sample = await this.#sampler(this.#view);
    if (sample.totals.in === undefined && sample.totals.queues > 0) {
      await this.#session.sleep(this.#options.interval ?? FIRST_MS);
      sample = await this.#sampler(this.#view);
    }
    if (this.#options.json) return await print(this.#session, [recordOf(sample)]);
    const table = tableLines(sample.queues, this.#view, Infinity, PLAIN);
    await print(this.#session, [...totalLines(sample.totals, PLAIN), "", ...table]);
  }

  async #printAlways(): Promise<void> {
    const output = new Output(this.#session);
    while (!this.#session.stopping) {
      await print(this.#session, [recordOf(await this.#sampler(this.#view))], output);
      if (output.failure !== undefined) return; // The reader has exited.
      await this.#session.sleep(this.#interval);
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#over || this.#session.stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        setTimeout(resolve, TYPING_MS);
      };
    });
  }

  #onKey(key: Key): void {
    const view = this.#view;
    if (view.typing !== undefined) this.#onTyped(key, view.typing);
    else if (key === "q") this.#over = true;
    else if (key === " ") view.frozen = !view.frozen;
    else if (key === "r") view.ascending = !view.ascending;
    else if (key === "/") view.typing = view.pattern;
    else if (key === "<" || key === ">") this.#sortBy(key === ">" ? 1 : -1);
    else if (key === "PageDown") {
      view.page += (view.page + 1) * this.#sample!.queues.length < this.#sample!.totals.queues ? 1 : 0;
    } else if (key === "PageUp") view.page = Math.max(0, view.page - 1);
    else return;
    this.#wake();
  }

  #onTyped(key: Key, typed: string): void {
    const view = this.#view;
    if (key === "Escape") view.typing = undefined;
    else if (key === "Backspace") view.typing = typed.slice(0, -1);
    else if (key !== "Enter") view.typing = key.length === 1 ? typed + key : typed;
    else {
      view.pattern = typed === "" || typed.includes("*") ? typed : `*${typed}*`;
      view.page = 0;
      view.typing = undefined;
    }
  }

  #sortBy(step: number): void {
    const view = this.#view;
    const at = SORT_COLUMNS.indexOf(view.sort) + step;
    view.sort = SORT_COLUMNS[(at + SORT_COLUMNS.length) % SORT_COLUMNS.length]!;
    view.ascending = view.sort === "name";
    view.page = 0;
  }
}

/** A sample as one line of JSON. The names are those of the columns, rates are per second, ages in seconds. */
function recordOf({ totals, queues }: Sample): string {
  return JSON.stringify({
    time: new Date().toISOString(),
    ...ratesNamed(totals),
    list: queues.map(ratesNamed),
  });
}

function ratesNamed<T extends Pick<QueueSample, "in" | "out" | "acks">>(
  { in: incoming, out, acks, ...rest }: T,
) {
  return { ...rest, in_rate: incoming, out_rate: out, ack_rate: acks };
}
