/** A binary heap of sequence numbers, ordered by due time and then by number, in two arrays. */
export class DueHeap {
  readonly #times: number[] = [];
  readonly #seqs: number[] = [];

  /** The earliest due time; Infinity if the heap is empty. */
  get time(): number {
    return this.#times[0] ?? Infinity;
  }

  push(time: number, seq: number): void {
    const times = this.#times;
    const seqs = this.#seqs;
    let at = times.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(times[parent]!, seqs[parent]!, time, seq)) break;
      times[at] = times[parent]!;
      seqs[at] = seqs[parent]!;
      at = parent;
    }
    times[at] = time;
    seqs[at] = seq;
  }

  /** Removes the first sequence number; returns -1 if the heap is empty. */
  pop(): number {
    const times = this.#times;
    const seqs = this.#seqs;
    if (times.length === 0) return -1;
    const first = seqs[0]!;
    const time = times.pop()!;
    const seq = seqs.pop()!;
    const length = times.length;
    if (length === 0) return first;
    let at = 0;
    for (let child; (child = 2 * at + 1) < length; at = child) {
      if (child + 1 < length && isBefore(times[child + 1]!, seqs[child + 1]!, times[child]!, seqs[child]!)) {
        child++;
      }
      if (isBefore(time, seq, times[child]!, seqs[child]!)) break;
      times[at] = times[child]!;
      seqs[at] = seqs[child]!;
    }
    times[at] = time;
    seqs[at] = seq;
    return first;
  }
}

function isBefore(time: number, seq: number, otherTime: number, otherSeq: number): boolean {
  return time < otherTime || time === otherTime && seq < otherSeq;
}
