import { UnreachableError } from "../../errors.ts";
import type { BrokerCore } from "../core/broker_core.ts";
import type { ClientConnection } from "../protocol.ts";

/** What faults concern. */
interface FaultyBroker {
  readonly core: BrokerCore;
  readonly connections: ReadonlySet<ClientConnection>;
}

/** Faults of a broker, for tests of its clients. Each one lasts until it is changed or cleared. */
export interface BrokerFaults {
  /** Cuts the connections of all clients, without a word. @returns the number of connections */
  cut(): number;
  /**
   * Delays what the broker sends on its connections, in real time.
   *
   * @param ms in milliseconds; 0 ends it
   * @throws {RangeError} negative, or not a finite number
   */
  delay(ms: number): void;
  /**
   * Accepts no messages, as if the memory were full: clients are blocked.
   *
   * @param reason for the clients that ask for it. Default: `blocked by a test`
   */
  block(reason?: string): void;
  /**
   * Refuses the next messages of publishers with confirms (`basic.nack`).
   *
   * @param count Default: all until `clear`
   */
  nack(count?: number): void;
  /** Acts as if the disk were full: messages with confirms are refused, and other publishers are blocked. */
  full(): void;
  /** Ends all faults. */
  clear(): void;
}

/** The faults of a broker around a core. */
export class Faults implements BrokerFaults {
  readonly #broker: FaultyBroker;

  constructor(broker: FaultyBroker) {
    this.#broker = broker;
  }

  cut(): number {
    const connections = [...this.#broker.connections];
    for (const connection of connections) {
      connection.abort(new UnreachableError("The connection was cut by a test"));
    }
    return connections.length;
  }

  delay(ms: number): void {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`Cannot delay output by ${ms} ms`);
    this.#broker.core.cycle.outputDelay = ms;
  }

  block(reason = "blocked by a test"): void {
    this.#change({ blocked: reason });
  }

  nack(count = Infinity): void {
    this.#change({ refusals: count });
  }

  full(): void {
    this.#change({ isFull: true });
  }

  clear(): void {
    this.delay(0);
    this.#change({ blocked: undefined, isFull: false, refusals: 0 });
  }

  #change(faults: Partial<BrokerCore["faults"]>): void {
    const { core } = this.#broker;
    Object.assign(core.faults, faults);
    core.onRoomChange();
  }
}
