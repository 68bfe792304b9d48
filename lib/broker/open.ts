import { Broker } from "./server.ts";
import type { BrokerOptions } from "./options.ts";

/** A running broker, as its owner sees it. */
export interface EmbeddedBroker {
  /**
   * Listens, and resolves to the endpoint with the port that the system picked, as clients write it.
   *
   * @param endpoint `amqp://host:port`, `amqps://host:port`, `inproc://name`; `:port` is loopback, port 0 any free one
   * @throws {EndpointError | AddressInUseError} it cannot be bound
   */
  listen(endpoint: string): Promise<string>;
  /**
   * Serves the HTTP API and the metrics, and resolves to their URL.
   *
   * @param endpoint `host:port`
   * @throws {EndpointError | AddressInUseError} it cannot be bound
   */
  listenHttp(endpoint: string): Promise<string>;
  /** Tells clients (320), writes what is to survive, and lets the data go. */
  close(): Promise<void>;
}

/**
 * Opens an AMQP 0-9-1 broker in this process: on its data, or in memory.
 *
 * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the data
 *
 * @example A broker for a test, on a free port, with any AMQP client
 * ```ts
 * import { openBroker } from "../../mod.ts";
 * const broker = await openBroker();
 * const url = await broker.listen("amqp://127.0.0.1:0"); // amqp://127.0.0.1:54321
 * console.log(`AMQP_URL=${url}`);
 * await broker.close();
 * ```
 */
export function openBroker(options: BrokerOptions = {}): Promise<EmbeddedBroker> {
  return Broker.open(options);
}
