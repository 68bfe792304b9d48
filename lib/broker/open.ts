import type { BrokerFaults } from "./testing/faults.ts";
import { type QueuedMessage, queuedMessages } from "./testing/queued_message.ts";
import { Broker } from "./server.ts";
import type { BrokerOptions } from "./options.ts";

/** A running broker. `await using` closes it. */
export interface EmbeddedBroker extends AsyncDisposable {
  /**
   * Listens for clients.
   *
   * @param endpoint `amqp://host:port`, `mqtt://…`, `stomp://…`, with TLS `amqps://…`, `mqtts://…`, `stomps://…`;
   *   WebSockets for all of them `ws://…`, `wss://…`; or `inproc://name`; `:port` is loopback, port 0 any free one
   * @returns the endpoint with the port that the system chose, as clients write it
   * @throws {EndpointError | AddressInUseError} the endpoint cannot be bound
   */
  listen(endpoint: string): Promise<string>;
  /**
   * Serves the HTTP API, metrics and a web page.
   *
   * @param endpoint `host:port`
   * @param options `pageWrites`: whether users of the page may change something, within their permissions
   * @returns the URL
   * @throws {EndpointError | AddressInUseError} the endpoint cannot be bound
   */
  listenHttp(endpoint: string, options?: { readonly pageWrites?: boolean | undefined }): Promise<string>;
  /**
   * Reads all messages of a queue in the order of delivery, also unacknowledged ones, without a change to them.
   *
   * @param vhost Default: `/`
   * @throws {AmqpError} 404: the queue does not exist
   */
  messages(queue: string, vhost?: string): QueuedMessage[];
  /**
   * Returns to the state after the start, for the next test: closes all connections, removes all virtual hosts with
   * everything in them, adds `/` again, and ends all faults. Users, permissions in `/` and the clock stay.
   */
  reset(): Promise<void>;
  /** BrokerFaults, for tests of clients. */
  readonly faults: BrokerFaults;
  /** Closes all connections (320), writes durable data and closes it. */
  close(): Promise<void>;
}

/**
 * Opens a broker for AMQP 0-9-1, MQTT and STOMP in this process, with data on disk or in memory.
 *
 * @throws {MqcatError} `ERR_ADDRESS_IN_USE`: another process has the data open
 *
 * @example A broker for a test, on a free port, with any AMQP client
 * ```ts
 * import { openBroker } from "../../mod.ts";
 * await using broker = await openBroker();
 * const url = await broker.listen("amqp://127.0.0.1:0"); // amqp://127.0.0.1:54321
 * console.log(`AMQP_URL=${url}`);
 * ```
 *
 * @example Clients log in by certificate (SASL EXTERNAL)
 * ```ts
 * import { openBroker, type TlsOptions } from "../../mod.ts";
 *
 * async function serve(tls: Required<Pick<TlsOptions, "cert" | "key" | "ca">>) {
 *   await using broker = await openBroker({
 *     tls: { ...tls, requireClientCert: true },
 *     certLoginFrom: "common_name",
 *   });
 *   console.log(await broker.listen("amqps://*:5671"));
 * }
 * ```
 */
export async function openBroker(options: BrokerOptions = {}): Promise<EmbeddedBroker> {
  const broker = await Broker.open(options);
  // An object of its own: the catalog and the journal are not reachable from it.
  return {
    listen: (endpoint) => broker.listen(endpoint),
    listenHttp: (endpoint, options) => broker.listenHttp(endpoint, options),
    messages: (queue, vhost = "/") => queuedMessages(broker.core, queue, vhost),
    reset: () => broker.reset(),
    faults: broker.faults,
    close: () => broker.close(),
    [Symbol.asyncDispose]: () => broker.close(),
  };
}
