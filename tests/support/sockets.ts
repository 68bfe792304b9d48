/** Helpers for tests of sockets. */
import { Batch } from "../../lib/zmtp/batch.ts";
import type { SocketEvent } from "../../lib/zmq/events.ts";
import { DEADLINE, waitFor } from "./helpers.ts";

type Of<T extends SocketEvent["type"]> = Extract<SocketEvent, { type: T }>;

/** Records the events of a socket: `new Push({ onEvent: log.onEvent })`. */
export class SocketLog {
  readonly all: SocketEvent[] = [];

  readonly onEvent = (event: SocketEvent): void => {
    this.all.push(event);
  };

  /** The events of one type, in order. */
  of<T extends SocketEvent["type"]>(type: T): Of<T>[] {
    return this.all.filter((event): event is Of<T> => event.type === type);
  }

  /** Waits for the `count`th event of a type. */
  async until<T extends SocketEvent["type"]>(type: T, count = 1, ms = DEADLINE): Promise<Of<T>> {
    await waitFor(() => this.of(type).length >= count, ms, `event ${count} of type ${type}`);
    return this.of(type)[count - 1]!;
  }
}

/** Closes a socket at the end of the scope: `await using push = scoped(new Push());`. */
export function scoped<S extends { close(): Promise<unknown> }>(socket: S): S & AsyncDisposable {
  return Object.assign(socket, {
    async [Symbol.asyncDispose]() {
      await socket.close();
    },
  });
}

/** The text of each frame. */
export function texts(frames: readonly Uint8Array[] | undefined): string[] | undefined {
  return frames?.map((frame) => new TextDecoder().decode(frame));
}

/** The numbers 0, 1, … `count` - 1, or `count` numbers from `start`. */
export function numbers(count: number, start = 0): number[] {
  return Array.from({ length: count }, (_, i) => start + i);
}

/** A batch of one-frame messages. */
export function batchOf(messages: readonly string[]): Batch {
  const batch = new Batch();
  batch.bytes = new TextEncoder().encode(messages.join(""));
  batch.stable = true;
  let at = 0;
  for (const message of messages) batch.add(at, at += new TextEncoder().encode(message).length, 0);
  return batch;
}

let names = 0;

/** A unique name for an inproc endpoint. */
export function inproc(): string {
  return `inproc://test-${++names}`;
}
