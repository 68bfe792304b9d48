/** The upper bounds of the size classes, in bytes: those of RabbitMQ's `message_size_bytes`. */
export const SIZE_BOUNDS: readonly number[] = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8, Infinity];

/** Counts messages by the sizes of their bodies. */
export class SizeHistogram {
  /** The number of messages of each class. */
  readonly counts = new Float64Array(SIZE_BOUNDS.length);
  /** The sum of all sizes, in bytes. */
  sum = 0;

  add(size: number): void {
    let at = 0;
    while (size > SIZE_BOUNDS[at]!) at++;
    this.counts[at]!++;
    this.sum += size;
  }
}
