import type { Row } from "../../core/queue/queue_row.ts";
import type { History } from "./history.ts";
import type { Meter, Part } from "./meters.ts";
import type { Sampler } from "./sampler.ts";

/** The samples that a request asks for, in seconds. */
interface Range {
  readonly age: number;
  readonly step: number;
}

/** The parameters of a request for the samples of each part of the counters. */
const PARAMETERS: Readonly<Record<Part, string>> = {
  lengths: "lengths",
  published: "msg_rates",
  delivered: "msg_rates",
  disk: "msg_rates",
  data: "data_rates",
  churn: "msg_rates",
};
/** The greatest number of samples in a list; RabbitMQ has no limit. */
const MAX_SAMPLES = 2000;

/** Adds rates to counters, for one request: `x` gets a member `x_details` with `rate` and, on request, samples. */
export class Rates {
  readonly #sampler: Sampler;
  readonly #ranges = new Map<string, Range>();

  /** @param query with `lengths_age` and `lengths_incr`, …, in seconds: asks for samples */
  constructor(sampler: Sampler, query: URLSearchParams) {
    this.#sampler = sampler;
    for (const name of new Set(Object.values(PARAMETERS))) {
      const age = Number(query.get(`${name}_age`));
      const step = Number(query.get(`${name}_incr`));
      // RabbitMQ ignores malformed numbers, too.
      if (age > 0 && step > 0 && age / step <= MAX_SAMPLES) this.#ranges.set(name, { age, step });
    }
  }

  /**
   * Describes some counters of an object.
   *
   * @param key the object that the sampler knows, if it is another one
   */
  of<T extends object>(meter: Meter<T>, object: T, parts: readonly Part[], key: object = object): Row {
    const history = this.#sampler.historyOf(key);
    const row: Row = {};
    for (let i = 0; i < meter.counters.length; i++) {
      const [name, part, value] = meter.counters[i]!;
      if (!parts.includes(part)) continue;
      row[name] = value(object);
      row[`${name}_details`] = this.#details(history, i, this.#ranges.get(PARAMETERS[part]));
    }
    return row;
  }

  /**
   * As `of`, for the parts of which a counter is not 0: as in RabbitMQ, what was never used has no statistics.
   *
   * @returns undefined if there is none
   */
  used<T extends object>(
    meter: Meter<T>,
    object: T,
    parts: readonly Part[],
    key: object = object,
  ): Row | undefined {
    const used = parts.filter((part) =>
      meter.counters.some(([_name, of, value]) => of === part && value(object) > 0)
    );
    return used.length === 0 ? undefined : this.of(meter, object, used, key);
  }

  /** The current rate of the counter with an index in the meter of the object. */
  rate(key: object, index: number): number {
    return this.#rate(this.#sampler.historyOf(key), index);
  }

  #details(history: History | undefined, index: number, range: Range | undefined): Row {
    const rate = this.#rate(history, index);
    if (range === undefined) return { rate };
    const { age, step } = range;
    const newest = Math.floor(this.#sampler.last / (1000 * step)) * 1000 * step;
    const samples: { sample: number; timestamp: number }[] = [];
    for (let i = 0; i <= Math.floor(age / step); i++) {
      const timestamp = newest - i * 1000 * step;
      samples.push({ sample: history?.at(index, timestamp) ?? 0, timestamp });
    }
    const change = samples[0]!.sample - samples.at(-1)!.sample;
    const sum = samples.reduce((sum, { sample }) => sum + sample, 0);
    return { rate, samples, avg_rate: change / age, avg: sum / samples.length };
  }

  #rate(history: History | undefined, index: number): number {
    const { last, previous } = this.#sampler;
    if (history === undefined || previous === 0) return 0;
    return (history.at(index, last) - history.at(index, previous)) * 1000 / (last - previous);
  }
}
