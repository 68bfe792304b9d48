import type { BrokerCore } from "../core/broker_core.ts";
import type { BrokerFaults } from "../testing/faults.ts";
import type { Settings } from "../options.ts";
import type { ClientConnection } from "../protocol.ts";

/** What the HTTP API needs of the broker. */
export interface HttpHost {
  readonly core: BrokerCore;
  readonly options: Settings;
  readonly connections: ReadonlySet<ClientConnection>;
  /** Endpoints that the broker listens on, as clients write them. */
  readonly endpoints: readonly string[];
  readonly faults: BrokerFaults;
  /** See `Broker.reset`. */
  reset(): Promise<void>;
  /** Removes a virtual host and closes the connections to it. */
  removeVirtualHost(name: string): void;
  /** Removes a user and closes the connections of that user. */
  removeUser(name: string): void;
}
