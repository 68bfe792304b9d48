import type { TlsOptions, TransportOptions } from "../transport/stream.ts";
import { MAX_TIMER } from "../transport/waiting.ts";
import { EMPTY, utf8 } from "../zmtp/bytes.ts";
import { subprotocols } from "../zmtp/handshake.ts";
import { type HeartbeatTimes, resolveHeartbeat } from "../zmtp/heartbeat.ts";
import type { Mechanism } from "../zmtp/mechanisms/mechanism.ts";
import { nullMechanism } from "../zmtp/mechanisms/null.ts";
import type { SocketEvent } from "./events.ts";

/** The largest message that can be received, and the default limit, in bytes. */
export const MAX_MESSAGE_SIZE: number = 2 ** 30;

/** Options of every socket type. */
export interface SocketOptions {
  /** High-water mark: the number of messages queued for one peer, or queued to be received. Default: 1000. */
  readonly hwm?: number | undefined;
  /** High-water mark in bytes, so that large messages cannot fill the memory. Default: 8 MiB; PUB, XPUB, RADIO: 64 MiB. */
  readonly hwmBytes?: number | undefined;
  /** The largest message that is received, in bytes, frame headers included. Default: 1 GiB. */
  readonly maxMessageSize?: number | undefined;
  /** The time limit for the connection and the handshake with one peer, in milliseconds. Default: 30 000. */
  readonly handshakeTimeout?: number | undefined;
  /** The first and the longest pause before a reconnect, in milliseconds. Default: 100 and 2000. */
  readonly reconnect?: { readonly first: number; readonly longest: number };
  /**
   * The routing id of this socket at ROUTER peers: 1 to 255 bytes that do not begin with 00; text is UTF-8. Only REQ,
   * DEALER and ROUTER use it. Default: the ROUTER chooses an id.
   */
  readonly identity?: Uint8Array | string | undefined;
  /** Heartbeats, which disconnect a peer that does not answer (RFC 37, 2.6). Default: off. */
  readonly heartbeat?: Partial<HeartbeatTimes> | undefined;
  /**
   * Whether the queues hold only the newest message, which replaces the one before (ZMQ_CONFLATE). It applies to received
   * messages and, for PUB, PUSH, DEALER and RADIO, to sent messages. Default: false.
   */
  readonly conflate?: boolean | undefined;
  /** The largest number of peers at a time. Default: 10 000. */
  readonly maxPeers?: number | undefined;
  /** The security mechanism, for example from `plainClient` or `curveServer`. Default: NULL. */
  readonly security?: Mechanism | undefined;
  /** Certificates and keys for `wss://`. A socket that binds a `wss://` endpoint needs `cert` and `key`. */
  readonly tls?: TlsOptions | undefined;
  /**
   * The web pages that may connect to a bound `ws://` or `wss://` endpoint, as origins such as `https://example.org`, or
   * `*` for all. Pages from this machine may always connect.
   */
  readonly origins?: readonly string[] | undefined;
  /** Called with each event of the socket's endpoints and peers. It must not throw. */
  readonly onEvent?: (event: SocketEvent) => void;
}

/** The options with their defaults. */
export type ResolvedOptions =
  & { readonly [K in keyof SocketOptions]-?: NonNullable<SocketOptions[K]> }
  & { readonly identity: Uint8Array; readonly heartbeat: HeartbeatTimes };

/**
 * Adds the defaults to the options of a socket.
 *
 * @throws {RangeError} a number is out of its range
 */
export function resolveOptions(options: SocketOptions): ResolvedOptions {
  const resolved = {
    hwm: options.hwm ?? 1000,
    hwmBytes: options.hwmBytes ?? 8 * 2 ** 20,
    maxMessageSize: options.maxMessageSize ?? MAX_MESSAGE_SIZE,
    handshakeTimeout: options.handshakeTimeout ?? 30_000,
    reconnect: options.reconnect ?? { first: 100, longest: 2000 },
    maxPeers: options.maxPeers ?? 10_000,
    identity: options.identity === undefined ? EMPTY : checkIdentity(options.identity),
    heartbeat: resolveHeartbeat(options.heartbeat),
    conflate: options.conflate ?? false,
    security: options.security ?? nullMechanism(),
    tls: options.tls ?? {},
    origins: options.origins ?? [],
    onEvent: options.onEvent ?? (() => {}),
  };
  for (const name of ["hwm", "hwmBytes", "maxMessageSize", "handshakeTimeout", "maxPeers"] as const) {
    if (!(resolved[name] >= 1)) {
      throw new RangeError(
        `Cannot create a socket as '${name}' must be at least 1: received ${resolved[name]}`,
      );
    }
  }
  const { first, longest } = resolved.reconnect;
  if (!(first >= 1 && longest >= first)) {
    throw new RangeError(
      `Cannot create a socket as 'reconnect' must have 1 <= first <= longest: received ${first} and ${longest}`,
    );
  }
  for (const time of [resolved.handshakeTimeout, longest]) {
    if (time > MAX_TIMER) {
      throw new RangeError(
        `Cannot create a socket as a time must be at most ${MAX_TIMER} ms: received ${time}`,
      );
    }
  }
  // Offsets in a batch are 32-bit numbers.
  if (resolved.maxMessageSize > MAX_MESSAGE_SIZE) {
    throw new RangeError(
      `Cannot create a socket as 'maxMessageSize' must be at most 2^30: received ${resolved.maxMessageSize}`,
    );
  }
  return resolved;
}

/** The part of the options that the transports use. */
export function transportOptions(options: ResolvedOptions): TransportOptions {
  const { tls, security, maxMessageSize, origins, onEvent } = options;
  return {
    tls,
    web: { protocols: subprotocols(security), maxMessage: maxMessageSize, origins },
    onRefused: (endpoint, error) => onEvent({ type: "handshake-failed", endpoint, error, dialed: false }),
  };
}

/**
 * The bytes of a routing id.
 *
 * @throws {RangeError} it is empty, longer than 255 bytes, or begins with 00, which is reserved for the ids that a ROUTER
 * assigns
 */
export function checkIdentity(identity: Uint8Array | string): Uint8Array {
  const bytes = typeof identity === "string" ? utf8(identity) : identity.slice();
  if (bytes.length >= 1 && bytes.length <= 255 && bytes[0] !== 0) return bytes;
  throw new RangeError(
    `Cannot use a routing id of ${bytes.length} bytes${
      bytes[0] === 0 ? " that begins with 00" : ""
    }: expected 1 to 255 bytes, the first not 00`,
  );
}
