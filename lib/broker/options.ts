import os from "node:os";
import denoJson from "../../deno.json" with { type: "json" };
import type { TlsOptions } from "../transport/stream.ts";
import { type Clock, SYSTEM_CLOCK } from "./core/clock.ts";
import type { SyncMode } from "./core/journal/options.ts";
import type { CertLoginFrom } from "./core/users/certificate_name.ts";

/** How a broker is opened. Sizes are in bytes. */
export interface BrokerOptions {
  /** The directory for durable data; it is created if missing. Default: everything is kept in memory. */
  readonly data?: string | undefined;
  /** The meaning of a confirm. Default: `confirm`. */
  readonly sync?: SyncMode | undefined;
  /** Time between two syncs in the mode `interval`, in milliseconds. Default: 1000. */
  readonly syncInterval?: number | undefined;
  /**
   * Whether the user `guest` with the password `guest` exists as long as there are no other users. It can connect only
   * from this machine. Default: true.
   */
  readonly guest?: boolean | undefined;
  /**
   * Certificate and key for `amqps`. With `requireClientCert`, clients need a certificate, and may log in by its name with
   * the SASL mechanism EXTERNAL.
   */
  readonly tls?: TlsOptions | undefined;
  /**
   * The part of a client certificate that is the user name, as in RabbitMQ: the subject in the form of RFC 4514, such as
   * `CN=alice,O=Acme`, or its common name. Default: `distinguished_name`.
   */
  readonly certLoginFrom?: CertLoginFrom | undefined;
  /**
   * Web pages that may connect over WebSockets, as origins such as `https://example.org`, or `*` for all. Pages of this
   * machine may always connect.
   */
  readonly origins?: readonly string[] | undefined;
  /** Name and version of the product that clients see. */
  readonly product?: string | undefined;
  /** The version of the product, as clients see it. */
  readonly productVersion?: string | undefined;
  /** The largest message. Default: 128 MiB. */
  readonly maxMessageSize?: number | undefined;
  /** Maximum number of connections. Default: 10 000. */
  readonly maxConnections?: number | undefined;
  /**
   * Limit of transient messages in memory; above it they go to disk or publishers are blocked. Also the limit of
   * all messages that are being received in several frames. At least 4 MiB.
   */
  readonly memoryLimit?: number | undefined;
  /**
   * Heartbeat interval that the broker suggests, and the longest keep alive of MQTT 5.0 clients, in seconds; 0 for none.
   * Default: 60.
   */
  readonly heartbeat?: number | undefined;
  /** Time limit of a client's login, in milliseconds. Default: 10 000. */
  readonly handshakeTimeout?: number | undefined;
  /** Time after which a client is disconnected that reads nothing while output waits, in milliseconds. Default: 30 000. */
  readonly stallTimeout?: number | undefined;
  /** Messages that wait for one MQTT session; above it the oldest ones are dropped. Default: 100 000. */
  readonly sessionLimit?: number | undefined;
  /** Time that an MQTT session outlives its connection at most, in seconds. Default: 604 800, a week. */
  readonly sessionExpiry?: number | undefined;
  /** Retained MQTT messages of a virtual host. Default: 100 000. */
  readonly retainedLimit?: number | undefined;
  /** The time for messages, sessions and heartbeats: a `TestClock`, which tests move. Default: that of the system. */
  readonly clock?: Clock | undefined;
  /** Called with each event of the broker. It must not throw. */
  readonly onEvent?: ((event: BrokerEvent) => void) | undefined;
}

/** An event in a broker. */
export type BrokerEvent =
  | { readonly type: "connected"; readonly remote: string; readonly user: string; readonly vhost: string }
  | { readonly type: "disconnected"; readonly remote: string; readonly cause: Error | undefined }
  /** A client was refused. */
  | { readonly type: "refused"; readonly remote: string; readonly error: Error }
  | {
    readonly type: "channel-error";
    readonly remote: string;
    readonly channel: number;
    readonly error: Error;
  }
  /** Publishers are blocked for this reason; undefined: they are no longer blocked. */
  | { readonly type: "blocked"; readonly reason: string | undefined }
  /** A part of the broker failed because of a bug; the broker continues. */
  | { readonly type: "failed"; readonly error: Error }
  /** Damaged data was found on disk and is ignored. */
  | { readonly type: "damaged"; readonly what: string }
  /** An MQTT session has dropped messages: it has too many, or its client does not read. */
  | { readonly type: "dropped"; readonly vhost: string; readonly clientId: string; readonly count: number }
  /** An MQTT message is not retained, because the limit is reached. */
  | { readonly type: "retained-full"; readonly vhost: string; readonly topic: string };

/** Options with defaults applied. */
export interface Settings {
  readonly data: string | undefined;
  readonly sync: SyncMode;
  readonly syncInterval: number | undefined;
  readonly guest: boolean;
  readonly tls: TlsOptions | undefined;
  readonly origins: readonly string[];
  readonly certLoginFrom: CertLoginFrom;
  readonly product: string;
  readonly productVersion: string;
  readonly maxMessageSize: number;
  readonly maxConnections: number;
  readonly memoryLimit: number;
  /** Limit of bodies that are being received. */
  readonly bodyLimit: number;
  readonly heartbeat: number;
  readonly handshakeTimeout: number;
  readonly stallTimeout: number;
  readonly frameMax: number;
  readonly channelMax: number;
  readonly sessionLimit: number;
  readonly sessionExpiry: number;
  readonly retainedLimit: number;
  readonly clock: Clock;
  readonly onEvent: (event: BrokerEvent) => void;
}

const MIB = 2 ** 20;
/** Memory is allocated in blocks of 1 MiB: a lower limit could be exceeded by a single message forever. */
const MIN_MEMORY = 4 * MIB;
/** Default limit of transient messages in memory, in bytes, when they can go to disk. */
const SPILL = 128 * MIB;

export function settingsOf(options: BrokerOptions): Settings {
  const { data } = options;
  // Without a disk, the limit is RabbitMQ's default watermark.
  const watermark = Math.floor(os.totalmem() * 0.4);
  return {
    data,
    sync: options.sync ?? "confirm",
    syncInterval: options.syncInterval,
    guest: options.guest ?? true,
    tls: options.tls,
    origins: options.origins ?? [],
    certLoginFrom: options.certLoginFrom ?? "distinguished_name",
    product: options.product ?? "mqcat",
    productVersion: options.productVersion ?? denoJson.version,
    maxMessageSize: options.maxMessageSize ?? 128 * MIB,
    maxConnections: options.maxConnections ?? 10_000,
    memoryLimit: Math.max(MIN_MEMORY, options.memoryLimit ?? (data === undefined ? watermark : SPILL)),
    bodyLimit: Math.max(MIN_MEMORY, options.memoryLimit ?? watermark),
    heartbeat: options.heartbeat ?? 60,
    handshakeTimeout: options.handshakeTimeout ?? 10_000,
    stallTimeout: options.stallTimeout ?? 30_000,
    frameMax: 131072,
    channelMax: 2047,
    sessionLimit: options.sessionLimit ?? 100_000,
    sessionExpiry: options.sessionExpiry ?? 7 * 86_400,
    retainedLimit: options.retainedLimit ?? 100_000,
    clock: options.clock ?? SYSTEM_CLOCK,
    onEvent: options.onEvent ?? (() => {}),
  };
}
