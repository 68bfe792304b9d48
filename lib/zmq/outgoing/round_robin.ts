import type { Batch } from "../../zmtp/batch.ts";
import type { ZmtpConnection } from "../../zmtp/connection.ts";

/**
 * Distributes messages to the peers in turn and skips peers whose queue is full (RFC 30, PUSH). Messages left unsent by a
 * disconnected peer are redistributed before newer messages.
 */
export class RoundRobin {
  readonly #connections: ZmtpConnection[] = [];
  #next = 0;
  readonly #returned: { batch: Batch; from: number }[] = [];

  /** Adds a peer. */
  add(connection: ZmtpConnection): void {
    this.#connections.push(connection);
    this.#resend();
  }

  /** Removes a connection, unless it is removed already. Its unsent messages are lost. */
  drop(connection: ZmtpConnection): void {
    const index = this.#connections.indexOf(connection);
    if (index >= 0) this.#connections.splice(index, 1);
  }

  /** Removes a closed connection and redistributes its unsent messages. */
  remove(connection: ZmtpConnection): void {
    this.drop(connection);
    const batch = connection.reclaim();
    if (batch.frames > 0) this.#returned.push({ batch, from: 0 });
    this.#resend();
  }

  /** The number of messages that disconnected peers left and that wait for another peer. */
  get returned(): number {
    let sum = 0;
    for (const { batch, from } of this.#returned) sum += batch.countMessages(from, batch.frames);
    return sum;
  }

  /** Queues the messages that there is room for; see `Sender.sendBatch`. */
  send(batch: Batch, from: number): number {
    return this.#resend() ? this.#distribute(batch, from) : from;
  }

  /** The next peer with room, if there is one. */
  pick(): ZmtpConnection | undefined {
    const count = this.#connections.length;
    for (let i = 0; i < count; i++) {
      if (this.#next >= count) this.#next = 0;
      const connection = this.#connections[this.#next++]!;
      if (connection.outbox.room > 0) return connection;
    }
    return undefined;
  }

  /** Redistributes the returned messages. @returns whether none is left */
  #resend(): boolean {
    while (this.#returned.length > 0) {
      const first = this.#returned[0]!;
      first.from = this.#distribute(first.batch, first.from);
      if (first.from < first.batch.frames) return false;
      this.#returned.shift();
    }
    return true;
  }

  /** Continues with the returned messages when a queue has room again. */
  onWritable(): void {
    if (this.#returned.length > 0) this.#resend();
  }

  #distribute(batch: Batch, from: number): number {
    const only = this.#connections.length === 1 ? this.#connections[0]! : undefined;
    const { frames } = batch;
    while (from < frames) {
      const connection = only ?? this.pick();
      if (connection === undefined) break;
      // A single peer receives a run of messages; several peers receive one message each.
      const to = only === undefined ? batch.messageEnd(from) : batch.skipMessages(from, only.outbox.room);
      if (to === from) break;
      connection.outbox.appendBatch(batch, from, to);
      from = to;
    }
    for (const connection of this.#connections) connection.outbox.flush();
    return from;
  }
}
