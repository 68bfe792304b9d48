import type { Row } from "../core/queue/queue_row.ts";

type Counts = Readonly<Record<string, number>>;

interface Sample {
  readonly counts: Counts;
  /** The value of `performance.now()`. */
  readonly at: number;
}

/** The minimum time between two samples, in milliseconds. RabbitMQ's is the same. */
const INTERVAL = 5000;
/** The minimum time that a rate is computed over, in milliseconds. */
const SHORTEST = 1000;

/** The last samples of each object, the newest last. */
const samples = new WeakMap<object, readonly Sample[]>();

/**
 * Adds the rates of counts: `x` gets a member `x_details` with `rate`, the change per second since an earlier request.
 * Nothing is measured between requests, so rates cost nothing while no client asks for them; the first request has none.
 *
 * @param object the counts are those of this object; samples are kept as long as it exists
 * @param now the value of `performance.now()`
 */
export function withRates(object: object, counts: Counts, now: number = performance.now()): Row {
  let kept = samples.get(object) ?? [];
  const last = kept.at(-1);
  const [base] = kept;
  if (last === undefined || now - last.at >= INTERVAL) {
    kept = [...kept.slice(-1), { counts, at: now }];
    samples.set(object, kept);
  }
  const from = last !== undefined && now - last.at >= INTERVAL ? last : base;
  const seconds = from !== undefined && now - from.at >= SHORTEST ? (now - from.at) / 1000 : Infinity;
  const row: Row = {};
  for (const [name, count] of Object.entries(counts)) {
    row[name] = count;
    row[`${name}_details`] = { rate: (count - (from?.counts[name] ?? 0)) / seconds };
  }
  return row;
}
