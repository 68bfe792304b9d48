import { UnreachableError } from "../../../errors.ts";

/** Finds clients that stall, although they may send heartbeats: they would hold memory or messages forever. */
export class StallWatch {
  readonly #timeout: number;
  /** Bytes that the system had taken when it last took any, and when that was noticed; -1 before the first check. */
  #taken = -1;
  #takenAt = 0;
  /** Bytes received, and when that was noticed; -1 before the first check. */
  #received = -1;
  #receivedAt = 0;

  /** @param timeout the time after which a client counts as stalled, in milliseconds */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /**
   * Checks that a client reads the output that waits for it.
   *
   * @param waits whether output waits
   * @param taken bytes of output that the system has taken from the start
   * @returns the reason to close the connection
   */
  checkReading(now: number, waits: boolean, taken: number): UnreachableError | undefined {
    if (!waits || taken !== this.#taken) {
      this.#taken = taken;
      this.#takenAt = now;
      return undefined;
    }
    if (now - this.#takenAt < this.#timeout) return undefined;
    return new UnreachableError(
      `The client has read nothing for ${this.#timeout / 1000} s while output waited for it`,
    );
  }

  /**
   * Checks that a client continues the message that it has started.
   *
   * @param waits whether the rest of the message is awaited
   * @param received bytes of input from the start
   * @returns the reason to close the connection
   */
  checkSending(now: number, waits: boolean, received: number): UnreachableError | undefined {
    if (!waits || received !== this.#received) {
      this.#received = received;
      this.#receivedAt = now;
      return undefined;
    }
    if (now - this.#receivedAt < this.#timeout) return undefined;
    return new UnreachableError(
      `The client has sent nothing for ${this.#timeout / 1000} s in the middle of a message`,
    );
  }
}
