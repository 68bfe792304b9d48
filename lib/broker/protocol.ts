/** The contract between the broker's server and its protocols, and what the HTTP API shows of their clients. */
import type { AmqpError } from "../amqp/amqp_error.ts";
import type { FieldTable } from "../amqp/types/field_value.ts";
import type { ByteStream } from "../transport/stream.ts";
import type { BrokerCore } from "./core/broker_core.ts";
import type { MessageStats } from "./core/message_stats.ts";
import type { QueueConsumer } from "./core/queue/consumer.ts";
import type { VirtualHost } from "./core/topology/vhost.ts";
import type { Authenticator } from "./core/users/authenticator.ts";
import type { Settings } from "./options.ts";

/** A protocol that clients speak to the broker: one row of the table in `protocols.ts`. */
export interface Protocol {
  /** Schemes of the endpoints that the protocol is served on. */
  readonly schemes: readonly ProtocolScheme[];
  /** Subprotocols of WebSockets that carry the protocol (RFC 6455, 1.9), the preferred one first. */
  readonly subprotocols: readonly string[];
  /** Loads the protocol's code and makes its server, one for each broker. */
  load(host: ProtocolHost): Promise<ProtocolServer>;
}

/** A scheme of endpoints, such as `amqp` or `amqps`. */
export interface ProtocolScheme {
  readonly scheme: string;
  /** The port of endpoints that have none. */
  readonly port: number;
  /** The scheme of the transport below. */
  readonly transport: "tcp" | "tls";
}

/** The server of one protocol. */
export interface ProtocolServer {
  /**
   * Logs a client in, reports it to the host and starts to serve it.
   *
   * @param isLocal whether the client is on this machine
   * @throws {Error} the login failed; the stream is closed
   */
  serve(stream: ByteStream, authenticator: Authenticator, isLocal: boolean): Promise<ClientConnection>;
  /** Stops all timers, after the connections have ended. */
  close?(): void;
}

/** What the server of a protocol needs of the broker. */
export interface ProtocolHost {
  readonly core: BrokerCore;
  readonly options: Settings;
  /**
   * Reserves a connection within the limits of the user and the virtual host.
   *
   * @returns ends the reservation, after `onConnected` or a failed login
   * @throws {AmqpError} 530: the user or the virtual host has the maximum number of connections
   */
  reserveConnection(user: string, vhost: VirtualHost): () => void;
  /** Checks the limit of channels. @throws {AmqpError} 530: the user has the maximum number of open channels */
  checkChannels(user: string): void;
  /**
   * A client logged in. Called before its input is handled.
   *
   * @returns the error to close the connection with: its virtual host or its user was deleted during the login
   */
  onConnected(connection: ClientConnection, authenticator: Authenticator): AmqpError | undefined;
  /** A client's connection has ended. */
  onDisconnected(connection: ClientConnection, cause: Error | undefined): void;
  /** An error closed a channel of a client, and not its connection. */
  onChannelError(remote: string, channel: number, error: Error): void;
}

/** A client that is logged in. */
export interface ClientConnection {
  /** Name and version of its protocol. */
  readonly protocol: string;
  readonly user: string;
  readonly vhost: VirtualHost;
  /** Endpoints of both ends. */
  readonly local: string;
  readonly remote: string;
  /** Milliseconds since 1970. */
  readonly connectedAt: number;
  /** Bytes received and sent. */
  readonly received: number;
  readonly sent: number;
  readonly state: "running" | "blocked" | "closing";
  readonly frameMax: number;
  readonly channelMax: number;
  /** Heartbeat interval in seconds; 0 for none. */
  readonly heartbeat: number;
  readonly clientProperties: FieldTable;
  /** By number; undefined where a number is free. */
  readonly channels: readonly (ClientChannel | undefined)[];
  /**
   * Sends and checks heartbeats, and ends a client that stalls; called several times a second.
   *
   * @param now as `Clock.monotonic` counts
   * @param real as `performance.now` counts
   */
  beat(now: number, real: number): void;
  /** The broker takes no messages. */
  block(reason: string): void;
  /** The broker takes messages again. */
  release(): void;
  /** Reports an error to the client and closes the connection. */
  fail(error: AmqpError): void;
  /** Closes the connection at once. */
  abort(cause?: Error): void;
}

/** A channel of a client; a protocol without channels has one for each connection. */
export interface ClientChannel {
  readonly number: number;
  /** By consumer tag. */
  readonly consumers: ReadonlyMap<string, QueueConsumer>;
  readonly stats: MessageStats;
  /** Number of publishes whose confirm is pending. */
  readonly unconfirmed: number;
  /** Number of deliveries that are not acknowledged. */
  readonly unacked: number;
  /** Limits of unacknowledged messages for each new consumer, and for all consumers together; 0 for no limit. */
  readonly prefetch: number;
  readonly globalPrefetch: number;
  /** Whether publishes are confirmed. */
  readonly confirms: boolean;
  readonly transactional: boolean;
}
