import os from "node:os";
import type { TlsOptions } from "../transport/stream.ts";
import type { SyncMode } from "./core/journal/options.ts";

/** How a broker is opened. Sizes are in bytes. */
export interface BrokerOptions {
  /** The folder for what is to survive; it is created. Without one everything is kept in memory only. */
  readonly data?: string | undefined;
  /** What a confirm means; `confirm` unless told. */
  readonly sync?: SyncMode | undefined;
  /** Between two syncs of the mode `interval`, in milliseconds; 1000 unless told. */
  readonly syncInterval?: number | undefined;
  /**
   * Whether there is the user `guest` with the password `guest`, who may come from this machine only, as long as there
   * is no other; true unless told.
   */
  readonly guest?: boolean | undefined;
  /** Certificate and key for `amqps`. */
  readonly tls?: TlsOptions | undefined;
  /** What clients are told that they talk to. */
  readonly product?: string | undefined;
  readonly productVersion?: string | undefined;
  /** The largest message; 128 MiB unless told. */
  readonly maxMessageSize?: number | undefined;
  /** Connections at a time; 10 000 unless told. */
  readonly maxConnections?: number | undefined;
  /** Bytes of transient messages in memory, over which they go to disk or hold publishers back; 4 MiB at least. */
  readonly memoryLimit?: number | undefined;
  /** Seconds between heartbeats that clients are asked for; 60 unless told, 0 for none. */
  readonly heartbeat?: number | undefined;
  /** For a client's login, in milliseconds; 10 000 unless told. */
  readonly handshakeTimeout?: number | undefined;
  readonly onEvent?: ((event: BrokerEvent) => void) | undefined;
}

/** What happens in a broker. */
export type BrokerEvent =
  | { readonly type: "connected"; readonly remote: string; readonly user: string; readonly vhost: string }
  | { readonly type: "disconnected"; readonly remote: string; readonly cause: Error | undefined }
  /** A client was not let in. */
  | { readonly type: "refused"; readonly remote: string; readonly error: Error }
  | {
    readonly type: "channel-error";
    readonly remote: string;
    readonly channel: number;
    readonly error: Error;
  }
  /** Publishers are held back for this reason; undefined: no longer. */
  | { readonly type: "blocked"; readonly reason: string | undefined }
  /** A mistake of this broker's own; it goes on. */
  | { readonly type: "failed"; readonly error: Error }
  /** Something on disk could not be read; it was passed over. */
  | { readonly type: "damaged"; readonly what: string };

/** Options with everything decided. */
export interface Settings {
  readonly data: string | undefined;
  readonly sync: SyncMode;
  readonly syncInterval: number | undefined;
  readonly guest: boolean;
  readonly tls: TlsOptions | undefined;
  readonly product: string;
  readonly productVersion: string;
  readonly maxMessageSize: number;
  readonly maxConnections: number;
  readonly memoryLimit: number;
  readonly heartbeat: number;
  readonly handshakeTimeout: number;
  readonly frameMax: number;
  readonly channelMax: number;
  readonly onEvent: (event: BrokerEvent) => void;
}

const MIB = 2 ** 20;
/** Memory is handed out by the MiB: with less than a few of them the first message would fill it for ever. */
const MIN_MEMORY = 4 * MIB;
/** Over this many bytes transient messages go to disk, where there is one. */
const SPILL = 128 * MIB;

export function settingsOf(options: BrokerOptions): Settings {
  const { data } = options;
  return {
    data,
    sync: options.sync ?? "confirm",
    syncInterval: options.syncInterval,
    guest: options.guest ?? true,
    tls: options.tls,
    product: options.product ?? "mqcat",
    productVersion: options.productVersion ?? "0.1.0",
    maxMessageSize: options.maxMessageSize ?? 128 * MIB,
    maxConnections: options.maxConnections ?? 10_000,
    // RabbitMQ's watermark where nothing can go to disk.
    memoryLimit: Math.max(
      MIN_MEMORY,
      options.memoryLimit ?? (data === undefined ? Math.floor(os.totalmem() * 0.4) : SPILL),
    ),
    heartbeat: options.heartbeat ?? 60,
    handshakeTimeout: options.handshakeTimeout ?? 10_000,
    frameMax: 131072,
    channelMax: 2047,
    onEvent: options.onEvent ?? (() => {}),
  };
}
