import type { TlsOptions, TransportOptions } from "../transport/stream.ts";
import { MAX_TIMER } from "../transport/waiting.ts";
import { EMPTY, utf8 } from "../zmtp/bytes.ts";
import { subprotocols } from "../zmtp/handshake.ts";
import { type HeartbeatTimes, resolveHeartbeat } from "../zmtp/heartbeat.ts";
import type { Mechanism } from "../zmtp/mechanisms/mechanism.ts";
import { nullMechanism } from "../zmtp/mechanisms/null.ts";
import type { SocketEvent } from "./events.ts";

/** The largest message that can be received, and the limit unless told otherwise, in bytes. */
export const MAX_MESSAGE_SIZE: number = 2 ** 30;

/** What a socket can be told when it is made. */
export interface SocketOptions {
  /** High-water mark: messages that wait for one peer, or that wait to be received. 1000 unless told. */
  readonly hwm?: number | undefined;
  /** The same mark in bytes, so that large messages cannot take all memory. 8 MiB; 64 MiB for PUB. */
  readonly hwmBytes?: number | undefined;
  /** The largest message that is received, in bytes with its headers. 1 GiB unless told. */
  readonly maxMessageSize?: number | undefined;
  /** For connecting and greeting one peer, in milliseconds. 30 000 unless told. */
  readonly handshakeTimeout?: number | undefined;
  /** The first and the longest pause before a connection is tried again, in milliseconds. 100 and 2000 unless told. */
  readonly reconnect?: { readonly first: number; readonly longest: number };
  /**
   * The routing id by which a ROUTER knows this socket: 1 to 255 bytes that do not begin with 00; text is UTF-8. Without
   * one the ROUTER chooses. It has a meaning for REQ, DEALER and ROUTER.
   */
  readonly identity?: Uint8Array | string | undefined;
  /** Whether peers are asked for a sign of life, and a silent one is given up (RFC 37, 2.6). Not unless told. */
  readonly heartbeat?: Partial<HeartbeatTimes> | undefined;
  /**
   * Whether only the newest message waits to be received, and, at PUB, PUSH, DEALER and RADIO, to be sent to each peer: it
   * replaces the one before (ZMQ_CONFLATE). False unless told.
   */
  readonly conflate?: boolean | undefined;
  /** How many peers a socket serves at a time. 10 000 unless told. */
  readonly maxPeers?: number | undefined;
  /** How the socket and its peers know each other: `plainClient`, `curveServer` and so on. NULL unless told. */
  readonly security?: Mechanism | undefined;
  /** Certificates and keys for `wss://`. A socket that binds such an endpoint needs `cert` and `key`. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Web pages that may connect to a WebSocket that the socket binds, as origins such as `https://example.org`, or `*`.
   * Pages of this machine may always.
   */
  readonly origins?: readonly string[] | undefined;
  /** Told of everything that happens to the socket's endpoints and peers. It may not throw. */
  readonly onEvent?: (event: SocketEvent) => void;
}

/** The same with nothing left open. */
export type ResolvedOptions =
  & { readonly [K in keyof SocketOptions]-?: NonNullable<SocketOptions[K]> }
  & { readonly identity: Uint8Array; readonly heartbeat: HeartbeatTimes };

/** @throws {RangeError} a number is out of its range */
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
      `Cannot create a socket as 'reconnect' must grow from at least 1: received ${first}, ${longest}`,
    );
  }
  for (const time of [resolved.handshakeTimeout, longest]) {
    if (time > MAX_TIMER) {
      throw new RangeError(
        `Cannot create a socket as a timer takes at most ${MAX_TIMER} ms: received ${time}`,
      );
    }
  }
  // Positions in a batch are 32-bit.
  if (resolved.maxMessageSize > MAX_MESSAGE_SIZE) {
    throw new RangeError(
      `Cannot create a socket as 'maxMessageSize' must be at most 2^30: received ${resolved.maxMessageSize}`,
    );
  }
  return resolved;
}

/** What the transports are told of it. */
export function transportOptions(options: ResolvedOptions): TransportOptions {
  const { tls, security, maxMessageSize, origins, onEvent } = options;
  return {
    tls,
    web: { protocols: subprotocols(security), maxMessage: maxMessageSize, origins },
    onRefused: (endpoint, error) => onEvent({ type: "handshake-failed", endpoint, error, dialed: false }),
  };
}

/** @throws {RangeError} a routing id is empty, over 255 bytes, or begins with 00, as those that a ROUTER makes do */
export function checkIdentity(identity: Uint8Array | string): Uint8Array {
  const bytes = typeof identity === "string" ? utf8(identity) : identity.slice();
  if (bytes.length >= 1 && bytes.length <= 255 && bytes[0] !== 0) return bytes;
  throw new RangeError(
    `Cannot use a routing id of ${bytes.length} bytes${
      bytes[0] === 0 ? " that begins with 00" : ""
    }: it has 1 to 255 bytes and does not begin with 00`,
  );
}
