import type { Signal } from "../transport/waiting.ts";
import { Link } from "./link.ts";
import type { LinkOptions } from "./options.ts";
import type { Address, Connection, Protocol } from "./protocol.ts";

/** A connection that messages arrive on. */
export interface ReceivingConnection extends Connection {
  /** Writes the output buffer. */
  flush(): void;
  /** Stops reading, so that the server has to wait. */
  pause(): void;
  /** Continues reading. */
  resume(): void;
}

/** The base of receivers: a link whose current connection is flushed, paused and resumed. */
export abstract class LinkedReceiver<A extends Address, C extends ReceivingConnection> {
  /** The number of connections so far. */
  generation = 0;

  /** Set by `onUp`; undefined while there is no connection. */
  protected connection: C | undefined;
  protected readonly link: Link<A, C>;
  #paused = false;

  constructor(protocol: Protocol<A, C>, addresses: readonly A[], options: LinkOptions) {
    this.link = new Link(protocol, addresses, options, {
      onUp: async (connection) => {
        await this.onUp(connection);
        if (this.#paused) connection.pause();
      },
      onDown: () => {
        this.connection = undefined;
        this.onDown();
      },
    });
  }

  /**
   * Connects and starts to receive.
   *
   * @throws the errors of `dialFirst`, and those of starting to receive
   */
  start(): Promise<void> {
    return this.link.start();
  }

  /** Fires when the connection changes, and at a permanent failure. */
  get changed(): Signal {
    return this.link.changed;
  }

  /** The host of the current or last connection; empty before the first one. */
  get broker(): string {
    return this.link.broker;
  }

  /** The permanent failure. */
  get failure(): Error | undefined {
    return this.link.failure;
  }

  /** Writes the acknowledgements. */
  flush(): void {
    this.connection?.flush();
  }

  /** Stops reading, so that the server has to wait. */
  pause(): void {
    this.#paused = true;
    this.connection?.pause();
  }

  /** Continues reading. */
  resume(): void {
    this.#paused = false;
    this.connection?.resume();
  }

  /**
   * Closes the connection. Unacknowledged messages return to their source, unless a session keeps them.
   *
   * @param limit the time limit for the reply of the server, in milliseconds. Default: 2000
   */
  close(limit?: number): Promise<void> {
    return this.link.close(limit);
  }

  /** Closes the current connection at once; the receiver reconnects. */
  abort(cause: Error): void {
    this.connection?.abort(cause);
  }

  /** Starts to receive on a new connection. An error closes it. */
  protected abstract onUp(connection: C): Promise<void>;

  /** The connection is lost or closed. */
  protected onDown(): void {}
}
