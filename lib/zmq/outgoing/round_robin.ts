import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";

/**
 * Deals messages out to the peers in turn, passing over those whose queue is full (RFC 30, PUSH). What a lost peer
 * had not taken goes to the others, before anything newer.
 */
export class RoundRobin {
  readonly #connections: ZmtpConnection[] = [];
  #next = 0;
  readonly #returned: { batch: Batch; from: number }[] = [];

  add(connection: ZmtpConnection): void {
    this.#connections.push(connection);
    this.#resend();
  }

  /** Takes a closed connection out of the circle. */
  drop(connection: ZmtpConnection): void {
    this.#connections.splice(this.#connections.indexOf(connection), 1);
  }

  /** The same, and what it had not sent is dealt anew. */
  remove(connection: ZmtpConnection): void {
    this.drop(connection);
    const batch = connection.reclaim();
    if (batch.frames > 0) this.#returned.push({ batch, from: 0 });
    this.#resend();
  }

  /** How many messages came back from lost peers and have no new one. */
  get returned(): number {
    let sum = 0;
    for (const { batch, from } of this.#returned) sum += batch.countMessages(from, batch.frames);
    return sum;
  }

  /** Queues what there is room for; see `Sender.sendBatch`. */
  send(batch: Batch, from: number): number {
    return this.#resend() ? this.#deal(batch, from) : from;
  }

  /** The peer whose turn it is, if any has room. */
  pick(): ZmtpConnection | undefined {
    const count = this.#connections.length;
    for (let i = 0; i < count; i++) {
      if (this.#next >= count) this.#next = 0;
      const connection = this.#connections[this.#next++]!;
      if (connection.outbox.room > 0) return connection;
    }
    return undefined;
  }

  /** There is room again: what came back goes first. */
  #resend(): boolean {
    while (this.#returned.length > 0) {
      const first = this.#returned[0]!;
      first.from = this.#deal(first.batch, first.from);
      if (first.from < first.batch.frames) return false;
      this.#returned.shift();
    }
    return true;
  }

  onWritable(): void {
    if (this.#returned.length > 0) this.#resend();
  }

  #deal(batch: Batch, from: number): number {
    const only = this.#connections.length === 1 ? this.#connections[0]! : undefined;
    const { frames } = batch;
    while (from < frames) {
      const connection = only ?? this.pick();
      if (connection === undefined) break;
      // One peer takes a run at once; several take one message each.
      const to = only === undefined ? batch.messageEnd(from) : batch.skipMessages(from, only.outbox.room);
      if (to === from) break;
      connection.outbox.appendBatch(batch, from, to);
      from = to;
    }
    for (const connection of this.#connections) connection.outbox.flush();
    return from;
  }
}
