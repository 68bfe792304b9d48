import type { Envelope } from "./message.ts";
import type { Connection } from "./protocol.ts";
import type { Run } from "./run.ts";

/** Encodes messages for one connection. */
export interface Port {
  /** Whether publishing must wait for `onWritable`: the output buffer or the window of the server is full. */
  readonly full: boolean;
  /**
   * Encodes a message, with the body `bytes[start, end)`, which belongs to the publisher.
   *
   * @param tag the number of the message on this connection, from 1, for `onConfirm`
   */
  publish(tag: number, envelope: Envelope, bytes: Uint8Array, start: number, end: number): void;
  /** Writes the encoded messages. */
  flush(): void;
  /** Ends it: the connection stays, and no event follows. Only needed where `PublisherOptions.reconsider` is used. */
  close?(): Promise<void>;
}

/** What a port reports to its publisher. */
export interface PortEvents {
  /**
   * Messages were confirmed or refused. `onBatchEnd` must follow.
   *
   * @param multiple whether this applies to all messages up to the tag
   * @param taken whether the server accepted them
   * @param reason why the server refused them, if it is known
   */
  onConfirm(tag: number, multiple: boolean, taken: boolean, reason?: string): void;
  /**
   * A message was returned: no queue exists for it. `onConfirm` follows.
   *
   * @param isIt whether it may be the message with this index in a run; `exact`: also by its properties, which not every
   * server returns as they were
   */
  onReturn(
    code: number,
    reason: string,
    isIt: (run: Run, index: number, exact: boolean) => boolean,
  ): void;
  /** All confirms and returns of one received chunk were reported. */
  onBatchEnd(): void;
  /** The port is not full any more. */
  onWritable(): void;
  /** The publisher must end with a permanent failure. */
  onFailure(error: Error): void;
}

/** How a protocol publishes. */
export interface Publishing<C extends Connection> {
  /** Prepares a new connection. No message is published on it before. */
  open(connection: C, events: PortEvents): Promise<Port>;
  /**
   * Checks that a message with this envelope can be encoded on the current or last connection, or is likely to be if there
   * was none.
   *
   * @returns the largest size of its body, in bytes
   * @throws {RangeError | LimitError} it cannot be encoded
   */
  check(envelope: Envelope): number;
}
