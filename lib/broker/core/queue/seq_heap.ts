/** A binary heap of sequence numbers, lowest first. */
export class SeqHeap {
  readonly #seqs: number[] = [];

  get length(): number {
    return this.#seqs.length;
  }

  /** The lowest sequence number. The heap must not be empty. */
  get first(): number {
    return this.#seqs[0]!;
  }

  clear(): void {
    this.#seqs.length = 0;
  }

  push(seq: number): void {
    const seqs = this.#seqs;
    let at = seqs.push(seq) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (seqs[parent]! <= seq) break;
      seqs[at] = seqs[parent]!;
      at = parent;
    }
    seqs[at] = seq;
  }

  /** Removes the lowest sequence number. The heap must not be empty. */
  pop(): number {
    const seqs = this.#seqs;
    const first = seqs[0]!;
    const last = seqs.pop()!;
    const { length } = seqs;
    if (length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && seqs[child + 1]! < seqs[child]!) child++;
      if (seqs[child]! >= last) break;
      seqs[at] = seqs[child]!;
      at = child;
    }
    seqs[at] = last;
    return first;
  }
}
