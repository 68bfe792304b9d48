/** The unit of the buckets, in milliseconds: 100 ns. */
const UNIT_MS = 1e-4;
/** Each power of two has 128 buckets, so a value is known to 1 %. */
const BITS = 7;
const HALF = 2 ** BITS;
/** The largest value that has a bucket: 214 s. */
const MAX_UNITS = 2 ** 31 - 1;
const BUCKETS = bucketOf(MAX_UNITS) + 1;

/** The figures of a histogram, in microseconds. */
export interface Latency {
  readonly unit: "us";
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** A histogram of times with logarithmic buckets, as in HdrHistogram. `record` does not allocate. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;
  #min = Infinity;
  #max = 0;

  /** The number of recorded values. */
  get count(): number {
    return this.#count;
  }

  /**
   * Records a value.
   *
   * @param ms the time in milliseconds; a negative one, from a clock that was set back, counts as 0
   * @param times how often the value occurred. Default: 1
   */
  record(ms: number, times = 1): void {
    const value = ms > 0 ? ms : 0;
    this.#counts[bucketOf(Math.min(MAX_UNITS, Math.round(value / UNIT_MS)))]! += times;
    this.#count += times;
    this.#sum += value * times;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /** Adds the values of another histogram. */
  add(other: Histogram): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i]! += other.#counts[i]!;
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  /**
   * The value that the given percentage of all values does not exceed, in milliseconds; 0 when there are none.
   *
   * @param percentage from 0 to 100
   */
  percentile(percentage: number): number {
    const wanted = Math.max(1, Math.ceil(this.#count * percentage / 100));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]!;
      if (seen >= wanted) return Math.min(highestIn(i) * UNIT_MS, this.#max);
    }
    return 0;
  }

  /** The buckets that are not empty: the highest value of each, in microseconds, and its count. */
  buckets(): [us: number, count: number][] {
    const found: [number, number][] = [];
    for (let i = 0; i < BUCKETS; i++) {
      if (this.#counts[i]! > 0) found.push([microseconds(highestIn(i) * UNIT_MS), this.#counts[i]!]);
    }
    return found;
  }

  /** The figures; undefined when nothing was recorded. */
  summary(): Latency | undefined {
    if (this.#count === 0) return undefined;
    return {
      unit: "us",
      count: this.#count,
      min: microseconds(this.#min),
      mean: microseconds(this.#sum / this.#count),
      p50: microseconds(this.percentile(50)),
      p90: microseconds(this.percentile(90)),
      p99: microseconds(this.percentile(99)),
      p999: microseconds(this.percentile(99.9)),
      max: microseconds(this.#max),
    };
  }
}

/** Small values have a bucket each; larger ones share a bucket with those that have the same eight leading bits. */
function bucketOf(units: number): number {
  if (units < 2 * HALF) return units;
  const shift = 31 - BITS - Math.clz32(units);
  return shift * HALF + (units >>> shift);
}

/** The highest value of a bucket. */
function highestIn(bucket: number): number {
  if (bucket < 2 * HALF) return bucket;
  const shift = (bucket >> BITS) - 1;
  return (bucket - shift * HALF + 1) * 2 ** shift - 1;
}

function microseconds(ms: number): number {
  return Math.round(ms * 10_000) / 10;
}
