/** The labels of a sample. */
export type Labels = Readonly<Record<string, string>>;

export type MetricType = "gauge" | "counter" | "histogram";

/** A metric of objects of one kind; `name` comes after `rabbitmq_` or `rabbitmq_detailed_`. */
export type Metric<T> = readonly [
  type: MetricType,
  name: string,
  help: string,
  value: (object: T) => number,
];

/** The text format of Prometheus, version 0.0.4. */
export class Exposition {
  readonly #lines: string[] = [];

  add(
    type: MetricType,
    name: string,
    help: string,
    samples: Iterable<readonly [labels: Labels, value: number]>,
  ): void {
    this.#head(type, name, help);
    for (const [labels, value] of samples) this.#lines.push(`${name}${format(labels)} ${value}`);
  }

  /**
   * Adds a histogram.
   *
   * @param bounds the upper bounds of its classes, the last one is Infinity
   * @param counts the number of values of each class
   */
  histogram(
    name: string,
    help: string,
    labels: Labels,
    bounds: readonly number[],
    counts: ArrayLike<number>,
    sum: number,
  ): void {
    this.#head("histogram", name, help);
    let count = 0;
    bounds.forEach((bound, at) => {
      count += counts[at]!;
      const le = bound === Infinity ? "+Inf" : `${bound}`;
      this.#lines.push(`${name}_bucket${format({ ...labels, le })} ${count}`);
    });
    this.#lines.push(`${name}_sum${format(labels)} ${sum}`, `${name}_count${format(labels)} ${count}`);
  }

  /** Adds metrics of each object. */
  each<T>(
    prefix: string,
    metrics: Iterable<Metric<T>>,
    objects: readonly T[],
    labels: (object: T) => Labels,
  ): void {
    const labelled = objects.map((object) => [object, labels(object)] as const);
    for (const [type, name, help, value] of metrics) {
      this.add(type, prefix + name, help, labelled.map(([object, labels]) => [labels, value(object)]));
    }
  }

  /** Adds the sums of metrics over all objects. */
  sum<T>(prefix: string, metrics: Iterable<Metric<T>>, objects: readonly T[]): void {
    for (const [type, name, help, value] of metrics) {
      this.add(type, prefix + name, help, [[{}, objects.reduce((sum, object) => sum + value(object), 0)]]);
    }
  }

  #head(type: MetricType, name: string, help: string): void {
    this.#lines.push(`# TYPE ${name} ${type}`, `# HELP ${name} ${help}`);
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

function format(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => {
    const escaped = value.toWellFormed().replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
    return `${name}="${escaped}"`;
  });
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
